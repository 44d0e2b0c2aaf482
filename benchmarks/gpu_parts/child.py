"""The process of one part: `python -m benchmarks.gpu_parts.child MODULE:FUNCTION ENTRIES FOLDER SECONDS SMALL [ARG …]`.

Each figure and check becomes a line of JSON in the file ENTRIES at once, so that it outlives the process. The last line
says how it ended, unless it died before. Where a crash or the end of its time finds it, it says on standard error.
"""

import faulthandler
import importlib
import json
import sys
from pathlib import Path

from benchmarks.gpu_parts import timing
from benchmarks.gpu_parts.findings import Findings, Unavailable

OURS = ("sdk", "training", "converters", "benchmarks")


def main(function: str, entries: str, folder: str, seconds: str, small: str, *arguments: str) -> None:
    """Run one part; its exception, if any, is for standard error."""
    faulthandler.enable()
    faulthandler.dump_traceback_later(float(seconds))
    timing.LEAST = 0.0 if small == "1" else timing.LEAST
    with open(entries, "a", encoding="utf-8") as file:

        def tell(entry: dict) -> None:
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")
            file.flush()

        module, _, name = function.partition(":")
        try:
            part = getattr(importlib.import_module(module), name)
            part(Findings(tell, folder=Path(folder), seconds=float(seconds), small=small == "1"), *arguments)
        except Unavailable as reason:
            tell({"skipped": str(reason)})
        except BaseException as error:
            if isinstance(error, ModuleNotFoundError) and str(error.name).partition(".")[0] not in (*OURS, "None"):
                tell({"skipped": f"the package {error.name} is not installed"})
            else:
                tell({"error": f"{type(error).__name__}: {error}"})
                raise
        else:
            tell({"done": True})
    faulthandler.cancel_dump_traceback_later()


if __name__ == "__main__":
    main(*sys.argv[1:])
