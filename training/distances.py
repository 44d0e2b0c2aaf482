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
