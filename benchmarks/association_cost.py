"""What the association alone costs: 500 people pass 16 cameras for half an hour, as tracklets; no frame is decoded.

python benchmarks/association_cost.py --output benchmarks/results/association_cost.json

Everybody is always somewhere: some seconds in one camera, then on the way to another. Their crops' features are drawn
(a look, what the camera adds, noise), five a second. What is measured is the processor time of the association: names
at once, reviews, what is learned of the site, and the gallery, a file. Its share of a core is that against the
simulated time, and the memory of the process is taken every minute.
"""

import heapq
import json
import platform
import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from cameras import Stages, association_in, resident_mebibytes

from sdk import Gallery, ReIdentifier
from sdk.reidentifier import features_of
from sdk.terminal import Table, notes, results
from sdk.tracking import TrackerConfig
from sdk.tracking.association import Identities
from sdk.tracking.multi_camera import site_model
from sdk.tracking.reason import Thresholds
from sdk.tracking.site.memory import SiteMemory
from sdk.tracking.tracklet import Tracklet

RATE = 10.0
"""Ticks a second."""
STAY, AWAY = (5.0, 12.0), (20.0, 80.0)
"""For how many seconds, at least and at most, a camera sees somebody, and nobody does after that."""
EXEMPLARS = 8
"""Of a person in the gallery: it is full after ten minutes then, and what grows from there on is something else."""
COLOUR, NOISE, CROP = 0.8, 0.45, 0.35
"""Lengths of what a camera adds, of what differs from passage to passage and from crop to crop, against a look's."""


class Walks:
    """Who is seen where: tracklets that begin and end."""

    def __init__(self, cameras: int, people: int, dimensions: int, seed: int):
        self.rng = np.random.default_rng(seed)
        self._looks = self._unit(people, dimensions)
        self._colours = COLOUR * self._unit(cameras, dimensions)
        begin = self.rng.uniform(0, STAY[1] + AWAY[1], people)
        self._next = [(float(when), person) for person, when in enumerate(begin)]
        heapq.heapify(self._next)
        self.count = 0
        self.here: dict[Tracklet, tuple[float, np.ndarray]] = {}
        """Who is in view: until when, and what their passage looks like."""

    def _unit(self, *shape: int) -> np.ndarray:
        vectors = self.rng.normal(size=shape).astype(np.float32)
        return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)

    def step(self, now: float, crops: bool) -> list[Tracklet]:
        """The tracklets that begin now; those in view are seen once more, and get a crop."""
        began = []
        while self._next[0][0] <= now:
            _, person = heapq.heappop(self._next)
            camera, until = int(self.rng.integers(len(self._colours))), now + self.rng.uniform(*STAY)
            heapq.heappush(self._next, (until + self.rng.uniform(*AWAY), person))
            self.count += 1
            look = self._looks[person] + self._colours[camera] + NOISE * self._unit(len(self._looks[0]))
            began.append(Tracklet(f"camera-{camera + 1}", self.count, now, now, first_time=now, frame=1 / RATE))
            self.here[began[-1]] = until, look
        self.here = {tracklet: stay for tracklet, stay in self.here.items() if stay[0] > now}
        noise = CROP * self._unit(len(self.here), len(self._looks[0])) if crops and self.here else None
        for row, (tracklet, (_, look)) in enumerate(self.here.items()):
            tracklet.last = tracklet.last_time = now
            tracklet.seen, tracklet.changed = tracklet.seen + 1, tracklet.changed + 1
            if crops and tracklet.wants(1.0, now, 1 / TrackerConfig.crops_per_second):
                seen = look + noise[row]
                tracklet.add(1.0, seen / np.linalg.norm(seen), now)
        return began


def measure(cameras: int, people: int, minutes: int, seed: int, file: Path) -> dict:
    """Walk, and have the association name everybody; its processor time by stage, and the memory."""
    stages, config = Stages(), TrackerConfig()
    with Gallery(file, max_exemplars=EXEMPLARS) as gallery:
        reid = ReIdentifier(gallery=gallery)
        metadata = reid.engine.metadata
        for name in ("search", "add", "identities", "merge"):
            setattr(gallery, name, stages.timed(getattr(gallery, name), "gallery"))
        site = site_model(reid, config)
        memory = SiteMemory(site, gallery, features_of(metadata), metadata.embedding_dim)
        identities = Identities(gallery, None, config.lost_seconds, site=site, config=config)
        walks = Walks(cameras, people, metadata.embedding_dim, seed)
        thresholds = Thresholds(reid.threshold, reid.tracklet_threshold)
        resident, remembered, longest = [], 0, 0.0
        with association_in(stages):
            for tick in range(round(60 * minutes * RATE)):
                now = tick / RATE
                for tracklet in walks.step(now, crops=tick % 2 == 0):
                    identities.tracklets[tracklet.camera, tracklet.track] = tracklet
                began = time.thread_time()
                lost, last_chance = now - config.lost_seconds, now - config.late_seconds
                identities.decide(now, now, thresholds, lost, last_chance)
                identities.forget_before(now - config.memory_seconds)
                longest = max(longest, time.thread_time() - began)
                remembered = max(remembered, len(identities.tracklets))
                if tick % round(60 * RATE) == 0:
                    memory.save()
                    resident.append(resident_mebibytes())
                    spent = sum(stages.seconds.values())
                    there = f"{spent:.1f} s, {resident[-1]:.0f} MiB, {len(identities.people)} names"
                    notes.print(f"minute {now / 60:.0f}: {there}")
        names = len(gallery.identities())
    seconds = dict(sorted(stages.seconds.items(), key=lambda item: -item[1]))
    settled = np.array(resident[len(resident) // 3 :])
    return {
        "cameras, people, simulated minutes": [cameras, people, minutes],
        "tracklets": walks.count,
        "tracklets remembered at most": remembered,
        "share of a core, percent": round(100 * sum(seconds.values()) / (60 * minutes), 2),
        "of it, by stage": {stage: round(100 * spent / (60 * minutes), 2) for stage, spent in seconds.items()},
        "longest tick, s": round(longest, 2),
        "resident MiB by minute": [round(value, 1) for value in resident],
        "growth over the last two thirds, percent": round(100 * float(settled[-1] / settled[0] - 1), 2),
        "names": names,
    }


def main(
    cameras: Annotated[int, typer.Option(help="How many.")] = 16,
    people: Annotated[int, typer.Option(help="Who walk from one to the other.")] = 500,
    minutes: Annotated[int, typer.Option(help="Simulated.")] = 30,
    seed: Annotated[int, typer.Option(help="Draws people and walks.")] = 0,
    output: Annotated[Path, typer.Option(help="JSON to write.")] = Path("benchmarks/results/association_cost.json"),
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = measure(cameras, people, minutes, seed, Path(folder) / "site.db")
    table = Table("stage", "percent of a core", title=f"{cameras} cameras, {people} people, {minutes} minutes")
    for stage, share in found["of it, by stage"].items():
        table.add_row(stage, f"{share:.2f}")
    table.add_row("together", f"{found['share of a core, percent']:.2f}", style="bold")
    results.print(table)
    facts = {"date": time.strftime("%Y-%m-%d"), "machine": f"{platform.machine()}, {platform.python_version()}"}
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(facts | found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
