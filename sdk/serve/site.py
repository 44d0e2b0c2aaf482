"""What a page shows of a running site: fed by the tracker's thread, read by the server's."""

import threading
import time as clock
from collections import Counter, deque
from collections.abc import Mapping, Sequence

import numpy as np
import supervision as sv

from sdk.colours import colour_of
from sdk.errors import UnknownIdentityError
from sdk.events import Event
from sdk.names import checked_name
from sdk.report.thumbnails import thumbnail
from sdk.report.visits import natural, views
from sdk.serve.people import People
from sdk.serve.pictures import draw, encode
from sdk.serve.plan import Plan
from sdk.serve.zones import ZoneBook
from sdk.tracking import MultiCameraTracker

RECENT = 100
"""Lines of what happened lately."""
SORTED_WELL = 5000
"""Up to so many names person-2 stands before person-10; to sort more in that way takes too long."""
SILENT_SECONDS = 5.0
"""After this long without a frame a camera is shown as silent, whatever the sources say."""
EXPIRE_SECONDS = 60.0
"""Between two looks for people whom the gallery's retention has run out for."""
BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Upper limits in seconds of the histogram of ticks."""


class Camera:
    """What is known of one camera now."""

    def __init__(self, name: str):
        self.name = name
        self.frame: np.ndarray | None = None
        self.people: list[tuple[list[float], str | None]] = []
        """Boxes (xyxy px) and names in that frame."""
        self.frames = 0
        self.time = 0.0
        """Of that frame, seconds on the sources' clock."""
        self.arrivals: deque[float] = deque(maxlen=30)
        """When the last frames came, seconds of the monotonic clock."""
        self.trouble: tuple[str, str] | None = None
        """(lost, frozen or ended; the reason)."""
        self._encoded: tuple[int, bytes] | None = None

    @property
    def silence(self) -> float:
        """Seconds since the last frame; infinite before the first."""
        return clock.monotonic() - self.arrivals[-1] if self.arrivals else float("inf")

    @property
    def rate(self) -> float:
        """Frames a second, of late."""
        span = self.arrivals[-1] - self.arrivals[0] if len(self.arrivals) > 1 else 0.0
        return (len(self.arrivals) - 1) / span if span > 0 and self.silence < SILENT_SECONDS else 0.0

    @property
    def state(self) -> str:
        """waiting, live, silent, lost, frozen or ended."""
        if self.trouble is not None:
            return self.trouble[0]
        return "waiting" if self.frame is None else "silent" if self.silence > SILENT_SECONDS else "live"

    def jpeg(self, frame: np.ndarray, number: int) -> bytes:
        """That frame, encoded once however many look at it."""
        encoded = self._encoded
        if encoded is None or encoded[0] != number:
            encoded = self._encoded = number, encode(frame)
        return encoded[1]


class LiveSite:
    """The state of a running site. Every method may be called from any thread."""

    def __init__(
        self,
        tracker: MultiCameraTracker,
        cameras: Sequence[str],
        sinks: Sequence = (),
        zones=None,
        plan: Plan | None = None,
    ):
        """cameras: their names, in the order in which they are shown. sinks: `Delivery`s, for the metrics. zones: a
        `ZoneBook` to show and draw zones with; None: there are none. plan: of the site, to be shown.
        """
        self.tracker = tracker
        self.zones: ZoneBook | None = zones
        self.plan = plan
        self.sinks = list(sinks)
        self.started = clock.time()
        self.now = 0.0
        """Of the last tick, seconds on the sources' clock."""
        self.ended: str | None = None
        """Why no more frames will come; None: they may."""
        self.ticks = 0
        self.tick_seconds = 0.0
        self.tick_buckets: Counter[float] = Counter()
        self.events: Counter[str] = Counter()
        self.cameras = [Camera(name) for name in cameras]
        self.people = People()
        self._number = {name: number for number, name in enumerate(cameras)}
        self._lately: deque[dict] = deque(maxlen=RECENT)
        self._lock = threading.RLock()
        self._looked = clock.monotonic()

    # Called by the tracker's thread.

    def take(
        self, time: float, frames: Mapping[str, np.ndarray], tracks: Mapping[str, sv.Detections], seconds: float
    ) -> None:
        """One tick: its frames, what was tracked in them, and how many seconds that took: an observer's."""
        arrived = clock.monotonic()
        with self._lock:
            self.now = time
            self.ticks += 1
            self.tick_seconds += seconds
            self.tick_buckets[next((limit for limit in BUCKETS if seconds <= limit), float("inf"))] += 1
            for name, frame in frames.items():
                camera = self._camera(name)
                camera.frame, camera.time = frame, time
                camera.frames += 1
                camera.arrivals.append(arrived)
                camera.people = self._see(name, frame, tracks.get(name), time)
            if arrived - self._looked >= EXPIRE_SECONDS:
                self._looked = arrived
                self._expire()

    def _expire(self) -> None:
        """Let go of who is in the gallery no more, and was seen for the last time before its retention began."""
        gallery = self.tracker.reid.gallery
        if gallery.retention:
            known = set(gallery.identities())
            for person in list(self.people):
                if person.identity not in known and self.now - person.last > gallery.retention:
                    self._drop(person.identity)

    def _see(self, camera: str, frame: np.ndarray, tracks: sv.Detections | None, time: float) -> list:
        if tracks is None or not len(tracks):
            return []
        names = [None if name is None else str(name) for name in tracks.data["identity"]]
        for row, box, value in views(tracks):
            name = names[row]
            if name is None:
                continue
            if self.people.see(name, camera, time, value, lambda box=box: thumbnail(frame, box, line=0)):
                self._lately.append({"time": time, "kind": "came", "camera": self._number[camera], "identity": name})
        return list(zip(tracks.xyxy.tolist(), names, strict=True))

    def listen(self, event: Event) -> None:
        """Take an event of the tracker or of a source: a listener, as `sdk.events` has it."""
        with self._lock:
            self.events[event.kind] += 1
            if event.kind in ("camera_lost", "camera_frozen", "camera_ended"):
                reason = str(event.detail.get("reason", ""))
                self._camera(event.camera).trouble = event.kind.removeprefix("camera_"), reason
            elif event.kind in ("camera_back", "camera_changed"):
                self._camera(event.camera).trouble = None
            elif event.kind in ("merged", "renamed"):
                self.people.rename(str(event.detail.get("other")), event.identity)
            if event.kind not in ("identified", "left", "renamed"):  # arrivals tell of people
                camera = None if event.camera is None else self._camera_number(event.camera)
                line = {"time": event.time, "kind": event.kind, "camera": camera, "identity": event.identity}
                self._lately.append(line | {"detail": event.detail})

    def end(self, reason: str) -> None:
        """Say that no more frames will come, and why: the end of an observer, as `sdk.video.run` has it."""
        with self._lock:
            self.ended = reason

    def frames_of(self, camera: str) -> int:
        """How many frames of a camera there were."""
        return self._camera(camera).frames

    def _camera(self, name: str) -> Camera:
        return self.cameras[self._camera_number(name)]

    def _camera_number(self, name: str) -> int:
        if name not in self._number:
            self._number[name] = len(self.cameras)
            self.cameras.append(Camera(name))
        return self._number[name]

    # Called by the server's threads.

    def state(self) -> dict:
        """What the page shows at a glance, as plain JSON values."""
        known = len(self.tracker.reid.gallery.identities())
        with self._lock:
            return self._zones_state() | {
                "now": self.now,
                "ended": self.ended,
                "ticks": self.ticks,
                "cameras": [self._camera_state(camera) for camera in self.cameras],
                "present": [
                    {
                        "identity": person.identity,
                        "colour": colour_of(person.identity),
                        "cameras": [self._number[stay.camera] for stay in stays],
                        "since": min(stay.first for stay in stays),
                        "picture": person.version or None,
                    }
                    for person, stays in self.people.present(self.now)
                ],
                "unnamed": sum(name is None for camera in self.cameras for _, name in camera.people),
                "known": known,
                "traces": self.traces,
                "lately": [self._line(line) for line in list(self._lately)[::-1][:30]],
                "plan": self.plan is not None,
            }

    def _zones_state(self) -> dict:
        if self.zones is None:
            return {}
        sizes = {c.name: (0, 0) if c.frame is None else c.frame.shape[1::-1] for c in self.cameras}
        return {"zones": self.zones.shapes(sizes), "drawable": self.zones.path is not None}

    @staticmethod
    def _line(line: dict) -> dict:
        return line if line["identity"] is None else line | {"colour": colour_of(line["identity"])}

    def _camera_state(self, camera: Camera) -> dict:
        height, width = (0, 0) if camera.frame is None else camera.frame.shape[:2]
        return {
            "name": camera.name,
            "state": "ended" if self.ended is not None and camera.trouble is None else camera.state,
            "place": None if self.plan is None else self.plan.places.get(camera.name),
            "reason": camera.trouble[1] if camera.trouble else "",
            "silence": None if camera.silence == float("inf") else round(camera.silence, 1),
            "rate": round(camera.rate, 1),
            "width": width,
            "height": height,
            "people": len(camera.people),
        }

    def snapshot(self, number: int, after: int = -1, drawn: bool = False) -> tuple[int, bytes, list] | None:
        """(number of the frame, JPEG, boxes and names in it) of a camera, or None if it has none newer than `after`.

        Boxes are shares of the picture's width and height. drawn: whether they are drawn into the picture. Raises
        `IndexError` for a camera that is not there.
        """
        with self._lock:
            camera = self.cameras[number]
            if camera.frame is None or camera.frames <= after:
                return None
            frame, count, people = camera.frame, camera.frames, list(camera.people)
        height, width = frame.shape[:2]
        jpeg = encode(draw(frame, people)) if drawn else camera.jpeg(frame, count)
        size = (width, height, width, height)
        return count, jpeg, [[[round(v / s, 4) for v, s in zip(box, size, strict=True)], name] for box, name in people]

    def picture(self, identity: str) -> bytes | None:
        """JPEG of a person, or None."""
        with self._lock:
            person = self.people.get(identity)
            return person.picture if person else None

    def history(self, identity: str) -> dict | None:
        """Where somebody was, latest first; None if neither the gallery nor the page knows them."""
        known = identity in self.tracker.reid.gallery.identities()
        with self._lock:
            person = self.people.get(identity)
            if person is None and not known:
                return None
            stays = [] if person is None else sorted(person.stays, key=lambda stay: -stay.first)
            return {
                "identity": identity,
                "colour": colour_of(identity),
                "known": known,
                "picture": (person.version or None) if person else None,
                "now": self.now,
                "since": self.first_time,
                "stays": [{"camera": self._number[s.camera], "first": s.first, "last": s.last} for s in stays],
            }

    @property
    def first_time(self) -> float:
        """The earliest moment of which a stay is remembered, seconds."""
        return min((stay.first for person in self.people for stay in person.stays), default=self.now)

    def find(self, text: str, most: int = 50) -> dict:
        """People whose names contain `text`, in the order of names: {"people": `most` of them, "total": number}."""
        wanted = text.strip().lower()
        known = self.tracker.reid.gallery.identities()
        with self._lock:
            names = {*(person.identity for person in self.people), *known}
            found = [name for name in names if wanted in name.lower()]
            found.sort(key=natural if len(found) <= SORTED_WELL else None)
            people = []
            for name in found[:most]:
                person = self.people.get(name)
                last = person.last if person and person.stays else None
                picture = (person.version or None) if person else None
                people.append({"identity": name, "colour": colour_of(name), "last": last, "picture": picture})
            return {"people": people, "total": len(found)}

    def forget(self, identity: str) -> dict[str, str]:
        """Delete somebody from the gallery, the tracks and the page.

        Returns nothing, or `{"traces": …}`: they are gone, and until when bytes of them may still be in a file. Raises
        `GalleryError` if nobody knows them, `ReIDError` if it cannot be done; the page shows them as before then.
        """
        with self.tracker.turn():
            unknown = None
            try:
                self.tracker.forget(identity)
            except UnknownIdentityError as error:  # the page may know them all the same
                unknown = error
            with self._lock:
                if not self._drop(identity) and unknown is not None:
                    raise unknown
        return self._traces()

    def _drop(self, identity: str) -> bool:
        """Let nothing of somebody be left on the page; whether it remembered them."""
        self._lately = deque((line for line in self._lately if not _names(line, identity)), maxlen=RECENT)
        self._replace(identity, None)
        return self.people.forget(identity)

    @property
    def traces(self) -> str | None:
        """Why, and until when, bytes of what was erased may still be in the gallery's file; None: none are."""
        return self.tracker.reid.gallery.traces

    def _traces(self) -> dict[str, str]:
        return {"traces": self.traces} if self.traces else {}

    def rename(self, identity: str, to: str) -> str:
        """Give somebody another name, which is returned.

        Raises `GalleryError` if that is none, somebody has it, or it cannot be done; nothing is changed then.
        """
        to = checked_name(to.strip())
        if to != identity:
            with self.tracker.turn():
                self.tracker.rename(identity, to)
                self._renamed(identity, to)
        return to

    def merge(self, identity: str, into: str) -> dict[str, str]:
        """Two names, one person: `into` stays. Returns as `forget` does.

        Raises `GalleryError` if either is unknown, both are the same, or it cannot be done; nothing is changed then.
        """
        with self.tracker.turn():
            self.tracker.merge(identity, into)
            self._renamed(identity, into)
        return self._traces()

    def _renamed(self, identity: str, to: str) -> None:
        with self._lock:
            self.people.rename(identity, to)
            for line in self._lately:
                if line["identity"] == identity:
                    line["identity"] = to
            self._replace(identity, to)

    def _replace(self, identity: str, to: str | None) -> None:
        for camera in self.cameras:
            camera.people = [(box, to if name == identity else name) for box, name in camera.people]


def _names(line: dict, identity: str) -> bool:
    return line["identity"] == identity or line.get("detail", {}).get("other") == identity
