"""Ways between cameras: who went from one to the next, and how long it took."""

import itertools
from collections import defaultdict
from dataclasses import dataclass

from sdk.report.visits import Visit


@dataclass(frozen=True)
class Transition:
    """One person's way from one camera to another."""

    identity: str
    origin: str
    destination: str
    time: float
    """When they came, seconds."""
    seconds: float
    """Between last seen there and first seen here; 0 where both cameras saw them at once."""


def transitions(visits: list[Visit]) -> list[Transition]:
    """Each person's consecutive visits to different cameras, by time of arrival.

    A return to the same camera is none. Where cameras overlap, a person comes from the camera that saw them first.
    """
    of_person: dict[str, list[Visit]] = defaultdict(list)
    for visit in sorted(visits, key=lambda visit: visit.first):
        of_person[visit.identity].append(visit)
    found = [
        Transition(after.identity, before.camera, after.camera, after.first, max(0.0, after.first - before.last))
        for stays in of_person.values()
        for before, after in itertools.pairwise(stays)
        if before.camera != after.camera
    ]
    return sorted(found, key=lambda way: way.time)
