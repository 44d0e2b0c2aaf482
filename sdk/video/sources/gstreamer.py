"""A program: runs the GStreamer pipeline whose words, parted by NUL, stand on its standard input, until it ends.

It does what gst-launch-1.0 does, which takes a pipeline from its arguments only; those every user of the machine can
read in the list of processes, passwords among them. It needs nothing but GStreamer's own library, and begins quickly
since it imports nothing of this package: it is run as a file.
"""

import ctypes
import sys

LIBRARY = "libgstreamer-1.0.so.0"
NULL, PAUSED, PLAYING = 1, 3, 4
EOS, ERROR, CLOCK_LOST, LATENCY = 1 << 0, 1 << 1, 1 << 10, 1 << 19
FOREVER = 2**64 - 1


class Error(ctypes.Structure):
    _fields_ = (("domain", ctypes.c_uint32), ("code", ctypes.c_int), ("message", ctypes.c_char_p))


class Message(ctypes.Structure):
    """The beginning of a `GstMessage`: a `GstMiniObject`, then its kind."""

    _fields_ = (
        ("type", ctypes.c_size_t), ("counts", ctypes.c_int * 2), ("flags", ctypes.c_uint),
        ("functions", ctypes.c_void_p * 3), ("number", ctypes.c_uint), ("private", ctypes.c_void_p),
        ("kind", ctypes.c_int),
    )  # fmt: skip


def main() -> int:
    words = sys.stdin.buffer.read().split(b"\0")
    try:
        gst = ctypes.CDLL(LIBRARY)
    except OSError:
        print("ERROR: not installed; on Debian, Ubuntu: apt install gstreamer1.0-plugins-good", file=sys.stderr)
        return 1
    gst.gst_parse_launchv.restype = gst.gst_element_get_bus.restype = ctypes.c_void_p
    gst.gst_bus_timed_pop_filtered.restype = ctypes.POINTER(Message)
    gst.gst_bus_timed_pop_filtered.argtypes = (ctypes.c_void_p, ctypes.c_uint64, ctypes.c_int)
    failure = ctypes.POINTER(Error)()
    gst.gst_init(None, None)
    argv = (ctypes.c_char_p * (len(words) + 1))(*words, None)
    pipeline = gst.gst_parse_launchv(argv, ctypes.byref(failure))
    if not pipeline or failure:  # with a failure there may be half a pipeline
        return _tell(failure)
    pipeline = ctypes.c_void_p(pipeline)
    bus = ctypes.c_void_p(gst.gst_element_get_bus(pipeline))
    gst.gst_element_set_state(pipeline, PLAYING)  # a failure is on the bus, with its reason
    try:
        while True:
            message = gst.gst_bus_timed_pop_filtered(bus, FOREVER, EOS | ERROR | CLOCK_LOST | LATENCY)
            kind = message.contents.kind
            if kind == EOS:
                return 0
            if kind == ERROR:
                gst.gst_message_parse_error(message, ctypes.byref(failure), None)
                return _tell(failure)
            if kind == LATENCY:
                gst.gst_bin_recalculate_latency(pipeline)
            else:
                for state in (PAUSED, PLAYING):
                    gst.gst_element_set_state(pipeline, state)
            gst.gst_mini_object_unref(message)
    finally:
        gst.gst_element_set_state(pipeline, NULL)


def _tell(failure) -> int:
    reason = failure.contents.message if failure else b"the pipeline cannot be made"
    sys.stderr.buffer.write(b"ERROR: " + reason + b"\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
