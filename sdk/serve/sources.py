"""What is tracked live: cameras by their addresses, or a drawn site to try the page with."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import supervision as sv

from sdk.events import Event, Listener
from sdk.reidentifier import ReIdentifier
from sdk.serve.run import Ticks, paced
from sdk.simulation.site import Site, Truth
from sdk.simulation.site.detector import detect
from sdk.tracking import MultiCameraTracker
from sdk.video.sources import VideoFiles


@dataclass
class Opened:
    """Sources and their tracker, ready to run."""

    cameras: list[str]
    ticks: Ticks
    tracker: MultiCameraTracker


class Tell:
    """A listener that passes events on to others, which may be added later."""

    def __init__(self):
        self.listeners: list[Listener] = []

    def __call__(self, event: Event) -> None:
        for listener in self.listeners:
            listener(event)


@contextmanager
def open_sources(
    sources: Sequence[str | Path], reid: ReIdentifier, detector: str, tell: Listener, stop: threading.Event
) -> Iterator[Opened]:
    """Cameras, tracked with `reid`; files play at their own speed. tell: is told of what happens.

    Raises `DataError` naming a source that cannot be had.
    """
    source = VideoFiles(sources)
    tracker = MultiCameraTracker(reid, detector, frame_rate=source.tick_rate)
    yield Opened(source.cameras, paced(source, stop), tracker)


@contextmanager
def open_drawn_site(reid: ReIdentifier, site: Site, tell: Listener, stop: threading.Event) -> Iterator[Opened]:
    """A drawn site, with the boxes of a detector that has the usual faults."""
    truths: dict[str, Truth] = {}

    def ticks() -> Iterator[tuple[float, dict[str, np.ndarray]]]:
        for time, frames, truth in site:
            truths.update(truth)
            yield time, frames

    detectors = {
        name: partial(_look_up, camera=name, truths=truths, rng=np.random.default_rng([site.seed, number, 13]))
        for number, name in enumerate(site.camera_names)
    }
    tracker = MultiCameraTracker(reid, detectors, frame_rate=site.frame_rate)
    yield Opened(list(site.camera_names), paced(ticks(), stop), tracker)


def _look_up(frame: np.ndarray, camera: str, truths: dict[str, Truth], rng: np.random.Generator) -> sv.Detections:
    boxes, confidence = detect(truths[camera], frame.shape[:2], rng)
    return sv.Detections(boxes, confidence=confidence, class_id=np.zeros(len(boxes), int))
