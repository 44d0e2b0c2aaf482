"""The picture of a search: a row for each query, its nearest crops beside it, green where right and red where wrong."""

from collections.abc import Sequence

import numpy as np

from sdk.canvas import FAINT, INK, Canvas
from sdk.folder import read_image
from sdk.preprocess import resize
from sdk.search.find import Hit, Query, SearchResult

# px.
CROP = (160, 80)
"""Height and width at which crops are shown."""
GAP, FRAME, CAPTION = 12, 4, 34
HEADER = 30

# BGR. Not by colour alone: the caption says "ok" or "x" too.
RIGHT, WRONG, UNKNOWN = (80, 160, 30), (50, 50, 215), (170, 160, 150)
NO_PICTURE = (225, 220, 215)


def draw_results(results: Sequence[SearchResult], ranked_by: str = "") -> np.ndarray:
    """uint8 BGR `[H, W, 3]`. Reads the images again; raises `DataError` naming one that cannot be read."""
    height, width = CROP
    most = max(len(result.hits) for result in results)
    row_height, column = height + CAPTION + GAP + 18, width + GAP
    canvas = Canvas(HEADER + GAP + row_height * len(results), 2 * GAP + column * (most + 1) + GAP)
    canvas.text(GAP, HEADER / 2 + 4, "query", 9)
    canvas.text(2 * GAP + column, HEADER / 2 + 4, f"nearest first, {ranked_by}" if ranked_by else "nearest first", 9)
    for number, result in enumerate(results):
        top = HEADER + 18 + number * row_height
        canvas.text(GAP, top - 11, result.query.name, 7, room=(most + 1) * column)
        canvas.paste(GAP, top, width, height, _shown(result.query))
        canvas.text(GAP, top + height + 12, f"{len(result.query.paths) or 1} image(s)", 7, FAINT)
        for place, hit in enumerate(result.hits, start=1):
            _draw_hit(canvas, 2 * GAP + place * column, top, hit)
    return canvas.finished()


def _draw_hit(canvas: Canvas, left: float, top: float, hit: Hit) -> None:
    height, width = CROP
    colour = UNKNOWN if hit.correct is None else RIGHT if hit.correct else WRONG
    canvas.rectangle(left - FRAME, top - FRAME, width + 2 * FRAME, height + 2 * FRAME, colour)
    canvas.paste(left, top, width, height, _shown(hit))
    mark = "" if hit.correct is None else " ok" if hit.correct else " x"
    canvas.text(left, top + height + 12, f"{hit.distance:.3f}{mark}", 7, INK, room=width)
    canvas.text(left, top + height + 26, f"{hit.identity} {hit.camera}", 7, FAINT, room=width)


def _shown(entry: Query | Hit) -> np.ndarray:
    """Its picture; grey where there is none."""
    path = entry.paths[0] if isinstance(entry, Query) and entry.paths else getattr(entry, "path", None)
    if entry.crop is None and path is None:
        return np.full((*CROP, 3), NO_PICTURE, np.uint8)
    return resize(read_image(path) if entry.crop is None else entry.crop, CROP)
