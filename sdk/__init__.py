"""AlignedReID on the edge: embed person crops, match them to identities, track people over several cameras.

The three names that most applications need:

    from sdk import ReIdentifier, Gallery, MultiCameraTracker

They are imported when first used, so that `import sdk` is quick and pulls in neither torch nor
onnx (this package never needs them) nor the tracking libraries of the extra `track`. Editors and
type checkers see them as if they were imported here.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sdk.crops import as_crops
    from sdk.gallery import Candidate, Gallery, Match
    from sdk.reidentifier import Features, ReIdentifier
    from sdk.tracking import MultiCameraTracker

__version__ = "0.1.0"

_HOME = {
    "ReIdentifier": "sdk.reidentifier",
    "Features": "sdk.reidentifier",
    "Match": "sdk.gallery",
    "Candidate": "sdk.gallery",
    "Gallery": "sdk.gallery",
    "MultiCameraTracker": "sdk.tracking",
    "as_crops": "sdk.crops",
}

__all__ = ["Candidate", "Features", "Gallery", "Match", "MultiCameraTracker", "ReIdentifier", "as_crops"]


if not TYPE_CHECKING:  # to a checker it would say that every name is here, misspelt ones too

    def __getattr__(name: str) -> object:
        if name in _HOME:
            return getattr(import_module(_HOME[name]), name)
        raise AttributeError(f"module 'sdk' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
