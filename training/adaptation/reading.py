"""Where a site's crops come from: the folders of runs, or folders of images whose names say camera and track."""

import re
from collections.abc import Sequence
from pathlib import Path

from sdk.errors import DataError
from sdk.folder import is_image
from sdk.video.run_folder import read_manifest
from training.adaptation.crops import Crop, Crops
from training.adaptation.runs import read_run

LAYOUT = "<camera>_<track>_<n>.png"
NAME = re.compile(r"(?P<camera>.+)_(?P<track>\d+)_(?P<number>\d+)")
MARKET = re.compile(r"[^_]+_c(?P<camera>\d+)s(?P<sequence>\d+)_(?P<frame>\d+)_\d+\D*", re.IGNORECASE)
"""Market-1501's names, of which the camera, the sequence and the frame are read. The identity is not."""
MARKET_FOLDER = "bounding_box_train"
FRAME_RATE = 25.0
"""Of Market-1501."""


def read_crops(roots: Sequence[Path]) -> Crops:
    """The crops of all `roots`; a camera that has one name in several of them is one camera.

    Raises `DataError` for a folder that holds none, and naming an image whose name does not say its camera and track.
    """
    parts = [_read(Path(root), number) for number, root in enumerate(roots)]
    items, cannot, must, thrown_away = [], [], [], {}
    for part in parts:
        first = len(items)
        items += part.items
        cannot += [(one + first, other + first) for one, other in part.cannot]
        must += [(one + first, other + first) for one, other in part.must]
        for reason, count in (part.thrown_away or {}).items():
            thrown_away[reason] = thrown_away.get(reason, 0) + count
    source = ", ".join(dict.fromkeys(part.source for part in parts))
    return Crops(tuple(items), source, tuple(cannot), tuple(must), thrown_away)


def is_run(root: Path) -> bool:
    """Whether a run made the folder."""
    return Path(root).is_dir() and read_manifest(root) is not None


def _read(root: Path, number: int) -> Crops:
    if not root.is_dir():
        raise DataError(f"{root}: no such folder; give runs of `reid track --store-crops`, or folders of {LAYOUT}")
    if is_run(root):
        return read_run(root, f"{number}:")
    inside = root / MARKET_FOLDER
    folder = inside if inside.is_dir() else root
    paths = sorted(filter(is_image, folder.iterdir()))
    if not paths:
        raise DataError(f"{root}: holds no crops; give runs of `reid track --store-crops`, or folders of {LAYOUT}")
    read = _market if all(MARKET.fullmatch(path.name) for path in paths) else _tracked
    paths.sort(key=_number)
    return Crops(tuple(read(path, f"{number}:") for path in paths), f"folder {root.resolve().name}")


def _number(path: Path) -> int:
    """The last number of a name: the 10th crop of a track comes after the 2nd."""
    return int((re.findall(r"\d+", path.stem) or ["0"])[-1])


def _market(path: Path, prefix: str) -> Crop:
    found = MARKET.fullmatch(path.name)
    return Crop(path, f"c{found['camera']}", prefix + found["sequence"], None, int(found["frame"]) / FRAME_RATE)


def _tracked(path: Path, prefix: str) -> Crop:
    found = NAME.fullmatch(path.stem)
    if found is None:
        raise DataError(f"{path}: its name does not say its camera and its track; expected {LAYOUT}")
    return Crop(path, found["camera"], prefix, int(found["track"]))
