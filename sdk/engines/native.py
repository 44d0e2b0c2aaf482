"""Where the libraries are that CMakeLists.txt builds, and what to do where they are not."""

import ctypes
import os
import sys
from collections.abc import Callable
from pathlib import Path

from sdk.errors import EngineError

KERNEL = "aligned_reid_kernel"
PLUGIN = "aligned_reid_plugin"
VARIABLE = "ALIGNED_REID_LIBRARIES"
"""The environment variable that names another folder to look in first."""


def find_library(name: str) -> Path | None:
    """The library `name` in the first of `library_folders()` that has it; None where none has.

    A library is code: only folders of this installation, and one that the user names, are looked into.
    """
    return next((folder / filename(name) for folder in library_folders() if (folder / filename(name)).is_file()), None)


class KernelLibrary:
    """One function of the library of the kernels, which answers with CUDA's error."""

    def __init__(self, function: str, arguments: list, path: Path | None = None):
        """arguments: of the function, as ctypes has them. path: the library; None: where `find_library` finds it.

        Raises `EngineError` where it is not, does not load, or is older than the function.
        """
        path = find_library(KERNEL) if path is None else path
        if path is None:
            raise EngineError(how_to_build(KERNEL))
        try:
            library = ctypes.CDLL(str(path))
            self.call: Callable[..., int] = getattr(library, function)
            self._message = library.aligned_reid_error
        except (OSError, AttributeError) as error:
            raise EngineError(f"{path}: cannot be loaded ({error}); build it again on this machine") from error
        self.call.argtypes, self.call.restype = arguments, ctypes.c_int32
        self._message.argtypes, self._message.restype = [ctypes.c_int32], ctypes.c_char_p
        self.path = path

    def message(self, error: int) -> str:
        """CUDA's words for an error."""
        return self._message(error).decode()


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
