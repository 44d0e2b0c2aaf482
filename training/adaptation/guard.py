"""Whether a site has anything to teach, and whether what it taught is better: without a label, and in doubt no."""

import numpy as np

from training.adaptation.measures import Measures
from training.adaptation.tracklets import Tracklets
from training.adaptation.vectors import cosine_of

FEWEST_TRACKLETS = 20
"""Of two crops or more: from fewer, no measure means anything."""
FEWEST_PEOPLE = 8
"""Clusters to learn from; with fewer, what tells them apart is their clothes of that day."""
ACROSS = 3
"""Clusters that must hold tracks of several cameras: what one camera shows, the model knows already."""
ALIKE = 0.3
"""Share of chance pairs of tracklets within the model's own threshold, from which a site is one person, or uniforms."""
HOLD_TOGETHER = 0.2
"""Of `Measures.halves`: where fewer tracks find themselves again, they are no people, or no tracks."""
GAIN = 0.01
"""By how much the sum of the measures must rise."""
LOSS = 0.01
"""By how much one of them may fall."""
PAIRS = 20_000
JUDGED = ("halves", "separation", "agreement")


def why_not_begin(
    tracklets: Tracklets, embedding: np.ndarray, before: Measures, usable: np.ndarray, threshold: float, seed: int = 0
) -> str | None:
    """Why nothing can be learned of a site, in words, or None.

    embedding: of the tracklets as the model gives them, `[T, D]`; usable: the cluster of each crop, −1 for those that
    nothing is learned from; threshold: the model's own cosine distance for tracklets.
    """
    cameras = np.unique(tracklets.cameras)
    if len(cameras) < 2:
        return f"all crops are of one camera ({cameras[0]}); how people look in another is what has to be learned"
    long = int((tracklets.sizes >= 2).sum())
    if long < FEWEST_TRACKLETS:
        return f"there are {long} tracks of two crops or more; {FEWEST_TRACKLETS} are needed to measure anything"
    one, other = np.random.default_rng(seed).integers(len(embedding), size=(2, PAIRS))
    apart = one != other
    alike = float((cosine_of(embedding[one[apart]], embedding[other[apart]]) < threshold).mean())
    if alike > ALIKE:
        return (
            f"{alike:.0%} of all pairs of tracks look like one person to the model: it is one person or a few, or "
            "everybody wears the same"
        )
    if before.halves < HOLD_TOGETHER:
        return (
            f"only {before.halves:.0%} of the tracks look like themselves from one half to the other: the boxes are of "
            "no people, or the tracks pass from one to another"
        )
    people = int(usable.max()) + 1
    if people < FEWEST_PEOPLE:
        return f"only {people} people were seen in several tracks; {FEWEST_PEOPLE} are needed"
    several = sum(len(np.unique(tracklets.cameras[tracklets.of_crop[usable == k]])) > 1 for k in range(people))
    if several < ACROSS:
        return f"only {several} people seem to have been seen by several cameras; {ACROSS} are needed"
    return None


def gain(before: Measures, after: Measures) -> float:
    """How much better the measures are, all together."""
    return sum(getattr(after, name) - getattr(before, name) for name in JUDGED)


def why_not_keep(before: Measures, after: Measures) -> str | None:
    """Why an adapted network is no better, in words, or None."""
    for name in JUDGED:
        was, now = getattr(before, name), getattr(after, name)
        if now < was - LOSS:
            return f"{name} fell from {was:.3f} to {now:.3f}"
    if gain(before, after) < GAIN:
        return f"the measures without labels are no better than before (together {gain(before, after):+.3f})"
    return None
