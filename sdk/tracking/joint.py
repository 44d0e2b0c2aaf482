"""Who is who among many tracklets, decided together: constrained linkage of the evidence, then second looks."""

import numpy as np
from scipy.optimize import linear_sum_assignment  # scipy comes with `trackers`

NEVER = -1e9
"""The evidence of who cannot be one person: less than any sum of others can outweigh."""
CHANGE_OF_MIND = 0.3
"""Nats by which another group must be nearer to one of a group for it to leave."""
SWEEPS = 3
ALIKE = 0.65
"""How alike what two pairs of the same two groups say is, as a correlation."""


def weight_of(pairs: np.ndarray) -> np.ndarray:
    """How many independent pairs so many pairs of two groups are worth, of any shape.

    Pairs of the same people are anything but independent: were they, their sum would be sure of everything.
    """
    return pairs / (1 + (pairs - 1) * ALIKE)


def standing(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Nats for "one person" of two groups of so many tracklets, whatever they look like, of any shape.

    Whoever was seen n times is n times as likely to be who is seen now as somebody seen once (`site/newcomers.py`), so
    a tracklet joins a group of n by log n more easily. Two groups that have both been seen often each speak for
    themselves: only how much larger one of them is counts.
    """
    return np.abs(np.log(one / other))


def solve(
    look: np.ndarray,
    odds: np.ndarray,
    cannot: np.ndarray,
    size: np.ndarray,
    free: np.ndarray,
    least: float = 0.0,
    counts: bool = True,
) -> np.ndarray:
    """Which of N nodes are one person: int `[N]`, equal for those who are.

    look, odds: nats for "one person" for what they look like, and for when and where they were, symmetric float
    `[N, N]`, the means of all pairs of the two nodes' tracklets. cannot: bool `[N, N]`, who is two people. size: how
    many tracklets a node stands for, `[N]`. free: bool `[N]`, which may leave a group again once it has formed. least:
    the evidence from which two groups are one. counts: whether it counts how often somebody was seen (`standing`).
    """
    group = cluster(look, odds, cannot, size, least, counts)
    return second_looks(look, odds, cannot, size, free, least, group, counts)


def cluster(
    look: np.ndarray,
    odds: np.ndarray,
    cannot: np.ndarray,
    size: np.ndarray,
    least: float = 0.0,
    counts: bool = True,
) -> np.ndarray:
    """Join the two groups with the most evidence, again and again, while it is `least`; as in `solve`.

    The group of each is the number of its first node.
    """
    count = len(look)
    group = np.arange(count)
    if count < 2:
        return group
    look, odds, size = look.astype(np.float64), odds.astype(np.float64), size.astype(float)
    never = cannot.copy()
    np.fill_diagonal(never, True)
    evidence = np.where(never, NEVER, _evidence(look, odds, size[:, None], size, counts))
    best = evidence.argmax(axis=1)
    value = evidence[np.arange(count), best]
    while True:
        one = int(value.argmax())
        if value[one] < least:
            return group
        one, other = sorted((one, int(best[one])))
        share = size[one] / (size[one] + size[other])
        for part in (look, odds):
            part[one] = share * part[one] + (1 - share) * part[other]
            part[:, one] = part[one]
        never[one] |= never[other]
        never[one, one] = True
        never[:, one] = never[one]
        never[other], never[:, other] = True, True
        size[one] += size[other]
        joined = np.where(never[one], NEVER, _evidence(look[one], odds[one], size[one], size, counts))
        evidence[one], evidence[:, one] = joined, joined
        evidence[other], evidence[:, other] = NEVER, NEVER
        group[group == other] = one
        value[other] = NEVER
        stale = np.flatnonzero((best == one) | (best == other))
        for row in {one, *stale[value[stale] > NEVER].tolist()}:
            best[row] = evidence[row].argmax()
            value[row] = evidence[row, best[row]]
        nearer = joined > value
        best[nearer], value[nearer] = one, joined[nearer]


def second_looks(
    look: np.ndarray,
    odds: np.ndarray,
    cannot: np.ndarray,
    size: np.ndarray,
    free: np.ndarray,
    least: float,
    group: np.ndarray,
    counts: bool = True,
) -> np.ndarray:
    """Let every free node go where it belongs, now that the groups are there; early joins knew little.

    It goes to another group for which there is more evidence by `CHANGE_OF_MIND`, or, with less than `least` for its
    own, is alone.
    """
    count = len(group)
    size, apart = size.astype(float), cannot & ~np.eye(count, dtype=bool)
    look, odds = (np.where(apart | np.eye(count, dtype=bool), 0.0, part) for part in (look, odds))
    parts = look, odds, apart.astype(float)
    weight = np.bincount(group, size, minlength=count)
    for _ in range(SWEEPS):
        moved = False
        sums = [_sums(part, group, size) for part in parts]  # anew, so that no error of rounding adds up
        looks, times, against = sums
        for node in np.flatnonzero(free):
            own = group[node]
            weight[own] -= size[node]
            there = np.maximum(weight, 1e-9)
            mean = _evidence(looks[node] / there, times[node] / there, size[node], np.maximum(weight, 1), counts)
            mean[(weight == 0) | (against[node] > 0)] = NEVER
            alone = weight[own] == 0
            best = int(mean.argmax())
            stays = least if alone else mean[own]
            if best != own and mean[best] >= max(least, stays + CHANGE_OF_MIND):
                target = best
            elif not alone and stays < least:
                target = node if weight[node] == 0 else int(np.flatnonzero(weight == 0)[0])
            else:
                target = own
            weight[target] += size[node]
            if target != own:
                moved = True
                group[node] = target
                for part, total in zip(parts, sums, strict=True):
                    total[:, own] -= size[node] * part[:, node]
                    total[:, target] += size[node] * part[:, node]
        if not moved:
            break
    return group


def _evidence(look: np.ndarray, odds: np.ndarray, one: np.ndarray, other: np.ndarray, counts: bool) -> np.ndarray:
    """Nats for "one person" of two groups of so many tracklets, from the means of their pairs, of any shape."""
    evidence = look * weight_of(one * other) + odds
    return evidence + standing(one, other) if counts else evidence


def _sums(values: np.ndarray, group: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Of values `[N, N]` the sum over each group's nodes, by their size: float `[N, N]`, column: the group."""
    order = np.argsort(group, kind="stable")
    groups, starts = np.unique(group[order], return_index=True)
    total = np.zeros(values.shape)
    total[:, groups] = np.add.reduceat(values[:, order] * size[order], starts, axis=1)
    return total


def keep_names(group: np.ndarray, name: np.ndarray, weight: np.ndarray, kept: np.ndarray) -> dict[int, int]:
    """Which group goes on under which of the names that its nodes have had, so that as little as possible changes.

    group, name int `[N]`; weight `[N]`; kept: bool `[N]`, whose name must stay with its
    group. Groups for which no name is left are not in the result.
    """
    groups, row = np.unique(group, return_inverse=True)
    names, column = np.unique(name, return_inverse=True)
    table = np.zeros((len(groups), len(names)))
    np.add.at(table, (row, column), weight + 1e6 * kept)
    return {
        int(groups[i]): int(names[j]) for i, j in zip(*linear_sum_assignment(-table), strict=True) if table[i, j] > 0
    }
