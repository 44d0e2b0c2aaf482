"""What TensorRT says: one log a library, for the life of the process.

TensorRT keeps the first log that it is given for ever, and says to it what concerns no object, such as that a library
of plugins cannot be loaded. A log of each engine's own would be gone by then: that is a crash, not an error.
"""

import threading
from types import ModuleType

from sdk.terminal import notes

KEPT = 20
"""Errors that are remembered."""

_making = threading.Lock()
_logs: dict[int, tuple] = {}
"""By the module's identity: the module, which must not be replaced by another of the same, and its log."""


def log_of(trt: ModuleType):
    """The log of `tensorrt` or `tensorrt_rtx`: an `ILogger` that is quiet and remembers errors.

    `errors`: the last ones, oldest first, each a text; `count`: how many there were ever; `since(count)`: those that
    came after there were so many; `last_error`: one line, "" if there was none since `begin(verbose)`, which also says
    whether everything is printed as notes.
    """
    with _making:
        if id(trt) not in _logs:
            _logs[id(trt)] = (trt, _make(trt))
        return _logs[id(trt)][1]


def _make(trt: ModuleType):
    class Log(trt.ILogger):
        def __init__(self):
            trt.ILogger.__init__(self)
            self.errors: list[str] = []
            self.count = self._begun = 0
            self._verbose = False

        def log(self, severity, message):
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                self.errors = [*self.errors[1 - KEPT :], str(message).strip()]
                self.count += 1
            if self._verbose:
                notes.print(f"[{severity.name.lower()}] {message}", soft_wrap=True)

        def begin(self, verbose: bool) -> None:
            self._begun, self._verbose = self.count, verbose

        def since(self, count: int) -> list[str]:
            return self.errors[-min(self.count - count, KEPT) :] if self.count > count else []

        @property
        def last_error(self) -> str:
            said = self.since(self._begun)
            return said[-1].splitlines()[0] if said and said[-1] else ""

    return Log()
