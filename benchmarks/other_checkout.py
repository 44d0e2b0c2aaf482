"""Run a function of the benchmarks with the `sdk` of another checkout of this project: the figures before a change.

    python benchmarks/other_checkout.py site_replay:replay_folder FOLDER     (PYTHONPATH=CHECKOUT)

The function is this checkout's, and takes a folder, from which it reads its input and into which it writes what comes
out; so both checkouts get the same input. It may use of the `sdk` only what the other one has as well: `ReIdentifier`,
`MultiCameraTracker`, `RecordWriter`, and the modules' names that the stand-ins replace.
"""

import importlib
import os
import subprocess
import sys
from pathlib import Path

from sdk.errors import DataError


def title(checkout: Path) -> str:
    """The arm's name: "before (COMMIT)"; with "-dirty" if something in it is changed."""
    described = subprocess.run(
        ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--exclude", "*"],
        capture_output=True,
        text=True,
        check=False,
    )
    return f"before ({described.stdout.strip() or checkout.resolve().name})"


def run_elsewhere(checkout: Path, task: str, folder: Path) -> None:
    """Run `task`, "module:function", on `folder` in a process whose `sdk` is that of `checkout`.

    Raises `DataError` if there is no `sdk`, or the function fails, which tells why on the standard error.
    """
    if not (checkout / "sdk" / "__init__.py").is_file():
        raise DataError(f"{checkout}: has no sdk/; give the folder of another checkout of this project")
    command = [sys.executable, __file__, task, str(folder)]
    ended = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(checkout.resolve())}, check=False)
    if ended.returncode:
        raise DataError(f"{checkout}: {task} failed with it, as told above; give a checkout whose interface is alike")


def main(task: str, folder: str) -> None:
    import sdk

    wanted, got = Path(os.environ["PYTHONPATH"]), Path(sdk.__file__).parents[1]
    if got != wanted:
        raise SystemExit(f"the sdk is that of {got}, not of {wanted}")
    module, function = task.split(":")
    getattr(importlib.import_module(module), function)(Path(folder))


if __name__ == "__main__":
    main(*sys.argv[1:])
