"""Is it real time, and does its memory stay flat? Six drawn cameras of 640×480 px at 10 frames a second on two cores.

python benchmarks/cameras.py --output benchmarks/results/cameras.json

Detections are given: those of a good detector with its faults, looked up in the truth. Everything else is what
`reid track` does: decoding, tracks, crops, the model that ships on ONNX Runtime, identities, records, videos. It works
as fast as it can; real time means that a second of the site costs less than a second of the thread that runs it all,
and less than two seconds of both cores. Both are processor time, which other programs on the machine do not lengthen.
"""

import contextlib
import itertools
import json
import os
import platform
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import supervision as sv
import typer

from sdk import Gallery, MultiCameraTracker, ReIdentifier
from sdk.onnx_runtime import onnxruntime
from sdk.simulation.site import Site, Truth, write_site
from sdk.simulation.site.detector import detect
from sdk.terminal import Table, notes, results
from sdk.tracking import joint
from sdk.tracking.association import Identities
from sdk.tracking.site import SiteModel
from sdk.tracking.site.memory import SiteMemory
from sdk.video.run import track_videos
from sdk.video.sources import Sources

CORES = 2
RATE = 10.0


class Stages:
    """Where the main thread's processor time goes: seconds by stage. One within another is taken out of that."""

    def __init__(self):
        self.seconds: Counter[str] = Counter()
        self._open: list[float] = []

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        started, _ = time.thread_time(), self._open.append(0.0)
        try:
            yield
        finally:
            took, inner = time.thread_time() - started, self._open.pop()
            self.seconds[name] += took - inner
            if self._open:
                self._open[-1] += took

    def timed(self, function, name: str):
        """The function, with its time put down under `name`."""

        def run(*arguments, **options):
            with self.stage(name):
                return function(*arguments, **options)

        return run


ASSOCIATION = {
    (SiteModel, "observe"): "association: what cameras add",
    (SiteModel, "prepare"): "association: what cameras add",
    (SiteModel, "learn"): "association: strangers, returns",
    (SiteModel, "evidence"): "association: evidence",
    (joint, "cluster"): "association: linkage",
    (joint, "second_looks"): "association: second looks",
    (Identities, "review"): "association: the rest of a review",
    (Identities, "decide"): "association: names at once",
    (Identities, "forget_before"): "association: names at once",
    (SiteMemory, "save"): "association: what is learned is kept",
}
"""What belongs to which stage."""


@contextlib.contextmanager
def association_in(stages: Stages) -> Iterator[None]:
    """Meanwhile, the stages of the association are put down in `stages`."""
    before = {(owner, name): getattr(owner, name) for owner, name in ASSOCIATION}
    try:
        for (owner, name), stage in ASSOCIATION.items():
            setattr(owner, name, stages.timed(before[owner, name], stage))
        yield
    finally:
        for (owner, name), function in before.items():
            setattr(owner, name, function)


def read_detections(folder: Path, seed: int, people: int) -> dict[str, list[sv.Detections]]:
    """What a detector finds in each frame of each camera of a drawn site, of the first so many `people`."""
    rows = defaultdict(list)
    records = [json.loads(line) for line in (folder / "truth" / "tracks.jsonl").read_text().splitlines()]
    known = sorted({record["identity"] for record in records}, key=lambda name: int(name.split("-")[1]))[:people]
    for record in records:
        if record["identity"] not in known:
            continue
        rows[record["camera"], record["frame"]].append(record)
    settings = json.loads((folder / "site.json").read_text())["settings"]
    found = {}
    for number in range(settings["cameras"]):
        camera = f"camera-{number + 1}"
        rng = np.random.default_rng([seed, number])
        found[camera] = [
            _detect(rows[camera, frame], settings["size"], rng)
            for frame in range(round(settings["seconds"] * settings["frame_rate"]))
        ]
    return found


def _detect(records: list[dict], size: list[int], rng: np.random.Generator) -> sv.Detections:
    truth = Truth(
        boxes=np.array([record["box"] for record in records], np.float32).reshape(-1, 4),
        identities=[record["identity"] for record in records],
        tracks=np.array([record["track"] for record in records], int),
        visibility=np.array([record["visibility"] for record in records], float),
    )
    boxes, confidence = detect(truth, tuple(size), rng)
    return sv.Detections(boxes, confidence=confidence, class_id=np.zeros(len(boxes), int))


class Run:
    """Passes over a drawn site with one tracker, as if it went on and on."""

    def __init__(self, folder: Path, seed: int, people: int):
        self.stages = Stages()
        self.crops = 0
        self._videos = sorted(folder.glob("camera-*.mp4"))
        self._detections = read_detections(folder, seed, people)
        self.boxes = sum(len(found) for frames in self._detections.values() for found in frames)
        self.length = len(next(iter(self._detections.values())))
        """Ticks of the site."""
        self._frame: Counter[str] = Counter()
        self.gallery = Gallery()
        reid = ReIdentifier(gallery=self.gallery)
        reid.engine.run = self.stages.timed(self._counted(reid.engine.run), "model")
        reid.embed = self.stages.timed(reid.embed, "crops to the model's size")
        for name in ("search", "add", "identities"):
            setattr(self.gallery, name, self.stages.timed(getattr(self.gallery, name), "gallery"))
        self.tracker = MultiCameraTracker(
            reid,
            {video.stem: self._look_up(video.stem) for video in self._videos},
            frame_rate=RATE,
        )
        self.tracker.update = self.stages.timed(self.tracker.update, "tracks, change, quality")

    def ticks(self, passes: int, each=lambda: None) -> Iterator[tuple[float, dict[str, np.ndarray]]]:
        """The site's ticks `passes` times over, time going on; `each` is called after every pass."""
        with Sources([f"{video}#loop={passes}" for video in self._videos]) as site:
            ticks, waiting = iter(site), self.stages.timed(next, "waiting for frames")
            for number in itertools.count(1):
                if (tick := waiting(ticks, None)) is None:
                    return
                yield tick
                if number % self.length == 0:
                    each()

    def _counted(self, run):
        def counted(crops):
            self.crops += len(crops)
            return run(crops)

        return counted

    def _look_up(self, camera: str):
        def detector(frame: np.ndarray) -> sv.Detections:
            number = self._frame[camera] % self.length
            self._frame[camera] += 1
            return self._detections[camera][number]

        return detector


def measure_speed(folder: Path, seed: int, people: int, video: bool) -> dict:
    """Processor time of a tick of all cameras, by stage."""
    run = Run(folder, seed, people)
    with tempfile.TemporaryDirectory() as output:
        clock, processor, main = time.perf_counter(), time.process_time(), time.thread_time()
        rates = {path.stem: RATE for path in run._videos}
        with association_in(run.stages):
            track_videos(run.ticks(1), run.tracker, output, rates, video=video)
        clock = time.perf_counter() - clock
        processor, main = time.process_time() - processor, time.thread_time() - main
    ticks = run.length
    length = ticks / RATE
    stages = dict(run.stages.seconds)
    stages["records, videos"] = main - sum(stages.values())
    return {
        "milliseconds of the main thread a tick": {k: round(1000 * v / ticks, 2) for k, v in stages.items()},
        "main thread": round(1000 * main / ticks, 2),
        "other threads (decoding, the model)": round(1000 * (processor - main) / ticks, 2),
        "times real time, by processor time on two cores": round(min(length / main, CORES * length / processor), 2),
        "times real time, by the clock": round(length / clock, 2),
        "crops embedded a second": round(run.crops / length, 1),
        "boxes a second": round(run.boxes / length, 1),
        "identities": len(run.gallery.identities()),
    }


def measure_memory(folder: Path, seed: int, people: int, minutes: int) -> dict:
    """Resident memory after every pass over the site; Ctrl-C or SIGTERM ends it early."""
    run = Run(folder, seed, people)
    minute = run.length / RATE / 60
    resident: list[float] = []
    exemplars: list[int] = []

    def sample() -> None:
        resident.append(resident_mebibytes())
        exemplars.append(len(run.gallery))

    with tempfile.TemporaryDirectory() as scratch:
        rates = {path.stem: RATE for path in run._videos}
        passes = round(minutes / minute)
        track_videos(run.ticks(passes, sample), run.tracker, scratch, rates, video=False)
    settled = np.array(resident[len(resident) // 10 :])  # at first ONNX Runtime's and OpenCV's own memory grows
    middle = float(np.median(settled))
    return {
        "simulated minutes": round(len(resident) * minute, 2),
        "resident MiB": [round(value, 1) for value in resident],
        "median of all but the first tenth": round(middle, 1),
        "farthest from it, percent": round(100 * float(np.abs(settled / middle - 1).max()), 2),
        "exemplars in the gallery": exemplars,
        "identities": len(run.gallery.identities()),
    }


def resident_mebibytes() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def stage_table(speed: dict[str, dict]) -> Table:
    """The stages of each way of running, side by side."""
    table = Table("stage", *speed, title="processor time for a tick of all cameras, ms; a tick lasts 100 ms")
    parts = [way["milliseconds of the main thread a tick"] for way in speed.values()]
    for stage in dict.fromkeys(name for part in parts for name in part):
        table.add_row(stage, *(f"{part.get(stage, 0):.2f}" for part in parts))
    for row in ("main thread", "other threads (decoding, the model)"):
        table.add_row(row, *(f"{way[row]:.1f}" for way in speed.values()), style="bold")
    row = "times real time, by processor time on two cores"
    table.add_row(row, *(f"{way[row]:.2f}" for way in speed.values()), style="bold")
    return table


def main(
    cameras: Annotated[int, typer.Option(help="How many.")] = 6,
    people: Annotated[int, typer.Option(help="Who walk about in them.")] = 20,
    seconds: Annotated[float, typer.Option(help="Of the drawn site, which is watched again and again.")] = 60.0,
    speed: Annotated[bool, typer.Option(help="Measure the speed.")] = True,
    minutes: Annotated[int, typer.Option(help="Simulated, for the memory; 0: speed alone.")] = 30,
    memory_people: Annotated[int, typer.Option(help="Of these the memory's run gets detections.")] = 20,
    seed: Annotated[int, typer.Option(help="Draws the site.")] = 0,
    cache: Annotated[Path, typer.Option(help="Folder to keep the drawn site in.")] = Path("out/benchmark-cameras"),
    output: Annotated[Path, typer.Option(help="JSON to write; what is not measured is kept.")] = Path(
        "benchmarks/results/cameras.json"
    ),
) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:CORES]))
    cv2.setNumThreads(CORES)
    folder = cache / f"{cameras}-{people}-{seconds:g}-{seed}"
    if not (folder / "done").exists():
        write_site(folder, Site(seed, cameras, people, seconds, RATE))
        (folder / "done").touch()
    facts = {
        "machine": f"{platform.machine()}, {CORES} cores, OpenCV {cv2.__version__}, "
        f"ONNX Runtime {onnxruntime.__version__} (CPU)",
        "site": f"{cameras} cameras of 640×480 px at {RATE:g} frames/s, {people} people, {seconds:g} s, seed {seed}, "
        "given detections, the model that ships",
    }
    if speed:
        measure_speed(folder, seed, people, False)  # warms up
        ways = {}
        for name, video in (("records", False), ("records and videos", True)):
            notes.print(f"speed, writing {name}")
            ways[name] = measure_speed(folder, seed, people, video)
        facts["speed"] = {"date": time.strftime("%Y-%m-%d"), **ways}
        results.print(stage_table(ways))
    if minutes:
        notes.print(f"memory over {minutes} simulated minutes")
        memory = measure_memory(folder, seed, memory_people, minutes)
        facts["memory"] = {"date": time.strftime("%Y-%m-%d"), "people who are detected": memory_people, **memory}
        results.print_json(data=facts["memory"])
    before = json.loads(output.read_text(encoding="utf-8")) if output.exists() else {}
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(before | facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
