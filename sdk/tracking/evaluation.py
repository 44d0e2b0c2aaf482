"""How good tracks are: found against true identities, in each camera and across all of them.

In a camera: HOTA, IDF1 and MOTA of the library `trackers`, with identities as the ids of tracks. Across cameras: HOTA
and IDF1 of all frames of all cameras as if they were one film, so that an identity is right only if it is the same
everywhere; that is what the library gives for the cameras' frames one after the other, and NIST's `reid_hota` for ids
that are aligned globally (the tests compare them). Also of each person.

Boxes without an identity count as not found. With `min_visibility`, whoever shows less need not be found, and a box
that lies on them is neither right nor wrong (MOTChallenge's rule for distractors).
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment  # scipy comes with `trackers`
from trackers.eval import box_iou, compute_clear_metrics, compute_hota_metrics, compute_identity_metrics

from sdk.errors import DataError
from sdk.reading import NAME, NUMBER, mot_values, read_lines

MIN_IOU = 0.5
"""From which a box lies on a person, for IDF1 and MOTA; HOTA averages over 0.05 to 0.95."""
ALPHAS = np.arange(0.05, 0.99, 0.05)
"""HOTA's IoU thresholds."""


@dataclass(frozen=True)
class Frame:
    """Truth and what was found in one frame of one camera."""

    camera: str
    true: np.ndarray
    """int `[N]`, numbers of true identities, each once."""
    found: np.ndarray
    """int `[M]`, numbers of found identities, each once."""
    iou: np.ndarray
    """float `[N, M]`."""


@dataclass(frozen=True)
class CameraMeasures:
    """Of one camera, identities as the ids of tracks; from `trackers.eval`."""

    hota: float
    idf1: float
    mota: float
    switches: int
    """How often a person's identity changed."""
    true_boxes: int
    found_boxes: int


@dataclass(frozen=True)
class PersonMeasures:
    """Of one true identity, over all cameras."""

    found_as: str | None
    """The found identity that is theirs in the best one-to-one naming; None if none is left for them."""
    idf1: float
    hota: float
    """√(share of their boxes that were found × association accuracy of those), mean over IoU 0.05 to 0.95: false boxes
    are nobody's."""
    names: int
    """Under how many identities at least a twentieth of their found boxes go."""
    true_boxes: int


@dataclass(frozen=True)
class SiteMeasures:
    """Of all cameras together."""

    hota: float
    detection: float
    """HOTA's DetA: are the boxes right, whatever their names?"""
    association: float
    """HOTA's AssA: are boxes of one person, and of nobody else, under one name?"""
    idf1: float
    precision: float
    """IDP: share of the named boxes under the right name."""
    recall: float
    """IDR: share of the true boxes that were found under the right name."""
    true_identities: int
    found_identities: int
    unnamed: int
    """Boxes without an identity, which count as not found."""
    mean_idf1: float
    """Mean over people, however long each was seen."""
    mean_hota: float
    cameras: dict[str, CameraMeasures]
    people: dict[str, PersonMeasures]

    def to_dict(self) -> dict:
        return asdict(self)


def evaluate_tracks(result: str | Path, truth: str | Path, min_visibility: float = 0.0) -> SiteMeasures:
    """Hold the folder `result` of `reid track` against the folder `truth` of `reid simulate site` (or its `truth/`).

    Both hold `tracks.jsonl`, or a MOTChallenge text a camera with the same ids in all cameras. Raises `DataError` for a
    folder without either, a damaged line, truth that names somebody twice in a frame or not at all, or cameras that
    are not the same.
    """
    truth = Path(truth)
    true = read_boxes(truth / "truth" if (truth / "truth").is_dir() else truth)
    found = read_boxes(Path(result))
    true_cameras, found_cameras = ({box.camera for box in boxes} for boxes in (true, found))
    if not true:
        raise DataError(f"{truth}: nobody is in this truth, so there is nothing to find")
    if unknown := found_cameras - true_cameras:
        there = ", ".join(sorted(true_cameras))
        raise DataError(f"{result}: camera {', '.join(sorted(unknown))} is not in the truth, which has {there}")
    return measure(true, found, min_visibility)


@dataclass(frozen=True)
class Box:
    """Somebody in a frame."""

    camera: str
    frame: int
    identity: str | None
    xyxy: tuple[float, float, float, float]
    weight: float = 1.0
    """Visibility in truth, confidence in results."""


def read_boxes(folder: Path) -> list[Box]:
    """All boxes of a folder: of `tracks.jsonl`, or else of all `<camera>.txt` in MOTChallenge's format."""
    if (folder / "tracks.jsonl").is_file():
        return list(_from_json_lines(folder / "tracks.jsonl"))
    texts = sorted(folder.glob("*.txt")) if folder.is_dir() else []
    if not texts:
        raise DataError(f"{folder}: has neither tracks.jsonl nor MOTChallenge text; pass a folder of `reid track`")
    return [box for text in texts for box in _from_mot(text)]


def measure(true: Iterable[Box], found: Iterable[Box], min_visibility: float = 0.0) -> SiteMeasures:
    """The same for boxes in memory. Raises `DataError` for truth with somebody twice in a frame, or nameless."""
    found = list(found)
    frames, true_names, found_names = _frames(true, [box for box in found if box.identity is not None], min_visibility)
    cameras = {name: _camera([f for f in frames if f.camera == name]) for name in sorted({f.camera for f in frames})}
    counts = _Counts(frames, len(true_names), len(found_names))
    people = counts.people(true_names, found_names)
    hota, detection, association = counts.hota()
    right = counts.right()
    return SiteMeasures(
        hota=hota,
        detection=detection,
        association=association,
        idf1=2 * right / max(1, counts.true.sum() + counts.found.sum()),
        precision=right / max(1, counts.found.sum()),
        recall=right / max(1, counts.true.sum()),
        true_identities=len(true_names),
        found_identities=len(found_names),
        unnamed=sum(box.identity is None for box in found),
        mean_idf1=_mean(person.idf1 for person in people.values()),
        mean_hota=_mean(person.hota for person in people.values()),
        cameras=cameras,
        people=people,
    )


BOX = {"camera": str, "frame": int, "identity": NAME, "box": list}
"""Fields that a record of either side must have."""


def _from_json_lines(path: Path) -> Iterable[Box]:
    for number, record in enumerate(read_lines(path, BOX), start=1):
        weight = record.get("visibility", record.get("confidence", 1.0))
        if not isinstance(weight, NUMBER):
            raise DataError(f"{path}, line {number}: no track record (a wrong visibility); write it anew")
        box = tuple(float(value) for value in record["box"])
        yield Box(record["camera"], record["frame"], record["identity"], box, float(weight))


def _from_mot(path: Path) -> Iterable[Box]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                frame, identity, x, y, w, h, score, *rest = mot_values(line.decode("ascii"))
            except ValueError as error:
                raise DataError(f"{path}, line {number}: no MOTChallenge line ({error}); write it anew") from error
            # Truth has nine columns, of which the last is the visibility; results have ten, the last three being -1.
            weight = rest[1] if len(rest) == 2 else score
            yield Box(path.stem, int(frame) - 1, f"{identity:.0f}", (x, y, x + w, y + h), weight)


def _frames(
    true: Iterable[Box], found: Iterable[Box], min_visibility: float
) -> tuple[list[Frame], list[str], list[str]]:
    """Every frame with somebody in it, and the names behind the numbers of the identities."""
    here: dict[tuple[str, int], tuple[list[Box], list[Box]]] = defaultdict(lambda: ([], []))
    for side, boxes in enumerate((true, found)):
        for box in boxes:
            here[box.camera, box.frame][side].append(box)
    frames, true_numbers, found_numbers = [], {}, {}
    for (camera, number), (true_boxes, found_boxes) in sorted(here.items()):
        if any(box.identity is None for box in true_boxes):
            raise DataError(f"the truth has somebody without a name in frame {number} of '{camera}'; name everybody")
        if len({box.identity for box in true_boxes}) < len(true_boxes):
            raise DataError(f"the truth has somebody twice in frame {number} of '{camera}'; everybody is there once")
        iou = box_iou(*(np.array([box.xyxy for box in boxes]).reshape(-1, 4) for boxes in (true_boxes, found_boxes)))
        seen = np.array([box.weight >= min_visibility for box in true_boxes], bool)
        if not seen.all():
            kept = _not_on(iou, ~seen)
            iou = iou[seen][:, kept]
            true_boxes = [box for box, kept_too in zip(true_boxes, seen, strict=True) if kept_too]
            found_boxes = [box for box, kept_too in zip(found_boxes, kept, strict=True) if kept_too]
        true_ids = [true_numbers.setdefault(box.identity, len(true_numbers)) for box in true_boxes]
        found_ids = _each_once(found_boxes, found_numbers)
        frames.append(Frame(camera, np.array(true_ids, int), np.array(found_ids, int), iou))
    return frames, list(true_numbers), list(found_numbers)


def _not_on(iou: np.ndarray, ignored: np.ndarray) -> np.ndarray:
    """Which found boxes, bool `[M]`, do not lie on an ignored true one, each box on one person at most."""
    rows, columns = linear_sum_assignment(-np.where(iou >= MIN_IOU, iou, 0))
    kept = np.ones(iou.shape[1], bool)
    on_ignored = ignored[rows] & (iou[rows, columns] >= MIN_IOU)
    kept[columns[on_ignored]] = False
    return kept


def _each_once(boxes: list[Box], numbers: dict[str, int]) -> list[int]:
    """The identities' numbers; a second box of one in a frame counts as one of somebody whom nobody else is."""
    given = set()
    result = []
    order = sorted(range(len(boxes)), key=lambda i: -boxes[i].weight)
    for i in order:
        name = boxes[i].identity
        if name in given:
            name = f"{name}, once more"
        while name in given:
            name += "'"
        given.add(name)
        result.append((i, numbers.setdefault(name, len(numbers))))
    return [number for _, number in sorted(result)]


def _camera(frames: list[Frame]) -> CameraMeasures:
    data = [f.true for f in frames], [f.found for f in frames], [f.iou for f in frames]
    clear = compute_clear_metrics(*data, threshold=MIN_IOU)
    return CameraMeasures(
        hota=float(compute_hota_metrics(*data)["HOTA"]),
        idf1=compute_identity_metrics(*data, threshold=MIN_IOU)["IDF1"],
        mota=float(clear["MOTA"]),
        switches=int(clear["IDSW"]),
        true_boxes=sum(map(len, data[0])),
        found_boxes=sum(map(len, data[1])),
    )


class _Counts:
    """How often each true and each found identity, and each pair of them at each IoU, is in all frames together."""

    def __init__(self, frames: list[Frame], true: int, found: int):
        self.true, self.found = np.zeros(true), np.zeros(found)
        self.together = np.zeros((true, found))
        """Frames in which a found box lies on a true one, for IDF1."""
        shared = np.zeros((true, found))
        for f in frames:
            self.true[f.true] += 1
            self.found[f.found] += 1
            self.together[np.ix_(f.true, f.found)] += f.iou >= MIN_IOU
            total = f.iou.sum(0, keepdims=True) + f.iou.sum(1, keepdims=True) - f.iou
            shared[np.ix_(f.true, f.found)] += np.divide(f.iou, total, out=np.zeros_like(f.iou), where=total > 1e-12)
        alignment = shared / np.maximum(self.true[:, None] + self.found[None] - shared, 1e-12)
        self.matched = np.zeros((len(ALPHAS), true, found))
        """HOTA's true positives at each IoU threshold."""
        for f in frames:
            if f.iou.size:
                rows, columns = linear_sum_assignment(-alignment[np.ix_(f.true, f.found)] * f.iou)
                hit = f.iou[rows, columns] >= ALPHAS[:, None] - 1e-12
                self.matched[:, f.true[rows], f.found[columns]] += hit
        self.naming = linear_sum_assignment(-self.together) if self.together.size else (np.empty(0, int),) * 2
        """IDF1's one-to-one naming: the one with the most boxes right."""

    def right(self) -> float:
        return float(self.together[self.naming].sum())

    def hota(self) -> tuple[float, float, float]:
        """HOTA, DetA and AssA, means over the IoU thresholds."""
        hits = self.matched.sum(axis=(1, 2))
        detection = hits / np.maximum(1, self.true.sum() + self.found.sum() - hits)
        association = (self.matched * self._jaccard()).sum(axis=(1, 2)) / np.maximum(1, hits)
        return float(np.sqrt(detection * association).mean()), float(detection.mean()), float(association.mean())

    def people(self, true_names: list[str], found_names: list[str]) -> dict[str, PersonMeasures]:
        hits = self.matched.sum(axis=2)
        association = (self.matched * self._jaccard()).sum(axis=2) / np.maximum(1, hits)
        hota = np.sqrt(hits / np.maximum(1, self.true) * association).mean(axis=0)
        names = dict(zip(*self.naming, strict=True))
        people = {}
        for row in np.argsort(np.array(true_names, object)):
            column = names.get(row)
            if column is not None and not self.together[row, column]:
                column = None
            share = self.together[row] / max(1.0, self.together[row].sum())
            idf1 = 0.0
            if column is not None:
                idf1 = 2 * self.together[row, column] / (self.true[row] + self.found[column])
            people[true_names[row]] = PersonMeasures(
                found_as=None if column is None else found_names[column],
                idf1=float(idf1),
                hota=float(hota[row]),
                names=int((share >= 0.05).sum()),
                true_boxes=int(self.true[row]),
            )
        return people

    def _jaccard(self) -> np.ndarray:
        return self.matched / np.maximum(1, self.true[:, None] + self.found[None] - self.matched)


def _mean(values: Iterable[float]) -> float:
    values = list(values)
    return sum(values) / len(values) if values else 0.0
