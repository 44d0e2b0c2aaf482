"""An identity is a vector of appearance; `Person.sample(seed, identity)` draws it."""

from dataclasses import dataclass, replace

import numpy as np

from sdk.simulation.colours import (
    BAGS,
    GARMENTS,
    HAIR,
    JEANS,
    SHOES,
    SKIN,
    TROUSERS,
    Colour,
    draw_colour,
    mix,
    shade,
    weighted,
)

TWIN_SHARE = 0.12
"""Of the identities: near-twins, who wear what the identity before them wears but for two or three things."""

OVER = ("hoodie", "jacket", "coat")
"""Upper garments that can be worn open, over another."""


@dataclass(frozen=True)
class Person:
    """How somebody looks. Lengths are shares of the body height, measured down from the crown."""

    height: float
    """Of the body, 1 the average."""
    build: float
    """Width of the body, 1 the average."""
    shoulders: float
    hips: float
    skin: Colour
    beard: bool
    hair: Colour
    hair_style: str
    """bald, short, bob, long, tail or bun."""
    hair_length: float
    hat_kind: str
    """none, cap, beanie or brim."""
    hat: Colour
    upper: Colour
    upper_kind: str
    """t-shirt, shirt, sweater, hoodie, jacket, coat or dress."""
    upper_hem: float
    fit: float
    """Looseness of the upper garment, 1 close to the body."""
    flare: float
    """How much the upper garment widens below the hips."""
    open_front: float
    """Half width of an open front as an angle in radians; 0: closed. It shows `inner`."""
    inner: Colour
    inner_pattern: str
    sleeves: Colour
    sleeve: float
    """Length of the sleeves as a share of the arm."""
    collar: Colour
    fastening: Colour | None
    """A line of buttons, or a zip, down the front."""
    hood: Colour | None
    pattern: str
    """Of the upper garment: plain, stripes, checks, floral, block, print (front), back print or heather."""
    pattern_colour: Colour
    pattern_period: float
    pattern_seed: int
    scarf: Colour | None
    lower: Colour
    lower_kind: str
    """trousers, jeans, leggings, shorts or skirt."""
    lower_hem: float
    lower_width: float
    lower_pattern: str
    """plain, checks or side stripe."""
    lower_accent: Colour
    fade: float
    """How much lighter jeans are worn at the thighs."""
    tights: Colour | None
    """Worn below skirts and shorts; None: bare legs."""
    shoes: Colour
    sole: Colour
    shaft: float
    """Height of boots or socks above the ankle."""
    shaft_colour: Colour
    bag_kind: str
    """none, backpack, shoulder, cross or hand."""
    bag: Colour
    bag_accent: Colour
    bag_side: int
    """−1 the right, 1 the left side of the body."""
    bag_size: float
    stride: float
    """How far the legs swing."""
    arm_bend: float
    """How far the elbows bend in walking."""

    @classmethod
    def sample(cls, seed: int, identity: int) -> "Person":
        """The person `identity` of the population `seed`; the same whenever it is asked for.

        One in eight is a near-twin of the identity before: the same upper garment on another body, with two or
        three others of these: trousers, shoes, bag, hair, what is worn beneath, a shade of the same colour.
        """
        rng = np.random.default_rng([seed, identity, 0])
        if identity and rng.random() < TWIN_SHARE:
            return _twin(cls.sample(seed, identity - 1), rng)
        return _sample(rng)


def _choice(rng: np.random.Generator, **weights: float) -> str:
    return list(weights)[weighted(rng, list(weights.values()))].replace("_", "-")


def _sample(rng: np.random.Generator) -> Person:
    woman = bool(rng.random() < 0.48)
    return Person(
        height=float(np.clip(rng.normal(0.97 if woman else 1.03, 0.035), 0.88, 1.12)),
        build=float(np.clip(rng.normal(1.0, 0.09), 0.82, 1.3)),
        shoulders=float(rng.normal(0.91 if woman else 1.03, 0.035)),
        hips=float(rng.normal(1.05 if woman else 0.96, 0.035)),
        stride=float(rng.uniform(0.75, 1.15)),
        arm_bend=float(rng.uniform(0.0, 0.35)),
        **_head(rng, woman),
        **_upper(rng, woman),
        **_lower(rng, woman),
        **_shoes(rng, woman),
        **_bag(rng, woman),
    )


def _head(rng: np.random.Generator, woman: bool) -> dict:
    style = (
        _choice(rng, short=10, bob=20, long=42, tail=20, bun=8)
        if woman
        else _choice(rng, bald=6, short=88, bob=4, tail=2)
    )
    length = {"bob": rng.uniform(0.13, 0.18), "long": rng.uniform(0.20, 0.36), "tail": rng.uniform(0.15, 0.27)}
    return {
        "skin": draw_colour(SKIN, rng),
        "beard": not woman and bool(rng.random() < 0.15),
        "hair": draw_colour(HAIR, rng),
        "hair_style": style,
        "hair_length": float(length.get(style, 0.115)),
        "hat_kind": _choice(rng, none=89, cap=6, beanie=3, brim=2),
        "hat": draw_colour(GARMENTS, rng),
    }


def _upper(rng: np.random.Generator, woman: bool) -> dict:
    kind = _choice(rng, t_shirt=20, shirt=15, sweater=18, hoodie=12, jacket=19, coat=12, dress=6 if woman else 0)
    hem = {
        "coat": rng.uniform(0.58, 0.80),
        "dress": rng.uniform(0.62, 0.84),
        "jacket": rng.uniform(0.48, 0.56),
    }.get(kind, rng.uniform(0.475, 0.56))
    fit = {"t-shirt": (0.97, 1.2), "shirt": (1.0, 1.2), "dress": (0.95, 1.12), "sweater": (1.0, 1.3)}
    upper, second = draw_colour(GARMENTS, rng), draw_colour(GARMENTS, rng)
    over = kind in OVER
    pattern = _choice(
        rng,
        plain=52,
        stripes=11 if not over else 3,
        checks=9 if kind in ("shirt", "coat", "dress") else 3,
        floral=8 if woman else 2,
        block=7,
        print=10 if not over else 3,
        back_print=4,
        heather=7,
    )
    long = {
        "t-shirt": rng.choice([0.0, 0.32, 0.42, 0.5], p=[0.12, 0.2, 0.38, 0.3]),
        "dress": rng.choice([0.0, 0.35, 1]),
    }
    sleeve = long.get(kind, 1.0 if rng.random() < 0.78 or over else rng.uniform(0.5, 0.85))
    fastened = rng.random() < {"shirt": 0.7, "jacket": 0.6, "coat": 0.5, "hoodie": 0.4}.get(kind, 0)
    return {
        "upper": upper,
        "upper_kind": kind,
        "upper_hem": float(hem),
        "fit": float(rng.uniform(*fit.get(kind, (1.1, 1.4)))),
        "flare": float(rng.uniform(0.02, 0.22) if kind in ("coat", "dress") else rng.uniform(-0.05, 0.08)),
        "open_front": float(rng.uniform(0.25, 0.9)) if over and rng.random() < 0.5 else 0.0,
        "inner": draw_colour(GARMENTS, rng),
        "inner_pattern": _choice(rng, plain=75, stripes=15, print=10),
        "sleeves": second if rng.random() < 0.09 else upper,
        "sleeve": float(sleeve),
        "collar": mix(upper, draw_colour(GARMENTS, rng), float(rng.choice([0.0, 0.2, 1.0], p=[0.5, 0.3, 0.2]))),
        "fastening": mix(upper, second, 0.6) if fastened else None,
        "hood": (mix(upper, second, float(rng.random() < 0.25)))
        if kind == "hoodie" or (over and rng.random() < 0.25)
        else None,
        "pattern": pattern,
        "pattern_colour": second,
        "pattern_period": float(rng.uniform(0.022, 0.075)),
        "pattern_seed": int(rng.integers(1 << 30)),
        "scarf": draw_colour(GARMENTS, rng) if rng.random() < 0.07 else None,
    }


def _lower(rng: np.random.Generator, woman: bool) -> dict:
    kind = _choice(rng, trousers=38, jeans=36, leggings=12 if woman else 1, shorts=8, skirt=14 if woman else 0)
    width = {"leggings": (0.72, 0.85), "jeans": (0.80, 1.12), "shorts": (0.95, 1.3)}
    tights = draw_colour({"black": (1, *GARMENTS["black"][1:])}, rng)
    return {
        "lower": draw_colour(JEANS if kind == "jeans" else GARMENTS if kind in ("skirt", "shorts") else TROUSERS, rng),
        "lower_kind": kind,
        "lower_hem": float(
            {"shorts": rng.uniform(0.60, 0.73), "skirt": rng.uniform(0.58, 0.86)}.get(kind, rng.uniform(0.925, 0.965))
        ),
        "lower_width": float(rng.uniform(*width.get(kind, (0.9, 1.35)))),
        "lower_pattern": _choice(rng, plain=88, checks=6, side_stripe=6),
        "lower_accent": draw_colour(GARMENTS, rng),
        "fade": float(rng.uniform(0, 0.35)),
        "tights": tights if woman and rng.random() < 0.5 else None,
    }


def _shoes(rng: np.random.Generator, woman: bool) -> dict:
    shoes = draw_colour(SHOES, rng)
    boots = rng.random() < (0.22 if woman else 0.08)
    socks = not boots and rng.random() < 0.3
    return {
        "shoes": shoes,
        "sole": (225.0, 228.0, 228.0) if rng.random() < 0.35 else shade(shoes, 0.6),
        "shaft": float(rng.uniform(0.04, 0.19) if boots else rng.uniform(0.015, 0.09) if socks else 0.0),
        "shaft_colour": shoes if boots else draw_colour({k: GARMENTS[k] for k in ("black", "white", "grey")}, rng),
    }


def _bag(rng: np.random.Generator, woman: bool) -> dict:
    bag = draw_colour(BAGS, rng)
    accent = draw_colour(GARMENTS, rng) if rng.random() < 0.35 else shade(bag, float(rng.choice([0.7, 1.4])))
    return {
        "bag_kind": _choice(rng, none=48, backpack=22, shoulder=14 if woman else 4, cross=8, hand=12),
        "bag": bag,
        "bag_accent": accent,
        "bag_side": int(rng.choice([-1, 1])),
        "bag_size": float(rng.uniform(0.7, 1.25)),
    }


def _twin(person: Person, rng: np.random.Generator) -> Person:
    other = _sample(rng)

    def taken(*names: str) -> dict:
        return {name: getattr(other, name) for name in names}

    groups = [
        taken("lower", "lower_kind", "lower_hem", "lower_width", "lower_pattern", "lower_accent", "fade", "tights"),
        taken("shoes", "sole", "shaft", "shaft_colour"),
        taken("bag_kind", "bag", "bag_accent", "bag_side", "bag_size"),
        taken("hair", "hair_style", "hair_length", "hat_kind", "hat"),
        taken("inner", "inner_pattern", "scarf", "collar"),
        {"upper": shade(person.upper, float(rng.choice([0.6, 1.5]))), "sleeves": shade(person.sleeves, 0.8)},
    ]
    changes = taken("build", "shoulders", "height", "skin", "beard", "stride")
    for i in rng.choice(len(groups), rng.integers(2, 4), replace=False):
        changes |= groups[i]
    return replace(person, **changes)
