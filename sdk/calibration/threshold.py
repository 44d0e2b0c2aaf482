"""The match thresholds: up to which distance two crops, or two tracklets, are taken for one person."""

from dataclasses import asdict, dataclass

import numpy as np

from sdk.calibration.pairs import Pairs, pair_distances

CROP_RATE = 0.01
"""Share of impostor pairs that single crops' threshold lets pass: a crop is held against the whole gallery."""
TRACKLET_RATE = 0.1
"""The most of them that the tracklets' may let pass. They are asked once, and the tracker rules out whom it saw at
the same time; a missed match, on the other hand, splits a person in two for good."""
TRACKLETS_KEPT = 0.99
"""Share of genuine pairs of tracklets that should match, as far as `TRACKLET_RATE` allows it."""
TRACKLET_CROPS = 6
"""Crops that are averaged, as many as the tracker averages."""


@dataclass(frozen=True)
class Threshold:
    """Cosine distances and how they were found; goes into the model's metadata."""

    value: float
    """Up to which two crops match."""
    false_match_rate: float
    """The share of pairs of different people, from different cameras, that `value` was chosen to let pass."""
    true_match_rate: float
    """The share of pairs of one person, from different cameras, that `value` lets pass on the same images."""
    tracklet_value: float
    """Up to which two tracklets match."""
    tracklet_false_match_rate: float
    """The share of impostor pairs of tracklets that `tracklet_value` lets pass."""
    tracklet_true_match_rate: float
    """The share of genuine pairs of tracklets that `tracklet_value` lets pass."""
    impostor_pairs: int
    genuine_pairs: int

    def to_dict(self) -> dict:
        return asdict(self)


def calibrate_threshold(
    embedding: np.ndarray,
    labels: np.ndarray,
    cameras: np.ndarray,
    false_match_rate: float = CROP_RATE,
    pairs: Pairs | None = None,
) -> Threshold:
    """The thresholds of crops and of tracklets, from pairs across cameras.

    Crops: the distance that lets `false_match_rate` of the impostor pairs pass. Tracklets, means of several crops
    of one camera, are surer, so theirs is no tighter; it is as much looser as `TRACKLETS_KEPT` of the genuine pairs
    need it, within `TRACKLET_RATE`. Where people have one crop a camera, there are no tracklets to measure, and
    the crops' value serves.

    embedding float `[N, D]` at unit length, labels `[N]`, cameras `[N]`, in the order in which they were taken.
    pairs: `pair_distances` of these, where they are at hand. Raises `DataError` where there are no genuine or no
    impostor pairs.
    """
    crops = pair_distances(embedding, labels, cameras) if pairs is None else pairs
    tracks = pair_distances(*tracklet_means(embedding, labels, cameras))
    value = float(np.quantile(crops.impostor, false_match_rate))
    tracklet_value = value
    if len(set(zip(labels.tolist(), cameras.tolist(), strict=True))) < len(labels):
        loosest = np.quantile(tracks.impostor, TRACKLET_RATE)
        tracklet_value = float(max(value, min(np.quantile(tracks.genuine, TRACKLETS_KEPT), loosest)))
    return Threshold(
        value=value,
        false_match_rate=false_match_rate,
        true_match_rate=float((crops.genuine <= value).mean()),
        tracklet_value=tracklet_value,
        tracklet_false_match_rate=float((tracks.impostor <= tracklet_value).mean()),
        tracklet_true_match_rate=float((tracks.genuine <= tracklet_value).mean()),
        impostor_pairs=len(crops.impostor),
        genuine_pairs=len(crops.genuine),
    )


def tracklet_means(embedding, labels, cameras) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means of up to `TRACKLET_CROPS` consecutive crops of one person in one camera, beginning at each in turn.

    embedding float `[N, D]`, labels and cameras `[N]` → the same of the means, at unit length.
    """
    groups: dict[tuple, list[int]] = {}
    for row, key in enumerate(zip(labels.tolist(), cameras.tolist(), strict=True)):
        groups.setdefault(key, []).append(row)
    rows, keys = [], []
    for key, members in groups.items():
        for start in range(len(members)):
            rows.append(np.roll(members, -start)[:TRACKLET_CROPS])
            keys.append(key)
    means = np.stack([embedding[window].mean(0) for window in rows])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    return means, np.array([label for label, _ in keys]), np.array([camera for _, camera in keys])
