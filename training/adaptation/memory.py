"""What the clusters look like while the network learns, and the losses that pull crops towards their own.

The memory is that of Cluster Contrast (Dai et al., arXiv 2103.11568): one unit vector a cluster, moved by the crops
that pass. The proxies of cameras are those of CAP (Wang et al., arXiv 2012.10674): one a cluster and camera.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

TEMPERATURE = 0.05
"""Of the softmax over clusters (2103.11568, section 4.1)."""
PROXY_TEMPERATURE = 0.07
"""Of that over proxies (2012.10674, section 4.2)."""
MOMENTUM = 0.2
"""What a crop leaves of a vector of the memory."""
HARD_PROXIES = 50
"""Nearest proxies of other clusters that a crop is pushed away from."""


class Memory:
    """Unit vectors, each of a cluster, moved by what passes."""

    def __init__(self, vectors: Tensor):
        """vectors: float32 `[C, D]`, unit length."""
        self.vectors = vectors

    @torch.no_grad()
    def move(self, features: Tensor, labels: Tensor) -> None:
        """Move the vectors of `labels` int64 `[B]` towards the mean of their features, unit length `[B, D]`."""
        for label in labels.unique():
            mean = features[labels == label].mean(0)
            self.vectors[label] = F.normalize(MOMENTUM * self.vectors[label] + (1 - MOMENTUM) * mean, dim=0)


def cluster_loss(features: Tensor, labels: Tensor, memory: Memory) -> Tensor:
    """Softmax cross-entropy over the similarity to all clusters (2103.11568, equation 1): `[B, D]`, `[B]` → scalar."""
    return F.cross_entropy(features @ memory.vectors.T / TEMPERATURE, labels)


def proxy_loss(features: Tensor, labels: Tensor, proxies: Memory, cluster_of: Tensor) -> Tensor:
    """Pull crops to all proxies of their cluster, whatever the camera; push away the nearest of other clusters
    (2012.10674, equation 7): `[B, D]`, clusters int64 `[B]` → scalar. cluster_of: of each proxy, int64 `[M]`."""
    similarity = features @ proxies.vectors.T / PROXY_TEMPERATURE
    own = labels[:, None] == cluster_of[None]
    strangers = similarity.masked_fill(own, -torch.inf)
    hard = strangers.topk(min(HARD_PROXIES, strangers.shape[1]), dim=1).values
    against = torch.logsumexp(hard, dim=1)
    loss = torch.logaddexp(similarity, against[:, None]) - similarity  # of each own proxy against all hard ones
    return ((loss * own).sum(1) / own.sum(1).clamp_min(1)).mean()
