"""What is tracked live: cameras by their addresses, or a drawn site to try the page with."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sdk.reidentifier import ReIdentifier
from sdk.simulation.site import Site, Truth
from sdk.tracking import MultiCameraTracker, TrackerConfig
from sdk.tracking.detectors.simulated import simulated_detectors
from sdk.video.pace import paced
from sdk.video.run import Ticks
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
    detector: str | None = None,
    rate: float | None = None,
    config: TrackerConfig | None = None,
) -> Iterator[Opened]:
    """Cameras, tracked with `reid`; files among themselves play at their own speed.

    rate: ticks per second of live cameras; None: the usual. config: of the tracker. Raises `DataError` naming a source
    that cannot be had.
    """
    with Sources(sources, rate, realtime=True) as source:
        tracker = MultiCameraTracker(reid, detector, frame_rate=source.tick_rate, config=config)
        yield Opened(source.cameras, source, tracker)


@contextmanager
def open_drawn_site(reid: ReIdentifier, site: Site) -> Iterator[Opened]:
    """A drawn site, with the boxes of a detector that has the usual faults."""
    truths: dict[str, Truth] = {}

    def ticks() -> Iterator[tuple[float, dict[str, np.ndarray]]]:
        for time, frames, truth in site:
            truths.update(truth)
            yield time, frames

    tracker = MultiCameraTracker(reid, simulated_detectors(site, truths), frame_rate=site.frame_rate)
    yield Opened(list(site.camera_names), paced(ticks()), tracker)
