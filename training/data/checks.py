"""What would stop a run at its end, looked for before it begins: people who cannot be ranked, images that do not
decode."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sdk.errors import DataError
from sdk.folder import Sample, read_image
from sdk.preprocess import MIN_SIDE
from sdk.terminal import track
from training.data.folder import PeopleDataset
from training.data.union import UnionPeople

THREADS = 4
SHOWN = 5
"""Files that a message names."""


def check_held_out(held_out: PeopleDataset) -> None:
    """Raise `DataError` unless the people held out can be ranked across cameras, and a threshold found."""
    seen = {(sample.identity, sample.camera) for sample in held_out.samples}
    cameras = {camera for _, camera in seen}
    people = {identity for identity, _ in seen}
    if len(cameras) < 2:
        raise DataError(
            f"the {len(people)} people held out are all of one camera ({min(cameras)}), so nobody can be found in "
            "another; hold nobody out (--hold-out 0), or name images <camera>_<anything> by the camera that took them"
        )
    if len(seen) == len(people):
        raise DataError(
            f"none of the {len(people)} people held out is in two cameras, so nobody can be found in another; hold "
            "more people out (--hold-out), or nobody (--hold-out 0)"
        )
    if len(people) < 2:
        raise DataError(
            "one person is held out, and a threshold needs at least two; hold more people out (--hold-out), or nobody "
            "(--hold-out 0)"
        )


def check_images(*datasets: PeopleDataset) -> None:
    """Read every file of the datasets once. Raises `DataError` naming those that are no images, or are too small."""
    paths = list(dict.fromkeys(path for dataset in datasets for path in _paths(dataset)))
    with ThreadPoolExecutor(THREADS) as pool:
        found = track(pool.map(_problem, paths), "checking images", total=len(paths))
        problems = [problem for problem in found if problem]
    if problems:
        more = f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise DataError(
            f"{len(problems)} of {len(paths)} images cannot be used: {'; '.join(problems[:SHOWN])}{more}. Remove or "
            "replace them"
        )


def _paths(dataset: PeopleDataset) -> Iterator[Path]:
    """Of the samples that are image files."""
    for sample in dataset.samples:
        if isinstance(dataset, UnionPeople):
            sample = dataset.parts[sample.part].samples[sample.index]
        if isinstance(sample, Sample):
            yield sample.path


def _problem(path: Path) -> str | None:
    try:
        height, width = read_image(path).shape[:2]
    except DataError as error:
        return str(error).partition(";")[0]
    if min(height, width) < MIN_SIDE:
        return f"{path}: {width}×{height} pixels, the least is {MIN_SIDE}×{MIN_SIDE}"
    return None
