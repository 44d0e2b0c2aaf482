"""One definition of the local distance, in NumPy and in torch, against a float64 search over all paths."""

from itertools import combinations

import numpy as np
import pytest
import torch

from sdk import distances
from training import distances as torch_distances


def cheapest_path(element: np.ndarray) -> float:
    """All monotone paths of an S×S matrix, one by one: which of the 2S − 2 moves go down."""
    size = len(element)
    best = np.inf
    for down in combinations(range(2 * size - 2), size - 1):
        i = j = 0
        cost = element[0, 0]
        for move in range(2 * size - 2):
            i, j = (i + 1, j) if move in down else (i, j + 1)
            cost += element[i, j]
        best = min(best, cost)
    return best


def brute_force(query: np.ndarray, gallery: np.ndarray) -> float:
    query, gallery = query.astype(np.float64), gallery.astype(np.float64)
    x = np.linalg.norm(query[:, None] - gallery[None], axis=-1)
    return cheapest_path((np.exp(x) - 1) / (np.exp(x) + 1))


@pytest.mark.parametrize("stripes", range(1, 9))
def test_local_distance_is_the_cheapest_monotone_path(stripes):
    rng = np.random.default_rng(stripes)
    query, gallery = rng.normal(size=(3, stripes, 16)), rng.normal(size=(4, stripes, 16))
    query, gallery = query.astype(np.float32), gallery.astype(np.float32)
    expected = np.array([[brute_force(q, g) for g in gallery] for q in query])
    np.testing.assert_allclose(distances.local_distance(query, gallery), expected, atol=1e-5)
    pairs = torch_distances.local_distance(
        torch.from_numpy(np.repeat(query, 4, axis=0)), torch.from_numpy(np.tile(gallery, (3, 1, 1)))
    )
    np.testing.assert_allclose(pairs.numpy().reshape(3, 4), expected, atol=1e-5)
    double = [torch.from_numpy(x).double() for x in (query, gallery)]
    for at_once in (1, 2, 5, 100):
        matrix = torch_distances.local_distance_matrix(*double, pairs=at_once)
        np.testing.assert_allclose(matrix.numpy(), expected, atol=1e-9)


def test_gathered_candidates_in_torch_are_those_of_numpy():
    rng = np.random.default_rng(0)
    query, gallery = (rng.normal(size=(count, 4, 6)).astype(np.float32) for count in (3, 7))
    candidates = np.array([[0, 6, 3], [2, -1, 2], [5, 5, -1]], np.int32)
    tensors = [torch.from_numpy(x) for x in (query, gallery, candidates)]
    expected = distances.local_distance_gathered(query, gallery, candidates)
    found = torch_distances.local_distance_gathered(*tensors).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.isinf(found[candidates < 0]).all()
    with pytest.raises(IndexError, match="gallery has 7"):
        torch_distances.local_distance_gathered(tensors[0], tensors[1], torch.tensor([[7]] * 3))


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (4, 1), (3, 3), (4, 6), (8, 8)])
def test_the_path_costs_what_shortest_path_says_and_is_monotone(shape):
    element = np.random.default_rng(shape).uniform(size=shape)
    cells = distances.path_cells(element)
    assert cells.tolist()[0] == [0, 0]
    assert cells.tolist()[-1] == [shape[0] - 1, shape[1] - 1]
    assert {tuple(step) for step in np.diff(cells, axis=0).tolist()} <= {(0, 1), (1, 0)}
    assert element[tuple(cells.T)].sum() == pytest.approx(distances.shortest_path(element))


@pytest.mark.parametrize("size", [2, 3, 4, 5])
def test_the_path_is_the_cheapest_of_all(size):
    for seed in range(20):
        element = np.random.default_rng(seed).uniform(size=(size, size))
        cells = distances.path_cells(element)
        assert element[tuple(cells.T)].sum() == pytest.approx(cheapest_path(element))


def test_a_tie_is_taken_from_above():
    assert distances.path_cells(np.ones((3, 3))).tolist() == [[0, 0], [0, 1], [0, 2], [1, 2], [2, 2]]


@pytest.mark.parametrize("shape", [(0, 3), (2, 3, 3), (3,)])
def test_a_path_needs_one_matrix(shape):
    with pytest.raises(ValueError, match="one matrix"):
        distances.path_cells(np.zeros(shape))


def test_a_shifted_body_is_nearer_than_another_person():
    """What the local branch is for: a box that is one stripe too low still matches, stripe by stripe it would not."""
    rng = np.random.default_rng(0)
    stripes = rng.normal(size=(17, 32)).astype(np.float32)
    stripes /= np.linalg.norm(stripes, axis=1, keepdims=True)
    person, shifted, other = stripes[:8], stripes[1:9], stripes[9:]
    aligned = distances.local_distance(person[None], np.stack([shifted, other]))[0]
    in_place = [np.trace(distances.element_distance(person, s)) for s in (shifted, other)]
    assert aligned[0] < 0.7 * aligned[1]
    assert in_place[0] > 0.9 * in_place[1]


def test_gathered_pairs_equal_all_pairs():
    rng = np.random.default_rng(1)
    query, gallery = rng.normal(size=(3, 8, 16)), rng.normal(size=(10, 8, 16))
    candidates = np.array([[9, 0, -1], [3, 3, 2], [-1, -1, 5]])
    gathered = distances.local_distance_gathered(query, gallery, candidates)
    every = distances.local_distance(query, gallery)
    for b, k in np.ndindex(3, 3):
        expected = np.inf if candidates[b, k] < 0 else every[b, candidates[b, k]]
        assert gathered[b, k] == pytest.approx(expected, abs=1e-6)


def test_candidates_outside_the_gallery_are_refused():
    stripes = np.zeros((2, 8, 16))
    with pytest.raises(IndexError, match="gallery has 2"):
        distances.local_distance_gathered(stripes, stripes, np.array([[0, 2]]))


def test_element_distance_never_overflows():
    far = distances.element_distance(np.full((1, 4), 1e4, np.float32), np.full((1, 4), -1e4, np.float32))
    assert far == pytest.approx(1.0)


def test_the_gradient_is_right_and_finite_at_zero_distance():
    torch.manual_seed(0)
    a = torch.randn(2, 4, 6, dtype=torch.float64, requires_grad=True)
    b = torch.randn(2, 4, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(torch_distances.local_distance, (a, b))
    same = torch.randn(1, 4, 6, requires_grad=True)
    torch_distances.local_distance(same, same.detach().clone()).sum().backward()
    assert torch.isfinite(same.grad).all()


def test_half_precision_stripes_are_aligned_in_float32():
    stripes = torch.randn(2, 4, 8).half()
    assert torch_distances.local_distance(stripes, stripes.flip(0)).dtype == torch.float32


def test_cosine_distance():
    a = np.array([[1.0, 0.0]])
    b = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    np.testing.assert_allclose(distances.cosine_distance(a, b), [[0, 1, 2]])


def test_nan_stays_with_its_crop_and_other_shapes_are_refused():
    stripes = np.random.default_rng(0).normal(size=(5, 4, 6)).astype(np.float32)
    broken = stripes.copy()
    broken[2, 1, 0] = np.nan
    distance = distances.local_distance(stripes, broken)
    assert np.isnan(distance[:, 2]).all()
    assert np.isfinite(np.delete(distance, 2, axis=1)).all()
    assert distances.local_distance(stripes[:0], stripes).shape == (0, 5)
    with pytest.raises(ValueError, match="shape"):
        distances.local_distance(stripes, stripes[:, :, :3])
