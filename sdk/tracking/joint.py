"""Who is who among many tracklets, decided together: constrained average linkage of the evidence, then second looks.

Average linkage, since the pairs of a group are anything but independent: their sum would be sure of everything.
"""

import numpy as np
from scipy.optimize import linear_sum_assignment  # scipy comes with `trackers`

NEVER = -1e9
"""The evidence of who cannot be one person: less than any sum of others can outweigh."""
CHANGE_OF_MIND = 0.3
"""Nats by which another group must be nearer to one of a group for it to leave."""
SWEEPS = 3


def solve(
    evidence: np.ndarray, cannot: np.ndarray, size: np.ndarray, free: np.ndarray, least: float = 0.0
) -> np.ndarray:
    """Which of N nodes are one person: int `[N]`, equal for those who are.

    evidence: nats for "one person", symmetric float `[N, N]`, the mean of all pairs of the two nodes' tracklets.
    cannot: bool `[N, N]`, who is two people. size: how many tracklets a node stands for, `[N]`. free: bool `[N]`,
    which may leave a group again once it has formed. least: the evidence from which two groups are one.
    """
    group = cluster(evidence, cannot, size, least)
    return second_looks(evidence, cannot, size, free, least, group)


def cluster(evidence: np.ndarray, cannot: np.ndarray, size: np.ndarray, least: float = 0.0) -> np.ndarray:
    """Join the two groups with the most evidence on average of their pairs, again and again, while it is `least`.

    As in `solve`; the group of each is the number of its first node.
    """
    count = len(evidence)
    group = np.arange(count)
    if count < 2:
        return group
    evidence, size = evidence.astype(np.float64), size.astype(float)
    evidence[cannot] = NEVER
    np.fill_diagonal(evidence, NEVER)
    best = evidence.argmax(axis=1)
    value = evidence[np.arange(count), best]
    while True:
        one = int(value.argmax())
        if value[one] < least:
            return group
        one, other = sorted((one, int(best[one])))
        share = size[one] / (size[one] + size[other])
        never = (evidence[one] <= NEVER / 2) | (evidence[other] <= NEVER / 2)
        joined = np.where(never, NEVER, share * evidence[one] + (1 - share) * evidence[other])
        joined[[one, other]] = NEVER
        evidence[one], evidence[:, one] = joined, joined
        evidence[other], evidence[:, other] = NEVER, NEVER
        size[one] += size[other]
        group[group == other] = one
        value[other] = NEVER
        stale = np.flatnonzero((best == one) | (best == other))
        for row in {one, *stale[value[stale] > NEVER].tolist()}:
            best[row] = evidence[row].argmax()
            value[row] = evidence[row, best[row]]
        nearer = joined > value
        best[nearer], value[nearer] = one, joined[nearer]


def second_looks(
    evidence: np.ndarray, cannot: np.ndarray, size: np.ndarray, free: np.ndarray, least: float, group: np.ndarray
) -> np.ndarray:
    """Let every free node go where it belongs, now that the groups are there; early joins knew little.

    It goes to another group that is nearer by `CHANGE_OF_MIND`, or, with less evidence than `least`, is alone.
    """
    evidence = np.where(cannot, NEVER, evidence)
    np.fill_diagonal(evidence, 0.0)
    member = np.zeros((len(group), len(group)))
    member[np.arange(len(group)), group] = size  # column: the group
    for _ in range(SWEEPS):
        moved = False
        for node in np.flatnonzero(free):
            own = group[node]
            member[node, own] = 0.0
            weight = member.sum(axis=0)
            mean = np.where(weight > 0, evidence[node] @ member / np.maximum(weight, 1e-9), NEVER)
            alone = weight[own] == 0
            best = int(mean.argmax())
            stays = least if alone else mean[own]
            if best != own and mean[best] >= max(least, stays + CHANGE_OF_MIND):
                target = best
            elif not alone and stays < least:
                target = node if weight[node] == 0 else int(np.flatnonzero(weight == 0)[0])
            else:
                target = own
            member[node, target] = size[node]
            group[node] = target
            moved |= target != own
        if not moved:
            break
    return group


def keep_names(group: np.ndarray, name: np.ndarray, weight: np.ndarray, kept: np.ndarray) -> dict[int, int]:
    """Which group goes on under which of the names that its nodes have had, so that as little as possible changes.

    group int `[N]`; name int `[N]`, −1: it had none; weight `[N]`; kept: bool `[N]`, whose name must stay with its
    group. Groups for which no name is left are not in the result.
    """
    groups, row = np.unique(group, return_inverse=True)
    names, column = np.unique(name, return_inverse=True)
    table = np.zeros((len(groups), len(names)))
    np.add.at(table, (row, column), weight + 1e6 * kept)
    table[:, names < 0] = 0
    return {
        int(groups[i]): int(names[j]) for i, j in zip(*linear_sum_assignment(-table), strict=True) if table[i, j] > 0
    }
