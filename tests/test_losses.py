"""Each loss term against a plain float64 reference written from the paper's equations."""

import numpy as np
import pytest
import torch

from tests.test_distances import brute_force
from training.config import ModelConfig, RunConfig, TrainConfig
from training.distances import local_distance
from training.losses import (
    class_mutual_loss,
    id_loss,
    metric_mutual_loss,
    mine_hard_pairs,
    trihard_global,
    trihard_local,
)
from training.model import AlignedReID
from training.networks import Network
from training.trainer import batch_terms

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


def softmax(logits: np.ndarray) -> np.ndarray:
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def kullback_leibler(p: np.ndarray, q: np.ndarray) -> float:
    return (p * np.log(p / q)).sum(axis=1).mean()


def test_class_mutual_loss_equals_the_reference_and_teaches_one_way():
    generator = torch.Generator().manual_seed(3)
    own, other = (torch.randn(9, 5, dtype=torch.float64, generator=generator, requires_grad=True) for _ in range(2))
    p, q = softmax(other.detach().numpy()), softmax(own.detach().numpy())
    loss = class_mutual_loss(own, other)
    assert loss.item() == pytest.approx(kullback_leibler(p, q), abs=1e-6)
    loss.backward()
    assert other.grad is None
    np.testing.assert_allclose(own.grad.numpy(), (q - p) / 9, atol=1e-9)


def test_metric_mutual_loss_equals_the_reference_and_teaches_one_way():
    generator = torch.Generator().manual_seed(4)
    own, other = (torch.randn(9, d, dtype=torch.float64, generator=generator, requires_grad=True) for d in (16, 24))
    matrices = [np.linalg.norm(f[:, None] - f[None], axis=-1) for f in (own.detach().numpy(), other.detach().numpy())]
    loss = metric_mutual_loss(own, other)
    assert loss.item() == pytest.approx(((matrices[0] - matrices[1]) ** 2).sum() / 81, abs=1e-5)
    loss.backward()
    assert other.grad is None
    assert torch.isfinite(own.grad).all()
    assert own.grad.abs().sum() > 0


def test_every_term_of_a_step_of_mutual_learning_equals_the_reference():
    """Three networks on one batch, in float64: each term from the networks' outputs and the paper's equations."""
    torch.manual_seed(5)
    train = TrainConfig(partners=("resnet18", "resnet18"), class_mutual_weight=0.5, metric_mutual_weight=2.0)
    config = RunConfig(ModelConfig(width=8, input_size=(64, 32)), train)
    models = [AlignedReID(config.model, 4).double().eval() for _ in range(3)]
    for model in models:  # the initial scores are all but equal
        torch.nn.init.normal_(model.classifier.weight, std=0.02)
    crops = torch.randint(0, 256, (8, 64, 32, 3), dtype=torch.uint8)
    labels = torch.arange(8) // 2
    terms = batch_terms([Network(model, {}) for model in models], crops, labels, config, progress=1.0)
    with torch.no_grad():
        outputs = [model(crops) for model in models]
    names = ("embedding", "stripes", "logits")
    embedding, stripes, logits = ([getattr(output, name).numpy() for output in outputs] for name in names)
    probabilities = [softmax(z) for z in logits]
    distances = [np.linalg.norm(e[:, None] - e[None], axis=-1) for e in embedding]
    target = np.full((8, 4), 0.1 / 4)
    target[np.arange(8), labels] += 0.9
    for k, prefix in enumerate(("", "partner 1 ", "partner 2 ")):
        pairs = list(reference_pairs(embedding[k], labels.numpy()))
        s, others = stripes[k], [i for i in range(3) if i != k]
        expected = {
            "id": -(target * np.log(probabilities[k])).sum(axis=1).mean(),
            "global": np.mean([max(0, d[a, p] - d[a, n] + 0.3) for a, p, n, d in pairs]),
            "local": np.mean([max(0, brute_force(s[a], s[p]) - brute_force(s[a], s[n]) + 0.3) for a, p, n, _ in pairs]),
            "class mutual": 0.5 * np.mean([kullback_leibler(probabilities[i], probabilities[k]) for i in others]),
            "metric mutual": 2.0 * np.mean([((distances[k] - distances[i]) ** 2).mean() for i in others]),
        }
        for name, value in expected.items():
            assert terms[prefix + name].item() == pytest.approx(value, abs=1e-6), prefix + name
    assert len(terms) == 15


def test_the_gradient_of_the_local_distance_is_the_true_one():
    generator = torch.Generator().manual_seed(6)
    a, b = (torch.randn(3, 4, 5, dtype=torch.float64, generator=generator, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(local_distance, (a, b))


def test_the_gradient_at_distance_zero_is_finite():
    stripes = torch.nn.functional.normalize(torch.randn(2, 4, 5), dim=2)
    a, b = stripes.clone().requires_grad_(), stripes.clone().requires_grad_()
    local_distance(a, b).sum().backward()
    assert torch.isfinite(a.grad).all()
    assert torch.isfinite(b.grad).all()
    features = torch.ones(4, 3, requires_grad=True)
    trihard_global(features, torch.tensor([0, 0, 1, 1]), margin=0.3)[0].backward()
    assert torch.isfinite(features.grad).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_local_distance_is_in_float32_under_mixed_precision(dtype):
    generator = torch.Generator().manual_seed(7)
    a, b = (torch.randn(3, 8, 16, generator=generator).to(dtype) for _ in range(2))
    with torch.autocast("cpu", torch.bfloat16):
        distance = local_distance(a, b)
    assert distance.dtype == torch.float32
    torch.testing.assert_close(distance, local_distance(a.float(), b.float()))


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
