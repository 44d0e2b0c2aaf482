"""What the live page costs the tracker: the same ticks without it, with it, and while a browser's worth of it is read.

python benchmarks/live_page.py --output benchmarks/results/live_page.json

A drawn site of four cameras of 640×480 px with given detections and the model that ships, on ONNX Runtime, as quickly
as it goes. The reader asks for what an open page asks for, as often: all cameras' pictures eight times a second, and
the lists every second.
"""

import http.client
import json
import os
import platform
import threading
import time
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import supervision as sv
import typer

from sdk import MultiCameraTracker, ReIdentifier
from sdk.serve import LiveSite, serve
from sdk.serve.run import run_site
from sdk.simulation.site import Site
from sdk.simulation.site.detector import detect
from sdk.terminal import results

SITE = Site(3, cameras=4, people=12, seconds=30.0)


def draw() -> tuple[list, dict[int, sv.Detections]]:
    """All ticks of the site, and the detections of each frame by its id."""
    rng, ticks, found = np.random.default_rng(0), [], {}
    for tick_time, frames, truths in SITE:
        for name, frame in frames.items():
            boxes, confidence = detect(truths[name], frame.shape[:2], rng)
            found[id(frame)] = sv.Detections(boxes, confidence=confidence, class_id=np.zeros(len(boxes), int))
        ticks.append((tick_time, frames))
    return ticks, found


def track(ticks: list, found: dict, reid: ReIdentifier, page: bool, watched: bool) -> dict:
    """Seconds of wall and processor time for all ticks."""
    reid = ReIdentifier(reid.engine)  # with a gallery of its own
    tracker = MultiCameraTracker(reid, lambda frame: found[id(frame)], frame_rate=SITE.frame_rate)
    site, end, pictures = LiveSite(tracker, SITE.camera_names), threading.Event(), [0]
    with serve(site) as address:
        reader = threading.Thread(target=read, args=(address, end, pictures), daemon=True)
        if watched:
            reader.start()
        wall = time.perf_counter()
        if page:
            run_site(site, ticks, threading.Event())
        else:
            for tick_time, frames in ticks:
                tracker.update(frames, tick_time)
            tracker.finish()
        wall = time.perf_counter() - wall
        end.set()
        if watched:
            reader.join()
    return {"seconds": wall, "pictures a second": pictures[0] / wall}


def read(address: str, end: threading.Event, pictures: list[int]) -> None:
    """What the page asks for, until the end."""
    host, port = address.split("/")[2].split(":")
    connection = http.client.HTTPConnection(host, int(port))
    seen, lists = [-1] * SITE.cameras, 0.0
    while not end.is_set():
        began = time.monotonic()
        for number in range(SITE.cameras):
            connection.request("GET", f"/camera/{number}.jpg?after={seen[number]}")
            response = connection.getresponse()
            response.read()
            if response.status == 200:
                seen[number] = int(response.headers["X-Reid-Frame"])
                pictures[0] += 1
        if began - lists > 1:
            lists = began
            for path in ("/api/state", "/api/people?find="):
                connection.request("GET", path)
                connection.getresponse().read()
        end.wait(max(0.02, 0.12 + began - time.monotonic()))
    connection.close()


def main(
    rounds: Annotated[int, typer.Option(help="Of each; the median counts.")] = 5,
    output: Annotated[Path, typer.Option(help="JSON to write.")] = Path("benchmarks/results/live_page.json"),
) -> None:
    cv2.setNumThreads(1)
    ticks, found = draw()
    reid = ReIdentifier()
    ways = {"tracker alone": (False, False), "with the page": (True, False), "with the page, read": (True, True)}
    measured: dict[str, list[dict]] = {name: [] for name in ways}
    track(ticks, found, reid, False, False)  # warm
    for _ in range(rounds):  # in turns, so that a busy moment of the machine is nobody's alone
        for name, way in ways.items():
            measured[name].append(track(ticks, found, reid, *way))
    median = {name: float(np.median([run["seconds"] for run in runs])) for name, runs in measured.items()}
    facts = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, OpenCV {cv2.__version__}, NumPy {np.__version__}",
        "ticks": f"{len(ticks)} of {SITE.cameras} cameras of 640×480 px, {len(found)} frames, given detections",
        "milliseconds a tick (median of rounds)": {k: round(1000 * v / len(ticks), 2) for k, v in median.items()},
        "ratio to the tracker alone": {k: round(v / median["tracker alone"], 3) for k, v in median.items()},
        "of each round": {k: [round(run["seconds"], 2) for run in runs] for k, runs in measured.items()},
        "pictures a second to the reader": round(
            float(np.median([run["pictures a second"] for run in measured["with the page, read"]])), 1
        ),
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    results.print_json(data=facts)


if __name__ == "__main__":
    typer.run(main)
