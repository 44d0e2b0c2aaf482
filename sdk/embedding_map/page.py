"""The map as a page: one file that needs no other, and that asks no network for anything."""

import base64
import html
import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from sdk.colours import colour_of
from sdk.embedding_map.points import Point
from sdk.names import visible
from sdk.output import write_whole

PAGE = Path(__file__).parent / "page"
HEIGHT, QUALITY = 96, 80
"""Of the crops in it: px, and 0 to 100 of the JPEG; about 2 KB each."""


def write_page(
    path: Path, places: np.ndarray, points: Sequence[Point], title: str, colour_by: str = "identity"
) -> None:
    """Write the page. A hovered, touched or stepped-to point shows crop, identity and camera.

    places: float `[N, 2]` from 0 to 1. Raises `DataError` naming an image that cannot be read, or if the page cannot be
    written.
    """
    rows = [
        {
            "x": round(float(x), 4),
            "y": round(1 - float(y), 4),
            "name": visible(point.name),
            "identity": None if point.identity is None else visible(point.identity),
            "camera": None if point.camera is None else visible(point.camera),
            "colours": [colour_of(point.identity), colour_of(point.camera)],
            "crop": "" if point.crop is None else _jpeg(point.crop()),
        }
        for (x, y), point in zip(places, points, strict=True)
    ]
    content = json.dumps({"colour_by": colour_by, "points": rows}, ensure_ascii=False).replace("<", "\\u003c")
    page = (PAGE / "map.html").read_text(encoding="utf-8")
    page = page.replace("{{script}}", (PAGE / "map.js").read_text(encoding="utf-8"))
    page = page.replace("{{title}}", html.escape(visible(title).replace("{{", "{ {")))
    write_whole(path, page.replace("{{content}}", content))  # last: what it holds is not looked through


def _jpeg(crop: np.ndarray) -> str:
    height, width = crop.shape[:2]
    size = (max(1, round(width * HEIGHT / height)), HEIGHT)
    small = cv2.resize(crop, size, interpolation=cv2.INTER_AREA)
    _, content = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return base64.b64encode(content.tobytes()).decode()
