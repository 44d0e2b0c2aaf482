"""From crops as the user has them to the one array that an engine takes.

Only the resize happens here. Scaling to [0, 1], mean and standard deviation, the change from BGR to
RGB and the transposition are inside the exported graph (see `converters.onnx_export`), so they
cannot be applied twice, or differently, by a user. Training uses the same two functions.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from sdk.errors import CropError

# ImageNet statistics of RGB in [0, 1], the convention of torchvision's weights.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

MIN_SIDE = 8
"""Crops with a side below this many pixels are refused: nothing of a person is left in them."""


def check_crops(crops: Sequence[np.ndarray] | np.ndarray) -> None:
    """Raise `CropError` unless every crop is uint8 BGR `[H, W, 3]` with both sides ≥ 8 pixels.

    All crops are looked at before the error is raised, so that the message counts the bad ones and
    names the first by its index; the caller can drop exactly these and go on.
    """
    if isinstance(crops, np.ndarray) and crops.ndim == 3:
        raise CropError("crops is one image; pass a list of crops: [crop]")
    if isinstance(crops, np.ndarray) and crops.ndim == 0:
        raise CropError(f"crops is a single {crops.dtype.name}; pass a list of crops: [crop]")
    if len(crops) == 0:
        raise CropError("crops is empty; pass at least one crop, or skip the call when nobody was detected")
    problems = [(i, problem) for i, crop in enumerate(crops) if (problem := problem_of(crop))]
    if problems:
        first, problem = problems[0]
        indices = ", ".join(str(i) for i, _ in problems[:10]) + (", …" if len(problems) > 10 else "")
        raise CropError(f"crop {first}: {problem} ({len(problems)} of {len(crops)} crops are unusable: {indices})")


def problem_of(crop: object) -> str | None:
    """Why this is no crop and no frame, in words that go on after its name; None if it is one."""
    if crop is None:
        return "is None; an image that could not be read?"
    if not isinstance(crop, np.ndarray):
        return f"is a {type(crop).__name__}, not a numpy array; sdk.as_crops takes files, PIL's images and tensors"
    if crop.size == 0:
        return f"is empty, shape {crop.shape}; clip the box to the frame before cutting"
    if crop.ndim == 2:
        return f"is grey, shape {crop.shape}; convert with cv2.cvtColor(crop, cv2.COLOR_GRAY2BGR)"
    if crop.ndim != 3 or crop.shape[2] != 3:
        if crop.ndim == 3 and crop.shape[0] == 3:
            return f"has its channels first, shape {crop.shape}; transpose with crop.transpose(1, 2, 0)"
        if crop.ndim == 3 and crop.shape[2] == 4:
            return f"has 4 channels, shape {crop.shape}; drop alpha with crop[..., :3]"
        return f"has shape {crop.shape}; a crop is [H, W, 3] in BGR order"
    if crop.dtype != np.uint8:
        return f"is {crop.dtype}; pass uint8 values 0 to 255, not scaled or normalised"
    if min(crop.shape[:2]) < MIN_SIDE:
        return f"is {crop.shape[1]}×{crop.shape[0]} pixels; the least is {MIN_SIDE}×{MIN_SIDE}"
    return None


def resize(crop: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize one crop uint8 `[h, w, 3]` to `size = (height, width)` px; the aspect ratio is not kept.

    Area interpolation when shrinking (no aliasing of stripes and checks), bilinear when enlarging.
    """
    height, width = size
    if crop.shape[:2] == (height, width):
        return crop
    shrinking = crop.shape[0] >= height and crop.shape[1] >= width
    return cv2.resize(crop, (width, height), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR)


def to_batch(crops: Sequence[np.ndarray] | np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Check and resize `crops` into the engine's input: uint8 `[N, height, width, 3]`, BGR.

    Raises `CropError` as `check_crops` does.
    """
    check_crops(crops)
    batch = np.empty((len(crops), *size, 3), np.uint8)
    for row, crop in zip(batch, crops, strict=True):
        row[:] = resize(crop, size)
    return batch
