"""Stripes, candidates and what their distances are."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Pairs:
    """Queries, a gallery and candidates: `[B, S, d]`, `[G, S, d]`, int32 `[B, K]`."""

    query: np.ndarray
    gallery: np.ndarray
    candidates: np.ndarray


def random_pairs(rng: np.random.Generator, stripes: int, dim: int, dtype) -> Pairs:
    """Unit-length stripes as models give them, with copies, a person of zeros, no candidate, rows outside."""
    query, gallery = (rng.normal(size=(count, stripes, dim)) for count in (7, 23))
    query, gallery = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (query, gallery))
    gallery[0] = 0
    gallery[1:8] = query
    gallery[8, rng.integers(stripes)] = query[0, rng.integers(stripes)]
    candidates = rng.integers(0, 23, (7, 41))
    candidates[:, :3] = np.arange(7)[:, None] + [1, 0, 2]  # its own copy first
    candidates.flat[rng.choice(candidates.size, 30, replace=False)] = rng.choice([-1, -7, 23, 2**31 - 1], 30)
    return Pairs(query.astype(dtype), gallery.astype(dtype), candidates.astype(np.int32))


def big_pairs(queries: int, per_query: int, entries: int, stripes: int = 8, dim: int = 128) -> Pairs:
    """Half precision; all candidates differ, so that no cache holds them from one query to the next."""
    rng = np.random.default_rng(1)
    block = rng.normal(scale=dim**-0.5, size=(min(entries, 4096), stripes, dim)).astype(np.float16)
    gallery = np.tile(block, (-(-entries // len(block)), 1, 1))[:entries]
    candidates = rng.permutation(entries)[: queries * per_query].reshape(queries, per_query)
    return Pairs(block[:queries].copy(), gallery, candidates.astype(np.int32))


def exact_distances(pairs: Pairs) -> np.ndarray:
    """In float64: by the definition, cell after cell; NaN for rows outside the gallery, +inf for −1."""
    query, gallery = pairs.query.astype(np.float64), pairs.gallery.astype(np.float64)
    inside = (pairs.candidates >= 0) & (pairs.candidates < len(gallery))
    chosen = gallery[np.where(inside, pairs.candidates, 0)]
    x = np.sqrt(np.square(query[:, None, :, None] - chosen[:, :, None]).sum(-1))
    element = np.tanh(x / 2)  # [B, K, S, S]
    size = element.shape[-1]
    cost = np.full((*element.shape[:2], size + 1, size + 1), np.inf)
    for i in range(size):
        for j in range(size):
            before = np.minimum(cost[..., i, j + 1], cost[..., i + 1, j]) if i or j else 0.0
            cost[..., i + 1, j + 1] = element[..., i, j] + before
    return np.where(inside, cost[..., size, size], np.where(pairs.candidates == -1, np.inf, np.nan))


def torch_distances(torch, query, gallery, candidates):
    """The same formula in PyTorch, in half precision with the product on tensor cores: `[B, K]`, float32."""
    chosen = gallery[candidates]  # [B, K, S, d]
    product = torch.matmul(chosen, query[:, None].transpose(-1, -2)).float()
    squared = query.float().square().sum(-1)[:, None, None] + chosen.float().square().sum(-1)[..., None] - 2 * product
    element = torch.tanh(squared.clamp_min(0).sqrt() / 2)
    rows, columns = element.shape[-2:]
    cost = list(element[..., 0, :].cumsum(-1).unbind(-1))
    for i in range(1, rows):
        cost[0] = cost[0] + element[..., i, 0]
        for j in range(1, columns):
            cost[j] = torch.minimum(cost[j], cost[j - 1]) + element[..., i, j]
    return cost[-1]
