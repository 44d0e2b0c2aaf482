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
    """TriHard on the Euclidean distance of the global features `[N, C]`: the loss and the pairs it mined."""
    distance = euclidean_distance(embedding, embedding)
    pairs = mine_hard_pairs(distance.detach(), labels)
    anchor = torch.arange(len(labels), device=labels.device)
    return triplet_loss(distance[anchor, pairs.positive], distance[anchor, pairs.negative], margin), pairs


def trihard_local(stripes: Tensor, pairs: HardPairs, margin: float | None = None) -> Tensor:
    """TriHard on the aligned local distance of the pairs that the global distance mined: stripes `[N, S, d]`."""
    return triplet_loss(
        local_distance(stripes, stripes[pairs.positive]), local_distance(stripes, stripes[pairs.negative]), margin
    )
