"""Ranking figures against a slow reference; the threshold's rates."""

import numpy as np
import pytest
import torch

from sdk.calibration.threshold import TRACKLET_CROPS
from sdk.distances import cosine_distance
from sdk.errors import DataError
from sdk.tracking.tracklet import GROUP
from training.data import PeopleDataset
from training.evaluation import calibrate_threshold, embed_dataset, evaluate_distances, evaluate_ranking
from training.evaluation import ranking as ranking_module


def unit(rng, shape):
    x = rng.normal(size=shape)
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def reference(query, gallery, qi, gi, qc, gc, cross_camera):
    """One query at a time, as the figures are defined."""
    first_hits, aps, inps = [], [], []
    for q in range(len(query)):
        kept = [
            g
            for g in range(len(gallery))
            if not (gc[g] == qc[q] if cross_camera else gi[g] == qi[q] and gc[g] == qc[q])
        ]
        kept.sort(key=lambda g: 1 - query[q] @ gallery[g])
        ranks = [r for r, g in enumerate(kept, start=1) if gi[g] == qi[q]]
        if ranks:
            first_hits.append(ranks[0])
            aps.append(np.mean([n / r for n, r in enumerate(ranks, start=1)]))
            inps.append(len(ranks) / ranks[-1])
    cmc = [np.mean([hit <= k for hit in first_hits]) for k in range(1, len(gallery) + 1)]
    return cmc, np.mean(aps), np.mean(inps), len(aps)


@pytest.mark.parametrize("cross_camera", [False, True])
@pytest.mark.parametrize("block_bytes", [1000, 2**20])
@pytest.mark.parametrize("ties", [False, True])
def test_figures_equal_the_slow_reference(cross_camera, block_bytes, ties, monkeypatch):
    monkeypatch.setattr(ranking_module, "BLOCK_BYTES", block_bytes)
    rng = np.random.default_rng(block_bytes)
    query, gallery = unit(rng, (20, 8)), unit(rng, (40, 8))
    if ties:  # exact ones: of vectors along the axes
        query, gallery = np.eye(8)[rng.integers(0, 8, 20)], np.eye(8)[rng.integers(0, 8, 40)]
    ids, cameras = (rng.integers(0, 6, n) for n in (20, 40)), (rng.integers(0, 3, n) for n in (20, 40))
    (qi, gi), (qc, gc) = ids, cameras
    qi[0] = 99  # a query without a match is not counted
    result = evaluate_ranking(query, gallery, qi, gi, qc, gc, cross_camera=cross_camera)
    cmc, mean_ap, mean_inp, count = reference(query, gallery, qi, gi, qc, gc, cross_camera)
    np.testing.assert_allclose(result.cmc, cmc, atol=1e-12)
    assert result.mean_ap == pytest.approx(mean_ap, abs=1e-12)
    assert result.mean_inp == pytest.approx(mean_inp, abs=1e-12)
    assert result.num_queries == count < 20
    distance = cosine_distance(query, gallery)
    of_distances = evaluate_distances(distance, qi, gi, qc, gc, cross_camera=cross_camera)
    assert of_distances.to_dict() == result.to_dict()
    np.testing.assert_array_equal(distance, cosine_distance(query, gallery), "what is given is not changed")
    tensors = torch.from_numpy(query), torch.from_numpy(gallery)
    of_tensors = evaluate_ranking(*tensors, qi, gi, qc, gc, cross_camera=cross_camera)
    assert of_tensors.to_dict() == pytest.approx(result.to_dict(), abs=1e-12)


def test_features_that_are_not_finite_are_named():
    features = np.eye(3)
    features[2, 2] = np.nan
    with pytest.raises(DataError, match="query 0 are NaN"):
        evaluate_ranking(features, features, [0, 1, 1], [0, 1, 1], ["a", "a", "b"], ["b", "b", "a"])


def test_rank_k_beyond_the_gallery_is_its_last_value():
    features = np.eye(2)
    result = evaluate_ranking(features, features, [0, 1], [0, 1], ["a", "a"], ["b", "b"])
    assert result.rank(1) == result.rank(10) == 1.0


def test_one_camera_has_nothing_to_evaluate():
    features = np.eye(2)
    with pytest.raises(DataError, match="two cameras"):
        evaluate_ranking(features, features, [0, 1], [0, 1], ["a", "a"], ["a", "a"])


def test_the_threshold_lets_the_wanted_share_of_impostors_pass():
    rng = np.random.default_rng(0)
    labels, cameras = np.repeat(np.arange(30), 4), np.tile(["a", "b"], 60)
    centres = unit(rng, (30, 16))
    features = centres[labels] + 0.15 * rng.normal(size=(120, 16))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    threshold = calibrate_threshold(features, labels, cameras, false_match_rate=0.02)
    across = cameras[:, None] != cameras[None]
    same = labels[:, None] == labels[None]
    passed = 1 - features @ features.T <= threshold.value
    assert passed[across & ~same].mean() == pytest.approx(0.02, abs=0.002)
    assert passed[across & same].mean() == pytest.approx(threshold.true_match_rate, abs=1e-9)
    assert threshold.impostor_pairs == (across & ~same).sum() / 2


def people_in_two_cameras(crops, noise):
    """30 people, `crops` crops each in two cameras; a crop differs by `noise`, a camera by as much for each person."""
    rng = np.random.default_rng(1)
    labels, cameras = np.repeat(np.arange(30), 2 * crops), np.tile(np.repeat(["a", "b"], crops), 30)
    features = unit(rng, (30, 16))[labels] + noise * np.repeat(rng.normal(size=(60, 16)), crops, axis=0)
    features += noise * rng.normal(size=features.shape)
    return features / np.linalg.norm(features, axis=1, keepdims=True), labels, cameras


def test_tracklets_that_tell_people_apart_need_no_more_than_the_threshold_of_crops():
    threshold = calibrate_threshold(*people_in_two_cameras(crops=6, noise=0.05))
    assert threshold.tracklet_value == threshold.value
    assert threshold.tracklet_true_match_rate == 1


def test_the_threshold_of_tracklets_keeps_people_whole_within_limits():
    threshold = calibrate_threshold(*people_in_two_cameras(crops=6, noise=0.13))
    assert threshold.tracklet_value > threshold.value
    assert threshold.tracklet_true_match_rate == pytest.approx(0.99, abs=0.011)
    assert threshold.true_match_rate < threshold.tracklet_true_match_rate
    hopeless = calibrate_threshold(*people_in_two_cameras(crops=6, noise=0.5))
    assert hopeless.tracklet_false_match_rate == pytest.approx(0.1, abs=0.002)
    assert hopeless.tracklet_true_match_rate < 0.99


def test_calibration_averages_as_many_crops_as_the_tracker():
    assert TRACKLET_CROPS == GROUP


def test_one_crop_a_camera_tells_nothing_of_tracklets():
    threshold = calibrate_threshold(*people_in_two_cameras(crops=1, noise=0.3))
    assert threshold.tracklet_value == threshold.value


def test_a_threshold_needs_two_people_in_two_cameras():
    with pytest.raises(DataError, match="two people"):
        calibrate_threshold(np.eye(2), np.array([0, 1]), np.array(["a", "a"]))


def test_all_crops_are_embedded_in_order(drawn_people):
    people = PeopleDataset.from_folder(drawn_people)
    means = embed_dataset(lambda crops: np.array([[c.mean()] for c in crops]), people)
    assert means.shape == (len(people), 1)
    assert means[70, 0] == people.read(70).mean()
