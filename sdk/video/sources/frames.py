"""The frames of a file or folder, one after the other: their times, and what can be tracked in."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from sdk.errors import DataError
from sdk.preprocess import MIN_SIDE
from sdk.video.sources.capture import Capture, Repeated
from sdk.video.sources.stamps import forward


@dataclass(frozen=True)
class Frame:
    """A frame and when it was taken."""

    time: float
    """Seconds: of a file on its own clock from 0, of a live camera the arrival on `time.monotonic`."""
    picture: np.ndarray | None
    """uint8 BGR `[H, W, 3]`; None if it cannot be decoded, or used, which happens in files."""
    still: float = 0.0
    """For how long the picture has not changed at all, s."""
    said: str = ""
    """What was wrong with the time stamps here, in words; told once a kind."""
    flaw: str = ""
    """Why there is no picture, as far as it is known."""


def frames_of(capture: Capture | Repeated) -> Iterator[Frame]:
    """All frames of a file or folder, those that cannot be decoded too, on a clock that goes forward from 0.

    Played over, the clock goes on.
    """
    begin = 0.0
    for number, played in enumerate(capture.rounds() if isinstance(capture, Repeated) else [capture]):
        time, step = begin - 1 / played.frame_rate, 1 / played.frame_rate
        for placed in forward(iter(played.read, None), played.frame_rate):
            time = begin + placed.time
            yield _frame(time, placed.item, "" if number else placed.said)
        begin = time + step


def _frame(time: float, picture: np.ndarray | None, said: str) -> Frame:
    if picture is None:
        return Frame(time, None, said=said)
    try:
        return Frame(time, usable(picture), said=said)
    except DataError as error:
        return Frame(time, None, said=said, flaw=str(error))


def usable(picture: np.ndarray) -> np.ndarray:
    """The picture as uint8 BGR `[H, W, 3]`. Raises `DataError` if it is something else, or too small for a person."""
    if picture.ndim == 2:
        picture = cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR)
    elif picture.ndim == 3 and picture.shape[2] == 4:
        picture = cv2.cvtColor(picture, cv2.COLOR_BGRA2BGR)
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
        raise DataError(f"gives {picture.dtype} of shape {picture.shape}; expected uint8 [H, W, 3]")
    if min(picture.shape[:2]) < 2 * MIN_SIDE:
        raise DataError(f"gives frames of {picture.shape[1]}×{picture.shape[0]} px, too small for a person")
    return picture
