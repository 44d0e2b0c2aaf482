"""Pairs of boxes, or of tracklets, of one group: of one person, or under one name."""

import numpy as np


def summed_pairs(group: np.ndarray, camera: np.ndarray, weight: np.ndarray) -> dict[str, float]:
    """The summed weight of the pairs within the groups: of all, of one camera, of two.

    group: int `[N]`, camera: int `[N]`, from 0 to 15, weight: `[N]`; a pair weighs the product of both.
    """

    def within(key: np.ndarray) -> float:
        total = np.bincount(np.unique(key, return_inverse=True)[1], weight)
        return float((total**2).sum() - (weight.astype(float) ** 2).sum()) / 2

    everywhere, here = within(group), within(group * 16 + camera)
    return {"all": everywhere, "one camera": here, "two cameras": everywhere - here}
