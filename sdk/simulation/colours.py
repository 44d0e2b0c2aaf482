"""What clothes, hair and skin are coloured like: draws from families of colours as streets show them."""

import colorsys
from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate

import numpy as np

Colour = tuple[float, float, float]
"""Blue, green, red, each 0 to 255."""

# Family: (weight, hue centre in turns, hue spread, saturation range, value range)
GARMENTS = {
    "black": (24, 0.65, 0.12, (0.00, 0.25), (0.05, 0.17)),
    "dark grey": (9, 0.65, 0.12, (0.00, 0.15), (0.18, 0.34)),
    "grey": (9, 0.60, 0.20, (0.00, 0.12), (0.38, 0.70)),
    "white": (12, 0.12, 0.10, (0.00, 0.08), (0.80, 0.98)),
    "navy": (10, 0.63, 0.04, (0.35, 0.80), (0.14, 0.36)),
    "blue": (7, 0.60, 0.05, (0.45, 0.90), (0.40, 0.85)),
    "light blue": (4, 0.57, 0.04, (0.15, 0.45), (0.65, 0.92)),
    "denim": (3, 0.60, 0.02, (0.30, 0.55), (0.30, 0.62)),
    "beige": (7, 0.10, 0.02, (0.15, 0.42), (0.60, 0.90)),
    "brown": (6, 0.06, 0.02, (0.35, 0.75), (0.20, 0.50)),
    "olive": (5, 0.18, 0.05, (0.25, 0.55), (0.22, 0.45)),
    "red": (6, 0.99, 0.02, (0.65, 0.95), (0.40, 0.85)),
    "burgundy": (3, 0.97, 0.03, (0.45, 0.80), (0.20, 0.42)),
    "pink": (4, 0.95, 0.04, (0.18, 0.60), (0.70, 0.95)),
    "yellow": (2, 0.14, 0.02, (0.45, 0.90), (0.65, 0.92)),
    "orange": (2, 0.06, 0.02, (0.60, 0.95), (0.60, 0.90)),
    "green": (4, 0.37, 0.08, (0.30, 0.80), (0.22, 0.60)),
    "purple": (3, 0.77, 0.05, (0.20, 0.60), (0.25, 0.65)),
    "turquoise": (2, 0.49, 0.04, (0.30, 0.75), (0.40, 0.75)),
    "dusty": (6, 0.50, 0.50, (0.10, 0.30), (0.35, 0.75)),
}
TROUSERS = {
    **{name: GARMENTS[name] for name in ("dark grey", "grey", "navy", "beige", "brown", "olive", "burgundy")},
    "white": (5, *GARMENTS["white"][1:]),
    "black": (34, *GARMENTS["black"][1:]),
    "dusty": (3, *GARMENTS["dusty"][1:]),
}
JEANS = {
    "denim": (55, 0.60, 0.02, (0.28, 0.60), (0.26, 0.60)),
    "pale denim": (20, 0.58, 0.03, (0.10, 0.35), (0.55, 0.82)),
    "dark denim": (20, 0.62, 0.03, (0.25, 0.60), (0.13, 0.28)),
    "black denim": (12, 0.62, 0.10, (0.00, 0.15), (0.10, 0.28)),
}
SHOES = {
    "black": (42, *GARMENTS["black"][1:]),
    "white": (24, *GARMENTS["white"][1:]),
    "brown": (12, *GARMENTS["brown"][1:]),
    "red": (4, *GARMENTS["red"][1:]),
    **{name: GARMENTS[name] for name in ("grey", "beige", "blue", "navy", "dusty")},
}
BAGS = {**GARMENTS, "black": (45, *GARMENTS["black"][1:]), "brown": (14, *GARMENTS["brown"][1:])}
HAIR = {
    "black": (58, 0.07, 0.03, (0.05, 0.40), (0.04, 0.15)),
    "brown": (25, 0.06, 0.02, (0.35, 0.60), (0.14, 0.34)),
    "blond": (6, 0.11, 0.02, (0.30, 0.55), (0.45, 0.75)),
    "red": (3, 0.04, 0.01, (0.55, 0.75), (0.30, 0.50)),
    "grey": (8, 0.10, 0.05, (0.00, 0.08), (0.45, 0.82)),
}
SKIN = {
    "light": (45, 0.055, 0.015, (0.22, 0.42), (0.74, 0.95)),
    "tan": (35, 0.065, 0.015, (0.35, 0.52), (0.58, 0.80)),
    "dark": (20, 0.060, 0.015, (0.40, 0.60), (0.25, 0.50)),
}


def draw_colour(families: dict, rng: np.random.Generator) -> Colour:
    """One colour of `families`, a family chosen by its weight."""
    rows = list(families.values())
    _, hue, spread, saturation, value = rows[weighted(rng, [row[0] for row in rows])]
    red, green, blue = colorsys.hsv_to_rgb(
        (hue + rng.uniform(-spread, spread)) % 1, rng.uniform(*saturation), rng.uniform(*value)
    )
    return (blue * 255, green * 255, red * 255)


def weighted(rng: np.random.Generator, weights: Sequence[float]) -> int:
    """An index drawn with these weights; ten times as quick as `Generator.choice`."""
    sums = list(accumulate(weights))
    return min(bisect(sums, rng.random() * sums[-1]), len(sums) - 1)


def shade(colour: Colour, factor: float) -> Colour:
    """The colour in more (`factor` > 1) or less light."""
    return tuple(min(255.0, max(0.0, c * factor)) for c in colour)


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """`share` of the second colour in the first."""
    return tuple(a + (b - a) * share for a, b in zip(first, second, strict=True))
