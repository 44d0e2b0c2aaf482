"""The picture of a calibration: how far apart crops of one person and of two lie, and what a threshold makes of it."""

from collections.abc import Sequence

import numpy as np

from sdk.calibration.pairs import Pairs
from sdk.canvas import FAINT, INK, Canvas

# px.
SIDE, MARGIN, TOP = 300, 62, 46
"""Of a panel's plot, around it, and above."""

# BGR.
GENUINE, IMPOSTOR, CHOSEN = (150, 100, 20), (50, 90, 215), (60, 60, 60)
GRID = (228, 224, 220)

BINS = 60
LEAST_RATE = 1e-4
"""Where the logarithmic axes begin."""


def draw_calibration(pairs: Pairs, threshold: float) -> np.ndarray:
    """Three panels, uint8 BGR `[H, W, 3]`: the two distributions of distances, ROC and DET.

    threshold: the cosine distance that is marked in all three.
    """
    canvas = Canvas(TOP + SIDE + MARGIN, 3 * (SIDE + MARGIN) + MARGIN // 2)
    left = [MARGIN + number * (SIDE + MARGIN) for number in range(3)]
    _draw_distributions(canvas, left[0], pairs, threshold)
    false_match, true_match = _rates(pairs)
    chosen = tuple(float((distance <= threshold).mean()) for distance in (pairs.impostor, pairs.genuine))
    roc = _Axes(canvas, left[1], "ROC", "false-match rate", "true-match rate", (LEAST_RATE, 1), None)
    roc.curve(false_match, true_match, GENUINE)
    roc.mark(*chosen)
    det = _Axes(canvas, left[2], "DET", "false-match rate", "false-non-match rate", (LEAST_RATE, 1), (1e-3, 1))
    det.curve(false_match, 1 - true_match, GENUINE)
    det.mark(chosen[0], 1 - chosen[1])
    return canvas.finished()


def _rates(pairs: Pairs, points: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """False- and true-match rates at thresholds over the whole range, ascending."""
    genuine, impostor = np.sort(pairs.genuine), np.sort(pairs.impostor)
    rates = np.geomspace(LEAST_RATE, 1, points)
    limits = np.quantile(impostor, rates)
    return (
        np.searchsorted(impostor, limits, "right") / len(impostor),
        np.searchsorted(genuine, limits, "right") / len(genuine),
    )


def _draw_distributions(canvas: Canvas, left: float, pairs: Pairs, threshold: float) -> None:
    high = float(np.ceil(10 * max(pairs.genuine.max(), pairs.impostor.max())) / 10)
    axes = _Axes(canvas, left, "pairs across cameras", "cosine distance", "relative frequency", (0, high), None)
    shares = [np.histogram(d, BINS, (0, high))[0] / len(d) for d in (pairs.genuine, pairs.impostor)]
    top = max(share.max() for share in shares)
    middles = (np.arange(BINS) + 0.5) * high / BINS
    for share, colour in zip(shares, (GENUINE, IMPOSTOR), strict=True):
        axes.curve(middles, share / top, colour)
    axes.vertical(threshold)
    for number, (text, colour) in enumerate([("one person", GENUINE), ("two people", IMPOSTOR), ("threshold", CHOSEN)]):
        canvas.text(left + SIDE - 8, TOP + 14 + 18 * number, text, 7, colour, anchor=1)


class _Axes:
    """One panel. A range that begins above 0 is logarithmic; no range: linear from 0 to 1."""

    def __init__(self, canvas: Canvas, left: float, title: str, across: str, up: str, x_range, y_range):
        self._canvas, self._left = canvas, left
        self._x, self._y = x_range or (0, 1), y_range or (0, 1)
        canvas.text(left, TOP - 24, title, 9)
        canvas.text(left + SIDE / 2, TOP + SIDE + 44, across, 7, FAINT, anchor=0.5)
        canvas.text(left, TOP - 8, up, 7, FAINT)
        for value in _ticks(self._x):
            x = self._place(value, self._x)
            canvas.line([(left + x, TOP), (left + x, TOP + SIDE)], GRID, 1)
            canvas.text(left + x, TOP + SIDE + 16, f"{value:g}", 7, FAINT, anchor=0.5)
        for value in _ticks(self._y):
            y = TOP + SIDE - self._place(value, self._y)
            canvas.line([(left, y), (left + SIDE, y)], GRID, 1)
            canvas.text(left - 6, y, f"{value:g}", 7, FAINT, anchor=1)
        canvas.rectangle(left, TOP, SIDE, SIDE, INK, 1)

    def curve(self, x: Sequence[float], y: Sequence[float], colour) -> None:
        self._canvas.line([self._point(a, b) for a, b in zip(x, y, strict=True)], colour, 2)

    def mark(self, x: float, y: float) -> None:
        self._canvas.dot(*self._point(x, y), 5, CHOSEN)

    def vertical(self, x: float) -> None:
        place = self._left + self._place(x, self._x)
        self._canvas.line([(place, TOP), (place, TOP + SIDE)], CHOSEN, 1.5)

    def _point(self, x: float, y: float) -> tuple[float, float]:
        return self._left + self._place(x, self._x), TOP + SIDE - self._place(y, self._y)

    @staticmethod
    def _place(value: float, bounds: tuple[float, float]) -> float:
        low, high = bounds
        if low > 0:
            low, high, value = np.log10([low, high, max(value, low)])
        return float(np.clip((value - low) / (high - low), 0, 1) * SIDE)


def _ticks(bounds: tuple[float, float]) -> np.ndarray:
    low, high = bounds
    if low > 0:
        return 10.0 ** np.arange(round(np.log10(low)), round(np.log10(high)) + 1)
    return np.linspace(low, high, 6).round(3)
