"""What is tracked live: cameras by their addresses, or a drawn site to try the page with."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sdk.events import Listener
from sdk.reidentifier import ReIdentifier
from sdk.serve.run import Ticks, paced
from sdk.simulation.site import Site, Truth
from sdk.tracking import MultiCameraTracker
from sdk.tracking.detectors.simulated import simulated_detectors
from sdk.video.sources import Sources


@dataclass
class Opened:
    """Sources and their tracker, ready to run."""

    cameras: list[str]
    ticks: Ticks
    tracker: MultiCameraTracker


@contextmanager
def open_sources(
    sources: Sequence[str | Path],
    reid: ReIdentifier,
    detector: str | None,
    tell: Listener,
    stop: threading.Event,
    rate: float | None = None,
) -> Iterator[Opened]:
    """Cameras, tracked with `reid`; files among themselves play at their own speed.

    tell: is told of what happens. rate: ticks a second of live cameras; None: the usual. Raises `DataError` naming a
    source that cannot be had.
    """
    with Sources(sources, rate, on_event=tell) as source:
        tracker = MultiCameraTracker(reid, detector, frame_rate=source.tick_rate, on_event=tell)
        yield Opened(source.cameras, source if source.live else paced(source, stop), tracker)


@contextmanager
def open_drawn_site(reid: ReIdentifier, site: Site, tell: Listener, stop: threading.Event) -> Iterator[Opened]:
    """A drawn site, with the boxes of a detector that has the usual faults."""
    truths: dict[str, Truth] = {}

    def ticks() -> Iterator[tuple[float, dict[str, np.ndarray]]]:
        for time, frames, truth in site:
            truths.update(truth)
            yield time, frames

    detectors = simulated_detectors(site, truths)
    tracker = MultiCameraTracker(reid, detectors, frame_rate=site.frame_rate, on_event=tell)
    yield Opened(list(site.camera_names), paced(ticks(), stop), tracker)
