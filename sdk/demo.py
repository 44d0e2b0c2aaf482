"""The main job on a drawn site: two cameras, some people, tracked with the model that ships, held against the truth."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rich.table import Table
from scipy.optimize import linear_sum_assignment  # scipy comes with `trackers`

from sdk.reidentifier import ReIdentifier
from sdk.simulation.scene import Scene, Truth
from sdk.tracking import MultiCameraTracker
from sdk.video.run import track_videos
from sdk.video.summary import Sighting

MIN_IOU = 0.3
"""From which a tracked box counts as a true person's."""

Counts = Counter[tuple[str, str, str]]
"""(true identity, found identity, camera) → frames."""


def run_demo(scene: Scene, reid: ReIdentifier, output: Path) -> tuple[list[Sighting], Counts]:
    """Track `scene` with the motion detector into `output`; who was seen, and whom the boxes truly showed."""
    truths: list[dict[str, Truth]] = []

    def ticks() -> Iterator[tuple[float, dict[str, np.ndarray]]]:
        for time, frames, truth in scene:
            truths.append(truth)
            yield time, frames

    tracker = MultiCameraTracker(reid, detector="motion", frame_rate=scene.frame_rate)
    sightings = track_videos(ticks(), tracker, output, scene.frame_rate, scene.ticks)
    return sightings, compare_with_truth(output / "tracks.jsonl", truths)


def compare_with_truth(records: Path, truths: list[dict[str, Truth]]) -> Counts:
    """Count, over the records that bear an identity, whose box each lies on."""
    counts: Counts = Counter()
    with records.open(encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            truth = truths[record["frame"]][record["camera"]]
            overlap = _iou(np.array(record["box"]), truth.boxes)
            if record["identity"] is not None and overlap.max(initial=0) >= MIN_IOU:
                counts[truth.identities[int(overlap.argmax())], record["identity"], record["camera"]] += 1
    return counts


def best_names(counts: Counts) -> dict[str, str]:
    """The one-to-one naming of true by found identities under which most frames are right."""
    true, found = (sorted({key[i] for key in counts}) for i in (0, 1))
    together = np.zeros((len(true), len(found)))
    for (t, f, _), frames in counts.items():
        together[true.index(t), found.index(f)] += frames
    return {true[row]: found[col] for row, col in zip(*linear_sum_assignment(-together), strict=True)}


def truth_table(counts: Counts) -> Table:
    """Found against true identities: a row a true person and camera."""
    names = best_names(counts)
    right = sum(frames for (t, f, _), frames in counts.items() if names.get(t) == f)
    total = sum(counts.values())
    title = f"{right} of {total} frames under the right name ({right / max(1, total):.1%})"
    table = Table("true", "camera", "found (frames)", "right", title=title)
    for true in sorted({key[0] for key in counts}):
        for camera in sorted({key[2] for key in counts if key[0] == true}):
            here = Counter({f: n for (t, f, c), n in counts.items() if (t, c) == (true, camera)})
            found = ", ".join(f"{name} ({frames})" for name, frames in here.most_common())
            table.add_row(true, camera, found, f"{here[names.get(true, '')] / sum(here.values()):.0%}")
    return table


def _iou(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    sides = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    overlap = np.clip(sides, 0, None).prod(axis=1)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod()
    return overlap / (area - overlap)
