"""Tracklets: crops of one track, which are one person, and which two of them can or cannot be the same."""

from collections import defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass

import numpy as np

from training.adaptation.crops import Crops, Pair
from training.adaptation.vectors import cosine_of, sums, unit, without_cameras

GAP = 4.0
"""Seconds after which two crops are no longer joined by nearness."""
NEARER = 3.8
"""How many deviations of chance pairs' distances, nearly all of them two people, what is joined is nearer than most."""
SAMPLE = 20_000
"""Pairs that this is measured on."""


@dataclass(frozen=True)
class Tracklets:
    """Which crop is of which tracklet."""

    of_crop: np.ndarray
    """int64 `[N]`."""
    cameras: np.ndarray
    """The camera of every tracklet, str `[T]`."""
    cannot: np.ndarray
    """Pairs of tracklets that are two people, int64 `[P, 2]`."""
    must: np.ndarray
    """Pairs of tracklets that are one person, as a human said, int64 `[P, 2]`."""
    place: np.ndarray
    """Of each crop, how many of its tracklet are before it, int64 `[N]`."""

    def __len__(self) -> int:
        return len(self.cameras)

    @property
    def sizes(self) -> np.ndarray:
        """How many crops each has, int64 `[T]`."""
        return np.bincount(self.of_crop, minlength=len(self))

    def means(self, features: np.ndarray) -> np.ndarray:
        """The mean of each tracklet's crops at unit length: `[N, D]` → float32 `[T, D]`."""
        return unit(sums(features, self.of_crop, len(self)))


def find_tracklets(crops: Crops, features: np.ndarray, seed: int = 0) -> Tracklets:
    """The tracklets of crops, by their tracks where these are known, else by nearness in time and look.

    features: of the crops, unit length `[N, D]`. Two tracklets that one camera saw at once are two people.
    """
    cameras = crops.cameras
    tracked = np.array([crop.track is not None for crop in crops.items])
    keys: list[Hashable] = [
        (crop.camera, crop.sequence, crop.track) if known else row
        for row, (crop, known) in enumerate(zip(crops.items, tracked, strict=True))
    ]
    if not tracked.all():
        for row, owner in enumerate(_joined(crops, without_cameras(features, cameras), tracked, seed)):
            keys[row] = keys[row] if tracked[row] else owner
    of_crop = _numbered(keys)
    first = np.unique(of_crop, return_index=True)[1]
    at_once = _seen_at_once(crops, of_crop, tracked)
    cannot = _pairs([*at_once, *_of(crops.cannot, of_crop)])
    return Tracklets(of_crop, cameras[first], cannot, _pairs(_of(crops.must, of_crop)), _places(crops, of_crop))


def _places(crops: Crops, of_crop: np.ndarray) -> np.ndarray:
    times = np.array([0.0 if crop.time is None else crop.time for crop in crops.items])
    order = np.lexsort((times, of_crop))
    sizes = np.bincount(of_crop)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return place


def _numbered(keys: Iterable[Hashable]) -> np.ndarray:
    """A number for each different key, in the order of their coming: int64 `[N]`."""
    known: dict = {}
    return np.array([known.setdefault(key, len(known)) for key in keys], np.int64)


def _of(pairs: Iterable[Pair], of_crop: np.ndarray) -> list[Pair]:
    return [(int(of_crop[one]), int(of_crop[other])) for one, other in pairs]


def _pairs(pairs: Iterable[Pair]) -> np.ndarray:
    """Each pair of two once, the smaller number first: int64 `[P, 2]`."""
    found = sorted({(min(pair), max(pair)) for pair in pairs if pair[0] != pair[1]})
    return np.array(found, np.int64).reshape(-1, 2)


def _joined(crops: Crops, plain: np.ndarray, tracked: np.ndarray, seed: int) -> np.ndarray:
    """Join crops of one camera and sequence that were taken within `GAP` and look alike, the most alike first.

    plain: features without their cameras. Returns the first crop of each one's group, int64 `[N]`.
    """
    near = _near_pairs(crops, tracked)
    limit = _joining_limit(plain, crops.cameras, seed)
    distance = cosine_of(plain[near[:, 0]], plain[near[:, 1]])
    members = {row: [row] for row in range(len(crops))}
    owner, total = np.arange(len(crops)), plain.copy()
    for pair in np.argsort(distance, kind="stable"):
        if distance[pair] > limit:
            break
        one, other = owner[near[pair]]
        if one == other or 1 - unit(total[one]) @ unit(total[other]) > limit:
            continue
        if len(members[one]) < len(members[other]):
            one, other = other, one
        total[one] += total[other]
        owner[members[other]] = one
        members[one] += members.pop(other)
    return owner


def _near_pairs(crops: Crops, tracked: np.ndarray) -> np.ndarray:
    """Pairs of crops of one camera within `GAP` whose tracks are not known, int64 `[P, 2]`."""
    groups: dict[Hashable, list[tuple[float, int]]] = defaultdict(list)
    for row, crop in enumerate(crops.items):
        if not tracked[row] and crop.time is not None:
            groups[crop.camera, crop.sequence].append((crop.time, row))
    pairs = []
    for group in groups.values():
        group.sort()
        for place, (time, row) in enumerate(group):
            for later, other in group[place + 1 :]:
                if later - time > GAP:
                    break
                pairs.append((row, other))
    return np.array(pairs, np.int64).reshape(-1, 2)


def _joining_limit(plain: np.ndarray, cameras: np.ndarray, seed: int) -> float:
    """The distance up to which crops are joined, from pairs of one camera that chance brings together.

    The upper half of their distances says how two people's spread: in the lower there are pairs of one person, the more
    the fewer people a site has.
    """
    one, other = np.random.default_rng(seed).integers(len(plain), size=(2, SAMPLE))
    same = (cameras[one] == cameras[other]) & (one != other)
    if not same.any():
        return 0.0
    middle, upper = np.quantile(cosine_of(plain[one[same]], plain[other[same]]), [0.5, 0.84])
    return float(middle - NEARER * (upper - middle))


def _seen_at_once(crops: Crops, of_crop: np.ndarray, tracked: np.ndarray) -> list[Pair]:
    """Pairs of tracklets that one camera saw in one frame, or, of a tracker's tracks, over a common time.

    A detector's two boxes of one person, in crops without tracks, are one tracklet by then, because they look alike.
    """
    spans: dict[Hashable, dict[int, list[float]]] = defaultdict(dict)
    for row, crop in enumerate(crops.items):
        if crop.time is not None:
            group = (crop.camera, crop.sequence) if tracked[row] else (crop.camera, crop.sequence, crop.time)
            times = spans[group].setdefault(int(of_crop[row]), [])
            times += (crop.time, crop.time if crop.until is None else crop.until)
    pairs = []
    for group in spans.values():
        order = sorted((min(times), max(times), tracklet) for tracklet, times in group.items())
        for place, (_, last, tracklet) in enumerate(order):
            for first, _, other in order[place + 1 :]:
                if first > last:
                    break
                pairs.append((tracklet, other))
    return pairs
