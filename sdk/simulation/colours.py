"""What clothes, hair and skin are coloured like: draws from families of colours as streets show them."""

import colorsys

import numpy as np

Colour = tuple[float, float, float]
"""Blue, green, red, each 0 to 255."""

# Family: (weight, hue centre in turns, hue spread, saturation range, value range)
GARMENTS = {
    "black": (22, 0.65, 0.10, (0.00, 0.25), (0.05, 0.16)),
    "dark grey": (10, 0.65, 0.10, (0.00, 0.15), (0.18, 0.34)),
    "grey": (9, 0.60, 0.20, (0.00, 0.12), (0.38, 0.68)),
    "white": (11, 0.12, 0.10, (0.00, 0.08), (0.80, 0.98)),
    "navy": (10, 0.63, 0.03, (0.40, 0.80), (0.14, 0.35)),
    "blue": (8, 0.60, 0.05, (0.45, 0.90), (0.45, 0.85)),
    "light blue": (4, 0.57, 0.03, (0.20, 0.45), (0.70, 0.92)),
    "beige": (7, 0.10, 0.02, (0.18, 0.42), (0.60, 0.88)),
    "brown": (6, 0.06, 0.02, (0.40, 0.75), (0.20, 0.48)),
    "olive": (4, 0.18, 0.04, (0.30, 0.60), (0.22, 0.45)),
    "red": (6, 0.99, 0.02, (0.65, 0.95), (0.40, 0.85)),
    "burgundy": (3, 0.97, 0.02, (0.50, 0.80), (0.22, 0.42)),
    "pink": (4, 0.94, 0.03, (0.25, 0.60), (0.70, 0.95)),
    "yellow": (3, 0.14, 0.02, (0.55, 0.95), (0.70, 0.95)),
    "orange": (3, 0.06, 0.02, (0.70, 0.95), (0.70, 0.92)),
    "green": (4, 0.37, 0.07, (0.40, 0.85), (0.25, 0.65)),
    "purple": (3, 0.78, 0.04, (0.30, 0.65), (0.30, 0.65)),
    "turquoise": (2, 0.49, 0.03, (0.45, 0.80), (0.45, 0.75)),
}
TROUSERS = {
    **{name: GARMENTS[name] for name in ("dark grey", "grey", "navy", "beige", "brown", "olive", "white", "burgundy")},
    "black": (30, *GARMENTS["black"][1:]),
    "denim": (26, 0.60, 0.02, (0.30, 0.60), (0.28, 0.62)),
    "pale denim": (7, 0.58, 0.02, (0.15, 0.32), (0.60, 0.80)),
}
SHOES = {
    "black": (40, *GARMENTS["black"][1:]),
    "white": (25, *GARMENTS["white"][1:]),
    **{name: GARMENTS[name] for name in ("grey", "brown", "beige", "red", "blue", "navy")},
}
HAIR = {
    "black": (55, 0.07, 0.03, (0.05, 0.35), (0.06, 0.16)),
    "brown": (25, 0.06, 0.02, (0.35, 0.60), (0.16, 0.34)),
    "blond": (8, 0.11, 0.02, (0.30, 0.55), (0.50, 0.78)),
    "red": (3, 0.04, 0.01, (0.55, 0.75), (0.35, 0.50)),
    "grey": (9, 0.10, 0.05, (0.00, 0.08), (0.50, 0.82)),
}
SKIN = {
    "light": (45, 0.055, 0.015, (0.22, 0.40), (0.78, 0.95)),
    "tan": (35, 0.065, 0.015, (0.35, 0.52), (0.62, 0.80)),
    "dark": (20, 0.060, 0.015, (0.40, 0.60), (0.28, 0.50)),
}


def draw_colour(families: dict, rng: np.random.Generator) -> Colour:
    """One colour of `families`, a family chosen by its weight."""
    rows = list(families.values())
    weights = np.array([row[0] for row in rows], float)
    _, hue, spread, saturation, value = rows[rng.choice(len(rows), p=weights / weights.sum())]
    red, green, blue = colorsys.hsv_to_rgb(
        (hue + rng.uniform(-spread, spread)) % 1, rng.uniform(*saturation), rng.uniform(*value)
    )
    return (blue * 255, green * 255, red * 255)


def shade(colour: Colour, factor: float) -> Colour:
    """The colour in more (`factor` > 1) or less light."""
    return tuple(min(255.0, max(0.0, c * factor)) for c in colour)
