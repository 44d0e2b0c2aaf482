"""CUHK03 (Li et al., CVPR 2014): `cuhk-03.mat` with all images, and its two protocols.

The file is MATLAB's v7.3, which is HDF5 with axes reversed: `detected` and `labeled` are five cells, one a pair of
cameras, of people × 10 images, the first five from one camera and the others from the other; where a person has fewer,
cells are empty. Images are read out of it when they are wanted, so nothing is written.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sdk.errors import DataError, missing_package
from training.data.benchmark import Benchmark, Entries, RetrievalTest, Round, check_folders, check_published
from training.data.folder import PeopleDataset
from training.data.matlab import read_integers, read_mat

IMAGES = {"detected": 14097, "labeled": 14096}
PUBLISHED = {"identities": 1467, "training identities": 767, "test identities": 700, "queries": 1400}
"""Of the new protocol (Zhong et al., CVPR 2017)."""
PUBLISHED_CLASSIC = {"identities": 1467, "test sets": 20, "people in each": 100}

NAME = re.compile(r"(\d)_(\d{3})_([12])_(\d{2})\.png")
"""Of a new protocol's image: pair of cameras, person, camera of the pair, image, all counted from 1."""


@dataclass(frozen=True)
class CellSample:
    """One image of `cuhk-03.mat`."""

    pair: int
    person: int
    number: int
    """All three counted from 0, as the cells are."""

    @property
    def identity(self) -> str:
        return f"{self.pair + 1}_{self.person + 1:03d}"

    @property
    def camera(self) -> str:
        return f"{self.pair + 1}_{1 if self.number < 5 else 2}"


@dataclass(frozen=True)
class CellPeople(PeopleDataset):
    """Crops that lie in `cuhk-03.mat`."""

    samples: tuple[CellSample, ...]
    path: Path = field(kw_only=True)
    boxes: str = field(kw_only=True)
    """"detected" or "labeled"."""

    def read(self, index: int, epoch: int = 0) -> np.ndarray:
        """The crop as uint8 BGR `[H, W, 3]`. Raises `DataError` naming a cell that cannot be read.

        The file is opened for each crop: an open one does not survive the fork into a loader's worker.
        """
        sample = self.samples[index]
        where = f"{self.path}: {self.boxes}{{{sample.pair + 1}}}{{{sample.person + 1}, {sample.number + 1}}}"
        try:
            with _open(self.path) as file:
                cell = file[file[self.boxes][()].ravel()[sample.pair]]
                image = file[cell[sample.number, sample.person]][()]
        except (OSError, KeyError, ValueError, IndexError) as error:
            raise DataError(f"{where} cannot be read ({type(error).__name__}); was the file copied whole?") from error
        if image.ndim != 3 or image.shape[0] != 3 or image.dtype != np.uint8:
            raise DataError(f"{where} is no image; was the file copied whole?")
        return np.ascontiguousarray(image.T[..., ::-1])


def load_cuhk03(
    root: str | Path,
    *,
    boxes: str = "detected",
    published: Mapping[str, int] = PUBLISHED,
    images: Mapping[str, int] = IMAGES,
) -> Benchmark:
    """The new protocol (767 people to train on, 700 to test on), as `cuhk03_new_protocol_config_<boxes>.mat` has it.

    Raises `DataError` naming a file that is missing, an image that is listed but not there, or the counts that are
    not those published.
    """
    root = Path(root)
    config = root / f"cuhk03_new_protocol_config_{boxes}.mat"
    path = _find(root)
    check_folders(root, config.name)
    there, people = _cells(path, boxes)
    listed = [_parse(str(name), config) for name in np.atleast_1d(read_mat(config, "filelist"))]
    present = set(there)
    for sample in listed:
        if sample not in present:
            raise DataError(f"{path}: {boxes} image {sample} is empty, but listed in {config}")
    parts = {}
    for part in ("train", "query", "gallery"):
        index = np.atleast_1d(read_integers(config, f"{part}_idx")) - 1
        if index.min() < 0 or index.max() >= len(listed):
            raise DataError(f"{config}: {part}_idx points outside the list of {len(listed)} files")
        parts[part] = tuple(listed[i] for i in index)
    check_published(
        root,
        {
            "identities": people,
            "training identities": len({sample.identity for sample in parts["train"]}),
            "test identities": len({sample.identity for sample in parts["query"] + parts["gallery"]}),
            "queries": len(parts["query"]),
            f"{boxes} images": len(there),
        },
        _expected(published, boxes, images),
    )
    train = CellPeople(parts["train"], f"cuhk03, {boxes}", path=path, boxes=boxes)
    crops = CellPeople(parts["query"] + parts["gallery"], f"cuhk03, {boxes}", path=path, boxes=boxes)
    queries = len(parts["query"])
    rounds = ((np.arange(queries), np.arange(queries, len(crops))),)
    protocol = f"new protocol, {boxes} boxes: {queries} queries, {len(crops) - queries} images to search"
    test = RetrievalTest(crops, Entries.of_crops(crops), rounds, trapezoid=True, protocol=protocol)
    return Benchmark("cuhk03", train, test)


def load_cuhk03_classic(
    root: str | Path,
    *,
    boxes: str = "detected",
    split: str = "0",
    draws: int = 100,
    seed: int = 0,
    published: Mapping[str, int] = PUBLISHED_CLASSIC,
    images: Mapping[str, int] = IMAGES,
) -> Benchmark:
    """The first protocol: 100 people to test on, all others to train on; `split` says which of the 20 test sets.

    A query is every image of a test person in the first camera of the pair; the gallery has one image of each in the
    second camera, drawn at random. That is done `draws` times, from `seed`, and the figures are averaged.
    `split` "all" takes all test sets, for a model that has never seen CUHK03; those to train on are then the people
    who are in none. Raises `DataError` as `load_cuhk03` does, and for a split that there is not.
    """
    root = Path(root)
    path = _find(root)
    there, people = _cells(path, boxes)
    sets = _test_sets(path)
    check_published(
        root,
        {
            "identities": people,
            "test sets": len(sets),
            "people in each": min(map(len, sets)),
            f"{boxes} images": len(there),
        },
        _expected(published, boxes, images),
    )
    if split != "all" and split not in map(str, range(len(sets))):
        raise DataError(f"split '{split}': CUHK03 has the test sets 0 to {len(sets) - 1}, or all")
    chosen = range(len(sets)) if split == "all" else [int(split)]
    tested = set().union(*(sets[number] for number in chosen))
    source = f"cuhk03, {boxes}, test set {split}"
    train = CellPeople(tuple(s for s in there if s.identity not in tested), source, path=path, boxes=boxes)
    crops = CellPeople(tuple(s for s in there if s.identity in tested), source, path=path, boxes=boxes)
    rounds = tuple(
        single_shot for number in chosen for single_shot in _single_shots(crops, sets[number], draws, [seed, number])
    )
    sets = "all 20 test sets" if split == "all" else f"test set {split}"
    protocol = f"first protocol, {boxes} boxes, {sets}: one image of each person to search, {draws} draws, seed {seed}"
    return Benchmark("cuhk03", train, RetrievalTest(crops, Entries.of_crops(crops), rounds, protocol=protocol))


def _expected(published: Mapping[str, int], boxes: str, images: Mapping[str, int]) -> dict[str, int]:
    """What is to be counted; nothing where `published` is empty."""
    return {**published, f"{boxes} images": images[boxes]} if published else {}


def _single_shots(crops: CellPeople, identities: set[str], draws: int, seed: list[int]) -> Iterator[Round]:
    """All images of the first camera, and one of each person in the second, drawn anew each time."""
    query, choices = [], {}
    for row, sample in enumerate(crops.samples):
        if sample.identity not in identities:
            continue
        if sample.number < 5:
            query.append(row)
        else:
            choices.setdefault(sample.identity, []).append(row)
    rng = np.random.default_rng(seed)
    for _ in range(draws):
        yield np.array(query, np.int64), np.array([rng.choice(rows) for rows in choices.values()], np.int64)


def _open(path: Path):
    try:
        import h5py
    except ImportError:
        raise missing_package("h5py", "datasets", "reading CUHK03") from None
    return h5py.File(path, "r")


def _find(root: Path) -> Path:
    """`cuhk-03.mat`, in `root` or, as the archive unpacks, in `root/cuhk03_release`."""
    check_folders(root)
    for path in (root / "cuhk-03.mat", root / "cuhk03_release" / "cuhk-03.mat"):
        if path.is_file():
            return path
    raise DataError(f"{root / 'cuhk-03.mat'}: missing; the dataset is not here as it was published")


def _cells(path: Path, boxes: str) -> tuple[tuple[CellSample, ...], int]:
    """All images that are there, and the number of people. Raises `DataError` for a file of another kind."""
    samples, people = [], 0
    try:
        with _open(path) as file:
            for pair, reference in enumerate(file[boxes][()].ravel()):
                cell = file[reference][()]
                people += cell.shape[1]
                for person in range(cell.shape[1]):
                    # An empty cell is stored as the vector of its lengths, 0 and 0.
                    full = (number for number in range(10) if file[cell[number, person]].ndim == 3)
                    samples.extend(CellSample(pair, person, number) for number in full)
    except (OSError, KeyError, ValueError, IndexError, AttributeError) as error:
        raise DataError(f"{path}: not CUHK03's file as published ({error}); was it copied whole?") from error
    return tuple(samples), people


def _test_sets(path: Path) -> list[set[str]]:
    """The identities of each of the test sets, which are tables of (pair of cameras, person), counted from 1."""
    try:
        with _open(path) as file:
            tables = [file[reference][()].T.astype(int) for reference in file["testsets"][()].ravel()]
        return [{CellSample(pair - 1, person - 1, 0).identity for pair, person in table} for table in tables]
    except (OSError, KeyError, ValueError, AttributeError) as error:
        raise DataError(f"{path}: has no test sets as published ({error}); was it copied whole?") from error


def _parse(name: str, config: Path) -> CellSample:
    match = NAME.fullmatch(name)
    if match is None:
        raise DataError(f"{config}: lists '{name}', which is not a name such as 1_001_1_01.png")
    pair, person, _, number = map(int, match.groups())
    return CellSample(pair - 1, person - 1, number - 1)
