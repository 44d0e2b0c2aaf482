"""Does a converted model compute what the original does? Asked at the end of every convert, and by `reid verify`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sdk.canvas import FAINT, INK, Canvas
from sdk.engines import Engine
from sdk.errors import DataError, EngineError
from sdk.folder import IMAGE_SUFFIXES, is_image, read_folder, read_image, write_image
from sdk.preprocess import resize, to_batch

Embedder = Callable[[Sequence[np.ndarray]], np.ndarray]

BATCHES = (1, 2, 7, 32)
"""Batch sizes in turn, so that the dynamic batch is exercised too."""
MOST_CROPS = 1024

MIN_COSINE = {"fp32": 0.99999, "fp16": 0.9995, "int8": 0.97}
"""Of every crop, to the original; below it the model computes something else."""
MAX_RANK1_LOSS = {"fp32": 0.001, "fp16": 0.003, "int8": 0.015}
"""Where crops have labels."""
FREE_QUERIES = 2
"""Queries that may change sides whatever the loss: of a few dozen, one is more than a point."""


@dataclass(frozen=True)
class Crops:
    """Images to compare on, with labels where the folder has them."""

    images: list[np.ndarray]
    """uint8 BGR `[H, W, 3]` each."""
    names: list[str]
    identities: np.ndarray | None = None
    cameras: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class Agreement:
    """Two embedders' features of the same crops."""

    cosine: np.ndarray
    """float64 `[N]`: similarity, crop by crop; −1 where one of them is no number."""
    features: tuple[np.ndarray, np.ndarray]
    """Of the one and of the other, `[N, D]`."""

    @property
    def worst(self) -> int:
        """Index of the crop that agrees least."""
        return int(np.argmin(self.cosine))

    def to_dict(self) -> dict[str, float]:
        return {"crops": len(self.cosine), "lowest": float(self.cosine.min()), "mean": float(self.cosine.mean())}


def embedder(engine: Engine) -> Embedder:
    """What the network of a loaded model computes, `[N, D]`: conversion is about that, and not about what a site's
    calibration takes away of its cameras (`ReIdentifier.embed`), which a checkpoint has not."""
    return lambda crops: engine.run(to_batch(crops, engine.metadata.input_size))[0]


def compare(a: Embedder, b: Embedder, crops: Sequence[np.ndarray]) -> Agreement:
    """Embed `crops` with both, and compare. Raises as the two parts do."""
    return compare_features(embed_all(a, crops), embed_all(b, crops))


def embed_all(embed: Embedder, crops: Sequence[np.ndarray]) -> np.ndarray:
    """Features float64 `[N, D]`, in batches of changing size. Raises `DataError` without crops."""
    if not len(crops):
        raise DataError("no crops to compare on; give at least one")
    features, start, turn = [], 0, 0
    while start < len(crops):
        batch = crops[start : start + BATCHES[turn % len(BATCHES)]]
        features.append(np.asarray(embed(batch), np.float64))
        start, turn = start + len(batch), turn + 1
    return np.concatenate(features)


def compare_features(first: np.ndarray, second: np.ndarray) -> Agreement:
    """Of the same crops, `[N, D]`. NaN counts as no agreement at all. Raises `EngineError` for other lengths."""
    if first.shape != second.shape:
        raise EngineError(f"the two models differ: {first.shape[1]} and {second.shape[1]} numbers a crop")
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = np.nan_to_num((first * second).sum(axis=1) / lengths, nan=-1.0)
    return Agreement(cosine, (first, second))


@dataclass(frozen=True)
class Ranking:
    """What the change means for finding people: rank-1 and mAP across cameras, before and after."""

    rank1: tuple[float, float]
    mean_ap: tuple[float, float]
    queries: int

    @property
    def loss(self) -> float:
        return self.rank1[0] - self.rank1[1]


def compare_ranking(agreement: Agreement, crops: Crops) -> Ranking | None:
    """Every crop is a query once, against all of the other cameras, by features of unit length on both sides.

    None where nothing can be ranked.
    """
    if crops.identities is None:
        return None
    from training.evaluation.ranking import evaluate_ranking

    ids, cameras = crops.identities, crops.cameras
    try:
        before, after = (
            evaluate_ranking(features, features, ids, ids, cameras, cameras, cross_camera=True)
            for features in map(_unit, agreement.features)
        )
    except DataError:  # one camera only, or features that are no numbers, which the cosine says already
        return None
    return Ranking((before.rank(1), after.rank(1)), (before.mean_ap, after.mean_ap), before.num_queries)


def _unit(features: np.ndarray) -> np.ndarray:
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), np.finfo(np.float32).tiny)


def check(agreement: Agreement, ranking: Ranking | None, precision: str, name: str, min_cosine: float | None = None):
    """Raise `EngineError` naming the worst crop, or the loss in rank-1, where the limits of `precision` are passed."""
    limit = MIN_COSINE[precision] if min_cosine is None else min_cosine
    lowest = agreement.cosine.min()
    if lowest < limit:
        raise EngineError(
            f"{name}: its features differ: crop {agreement.worst} has cosine {lowest:.6f}, the limit is {limit}; "
            "--worst PICTURE shows the worst crops"
            + ("" if precision == "fp32" else "; use a higher precision, or crops like those it was calibrated on")
        )
    allowed = MAX_RANK1_LOSS[precision]
    if ranking is not None and ranking.loss > max(allowed, FREE_QUERIES / ranking.queries):
        raise EngineError(
            f"{name}: rank-1 falls from {ranking.rank1[0]:.4f} to {ranking.rank1[1]:.4f} over {ranking.queries} "
            f"queries, {allowed} is allowed for {precision}; use a higher precision"
        )


def read_crops(folder: Path, limit: int = MOST_CROPS) -> Crops:
    """Up to `limit` images below `folder`, evenly chosen; with labels where they are in the layout of `sdk.folder`.

    Raises `DataError` if there are none.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder of crops")
    try:
        samples = read_folder(folder)
    except DataError:
        paths = sorted(filter(is_image, folder.rglob("*")))
        if not paths:
            raise DataError(f"{folder}: no images to compare on ({', '.join(IMAGE_SUFFIXES)})") from None
        paths = _spread(paths, limit)
        return Crops([read_image(path) for path in paths], [path.name for path in paths])
    samples = _spread(samples, limit)
    return Crops(
        [read_image(sample.path) for sample in samples],
        [f"{sample.identity}/{sample.path.name}" for sample in samples],
        np.array([sample.identity for sample in samples]),
        np.array([sample.camera for sample in samples]),
    )


def draw_worst(agreement: Agreement, crops: Crops, count: int = 8) -> np.ndarray:
    """The crops that agree least, worst first, with their cosine and name: uint8 BGR `[H, W, 3]`."""
    order = np.argsort(agreement.cosine, kind="stable")[:count]
    height, width, gap, caption = 160, 80, 14, 36
    canvas = Canvas(height + caption + 3 * gap + 20, gap + (width + gap) * len(order))
    canvas.text(gap, gap + 4, "least agreement first: cosine to the original", 8)
    for place, index in enumerate(order):
        left, top = gap + place * (width + gap), 2 * gap + 12
        canvas.paste(left, top, width, height, resize(crops.images[index], (height, width)))
        canvas.text(left, top + height + 12, f"{agreement.cosine[index]:.5f}", 8, INK, room=width)
        canvas.text(left, top + height + 28, crops.names[index], 6, FAINT, room=width)
    return canvas.finished()


def write_worst(path: Path, agreement: Agreement, crops: Crops) -> None:
    """`draw_worst` to a .png or .jpg file. Raises `DataError` where it cannot be written."""
    write_image(path, draw_worst(agreement, crops))


def _spread(items: list, limit: int) -> list:
    chosen = np.linspace(0, len(items) - 1, min(limit, len(items))).round().astype(int)
    return [items[i] for i in chosen]
