"""The match threshold: up to which distance two crops are taken for one person."""

from dataclasses import asdict, dataclass

import numpy as np

from sdk.distances import cosine_distance
from sdk.errors import DataError


@dataclass(frozen=True)
class Threshold:
    """A distance and how it was found; goes into the model's metadata."""

    value: float
    """Cosine distance up to which two crops match."""
    false_match_rate: float
    """The share of pairs of different people, from different cameras, that it was chosen to let pass."""
    true_match_rate: float
    """The share of pairs of one person, from different cameras, that it lets pass on the same images."""
    impostor_pairs: int
    genuine_pairs: int

    def to_dict(self) -> dict:
        return asdict(self)


def calibrate_threshold(
    embedding: np.ndarray, labels: np.ndarray, cameras: np.ndarray, false_match_rate: float = 0.05
) -> Threshold:
    """The distance that lets `false_match_rate` of the cross-camera impostor pairs pass.

    embedding float `[N, D]` at unit length, labels `[N]`, cameras `[N]`. All pairs from different cameras count.
    Raises `DataError` where there are no genuine or no impostor pairs.
    """
    upper = np.triu(cameras[:, None] != cameras[None])
    same = labels[:, None] == labels[None]
    distance = cosine_distance(embedding, embedding)
    impostor, genuine = distance[upper & ~same], distance[upper & same]
    if not (len(impostor) and len(genuine)):
        raise DataError("a threshold needs at least two people, each seen by at least two cameras")
    value = float(np.quantile(impostor, false_match_rate))
    return Threshold(value, false_match_rate, float((genuine <= value).mean()), len(impostor), len(genuine))
