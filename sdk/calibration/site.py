"""What a model's distances between tracklets say of people in general: the prior with which a site begins."""

import numpy as np
from scipy.optimize import minimize

from sdk.errors import DataError
from sdk.tracking.site.prior import BETWEEN, GAPS, WITHIN, SitePrior
from sdk.tracking.site.returns import Seen, chances, classes

LEAST_PAIRS = 50
"""Pairs of one person, of a kind, from which neutral distance and slope are measured."""
LEAST_TRACKLETS = 30
TRUSTED = 60.0
"""Pairs of people that measured strangers count as, when a site begins to teach."""


def measure_site_prior(
    features: np.ndarray,
    person: np.ndarray,
    camera: np.ndarray,
    first: np.ndarray | None = None,
    last: np.ndarray | None = None,
    data: str = "",
    passages: bool = True,
) -> SitePrior:
    """From N tracklets of many people in several cameras.

    features: means of their crops, float `[N, D]` at unit length; person, camera `[N]`. first, last: when each was
    seen, s, `[N]`; None: not known, and how soon people come to another camera is left as it is by default (how soon to
    the same one is, always: it is a matter of how tracks are cut). data: what they are. passages: whether two tracklets
    of a person in one camera are two passages; parts of one are nearer, and what one camera's distances say is left as
    it is by default then.

    Raises `DataError` for fewer than 30 tracklets, or fewer than 50 pairs of one person in two cameras.
    """
    if len(features) < LEAST_TRACKLETS:
        raise DataError(f"{len(features)} tracklets are too few to say what distances mean; give {LEAST_TRACKLETS}")
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    deviation = np.maximum(deviation, 0.3 * deviation.mean())
    free = (features - mean) / deviation
    free /= np.linalg.norm(free, axis=1, keepdims=True)
    pairs = np.triu_indices(len(free), 1)
    distance = (1 - free @ free.T)[pairs]
    same = (np.asarray(person)[:, None] == np.asarray(person)[None])[pairs]
    kind = np.where((np.asarray(camera)[:, None] == np.asarray(camera)[None])[pairs], WITHIN, BETWEEN)
    usual = SitePrior()
    stranger, neutral, slope = list(usual.stranger), list(usual.neutral), list(usual.slope)
    for of_kind in (WITHIN, BETWEEN):
        here = kind == of_kind
        if same[here].sum() < LEAST_PAIRS:
            if of_kind == BETWEEN:
                raise DataError(
                    f"{same[here].sum()} pairs of one person in two cameras are too few; {LEAST_PAIRS} will do"
                )
            continue
        stranger[of_kind] = float(distance[here & ~same].mean())
        if of_kind == WITHIN and not passages:
            continue
        neutral[of_kind], slope[of_kind] = fit_evidence(distance[here] / stranger[of_kind], same[here])
    returns = usual.returns
    if first is not None and last is not None:
        times = np.asarray(first, float), np.asarray(last, float)
        returns = (usual.returns[WITHIN], _returns(np.asarray(camera), *times, np.asarray(person)))
    return SitePrior(
        tuple(stranger), TRUSTED, tuple(neutral), tuple(slope), returns,
        mean.astype(np.float32), deviation.astype(np.float32), data,
    )  # fmt: skip


def fit_evidence(distance: np.ndarray, same: np.ndarray) -> tuple[float, float]:
    """The distance at which a pair is as likely to be one person as two, were there as many of either, and by how many
    nats the evidence falls a unit: a logistic regression. distance float `[N]`, same bool `[N]`."""
    weight = np.where(same, 0.5 / same.sum(), 0.5 / (~same).sum())
    sign = np.where(same, 1.0, -1.0)

    def loss(at: np.ndarray) -> float:
        neutral, slope = at
        return float(np.sum(weight * np.logaddexp(0, -sign * slope * (neutral - distance))))

    found = minimize(loss, np.array([0.75, 12.0]), method="Nelder-Mead")
    return float(found.x[0]), float(found.x[1])


def _returns(camera, first, last, person) -> tuple[float, ...]:
    """Other tracklets of a person in another camera, by class of gap, a tracklet and camera."""
    numbers = np.unique(camera, return_inverse=True)[1]
    total = chances(Seen(numbers, first, last)).sum(axis=0)
    alike = (person[:, None] == person[None]) & (numbers[:, None] != numbers[None])
    count = np.bincount(classes(first, last, first, last)[alike], minlength=len(GAPS) + 1)
    return tuple(float(v) for v in count / np.maximum(total * numbers.max(), 1e-9))
