"""VIPeR, PRID 450S, GRID, CUHK01 and i-LIDS: small sets of people, tested single shot on random halves."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from sdk.errors import DataError
from sdk.folder import Sample, is_image
from training.data.benchmark import (
    NOBODY,
    Benchmark,
    check_folders,
    check_published,
    count_identities,
    find_root,
)
from training.data.folder import PeopleDataset
from training.data.halves import one_each, one_of_all, random_halves

VIPER = {"identities": 632, "images": 1264}
PRID450S = {"identities": 450, "images": 900}
GRID = {"identities": 250, "images to search for": 250, "images to search": 1025}
CUHK01 = {"identities": 971, "images": 3884}
ILIDS = {"identities": 119, "images": 476}

FOLDERS = ("cam_a", "cam_b")
NUMBERED = re.compile(r"(\d{4})(\d{3,4})\..*")
"""Person, and image or camera."""
DISTRACTOR = "0000"

Options = Mapping[str, int]


def load_viper(root: str | Path, *, split: str | None = None, seed: int = 0, published: Options = VIPER) -> Benchmark:
    """VIPeR (Gray et al., PETS 2007): `cam_a/000_45.bmp`, `cam_b/000_90.bmp`, …; or all in one folder, `00010001.png`
    for person and camera.

    Raises `DataError` naming a folder that is missing, a name that does not belong there, a person who is in one camera
    only, or the counts that are not those published; and for a split that there is not.
    """
    return _pairs("viper", find_root(root, "VIPeR"), re.compile(r"(\d+)_.*"), split, seed, published)


def load_prid450s(
    root: str | Path, *, split: str | None = None, seed: int = 0, published: Options = PRID450S
) -> Benchmark:
    """PRID 450S (Roth et al., 2014): `cam_a/img_001.png`, `cam_b/img_001.png`, …; or all in one folder,
    `0001001.png` for person and camera. Else as `load_viper`."""
    return _pairs("prid450s", find_root(root, "prid_450s"), re.compile(r"img_(\d+)\..*"), split, seed, published)


def load_grid(root: str | Path, *, split: str | None = None, seed: int = 0, published: Options = GRID) -> Benchmark:
    """GRID (Loy et al., CVPR 2009): `probe/0001_1_….jpeg` and `gallery/0001_2_….jpeg` for person and camera.

    The 775 images of `0000` are in every gallery and wrong for everybody. Raises `DataError` as `load_viper` does.
    """
    root = find_root(root, "underground_reid")
    check_folders(root, "probe", "gallery")
    name = re.compile(r"(\d{4})_(\d+)_.*")
    probe, gallery = (
        [Sample(p, m[1], m[2]) for p, m in _named(root / folder, name)] for folder in ("probe", "gallery")
    )
    gallery = [Sample(s.path, NOBODY, s.camera) if s.identity == DISTRACTOR else s for s in gallery]
    people = PeopleDataset((*probe, *gallery), "grid")
    check_published(
        root,
        {
            "identities": count_identities(people),
            "images to search for": len(probe),
            "images to search": len(gallery),
        },
        published,
    )
    nobody = sum(sample.identity == NOBODY for sample in gallery)
    rows = np.arange(len(people))
    draw = one_each(people, rows[: len(probe)], rows[len(probe) :])
    shown = f"probe searched for in gallery, with {nobody} images of other people"
    return random_halves("grid", people, draw, split=split, seed=seed, shown=shown)


def load_cuhk01(root: str | Path, *, split: str | None = None, seed: int = 0, published: Options = CUHK01) -> Benchmark:
    """CUHK01 (Li et al., ACCV 2012): `campus/0001001.png` for person and image; images 1 and 2 are of the first
    camera, 3 and 4 of the second. One image of each person in each camera is drawn. Else as `load_viper`."""
    root = find_root(root, "campus")
    people = _numbered("cuhk01", root, lambda number: "a" if number <= 2 else "b")
    _check(root, people, published)
    return random_halves("cuhk01", people, _a_to_b(people), split=split, seed=seed, shown="camera a searched for in b")


def load_ilids(root: str | Path, *, split: str | None = None, seed: int = 0, published: Options = ILIDS) -> Benchmark:
    """i-LIDS (Zheng et al., BMVC 2009): `Persons/0001001.jpg` for person and image; the cameras are not told, so every
    image counts as of one of its own. One image of each person is searched, by all others. Else as `load_viper`."""
    root = find_root(find_root(root, "i-LIDS_Pedestrian"), "Persons")
    people = _numbered("ilids", root, lambda number: f"{number:03d}")
    _check(root, people, published)
    shown = "all other images searched for among one of each person"
    return random_halves("ilids", people, one_of_all(people), split=split, seed=seed, shown=shown, named_cameras=False)


def _pairs(name: str, root: Path, form: re.Pattern, split: str | None, seed: int, published: Options) -> Benchmark:
    """One image of each person in each of two cameras: in a folder a camera, by `form`, or all in one folder."""
    if (root / FOLDERS[0]).is_dir():
        check_folders(root, *FOLDERS)
        samples = [
            Sample(path, match[1], folder[-1]) for folder in FOLDERS for path, match in _named(root / folder, form)
        ]
        people = PeopleDataset(tuple(samples), name)
    else:
        people = _numbered(name, root, lambda number: "a" if number == 1 else "b")
    _check(root, people, published)
    return random_halves(name, people, _a_to_b(people), split=split, seed=seed, shown="camera a searched for in b")


def _a_to_b(people: PeopleDataset):
    return one_each(people, *(np.flatnonzero(people.cameras == camera) for camera in "ab"))


def _numbered(name: str, folder: Path, camera: Callable[[int], str]) -> PeopleDataset:
    """Images whose names are the numbers of person and image; `camera` tells that of the latter."""
    samples = (Sample(path, match[1], camera(int(match[2]))) for path, match in _named(folder, NUMBERED))
    return PeopleDataset(tuple(samples), name)


def _named(folder: Path, form: re.Pattern) -> list[tuple[Path, re.Match]]:
    """The images of a folder with what their names tell, sorted. Raises `DataError` naming one of another form."""
    check_folders(folder)
    found = []
    for path in sorted(filter(is_image, folder.iterdir())):
        match = form.fullmatch(path.name)
        if match is None:
            raise DataError(f"{path}: not a name of this dataset (docs/datasets.md); remove the file")
        found.append((path, match))
    if not found:
        raise DataError(f"{folder}: no images found; was the dataset copied whole?")
    return found


def _check(root: Path, people: PeopleDataset, published: Options) -> None:
    check_published(root, {"identities": count_identities(people), "images": len(people)}, published)
