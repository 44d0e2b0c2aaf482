"""The parts that protocols share: average precision, tallies over galleries, pooling, re-scoring."""

import numpy as np
import pytest

from sdk import measures as measures_module
from sdk.distances import local_distance
from sdk.errors import DataError
from sdk.measures import cosine, re_ranked, rescored
from sdk.reidentifier import Features
from tests.miniatures import by_colour, crop
from training.data import PeopleDataset
from training.data.benchmark import Entries, RetrievalTest
from training.evaluation import (
    average_precision,
    compare,
    cross_camera_test,
    evaluate_ranking,
    evaluate_retrieval,
)
from training.evaluation import dataset as dataset_module
from training.evaluation import retrieval as retrieval_module
from training.evaluation.comparison import without_cameras
from training.evaluation.dataset import evaluate_dataset
from training.evaluation.ranking import RankingResult, RankingTally, mean_of_splits
from training.evaluation.retrieval import pool_features, rank_entries


class Angles(PeopleDataset):
    """Crops of one colour, by angle."""

    def read(self, index, epoch=0):
        return crop(self.samples[index])


def area_under_curve(hits, trapezoid):
    """Rank by rank: recall rises at hits; the precision there, or the mean with that of the rank before."""
    found, area, before = 0, 0.0, 1.0
    for rank, hit in enumerate(hits, start=1):
        found += hit
        precision = found / rank
        if hit:
            area += ((precision + before) / 2 if trapezoid else precision) / sum(hits)
        before = precision
    return area


@pytest.mark.parametrize("trapezoid", [False, True])
def test_average_precision_is_the_area_that_the_publishers_count(trapezoid):
    hits = np.random.default_rng(0).random((50, 20)) < 0.3
    hits = hits[hits.any(axis=1)]
    expected = [area_under_curve(row, trapezoid) for row in hits]
    found = [average_precision(np.flatnonzero(row) + 1, trapezoid) for row in hits]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_average_precision_by_hand():
    ranks = np.array([2, 3])
    assert average_precision(ranks) == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert average_precision(ranks, trapezoid=True) == pytest.approx(((0 + 1 / 2) / 2 + (1 / 2 + 2 / 3) / 2) / 2)


def test_a_tally_of_galleries_of_different_sizes():
    """A match of rank 2 of 3, and one of rank 1 of 1, which then counts for every further rank; one without."""
    tally = RankingTally(max_rank=5)
    for distance, identities in (([0.2, 0.1, 0.3], "abc"), ([0.9], "a"), ([0.9], "b")):
        cameras = (np.array(["x"]), np.full(len(distance), "y"))
        tally.add(np.array([distance]).__getitem__, (np.array(["a"]), np.array(list(identities))), cameras)
    result = tally.result()
    assert result.cmc.tolist() == [0.5, 1.0, 1.0]
    assert result.mean_ap == 0.75
    assert result.num_queries == 2
    with pytest.raises(DataError, match="no query has a match"):
        RankingTally().result()


def test_groups_are_averaged_and_each_crop_is_read_once(monkeypatch):
    monkeypatch.setattr(retrieval_module, "BATCH", 3)
    people = Angles((0, 40, 10, 80, 70, 60, 20))
    read = []

    def extract(crops):
        read.append(len(crops))
        return by_colour(crops)

    groups = [np.array([1, 0]), np.array([3]), np.array([6, 0, 1]), np.array([5, 4])]
    features = pool_features(extract, people, groups, with_stripes=True)
    angle = np.degrees(np.arctan2(features.embedding[:, 1], features.embedding[:, 0]))
    np.testing.assert_allclose(angle, [20, 80, 20, 65], atol=0.3)
    np.testing.assert_allclose(np.linalg.norm(features.stripes, axis=2), 1, atol=1e-6)
    assert features.stripes.shape == (4, 2, 3)
    assert sum(read) == 6, "crop 2 is in no group"
    assert max(read) == 3
    alone = pool_features(lambda crops: Features(by_colour(crops).embedding), people, groups)
    np.testing.assert_allclose(alone.embedding, features.embedding)
    assert alone.stripes is None


def features_with_stripes(rng, count):
    embedding, stripes = rng.normal(size=(count, 8)), rng.normal(size=(count, 4, 6))
    unit = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (embedding, stripes))
    return Features(*(x.astype(np.float32) for x in unit))


@pytest.mark.parametrize("pairs", [1, 70, 2000])
@pytest.mark.parametrize("base", [cosine, re_ranked])
def test_rescoring_adds_the_local_distance_of_the_candidates(pairs, base, monkeypatch):
    monkeypatch.setattr(measures_module, "PAIRS", pairs)
    rng = np.random.default_rng(0)
    query, gallery = features_with_stripes(rng, 5), features_with_stripes(rng, 30)
    everything = slice(None)
    plain = base(query, gallery)(everything)
    whole = plain + 0.5 * local_distance(query.stripes, gallery.stripes) / 7
    np.testing.assert_allclose(rescored(base, 0.5, None)(query, gallery)(everything), whole, atol=1e-5)
    measure = rescored(base, 0.5, 6)(query, gallery)
    some = measure(everything)
    np.testing.assert_allclose(measure(slice(2, 4)), some[2:4], atol=1e-6, err_msg="rows depend on nothing else")
    for row in range(5):
        order = np.argsort(plain[row])
        near, far = order[:6], order[6:]
        np.testing.assert_allclose(some[row, near], whole[row, near], atol=1e-5)
        assert some[row, near].max() < some[row, far].min(), "the candidates stay ahead"
        np.testing.assert_allclose(some[row, far] - plain[row, far], 0.5, atol=1e-5, err_msg="in their order")
    np.testing.assert_array_equal(plain, base(query, gallery)(everything), "what is given is not changed")


def drawn_test():
    """Two people in two cameras; each is nearest to the other by embedding, and to himself by stripes."""
    people = Angles((0, 1, 2, 3))
    entries = Entries(tuple(np.arange(4)[:, None]), np.array(["a", "b", "a", "b"]), np.array(["x", "x", "y", "y"]))
    return RetrievalTest(people, entries, ((np.array([0, 1]), np.array([2, 3])),))


def crossed(crops):
    angles = np.round(np.degrees(np.arctan2(*np.array([c[0, 0, 1::-1] for c in crops], float).T))).astype(int)
    embedding = np.eye(4, dtype=np.float32)[[[0, 1, 1, 0][a] for a in angles]]
    stripes = np.eye(4, dtype=np.float32)[[[0, 1, 0, 1][a] for a in angles]][:, None].repeat(3, axis=1)
    return Features((embedding + 3) / np.linalg.norm(embedding + 3, axis=1, keepdims=True), stripes)


def rank1(measure, **options):
    return evaluate_retrieval(crossed, drawn_test(), {"it": measure}, **options)["it"].rank(1)


def test_a_test_ranks_by_the_measures_that_are_asked_for():
    assert rank1(cosine) == 0
    assert rank1(rescored(), with_stripes=True) == 1
    assert rank1(rescored(weight=0.0), with_stripes=True) == 0
    several = {"plain": cosine, "local": rescored(), "neighbours": re_ranked}
    results = evaluate_retrieval(crossed, drawn_test(), several, with_stripes=True)
    assert {name: result.num_queries for name, result in results.items()} == dict.fromkeys(several, 2)
    assert (results["plain"].rank(1), results["local"].rank(1)) == (0, 1)


def test_a_model_without_stripes_cannot_rescore():
    def plain(crops):
        return Features(crossed(crops).embedding)

    with pytest.raises(DataError, match="no stripes"):
        evaluate_retrieval(plain, drawn_test(), {"it": rescored()}, with_stripes=True)
    assert evaluate_retrieval(plain, drawn_test(), {"it": re_ranked})["it"].num_queries == 2


def test_across_cameras_is_what_people_without_a_protocol_are_tested_by(drawn_people, monkeypatch):
    people = PeopleDataset.from_folder(drawn_people)
    ranking = evaluate_retrieval(by_colour, cross_camera_test(people), {"it": cosine})["it"]
    evaluation = evaluate_dataset(lambda crops: by_colour(crops).embedding, people)
    assert ranking.to_dict() == pytest.approx(evaluation.ranking.to_dict(), abs=1e-6)
    monkeypatch.setattr(dataset_module, "MOST_CROPS", 48)
    half = evaluate_dataset(lambda crops: by_colour(crops).embedding, people)
    assert half.ranking.num_queries == 48


# In all ways at once


class Numbered(PeopleDataset):
    """Crops whose left half is bright by their number and whose right half by another."""

    def read(self, index, epoch=0):
        picture = np.empty((8, 8, 3), np.uint8)
        picture[:, :4], picture[:, 4:] = self.samples[index]
        return picture


def test_flipped_crops_are_averaged_and_every_crop_is_read_once():
    rng = np.random.default_rng(0)
    halves = rng.integers(0, 256, (40, 2))
    known = rng.normal(size=(256, 6)).astype(np.float32)
    read = []

    def extract(crops):  # what it sees is the left half alone
        read.append(len(crops))
        embedding = known[[crop[0, 0, 0] for crop in crops]]
        return Features(embedding / np.linalg.norm(embedding, axis=1, keepdims=True))

    identities, cameras = np.arange(40) % 10, np.repeat(["x", "y"], 20)
    entries = Entries(tuple(np.arange(40)[:, None]), identities, cameras)
    test = RetrievalTest(Numbered(tuple(map(tuple, halves))), entries, ((np.arange(20), np.arange(20, 40)),))
    found = compare(extract, test)
    assert sum(read) == 2 * 40

    def unit(vectors):
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    left, right = (unit(known[halves[:, side]]) for side in (0, 1))
    for name, features in (("global", left), ("flipped crops averaged", unit(left + right))):
        expected = evaluate_ranking(*np.split(features, 2), *np.split(identities, 2), *np.split(cameras, 2))
        assert found.rankings[name].to_dict() == pytest.approx(expected.to_dict())
    assert found.rankings["global"].mean_ap != found.rankings["flipped crops averaged"].mean_ap
    assert found.left_out["+ local distance"] == "the model gives no stripes"
    assert "20 crops; its statistics need at least 32" in found.left_out["per-camera statistics taken away"]


def test_what_cameras_add_is_learned_from_those_who_are_ranked_alone():
    """Others in the query's camera are nearer than the person in the other one. What that adds differs by split, so
    statistics of both together would leave half of it."""
    rng = np.random.default_rng(1)
    person = rng.normal(size=(80, 16)).astype(np.float32)
    added = 6 * rng.normal(size=(2, 16)).astype(np.float32)
    features = np.concatenate([person, person + added[np.repeat([0, 1], 40)]])
    features += 0.1 * rng.normal(size=features.shape).astype(np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    rows = np.arange(160)
    entries = Entries(tuple(rows[:, None]), rows % 80, np.repeat(["x", "y"], 80))
    rounds = tuple((rows[:80][own], np.concatenate([rows[:80][own], rows[80:][own]])) for own in np.split(rows[:80], 2))
    test = RetrievalTest(Angles(tuple(rows)), entries, rounds, splits=True)
    plain, without = (
        rank_entries(Features(features), test, {"it": cosine}, prepare)["it"] for prepare in (None, without_cameras)
    )
    assert plain.rank(1) < 0.5
    assert without.rank(1) > 0.9
    assert (without.splits, without.num_queries) == (2, 80)


def test_the_mean_of_splits_has_the_deviation_of_a_sample():
    results = [RankingResult(np.array([r, 1.0]), m, 0.5, 7, m - 0.1) for r, m in ((0.2, 0.4), (0.4, 0.5), (0.6, 0.9))]
    mean = mean_of_splits(results)
    assert mean.cmc.tolist() == pytest.approx([0.4, 1.0])
    assert (mean.mean_ap, mean.mean_ap_trapezoids) == pytest.approx((0.6, 0.5))
    assert mean.deviation["rank1"] == pytest.approx(0.2)
    assert mean.deviation["mAP"] == pytest.approx(np.std([0.4, 0.5, 0.9], ddof=1))
    assert (mean.splits, mean.num_queries) == (3, 21)
    assert mean_of_splits(results[:1]) is results[0]
    assert "splits" not in results[0].to_dict()
