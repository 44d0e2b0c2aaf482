"""A camera: GStreamer's RTSP server with a drawn picture. Run by the Python that has GObject, with PORT WIDTH HEIGHT.

Says "ready"; then obeys lines on standard input: "still" (nothing moves in the picture any more) and "moving".
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

# One thread: where each of two codes its half, a picture that stands still changes with every key frame, now and then.
PIPELINE = (
    "( videotestsrc name=source is-live=true pattern=ball ! videoscale"
    " ! video/x-raw,format=I420,width={},height={},framerate=10/1"
    " ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=5 bitrate=500 threads=1"
    " ! rtph264pay name=pay0 pt=96 config-interval=-1 )"
)


def main(port: str, width: str, height: str) -> None:
    Gst.init(None)
    media = []
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(PIPELINE.format(width, height))
    factory.set_shared(True)
    factory.connect("media-configure", lambda _, configured: media.append(configured.get_element()))
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    server.get_mount_points().add_factory("/camera", factory)
    server.attach(None)

    def obey(channel, _) -> bool:
        command = channel.readline().strip()
        for element in media:
            element.get_by_name("source").set_property("pattern", "ball" if command == "moving" else "smpte75")
        return True

    GLib.io_add_watch(GLib.IOChannel.unix_new(sys.stdin.fileno()), GLib.PRIORITY_DEFAULT, GLib.IOCondition.IN, obey)
    print("ready", flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main(*sys.argv[1:])
