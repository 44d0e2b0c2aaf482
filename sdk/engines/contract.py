"""What every engine takes and gives, whichever runtime runs it: the tensors' names, and the form of a batch."""

import numpy as np

from sdk.engines.metadata import Metadata
from sdk.errors import CropError

INPUT, EMBEDDING, STRIPES = "crops", "embedding", "stripes"


def check_batch(crops: np.ndarray, metadata: Metadata) -> None:
    """Raise `CropError` unless `crops` has the form that an engine takes: uint8 BGR `[B, H, W, 3]`, of any length."""
    height, width = metadata.input_size
    wanted = f"an engine of this model takes uint8 [B, {height}, {width}, 3], BGR; `ReIdentifier.embed` prepares crops"
    if not isinstance(crops, np.ndarray):
        raise CropError(f"the batch is a {type(crops).__name__}, not a numpy array; {wanted}")
    if crops.dtype != np.uint8:
        raise CropError(f"the batch is {crops.dtype}; the graph scales and normalises by itself: {wanted}")
    if crops.ndim == 4 and crops.shape[1:] == (3, height, width):
        raise CropError(
            f"the batch has its channels first, shape {crops.shape}; the graph transposes by itself: {wanted}"
        )
    if crops.ndim != 4 or crops.shape[1:] != (height, width, 3):
        raise CropError(f"the batch has shape {crops.shape}; {wanted}")
