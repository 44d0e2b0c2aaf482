"""Cameras differ: each adds something of its own to all features, whoever is seen. Taking that away needs no names.

Every dimension of the embedding is brought to mean 0 and deviation 1 over the crops of each camera, and the result to
unit length. (Camera-based batch normalisation, Zhuang et al., ECCV 2020, does the same within the network.)
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sdk.errors import DataError

LEAST_CROPS = 32
"""Of a camera: from fewer, its mean would be that of a few people and not of the camera."""


@dataclass(frozen=True)
class CameraStatistics:
    """Mean and standard deviation of a model's features in each camera of a site."""

    cameras: tuple[str, ...]
    mean: np.ndarray
    """float32 `[C, D]`."""
    deviation: np.ndarray
    """float32 `[C, D]`, above 0."""

    @classmethod
    def fit(cls, embedding: np.ndarray, cameras: np.ndarray, deviations: bool = True) -> "CameraStatistics":
        """From crops of many people in each camera: embedding float `[N, D]` at unit length, cameras `[N]`.

        Nobody needs to be named. deviations: False: only the means are taken away, and all deviations are 1. Raises
        `DataError` naming a camera with fewer than `LEAST_CROPS` crops.
        """
        cameras = np.asarray(cameras)
        names = sorted(set(cameras.tolist()))
        groups = [np.asarray(embedding, np.float64)[cameras == name] for name in names]
        for name, rows in zip(names, groups, strict=True):
            if len(rows) < LEAST_CROPS:
                raise DataError(
                    f"camera '{name}' has {len(rows)} crops; its statistics need at least {LEAST_CROPS}, of many people"
                )
        mean = np.stack([rows.mean(axis=0) for rows in groups])
        deviation = np.stack([rows.std(axis=0) for rows in groups])
        # A dimension that is the same in all crops says nothing: it must not be blown up.
        deviation = np.maximum(deviation, 1e-3 * deviation.mean(axis=1, keepdims=True) + 1e-6)
        deviation = deviation if deviations else np.ones_like(deviation)
        return cls(tuple(names), mean.astype(np.float32), deviation.astype(np.float32))

    def normalise(self, embedding: np.ndarray, cameras: Sequence[str | None]) -> np.ndarray:
        """Features without what their cameras add: float `[N, D]`, cameras `[N]` → float32 `[N, D]` at unit length.

        Of a camera that has no statistics, or None, what all cameras add on average is taken away: less than could be,
        but the features can be compared with the others'.
        """
        place = {name: i for i, name in enumerate(self.cameras)}
        rows = np.array([place.get(name, len(place)) for name in cameras], int)
        mean, deviation = (np.vstack([part, part.mean(axis=0)]) for part in (self.mean, self.deviation))
        features = (np.asarray(embedding, np.float32) - mean[rows]) / deviation[rows]
        return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)

    def to_dict(self) -> dict:
        """For JSON: {camera: {"mean": [D], "deviation": [D]}}."""
        return {
            name: {"mean": _rounded(self.mean[i]), "deviation": _rounded(self.deviation[i])}
            for i, name in enumerate(self.cameras)
        }

    @classmethod
    def from_dict(cls, data: dict) -> "CameraStatistics":
        """The inverse. Raises `DataError` for data of another form."""
        try:
            names = tuple(sorted(data))
            mean, deviation = (
                np.array([data[name][part] for name in names], np.float32) for part in ("mean", "deviation")
            )
            if mean.ndim != 2 or mean.shape != deviation.shape or not (deviation > 0).all():
                raise ValueError("not two lists of one length a camera")
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"damaged statistics of cameras ({error}); calibrate again") from error
        return cls(names, mean, deviation)


def _rounded(values: np.ndarray) -> list[float]:
    """Six significant digits: half-precision engines give no more."""
    return [float(f"{value:.6g}") for value in values]
