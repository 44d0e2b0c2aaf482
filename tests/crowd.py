"""A made load for tests of the pages: 60 people over 12 cameras, with names as long as they may be."""

import numpy as np
import supervision as sv

from sdk import MultiCameraTracker, ReIdentifier
from sdk.events import Event
from sdk.report.visits import Outage, Record, Visit
from sdk.serve import LiveSite
from tests.moving import ColourEngine, World

PEOPLE, CAMERAS = 60, 12
SECONDS = 3600.0
LONG = "Maria-Theresia von und zu der langen Strasse, night shift of the third hall, " + "gate" * 5
UNBROKEN = "W" * 100
EVIL = '<img src="http://192.0.2.1/x" onerror="document.title=1">'
LOST = "camera-05"


def names() -> list[str]:
    """Of the people; two are as long as a name may be, one of them without a place to break it; the last is
    markup."""
    return [LONG[:100], UNBROKEN] + [f"person-{number}" for number in range(3, PEOPLE)] + [EVIL]


def cameras() -> list[str]:
    """Of the cameras; the last one's is long."""
    known = [f"camera-{number:02d}" for number in range(1, CAMERAS)]
    return [*known, "yard_of_the_north_building_back_door_facing_the_river"]


def crowd_record() -> Record:
    """An hour: everybody walks through three to six of the cameras, one of which is lost for ten minutes."""
    rng, visits = np.random.default_rng(0), []
    for number, name in enumerate(names()):
        at = 40.0 * number
        for camera in rng.permutation(cameras())[: 3 + number % 4]:
            long = float(rng.uniform(20, 180))
            visits.append(Visit(name, str(camera), at, at + long, [len(visits)], int(6 * long)))
            at += long + float(rng.uniform(-15, 60))
    visits.append(Visit("person-9", LOST, SECONDS - 30, SECONDS, [len(visits)], 180))
    outages = [Outage(LOST, "lost", 900, 1500, "no route to host")]
    merged = {"time": 70, "kind": "merged", "identity": "person-3", "camera": None, "detail": {"other": UNBROKEN}}
    return Record(cameras(), sorted(visits, key=lambda visit: visit.first), outages=outages, events=[merged])


class Crowd:
    """A live site with all of them in view, five before each camera."""

    def __init__(self, **settings):
        """settings: of `LiveSite`."""
        reid = ReIdentifier(ColourEngine())
        self.site = LiveSite(MultiCameraTracker(reid, detector=World()), cameras(), **settings)
        self.time = 0.0
        for _ in range(3):
            self.tick()
        self.site.listen(Event(self.time, "camera_lost", LOST, detail={"reason": "no route to host"}))

    def tick(self) -> None:
        """One more picture of every camera."""
        self.time += 1.0
        people, frames, tracks = names(), {}, {}
        for number, camera in enumerate(cameras()):
            frames[camera] = np.full((120, 160, 3), 40 + 10 * number, np.uint8)
            here = people[number::CAMERAS]
            boxes = np.array([[8 + 30 * i, 30, 32 + 30 * i, 100] for i in range(len(here))], np.float32)
            frames[camera][30:100, 8:150] += 60
            tracks[camera] = sv.Detections(
                boxes, confidence=np.ones(len(here), np.float32), data={"identity": np.array(here, object)}
            )
        self.site.take(self.time, frames, tracks, 0.01)
