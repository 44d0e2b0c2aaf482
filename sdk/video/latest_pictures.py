"""A picture of each person in view, for events that are to have one. In memory alone, and for a short time."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import supervision as sv

from sdk.events import Event
from sdk.report.thumbnails import thumbnail
from sdk.report.visits import views
from sdk.tracking import MultiCameraTracker

KEEP_SECONDS = 30.0
"""After a track was seen last."""
BETTER = 1.15
"""By how much a view must be better to take the place of the one before: to make a picture takes time."""


@dataclass
class _Kept:
    worth: float
    seen: float
    picture: bytes | None
    identity: str | None


class LatestPictures:
    """An observer of a run that keeps the best view of each track. Who is forgotten is erased."""

    def __init__(self, tracker: MultiCameraTracker):
        self._tracker = tracker
        self._kept: dict[tuple[str, int], _Kept] = {}
        tracker.add_keeper(lambda tracklet: None, self.forget)

    def of(self, event: Event) -> bytes | None:
        """JPEG of the track of an event, 160 px high; None if it has none, or its track is long gone."""
        kept = self._kept.get((event.camera, event.track))
        return kept.picture if kept else None

    def forget(self, identity: str) -> None:
        """Erase the pictures of somebody."""
        theirs = [
            key for key, kept in self._kept.items() if identity in (kept.identity, self._tracker.identity_of(*key))
        ]
        for key in theirs:
            del self._kept[key]

    def take(
        self, time: float, frames: Mapping[str, np.ndarray], tracks: Mapping[str, sv.Detections], seconds: float
    ) -> None:
        """One tick: an observer, as `sdk.video.run` has it."""
        for camera, detections in tracks.items():
            names = detections.data.get("identity", [None] * len(detections))
            for row, box, value in views(detections):
                key = (camera, int(detections.tracker_id[row]))
                kept = self._kept.setdefault(key, _Kept(-1.0, time, None, None))
                kept.seen, kept.identity = time, names[row]
                if value > BETTER * kept.worth and (made := thumbnail(frames[camera], box, line=0)) is not None:
                    kept.picture, kept.worth = made, value
        for key in [key for key, kept in self._kept.items() if abs(time - kept.seen) > KEEP_SECONDS]:
            del self._kept[key]

    def end(self, reason: str) -> None:
        """Nothing more will come."""
