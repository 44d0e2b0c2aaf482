"""From boxes on frames to crops: which pixels a box shows, and the boxes of several cameras' frames as one batch."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, overload

import numpy as np

from sdk.errors import CropError
from sdk.preprocess import MIN_SIDE, problem_of

Frames = np.ndarray | Mapping[str, np.ndarray]
"""One frame, uint8 BGR `[H, W, 3]`, or a frame a camera, by its name."""


class Cuts(Sequence[np.ndarray]):
    """A sequence of crops, uint8 BGR `[h, w, 3]`, that tell where they come from: a frame's after the other's.

    They are views, so nothing is copied before somebody looks, and an engine that cuts by itself need not.
    """

    def __init__(self, frames: Sequence[np.ndarray], corners: Sequence[np.ndarray], cameras: Sequence[str | None]):
        """frames: uint8 BGR `[H, W, 3]`, not written to before the crops are embedded. corners: of each frame's crops
        int `[N, 4]`, x0, y0, x1, y1 in px, inside the frame. cameras: that took the frames."""
        self.frames, self.corners = frames, corners
        self.cameras = [name for name, boxes in zip(cameras, corners, strict=True) for _ in boxes]
        """That took the crops, one a crop."""
        self.uploaded: object = None
        """What an engine that cuts by itself has been given of the frames; see `sdk.engines.device_crops`."""

    @cached_property
    def _crops(self) -> list[np.ndarray]:
        pairs = zip(self.frames, self.corners, strict=True)
        return [frame[y0:y1, x0:x1] for frame, boxes in pairs for x0, y0, x1, y1 in boxes]

    def __len__(self) -> int:
        return len(self.cameras)

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, index: slice) -> list[np.ndarray]: ...
    def __getitem__(self, index: int | slice) -> np.ndarray | list[np.ndarray]:
        return self._crops[index]


def corners(boxes: np.ndarray, frame_shape: tuple[int, ...]) -> np.ndarray:
    """The pixels that boxes show: boxes xyxy `[N, 4]` in px → int `[N, 4]`, cut off at the frame's edges.

    frame_shape: `(H, W, …)`. A box outside the frame shows 0 pixels of it.
    """
    height, width = frame_shape[:2]
    inside: np.ndarray = np.clip(boxes, 0, [width, height, width, height])
    return np.round(inside).astype(int)


def cut_out(frames: Frames, boxes: np.ndarray | Mapping[str, np.ndarray], camera: str | None = None) -> Cuts:
    """Crops of `frames` at `boxes`: xyxy `[N, 4]` in px, of one frame, or by the camera's name as the frames are.

    Boxes may reach beyond their frame; only what is in it is shown. camera: that took the one frame. Raises `CropError`
    naming the camera and the box for one that shows less than 8×8 pixels or is no numbers, a frame that is none, boxes
    of a camera without a frame, or no box at all. A camera without boxes may be left out of them.
    """
    if camera is not None and not isinstance(camera, str):
        raise CropError(
            f"camera is a {type(camera).__name__}; one frame has one, and several go by camera: {{name: frame}}"
        )
    seen: Mapping[Any, np.ndarray]
    found: Mapping[Any, Any]
    if not isinstance(frames, Mapping):
        seen, found = {camera: frames}, {camera: boxes}
    elif camera is not None:
        raise CropError("the frames are by camera, so their names are the cameras'; leave camera out")
    elif not isinstance(boxes, Mapping):
        raise CropError(f"the frames are by camera and the boxes are a {type(boxes).__name__}; pass them by camera too")
    else:
        seen, found = frames, boxes
    if without := [name for name in found if name not in seen]:
        raise CropError(f"boxes of camera '{without[0]}', which has no frame; there are: {', '.join(map(str, seen))}")
    cut = [name for name in seen if name in found]
    shown = []
    for name in cut:
        of_camera = f" of camera '{name}'" if name is not None else ""
        if problem := problem_of(seen[name]):
            raise CropError(f"the frame{of_camera} {problem}")
        shown.append(_checked(found[name], seen[name], of_camera))
    cuts = Cuts([seen[name] for name in cut], shown, cut)
    if not cuts:
        raise CropError("there are no boxes; pass at least one, or skip the call when nobody was detected")
    return cuts


def _checked(boxes: Any, frame: np.ndarray, of_camera: str) -> np.ndarray:
    try:
        boxes = np.asarray(boxes, np.float64)
    except (TypeError, ValueError) as error:
        raise CropError(f"the boxes{of_camera} are no numbers ({error}); pass xyxy [N, 4] in px") from error
    if boxes.size == 0:
        return np.empty((0, 4), int)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise CropError(f"the boxes{of_camera} have shape {boxes.shape}; pass xyxy [N, 4] in px")
    if bad := np.flatnonzero(~np.isfinite(boxes).all(1)).tolist():
        raise CropError(f"box {bad[0]}{of_camera} is {boxes[bad[0]].tolist()}; leave it out: {_which(bad, boxes)}")
    shown = corners(boxes, frame.shape)
    sides = shown[:, 2:] - shown[:, :2]
    if bad := np.flatnonzero((sides < MIN_SIDE).any(1)).tolist():
        width, height = np.maximum(sides[bad[0]], 0)
        raise CropError(
            f"box {bad[0]}{of_camera} shows {width}×{height} pixels of its frame; the least is {MIN_SIDE}×{MIN_SIDE}: "
            f"leave it out ({_which(bad, boxes)})"
        )
    return shown


def _which(bad: list[int], boxes: np.ndarray) -> str:
    indices = ", ".join(map(str, bad[:10])) + (", …" if len(bad) > 10 else "")
    return f"{len(bad)} of {len(boxes)} boxes are unusable: {indices}"
