"""A CUDA graph: work that was queued once and is launched again as a whole."""

import ctypes
from collections.abc import Callable

from sdk.engines.cuda import Owned, Stream, in_words
from sdk.engines.libcuda import call

_CAPTURE_THIS_THREAD = 1
"""CU_STREAM_CAPTURE_MODE_THREAD_LOCAL."""
_DOING = "a CUDA graph (run without graphs where they fail)"


class Graph(Owned):
    """A call instead of one for every kernel in it. pycuda has no graphs: these are the driver's own calls."""

    def __init__(self, stream: Stream, work: Callable[[], None]):
        """Record what `work` queues on `stream`. Raises `EngineError` if it cannot be recorded."""
        self._stream = stream
        graph, launched = ctypes.c_void_p(), ctypes.c_void_p()
        with stream.device.active(), in_words(stream.device.driver, _DOING):
            call("cuStreamBeginCapture_v2", stream.handle, _CAPTURE_THIS_THREAD)
            try:
                try:
                    work()
                finally:  # a stream that is left capturing takes no other work
                    call("cuStreamEndCapture", stream.handle, ctypes.byref(graph))
                call("cuGraphInstantiateWithFlags", ctypes.byref(launched), graph, 0)
            finally:
                if graph:
                    call("cuGraphDestroy", graph)
        self._handle = launched.value
        super().__init__(stream.device, _Launched(launched.value))

    def launch(self) -> None:
        """Queue the work on the stream that it was recorded from."""
        with self.device.active(), in_words(self.device.driver, _DOING):
            call("cuGraphLaunch", self._handle, self._stream.handle)


class _Launched:
    def __init__(self, handle: int):
        self._handle = handle

    def free(self) -> None:
        call("cuGraphExecDestroy", self._handle)
