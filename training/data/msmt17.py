"""MSMT17 (Wei et al., CVPR 2018): folders of images and the lists `list_train.txt`, `list_val.txt`, `list_query.txt`
and `list_gallery.txt`."""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from sdk.errors import DataError
from sdk.folder import Sample
from training.data.benchmark import Benchmark, Entries, RetrievalTest, check_folders, check_published, find_root
from training.data.folder import PeopleDataset

PUBLISHED = {
    "training identities": 1041,
    "training images": 32621,  # 30 248 of the list to train on and 2 373 of that to validate
    "query identities": 3060,
    "queries": 11659,
    "images to search": 82161,
}
VERSIONS = (("train", "test"), ("mask_train_v2", "mask_test_v2"))
"""Folders of the first version and of the second, whose faces are blurred."""
LISTS = ("list_train.txt", "list_val.txt", "list_query.txt", "list_gallery.txt")
NAME = re.compile(r"(?:.*/)?\d+_\d+_(\d+)_[^/]*")
"""Person, image, camera, …: `0000/0000_000_01_0303morning_0015_0.jpg`."""


def load_msmt17(root: str | Path, *, published: Mapping[str, int] = PUBLISHED) -> Benchmark:
    """The dataset in the folder `root`, or in the `MSMT17_V1` or `MSMT17_V2` in it.

    Both lists of the training people are trained on, as in its paper. Raises `DataError` naming a folder or a list that
    is missing, a line that is not of a list's form, an image that is listed but not there, or the counts that are not
    those published.
    """
    root = find_root(root, "MSMT17_V1", "MSMT17_V2")
    version = next((folders for folders in VERSIONS if (root / folders[0]).is_dir()), VERSIONS[0])
    check_folders(root, *version, *LISTS)
    of_training, of_test = (root / folder for folder in version)
    training = [*_listed(root / LISTS[0], of_training), *_listed(root / LISTS[1], of_training)]
    query, gallery = (_listed(root / name, of_test) for name in LISTS[2:])
    check_published(
        root,
        {
            "training identities": len({sample.identity for sample in training}),
            "training images": len(training),
            "query identities": len({sample.identity for sample in query}),
            "queries": len(query),
            "images to search": len(gallery),
        },
        published,
    )
    crops = PeopleDataset((*query, *gallery), "msmt17")
    rounds = ((np.arange(len(query)), np.arange(len(query), len(crops))),)
    protocol = f"{len(query)} queries, {len(gallery)} images to search; same person and camera left out"
    test = RetrievalTest(crops, Entries.of_crops(crops), rounds, protocol=protocol)
    return Benchmark("msmt17", PeopleDataset(tuple(training), "msmt17"), test)


def _listed(path: Path, folder: Path) -> list[Sample]:
    """The images that a list names, lines of `name person`."""
    samples, here = [], {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        name, _, person = line.strip().rpartition(" ")
        match = NAME.fullmatch(name)
        if match is None or not person.isdecimal():
            raise DataError(f"{path}: line {number} is not of the form '0000/0000_000_01_0303morning_0015_0.jpg 0'")
        image = folder / name
        if image.parent not in here:
            here[image.parent] = {there.name for there in image.parent.iterdir()} if image.parent.is_dir() else set()
        if image.name not in here[image.parent]:
            raise DataError(f"{image}: missing, but listed in {path}; was the dataset copied whole?")
        samples.append(Sample(image, f"{int(person):04d}", f"c{int(match[1])}"))
    if not samples:
        raise DataError(f"{path}: lists nothing; was the dataset copied whole?")
    return samples
