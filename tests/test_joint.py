"""Second looks: every node where it belongs, as asking each of them anew would find."""

import numpy as np
import pytest

from sdk.tracking.joint import CHANGE_OF_MIND, NEVER, SWEEPS, cluster, second_looks, standing, weight_of


def asked_anew(look, odds, cannot, size, free, least, group):
    """What second looks are, group by group and pair by pair, without any shortcut."""
    group = group.copy()
    for _ in range(SWEEPS):
        before = group.copy()
        for node in np.flatnonzero(free):
            evidence = {}
            for other in set(group.tolist()):
                members = [m for m in np.flatnonzero(group == other) if m != node]
                if not members:
                    continue
                pairs = size[members].astype(float)
                share = pairs / pairs.sum()
                if cannot[node, members].any():
                    evidence[other] = NEVER
                else:
                    weight = weight_of(max(size[node] * pairs.sum(), 1))
                    said = look[node, members] @ share * weight + odds[node, members] @ share
                    evidence[other] = said + standing(size[node], pairs.sum())
            own = group[node]
            alone = own not in evidence
            stays = least if alone else evidence[own]
            best = max(evidence, key=evidence.get, default=own)
            if best != own and evidence[best] >= max(least, stays + CHANGE_OF_MIND):
                group[node] = best
            elif not alone and stays < least:
                group[node] = node if node not in evidence else min(set(range(len(group))) - set(group.tolist()))
        if (before == group).all():
            break
    return group


def problem(seed):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 40))
    person = rng.integers(max(1, count // 4), size=count)
    noise, times = (rng.normal(size=(count, count)) for _ in range(2))
    look = np.clip(np.where(person[:, None] == person, 1.2, -3.0) + 1.1 * (noise + noise.T), -10, 10)
    cannot = rng.random((count, count)) < 0.03
    size = np.where(rng.random(count) < 0.3, rng.integers(1, 13, size=count), 1)
    free = (size == 1) & (rng.random(count) < 0.9)
    cannot = (cannot | cannot.T) & ~np.eye(count, dtype=bool)
    return look, (times + times.T) / 2 - 0.5, cannot, size, free, float(rng.choice([-0.7, 0.0, 0.5])), rng


def test_second_looks_are_what_asking_everybody_anew_gives():
    moves = 0
    for seed in range(14):
        *evidence, size, free, least, rng = problem(seed)
        groups = cluster(*evidence, size, least), rng.integers(len(size), size=len(size))
        for group in groups:
            expected = asked_anew(*evidence, size, free, least, group)
            found = second_looks(*evidence, size, free, least, group.copy())
            assert np.array_equal(found, expected), seed
            assert np.array_equal(found[~free], group[~free])
            moves += np.count_nonzero(found != group)
    assert moves > 70


@pytest.mark.parametrize("count", [0, 1])
def test_there_may_be_nobody_to_look_at(count):
    nothing, none = np.zeros((count, count)), np.zeros(count, bool)
    group = second_looks(nothing, nothing, nothing > 0, np.ones(count, int), ~none, 0.0, np.arange(count))
    assert group.tolist() == list(range(count))


def test_who_was_seen_often_is_joined_more_easily_and_two_of_them_no_more_than_two_tracklets():
    assert standing(np.array([1.0, 7.0, 4.0]), np.array([7.0, 1.0, 4.0])) == pytest.approx([np.log(7), np.log(7), 0])

    def joined(one, other, counts=True):
        look, odds, cannot = np.zeros((2, 2)), np.full((2, 2), -1.0), np.zeros((2, 2), bool)
        group = cluster(look, odds, cannot, np.array([one, other]), 0.5, counts)
        return group[0] == group[1]

    assert joined(1, 5)  # log 5 - 1 is above a half
    assert not joined(1, 4)
    assert not joined(5, 5)
    assert not joined(1, 5, counts=False)
