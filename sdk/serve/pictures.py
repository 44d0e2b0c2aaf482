"""A camera's picture as JPEG, as it is or with boxes and names."""

import cv2
import numpy as np

from sdk.drawing import draw_people as draw

__all__ = ["draw", "encode"]

WIDEST = 960
"""Pictures are sent at this width in px at most."""
QUALITY = 75
"""Of the JPEG, 0 to 100."""


def encode(frame: np.ndarray) -> bytes:
    """JPEG of a frame uint8 BGR `[H, W, 3]`, at most `WIDEST` px wide."""
    scale = WIDEST / frame.shape[1]
    if scale < 1:
        frame = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
