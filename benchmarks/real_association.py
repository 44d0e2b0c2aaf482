"""Identities of real people across six cameras: Market-1501's tracklets, replayed in order of time through the tracker.

    python benchmarks/real_association.py ../datasets/Market-1501-v15.09.15 --people 30,100,750 --seeds 0,1,2

`market_tracklets.py` says what the tracklets are and how their times were found. People of the test half are
reported; the training half is other people, on whom to tune.

**The replay.** `MultiCameraTracker` is driven through `update`, with real pictures of ten frames a second, so that
whatever the tracker does is measured. A box stands in one place for as long as its tracklet lasts, apart from all
others, at full confidence and size: the tracks are perfect, and perfect names would be 1. Market has about a crop a
second: each is shown until the next one comes, several of one frame by turns, and the last for 1.5 s. So who was seen
once has about seven crops that are all the same, where a camera would have seven that differ a little. A camera where
nobody is has no frames from 3 s on, as one that is switched on by motion; where nobody is anywhere for 10 s the clock
goes to whoever comes next. What is inside a box changes from frame to frame, so everybody lives.

**Measures.** A tracklet's name is what most of its boxes bear in the records. IDF1 and pairs weigh a tracklet by its
crops. Pair precision: of the pairs of crops of two tracklets under one name, how many are one person's; recall: of
those of one person, how many are under one name. Right: tracklets that bear their person's name under the best
one-to-one naming.

**Arms.** `as it comes`: the records as they are written while it runs; `names at the end`: the same with every later
change of mind and every merge. `greedily`: each tracklet is the nearest earlier one's person, up to the model's
threshold. `offline`: average linkage over all tracklets at once, with what one camera saw together forbidden, each
camera's mean and deviation taken away; the distance up to which it joins is chosen on as many people of the training
half, or by the truth itself: that is an upper bound and no method. `one camera`: the same for so many people of one
camera, each camera by itself.
"""

import json
import platform
import tempfile
import time as clock
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import supervision as sv
import typer
from market_tracklets import STARTS, Tracklets, choose, embedded
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import squareform

from sdk.reidentifier import Features, ReIdentifier
from sdk.terminal import Table, results, track
from sdk.tracking import MultiCameraTracker
from sdk.video.records import RecordWriter

RATE = 10
"""Frames a second."""
EMPTY_SECONDS, IDLE_SECONDS = 3.0, 10.0
"""For how long a camera still has frames in which nobody is, and the tracker still runs when nobody is anywhere."""
CELL, BOX, COLUMNS, LINES = (320, 180), (48, 96), 4, 3
"""Width and height of the part of a frame in which a box has its place, and of the box, px; parts of a frame."""
MARK = 8
"""Side in px of the square in a box's middle whose colour is the number of its crop."""
NEVER_JOIN = 1e3
"""The distance of two who cannot be one person."""
CUTS = np.arange(0.20, 1.201, 0.02)
"""Distances up to which the offline arms may join."""
SURVEY = (5, 50, 95)
"""Percentiles of distances."""


class Stage:
    """One camera's picture: who is in view has a place of their own, whose colour in the middle tells the crop."""

    def __init__(self, seed: int):
        self._picture = np.zeros((CELL[1] * LINES, CELL[0] * COLUMNS, 3), np.uint8)
        self._places: dict[int, int] = {}
        self._left = [-(10**9)] * (COLUMNS * LINES)
        self._rng = np.random.default_rng(seed)
        self.boxes = np.zeros((0, 4), np.float32)

    def show(self, shown: dict[int, int], tick: int) -> np.ndarray:
        """The frame in which these tracklets show these crops; `boxes` are theirs, in the same order."""
        for gone in self._places.keys() - shown.keys():
            place = self._places.pop(gone)
            self._left[place] = tick
            x, y = self._corner(place)
            self._picture[y : y + BOX[1], x : x + BOX[0]] = 0
        boxes = []
        for tracklet, crop in shown.items():
            if tracklet not in self._places:  # where nobody has been for longest
                free = set(range(len(self._left))) - set(self._places.values())
                self._places[tracklet] = min(free, key=lambda place: (self._left[place], place))
            x, y = self._corner(self._places[tracklet])
            box = self._picture[y : y + BOX[1], x : x + BOX[0]]
            box[:] = self._rng.integers(256)
            middle = box[(BOX[1] - MARK) // 2 : (BOX[1] + MARK) // 2, (BOX[0] - MARK) // 2 : (BOX[0] + MARK) // 2]
            middle[:] = crop % 256, crop // 256 % 256, crop // 65536
            boxes.append((x, y, x + BOX[0], y + BOX[1]))
        self.boxes = np.array(boxes, np.float32).reshape(-1, 4)
        return self._picture

    def detect(self, _frame: np.ndarray) -> sv.Detections:
        count = len(self.boxes)
        return sv.Detections(self.boxes.copy(), confidence=np.ones(count), class_id=np.zeros(count, int))

    @staticmethod
    def _corner(place: int) -> tuple[int, int]:
        return (
            CELL[0] * (place % COLUMNS) + (CELL[0] - BOX[0]) // 2,
            CELL[1] * (place // COLUMNS) + (CELL[1] - BOX[1]) // 2,
        )


class LookedUp(ReIdentifier):
    """Knows the features of the crops that a `Stage` shows."""

    def __init__(self, embedding: np.ndarray, model: Path | None):
        super().__init__(model)
        self._embedding = embedding

    def embed(self, crops, camera=None) -> Features:
        middles = np.array([crop[crop.shape[0] // 2, crop.shape[1] // 2] for crop in crops], int)
        return Features(self._embedding[middles @ [1, 256, 65536]])


def ticks(tracklets: Tracklets) -> Iterator[tuple[int, dict[int, dict[int, int]]]]:
    """(tick, {camera: {tracklet: crop}}) of all ticks at which something is to be done, in order."""
    seen: dict[int, dict[int, dict[int, int]]] = defaultdict(dict)
    crops = np.split(np.argsort(tracklets.tracklet, kind="stable"), np.cumsum(tracklets.crops)[:-1])
    awake: set[int] = set()
    for number, rows in enumerate(crops):
        camera = int(tracklets.camera[number])
        frames = np.round(tracklets.time[rows] * RATE).astype(int)
        starts = np.unique(frames)
        ends = [*starts[1:], round(float(tracklets.last[number]) * RATE)]
        for start, end in zip(starts, ends, strict=True):
            here = rows[frames == start]
            for tick in range(start, end):
                seen[tick].setdefault(camera, {})[number] = int(here[(tick - start) % len(here)])
        awake.update(range(frames[0], ends[-1] + int(IDLE_SECONDS * RATE)))
    until: dict[int, int] = {}
    for tick in sorted(awake):
        now = seen.get(tick, {})
        until |= dict.fromkeys(now, tick + int(EMPTY_SECONDS * RATE))
        yield tick, {camera: now.get(camera, {}) for camera, end in sorted(until.items()) if tick <= end}


def tracked(tracklets: Tracklets, model: Path | None, **options) -> dict[str, np.ndarray]:
    """Names of the tracklets by the tracker, object `[T]`, None without one: as recorded, and at the end.

    options: of `MultiCameraTracker`.
    """
    stages = {f"c{camera}": Stage(camera) for camera in STARTS}
    moved: dict[tuple[str, int], str] = {}
    became: dict[str, str] = {}

    def listen(event) -> None:
        if event.kind == "identified":
            moved[event.camera, event.track] = event.identity
        elif event.kind == "merged":
            became[event.detail["other"]] = event.identity

    tracker = MultiCameraTracker(
        LookedUp(tracklets.embedding, model),
        {name: stage.detect for name, stage in stages.items()},
        frame_rate=RATE,
        on_event=listen,
        **options,
    )
    owner: dict[tuple[str, int, float, float], int] = {}
    steps = list(ticks(tracklets))
    with tempfile.TemporaryDirectory() as folder:
        with RecordWriter(Path(folder), tracker.identity_of) as records:
            for tick, cameras in track(steps, f"{len(tracklets)} tracklets", total=len(steps)):
                frames = {}
                for camera, shown in cameras.items():
                    name = f"c{camera}"
                    frames[name] = stages[name].show(shown, tick)
                    corners = stages[name].boxes[:, :2].tolist()
                    owner |= {(name, tick, *corner): one for corner, one in zip(corners, shown, strict=True)}
                for name, detections in tracker.update(frames, tick / RATE).items():
                    records.write(tick / RATE, name, tick, detections)
            tracker.finish()
        votes = [Counter() for _ in range(len(tracklets))], [Counter() for _ in range(len(tracklets))]
        with (Path(folder) / "tracks.jsonl").open(encoding="utf-8") as lines:
            for record in map(json.loads, lines):
                one = owner[(record["camera"], record["frame"], *record["box"][:2])]
                last = moved.get((record["camera"], record["track"]), record["identity"])
                while last in became:
                    last = became[last]
                votes[0][one][record["identity"]] += 1
                votes[1][one][last] += 1
    recorded, final = (np.array([v.most_common(1)[0][0] if v else None for v in arm], object) for arm in votes)
    return {"as it comes": recorded, "as it comes, names at the end": final}


def greedily(tracklets: Tracklets, limit: float) -> np.ndarray:
    """Each is the nearest earlier one's person, or somebody new: int `[T]`."""
    mean, names = tracklets.mean, np.zeros(len(tracklets), int)
    for i in range(len(tracklets)):
        distance = 1 - mean[:i] @ mean[i]
        nearest = int(distance.argmin()) if i else -1
        names[i] = names[nearest] if i and distance[nearest] <= limit else i
    return names


def without_cameras(tracklets: Tracklets, deviation: bool = True) -> np.ndarray:
    """Means of the tracklets without the mean, and the deviation, of all tracklets of their camera: `[T, D]`."""
    mean = tracklets.mean
    for camera in np.unique(tracklets.camera):
        here = tracklets.camera == camera
        if here.sum() > 1:  # of one alone nothing would be left
            mean[here] -= mean[here].mean(axis=0)
            if deviation:
                mean[here] /= mean[here].std(axis=0) + 1e-6
    return mean / np.linalg.norm(mean, axis=1, keepdims=True)


def joined(tracklets: Tracklets, picture: np.ndarray) -> np.ndarray:
    """The tree of average linkage, in which nobody is joined who was seen together with one of the others."""
    distance = np.clip(1 - picture @ picture.T, 0, None)
    distance[tracklets.together] = NEVER_JOIN
    np.fill_diagonal(distance, 0)
    return linkage(squareform(distance, checks=False), "average")


def cut(tree: np.ndarray, distance: float) -> np.ndarray:
    return fcluster(tree, distance, "distance")


def best_cut(cases: list[tuple[Tracklets, np.ndarray]]) -> float:
    """The distance with the highest mean IDF1 on these cases of tracklets and tree: needs the truth."""

    def mean_idf1(at: float) -> float:
        return float(np.mean([Scores.of(tracklets, cut(tree, at)).idf1 for tracklets, tree in cases]))

    coarse = max(CUTS[::4], key=mean_idf1)
    return float(max(CUTS[np.abs(CUTS - coarse) < 0.07], key=mean_idf1))


@dataclass(frozen=True)
class Scores:
    """How right the names of tracklets are."""

    idf1: float
    precision: dict[str, float]
    """Of pairs of tracklets: all, of one camera, of two."""
    recall: dict[str, float]
    names: int
    right: float
    """Share of the tracklets."""
    taken: int
    """How many people bear a name that was somebody else's before."""

    @classmethod
    def of(cls, tracklets: Tracklets, names: np.ndarray) -> "Scores":
        """names `[T]`, None: without one."""
        named = np.array([name is not None for name in names], bool)
        _, person = np.unique(tracklets.person, return_inverse=True)
        known, numbers = np.unique(np.array([str(name) for name in names[named]]), return_inverse=True)
        crops = tracklets.crops
        table = np.zeros((2, person.max() + 1, max(1, len(known))))
        np.add.at(table[0], (person[named], numbers), crops[named])
        np.add.at(table[1], (person[named], numbers), 1)
        hits = [float(t[linear_sum_assignment(-t)].sum()) for t in table]
        name = np.full(len(names), -1)
        name[named] = numbers
        name[~named] = len(known) + np.arange((~named).sum())  # who has no name is under one with nobody
        same = _pairs(person, tracklets.camera, crops)
        under_one = _pairs(name, tracklets.camera, crops)
        both = _pairs(person * (name.max() + 1) + name, tracklets.camera, crops)
        first: dict[int, int] = {}
        for who, what in zip(person[named], numbers, strict=True):
            first.setdefault(what, who)
        return cls(
            2 * hits[0] / (crops.sum() + crops[named].sum()),
            {kind: both[kind] / under_one[kind] if under_one[kind] else 1.0 for kind in both},
            {kind: both[kind] / same[kind] if same[kind] else 1.0 for kind in both},
            len(known),
            hits[1] / len(names),
            len({who for who, what in zip(person[named], numbers, strict=True) if first[what] != who}),
        )


def _pairs(group: np.ndarray, camera: np.ndarray, weight: np.ndarray) -> dict[str, float]:
    """The summed weight of the pairs of tracklets of one group: of all, of one camera, of two."""

    def within(key: np.ndarray) -> float:
        total = np.bincount(np.unique(key, return_inverse=True)[1], weight)
        return float((total**2).sum() - (weight.astype(float) ** 2).sum()) / 2

    everywhere, here = within(group), within(group * 16 + camera)
    return {"all": everywhere, "one camera": here, "two cameras": everywhere - here}


def run_arms(tracklets: Tracklets, model: Path | None, limit: float, learned: float, offline: bool = True) -> dict:
    """The names of each arm, `[T]`."""
    names = tracked(tracklets, model) | {"greedily": greedily(tracklets, limit)}
    if offline:
        tree = joined(tracklets, without_cameras(tracklets))
        names["offline, cut chosen on other people"] = cut(tree, learned)
        names["offline, upper bound: cut chosen by the truth"] = cut(tree, best_cut([(tracklets, tree)]))
        raw = joined(tracklets, tracklets.mean)
        names["offline, cameras as they are, cut chosen by the truth"] = cut(raw, best_cut([(tracklets, raw)]))
    return names


def mean_scores(scores: list[Scores]) -> dict:
    """For the table and the JSON: means over the seeds, or cameras; of each the IDF1."""

    def mean(values) -> float:
        return round(float(np.mean(list(values))), 3)

    kinds = scores[0].precision
    return {
        "IDF1": mean(s.idf1 for s in scores),
        "pair precision": {kind: mean(s.precision[kind] for s in scores) for kind in kinds},
        "pair recall": {kind: mean(s.recall[kind] for s in scores) for kind in kinds},
        "names": mean(s.names for s in scores),
        "right": mean(s.right for s in scores),
        "people who bear another's name": mean(s.taken for s in scores),
        "IDF1 of each": [round(s.idf1, 3) for s in scores],
        "right of each": [round(s.right, 3) for s in scores],
    }


def learn_cut(half: Tracklets, people: int, seeds: list[int], at_random: bool) -> float:
    """The cut for so many people, from the tracklets of other people."""
    sites = [choose(half, people, seed, at_random) for seed in (seeds if people < len(np.unique(half.person)) else [0])]
    return best_cut([(site, joined(site, without_cameras(site))) for site in sites])


def survey(tracklets: Tracklets) -> dict:
    """Percentiles of the distances of two tracklets' means: one camera or two, the same person or not."""
    pictures = {
        "as they are": tracklets.mean,
        "without the cameras' means": without_cameras(tracklets, deviation=False),
        "without means and deviations": without_cameras(tracklets),
    }
    pairs = np.triu_indices(len(tracklets), 1)
    camera = (tracklets.camera[:, None] == tracklets.camera)[pairs]
    person = (tracklets.person[:, None] == tracklets.person)[pairs]
    facts = {}
    for title, picture in pictures.items():
        distance = (1 - picture @ picture.T)[pairs]
        for where, here in (("one camera", camera), ("two cameras", ~camera)):
            for who, of in (("same", person), ("different", ~person)):
                values = np.percentile(distance[here & of], SURVEY)
                facts.setdefault(title, {})[f"{where}, {who}"] = [round(float(v), 3) for v in values]
    return facts


def main(
    root: Annotated[Path, typer.Argument(help="The folder of Market-1501.")],
    people: Annotated[str, typer.Option(help="Numbers of people, by commas.")] = "30,100,750",
    seeds: Annotated[str, typer.Option(help="Who they are, by commas; all are one choice.")] = "0,1,2",
    model: Annotated[list[Path] | None, typer.Option(help="Of `reid convert`; several make several rows.")] = None,
    half: Annotated[str, typer.Option(help="test, or train for tuning.")] = "test",
    at_random: Annotated[bool, typer.Option(help="People of all the hours, not those who came in a row.")] = False,
    one_camera: Annotated[int, typer.Option(help="People for the measure of one camera; 0: leave it out.")] = 30,
    cache: Annotated[Path, typer.Option(help="Where features are kept.")] = Path("out/market"),
    output: Annotated[Path, typer.Option(help="JSON to write, or to add to.")] = Path(
        "benchmarks/results/real_association.json"
    ),
) -> None:
    facts = json.loads(output.read_text(encoding="utf-8")) if output.exists() else {"figures": {}}
    facts |= {
        "date": clock.strftime("%Y-%m-%d"),
        "protocol": "Market-1501's tracklets in order of time through MultiCameraTracker; see the docstring",
        "machine": f"{platform.machine()}, NumPy {np.__version__}",
    }
    numbers = [int(seed) for seed in seeds.split(",")]
    for file in model or [None]:
        title = file.name if file else "shipped model"
        halves = {name: embedded(root, name, file, cache) for name in ("train", "test")}
        this, other = halves[half], halves["train" if half == "test" else "test"]
        limit = ReIdentifier(file).tracklet_threshold
        figures = facts["figures"].setdefault(title, {})
        figures["tracklet threshold"] = limit

        def keep(case: str, scores: dict[str, list[Scores]], seconds: float, figures=figures, title=title) -> None:
            rows = figures[case] = {arm: mean_scores(of_arm) for arm, of_arm in scores.items()}
            figures[case]["seconds"] = round(seconds, 1)
            columns = ("IDF1", "precision", "recall", "of 2 cameras: precision", "recall", "names", "right", "taken")
            table = Table("arm", *columns, title=f"{title}, {case}")
            for arm in scores:
                row = rows[arm]
                pairs = (
                    row[f"pair {what}"][kind] for kind in ("all", "two cameras") for what in ("precision", "recall")
                )
                rest = row["names"], row["right"], row["people who bear another's name"]
                table.add_row(arm, *(f"{value:.3g}" for value in (row["IDF1"], *pairs, *rest)))
            results.print(table)
            output.parent.mkdir(parents=True, exist_ok=True)
            output.write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

        figures[f"distances, {half} half (percentiles {SURVEY})"] = survey(this)
        for count in map(int, filter(None, people.split(","))):
            started, scores = clock.perf_counter(), defaultdict(list)
            learned = learn_cut(other, min(count, len(np.unique(other.person))), numbers, at_random)
            whole = count == len(np.unique(this.person))
            for seed in numbers[:1] if whole else numbers:
                site = choose(this, count, seed, at_random)
                for arm, names in run_arms(site, file, limit, learned).items():
                    scores[arm].append(Scores.of(site, names))
            who = "" if whole else f", seeds {seeds}, {'at random' if at_random else 'in a row'}"
            keep(f"{count} people of the {half} half{who}", scores, clock.perf_counter() - started)
        if one_camera:
            started, scores = clock.perf_counter(), defaultdict(list)
            for camera in STARTS:
                here = this.of(this.camera == camera)
                for seed in numbers:
                    site = choose(here, one_camera, seed, at_random)
                    for arm, names in run_arms(site, file, limit, 0.0, offline=False).items():
                        scores[arm].append(Scores.of(site, names))
            who = f"one camera, {one_camera} people of the {half} half, mean of six cameras, seeds {seeds}"
            keep(who, scores, clock.perf_counter() - started)


if __name__ == "__main__":
    typer.run(main)
