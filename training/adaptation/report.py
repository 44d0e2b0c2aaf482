"""What an adaptation did, to be looked at by a human: figures as Markdown, clusters as contact sheets."""

from pathlib import Path

import cv2
import numpy as np

from sdk.canvas import FAINT, Canvas
from sdk.folder import write_image
from sdk.names import visible
from sdk.output import write_whole
from training.adaptation.crops import Crops
from training.adaptation.loop import Adapted, Look
from training.adaptation.measures import Measures

REPORT, BEFORE, AFTER = "adapt.md", "before.png", "after.png"
ROWS, COLUMNS = 24, 12
"""Clusters of a contact sheet, and crops of each."""
TILE = (96, 48)
"""Height and width of a crop in it, px."""
GAP, TITLE = 4, 14

MEANINGS = {
    "halves": "tracks whose first half finds the second first, among all tracks of the camera",
    "separation": "chance that a track's halves are nearer to each other than two people seen at once",
    "agreement": "how far the clusters of first halves and of second halves agree (adjusted Rand index)",
    "within": "median distance of a track's halves, cameras taken away",
    "between": "median distance of two people seen at once, cameras taken away",
    "clusters": "clusters of two tracks or more",
    "clustered": "share of the crops in them",
}


def write_report(folder: Path, adapted: Adapted, crops: Crops) -> list[Path]:
    """Write `adapt.md`, `before.png` and, where there are new weights, `after.png` into `folder`; their paths."""
    sheets = {BEFORE: adapted.before} | ({AFTER: adapted.after} if adapted.after is not None else {})
    paths = []
    for name, look in sheets.items():
        write_image(folder / name, contact_sheet(crops, adapted, look))
        paths.append(folder / name)
    write_whole(folder / REPORT, report_text(adapted, crops, list(sheets)))
    return [folder / REPORT, *paths]


def report_text(adapted: Adapted, crops: Crops, sheets: list[str]) -> str:
    """The report as Markdown."""
    tracklets, cameras = adapted.tracklets, sorted(set(crops.cameras.tolist()))
    lines = ["# Adaptation", ""]
    if adapted.reason is not None:
        lines += [f"**Not adapted, because {adapted.reason}.** The model is as it was.", ""]
    else:
        lines += [f"**Better by the measures below**, with the weights after epoch {adapted.checkpoint.epoch}.", ""]
    lines += [
        f"- {visible(crops.source)}",
        f"- {len(crops)} crops, {len(tracklets)} tracks, {len(cameras)} cameras: {visible(', '.join(cameras))}",
        f"- {len(tracklets.cannot)} pairs of tracks are two people (seen at once, or said so), {len(tracklets.must)} "
        "are one (said so)",
        "",
        "Nothing here was measured with a label. Look at the pictures: a row is a cluster, which should be one person.",
        "",
        "| | before | after | what it is |",
        "|---|---|---|---|",
    ]
    after = adapted.after.measures if adapted.after is not None else None
    for name, meaning in MEANINGS.items():
        lines.append(f"| {name} | {_shown(adapted.before.measures, name)} | {_shown(after, name)} | {meaning} |")
    lines += ["", "## What was thrown away", ""]
    alone = int((adapted.before.usable < 0).sum())
    lines.append(f"- {alone} crops of people who were seen in one track alone, before; they teach nothing")
    if adapted.after is not None:
        lines.append(f"- {int((adapted.after.usable < 0).sum())} of them after")
    lines += [f"- {count} crops: {reason}" for reason, count in (crops.thrown_away or {}).items()]
    lines += ["", "## Epochs", "", "| epoch | " + " | ".join(MEANINGS) + " |", "|---" * (len(MEANINGS) + 1) + "|"]
    for epoch, measures in enumerate(adapted.history):
        lines.append(f"| {epoch or 'before'} | " + " | ".join(_shown(measures, name) for name in MEANINGS) + " |")
    lines += ["", "## Clusters", "", *(f"![{name}]({name})\n" for name in sheets)]
    return "\n".join(lines) + "\n"


def contact_sheet(crops: Crops, adapted: Adapted, look: Look) -> np.ndarray:
    """A row a cluster, of tracks in turn: `ROWS` of all, evenly from the largest to the smallest. uint8 BGR."""
    number = int(look.usable.max()) + 1
    if not number:
        return Canvas(TITLE + 2 * GAP, 300).finished()
    by_size = np.argsort(-np.bincount(look.usable[look.usable >= 0], minlength=number), kind="stable")
    chosen = by_size[np.unique(np.linspace(0, number - 1, min(ROWS, number)).round().astype(int))]
    height, width = TILE
    step = height + TITLE + GAP
    canvas = Canvas(len(chosen) * step + GAP, COLUMNS * (width + GAP) + GAP)
    for row, label in enumerate(chosen):
        members = np.flatnonzero(look.usable == label)
        order = np.lexsort((adapted.tracklets.of_crop[members], adapted.tracklets.place[members]))
        for column, member in enumerate(members[order][:COLUMNS].tolist()):
            x, y = GAP + column * (width + GAP), GAP + row * step
            canvas.text(x, y + TITLE / 2, crops.items[member].camera, 7, FAINT, room=width)
            canvas.paste(x, y + TITLE, width, height, cv2.resize(crops.read(member), (width, height)))
    return canvas.finished()


def _shown(measures: Measures | None, name: str) -> str:
    if measures is None:
        return "–"
    value = getattr(measures, name)
    return str(value) if isinstance(value, int) else f"{value:.4f}"
