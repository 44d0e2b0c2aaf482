"""An identity is a vector of appearance; `Person.sample(seed, identity)` draws it."""

from dataclasses import dataclass, replace

import numpy as np

from sdk.simulation.colours import GARMENTS, HAIR, SHOES, SKIN, TROUSERS, Colour, draw_colour, shade

TWIN_SHARE = 0.12
"""Of the identities: near-twins, who wear what the identity before them wears but for two or three things."""


@dataclass(frozen=True)
class Person:
    """How somebody looks. Lengths are shares of the body height, measured down from the crown."""

    build: float
    """Width of the body, 1 the average."""
    skin: Colour
    hair: Colour
    hair_style: str
    """bald, short, neck, long or tail."""
    hat: Colour | None
    upper: Colour
    upper_kind: str
    """t-shirt, shirt, sweater, hoodie, jacket or coat."""
    upper_hem: float
    open_front: bool
    """An open jacket or coat shows `inner` in front."""
    inner: Colour
    sleeves: Colour
    short_sleeves: bool
    pattern: str
    """plain, stripes, checks, block or logo."""
    pattern_colour: Colour
    pattern_period: float
    scarf: Colour | None
    lower: Colour
    lower_kind: str
    """trousers, leggings, shorts, skirt or dress (a skirt of the upper garment's colour)."""
    lower_hem: float
    leg_width: float
    side_stripe: bool
    shoes: Colour
    boots: bool
    bag_kind: str
    """none, backpack, shoulder or hand."""
    bag: Colour
    bag_side: int
    """−1 the right, 1 the left side of the body."""
    bag_size: float
    stride: float
    """How far the legs swing."""

    @classmethod
    def sample(cls, seed: int, identity: int) -> "Person":
        """The person `identity` of the population `seed`; the same whenever it is asked for."""
        rng = np.random.default_rng([seed, identity, 0])
        if identity and rng.random() < TWIN_SHARE:
            return _twin(cls.sample(seed, identity - 1), rng)
        return _sample(rng)


def _choice(rng: np.random.Generator, **weights: float) -> str:
    share = np.array(list(weights.values()), float)
    return list(weights)[rng.choice(len(share), p=share / share.sum())].replace("_", "-")


def _sample(rng: np.random.Generator) -> Person:
    upper_kind = _choice(rng, t_shirt=20, shirt=16, sweater=20, hoodie=12, jacket=20, coat=12)
    upper = draw_colour(GARMENTS, rng)
    hem = {"coat": rng.uniform(0.60, 0.80), "jacket": rng.uniform(0.50, 0.57)}.get(upper_kind, rng.uniform(0.49, 0.56))
    lower_kind = _choice(rng, trousers=66, leggings=12, shorts=8, skirt=8, dress=6)
    lower_hem = {
        "shorts": rng.uniform(0.62, 0.72),
        "skirt": rng.uniform(0.62, 0.82),
        "dress": rng.uniform(0.64, 0.84),
    }.get(lower_kind, 0.95)
    pattern = _choice(rng, plain=64, stripes=11, checks=7, block=9, logo=9)
    return Person(
        build=float(np.clip(rng.normal(1.0, 0.10), 0.8, 1.3)),
        skin=draw_colour(SKIN, rng),
        hair=draw_colour(HAIR, rng),
        hair_style=_choice(rng, bald=5, short=50, neck=15, long=20, tail=10),
        hat=draw_colour(GARMENTS, rng) if rng.random() < 0.10 else None,
        upper=upper,
        upper_kind=upper_kind,
        upper_hem=hem,
        open_front=upper_kind in ("jacket", "coat", "hoodie") and rng.random() < 0.5,
        inner=draw_colour(GARMENTS, rng),
        sleeves=draw_colour(GARMENTS, rng) if rng.random() < 0.08 else upper,
        short_sleeves=upper_kind == "t-shirt" or (upper_kind == "shirt" and rng.random() < 0.3),
        pattern=pattern,
        pattern_colour=draw_colour(GARMENTS, rng),
        pattern_period=rng.uniform(0.025, 0.07),
        scarf=draw_colour(GARMENTS, rng) if rng.random() < 0.08 else None,
        lower=upper if lower_kind == "dress" else draw_colour(TROUSERS, rng),
        lower_kind=lower_kind,
        lower_hem=lower_hem,
        leg_width=rng.uniform(0.85, 1.3) if lower_kind == "trousers" else rng.uniform(0.75, 0.95),
        side_stripe=rng.random() < 0.05,
        shoes=draw_colour(SHOES, rng),
        boots=rng.random() < 0.15,
        bag_kind=_choice(rng, none=52, backpack=22, shoulder=16, hand=10),
        bag=draw_colour(GARMENTS, rng),
        bag_side=int(rng.choice([-1, 1])),
        bag_size=rng.uniform(0.8, 1.25),
        stride=rng.uniform(0.8, 1.2),
    )


def _twin(person: Person, rng: np.random.Generator) -> Person:
    """The same coat on another body: two or three of the smaller things differ, as colleagues and uniforms do."""
    other = _sample(rng)
    groups = [
        {"lower": other.lower, "lower_kind": "trousers", "lower_hem": 0.95, "leg_width": other.leg_width},
        {"shoes": other.shoes, "boots": other.boots},
        {"bag_kind": other.bag_kind, "bag": other.bag, "bag_side": other.bag_side},
        {"hair": other.hair, "hair_style": other.hair_style, "hat": other.hat},
        {"inner": other.inner, "scarf": other.scarf},
        {"upper": shade(person.upper, rng.choice([0.6, 1.5])), "sleeves": shade(person.sleeves, 0.8)},
    ]
    changes = {"build": other.build, "skin": other.skin}
    for i in rng.choice(len(groups), rng.integers(2, 4), replace=False):
        changes |= groups[i]
    return replace(person, **changes)
