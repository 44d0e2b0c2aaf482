"""A site on disk: videos, the truth about them, and the plan."""

import contextlib
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from sdk.errors import DataError
from sdk.folder import write_image
from sdk.output import check_output, whole_file, write_whole
from sdk.simulation.site.picture import draw_plan
from sdk.simulation.site.site import Site
from sdk.simulation.site.truth import Truth
from sdk.simulation.site.viewpoint import Viewpoint
from sdk.terminal import notes, track
from sdk.video.writer import VideoWriter


def write_site(output: str | Path, site: Site) -> None:
    """Draw `site` into the new or empty folder `output`:

    - `<camera>.mp4`, a video of each camera;
    - `truth/<camera>.txt`, MOTChallenge ground truth: frame (from 1), identity (a number, the same in all cameras),
      left, top, width, height in px, 1, 1 (a pedestrian who counts), visibility from 0 to 1;
    - `truth/tracks.jsonl`, the same as track records: time in seconds, camera, frame (from 0), track (new with every
      visit to a camera), identity, box `[x1, y1, x2, y2]` px, visibility;
    - `plan.png`, and `site.json` with the settings and the projection matrices of the cameras.

    Ctrl-C ends it early; the files then hold what was drawn. Raises `DataError` if `output` is not empty or cannot be
    written; there is no truth then.
    """
    output = Path(output)
    check_output(output / "site.json")
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise DataError(f"{output}: exists and is not empty; choose a new folder")
    write_image(output / "plan.png", draw_plan(site.plan, site.camera_names, site.walks))
    write_whole(output / "site.json", json.dumps(_describe(site), indent=2) + "\n")
    with contextlib.ExitStack() as stack:
        videos, mot = {}, {}
        for name in site.camera_names:
            videos[name] = stack.enter_context(VideoWriter(output / f"{name}.mp4", site.frame_rate))
            mot[name] = stack.enter_context(whole_file(output / "truth" / f"{name}.txt"))
        records = stack.enter_context(whole_file(output / "truth" / "tracks.jsonl"))
        try:
            for number, (time, frames, truths) in enumerate(track(site, "drawing the site", total=site.ticks)):
                for name, frame in frames.items():
                    videos[name].write(frame)
                    mot[name].write(mot_lines(number, truths[name]))
                    records.write(record_lines(time, name, number, truths[name]))
        except KeyboardInterrupt:
            notes.print("interrupted; the files hold what was drawn so far")


def mot_lines(frame: int, truth: Truth) -> str:
    """MOTChallenge ground truth of frame number `frame`, counted from 0."""
    lines = []
    for (x1, y1, x2, y2), name, visibility in zip(truth.boxes, truth.identities, truth.visibility, strict=True):
        box = f"{x1:.0f},{y1:.0f},{x2 - x1:.0f},{y2 - y1:.0f}"
        lines.append(f"{frame + 1},{name.removeprefix('true-')},{box},1,1,{visibility:.3f}\n")
    return "".join(lines)


def record_lines(time: float, camera: str, frame: int, truth: Truth) -> str:
    """The truth about frame number `frame`, counted from 0, of a camera as track records with visibility."""
    rows = zip(truth.tracks, truth.identities, truth.boxes, truth.visibility, strict=True)
    return "".join(
        json.dumps({
            "time": round(time, 4),
            "camera": camera,
            "frame": frame,
            "track": int(number),
            "identity": name,
            "box": [float(v) for v in box],
            "visibility": round(float(visibility), 3),
        })
        + "\n"
        for number, name, box, visibility in rows
    )  # fmt: skip


def _describe(site: Site) -> dict:
    cameras = {}
    for name, placement in zip(site.camera_names, site.plan.cameras, strict=True):
        view = Viewpoint.of(placement, site.size)
        height, width = site.size
        inner = np.array([[view.focal, 0, width / 2], [0, view.focal, height / 2], [0, 0, 1]])
        outer = np.column_stack([view.axes, -view.axes @ view.origin])
        # px ~ matrix @ (x, y, z, 1), with x and y on the plan and z upwards, in m
        cameras[name] = {**asdict(placement), "projection": (inner @ outer).round(6).tolist()}
    return {
        "settings": asdict(site),
        "cameras": cameras,
        "plan": {"width": site.plan.size[0], "depth": site.plan.size[1]},
    }
