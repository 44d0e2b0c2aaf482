"""How large a neighbourhood is best at a site: about as many as a person has tracks, which nobody knows before."""

import numpy as np

from training.adaptation.clusters import Linkage, cluster, silhouette
from training.adaptation.measures import agreement
from training.adaptation.tracklets import Tracklets

SIZES = (2, 3, 4, 6, 10, 15, 22)
"""That are tried."""


def choose_linkage(plain: np.ndarray, tracklets: Tracklets, seed: int = 0) -> Linkage:
    """The one of `SIZES` whose clusters stand apart most, and come out of each half of the tracks alike.

    plain: features of all crops without their cameras, unit length `[N, D]`. Either alone can be misled: a few large
    clusters of many people agree with themselves, and clusters of two pictures stand apart.
    """
    means = tracklets.means(plain)

    def worth(linkage: Linkage) -> float:
        apart = silhouette(means, cluster(means, tracklets.cannot, tracklets.must, linkage))
        return max(0.0, apart) * max(0.0, agreement(plain, tracklets, linkage, seed))

    return max([Linkage(size) for size in SIZES if size < len(means)] or [Linkage(1)], key=worth)
