"""Distances in torch, with gradients: the global one and the aligned local one of the paper."""

import torch
from torch import Tensor

EPSILON = 1e-12
"""Added under the square roots: the gradient of √x is infinite at 0, and equal vectors do occur."""


def at_least_float32(tensor: Tensor) -> Tensor:
    """Half precision becomes float32; float64 stays."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def euclidean_distance(a: Tensor, b: Tensor) -> Tensor:
    """All pairs: a `[N, D]`, b `[M, D]` → `[N, M]`. In float32 at least, under autocast too."""
    a, b = at_least_float32(a), at_least_float32(b)
    with torch.autocast(a.device.type, enabled=False):
        squared = a.square().sum(1, keepdim=True) + b.square().sum(1) - 2 * a @ b.T
    return (squared.clamp_min(0) + EPSILON).sqrt()


def element_distance(a: Tensor, b: Tensor) -> Tensor:
    """Distance of every stripe of a to every stripe of b: `[N, S, d]` × `[N, S, d]` → `[N, S, S]` in [0, 1).

    Paper, equation 1: d = (e^x − 1) / (e^x + 1) with x = ‖f_i − g_j‖₂, written as tanh(x / 2), which is
    the same and cannot overflow.
    """
    squared = a.square().sum(-1)[:, :, None] + b.square().sum(-1)[:, None, :] - 2 * torch.bmm(a, b.transpose(1, 2))
    return torch.tanh((squared.clamp_min(0) + EPSILON).sqrt() / 2)


def shortest_path(element: Tensor) -> Tensor:
    """Cheapest monotone path from (1, 1) to (S, S), right or down: `[N, S, S]` → `[N]`. Paper, equation 2.

    The matrix is walked by anti-diagonals: their cells do not depend on each other, so S = 8 takes 14
    vectorised steps instead of 63.
    """
    size = element.shape[1]
    diagonal = element[:, 0, :1]  # path costs of the cells (i, k − i), by ascending i
    for k in range(1, 2 * size - 1):
        first, last = max(0, k - size + 1), min(k, size - 1)
        row = torch.arange(first, last + 1, device=element.device)
        # Predecessors by row index: above is (i − 1, k − i), left is (i, k − 1 − i), both on diagonal k − 1,
        # whose rows start at max(0, k − size). Outside the matrix the cost is infinite.
        padded = torch.nn.functional.pad(diagonal, (1, 1), value=float("inf"))
        offset = first - max(0, k - size) + 1
        length = last - first + 1
        above, left = padded[:, offset - 1 : offset - 1 + length], padded[:, offset : offset + length]
        diagonal = element[:, row, k - row] + torch.minimum(above, left)
    return diagonal[:, 0]


def local_distance(a: Tensor, b: Tensor) -> Tensor:
    """Aligned local distance of the pairs (a_n, b_n): stripes `[N, S, d]` × 2 → `[N]`.

    In float32 at least, under autocast too: a path adds up 2S − 1 steps, and differences of them are learnt from.
    """
    with torch.autocast(a.device.type, enabled=False):
        return shortest_path(element_distance(at_least_float32(a), at_least_float32(b)))


@torch.inference_mode()
def local_distance_matrix(query: Tensor, gallery: Tensor, pairs: int = 2**18) -> Tensor:
    """Aligned local distance of all pairs: stripes `[Q, S, d]`, `[G, S, d]` → `[Q, G]`; `pairs` at once.

    `sdk.distances.local_distance` for tensors: on a GPU, or in float64.
    """
    distance = at_least_float32(query).new_empty(len(query), len(gallery))
    columns = max(1, min(len(gallery), pairs))
    rows = max(1, pairs // columns)
    size = query.shape[1]
    with torch.autocast(query.device.type, enabled=False):
        for i in range(0, len(query), rows):
            for j in range(0, len(gallery), columns):
                a, b = (at_least_float32(x).flatten(0, 1) for x in (query[i : i + rows], gallery[j : j + columns]))
                element = torch.tanh(euclidean_distance(a, b) / 2).unflatten(0, (-1, size)).unflatten(2, (-1, size))
                part = element.permute(0, 2, 1, 3)  # [q, g, S, S]
                distance[i : i + rows, j : j + columns] = shortest_path(part.flatten(0, 1)).view(part.shape[:2])
    return distance


@torch.inference_mode()
def local_distance_gathered(query: Tensor, gallery: Tensor, candidates: Tensor) -> Tensor:
    """Aligned local distance of each query to its own candidates, as `sdk.distances.local_distance_gathered`.

    query `[B, S, d]`, gallery `[G, S, d]`, candidates int `[B, K]` of gallery rows → `[B, K]`; −1 stands for "none" and
    gives +inf. Raises `IndexError` for one outside the gallery.
    """
    if candidates.numel() and (candidates.max() >= len(gallery) or candidates.min() < -1):
        low, high = int(candidates.min()), int(candidates.max())
        raise IndexError(f"candidates reach from {low} to {high}; the gallery has {len(gallery)}")
    chosen = gallery[candidates.clamp_min(0).flatten().long()]
    distance = local_distance(query.repeat_interleave(candidates.shape[1], 0), chosen).view(candidates.shape)
    return distance.masked_fill(candidates < 0, float("inf"))
