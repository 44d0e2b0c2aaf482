"""A camera's picture as JPEG, as it is or with boxes and names."""

import cv2
import numpy as np

WIDEST = 960
"""Pictures are sent at this width in px at most."""
QUALITY = 75
"""Of the JPEG, 0 to 100."""
COLOURS = ((222, 129, 47), (48, 110, 240), (110, 170, 40), (190, 90, 170), (30, 170, 220), (170, 160, 20))
"""BGR, by identity."""
UNKNOWN = (170, 170, 170)


def encode(frame: np.ndarray) -> bytes:
    """JPEG of a frame uint8 BGR `[H, W, 3]`, at most `WIDEST` px wide."""
    scale = WIDEST / frame.shape[1]
    if scale < 1:
        frame = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()


def draw(frame: np.ndarray, people: list[tuple[list[float], str | None]]) -> np.ndarray:
    """A copy of the frame with a box (xyxy px) and a name for each; what is no ASCII in it becomes a question mark."""
    scene = frame.copy()
    thick = max(1, round(frame.shape[1] / 400))
    for box, name in people:
        x0, y0, x1, y1 = (round(v) for v in box)
        colour = UNKNOWN if name is None else COLOURS[sum(name.encode()) % len(COLOURS)]
        cv2.rectangle(scene, (x0, y0), (x1, y1), colour, thick)
        text = (name or "?").encode("ascii", "replace").decode()
        size = frame.shape[1] / 1280 + 0.1
        (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, 1)
        top = max(height + 4, y0)
        cv2.rectangle(scene, (x0, top - height - 4), (x0 + width + 4, top), colour, -1)
        cv2.putText(scene, text, (x0 + 2, top - 3), cv2.FONT_HERSHEY_SIMPLEX, size, (255, 255, 255), 1, cv2.LINE_AA)
    return scene
