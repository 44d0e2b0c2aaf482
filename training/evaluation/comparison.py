"""One model on one test in several ways: plain, with flipped crops, without what cameras add, re-scored, re-ranked."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sdk.calibration import CameraStatistics
from sdk.errors import DataError
from sdk.measures import Measure, cosine, re_ranked, rescored
from sdk.reidentifier import Features
from training.data.benchmark import RetrievalTest
from training.evaluation.ranking import RankingResult
from training.evaluation.retrieval import FeatureExtractor, pool_features, rank_entries, used_entries

GLOBAL, FLIPPED, PER_CAMERA = "global", "flipped crops averaged", "per-camera statistics taken away"
LOCAL, RE_RANKED = "+ local distance", "+ re-ranking"
WAYS = (GLOBAL, FLIPPED, PER_CAMERA, LOCAL, RE_RANKED)


@dataclass(frozen=True)
class Comparison:
    """Figures by way, in the order of `WAYS`; what could not be done has a reason instead."""

    rankings: dict[str, RankingResult]
    left_out: dict[str, str]


def compare(
    extract: FeatureExtractor, test: RetrievalTest, *, by_cosine: Measure = cosine, local: bool = True
) -> Comparison:
    """Rank the test in all ways, each beside the plain one; every crop is read and embedded once, and once mirrored.

    by_cosine: `sdk.measures.cosine` or the same on a device. local: whether the model's stripes, where it gives any,
    were trained. Raises `DataError` if an image cannot be read, naming it, or as ranking does.
    """
    used = used_entries(test)
    plain, flipped = _embed(extract, used)
    rankings = rank_entries(plain, used, {GLOBAL: by_cosine})
    rankings |= rank_entries(flipped, used, {FLIPPED: by_cosine})
    left_out = {}
    if not used.named_cameras:
        left_out[PER_CAMERA] = "the dataset does not tell its cameras"
    else:
        try:
            rankings |= rank_entries(plain, used, {PER_CAMERA: by_cosine}, without_cameras)
        except DataError as error:  # too few crops of a camera
            left_out[PER_CAMERA] = str(error)
    if plain.stripes is None or not local:
        left_out[LOCAL] = "the model gives no stripes" if local else "the model's local branch was not trained"
    else:
        rankings |= rank_entries(plain, used, {LOCAL: rescored()})
    rankings |= rank_entries(plain, used, {RE_RANKED: re_ranked})
    return Comparison(rankings, left_out)


def without_cameras(features: Features, cameras: np.ndarray) -> Features:
    """Features without what their cameras (`[N]`, names) add, learned from these very features, without identities.

    Raises `DataError` naming a camera that has too few of them.
    """
    statistics = CameraStatistics.fit(features.embedding, cameras)
    return Features(statistics.normalise(features.embedding, cameras), features.stripes)


def _embed(extract: FeatureExtractor, test: RetrievalTest) -> tuple[Features, Features]:
    """The features of all entries, and their mean with those of the mirrored crops."""

    def both(crops: Sequence[np.ndarray]) -> Features:
        features = extract(crops)
        mirrored = extract([np.ascontiguousarray(crop[:, ::-1]) for crop in crops])
        return Features(np.concatenate([features.embedding, mirrored.embedding], axis=1), features.stripes)

    features = pool_features(both, test.crops, test.entries.groups, with_stripes=None)
    plain, mirrored = np.split(features.embedding, 2, axis=1)
    return Features(_unit(plain), features.stripes), Features(_unit(plain + mirrored))


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
