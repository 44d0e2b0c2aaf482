"""Find a person among the crops of a folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sdk.errors import DataError
from sdk.folder import Sample, read_image
from sdk.measures import Measure, cosine
from sdk.reidentifier import Features, ReIdentifier
from sdk.terminal import track

BATCH = 64


@dataclass(frozen=True)
class Query:
    """One person, as one camera or somebody's photographs show him or her."""

    name: str
    paths: tuple[Path, ...]
    """Images of the one person; their features are averaged."""
    identity: str | None = None
    """Who it is, where that is known: hits are then right or wrong."""
    camera: str | None = None
    """Whose crops are not searched: a person in the same camera is found by tracking."""
    crop: np.ndarray | None = None
    """uint8 BGR `[H, W, 3]` to show, where there is no image file."""


@dataclass(frozen=True)
class Hit:
    """One crop of a folder, or one identity of a gallery by its nearest exemplar."""

    path: Path | None
    """None in a gallery."""
    identity: str
    camera: str
    distance: float
    """By what the search ranks by; cosine distance by default."""
    correct: bool | None
    """Whether it is the query's person; None where that is not known."""
    crop: np.ndarray | None = None
    """uint8 BGR `[H, W, 3]` to show, where there is no image file and the gallery stores crops."""


@dataclass(frozen=True)
class SearchResult:
    """A query's nearest crops, nearest first."""

    query: Query
    hits: tuple[Hit, ...]

    def to_dict(self) -> dict:
        """For JSON."""
        return {
            "query": self.query.name,
            "images": [str(path) for path in self.query.paths],
            "identity": self.query.identity,
            "camera": self.query.camera,
            "hits": [
                {
                    "rank": rank,
                    "image": None if hit.path is None else str(hit.path),
                    "identity": hit.identity,
                    "camera": hit.camera,
                    "distance": round(hit.distance, 6),
                    "correct": hit.correct,
                }
                for rank, hit in enumerate(self.hits, start=1)
            ],
        }


def query_of_images(paths: Sequence[Path], gallery: Sequence[Sample]) -> Query:
    """The person whom all of `paths` show.

    If they are in the gallery themselves, it is known who that is; the crops of their camera are not searched if they
    are all of one. Raises `DataError` if the gallery says that they show several people.
    """
    samples = {sample.path.resolve(): sample for sample in gallery}
    known = [samples[path.resolve()] for path in paths if path.resolve() in samples]
    people, cameras = sorted({sample.identity for sample in known}), {sample.camera for sample in known}
    if len(people) > 1:
        raise DataError(f"the images show {len(people)} people of the gallery, {', '.join(people)}; search for one")
    name = name_of(paths)
    whole = len(known) == len(paths)
    camera = cameras.pop() if whole and len(cameras) == 1 else None
    return Query(name, tuple(paths), people[0] if whole else None, camera)


def queries_of_identity(identity: str, gallery: Sequence[Sample]) -> list[Query]:
    """A person of the gallery, once for each camera that saw him or her.

    Raises `DataError` for an identity that is not there, or if no other camera has anything to search.
    """
    own = [sample for sample in gallery if sample.identity == identity]
    if not own:
        raise DataError(f"identity '{identity}' is not in the gallery of {len({s.identity for s in gallery})} people")
    queries = []
    for camera in sorted({sample.camera for sample in own}):
        paths = tuple(sample.path for sample in own if sample.camera == camera)
        queries.append(Query(f"{identity}, camera {camera}", paths, identity, camera))
    return queries


def search(
    reid: ReIdentifier,
    queries: Sequence[Query],
    gallery: Sequence[Sample],
    measure: Measure = cosine,
    top_k: int = 10,
) -> list[SearchResult]:
    """The `top_k` crops of the gallery that are nearest to each query, by `measure`.

    Searched are the crops that are neither the query's own nor of its camera. Raises `DataError` where nothing is left
    of the gallery, naming an image that cannot be read, or for re-scoring with a model that has no stripes.
    """
    if top_k < 1:
        raise DataError(f"top_k is {top_k}; ask for at least 1 hit")
    crops = embed_files(reid, [sample.path for sample in gallery], "embedding the gallery")
    results = []
    for query in queries:
        own = {path.resolve() for path in query.paths}
        rows = [i for i, s in enumerate(gallery) if s.path.resolve() not in own and s.camera != query.camera]
        if not rows:
            raise DataError(f"{query.name}: the gallery has no crops of other cameras to search")
        person = mean_features(embed_files(reid, query.paths, "embedding the query"))
        distance = np.asarray(measure(person, _rows(crops, rows))(slice(None)))[0]
        hits = [
            _hit(gallery[rows[place]], float(distance[place]), query)
            for place in np.argsort(distance, kind="stable")[:top_k]
        ]
        results.append(SearchResult(query, tuple(hits)))
    return results


def _hit(sample: Sample, distance: float, query: Query) -> Hit:
    correct = None if query.identity is None else sample.identity == query.identity
    return Hit(sample.path, sample.identity, sample.camera, distance, correct)


def embed_files(reid: ReIdentifier, paths: Sequence[Path], description: str) -> Features:
    """The features of image files, under a progress bar. Raises `DataError` naming one that cannot be read."""
    parts = []
    for start in track(range(0, len(paths), BATCH), description):
        parts.append(reid.embed([read_image(path) for path in paths[start : start + BATCH]]))
    stripes = [part.stripes for part in parts]
    return Features(
        np.concatenate([part.embedding for part in parts]), None if stripes[0] is None else np.concatenate(stripes)
    )


def name_of(paths: Sequence[Path]) -> str:
    """What some images of one person are called."""
    return paths[0].name if len(paths) == 1 else f"{paths[0].name} and {len(paths) - 1} more"


def mean_features(features: Features) -> Features:
    """One row: the mean embedding and stripes, at unit length."""
    stripes = features.stripes
    return Features(_unit(features.embedding), None if stripes is None else _unit(stripes.astype(np.float32)))


def _unit(vectors: np.ndarray) -> np.ndarray:
    mean = vectors.mean(axis=0, keepdims=True)
    return mean / np.maximum(np.linalg.norm(mean, axis=-1, keepdims=True), 1e-12)


def _rows(features: Features, rows: Sequence[int]) -> Features:
    return Features(features.embedding[rows], None if features.stripes is None else features.stripes[rows])
