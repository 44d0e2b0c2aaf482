"""Parts of a benchmark that end in every way there is, for tests/test_benchmark_runner.py."""

import atexit
import ctypes
import os
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.gpu_parts.findings import Findings, Unavailable


def good(found: Findings, name: str = "") -> None:
    """Leaves a line in the folder each time."""
    found.note("argument", name)
    found.note("time enough", found.left() > 0.5)
    found.note("nothing", float("nan"))
    found.check("small enough", 1, 2)
    found.check_speed("fast enough", 1, 2, at_least=True)
    with (found.folder / "runs").open("a") as file:
        file.write(f"{name}\n")


def raises(found: Findings) -> None:
    found.note("before", 1)
    raise ValueError("the GPU fell off the bus")


def crashes(found: Findings) -> None:
    found.note("before", 2)
    found.check("so far", 0, 0)
    ctypes.string_at(0)


def is_killed(found: Findings) -> None:
    found.note("before", 3)
    os.kill(os.getpid(), 9)


def hangs(found: Findings) -> None:
    """And so does what it has started."""
    started = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    found.note("started", started.pid)
    time.sleep(600)


def dies_at_the_end(found: Findings) -> None:
    found.note("before", 4)
    atexit.register(os.abort)


def lacks_a_thing(found: Findings) -> None:
    raise Unavailable("there is no tensor core")


def lacks_a_package(found: Findings) -> None:
    import a_package_that_is_not_there  # noqa: F401


def lacks_a_module_of_ours(found: Findings) -> None:
    import sdk.no_such_module  # noqa: F401


def machine(found: Findings) -> None:
    found.note("GPU", Path(found.folder, "gpu").read_text())
