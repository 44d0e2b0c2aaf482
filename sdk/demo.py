"""The main job on a drawn site: people over several cameras, tracked, named, and held against the truth."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import linear_sum_assignment  # scipy comes with `trackers`

from sdk.reidentifier import ReIdentifier
from sdk.simulation.site import Site, Truth
from sdk.simulation.site.detector import LEAST_VISIBILITY
from sdk.terminal import Table
from sdk.tracking import MultiCameraTracker
from sdk.tracking.detectors.simulated import simulated_detectors
from sdk.video.run import track_videos
from sdk.video.summary import Sighting

MIN_IOU = 0.3
"""From which a tracked box counts as a true person's."""


@dataclass
class Comparison:
    """What was found, held against the truth."""

    found: Counter[tuple[str, str, str]]
    """(true identity, found identity, camera) → frames."""
    present: Counter[tuple[str, str]]
    """(true identity, camera) → frames in which enough of them showed to be found."""


SIMULATED = "simulated"
"""The detector that looks at the truth (`sdk.simulation.site.detector`)."""


def run_demo(
    site: Site, reid: ReIdentifier, output: Path, detector: str = SIMULATED, overwrite: bool = False
) -> tuple[list[Sighting], Comparison]:
    """Track `site` into `output`; who was seen, and whom the boxes truly showed.

    detector: "simulated", or one that finds people in the frames: a name or a file, as `MultiCameraTracker` takes it.
    overwrite: replace the run that `output` holds.
    """
    truths: list[dict[str, Truth]] = []
    latest: dict[str, Truth] = {}

    def ticks() -> Iterator[tuple[float, dict[str, np.ndarray]]]:
        for time, frames, truth in site:
            truths.append(truth)
            latest.update(truth)
            yield time, frames

    detectors = simulated_detectors(site, latest) if detector == SIMULATED else detector
    tracker = MultiCameraTracker(reid, detectors, frame_rate=site.frame_rate)
    frame_rates = dict.fromkeys(site.camera_names, site.frame_rate)
    sightings = track_videos(ticks(), tracker, output, frame_rates, site.ticks, overwrite=overwrite)
    return sightings, compare_with_truth(output / "tracks.jsonl", truths)


def compare_with_truth(records: Path, truths: list[dict[str, Truth]]) -> Comparison:
    """Whose box each record that bears an identity lies on; a frame of `records` is an index into `truths`."""
    found: Counter[tuple[str, str, str]] = Counter()
    with records.open(encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            truth = truths[record["frame"]][record["camera"]]
            overlap = _iou(np.array(record["box"]), truth.boxes)
            if record["identity"] is not None and overlap.max(initial=0) >= MIN_IOU:
                found[truth.identities[int(overlap.argmax())], record["identity"], record["camera"]] += 1
    present = Counter(
        (name, camera)
        for tick in truths
        for camera, truth in tick.items()
        for name, visibility in zip(truth.identities, truth.visibility, strict=True)
        if visibility >= LEAST_VISIBILITY
    )
    return Comparison(found, present)


def best_names(comparison: Comparison) -> dict[str, str]:
    """The one-to-one naming of true by found identities under which most frames are right."""
    true, found = (sorted({key[i] for key in comparison.found}) for i in (0, 1))
    together = np.zeros((len(true), len(found)))
    for (t, f, _), frames in comparison.found.items():
        together[true.index(t), found.index(f)] += frames
    pairs = zip(*linear_sum_assignment(-together), strict=True)
    return {true[row]: found[col] for row, col in pairs if together[row, col]}


def truth_table(comparison: Comparison) -> Table:
    """Found against true identities: a row a true person and camera."""
    names = best_names(comparison)
    right = sum(frames for (t, f, _), frames in comparison.found.items() if names.get(t) == f)
    named = sum(comparison.found.values())
    table = Table("true", "camera", "in view", "found as (frames)", "under the right name", name="truth")
    table.title = (
        f"{right} of {named} named boxes bear the right name; people were in view {comparison.present.total()} times"
    )
    for (true, camera), frames in sorted(comparison.present.items()):
        here = Counter({f: n for (t, f, c), n in comparison.found.items() if (t, c) == (true, camera)})
        found = ", ".join(f"{name} ({n})" for name, n in here.most_common()) or "nobody"
        share = f"{here[names.get(true, '')] / here.total():.0%}" if here else "–"
        record = {"true": true, "camera": camera, "frames": frames, "found": dict(here), "best": names.get(true)}
        table.add_row(true, camera, str(frames), found, share, record=record)
    return table


def _iou(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    overlap = np.clip(sides, 0, None).prod(axis=1)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod()
    return overlap / (area - overlap)
