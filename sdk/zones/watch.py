"""The zones of a run: an observer that sees its tracks and tells what they do in zones, and a table of it."""

import csv
from collections import deque
from collections.abc import Iterable, Mapping

import numpy as np
import supervision as sv

from sdk.events import Event, Listener, Listeners
from sdk.names import visible
from sdk.tracking import MultiCameraTracker
from sdk.zones.ledger import Ledger, Row
from sdk.zones.shapes import Zones
from sdk.zones.states import CameraStates, Happening

NAME_SECONDS = 3.0
"""For how long an event waits for its track's name before it is told without; a name that comes later counts too."""
COLUMNS = ("person", "camera", "zone", "visits", "dwell_seconds", "crossed_in", "crossed_out", "first", "last")
TABLE = "zones.csv"
"""In a run's folder."""


class ZoneWatch:
    """Tells `entered`, `left_zone` and `crossed` of a run's tracks. An observer of the run, and a teller of events.

    It is to be the first of the observers, so that those who write things down are still there at the end. Its
    `ledger` must be told of the tracker's events too: `listening((tracker, watch), [..., watch.ledger.listen])`.
    """

    def __init__(self, zones: Zones, tracker: MultiCameraTracker):
        self.ledger = Ledger()
        self.now = 0.0
        """Of the last tick, s."""
        self._tracker = tracker
        self._listeners = Listeners()
        self._waiting: deque[Event] = deque()
        tracker.add_keeper(lambda tracklet: None, self.ledger.forget)
        self._zones = zones
        self._states: dict[str, CameraStates] = {camera: CameraStates(zones.of(camera)) for camera in zones}

    def add_listener(self, listener: Listener) -> None:
        """Tell `listener` too, from the thread of the run."""
        self._listeners.add(listener)

    def remove_listener(self, listener: Listener) -> None:
        """Tell `listener` no more, if it is still told."""
        self._listeners.remove(listener)

    @property
    def zones(self) -> Zones:
        """Those that are watched now."""
        return self._zones

    def replace(self, zones: Zones) -> None:
        """Watch other zones from now on; who is in a zone of a camera that has other shapes now leaves it. From any
        thread."""
        with self._tracker.turn():
            for camera in {*self._zones, *zones}:
                if self._zones.of(camera) != zones.of(camera):
                    if camera in self._states:
                        self._tell_of(camera, self._states.pop(camera).end())
                    self._states[camera] = CameraStates(zones.of(camera))
            self._zones = zones

    def take(
        self, time: float, frames: Mapping[str, np.ndarray], tracks: Mapping[str, sv.Detections], seconds: float
    ) -> None:
        """One tick: an observer, as `sdk.video.run` has it."""
        self.now = time
        for camera, states in self._states.items():
            if camera in frames and camera in tracks:
                height, width = frames[camera].shape[:2]
                detections = tracks[camera]
                numbers = [] if detections.tracker_id is None else detections.tracker_id
                self._tell_of(camera, states.take(time, (width, height), detections.xyxy, numbers))
            else:
                self._tell_of(camera, states.expire(time))
        self._pass_on(time)

    def end(self, reason: str) -> None:
        """The run is over: who is in a zone has left it when they were seen last."""
        for camera, states in self._states.items():
            self._tell_of(camera, states.end())
        self._pass_on(float("inf"))

    def _tell_of(self, camera: str, happened: Iterable[Happening]) -> None:
        for time, kind, track, detail in happened:
            self._waiting.append(Event(time, kind, camera, track, None, detail))

    def _pass_on(self, now: float) -> None:
        """Tell what has a name, or has waited long; the events of one track in their order."""
        held, blocked = deque(), set()
        for event in self._waiting:
            track = (event.camera, event.track)
            name = self._tracker.identity_of(*track)
            if track in blocked or (name is None and abs(now - event.time) < NAME_SECONDS):
                blocked.add(track)
                held.append(event)
            else:
                told = Event(event.time, event.kind, *track, name, event.detail)
                self._listeners(told)
        self._waiting = held


def write_table(file, rows: Iterable[Row]) -> None:
    """The rows as CSV; times and dwell in s. Who has no name is an empty person."""
    lines = csv.writer(file, lineterminator="\n")
    lines.writerow(COLUMNS)
    for row in rows:
        zone = ("", "") if row.is_line else (row.visits, round(row.seconds, 3))
        line = (row.crossed_in, row.crossed_out) if row.is_line else ("", "")
        person = visible(row.identity or "")
        lines.writerow([person, row.camera, row.zone, *zone, *line, round(row.first, 3), round(row.last, 3)])
