"""CUHK-SYSU (Xiao et al., CVPR 2017): person search, taken as re-identification of the people in the true boxes."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from sdk.errors import DataError
from sdk.folder import Sample, read_image
from training.data.benchmark import (
    NOBODY,
    Benchmark,
    Entries,
    RetrievalTest,
    check_folders,
    check_published,
)
from training.data.folder import PeopleDataset
from training.data.matlab import read_mat

PUBLISHED = {"training identities": 5532, "queries": 2900, "images": 18184, "images of the test": 6978}
GALLERY_SIZES = (50, 100, 500, 1000, 2000, 4000)
"""Images that a query is searched for in; there is a protocol file for each."""

Box = tuple[int, int, int, int]
"""x, y, width, height in px."""


@dataclass(frozen=True)
class BoxSample(Sample):
    """One person in one scene. Every scene counts as a camera."""

    box: Box


@dataclass(frozen=True)
class ScenePeople(PeopleDataset):
    """Crops cut out of scenes."""

    samples: tuple[BoxSample, ...]

    def read(self, index: int, epoch: int = 0) -> np.ndarray:
        """The crop as uint8 BGR `[H, W, 3]`. Raises `DataError` naming a scene that cannot be decoded."""
        sample = self.samples[index]
        x, y, width, height = sample.box
        crop = _scene(sample.path)[max(y, 0) : max(y + height, 0), max(x, 0) : max(x + width, 0)]
        if not crop.size:
            raise DataError(f"{sample.path}: the box {sample.box} lies outside the image")
        return crop.copy()


@lru_cache(maxsize=4)
def _scene(path: Path) -> np.ndarray:
    """A scene; people of one scene are read one after the other, so it is decoded once."""
    return read_image(path)


def load_cuhk_sysu(root: str | Path, *, gallery_size: int = 100, published: Mapping[str, int] = PUBLISHED) -> Benchmark:
    """The dataset in the folder `root`, tested by the protocol `TestG<gallery_size>.mat`.

    Each query has its own gallery: everybody's true box in `gallery_size` images. Raises `DataError` for a size that
    has no protocol, and naming a file that is missing or the counts that are not those published.
    """
    root = Path(root)
    if gallery_size not in GALLERY_SIZES:
        raise DataError(f"gallery size {gallery_size}: CUHK-SYSU has {', '.join(map(str, GALLERY_SIZES))}")
    annotation, protocol = root / "annotation", f"TestG{gallery_size}"
    files = ("Images.mat", "pool.mat", "test/train_test/Train.mat", f"test/train_test/{protocol}.mat")
    check_folders(root, "Image/SSM", *(f"annotation/{name}" for name in files))
    scenes = _Scenes(root / "Image" / "SSM")
    boxes = _boxes(np.atleast_1d(read_mat(annotation / "Images.mat", "Img")))
    pool = np.atleast_1d(read_mat(annotation / "pool.mat", "pool"))
    train = _training(scenes, np.atleast_1d(read_mat(annotation / "test" / "train_test" / "Train.mat", "Train")))
    searches = np.atleast_1d(read_mat(annotation / "test" / "train_test" / f"{protocol}.mat", protocol))
    check_published(
        root,
        {
            "training identities": len(train.identities),
            "queries": len(searches),
            "images": len(boxes),
            "images of the test": len(pool),
        },
        published,
    )
    return Benchmark("cuhk-sysu", train, _test(scenes, boxes, searches))


class _Scenes:
    """The folder of scenes; gives a sample of a box in one. Raises `DataError` for a scene that is not there."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.names = {path.name for path in folder.iterdir()}

    def sample(self, name: str, identity: str, box: Box) -> BoxSample:
        if name not in self.names:
            raise DataError(f"{self.folder / name}: missing, but annotated; was the dataset copied whole?")
        if min(box[2:]) <= 0:
            raise DataError(f"{self.folder / name}: the box {box} of {identity} is empty in the annotation")
        return BoxSample(self.folder / name, identity, Path(name).stem, box)


def _box(values) -> Box:
    # Whole numbers come in the least type that holds them: x + width of two uint8 would overflow.
    return tuple(np.asarray(values).astype(np.int64).ravel().tolist())


def _boxes(images: np.ndarray) -> dict[str, list[Box]]:
    """Everybody's boxes by image. Boxes without area, of which the annotation has some, are nobody and left out."""
    found = {}
    for image in images:
        boxes = (_box(place) for place in np.atleast_1d(image["box"])["idlocate"])
        found[str(image["imname"])] = [box for box in boxes if box[2] > 0 and box[3] > 0]
    return found


def _training(scenes: _Scenes, people: np.ndarray) -> ScenePeople:
    samples = []
    for cell in people:
        person = np.atleast_1d(cell)[0]
        for scene in np.atleast_1d(person["scene"]):
            samples.append(scenes.sample(str(scene["imname"]), str(person["idname"]), _box(scene["idlocate"])))
    return ScenePeople(tuple(samples), "cuhk-sysu")


def _test(scenes: _Scenes, boxes: dict[str, list[Box]], searches: np.ndarray) -> RetrievalTest:
    """A round a query. A gallery's box is the query's person where the protocol says so, else nobody's."""
    queries, galleries, known = [], [], {}
    for search in searches:
        query, gallery = np.atleast_1d(search["Query"])[0], np.atleast_1d(search["Gallery"])
        identity, own = str(query["idname"]), str(query["imname"])
        queries.append(scenes.sample(own, identity, _box(query["idlocate"])))
        # The query's own image proves nothing, should it be in its gallery.
        names = [str(name) for name in gallery["imname"]]
        galleries.append([name for name in names if name != own])
        for name, place in zip(names, gallery["idlocate"], strict=True):
            if np.size(place):
                known[name, _box(place)] = identity
    for name, box in known:  # who is searched for is a candidate, even where Images.mat does not have the very box
        if name in boxes and box not in boxes[name]:
            boxes[name].append(box)
    samples, rows = list(queries), {}
    for name in dict.fromkeys(name for names in galleries for name in names):
        if name not in boxes:
            raise DataError(f"{scenes.folder / name}: in a gallery, but not in annotation/Images.mat")
        rows[name] = range(len(samples), len(samples) + len(boxes[name]))
        samples.extend(scenes.sample(name, known.get((name, box), NOBODY), box) for box in boxes[name])
    crops = ScenePeople(tuple(samples), "cuhk-sysu")
    rounds = tuple(
        (np.array([number]), np.array([row for name in names for row in rows[name]], np.int32))
        for number, names in enumerate(galleries)
    )
    protocol = f"{len(queries)} queries, each with its own gallery of all true boxes in some images; no detection"
    return RetrievalTest(crops, Entries.of_crops(crops), rounds, protocol=protocol)
