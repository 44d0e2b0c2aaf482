"""Identities across the cameras of a site whose walks are drawn and whose people are real: the hybrid site.

    python benchmarks/hybrid_site.py ../datasets/Market-1501-v15.09.15 --seeds 0,1,2 --sites out/sites

Drawn people flatter a model, and Market's tracklets never meet, hide each other or are missed. So the walks, the truth
and the found boxes are those of the drawn sites (`site_cache.py`: 4 cameras, 30 people, 2 minutes), and what the model
sees in each box is a crop of Market-1501 (`market_tracklets.py`). All of it goes through the whole tracker
(`site_replay.py`). People of the test half are reported; the training half is other people, on whom to tune.

**Who plays whom.** By the seed, each of the site's cameras is one of Market's, and the walkers are people who came one
after the other among those with `LEAST` crops or more in each of these cameras.

**What a box shows.** In each camera a person's crops, in order of time, are dealt out to the walker's passages by their
length: consecutive ones to each passage, at least one, and no more than one a second; a passage shows each of its
crops for as long as the others (`seconds a crop is shown`). So a crop is shown in one passage only, unless there are
fewer crops than passages: then consecutive passages share one, and `passages that share a crop` says how many do. While
a crop is shown, all boxes have the same embedding, where a camera's would differ a little: steadier than real. From one
crop to the next, much changes at once: harsher.

- A box on a walker (IoU of 0.5 or more with the truth) shows that walker, however badly it is placed.
- If less than half of the walker's body shows, and somebody nearer to the camera fills half of the box or more, it
  shows the latter. With less in front, or behind furniture or the frame's edge, it is a whole crop of the walker:
  flatters.
- A box on nobody, which only the motion detector finds (10 to 14% of its boxes on seeds 0 to 2), in four of five cases
  lies over somebody by 20 to 50%, else is a second box on somebody. The first is what Market calls junk, so all show
  junk of that camera, a new piece every second for as long as the box stays. It is junk of other people (nobody says of
  whom; for both halves, from the test half's folder): harsher than the real box, which shows part of its own walker.

**Measures**, against the walks: IDF1 of identities over all cameras, where who shows less than 0.3 need not be found;
`pair precision`: of the pairs of boxes from two cameras that bear one name, how many are one walker's (a box on nobody
is nobody's); `pair recall`: of the pairs of found boxes of one walker in two cameras, how many bear one name. Names:
how many there are, for 30 walkers.

**Arms.** `as it comes`: the records as they are written; `names at the end`: with every later change of mind and every
merge. `perfect names`: what the same tracks would have if each bore the name of whom most of its boxes show; where two
people share a track, no name is right. `before`: the tracker of another checkout (`--before`) with the same boxes and
embeddings. `nearest crop`: as in `site_tracking.py`. `best possible`: perfect tracks and names with these boxes.
"""

import json
import platform
import tempfile
import time as clock
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Annotated

import numpy as np
import other_checkout
import typer
from lying_on import by_frame, lying_on
from market_tracklets import STARTS, Tracklets, embedded
from pairs import summed_pairs
from site_cache import DETECTORS, SITE, Found, open_site
from site_replay import FINAL, CachedReIdentifier, replay, replay_folder, write_input
from site_tracking import SHOWN, NearestCrop, best_possible, frames_of
from trackers.eval import box_iou

from sdk.errors import DataError
from sdk.simulation.site import Site
from sdk.terminal import Table, results
from sdk.tracking.evaluation import Box, measure, read_boxes

LEAST = 3
"""Crops that a person must have in each camera: walkers pass a camera two or three times."""
AWAY = 1.0
"""Seconds out of view after which a walker's next passage begins."""
HALF = 0.5
"""Share of a body that shows, below which a box may show somebody else; of the box, that this one fills."""
COLUMNS = ("IDF1", "pair precision", "pair recall", "names", "boxes without a name")


@dataclass(frozen=True)
class Cast:
    """Who plays whom."""

    person: dict[str, int]
    """Market's number by the walker's name."""
    camera: dict[str, int]
    """Market's number by the site's name."""


def choose_cast(tracklets: Tracklets, walkers: Sequence[str], cameras: Sequence[str], seed: int) -> Cast:
    """Raises `DataError` if no choice of cameras has so many people with `LEAST` crops in each."""
    rng = np.random.default_rng([seed, len(walkers)])
    people, first = np.unique(tracklets.person, return_index=True)
    count = np.zeros((len(people), max(STARTS) + 1), int)
    np.add.at(count, (np.searchsorted(people, tracklets.person), tracklets.camera), tracklets.crops)
    able = {chosen: (count[:, chosen] >= LEAST).all(axis=1) for chosen in combinations(STARTS, len(cameras))}
    able = {chosen: who for chosen, who in able.items() if who.sum() >= len(walkers)}
    if not able:
        raise DataError(
            f"no {len(cameras)} of {len(STARTS)} cameras have {len(walkers)} people with {LEAST} crops in each"
        )
    chosen = list(able)[rng.integers(len(able))]
    in_order = people[np.argsort(np.where(able[chosen], first, len(tracklets)))][: able[chosen].sum()]
    start = rng.integers(len(in_order) - len(walkers) + 1)
    row = rng.permutation(in_order[start : start + len(walkers)])
    return Cast(
        dict(zip(walkers, row.tolist(), strict=True)), dict(zip(cameras, rng.permutation(chosen).tolist(), strict=True))
    )


def deal_out(lengths: Sequence[int], crops: int) -> list[range]:
    """Consecutive crops, of so many, for passages of these lengths: at least one each."""
    passages = len(lengths)
    if crops < passages:
        return [range(p * crops // passages, p * crops // passages + 1) for p in range(passages)]
    further = np.round(np.cumsum(lengths) / sum(lengths) * (crops - passages)).astype(int)
    ends = further + np.arange(1, passages + 1)
    return [range(begin, end) for begin, end in zip([0, *ends[:-1]], ends, strict=True)]


def shown_crops(
    true: Sequence[Box], cast: Cast, tracklets: Tracklets, frame_rate: float
) -> tuple[dict[tuple[str, str, int], int], float]:
    """The crop, a row of `tracklets`' crops, that (walker, camera, number of the frame) shows; and the share of the
    passages that show a crop of another passage."""
    seen = defaultdict(list)
    for box in true:
        seen[box.identity, box.camera].append(box.frame)
    person, camera = tracklets.person[tracklets.tracklet], tracklets.camera[tracklets.tracklet]
    crop, passages, shared = {}, 0, 0
    for (walker, name), frames in seen.items():
        rows = np.flatnonzero((person == cast.person[walker]) & (camera == cast.camera[name]))
        frames = np.sort(frames)
        parts = np.split(frames, np.flatnonzero(np.diff(frames) > AWAY * frame_rate) + 1)
        dealt = deal_out([len(part) for part in parts], len(rows))
        uses = Counter(number for numbers in dealt for number in numbers)
        passages += len(parts)
        shared += sum(uses[numbers[0]] > 1 for numbers in dealt)
        for part, numbers in zip(parts, dealt, strict=True):
            length = part[-1] - part[0] + 1
            kept = min(len(numbers), max(1, round(length / frame_rate)))
            for frame in part.tolist():
                crop[walker, name, frame] = int(rows[numbers[(frame - part[0]) * kept // length]])
    return crop, shared / passages


class JunkBoxes:
    """Boxes on nobody, in order of time, and the junk that each shows: rows of the junk's crops."""

    def __init__(self, junk: Tracklets, frame_rate: float, seed: int):
        camera = junk.camera[junk.tracklet]
        self._rows = {number: np.flatnonzero(camera == number) for number in STARTS}
        self._second = max(1, round(frame_rate))
        self._rng = np.random.default_rng([seed, 1501])
        self._lately: dict[str, list[tuple[int, np.ndarray, int, int]]] = defaultdict(list)
        """Of a camera's boxes: frame, box, and of those that it continues the first frame and piece."""

    def show(self, camera: str, market_camera: int, frame: int, box: np.ndarray) -> int:
        """Raises `DataError` if that camera has no junk."""
        rows = self._rows[market_camera]
        if not len(rows):
            raise DataError(f"camera {market_camera} of Market-1501 has no junk (files that begin with -1)")
        lately = self._lately[camera] = [one for one in self._lately[camera] if frame - one[0] <= self._second]
        earlier = [one for one in lately if one[0] < frame]
        begun, piece = frame, int(self._rng.integers(len(rows)))
        if earlier:
            iou = box_iou(np.stack([one[1] for one in earlier]).astype(float), box[None].astype(float))[:, 0]
            nearest = int(iou.argmax())
            if iou[nearest] >= HALF:
                begun, piece = earlier[nearest][2:]
                self._lately[camera] = [one for one in lately if one is not earlier[nearest]]
        self._lately[camera].append((frame, box, begun, piece))
        return int(rows[(piece + (frame - begun) // self._second) % len(rows)])


def in_front(person: Box, box: np.ndarray, there: Sequence[Box]) -> Box | None:
    """Who of those there is nearer to the camera than the person and fills most of the box, half of it at least."""
    best, most = None, HALF * float((box[2] - box[0]) * (box[3] - box[1]))
    for other in there:
        if other.xyxy[3] > person.xyxy[3]:  # further down in the frame: nearer
            x, y = (min(box[2 + i], other.xyxy[2 + i]) - max(box[i], other.xyxy[i]) for i in (0, 1))
            if x > 0 and y > 0 and x * y >= most:
                best, most = other, x * y
    return best


def show_crops(
    true: Sequence[Box], found: Found, site: Site, tracklets: Tracklets, junk: Tracklets
) -> tuple[np.ndarray, Cast, dict]:
    """The crop that each found box shows, int `[N]`: a row of `tracklets`' crops, or, from their number on, one of
    `junk`'s; who plays whom; and what the boxes show."""
    walkers = sorted({box.identity for box in true})
    cast = choose_cast(tracklets, walkers, site.camera_names, site.seed)
    crop, shared = shown_crops(true, cast, tracklets, site.frame_rate)
    frames, there, nobody = frames_of(found, site), by_frame(true), JunkBoxes(junk, site.frame_rate, site.seed)
    shown, kinds = np.empty(len(frames), int), Counter()
    for row, (frame, person, box) in enumerate(zip(frames, lying_on(true, frames, found.box), found.box, strict=True)):
        if person is None:
            kinds["junk"] += 1
            shown[row] = len(tracklets.name) + nobody.show(frame[0], cast.camera[frame[0]], frame[1], box)
            continue
        other = in_front(person, box, there[frame]) if person.weight < HALF else None
        kinds["somebody in front" if other else "the walker"] += 1
        shown[row] = crop[((other or person).identity, *frame)]
    return (
        shown,
        cast,
        {
            "cameras of Market": list(cast.camera.values()),
            "people of Market": list(cast.person.values()),
            "boxes that show": {kind: round(count / len(frames), 4) for kind, count in kinds.most_common()},
            "passages that share a crop": round(shared, 3),
            "seconds a crop is shown": round(len(crop) / len(set(crop.values())) / site.frame_rate, 1),
        },
    )


def dress(
    true: Sequence[Box], found: Found, site: Site, tracklets: Tracklets, junk: Tracklets
) -> tuple[np.ndarray, dict]:
    """What the model sees in each found box, float32 `[N, D]`; and who plays whom, and what the boxes show."""
    shown, _, facts = show_crops(true, found, site, tracklets, junk)
    return np.concatenate([tracklets.embedding, junk.embedding])[shown], facts


def scores(true: Sequence[Box], folder: Path) -> dict:
    """Of the records in the folder."""
    found = read_boxes(folder)
    on = lying_on(true, [(box.camera, box.frame) for box in found], np.array([box.xyxy for box in found]))
    rows = [row for row, person in enumerate(on) if person is None or person.weight >= SHOWN]
    alone = [f"alone {row}" for row in rows]  # on nobody, or without a name: a group of its own
    walker = _numbers([on[row].identity if on[row] else one for row, one in zip(rows, alone, strict=True)])
    name = _numbers([found[row].identity or one for row, one in zip(rows, alone, strict=True)])
    camera = _numbers([found[row].camera for row in rows])
    both = _numbers(list(zip(walker, name, strict=True)))
    same, under_one, right = (
        summed_pairs(group, camera, np.ones(len(rows)))["two cameras"] for group in (walker, name, both)
    )
    return {
        "IDF1": round(float(measure(true, found, SHOWN).idf1), 3),
        "pair precision": round(right / under_one, 3) if under_one else 1.0,
        "pair recall": round(right / same, 3) if same else 1.0,
        "names": len({box.identity for box in found} - {None}),
        "boxes without a name": sum(box.identity is None for box in found),
    }


def with_perfect_names(true: Sequence[Box], folder: Path) -> Path:
    """The folder of new records, in which every box with a name bears that of whom most of its track's boxes show."""
    records = [json.loads(line) for line in (folder / "tracks.jsonl").read_text(encoding="utf-8").splitlines()]
    tracks = [(record["camera"], record["track"]) for record in records]
    shown = defaultdict(Counter)
    found = read_boxes(folder)
    on = lying_on(true, [(box.camera, box.frame) for box in found], np.array([box.xyxy for box in found]))
    for track, person in zip(tracks, on, strict=True):
        if person:
            shown[track][person.identity] += 1
    output = folder / "perfect-names"
    output.mkdir()
    with (output / "tracks.jsonl").open("w", encoding="utf-8") as lines:
        for track, record in zip(tracks, records, strict=True):
            name = shown[track].most_common(1)[0][0] if shown[track] and record["identity"] else None
            lines.write(json.dumps(record | {"identity": name}) + "\n")
    return output


def _numbers(groups: list) -> np.ndarray:
    numbers: dict = {}
    return np.array([numbers.setdefault(group, len(numbers)) for group in groups], int)


def run_arms(
    true: Sequence[Box], found: Found, site: Site, embedding: np.ndarray, model: Path | None, before: Path | None = None
) -> dict[str, dict]:
    """The figures of each arm."""
    rows = {}
    trackers: dict[str, Callable[[Path], None]] = {"as it comes": replay_folder}
    if before:
        trackers[other_checkout.title(before)] = lambda folder: other_checkout.run_elsewhere(
            before, "site_replay:replay_folder", folder
        )
    for arm, run in trackers.items():
        with tempfile.TemporaryDirectory() as folder:
            write_input(Path(folder), site, found, embedding, model)
            run(Path(folder))
            cost = json.loads((Path(folder) / "replay.json").read_text(encoding="utf-8"))
            rows[arm] = scores(true, Path(folder)) | {"seconds to replay": round(cost["seconds"], 1)}
            rows[f"{arm}, names at the end"] = scores(true, Path(folder) / FINAL)
            rows[f"{arm}, perfect names"] = scores(true, with_perfect_names(true, Path(folder)))
    with tempfile.TemporaryDirectory() as folder:
        replay(site, found, CachedReIdentifier(embedding, None, engine=model), Path(folder), NearestCrop)
        rows["nearest crop, greedily"] = scores(true, Path(folder))
    return rows


def show(title: str, rows: dict[str, dict]) -> None:
    table = Table("arm", *COLUMNS, title=title)
    for arm, row in rows.items():
        table.add_row(arm, *(f"{row[column]:.3g}" if column in row else "" for column in COLUMNS))
    results.print(table)


def mean_of(sites: Sequence[dict[str, dict]]) -> dict[str, dict]:
    """The mean of each figure of each arm."""
    return {
        arm: {column: round(float(np.mean([site[arm][column] for site in sites])), 3) for column in row}
        for arm, row in sites[0].items()
    }


def main(
    root: Annotated[Path, typer.Argument(help="The folder of Market-1501.")],
    seeds: Annotated[str, typer.Option(help="Sites, by commas.")] = "0,1,2",
    half: Annotated[str, typer.Option(help="test, or train for tuning.")] = "test",
    detectors: Annotated[str, typer.Option(help="By commas: simulated, motion.")] = ",".join(DETECTORS),
    model: Annotated[list[Path] | None, typer.Option(help="Of `reid convert`; several make several rows.")] = None,
    before: Annotated[Path | None, typer.Option(help="Another checkout, whose tracker is measured as well.")] = None,
    sites: Annotated[Path, typer.Option(help="Where drawn sites are kept.")] = Path("out/sites"),
    cache: Annotated[Path, typer.Option(help="Where features of Market-1501 are kept.")] = Path("out/market"),
    output: Annotated[Path, typer.Option(help="JSON to write, or to add to.")] = Path(
        "benchmarks/results/hybrid_site.json"
    ),
) -> None:
    facts = json.loads(output.read_text(encoding="utf-8")) if output.exists() else {"figures": {}}
    facts |= {
        "date": clock.strftime("%Y-%m-%d"),
        "site": SITE,
        "protocol": "walks and boxes of drawn sites, crops of Market-1501, through the tracker; see the docstring",
        "machine": f"{platform.machine()}, NumPy {np.__version__}",
    }
    for file in model or [None]:
        title = file.name if file else "shipped model"
        figures = facts["figures"].setdefault(title, {})
        tracklets, junk = embedded(root, half, file, cache), embedded(root, "test", file, cache, junk=True)
        for detector in detectors.split(","):
            of_sites = []
            for seed in map(int, seeds.split(",")):
                site, found, truth = open_site(sites, seed)
                true, case = read_boxes(truth), f"{half} half, {detector}, seed {seed}"
                embedding, who = dress(true, found[detector], site, tracklets, junk)
                rows = run_arms(true, found[detector], site, embedding, file, before)
                rows["best possible with these boxes"] = best_possible(found[detector], site, truth)
                of_sites.append(rows)
                figures[case] = rows | {"site": who}
                show(f"{title}, {case}", rows)
                output.parent.mkdir(parents=True, exist_ok=True)
                output.write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
            case = f"{half} half, {detector}, mean of seeds {seeds}"
            figures[case] = mean_of(of_sites)
            show(f"{title}, {case}", figures[case])
            output.write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
