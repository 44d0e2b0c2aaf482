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
change of mind and every merge. `without joint decisions`: the same where names stay as given, so without reviews and
without a second pass; `without site statistics`: where the tracker knows what the model tells of people, and learns
nothing more. `greedily`: each tracklet is the nearest earlier one's person, up to the model's
threshold. `offline`: average linkage over all tracklets at once, with what one camera saw together forbidden, each
camera's mean and deviation taken away; the distance up to which it joins is chosen on as many people of the training
half, or by the truth itself: that is an upper bound and no method. `before`: the tracker of another checkout
(`--before`), with the same tracklets in the same run.

**One camera**: so many people of one camera who came one after the other, each camera by itself, in two forms. With
all that the camera saw of them; and with each person's first passage only, so that everybody is somebody new: `right`
is then the share of the people with a name of their own, and `taken` how many bear one that was somebody else's.
"""

import json
import platform
import time as clock
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from unittest.mock import patch

import numpy as np
import typer
from market_tracklets import STARTS, Tracklets, choose, embedded
from pairs import summed_pairs
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import squareform
from tracklet_replay import tracked, tracked_elsewhere

from sdk.reidentifier import ReIdentifier
from sdk.terminal import Table, results
from sdk.tracking import TrackerConfig, multi_camera
from sdk.tracking.site import SiteModel, SitePrior

NEVER_JOIN = 1e3
"""The distance of two who cannot be one person."""
CUTS = np.arange(0.20, 1.201, 0.02)
"""Distances up to which the offline arms may join."""
SURVEY = (5, 50, 95)
"""Percentiles of distances."""


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
    tracklets: int
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
        same = summed_pairs(person, tracklets.camera, crops)
        under_one = summed_pairs(name, tracklets.camera, crops)
        both = summed_pairs(person * (name.max() + 1) + name, tracklets.camera, crops)
        first: dict[int, int] = {}
        for who, what in zip(person[named], numbers, strict=True):
            first.setdefault(what, who)
        return cls(
            2 * hits[0] / (crops.sum() + crops[named].sum()),
            {kind: both[kind] / under_one[kind] if under_one[kind] else 1.0 for kind in both},
            {kind: both[kind] / same[kind] if same[kind] else 1.0 for kind in both},
            len(known),
            len(names),
            hits[1] / len(names),
            len({who for who, what in zip(person[named], numbers, strict=True) if first[what] != who}),
        )


def first_passages(tracklets: Tracklets) -> Tracklets:
    """Of everybody the first tracklet alone."""
    first = np.zeros(len(tracklets), bool)
    first[np.unique(tracklets.person, return_index=True)[1]] = True
    return tracklets.of(first)


def run_arms(
    tracklets: Tracklets,
    model: Path | None,
    limit: float,
    learned: float,
    offline: bool = True,
    before: Path | None = None,
    parts: bool = False,
) -> dict[str, np.ndarray]:
    """The names of each arm, `[T]`."""
    names = tracked(tracklets, model)
    if parts:
        without = tracked(tracklets, model, config=TrackerConfig(review_seconds=0))
        names |= {f"{arm}, without joint decisions": of_arm for arm, of_arm in without.items()}
        with patch.object(multi_camera, "site_model", untaught):
            without = tracked(tracklets, model)
        names |= {f"{arm}, without site statistics": of_arm for arm, of_arm in without.items()}
    if before:
        names |= tracked_elsewhere(before, tracklets, model)
    names["greedily"] = greedily(tracklets, limit)
    if offline:
        tree = joined(tracklets, without_cameras(tracklets))
        names["offline, cut chosen on other people"] = cut(tree, learned)
        names["offline, upper bound: cut chosen by the truth"] = cut(tree, best_cut([(tracklets, tree)]))
        raw = joined(tracklets, tracklets.mean)
        names["offline, cameras as they are, cut chosen by the truth"] = cut(raw, best_cut([(tracklets, raw)]))
    return names


def untaught(reid: ReIdentifier, config: TrackerConfig) -> SiteModel:
    """What the model tells of people, to which no site adds anything."""
    return SiteModel(SitePrior.of(reid.engine.metadata, reid.tracklet_threshold), learns=False)


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
        "tracklets": mean(s.tracklets for s in scores),
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
    before: Annotated[Path | None, typer.Option(help="Another checkout, whose tracker is measured as well.")] = None,
    parts: Annotated[bool, typer.Option("--parts", help="Also without joint decisions, without statistics.")] = False,
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
                for arm, names in run_arms(site, file, limit, learned, before=before, parts=parts).items():
                    scores[arm].append(Scores.of(site, names))
            who = "" if whole else f", seeds {seeds}, {'at random' if at_random else 'in a row'}"
            keep(f"{count} people of the {half} half{who}", scores, clock.perf_counter() - started)
        forms = {"": lambda site: site, ", each person's first passage only": first_passages}
        for form, kept in forms.items() if one_camera else ():
            started, scores = clock.perf_counter(), defaultdict(list)
            for camera in STARTS:
                here = this.of(this.camera == camera)
                for seed in numbers:
                    site = kept(choose(here, one_camera, seed, at_random))
                    for arm, names in run_arms(site, file, limit, 0.0, offline=False, before=before).items():
                        scores[arm].append(Scores.of(site, names))
            who = f"one camera, {one_camera} people of the {half} half{form}, mean of six cameras, seeds {seeds}"
            keep(who, scores, clock.perf_counter() - started)


if __name__ == "__main__":
    typer.run(main)
