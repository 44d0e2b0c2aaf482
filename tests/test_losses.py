"""Each loss term against a plain float64 reference written from the paper's equations."""

import numpy as np
import pytest
import torch

from tests.test_distances import brute_force
from training.losses import id_loss, mine_hard_pairs, trihard_global, trihard_local

LABELS = torch.tensor([0, 0, 0, 1, 1, 1, 2, 2, 2])


def reference_pairs(features: np.ndarray, labels: np.ndarray):
    distance = np.linalg.norm(features[:, None] - features[None], axis=-1)
    for anchor in range(len(labels)):
        same = labels == labels[anchor]
        positive = max(np.flatnonzero(same), key=lambda i: distance[anchor, i])
        negative = min(np.flatnonzero(~same), key=lambda i: distance[anchor, i])
        yield anchor, positive, negative, distance


def test_trihard_global_equals_the_reference():
    features = torch.randn(9, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    loss, _ = trihard_global(features, LABELS, margin=0.3)
    terms = [max(0, d[a, p] - d[a, n] + 0.3) for a, p, n, d in reference_pairs(features.numpy(), LABELS.numpy())]
    assert float(loss) == pytest.approx(np.mean(terms), abs=1e-6)
    assert float(loss) > 0


def test_trihard_local_aligns_the_pairs_that_the_global_distance_mined():
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(9, 16, dtype=torch.float64, generator=generator)
    stripes = torch.randn(9, 4, 8, dtype=torch.float64, generator=generator)
    _, pairs = trihard_global(features, LABELS)
    loss = trihard_local(stripes, pairs, margin=0.3)
    s = stripes.numpy()
    terms = [
        max(0, brute_force(s[a], s[p]) - brute_force(s[a], s[n]) + 0.3)
        for a, p, n, _ in reference_pairs(features.numpy(), LABELS.numpy())
    ]
    assert float(loss) == pytest.approx(np.mean(terms), abs=1e-6)


def test_the_soft_margin_equals_the_reference():
    features = torch.randn(9, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    loss, _ = trihard_global(features, LABELS)
    terms = [np.log1p(np.exp(d[a, p] - d[a, n])) for a, p, n, d in reference_pairs(features.numpy(), LABELS.numpy())]
    assert float(loss) == pytest.approx(np.mean(terms), abs=1e-6)


def test_id_loss_equals_the_reference():
    logits = torch.randn(9, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    z = logits.numpy()
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    target = np.full((9, 3), 0.1 / 3)
    target[np.arange(9), LABELS.numpy()] += 0.9
    assert float(id_loss(logits, LABELS, 0.1)) == pytest.approx(-(target * log_p).sum(axis=1).mean(), abs=1e-6)


def test_the_local_loss_trains_the_stripes_only():
    features = torch.randn(9, 16, requires_grad=True)
    stripes = torch.randn(9, 4, 8, requires_grad=True)
    _, pairs = trihard_global(features, LABELS)
    trihard_local(stripes, pairs, margin=5.0).backward()
    assert features.grad is None
    assert stripes.grad.abs().sum() > 0


def test_a_batch_of_one_identity_is_refused():
    with pytest.raises(ValueError, match="at least two"):
        mine_hard_pairs(torch.zeros(4, 4), torch.zeros(4, dtype=torch.long))
