"""Where the libraries are that CMakeLists.txt builds, and what to do where they are not."""

import os
import sys
from pathlib import Path

KERNEL = "aligned_reid_kernel"
PLUGIN = "aligned_reid_plugin"
VARIABLE = "ALIGNED_REID_LIBRARIES"
"""The environment variable that names another folder to look in first."""


def find_library(name: str) -> Path | None:
    """The library `name` in the first of `library_folders()` that has it; None where none has.

    A library is code: only folders of this installation, and one that the user names, are looked into.
    """
    return next((folder / filename(name) for folder in library_folders() if (folder / filename(name)).is_file()), None)


def library_folders() -> list[Path]:
    """The folder that ALIGNED_REID_LIBRARIES names; build/ of a clone; lib/ of the Python environment."""
    named = os.environ.get(VARIABLE)
    return [*([Path(named)] if named else []), Path(__file__).parents[2] / "build", Path(sys.prefix) / "lib"]


def filename(name: str) -> str:
    """The file of the library `name` on this system."""
    return f"{name}.dll" if sys.platform == "win32" else f"lib{name}.so"


def how_to_build(name: str) -> str:
    """In words: the library is not there, where it was looked for, and the command that makes it."""
    looked = ", ".join(str(folder) for folder in library_folders())
    return (
        f"{filename(name)} is not in {looked}; in a clone, cmake -S . -B build && cmake --build build makes it, and "
        f"{VARIABLE} names another folder"
    )
