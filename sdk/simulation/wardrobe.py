"""What a person wears, cut into the textures and limbs that a figure is put together from."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from sdk.simulation import noise
from sdk.simulation.colours import Colour, mix, shade
from sdk.simulation.person import OVER, Person
from sdk.simulation.shapes import Limb, Texture

ROUND, TALL = 112, 240
"""px of a texture once round the body, and px per body height."""
LIMB_SCALE = 200
"""px per body height of a limb's picture, across and along."""

NECK, SHOULDER, CHEST, WAIST, HIP = 0.140, 0.185, 0.27, 0.385, 0.47
PELVIS = 0.44
"""Where what is worn below begins, beneath the upper garment."""
CROTCH = 0.545
THIGH, SHIN, UPPER_ARM, FOREARM = 0.235, 0.245, 0.165, 0.145


@dataclass(frozen=True)
class Wardrobe:
    """Pictures of one person's parts. A profile has rows (y, half width, half depth), in body heights."""

    torso: Texture
    torso_profile: np.ndarray
    pelvis: Texture
    pelvis_profile: np.ndarray
    head: Texture
    head_profile: np.ndarray
    hair: Texture | None
    """Long hair: a curtain round the head, open in front."""
    hair_profile: np.ndarray
    backpack: Texture | None
    backpack_profile: np.ndarray
    hat: Texture | None
    hat_profile: np.ndarray
    thigh: Limb
    shin: Limb
    upper_arm: Limb
    forearm: Limb
    foot: Limb
    neck: Limb
    tail: Limb | None


@lru_cache(maxsize=64)
def wardrobe(person: Person) -> Wardrobe:
    """All that has to be drawn once for a person, whatever side they are seen from."""
    rng = np.random.default_rng([person.pattern_seed, 21])
    thigh, shin = _leg(person, rng)
    upper_arm, forearm = _arm(person, rng)
    hair_bottom = max(person.hair_length, 0.12)
    hair = person.hair_style in ("long", "bob")
    return Wardrobe(
        torso=_torso(person, rng),
        torso_profile=_torso_profile(person),
        pelvis=_pelvis(person, rng),
        pelvis_profile=_pelvis_profile(person),
        head=_head(person),
        head_profile=_head_profile(person),
        hair=_hair(person, hair_bottom) if hair else None,
        hair_profile=np.array([(0.004, 0.02, 0.02), (0.03, 0.047, 0.052), (0.09, 0.054, 0.056),
                               (0.5 * (0.09 + hair_bottom), 0.058, 0.052), (hair_bottom, 0.047, 0.035)]),
        backpack=_backpack(person) if person.bag_kind == "backpack" else None,
        backpack_profile=_backpack_profile(person),
        hat=_hat(person) if person.hat_kind != "none" else None,
        hat_profile=_hat_profile(person),
        thigh=thigh,
        shin=shin,
        upper_arm=upper_arm,
        forearm=forearm,
        foot=_foot(person),
        neck=_limb(0.06, np.array([0.034, 0.031, 0.033]), np.float32([shade(person.skin, 0.8)] * 3), rng, 0.02),
        tail=_tail(person, rng) if person.hair_style == "tail" else None,
    )  # fmt: skip


# --- columns: a picture once round the body, column 0 the back, ROUND / 2 the front ---


def _sheet(colour: Colour, top: float, bottom: float) -> np.ndarray:
    rows = max(4, round((bottom - top) * TALL))
    return np.tile(np.float32([*colour, 255]), (rows, ROUND, 1))


def _angles() -> np.ndarray:
    return ((np.arange(ROUND) + 0.5) / ROUND * 2 - 1) * np.pi


def _heights(rows: int, top: float, bottom: float) -> np.ndarray:
    return top + (np.arange(rows) + 0.5) / rows * (bottom - top)


def _point(angle: float, y: float, top: float) -> tuple[int, int]:
    """An angle round the body and a height as the pixel of a sheet."""
    return round((angle / np.pi + 1) / 2 * ROUND), round((y - top) * TALL)


def _polygon(sheet: np.ndarray, top: float, points, colour: Colour, alpha: float = 255.0) -> None:
    corners = np.array([_point(angle, y, top) for angle, y in points], np.int32)
    cv2.fillPoly(sheet, [corners], (*colour, alpha))


def _line(sheet: np.ndarray, top: float, points, colour: Colour, thickness: int) -> None:
    corners = np.array([_point(angle, y, top) for angle, y in points], np.int32)
    cv2.polylines(sheet, [corners], False, (*colour, 255.0), thickness)


def _fold(sheet: np.ndarray, rng: np.random.Generator, depth: float) -> np.ndarray:
    """Cloth is nowhere evenly lit: slanting folds, `depth` their deviation."""
    rows, columns = sheet.shape[:2]
    folds = noise.piece(noise.cloudy(), (rows, columns), rng, zoom=float(rng.uniform(1.5, 3.0)))
    slant = np.float32([[1, float(rng.uniform(-0.8, 0.8)), 0], [0, 1, 0]])
    folds = cv2.warpAffine(np.ascontiguousarray(folds), slant, (columns, rows), borderMode=cv2.BORDER_REFLECT)
    _shade(sheet, np.clip(1 + depth * folds, 0.55, 1.5))
    np.clip(sheet, 0, 255, out=sheet)
    return sheet


def _shade(sheet: np.ndarray, factor: np.ndarray) -> None:
    """Multiply the colours of every pixel by its `factor`, float32 `[rows, columns]`, in place."""
    # Several times quicker than broadcasting over the channels.
    sheet *= cv2.merge([factor, factor, factor, np.ones_like(factor)])


def _print_on(sheet, top: float, kind: str, second: Colour, period: float, seed: int) -> None:
    """Lay a pattern over a sheet, in place. It starts from its own `seed`, so that sleeves get the same."""
    rng = np.random.default_rng([seed, 22])
    rows, columns = sheet.shape[:2]
    y = _heights(rows, top, top + rows / TALL)[:, None]
    x = np.linspace(0, 0.56, columns)[None]
    colour = np.float32([*second, 255])
    duty = rng.uniform(0.25, 0.6)
    if kind == "stripes":
        if rng.random() < 0.12:
            sheet[np.broadcast_to((x % 0.04) < 0.04 * duty, (rows, columns))] = colour
        else:
            sheet[np.broadcast_to((y % period) < period * duty, (rows, columns))] = colour
    elif kind == "checks":
        colour = np.float32([*mix(sheet[0, 0, :3].tolist(), second, rng.uniform(0.3, 0.9)), 255])
        bars = ((y % period) < period * duty).astype(np.float32) + ((x % period) < period * duty).astype(np.float32)
        sheet += (colour - sheet) * (bars * 0.5)[..., None]
    elif kind == "floral":
        blobs = noise.piece(noise.cloudy(), (rows, columns), rng, zoom=period * 22)
        sheet[blobs > rng.uniform(0.2, 0.9)] = colour
        sheet[blobs < -1.2] = sheet[blobs < -1.2] * 0.5 + 0.5 * np.float32([*rng.uniform(30, 250, 3), 255])
    elif kind == "block":
        level = rng.uniform(0.25, 0.40)
        lower = rng.random() < 0.5
        sheet[np.broadcast_to((y > level) if lower else (y < level), (rows, columns))] = colour
        if rng.random() < 0.3:
            sheet[np.broadcast_to(np.abs(y - level) < 0.02, (rows, columns))] = np.float32(
                [*rng.uniform(20, 250, 3), 255]
            )
    elif kind == "heather":
        sheet += (colour - sheet) * np.clip(
            0.25 + 0.16 * noise.piece(noise.fine(), (rows, columns), rng)[..., :1], 0, 1
        )
    elif kind in ("print", "back-print"):
        middle = 0.0 if kind == "print" else np.pi
        half, high = rng.uniform(0.2, 0.6), rng.uniform(0.02, 0.07)
        centre = rng.uniform(0.25, 0.32)
        for part in range(rng.integers(1, 5)):
            tone = second if part == 0 else tuple(rng.uniform(10, 250, 3))
            a, b = rng.uniform(-half, half, 2), rng.uniform(-high, high, 2)
            box = [(a.min() - 0.1, b.min() - 0.01), (a.max() + 0.1, b.max() + 0.01)]
            for turn in (0, -2 * np.pi):  # the back lies at both edges of the sheet
                (left, upper), (right, lower) = box
                corners = [(left, upper), (right, upper), (right, lower), (left, lower)]
                _polygon(sheet, top, [(middle + turn + t, centre + v) for t, v in corners], tone)


def _torso(person: Person, rng: np.random.Generator) -> Texture:
    top, hem = NECK, person.upper_hem
    sheet = _sheet(person.upper, top, hem)
    _print_on(sheet, top, person.pattern, person.pattern_colour, person.pattern_period, person.pattern_seed)
    _fold(sheet, rng, 0.07 if person.upper_kind in ("t-shirt", "jacket") else 0.10)
    if person.upper_kind in ("hoodie", "jacket", "sweater"):
        sheet[-max(2, round(0.018 * TALL)) :, :, :3] *= 0.8  # the ribbing
    if person.upper_kind in OVER and rng.random() < 0.7:
        for side in (-1, 1):  # pockets
            _line(sheet, top, [(side * 0.9, hem - 0.11), (side * 1.15, hem - 0.05)], shade(person.upper, 0.6), 1)
    if person.open_front:
        _open_front(sheet, person, rng)
    elif person.fastening is not None:
        _line(sheet, top, [(0, SHOULDER), (0, hem)], person.fastening, 2)
    if person.upper_kind in ("shirt", "jacket", "coat"):
        collar = [
            (-np.pi, NECK),
            (np.pi, NECK),
            (np.pi, 0.172),
            (0.6, 0.185),
            (0, 0.185),
            (-0.6, 0.185),
            (-np.pi, 0.172),
        ]
        _polygon(sheet, top, collar, person.collar)
    deep = {"shirt": 0.05, "t-shirt": 0.025, "dress": 0.05, "sweater": 0.02}.get(person.upper_kind, 0.035)
    beneath = person.skin if person.upper_kind in ("shirt", "t-shirt", "dress") else person.inner
    _polygon(sheet, top, [(-0.7, NECK), (0.7, NECK), (0.35, 0.175), (0, 0.17 + deep), (-0.35, 0.175)], beneath)
    if person.upper_kind in ("t-shirt", "dress", "sweater"):
        sheet[: round(0.022 * TALL)] = np.float32([*shade(person.skin, 0.9), 255])
    if person.upper_kind == "dress" and rng.random() < 0.6:
        _line(sheet, top, [(-np.pi, WAIST), (np.pi, WAIST)], person.collar, 3)
    _straps(sheet, top, person)
    return Texture.wrap(sheet, top, hem)


def _open_front(sheet: np.ndarray, person: Person, rng: np.random.Generator) -> None:
    top, hem, half = NECK, person.upper_hem, person.open_front
    end = min(hem, float(rng.uniform(0.48, 0.54)))
    inside = _sheet(person.inner, top, end)
    _print_on(inside, top, person.inner_pattern, shade(person.inner, 0.4), 0.04, person.pattern_seed)
    angles, y = _angles()[None], _heights(len(sheet), top, hem)[:, None]
    gap = half * (0.55 + 0.9 * np.clip((y - SHOULDER) / (hem - SHOULDER), 0, 1))
    opening = np.abs(angles) < gap
    sheet[(np.abs(angles) < gap + 0.14) & ~opening, :3] *= 0.75  # the edge of the cloth
    rows = len(inside)
    sheet[:rows][opening[:rows]] = inside[opening[:rows]]
    sheet[rows:][opening[rows:]] = 0  # below a short garment the legs show
    if rng.random() < 0.3 and person.upper_kind != "hoodie":
        _line(sheet, top, [(0, SHOULDER), (0, end)], shade(person.inner, 0.7), 1)


def _straps(sheet: np.ndarray, top: float, person: Person) -> None:
    if person.bag_kind == "backpack":
        for side in (-1, 1):
            strap = [(side * 1.0, 0.15), (side * 0.75, 0.20), (side * 0.75, 0.29), (side * 1.25, 0.34)]
            _line(sheet, top, strap, person.bag, 5)
    elif person.bag_kind in ("shoulder", "cross"):
        side = person.bag_side
        start = side if person.bag_kind == "shoulder" else -side
        _line(sheet, top, [(start, 0.15), (start, 0.19), (side * 1.4, 0.46)], person.bag, 3)
        for turn in (0, 2 * np.pi):  # at the back, which lies at both edges of the sheet
            first, last = start * 2.1, side * 1.8
            if start != side:  # round the back, not round the front
                last -= 2 * np.pi * side
            points = [(first, 0.15), (first, 0.19), (last, 0.46)]
            _line(sheet, top, [(angle + turn * side, y) for angle, y in points], person.bag, 3)


def _torso_profile(person: Person) -> np.ndarray:
    broad = person.build
    loose = person.fit
    ease = 0.02 * (loose - 1)
    slim = 0.5 * max(0.0, 1.4 - loose)  # loose garments hang straight from the chest
    chest, hip = 0.110 * person.shoulders * broad, 0.099 * person.hips * broad
    waist = max(chest, hip) * (1 - 0.28 * slim)
    rows = [
        (NECK, 0.028, 0.032),
        (0.155, 0.041, 0.042),
        (0.170, 0.070 * person.shoulders, 0.050 * broad),
        (0.184, 0.098 * person.shoulders, 0.058 * broad + ease),
        (0.205, 0.112 * person.shoulders * (0.6 + 0.4 * broad) + ease, 0.064 * broad + ease),
        (CHEST, chest + 1.5 * ease, 0.072 * broad + ease),
        (WAIST, waist + 2 * ease, 0.067 * broad + 1.5 * ease),
        (HIP, max(hip, waist) + 2 * ease + 0.003, 0.071 * broad + 2 * ease),
    ]
    hem = person.upper_hem
    if hem > HIP + 0.005:
        wider = person.flare * (hem - HIP)
        rows.append((hem, rows[-1][1] + wider, rows[-1][2] + wider))
    return np.array(rows)


def _pelvis(person: Person, rng: np.random.Generator) -> Texture:
    bottom = person.lower_hem if person.lower_kind == "skirt" else CROTCH + 0.03
    sheet = _sheet(person.lower, PELVIS, bottom)
    if person.lower_pattern == "checks":
        _print_on(sheet, PELVIS, "checks", person.lower_accent, 0.05, person.pattern_seed + 1)
    if person.lower_kind == "skirt" and person.fade > 0.2:  # pleats
        sheet[..., :3] *= (0.85 + 0.25 * np.abs(np.sin(9 * _angles())))[None, :, None].astype(np.float32)
    sheet[: round(0.03 * TALL), :, :3] *= 0.6
    return Texture.wrap(_fold(sheet, rng, 0.09), PELVIS, bottom)


def _pelvis_profile(person: Person) -> np.ndarray:
    hip, deep = 0.097 * person.hips * person.build, 0.069 * person.build
    rows = [(PELVIS, 0.9 * hip, 0.9 * deep), (HIP + 0.01, hip, deep)]
    if person.lower_kind == "skirt":
        wider = (person.lower_hem - HIP) * (0.05 + 0.5 * person.fade)
        rows.append((person.lower_hem, hip + wider, deep + wider))
    else:
        rows += [(CROTCH, hip * 0.98, deep), (CROTCH + 0.03, 0.7 * hip, 0.6 * deep)]
    return np.array(rows)


def _head(person: Person) -> Texture:
    top, bottom = -0.006, 0.142
    sheet = _sheet(person.skin, top, bottom)
    angles, y = np.abs(_angles())[None], _heights(len(sheet), top, bottom)[:, None]
    # Eyes and brows, nose, mouth: a few darker pixels are what a distant camera shows of them.
    sheet[(np.abs(y - 0.060) < 0.005) & (np.abs(angles - 0.42) < 0.24), :3] *= 0.55
    sheet[(y > 0.062) & (y < 0.085) & (angles < 0.10), :3] *= 0.88
    sheet[(np.abs(y - 0.101) < 0.004) & (angles < 0.25), :3] *= 0.7
    if person.beard:
        beard = (y > 0.092) & (angles < 1.3)
        sheet[beard, :3] = sheet[beard, :3] * 0.4 + np.float32(person.hair) * 0.6
    sheet[(np.abs(y - 0.07) < 0.012) & (np.abs(angles - 1.6) < 0.1), :3] *= 0.75
    limits = {
        "bald": (-1, -1, -1, -1),
        "short": (0.026, 0.030, 0.066, 0.108),
        "bob": (0.046, 0.05, 0.15, 0.15),
        "long": (0.034, 0.036, 0.15, 0.15),
    }.get(person.hair_style, (0.026, 0.030, 0.07, 0.125))
    limit = np.interp(angles, (0.0, 0.85, 1.35, 1.9), limits)
    sheet[y < limit] = np.float32([*person.hair, 255])
    glimmer = 1 + 0.10 * noise.piece(noise.cloudy(), sheet.shape[:2], np.random.default_rng(person.pattern_seed))
    _shade(sheet, np.clip(glimmer, 0.7, 1.4))
    return Texture.wrap(np.clip(sheet, 0, 255), top, bottom)


def _head_profile(person: Person) -> np.ndarray:
    more = 0.0 if person.hair_style == "bald" else 0.005
    rows = [(-0.004, 0.018, 0.02), (0.004, 0.030, 0.036), (0.018, 0.042, 0.051), (0.045, 0.048, 0.058),
            (0.075, 0.047, 0.057), (0.100, 0.042, 0.051), (0.120, 0.033, 0.040), (0.138, 0.019, 0.022)]  # fmt: skip
    return np.array([(y, a + more * (y < 0.08), b + more * (y < 0.1)) for y, a, b in rows])


def _hair(person: Person, bottom: float) -> Texture:
    sheet = _sheet(person.hair, 0.0, bottom)
    angles = np.abs(_angles())[None]
    y = _heights(len(sheet), 0.0, bottom)[:, None]
    strands = noise.piece(noise.cloudy(), (4, ROUND), np.random.default_rng(person.pattern_seed))[:1]
    sheet[..., :3] *= np.clip(1 + 0.16 * strands, 0.6, 1.6)[..., None]
    sheet[(angles < np.interp(y, (0.0, 0.03, 0.06, 0.15), (0.0, 0.5, 1.05, 1.2)))] = 0
    return Texture.wrap(np.clip(sheet, 0, 255), 0.0, bottom)


def _backpack(person: Person) -> Texture:
    top, bottom = 0.18, 0.18 + 0.24 * person.bag_size
    sheet = _sheet(person.bag, top, bottom)
    rng = np.random.default_rng([person.pattern_seed, 23])
    angles = np.abs(_angles())[None]
    y = _heights(len(sheet), top, bottom)[:, None]
    style = rng.integers(4)
    pocket = (y > bottom - 0.11 * person.bag_size) & (angles > np.pi - 0.75)
    if style == 0:
        sheet[pocket & (y < bottom - 0.015)] = np.float32([*person.bag_accent, 255])
    elif style == 1:
        sheet[np.broadcast_to(np.abs(angles - (np.pi - 0.8)) < 0.16, sheet.shape[:2])] = np.float32(
            [*person.bag_accent, 255]
        )
    elif style == 2:
        sheet[np.broadcast_to(y < top + 0.07, sheet.shape[:2])] = np.float32([*person.bag_accent, 255])
    sheet[pocket & (y < bottom - 0.1 * person.bag_size), :3] *= 0.5
    badge = (np.abs(y - top - 0.09) < 0.012) & (angles > np.pi - 0.25)
    sheet[badge] = np.float32([*mix(person.bag, (235.0, 235.0, 235.0), float(rng.random())), 255])
    return Texture.wrap(_fold(sheet, rng, 0.09), top, bottom)


def _backpack_profile(person: Person) -> np.ndarray:
    size = person.bag_size
    top, bottom = 0.18, 0.18 + 0.24 * size
    return np.array([
        (top, 0.035 * size, 0.02),
        (top + 0.02, 0.07 * size, 0.045 * size),
        (top + 0.1, 0.083 * size, 0.055 * size),
        (bottom - 0.02, 0.083 * size, 0.062 * size),
        (bottom, 0.066 * size, 0.045 * size),
    ])  # fmt: skip


def _hat(person: Person) -> Texture:
    sheet = _sheet(person.hat, -0.02, 0.055)
    if person.hat_kind == "brim":
        sheet[round(0.045 * TALL) : round(0.057 * TALL), :, :3] *= 0.5
    return Texture.wrap(_fold(sheet, np.random.default_rng([person.pattern_seed, 24]), 0.06), -0.02, 0.055)


def _hat_profile(person: Person) -> np.ndarray:
    bottom = {"beanie": 0.050, "brim": 0.036}.get(person.hat_kind, 0.040)
    return np.array([(-0.020, 0.02, 0.024), (-0.010, 0.036, 0.046), (0.012, 0.048, 0.060), (bottom, 0.050, 0.063)])


# --- limbs: a picture of a stretched limb, the upper joint above ---


def _limb(length: float, radius: np.ndarray, colours: np.ndarray, rng, folds: float) -> Limb:
    """radius, colours `[n, 3]`: evenly spaced from the upper to the lower joint; both ends are rounded."""
    start, end = float(radius[0]), float(radius[-1])
    rows = round((length + start + end) * LIMB_SCALE)
    half = float(radius.max()) + 0.006
    columns = round(2 * half * LIMB_SCALE)
    s = ((np.arange(rows) + 0.5) / LIMB_SCALE - start)[:, None]
    t = ((np.arange(columns) + 0.5) / LIMB_SCALE - columns / LIMB_SCALE / 2)[None]
    share = np.clip(s / length, 0, 1)
    width = np.interp(share, np.linspace(0, 1, len(radius)), radius)
    beyond = np.maximum(np.maximum(-s, s - length), 0)
    width = np.sqrt(np.maximum(width**2 - beyond**2, 1e-9))
    u = np.clip(np.abs(t) / width, 0, 1.5)
    cover = np.clip((width - np.abs(t)) * LIMB_SCALE + 0.5, 0, 1) * (beyond < width + 0.002 + beyond)
    rows_of = np.clip((share[:, 0] * len(colours)).astype(int), 0, len(colours) - 1)
    light = 1.03 - 0.36 * np.minimum(u, 1) ** 2
    light = light * (1 + folds * noise.piece(noise.cloudy(), (rows, columns), rng, zoom=0.6))
    channels = [np.clip(channel[:, None] * light, 0, 255) * cover for channel in colours[rows_of].T]
    picture = cv2.merge([*channels, 255 * cover]).astype(np.float32)
    return Limb(picture, LIMB_SCALE, start * LIMB_SCALE, rows - end * LIMB_SCALE)


def _leg(person: Person, rng: np.random.Generator) -> tuple[Limb, Limb]:
    n = 96
    q = np.linspace(0, 1, n)
    y = 0.48 + q * (THIGH + SHIN)
    bare = np.interp(q, (0, 0.25, 0.49, 0.62, 0.85, 1), (0.056, 0.050, 0.034, 0.035, 0.023, 0.020)) * person.build**0.6
    cloth = np.interp(q, (0, 0.25, 0.5, 0.75, 1), (0.058, 0.054, 0.043, 0.038, 0.033)) * person.build**0.6
    cloth = np.maximum(bare + 0.002, cloth * (0.45 + 0.55 * person.lower_width))
    if person.lower_kind == "leggings":
        cloth = bare + 0.002
    hem = 0.46 if person.lower_kind == "skirt" else person.lower_hem
    covered = y < hem
    colours = np.where(covered[:, None], np.float32(person.lower), np.float32(person.tights or person.skin))
    if person.lower_kind == "jeans":
        worn = np.exp(-(((q - 0.25) / 0.16) ** 2)) + 0.6 * np.exp(-(((q - 0.55) / 0.1) ** 2))
        colours *= (1 + person.fade * worn)[:, None]
    if person.lower_pattern == "checks" and person.lower_kind != "skirt":
        colours[covered & (y % 0.05 < 0.02)] = np.float32(mix(person.lower, person.lower_accent, 0.5))
    ankle = 0.48 + THIGH + SHIN
    boots = (y > ankle - person.shaft) & ((person.shaft > 0.1) | ~covered)
    colours[boots] = np.float32(person.shaft_colour)
    radius = np.where(covered, cloth, bare + 0.006 * boots)
    knee = round(n * THIGH / (THIGH + SHIN))
    folds = 0.10 if person.lower_kind in ("trousers", "jeans") else 0.05
    upper = _limb(THIGH, radius[: knee + 2], np.clip(colours[: knee + 2], 0, 255), rng, folds)
    return upper, _limb(SHIN, radius[knee - 2 :], np.clip(colours[knee - 2 :], 0, 255), rng, folds)


def _arm(person: Person, rng: np.random.Generator) -> tuple[Limb, Limb]:
    length = UPPER_ARM + FOREARM
    n = 80
    q = np.linspace(0, 1, n)
    bare = np.interp(q, (0, 0.12, 0.3, 0.55, 0.7, 1), (0.020, 0.029, 0.027, 0.022, 0.022, 0.015)) * person.build**0.6
    thick = {"coat": 1.18, "jacket": 1.15, "hoodie": 1.15, "sweater": 1.05}.get(person.upper_kind, 1.0)
    cloth = np.interp(q, (0, 0.13, 0.3, 0.55, 1), (0.023, 0.034, 0.033, 0.029, 0.024)) * thick * person.build**0.6
    cloth *= 0.55 + 0.45 * person.fit
    covered = q < person.sleeve
    strip = np.tile(np.float32([*person.sleeves, 255]), (round(length * TALL), ROUND // 4, 1))
    if person.sleeves == person.upper and person.pattern in ("stripes", "checks", "floral", "heather"):
        _print_on(strip, SHOULDER, person.pattern, person.pattern_colour, person.pattern_period, person.pattern_seed)
    sleeve = cv2.resize(strip[:, :8, :3].mean(axis=1, keepdims=True), (1, n))
    sleeve = sleeve.reshape(n, 3)
    if person.sleeve > 0.95:
        sleeve[-4:] *= 0.75
    colours = np.where(covered[:, None], sleeve, np.float32(person.skin))
    radius = np.where(covered, np.maximum(cloth, bare + 0.003), bare)
    elbow = round(n * UPPER_ARM / length)
    upper = _limb(UPPER_ARM, radius[: elbow + 2], colours[: elbow + 2], rng, 0.08)
    return upper, _limb(FOREARM, radius[elbow - 2 :], colours[elbow - 2 :], rng, 0.08)


def _tail(person: Person, rng: np.random.Generator) -> Limb:
    return _limb(0.10, np.array([0.012, 0.024, 0.022, 0.010]), np.float32([person.hair] * 4), rng, 0.08)


def _foot(person: Person) -> Limb:
    """From the heel to the toe."""
    rng = np.random.default_rng(person.pattern_seed)
    return _limb(0.095, np.array([0.026, 0.026, 0.022, 0.020]), np.float32([person.shoes] * 4), rng, 0.05)
