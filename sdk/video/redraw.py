"""Annotated videos that show names which the records no longer have: drawn again from the run's sources.

The manifest remembers of each camera whether its videos are behind the records, so that it is known after a kill too.
"""

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
import supervision as sv

from sdk.errors import DataError
from sdk.reading import TRACK, read_lines
from sdk.report.thumbnails import find_videos
from sdk.terminal import progress_bar
from sdk.video.annotate import AnnotatedVideo
from sdk.video.origin import Origin, origin_of
from sdk.video.run_folder import RunFolder
from sdk.video.sources import Sources
from sdk.video.summary import record_files

FACT = "videos"
"""Under which the manifest has the state of each camera's videos: `BEHIND` or `DRAWN`, nothing as the run left them."""
BEHIND = "behind"
"""They show names that the records no longer have."""
DRAWN = "drawn again"
"""They show the records' names."""
UNFINISHED = ".redraw-"
"""With which the names of videos begin that are being drawn."""


def video_states(folder: RunFolder) -> dict[str, str]:
    """`BEHIND` or `DRAWN`, by camera; those are left out whose videos are as the run left them."""
    said = folder.fact(FACT)
    return dict(said) if isinstance(said, dict) else {}


def mark_behind(folder: RunFolder, cameras: Iterable[str]) -> None:
    """Have the manifest say that the videos of `cameras`, those that have any, show other names than the records."""
    having = [camera for camera in cameras if own_videos(folder, camera)]
    if having:
        _remember(folder, having, BEHIND)


def _remember(folder: RunFolder, cameras: Iterable[str], state: str) -> None:
    folder.remember(FACT, dict(sorted((video_states(folder) | dict.fromkeys(cameras, state)).items())))


def own_videos(folder: RunFolder, camera: str) -> list[Path]:
    """The annotated videos of a camera that this run wrote, in order."""
    return [path for _, path in find_videos(folder.path, camera) if path.name in folder.files]


def redraw(folder: RunFolder) -> tuple[list[str], dict[str, str]]:
    """Draw the videos anew that are behind, with boxes and names of the records. A camera's files change all at once.

    Returns the cameras whose videos were drawn, and by camera why others keep the earlier names: there are no frames
    any more. Raises `DataError` if the records cannot be read.
    """
    drawn, kept = [], {}
    for name in [name for name in folder.files if name.startswith(UNFINISHED)]:  # of one that was killed
        folder.remove(name)
    origin = origin_of(folder)
    for camera in sorted(camera for camera, state in video_states(folder).items() if state == BEHIND):
        if why := origin.missing(camera):
            kept[camera] = why
            continue
        try:
            _redraw_camera(folder, camera, origin)
        except _Undrawn as error:
            kept[camera] = str(error)
            continue
        _remember(folder, [camera], DRAWN)
        drawn.append(camera)
    return drawn, kept


class _Undrawn(Exception):
    """Why a video cannot be drawn again."""


def _redraw_camera(folder: RunFolder, camera: str, origin: Origin) -> None:
    before = own_videos(folder, camera)
    count = max(sum(map(_frames_in, before)), _frames_recorded(folder, camera))
    prefix = UNFINISHED + camera
    try:
        _draw(folder, camera, prefix, origin, count)
        made = [name for name in folder.files if name == f"{prefix}.mp4" or name.startswith(f"{prefix}.from-")]
        if sum(_frames_in(folder.path / name) for name in made) != count:
            raise _Undrawn("it could not be written whole; make room on the disk")
        names = {name: name.removeprefix(UNFINISHED) for name in made}
        for name, to in names.items():
            folder.replace(name, to)
        for path in before:
            if path.name not in names.values():
                folder.remove(path.name)
    finally:
        for name in [name for name in folder.files if name.startswith(UNFINISHED)]:
            folder.remove(name)


def _draw(folder: RunFolder, camera: str, name: str, origin: Origin, count: int) -> None:
    """Draw the first `count` frames of a camera into videos called `name`.

    Each file gives each of its frames, whatever others are read beside it, so it is read alone.
    """
    people = _people(folder.path, camera)
    number, boxes = next(people, (count, None))
    try:
        site = Sources([origin.address(camera)])
        if site.cameras != [camera]:
            raise _Undrawn("its source is called otherwise now")
    except DataError as error:
        raise _Undrawn(str(error)) from None
    path = folder.path / f"{name}.mp4"
    rate = origin.frame_rates.get(camera, site.frame_rates[camera])
    with site, AnnotatedVideo(path, rate, origin.segment, folder) as video, progress_bar() as progress:
        bar = progress.add_task(f"drawing {camera}", total=count)
        there = -1
        for there, frame in enumerate(itertools.islice((frames[camera] for _, frames in site), count)):
            while number < there:
                number, boxes = next(people, (count, None))
            video.write(frame, boxes if number == there else sv.Detections.empty())
            progress.advance(bar)
    if there + 1 < count:
        raise _Undrawn(f"its source gives {there + 1} frames of {count}")


def _people(folder: Path, camera: str) -> Iterator[tuple[int, sv.Detections]]:
    """Number of a frame, and who is in it, of the frames of a camera that somebody is in."""
    rows = itertools.chain.from_iterable(read_lines(path, TRACK) for path in record_files(folder).values())
    own = (row for row in rows if row["camera"] == camera)
    for number, group in itertools.groupby(own, key=lambda row: row["frame"]):
        seen = list(group)
        boxes = np.array([row["box"] for row in seen], np.float32).reshape(-1, 4)
        names = np.array([row["identity"] for row in seen], dtype=object)
        yield number, sv.Detections(boxes, data={"identity": names})


def _frames_recorded(folder: RunFolder, camera: str) -> int:
    """How many frames there were at the least."""
    return max((number for number, _ in _people(folder.path, camera)), default=-1) + 1


def _frames_in(video: Path) -> int:
    """How many frames a video of ours has; 0 if it cannot be played: its run was killed."""
    capture = cv2.VideoCapture(str(video))
    count = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT))) if capture.isOpened() else 0
    capture.release()
    return count
