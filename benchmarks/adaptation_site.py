"""A site teaches its own model in one half of its time, and is watched with it in the other: `reid adapt` on videos.

    python benchmarks/adaptation_site.py ../datasets/Market-1501-v15.09.15 --seeds 0,1,2 --sites out/sites

The hybrid site (`hybrid_site.py`: drawn walks, a simulated detector's boxes, Market's people in them). Its first half
is tracked with the shipped model, and the run keeps crops as `reid track --store-crops` does: a box's picture is the
file of the Market crop that it shows, so tracks hold what they pass over to, somebody in front, and junk, too. From
that folder the network learns as `reid adapt --accept` has it, and writes a model with the site's own thresholds,
camera statistics and prior. The second half is then tracked afresh, by the model that ships and by the new one.

**Measures.** Of the second half's tracks those of `hybrid_site.py`: `as it comes`, and with the names that tracks have
in the end. Of the crops that the second half's boxes show of people, each once: every one against those of the other
cameras, rank-1 and mAP. Both halves show the same people in the same cameras; `crops shown before` says which share of
the second half's crops the first has shown as well.
"""

import json
import platform
import tempfile
import time as clock
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated

import cv2
import numpy as np
import torch
import typer
from hybrid_site import COLUMNS, scores, show_crops
from market_tracklets import HALVES, Tracklets, embedded
from site_cache import SITE, Found, open_site
from site_replay import FINAL, CachedReIdentifier, replay, replay_folder, write_input

from converters.adapted import write_adapted
from sdk.calibration import CameraStatistics
from sdk.engines import DEFAULT_MODEL, load_engine, read_metadata
from sdk.event_sinks import json_lines_sink
from sdk.output import write_whole
from sdk.preprocess import to_batch
from sdk.simulation.site import Site
from sdk.terminal import Table, notes, results
from sdk.tracking import MultiCameraTracker
from sdk.tracking.evaluation import Box, read_boxes
from sdk.video.crop_store import CropStore
from sdk.video.history import EVENTS
from sdk.video.run_folder import RunFolder
from training.adaptation.crops import Crops
from training.adaptation.loop import Adapted, adapt
from training.adaptation.measures import rand_index
from training.adaptation.reading import read_crops
from training.adaptation.report import write_report
from training.adaptation.settings import Settings
from training.evaluation import evaluate_ranking
from training.start import shipped_start

DETECTOR = "simulated"
FIGURES = ("rank1", "mAP")


@dataclass(frozen=True)
class Pictures:
    """The crops of Market-1501 that boxes may show: people's, then junk."""

    paths: list[Path]
    person: np.ndarray
    """int `[N]`: Market's number, -1 of junk."""
    camera: np.ndarray
    embedding: np.ndarray
    """float32 `[N, D]`, by the model that ships."""

    @classmethod
    def of(cls, root: Path, half: str, tracklets: Tracklets, junk: Tracklets) -> "Pictures":
        folders = (tracklets, root / HALVES[half]), (junk, root / HALVES["test"])
        return cls(
            [folder / name for part, folder in folders for name in part.name.tolist()],
            *(
                np.concatenate([getattr(part, name)[part.tracklet] for part, _ in folders])
                for name in ("person", "camera")
            ),
            np.concatenate([part.embedding for part, _ in folders]),
        )


class Store(CropStore):
    """Keeps the picture in the place of its number, and remembers the number."""

    def __init__(self, folder: RunFolder, tracker: MultiCameraTracker, paths: Sequence[Path], shown: np.ndarray):
        self.numbers: dict[tuple[str, int, float], int] = {}
        """Of a picture, by camera, track and time."""
        self._shown, self._read = shown, lru_cache(4096)(lambda number: cv2.imread(str(paths[number])))
        super().__init__(folder, tracker)

    def keep(self, tracklet, quality: float, crop: np.ndarray) -> None:
        number = int(self._shown[int(crop)])
        self.numbers[tracklet.camera, tracklet.track, float(tracklet.last_time)] = number
        super().keep(tracklet, quality, self._read(number))


def part_of(site: Site, found: Found, true: Sequence[Box], begin: int, end: int):
    """The ticks from `begin` to `end` as a site of their own: site, boxes, truth, and which of the boxes these are."""
    rows = np.flatnonzero((found.tick >= begin) & (found.tick < end))
    names = ("camera", "box", "confidence", "changed")
    boxes = SimpleNamespace(tick=found.tick[rows] - begin, **{name: getattr(found, name)[rows] for name in names})
    names = ("cameras", "camera_names", "frame_rate", "size")
    facts = SimpleNamespace(ticks=end - begin, **{name: getattr(site, name) for name in names})
    there = [replace(box, frame=box.frame - begin) for box in true if begin <= box.frame < end]
    return facts, boxes, there, rows


def record(folder: Path, site, found, pictures: Pictures, shown: np.ndarray) -> tuple[Crops, np.ndarray]:
    """Track with the model that ships and keep crops; what `reid adapt` reads, and each one's number of a picture."""
    with ExitStack() as stack:
        run = stack.enter_context(RunFolder(folder, "adaptation_site"))
        stores = []

        def make(*arguments, **options) -> MultiCameraTracker:
            tracker = MultiCameraTracker(*arguments, **options)
            stores.append(stack.enter_context(Store(run, tracker, pictures.paths, shown)))
            events = json_lines_sink(run.claim(EVENTS))
            stack.callback(events.close, 10.0)
            tracker.add_listener(events)
            return tracker

        replay(site, found, CachedReIdentifier(pictures.embedding[shown], None), run, make)
    crops, numbers = read_crops([folder]), stores[0].numbers
    return crops, np.array([numbers[crop.camera, crop.track, crop.time] for crop in crops.items])


def embed(model: Path, pictures: Pictures, shown: np.ndarray, cameras: np.ndarray) -> np.ndarray:
    """What a model sees in the shown pictures, without what their cameras add if it knows them: float32 `[N, D]`."""
    engine, (numbers, place) = load_engine(model), np.unique(shown, return_inverse=True)
    size = engine.metadata.input_size
    blocks = [numbers[i : i + 64] for i in range(0, len(numbers), 64)]
    parts = [engine.run(to_batch([cv2.imread(str(pictures.paths[n])) for n in block], size))[0] for block in blocks]
    embedding = np.concatenate(parts)[place]
    if engine.metadata.cameras is None:
        return embedding
    return CameraStatistics.from_dict(engine.metadata.cameras).normalise(embedding, cameras)


def watch(model: Path, site, found, true: Sequence[Box], pictures: Pictures, shown: np.ndarray) -> dict:
    """The figures of one model, of a site tracked afresh."""
    cameras = np.array(site.camera_names)[found.camera]
    embedding = embed(model, pictures, shown, cameras)
    with tempfile.TemporaryDirectory() as folder:
        write_input(Path(folder), site, found, embedding, model)
        replay_folder(Path(folder))
        figures = {"as it comes": scores(true, Path(folder)), "names at the end": scores(true, Path(folder) / FINAL)}
    _, once = np.unique(shown, return_index=True)
    once = once[pictures.person[shown[once]] >= 0]
    features, people, cameras = embedding[once], pictures.person[shown[once]], cameras[once]
    ranking = evaluate_ranking(features, features, people, people, cameras, cameras, cross_camera=True).to_dict()
    metadata = read_metadata(model)
    return figures | {
        "crops": {"of people": len(once)} | {name: round(ranking[name], 4) for name in FIGURES},
        "threshold": {name: round(metadata.threshold[name], 3) for name in ("value", "tracklet_value")},
        "statistics of cameras": metadata.cameras is not None,
        "prior": metadata.site_prior is not None,
    }


def judged(adapted: Adapted, crops: Crops, people: np.ndarray) -> dict:
    """What the adaptation was given and made of it; people: who each crop shows, -1 nobody."""
    of_crop = adapted.tracklets.of_crop
    most = np.array([np.unique(people[of_crop == track], return_counts=True)[1].max() for track in np.unique(of_crop)])
    looks = {"before": adapted.before} | ({"after": adapted.after} if adapted.after else {})
    return {
        "crops": len(crops),
        "different pictures": 0,
        "junk": round(float((people < 0).mean()), 3),
        "tracks": len(adapted.tracklets),
        "tracks of two crops or more": int((adapted.tracklets.sizes >= 2).sum()),
        "crops of the one whom most of their track show": round(float(most.sum() / len(crops)), 3),
        "pairs seen at once": len(adapted.tracklets.cannot),
        "not adapted, because": adapted.reason,
        "epochs": [measures.to_dict() for measures in adapted.history],
        "best epoch": adapted.checkpoint.epoch if adapted.checkpoint else None,
        "clusters against the truth (adjusted Rand index)": {
            name: round(rand_index(look.labels[of_crop], people), 3) for name, look in looks.items()
        },
    }


def run_seed(
    root: Path, half: str, seed: int, sites: Path, cache: Path, settings: Settings, kept: Path
) -> Iterator[tuple[str, dict]]:
    """Figures of one site, by what they are of. kept: a folder for the run, the report and the model."""
    tracklets, junk = embedded(root, half, None, cache), embedded(root, "test", None, cache, junk=True)
    pictures = Pictures.of(root, half, tracklets, junk)
    site, all_found, truth = open_site(sites, seed)
    found, true, middle = all_found[DETECTOR], read_boxes(truth), site.ticks // 2
    shown, _, facts = show_crops(true, found, site, tracklets, junk)
    first, found_first, _, rows_first = part_of(site, found, true, 0, middle)
    second, found_second, true_second, rows_second = part_of(site, found, true, middle, site.ticks)
    people = [np.unique(shown[rows][pictures.person[shown[rows]] >= 0]) for rows in (rows_first, rows_second)]
    yield "site", facts | {"crops shown before": round(float(np.isin(people[1], people[0]).mean()), 3)}
    yield "before", watch(DEFAULT_MODEL, second, found_second, true_second, pictures, shown[rows_second])
    crops, numbers = record(kept / "run", first, found_first, pictures, shown[rows_first])
    threshold, started = read_metadata(DEFAULT_MODEL).threshold["tracklet_value"], clock.monotonic()
    tell = lambda line: notes.print(line, soft_wrap=True)  # noqa: E731
    adapted = adapt(crops, shipped_start(), kept, settings, threshold, resume=True, tell=tell)
    write_report(kept, adapted, crops)
    facts = judged(adapted, crops, pictures.person[numbers]) | {"different pictures": len(np.unique(numbers))}
    yield "adaptation", facts | {"seconds": round(clock.monotonic() - started)}
    if adapted.reason is None:
        write_adapted(adapted, crops, kept, kept / "adapted.onnx", f"hybrid site {seed}")
        yield "after", watch(kept / "adapted.onnx", second, found_second, true_second, pictures, shown[rows_second])


def show(title: str, figures: dict) -> None:
    table = Table("second half", *COLUMNS, *FIGURES, title=title)
    for model in ("before", "after"):
        for arm in ("as it comes", "names at the end") if model in figures else ():
            row = figures[model][arm] | figures[model]["crops"]
            table.add_row(f"{model}, {arm}", *(f"{row[column]:.3g}" for column in (*COLUMNS, *FIGURES)))
    results.print(table)


def main(
    root: Annotated[Path, typer.Argument(help="The folder of Market-1501.")],
    seeds: Annotated[str, typer.Option(help="Sites, by commas.")] = "0,1,2",
    half: Annotated[str, typer.Option(help="test, or train for tuning.")] = "test",
    epochs: Annotated[int, typer.Option(help="Of an adaptation.")] = 8,
    epoch_crops: Annotated[int, typer.Option(help="Shown in an epoch.")] = 4500,
    sites: Annotated[Path, typer.Option(help="Where drawn sites are kept.")] = Path("out/sites"),
    cache: Annotated[Path, typer.Option(help="Where features of Market-1501 are kept.")] = Path("out/market"),
    keep: Annotated[Path | None, typer.Option(help="A folder for the runs, reports and models.")] = None,
    output: Annotated[Path, typer.Option(help="JSON to write, or to add to.")] = Path(
        "benchmarks/results/adaptation_site.json"
    ),
) -> None:
    facts = json.loads(output.read_text(encoding="utf-8")) if output.exists() else {"sites": {}}
    facts |= {
        "date": clock.strftime("%Y-%m-%d"),
        "site": SITE | {"detector": DETECTOR},
        "protocol": "first half of the time to adapt, second half to measure; see the docstring",
        "machine": f"{platform.machine()}, NumPy {np.__version__}, PyTorch {torch.__version__}",
    }
    settings = Settings()
    settings = replace(settings, train=replace(settings.train, epochs=epochs), crops=epoch_crops)
    for seed in map(int, seeds.split(",")):
        case = f"{half} half, seed {seed}"
        figures = {"epochs": epochs, "crops shown in an epoch": epoch_crops}
        with tempfile.TemporaryDirectory() as folder:
            kept = Path(folder) if keep is None else keep / f"{half}-{seed}"
            kept.mkdir(parents=True, exist_ok=True)
            for name, part in run_seed(root, half, seed, sites, cache, settings, kept):
                figures[name] = part
                facts["sites"][case] = figures
                write_whole(output, json.dumps(facts, indent=2, ensure_ascii=False) + "\n", private=False)
        show(case, figures)


if __name__ == "__main__":
    typer.run(main)
