"""Published person detectors: which there are, and their files on this machine.

Nothing here needs the packages of `sdk.tracking`, so that `reid detector` works with the bare installation.
"""

from sdk.detector_files.files import HOME, State, fetch, folder, require, state, take
from sdk.detector_files.published import DEFAULT, PUBLISHED, Published, published

__all__ = [
    "DEFAULT",
    "HOME",
    "PUBLISHED",
    "Published",
    "State",
    "fetch",
    "folder",
    "published",
    "require",
    "state",
    "take",
]
