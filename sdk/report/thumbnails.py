"""Small pictures of people, cut from a run's videos."""

from collections import defaultdict
from collections.abc import Container
from pathlib import Path

import cv2
import numpy as np

from sdk.report.visits import Visit
from sdk.terminal import progress_bar

HEIGHT = 160
"""Of a picture, px."""
WIDEST = 0.75
"""Width over height of a picture at most."""
QUALITY = 78
"""Of the JPEG, 0 to 100."""
LINE = 3
"""Width in px of the line that `reid track` draws on the edge of a box; it is cut away."""
MOST = 3000
"""Pictures in a report at most, about 12 MB; the longest visits come first."""
VIDEO_SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".webm")


def find_videos(folder: Path, camera: str) -> list[tuple[int, Path]]:
    """A camera's videos in a folder, in order, each with the number of its first frame.

    `dock.mp4` begins with frame 0 and `dock.from-6000.mp4`, if a run wrote several, with 6000.
    """
    found = []
    for path in folder.iterdir():
        stem, _, start = path.stem.rpartition(".from-")
        if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file():
            if path.stem == camera:
                found.append((0, path))
            elif stem == camera and start.isdecimal():
                found.append((int(start), path))
    return sorted(found)


def cut_thumbnails(
    visits: list[Visit], folder: Path, most: int = MOST, without: Container[int] = ()
) -> dict[int, bytes]:
    """JPEG of the best view of each visit, by its index in `visits`; of the longest ones if there are too many.

    without: indices of visits that need none.

    A visit whose camera has no readable video in `folder`, or one that ends before, has no picture.
    """
    wanting = [index for index in range(len(visits)) if index not in without]
    longest = sorted(wanting, key=lambda i: visits[i].first - visits[i].last)[:most]
    wanted: dict[str, list[int]] = defaultdict(list)
    for index in longest:
        wanted[visits[index].camera].append(index)
    pictures: dict[int, bytes] = {}
    with progress_bar() as progress:
        bar = progress.add_task("pictures", total=len(longest))
        for camera, indices in wanted.items():
            for path, frames in _by_video(find_videos(folder, camera), {i: visits[i].frame for i in indices}).items():
                for index, frame in _frames(path, frames):
                    picture = thumbnail(frame, visits[index].box)
                    if picture is not None:
                        pictures[index] = picture
                    progress.advance(bar)
    return pictures


def thumbnail(frame: np.ndarray, box: tuple[float, float, float, float], line: int = LINE) -> bytes | None:
    """JPEG of what `box` (xyxy px) shows of a frame uint8 BGR `[H, W, 3]`; None if that is next to nothing.

    line: px that are left away on each side.
    """
    height, width = frame.shape[:2]
    x0, y0, x1, y1 = np.round(np.clip(np.asarray(box, float), 0, [width, height, width, height])).astype(int)
    crop = frame[y0 + line : y1 - line, x0 + line : x1 - line]
    if min(crop.shape[:2]) < 4:
        return None
    excess = crop.shape[1] - round(WIDEST * crop.shape[0])
    if excess > 0:  # somebody who lies, or a box of two: the middle
        crop = crop[:, excess // 2 : crop.shape[1] - (excess - excess // 2)]
    scale = HEIGHT / crop.shape[0]
    size = (max(1, round(crop.shape[1] * scale)), HEIGHT)
    small = cv2.resize(crop, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    return cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()


def _by_video(videos: list[tuple[int, Path]], wanted: dict[int, int]) -> dict[Path, dict[int, int]]:
    """Which video holds which of the `wanted` frames (key → number in the camera): path → key → number in the video."""
    found: dict[Path, dict[int, int]] = defaultdict(dict)
    for key, number in wanted.items():
        held = [(start, path) for start, path in videos if start <= number]
        if held:
            start, path = held[-1]
            found[path][key] = number - start
    return found


def _frames(path: Path, wanted: dict[int, int]):
    """Yield (key, frame) for `wanted` key → frame number, in order. Seeking is wrong in too many files; this counts."""
    capture = cv2.VideoCapture(str(path))
    number = 0
    for key, frame_number in sorted(wanted.items(), key=lambda item: item[1]):
        while number < frame_number and capture.grab():
            number += 1
        if number < frame_number:
            break
        if number == frame_number:
            there, frame = capture.read()
            number += 1
            if not there:
                break
        yield key, frame  # two visits may want the same frame
    capture.release()
