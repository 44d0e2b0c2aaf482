"""k-reciprocal re-ranking against the paper's equations, written down one feature at a time."""

import numpy as np
import pytest

from sdk import re_ranking
from sdk.distances import cosine_distance, re_rank


def people(rng, identities, crops, noise, dim=16):
    centres = rng.normal(size=(identities, dim))
    labels = np.repeat(np.arange(identities), crops)
    features = centres[labels] + noise * rng.normal(size=(len(labels), dim))
    return (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32), labels


def literal(query, gallery, k1, k2, lam):
    """Equations 1 to 12 of arXiv 1701.08398, with sets and dense rows, in float64."""
    features = np.concatenate([query, gallery]).astype(np.float64)
    size = len(features)
    d = 1 - features @ features.T
    d /= d.max(axis=1, keepdims=True)
    ranked = [sorted(range(size), key=lambda j, i=i: (j != i, d[i, j])) for i in range(size)]

    def reciprocal(p, count):
        return {g for g in ranked[p][:count] if p in ranked[g][:count]}

    vectors = np.zeros((size, size))
    for p in range(size):
        own = reciprocal(p, k1 + 1)
        expanded = set(own)
        for q in own:
            near = reciprocal(q, (k1 + 2) // 2)
            if len(own & near) > 2 / 3 * len(near):
                expanded |= near
        for g in expanded:
            vectors[p, g] = np.exp(-d[p, g])
        vectors[p] /= vectors[p].sum()
    vectors = np.array([vectors[ranked[p][:k2]].mean(axis=0) for p in range(size)])
    result = np.empty((len(query), len(gallery)))
    for p in range(len(query)):
        for g in range(len(gallery)):
            a, b = vectors[p], vectors[len(query) + g]
            jaccard = 1 - np.minimum(a, b).sum() / np.maximum(a, b).sum()
            result[p, g] = (1 - lam) * jaccard + lam * d[p, len(query) + g]
    return result


@pytest.mark.parametrize(("k1", "k2", "lam"), [(20, 6, 0.3), (5, 1, 0.0), (7, 3, 0.5), (4, 2, 1.0), (500, 9, 0.3)])
@pytest.mark.parametrize("block", [7, 256])
def test_it_equals_the_equations_of_the_paper(k1, k2, lam, block, monkeypatch):
    monkeypatch.setattr(re_ranking, "BLOCK", block)
    rng = np.random.default_rng(k1)
    features, _ = people(rng, 12, 6, 0.8)
    query, gallery = features[::6], np.delete(features, np.s_[::6], axis=0)
    result = re_rank(query, gallery, k1, k2, lam)
    assert result.shape == (12, 60)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, literal(query, gallery, k1, k2, lam), atol=2e-5)


def test_it_finds_people_whom_the_cosine_alone_confuses():
    """Crops of one person that are far apart share the neighbours that lie between them."""
    features, labels = people(np.random.default_rng(3), 20, 10, 0.7)
    query, gallery = features[::10], np.delete(features, np.s_[::10], axis=0)
    truth = labels[::10][:, None] == np.delete(labels, np.s_[::10])[None]

    def precision(distance):
        first = np.argsort(distance, axis=1)[:, :9]
        return np.take_along_axis(truth, first, axis=1).mean()

    assert precision(re_rank(query, gallery, 9, 3)) > precision(cosine_distance(query, gallery)) + 0.03


def test_copies_of_one_feature_and_bad_settings():
    same = np.tile(np.float32([[1, 0]]), (5, 1))
    assert np.isfinite(re_rank(same[:2], same)).all()
    assert re_rank(same[:0], same).shape == (0, 5)
    with pytest.raises(ValueError, match="k1 and k2"):
        re_rank(same, same, k1=0)
