"""The protocols of research datasets: who is searched for among whom is in the data, `RetrievalTest`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from sdk.errors import DataError
from sdk.measures import Measure, require_stripes
from sdk.reidentifier import Features
from sdk.terminal import track
from training.data.benchmark import Entries, RetrievalTest
from training.data.folder import PeopleDataset
from training.evaluation.dataset import BATCH
from training.evaluation.ranking import RankingResult, RankingTally, mean_of_splits

FeatureExtractor = Callable[[Sequence[np.ndarray]], Features]
"""Crops, uint8 BGR `[H, W, 3]` each → their features, with or without stripes."""
Prepare = Callable[[Features, np.ndarray], Features]
"""Features of entries, cameras of the same, names `[N]` → features to compare."""


def evaluate_retrieval(
    extract: FeatureExtractor,
    test: RetrievalTest,
    measures: Mapping[str, Measure],
    *,
    multi_query: bool = False,
    with_stripes: bool = False,
) -> dict[str, RankingResult]:
    """The test's figures by the name of the measure: means over all queries of all rounds.

    multi_query: a query is the mean of all images of its person in its camera. with_stripes: for measures that align
    them. Raises `DataError` if the test has no such images, if there are no stripes, or if an image cannot be read,
    naming it.
    """
    used = used_entries(test, multi_query)
    features = pool_features(extract, used.crops, used.entries.groups, with_stripes)
    return rank_entries(features, used, measures)


def used_entries(test: RetrievalTest, multi_query: bool = False) -> RetrievalTest:
    """The test with those entries alone that its rounds, or those of `multi_query`, rank.

    Raises `DataError` if there are no such rounds.
    """
    rounds = test.multi_query if multi_query else test.rounds
    if not rounds:
        raise DataError(
            "the dataset has no further images of its queries here; multi-query is for Market-1501 with gt_bbox"
        )
    used = np.unique(np.concatenate([np.concatenate(pair) for pair in rounds]))
    place = np.full(len(test.entries.groups), -1)
    place[used] = np.arange(len(used))
    groups = tuple(test.entries.groups[row] for row in used)
    entries = Entries(groups, test.entries.identities[used], test.entries.cameras[used])
    rounds = tuple((place[query], place[gallery]) for query, gallery in rounds)
    return replace(test, entries=entries, rounds=rounds, multi_query=())


def rank_entries(
    features: Features, test: RetrievalTest, measures: Mapping[str, Measure], prepare: Prepare | None = None
) -> dict[str, RankingResult]:
    """The figures of features that are there already, a row an entry: means over all queries of all rounds, or over
    the rounds where these are splits.

    prepare: what is done to the features of a round, its queries' and its gallery's, before they are compared. Raises
    `DataError` as it and the measures do.
    """
    # Numbers compare quicker than names.
    _, identities = np.unique(test.entries.identities, return_inverse=True)
    _, cameras = np.unique(test.entries.cameras, return_inverse=True)
    tallies = {name: [] for name in measures}
    for name, measure in measures.items():
        for query, gallery in track(test.rounds, f"ranking, {name}", total=len(test.rounds)):
            if test.splits or not tallies[name]:
                tallies[name].append(RankingTally(trapezoid=test.trapezoid))
            of_query, of_gallery = _round(features, test, query, gallery, prepare)
            tallies[name][-1].add(
                measure(of_query, of_gallery),
                (identities[query], identities[gallery]),
                (cameras[query], cameras[gallery]),
            )
    return {name: mean_of_splits([tally.result() for tally in rows]) for name, rows in tallies.items()}


def _round(
    features: Features, test: RetrievalTest, query: np.ndarray, gallery: np.ndarray, prepare: Prepare | None
) -> tuple[Features, Features]:
    """The features of the queries and of the gallery."""
    if prepare is None:
        return rows_of(features, query), rows_of(features, gallery)
    rows, place = np.unique(np.concatenate([query, gallery]), return_inverse=True)
    prepared = prepare(rows_of(features, rows), test.entries.cameras[rows])
    return rows_of(prepared, place[: len(query)]), rows_of(prepared, place[len(query) :])


def cross_camera_test(people: PeopleDataset) -> RetrievalTest:
    """The test of people without a protocol: every crop is a query once, against all crops of the other cameras.

    A round for each camera, so that what looks at a gallery as a whole, such as re-ranking, sees no other crops.
    """
    cameras = people.cameras
    rounds = tuple((np.flatnonzero(cameras == c), np.flatnonzero(cameras != c)) for c in np.unique(cameras))
    protocol = f"cross-camera: each of {len(people)} crops searched for among all of the other cameras"
    return RetrievalTest(people, Entries.of_crops(people), rounds, protocol=protocol)


def pool_features(
    extract: FeatureExtractor, crops: PeopleDataset, groups: Sequence[np.ndarray], with_stripes: bool | None = False
) -> Features:
    """The mean features of groups of crops, at unit length: one row a group; each crop is read once.

    with_stripes: the stripes too, averaged and brought to unit length one by one; `DataError` if there are none. None:
    where the model gives them.
    """
    crop = np.concatenate(groups)
    group = np.repeat(np.arange(len(groups)), [len(members) for members in groups])
    order = np.argsort(crop, kind="stable")
    crop, group = crop[order], group[order]
    wanted = np.unique(crop)
    embedding = stripes = None
    starts = range(0, len(wanted), BATCH)
    for start in track(starts, "embedding", total=len(starts)):
        batch = wanted[start : start + BATCH]
        features = extract([crops.read(int(i)) for i in batch])
        if with_stripes:
            require_stripes(features)
        elif with_stripes is None:
            with_stripes = features.stripes is not None
        if embedding is None:
            embedding = np.zeros((len(groups), *features.embedding.shape[1:]), np.float32)
            stripes = np.zeros((len(groups), *features.stripes.shape[1:]), np.float32) if with_stripes else None
        pairs = slice(*np.searchsorted(crop, [batch[0], batch[-1] + 1]))
        row = np.searchsorted(batch, crop[pairs])
        np.add.at(embedding, group[pairs], features.embedding[row])
        if with_stripes:
            np.add.at(stripes, group[pairs], features.stripes[row])
    return Features(_unit(embedding), None if stripes is None else _unit(stripes))


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def rows_of(features: Features, rows: np.ndarray) -> Features:
    """Some rows of features, stripes too where there are any."""
    return Features(features.embedding[rows], None if features.stripes is None else features.stripes[rows])
