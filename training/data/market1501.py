"""Market-1501 (Zheng et al., ICCV 2015): `bounding_box_train`, `query`, `bounding_box_test`, optionally `gt_bbox`."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from sdk.errors import DataError
from sdk.folder import Sample, is_image
from training.data.benchmark import (
    NOBODY,
    Benchmark,
    Entries,
    RetrievalTest,
    check_folders,
    check_published,
    count_identities,
)
from training.data.folder import PeopleDataset

PUBLISHED = {
    "training identities": 751,
    "training images": 12936,
    "query identities": 750,
    "queries": 3368,
    "images to search": 19732,  # 13 115 of the queries' people, 2 798 distractors, 3 819 junk
}
JUNK = "-1"
"""Badly detected: neither right nor wrong."""
DISTRACTOR = "0000"

# identity, camera and what else is told; some copies of the dataset have names that end in .jpg.jpg
NAME = re.compile(r"(-1|\d+)_c(\d+)(?!\d).*", re.IGNORECASE)


def load_market1501(root: str | Path, *, published: Mapping[str, int] = PUBLISHED) -> Benchmark:
    """The dataset in the folder `root`; the multi-query test is there if `gt_bbox` is.

    Any people may lie in it by the same names: `identity_cCAMERA…`, in two folders of a test and one to train on; their
    numbers are then not those published, so `published` is empty. Raises `DataError` naming a folder that is missing, a
    name that does not belong there, or the counts that are not those published.
    """
    root = Path(root)
    check_folders(root, "bounding_box_train", "query", "bounding_box_test")
    train = PeopleDataset(tuple(_people(_read(root / "bounding_box_train"))), "market1501")
    query, found = _read(root / "query"), _read(root / "bounding_box_test")
    for sample in query:
        if sample.identity in (JUNK, DISTRACTOR):
            raise DataError(f"{sample.path}: {sample.identity} is nobody, so cannot be searched for; remove the file")
    gallery = [
        replace(sample, identity=NOBODY) if sample.identity == DISTRACTOR else sample for sample in _people(found)
    ]
    drawn = _read(root / "gt_bbox") if (root / "gt_bbox").is_dir() else []
    check_published(
        root,
        {
            "training identities": count_identities(train),
            "training images": len(train),
            "query identities": len({sample.identity for sample in query}),
            "queries": len(query),
            "images to search": len(found),
        },
        published,
    )
    crops = PeopleDataset((*query, *gallery, *drawn), "market1501")
    single = Entries.of_crops(crops)
    queries, searched = np.arange(len(query)), np.arange(len(query), len(query) + len(gallery))
    protocol = (
        f"{len(query)} queries of {count_identities(PeopleDataset(tuple(query)))} people, {len(gallery)} images to "
        "search; same person and camera left out"
    )
    test = RetrievalTest(crops, single, ((queries, searched),), trapezoid=True, protocol=protocol)
    if not drawn:
        return Benchmark("market1501", train, test)
    entries = Entries(
        single.groups + _groups(query, drawn, len(query) + len(gallery)),
        np.concatenate([single.identities, single.identities[queries]]),
        np.concatenate([single.cameras, single.cameras[queries]]),
    )
    multi_query = ((len(crops) + queries, searched),)
    return Benchmark("market1501", train, replace(test, entries=entries, multi_query=multi_query))


def _read(folder: Path) -> list[Sample]:
    """The images of a folder, sorted by name; what is none is passed over (the archive has `Thumbs.db` files)."""
    samples = []
    for path in sorted(filter(is_image, folder.iterdir())):
        match = NAME.fullmatch(path.name)
        if match is None:
            raise DataError(f"{path}: not a name of Market-1501, such as 0002_c1s1_000451_03.jpg; remove the file")
        samples.append(Sample(path, match[1], f"c{match[2]}"))
    if not samples:
        raise DataError(f"{folder}: no images found; was the dataset copied whole?")
    return samples


def _people(samples: list[Sample]) -> list[Sample]:
    """All but the junk."""
    return [sample for sample in samples if sample.identity != JUNK]


def _groups(query: list[Sample], drawn: list[Sample], first: int) -> tuple[np.ndarray, ...]:
    """For each query the hand-drawn boxes of its person in its camera, crops from `first` on; without any, itself."""
    boxes: dict[tuple[str, str], list[int]] = {}
    for number, sample in enumerate(drawn, start=first):
        boxes.setdefault((sample.identity, sample.camera), []).append(number)
    return tuple(np.array(boxes.get((s.identity, s.camera), [row])) for row, s in enumerate(query))
