"""The match thresholds: up to which distance two crops, or two tracklets, are taken for one person."""

from dataclasses import asdict, dataclass

import numpy as np

from sdk.distances import cosine_distance
from sdk.errors import DataError

CROP_RATE = 0.01
"""Share of impostor pairs that single crops' threshold lets pass: a crop is held against the whole gallery."""
TRACKLET_RATE = 0.05
"""The same for tracklets. They are asked once, as the mean of several crops, and the tracker rules out whom it saw
at the same time; a missed match, on the other hand, splits a person in two for good."""


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
    """The share of impostor pairs of crops that `tracklet_value` lets pass."""
    impostor_pairs: int
    genuine_pairs: int

    def to_dict(self) -> dict:
        return asdict(self)


def calibrate_threshold(
    embedding: np.ndarray,
    labels: np.ndarray,
    cameras: np.ndarray,
    false_match_rate: float = CROP_RATE,
    tracklet_false_match_rate: float = TRACKLET_RATE,
) -> Threshold:
    """The distances that let the given shares of the cross-camera impostor pairs pass.

    embedding float `[N, D]` at unit length, labels `[N]`, cameras `[N]`. All pairs from different cameras count.
    Raises `DataError` where there are no genuine or no impostor pairs.
    """
    across = np.triu(cameras[:, None] != cameras[None])
    same = labels[:, None] == labels[None]
    distance = cosine_distance(embedding, embedding)
    impostor, genuine = distance[across & ~same], distance[across & same]
    if not (len(impostor) and len(genuine)):
        raise DataError("a threshold needs at least two people, each seen by at least two cameras")
    value, tracklet_value = (float(v) for v in np.quantile(impostor, [false_match_rate, tracklet_false_match_rate]))
    return Threshold(
        value=value,
        false_match_rate=false_match_rate,
        true_match_rate=float((genuine <= value).mean()),
        tracklet_value=tracklet_value,
        tracklet_false_match_rate=tracklet_false_match_rate,
        impostor_pairs=len(impostor),
        genuine_pairs=len(genuine),
    )
