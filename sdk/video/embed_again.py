"""The features of a run's tracklets, made once more from its sources: by another model, or where none were kept.

Boxes are those of the records, frames those of the files that the run read. Of live cameras nothing can be read again.
"""

import itertools
from collections.abc import Collection, Iterable, Iterator

import numpy as np

from sdk.cutting import corners
from sdk.errors import DataError
from sdk.preprocess import MIN_SIDE
from sdk.reading import TRACK, read_lines
from sdk.reidentifier import MAX_BATCH, ReIdentifier, features_of
from sdk.terminal import progress_bar
from sdk.tracking import TrackerConfig
from sdk.tracking.tracklet import Tracklet, crop_quality
from sdk.video.features import Features, Track
from sdk.video.origin import Origin, origin_of
from sdk.video.run_folder import RunFolder
from sdk.video.sources import Sources
from sdk.video.summary import record_files


def wrong_with_sources(folder: RunFolder, cameras: Iterable[str]) -> str:
    """Why frames of these cameras cannot be had once more, in words; empty if all can."""
    origin = origin_of(folder)
    found = ((camera, origin.missing(camera)) for camera in sorted(cameras))
    return next((f"camera '{camera}': {why}" for camera, why in found if why), "")


def embed_again(folder: RunFolder, reid: ReIdentifier, tracks: Collection[Track], config: TrackerConfig) -> Features:
    """The features of `tracks`, each the mean of so many crops a second as the tracker takes.

    Tracks without a good crop are left out. Raises `DataError` if a source or the records cannot be read, or a source
    has fewer frames than its records.
    """
    wanted, origin = set(tracks), origin_of(folder)
    tracklets: list[Tracklet] = []
    for camera in sorted({camera for camera, _ in wanted}):
        frames = _recorded(folder, camera, wanted)
        if frames:
            tracklets += _embed_camera(camera, frames, origin, reid, config)
    known = [t for t in tracklets if t.count]
    dimensions = reid.engine.metadata.embedding_dim
    return Features(
        np.array([t.camera for t in known], str),
        np.array([t.track for t in known], np.int64),
        np.array([t.first for t in known], np.float64),
        np.array([t.last for t in known], np.float64),
        np.array([t.count for t in known], np.int64),
        np.array([t.quality for t in known], np.float32),
        np.array([t.embedding for t in known], np.float16).reshape(len(known), dimensions),
        features_of(reid.engine.metadata),
    )


def _recorded(folder: RunFolder, camera: str, wanted: set[Track]) -> dict[int, list[dict]]:
    """All records of the frames of a camera that show one of `wanted`, by number of the frame."""
    rows = itertools.chain.from_iterable(
        read_lines(path, TRACK) for path in record_files(folder.path).values() if path.name in folder.files
    )
    own = (row for row in rows if row["camera"] == camera)
    found: dict[int, list[dict]] = {}
    for row in own:
        found.setdefault(row["frame"], []).append(row)
    shown = {number for number, there in found.items() if any((camera, row["track"]) in wanted for row in there)}
    return {
        number: [row | {"wanted": (camera, row["track"]) in wanted} for row in found[number]]
        for number in sorted(shown)
    }


def _embed_camera(
    camera: str, recorded: dict[int, list[dict]], origin: Origin, reid: ReIdentifier, config: TrackerConfig
) -> list[Tracklet]:
    tracklets: dict[int, Tracklet] = {}
    waiting: list[tuple[Tracklet, float, float, np.ndarray]] = []
    last = max(recorded)
    with Sources([origin.address(camera)]) as site, progress_bar() as progress:
        if site.cameras != [camera]:
            raise DataError(f"the source of camera '{camera}' is called otherwise now; track it again")
        step = 1 / site.frame_rates[camera]
        bar = progress.add_task(f"embedding {camera}", total=last + 1)
        there = -1
        for there, frame in enumerate(itertools.islice((frames[camera] for _, frames in site), last + 1)):
            for tracklet, quality, now, crop in _crops(camera, frame, recorded.get(there, []), tracklets, config, step):
                waiting.append((tracklet, quality, now, crop))
            if len(waiting) >= MAX_BATCH:
                _embed(reid, camera, waiting)
            progress.advance(bar)
        _embed(reid, camera, waiting)
    if there < last:
        raise DataError(f"camera '{camera}': {origin.sources[camera]} gives {there + 1} frames, the records have more")
    return list(tracklets.values())


def _crops(
    camera: str, frame: np.ndarray, rows: list[dict], tracklets: dict[int, Tracklet], config: TrackerConfig, step: float
) -> Iterator[tuple[Tracklet, float, float, np.ndarray]]:
    """(tracklet, quality, s, crop) of those who are to be embedded."""
    if not rows:
        return
    height, width = frame.shape[:2]
    boxes = np.array([row["box"] for row in rows], np.float32)
    quality = crop_quality(boxes, np.array([row["confidence"] for row in rows], float), (height, width))
    for row, value, (x0, y0, x1, y1) in zip(rows, quality, corners(boxes, frame.shape), strict=True):
        if not row["wanted"]:
            continue
        now = float(row["time"])
        tracklet = tracklets.setdefault(row["track"], Tracklet(camera, row["track"], now, now, frame=step))
        tracklet.last = now
        large = min(x1 - x0, y1 - y0) >= MIN_SIDE
        if large and tracklet.wants(float(value), now, 1 / config.crops_per_second, config.min_quality):
            tracklet.last_crop = now
            yield tracklet, float(value), now, frame[y0:y1, x0:x1]


def _embed(reid: ReIdentifier, camera: str, waiting: list[tuple[Tracklet, float, float, np.ndarray]]) -> None:
    if waiting:
        features = reid.embed([crop for *_, crop in waiting], camera)
        for (tracklet, quality, now, _), embedding in zip(waiting, features.embedding, strict=True):
            tracklet.add(quality, embedding, now)
        waiting.clear()
