"""Folders that are not in the layout `folder`, though they look like it: which dataset they are of, and how to say
so."""

import re
from pathlib import Path

from sdk.errors import DataError
from sdk.folder import is_image
from training.data.folder import PeopleDataset

KNOWN = {
    "market1501": ("bounding_box_train", "bounding_box_test"),
    "mars": ("bbox_train", "bbox_test"),
    "msmt17": ("list_train.txt",),
    "cuhk03": ("cuhk-03.mat",),
    "cuhk-sysu": ("Image/SSM",),
}
"""What lies in a research dataset, by its layout."""
PREPARED = ("train_all", "gallery", "query")
"""Folders that Person_reID_baseline_pytorch makes of Market-1501."""
IDENTITY_FIRST = re.compile(r"(-1|\d+)_c(\d+)(?!\d)", re.IGNORECASE)
"""How a file's name begins that tells the identity ahead of the camera."""


def open_folder(root: str | Path) -> PeopleDataset:
    """The people of a folder in the layout of `sdk.folder`.

    Raises `DataError` as that does, and for a folder of another layout, saying of which, and what to write instead.
    """
    root = Path(root)
    for layout, inside in KNOWN.items():
        for place in (root, root.parent if root.name in inside else root):
            if all((place / name).exists() for name in inside):
                raise DataError(f"{root}: is of the dataset {layout}; say so: --data {layout}:{place}")
    if (root / PREPARED[0]).is_dir() and any((root / name).is_dir() for name in PREPARED[1:]):
        raise DataError(
            f"{root}: is a research dataset as another project prepared it; give the dataset that it was made of, as "
            f"in --data market1501:{root.parent}"
        )
    try:
        people = PeopleDataset.from_folder(root)
    except DataError:
        loose = sorted(filter(is_image, root.iterdir())) if root.is_dir() else []
        if loose and IDENTITY_FIRST.match(loose[0].name):
            raise DataError(
                f"{root}: its images lie in no folder of a person ({loose[0].name}), as in Market-1501's; give the "
                "folder that holds bounding_box_train, query and bounding_box_test: --data market1501:PATH"
            ) from None
        if loose:
            raise DataError(
                f"{root}: its images lie in no folder of a person ({loose[0].name}); put each person's into one: "
                "<root>/<identity>/<camera>_<anything>"
            ) from None
        raise
    first = people.samples[0]
    if all(_identity_first(sample) for sample in people.samples):
        raise DataError(
            f"{root}: its names begin with the identity and not with the camera ({first.path.name}), as in another "
            "project's layout; rename them <camera>_<anything>, or give the dataset that they were made of, as in "
            "--data market1501:PATH"
        )
    return people


def _identity_first(sample) -> bool:
    return sample.camera == sample.identity and IDENTITY_FIRST.match(sample.path.name) is not None
