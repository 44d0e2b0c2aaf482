"""Somebody is forgotten: erased from a gallery, and from the features and crops that runs have kept of them."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sdk.errors import GalleryError
from sdk.gallery import Gallery
from sdk.names import one_called
from sdk.video.crop_store import NAME as CROPS
from sdk.video.crop_store import drop_crops
from sdk.video.features import NAME, Features, Track, drop, mark_forgotten, read_features
from sdk.video.final_names import names_of
from sdk.video.run_folder import RunFolder


class Forgotten(NamedTuple):
    """What was erased of somebody."""

    identity: str
    exemplars: int
    """In the gallery."""
    tracks: dict[Path, int]
    """By run, tracklets whose features were erased."""
    crops: dict[Path, int]
    """By run, tracks whose crops were erased; runs that kept none are not in it."""


def forget(identity: str, gallery: Gallery | None, runs: Iterable[str | Path]) -> Forgotten:
    """Erase somebody's features and crops from the folders of runs that are over, and the person from `gallery`, in
    this order.

    identity: a name of the gallery, or of a run that knew them under it. In runs theirs are the tracks that bear the
    name last, those whose features are the gallery's exemplars of them, and who bears the name of such a one if the
    gallery does not know it: they have been renamed since. Records, events and videos stay.

    Raises `GalleryError` if neither the gallery nor a run knows them; `DataError` if the folder is no run's, its run
    still goes on, or its features are damaged. What was erased before stays erased; repeat it then.
    """
    runs = [Path(run) for run in runs]
    names_in = {run: names_of(run) for run in runs}
    known = [] if gallery is None else gallery.identities()
    in_runs = {name for names in names_in.values() for name in names.values() if name is not None}
    identity = one_called(identity, [*known, *sorted(in_runs.difference(known))])
    exemplars = gallery.exemplars(identity) if identity in known else np.zeros((0, 0), np.float32)
    erased: dict[Path, int] = {}
    crops: dict[Path, int] = {}
    found = identity in known
    for run, names in names_in.items():
        theirs = {track for track, name in names.items() if name == identity}
        with RunFolder.reopen(run) as folder:
            if NAME in folder.files and (folder.path / NAME).exists():
                theirs |= _recognised(read_features(run), names, exemplars, set(known))
                erased[run] = drop(folder, theirs)
            if CROPS in folder.files:
                crops[run] = drop_crops(folder, theirs)
            mark_forgotten(folder, theirs)
        found |= bool(theirs)
    if not found:
        where = " nor in ".join([*(["the gallery"] if gallery is not None else []), *map(str, runs)])
        raise GalleryError(f"identity '{identity}' is not in {where}")
    count = gallery.forget(identity) if gallery is not None and identity in known else 0
    return Forgotten(identity, count, erased, crops)


def _recognised(
    features: Features, names: Mapping[Track, str | None], exemplars: np.ndarray, known: set[str]
) -> set[Track]:
    """Tracks whose features are one of `exemplars` `[N, D]`, and all that bear their names if nobody else does."""
    if not len(exemplars) or not len(features):
        return set()
    theirs = {row.tobytes() for row in exemplars.astype(np.float16)}
    tracks = list(zip(features.camera.tolist(), features.track.tolist(), strict=True))
    same = {track for track, row in zip(tracks, features.embedding, strict=True) if row.tobytes() in theirs}
    former = {names.get(track) for track in same} - known - {None}
    return same | {track for track, name in names.items() if name in former}
