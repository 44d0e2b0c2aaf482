"""Identities across the cameras of drawn sites: IDF1 and HOTA with the tracker, and with the nearest crop, greedily.

    python benchmarks/site_tracking.py --seeds 0,1,2,3 --cache out/sites --output benchmarks/results/site.json

Each site (4 cameras, 30 people, 2 minutes at 10 frames/s) is drawn once (`site_cache.py`), then replayed: the tracker
gets stand-ins for frames, whose detections and crops come from the cache.
"""

import json
import platform
import tempfile
import time as clock
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import other_checkout
import supervision as sv
import typer
from lying_on import lying_on
from site_cache import DETECTORS, SITE, Found, open_site
from site_replay import CachedFrame, CachedReIdentifier, replay, write_input
from trackers import ByteTrackTracker

from sdk.reidentifier import ReIdentifier
from sdk.simulation.site import Site
from sdk.terminal import Table, results, track
from sdk.tracking import TrackerConfig, follower, multi_camera, tracklet
from sdk.tracking.evaluation import Box, evaluate_tracks, measure, read_boxes
from sdk.tracking.follower import LibraryTracks

SHOWN = 0.3
"""Share of a body that shows, from which somebody must be found: what the simulated detector finds."""


class NearestCrop:
    """The baseline: every crop is the nearest one's person, up to the crops' threshold, or somebody new; the track's
    boxes until the next crop are the same. It has ByteTrack's tracks and takes as many crops a second."""

    def __init__(self, reid: ReIdentifier, detector, frame_rate: float):
        self.reid, self._detect, self._frame_rate = reid, detector, frame_rate
        self._tracks: dict[str, LibraryTracks] = {}
        self._names: dict[tuple[str, int], tuple[int, str]] = {}
        self._tick = self._people = 0

    def update(self, frames: dict[str, CachedFrame], time: float) -> dict[str, sv.Detections]:
        self._tick += 1
        result = {}
        for camera, frame in frames.items():
            detections = self._detect(frame)
            if camera not in self._tracks:
                self._tracks[camera] = LibraryTracks(
                    partial(ByteTrackTracker, frame_rate=self._frame_rate), multi_camera.LOST_SECONDS
                )
            tracks = self._tracks[camera]
            tracks.begin(detections.xyxy, detections.confidence, time)
            detections.tracker_id = tracks.end(None, np.zeros(len(detections), bool), np.ones(len(detections)))
            detections = detections[detections.tracker_id >= 0]
            names = [
                self._name(camera, *pair, frame) for pair in zip(detections.tracker_id, detections.xyxy, strict=True)
            ]
            detections.data["identity"] = np.array(names, dtype=object)
            result[camera] = detections
        return result

    def _name(self, camera: str, track: int, box: np.ndarray, frame: CachedFrame) -> str:
        when, name = self._names.get((camera, int(track)), (-(10**9), ""))
        if self._tick - when < max(1, round(self._frame_rate / multi_camera.CROPS_PER_SECOND)):
            return name
        embedding = self.reid.embed([frame.row_of(box)]).embedding
        (found,) = self.reid.gallery.search(embedding, k=1)
        if found and found[0].distance <= self.reid.threshold:
            name = found[0].identity
        else:
            self._people += 1
            name = f"person-{self._people}"
            self.reid.gallery.add(embedding, identity=name, camera=camera)
        self._names[camera, int(track)] = self._tick, name
        return name

    def finish(self) -> None:
        pass

    def identity_of(self, camera: str, track: int) -> str | None:
        return self._names.get((camera, track), (0, None))[1]


ARMS: dict[str, dict] = {
    "nearest crop, greedily": {"make": NearestCrop},
    "tracker on ByteTrack's tracks": {"tracker": True},
    "tracker, as it comes": {},
    "tracker, re-scored": {"rescore": True},
    "tracker, every crop": {"config": TrackerConfig(crops_per_second=1000), "ENOUGH": 10**9, "MARGIN": 10**9},
    "tracker, 150 crops a second": {"crop_budget": 150.0},
    "tracker, 100 crops a second": {"crop_budget": 100.0},
    "tracker, 50 crops a second": {"crop_budget": 50.0},
}
"""What is compared; capitals are constants of the modules, which switch the skipping of crops off."""


def run_arm(arm: dict, site: Site, found: Found, truth: Path, stripes: Path | None) -> dict:
    """The figures of one arm on one site."""
    options, changed = {}, []
    for name, value in arm.items():
        if name.isupper():
            module = next(m for m in (multi_camera, tracklet, follower) if hasattr(m, name))
            changed.append((module, name, getattr(module, name)))
            setattr(module, name, value)
        else:
            options[name] = value
    if options.pop("tracker", False):
        options["tracker"] = partial(ByteTrackTracker, frame_rate=site.frame_rate)
    reid = CachedReIdentifier(found.embedding(), found.stripes(stripes) if options.get("rescore") else None)
    with tempfile.TemporaryDirectory() as output:
        started = clock.perf_counter()
        replay(site, found, reid, Path(output), **options)
        row = figures_of(Path(output), site, truth, reid.embedded, clock.perf_counter() - started)
    for module, name, value in changed:
        setattr(module, name, value)
    return row


def run_before(checkout: Path, site: Site, found: Found, truth: Path) -> dict:
    """The figures of another checkout's tracker, as it comes, with the same boxes and embeddings."""
    with tempfile.TemporaryDirectory() as output:
        write_input(Path(output), site, found, found.embedding())
        other_checkout.run_elsewhere(checkout, "site_replay:replay_folder", Path(output))
        cost = json.loads((Path(output) / "replay.json").read_text(encoding="utf-8"))
        return figures_of(Path(output), site, truth, cost["embedded"], cost["seconds"])


def figures_of(output: Path, site: Site, truth: Path, embedded: int, seconds: float) -> dict:
    """Of the records in `output`; `embedded` crops in `seconds`."""
    seen, everybody = (evaluate_tracks(output, truth, least) for least in (SHOWN, 0.0))
    return {
        "IDF1": round(seen.idf1, 3),
        "HOTA": round(seen.hota, 3),
        "IDP": round(seen.precision, 3),
        "IDR": round(seen.recall, 3),
        "mean IDF1 of the people": round(seen.mean_idf1, 3),
        "IDF1 a camera": [round(camera.idf1, 3) for camera in seen.cameras.values()],
        "IDF1, hidden people too": round(everybody.idf1, 3),
        "identities": seen.found_identities,
        "people": seen.true_identities,
        "boxes without a name": seen.unnamed,
        "crops embedded a second": round(embedded / site.seconds),
        "seconds to replay": round(seconds, 1),
    }


def best_possible(found: Found, site: Site, truth: Path) -> dict:
    """What perfect tracks and names would give with these boxes: each is named after whom it lies on."""
    true, frames = read_boxes(truth), frames_of(found, site)
    # Whoever is on nobody bears a name of its own, which is no less wrong than a shared one.
    named = [
        Box(*frame, person.identity if person else f"nobody-{row}", tuple(map(float, box)))
        for row, (frame, person, box) in enumerate(
            zip(frames, lying_on(true, frames, found.box), found.box, strict=True)
        )
    ]
    return {"IDF1": round(measure(true, named, SHOWN).idf1, 3)}


def frames_of(found: Found, site: Site) -> list[tuple[str, int]]:
    """Camera and number of the frame of each box."""
    return [(site.camera_names[camera], int(tick)) for camera, tick in zip(found.camera, found.tick, strict=True)]


def main(
    seeds: Annotated[str, typer.Option(help="Sites, by commas.")] = "0,1,2,3",
    detectors: Annotated[str, typer.Option(help="By commas: simulated, motion.")] = ",".join(DETECTORS),
    arms: Annotated[str, typer.Option(help="Substrings of their names, by commas; empty: all.")] = "",
    cache: Annotated[Path, typer.Option(help="Where drawn sites are kept.")] = Path("out/sites"),
    stripes: Annotated[
        Path, typer.Option(help="A model with the local branch, for re-scoring: checkpoint or ONNX.")
    ] = Path("training/models/drawn.pt"),
    before: Annotated[Path | None, typer.Option(help="Another checkout, whose tracker is measured as well.")] = None,
    output: Annotated[Path, typer.Option(help="JSON to write, or to add to.")] = Path("benchmarks/results/site.json"),
) -> None:
    chosen = {name: arm for name, arm in ARMS.items() if any(part in name for part in arms.split(","))}
    runs = {name: partial(run_arm, arm, stripes=stripes) for name, arm in chosen.items()}
    if before:
        runs[other_checkout.title(before)] = partial(run_before, before)
    facts = json.loads(output.read_text()) if output.exists() else {"sites": {}}
    facts |= {
        "date": clock.strftime("%Y-%m-%d"),
        "site": SITE,
        "protocol": f"IDF1 at IoU 0.5 of identities over all cameras; who shows less than {SHOWN} need not be found",
        "machine": f"{platform.machine()}, NumPy {np.__version__}",
    }
    for seed in map(int, seeds.split(",")):
        site, found, truth = open_site(cache, seed)
        for detector in detectors.split(","):
            figures = facts["sites"].setdefault(f"seed {seed}, {detector}", {})
            figures["best possible with these boxes"] = best_possible(found[detector], site, truth)
            table = Table(
                "arm", "IDF1", "HOTA", "IDP", "IDR", "identities", "crops/s", title=f"seed {seed}, {detector}"
            )
            for name, run in track(runs.items(), f"seed {seed}, {detector}", total=len(runs)):
                row = figures[name] = run(site=site, found=found[detector], truth=truth)
                values = ("IDF1", "HOTA", "IDP", "IDR", "identities", "crops embedded a second")
                table.add_row(name, *(str(row[value]) for value in values))
            results.print(table)
            output.parent.mkdir(parents=True, exist_ok=True)
            output.write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
