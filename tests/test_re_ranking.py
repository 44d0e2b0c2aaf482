"""k-reciprocal re-ranking against the paper's equations, written out with sets."""

import numpy as np
import pytest

from sdk import re_ranking
from sdk.distances import cosine_distance, re_rank
from sdk.re_ranking import re_rank_rows
from training.evaluation import evaluate_distances


def unit(rng: np.random.Generator, centres: np.ndarray, copies: int, noise: float) -> np.ndarray:
    features = np.repeat(centres, copies, axis=0) + noise * rng.normal(size=(len(centres) * copies, centres.shape[1]))
    return (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32)


def reference(query: np.ndarray, gallery: np.ndarray, k1: int, k2: int, lambda_value: float) -> np.ndarray:
    """arXiv 1701.08398, equations 2 to 12, one probe and one set at a time, in float64."""
    features = np.concatenate([query, gallery]).astype(np.float64)
    number = len(features)
    d = ((features[:, None] - features[None]) ** 2).sum(axis=2)
    d /= d.max(axis=1, keepdims=True)
    order = np.argsort(d, axis=1, kind="stable")

    def reciprocal(i: int, k: int) -> set[int]:
        return {j for j in order[i, : k + 1] if i in order[j, : k + 1]}

    v = np.zeros((number, number))
    for i in range(number):
        expanded = set(reciprocal(i, k1))
        for j in reciprocal(i, k1):
            half = reciprocal(j, round(k1 / 2))
            if len(half & reciprocal(i, k1)) > 2 / 3 * len(half):
                expanded |= half
        for j in expanded:
            v[i, j] = np.exp(-d[i, j])
        v[i] /= v[i].sum()
    v = np.array([v[order[i, :k2]].mean(axis=0) for i in range(number)])
    result = np.empty((len(query), len(gallery)))
    for i in range(len(query)):
        for g in range(len(gallery)):
            j = len(query) + g
            jaccard = 1 - np.minimum(v[i], v[j]).sum() / np.maximum(v[i], v[j]).sum()
            result[i, g] = (1 - lambda_value) * jaccard + lambda_value * d[i, j]
    return result


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("k1", "k2", "lambda_value"), [(20, 6, 0.3), (5, 1, 0.0), (7, 3, 0.8), (100, 2, 0.3)])
def test_it_equals_the_papers_equations(k1, k2, lambda_value, dtype, monkeypatch):
    rng = np.random.default_rng(0)
    features = unit(rng, rng.normal(size=(12, 16)), 5, 0.6).astype(np.float64)
    features = (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(dtype)
    query, gallery = features[::5], np.delete(features, np.s_[::5], axis=0)
    found = re_rank(query, gallery, k1, k2, lambda_value)
    assert found.dtype == dtype
    expected = reference(query, gallery, k1, k2, lambda_value)
    np.testing.assert_allclose(found, expected, atol=2e-5 if dtype == np.float32 else 1e-9)
    monkeypatch.setattr(re_ranking, "BLOCK_BYTES", 700)  # a few rows at a time
    np.testing.assert_allclose(re_rank(query, gallery, k1, k2, lambda_value), found, atol=1e-6)


def test_it_brings_up_what_the_neighbours_agree_on():
    """mAP of noisy features over several draws, before and after."""
    before, after = [], []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        features = unit(rng, rng.normal(size=(30, 24)), 6, 1.1)
        query, gallery = features[::6], np.delete(features, np.s_[::6], axis=0)
        ids = (np.arange(30), np.repeat(np.arange(30), 5), np.zeros(30), np.ones(150))
        before.append(evaluate_distances(cosine_distance(query, gallery), *ids).mean_ap)
        after.append(evaluate_distances(re_rank(query, gallery, k1=8, k2=3), *ids).mean_ap)
    assert np.mean(after) > np.mean(before) + 0.03


def test_a_gallery_smaller_than_the_neighbourhoods_is_no_error():
    features = np.eye(3, dtype=np.float32)
    assert np.isfinite(re_rank(features[:1], features[1:])).all()


def test_features_that_are_not_finite_are_refused():
    features = np.eye(3)
    features[1, 1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        re_rank(features, features)


def test_neighbourhoods_of_nobody_are_refused():
    with pytest.raises(ValueError, match="at least 1"):
        re_rank(np.eye(2), np.eye(2), k1=0)


def test_zeros_copies_and_nobody():
    rng = np.random.default_rng(0)
    features = unit(rng, rng.normal(size=(6, 8)), 3, 0.3)
    features[4] = 0  # orthogonal to everybody
    assert np.isfinite(re_rank(features[:5], features[5:], k1=4, k2=2)).all()
    # Without expansion, which would take one of many that are equally far from the zeros.
    found = re_rank(features[:5], features[5:], k1=4, k2=1)
    np.testing.assert_allclose(found, reference_of_orthogonal(features, 4, 5, 4, 1), atol=2e-5)
    assert np.isfinite(re_rank(np.tile(features[:1], (3, 1)), np.tile(features[:1], (9, 1)))).all()
    copies = np.repeat(features[:2], 50, axis=0)  # more than a neighbourhood holds
    assert np.isfinite(re_rank(copies[::2], copies[1::2])).all()
    assert re_rank(features[:0], features).shape == (0, 18)
    assert re_rank(features, features[:0]).shape == (18, 0)


def reference_of_orthogonal(features, zero, queries, k1, k2):
    """The zero vector in a dimension of its own."""
    wide = np.concatenate([features, np.zeros((len(features), 1))], axis=1)
    wide[zero, -1] = 1
    return reference(wide[:queries], wide[queries:], k1, k2, 0.3)


def test_rows_are_those_of_the_whole():
    rng = np.random.default_rng(0)
    features = unit(rng, rng.normal(size=(12, 16)), 5, 0.6)
    rows, whole = re_rank_rows(features[:20], features[20:], 7, 3), re_rank(features[:20], features[20:], 7, 3)
    for part in (slice(0, 3), slice(3, 20), slice(19, 40), slice(5, 5)):
        np.testing.assert_allclose(rows(part), whole[part], atol=1e-6)
