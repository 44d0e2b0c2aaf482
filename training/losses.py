"""The losses of AlignedReID, each a function of its own (arXiv 1711.08184, section 3)."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from training.distances import euclidean_distance, local_distance


class HardPairs(NamedTuple):
    """Indices into the batch, one entry an anchor: its farthest positive and its nearest negative, int64 `[N]`."""

    positive: Tensor
    negative: Tensor


def id_loss(logits: Tensor, labels: Tensor, label_smoothing: float = 0.1) -> Tensor:
    """Softmax cross-entropy over the training identities: logits `[N, classes]`, labels int64 `[N]` → scalar."""
    return F.cross_entropy(logits, labels, label_smoothing=label_smoothing)


def mine_hard_pairs(distance: Tensor, labels: Tensor) -> HardPairs:
    """TriHard mining: for every anchor of distance `[N, N]`, the farthest positive and the nearest negative.

    The paper mines with the global distance alone (section 3.1), so that only 2N pairs, not N², need the
    local distance. An identity with a single image is its own positive.
    """
    same = labels[:, None] == labels[None, :]
    if bool(same.all()):
        raise ValueError("the batch has one identity only; TriHard needs at least two")
    positive = distance.masked_fill(~same, -float("inf")).argmax(1)
    negative = distance.masked_fill(same, float("inf")).argmin(1)
    return HardPairs(positive, negative)


def triplet_loss(positive_distance: Tensor, negative_distance: Tensor, margin: float | None = None) -> Tensor:
    """Mean over the anchors of max(0, d(a, p) − d(a, n) + margin): `[N]`, `[N]` → scalar.

    Without a margin, of log(1 + exp(d(a, p) − d(a, n))), the soft margin of arXiv 1703.07737, section 2:
    it goes on pulling where a hinge is satisfied.
    """
    difference = positive_distance - negative_distance
    return (F.softplus(difference) if margin is None else F.relu(difference + margin)).mean()


def trihard_global(embedding: Tensor, labels: Tensor, margin: float | None = None) -> tuple[Tensor, HardPairs]:
    """TriHard on the Euclidean distance of the global features `[N, C]`: the loss and the pairs it mined.

    Paper, section 3.1, after arXiv 1703.07737, equation 5.
    """
    distance = euclidean_distance(embedding, embedding)
    pairs = mine_hard_pairs(distance.detach(), labels)
    anchor = torch.arange(len(labels), device=labels.device)
    return triplet_loss(distance[anchor, pairs.positive], distance[anchor, pairs.negative], margin), pairs


def trihard_local(stripes: Tensor, pairs: HardPairs, margin: float | None = None) -> Tensor:
    """TriHard on the aligned local distance of the pairs that the global distance mined: stripes `[N, S, d]`.

    Paper, section 3.1; the distance is that of equations 1 and 2.
    """
    return triplet_loss(
        local_distance(stripes, stripes[pairs.positive]), local_distance(stripes, stripes[pairs.negative]), margin
    )


def class_mutual_loss(logits: Tensor, other_logits: Tensor) -> Tensor:
    """KL(other ‖ own) of two networks' class probabilities, mean over the batch: `[N, classes]` × 2 → scalar.

    Paper, section 3.2, after deep mutual learning (arXiv 1706.00384, equations 3–5). The other network is a teacher
    here and gets no gradient; it has its own term, the other way round.
    """
    teacher = F.log_softmax(other_logits.detach(), dim=1)
    return F.kl_div(F.log_softmax(logits, dim=1), teacher, reduction="batchmean", log_target=True)


def metric_mutual_loss(embedding: Tensor, other_embedding: Tensor) -> Tensor:
    """Mean squared difference of two networks' matrices of global distances: `[N, C]`, `[N, C']` → scalar.

    Paper, section 3.2, equation 3: 1/N² Σ (M_ij − ZG(M'_ij))², where ZG stops the gradient through the other
    network's distances. This is one half of it; the other network has its own, the other way round.
    """
    own = euclidean_distance(embedding, embedding)
    other = euclidean_distance(other_embedding.detach(), other_embedding.detach())
    return (own - other).square().mean()
