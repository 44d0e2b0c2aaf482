"""Many drawn people and the cameras that see them, as a list of crops or as a folder of images."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from sdk.errors import DataError
from sdk.output import check_output, write_whole
from sdk.simulation.crops import draw_crop
from sdk.simulation.faults import USUAL, Faults
from sdk.terminal import track


@dataclass(frozen=True)
class Population:
    """`identities` people, each seen by `cameras` of a site's cameras, drawn by the seed.

    With many more cameras at the site than see each person, nearly everybody is seen by cameras of their own; what
    is trained on such people learns to overlook the look. Raises `DataError` if a number is below 1, if
    `cameras` exceeds `site_cameras`, or for a misalignment outside 0 to 1.
    """

    identities: int
    cameras: int = 2
    """That see each person."""
    site_cameras: int | None = None
    """To choose those from; None: as many as see each person."""
    views: int = 8
    """Crops of each person in each camera, 45° apart."""
    seed: int = 0
    size: tuple[int, int] = (128, 64)
    """Height and width of the crops, px."""
    misalignment: float = USUAL
    """Of the boxes, 0 none to 1 severe."""
    street: float = 0.0
    """Share of the crops that are drawn as on a street: clutter, creases, hard light, people dressed for summer."""

    def __post_init__(self):
        numbers = {name: getattr(self, name) for name in ("identities", "cameras", "views")}
        if min(numbers.values()) < 1:
            raise DataError("must be at least 1: " + ", ".join(f"{name} {n}" for name, n in numbers.items()))
        if self.site_cameras is not None and self.cameras > self.site_cameras:
            raise DataError(f"{self.cameras} of {self.site_cameras} cameras cannot see a person; raise site_cameras")
        if min(self.size) < 8:
            raise DataError(f"crops of {self.size[0]}×{self.size[1]} px are too small; draw at least 8×8")
        if not 0 <= self.street <= 1:
            raise DataError(f"street is {self.street}; it is a share, from 0 to 1")
        Faults.at(self.misalignment)

    def cameras_of(self, identity: int) -> list[int]:
        """The cameras that see somebody, ascending."""
        everywhere = np.random.default_rng([self.seed, identity, 3]).permutation(self.site_cameras or self.cameras)
        return sorted(everywhere[: self.cameras].tolist())

    def __len__(self) -> int:
        return self.identities * self.cameras * self.views

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        """All (identity, camera, view), in order."""
        for identity in range(self.identities):
            for camera in self.cameras_of(identity):
                for view in range(self.views):
                    yield identity, camera, view

    def draw(self, identity: int, camera: int, view: int) -> np.ndarray:
        """One crop, uint8 BGR `[height, width, 3]`, the same whenever it is asked for. Any `view` from 0 on will do."""
        return draw_crop(self.seed, identity, camera, view, self.size, self.misalignment, self.street)


def identity_name(identity: int) -> str:
    """What a person of a population is called, as a folder or in a dataset."""
    return f"{identity:05d}"


def write_people(output: str | Path, population: Population) -> None:
    """Write `<output>/<identity>/<camera>_<view>.png`, and `population.json`, what it was made from.

    Where `output` holds a part of the same population already, the rest is drawn. Raises `DataError` if it holds
    anything else, or cannot be written.
    """
    output = Path(output)
    made_from = json.dumps(asdict(population), indent=2) + "\n"
    note = output / "population.json"
    check_output(note)
    begun = note.is_file() and note.read_text(encoding="utf-8") == made_from
    if not begun and output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise DataError(f"{output}: exists and holds something else; choose a new folder")
    if not begun:
        write_whole(note, made_from, private=False)
    for identity, camera, view in track(population, "drawing people", total=len(population)):
        path = output / identity_name(identity) / f"{camera:02d}_{view:02d}.png"
        if path.exists():
            continue
        _, png = cv2.imencode(".png", population.draw(identity, camera, view))
        write_whole(path, png.tobytes(), durable=False, private=False)
