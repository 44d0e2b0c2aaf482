"""Who was seen at a running site: their stays and a picture of each, in bounded memory."""

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from sdk.report.visits import GAP_SECONDS

PRESENT_SECONDS = 3.0
"""Who was seen within this time is still there: detectors miss people now and then."""
MOST_PEOPLE = 2000
"""People that are remembered; who was not seen for longest goes first. The gallery keeps them all the same."""
MOST_STAYS = 200
"""Stays that are remembered of each."""
RENEW_SECONDS = 15.0
"""A picture as old as this gives way to one that is half as good."""


@dataclass
class Stay:
    """One stay of a person before one camera."""

    camera: str
    first: float
    """Seconds."""
    last: float


@dataclass
class Person:
    """What is remembered of one identity."""

    identity: str
    stays: deque[Stay] = field(default_factory=lambda: deque(maxlen=MOST_STAYS))
    picture: bytes | None = None
    """JPEG."""
    version: int = 0
    """Counts the pictures."""
    worth: float = 0.0
    taken: float = float("-inf")
    """Seconds, of the picture."""

    @property
    def last(self) -> float:
        """When they were last seen, seconds."""
        return max((stay.last for stay in self.stays), default=float("-inf"))

    def stay_at(self, camera: str) -> Stay | None:
        """The latest stay at a camera."""
        return next((stay for stay in reversed(self.stays) if stay.camera == camera), None)


class People:
    """The people of a site by identity. Not for several threads at once; the `LiveSite` sees to that."""

    def __init__(self, most: int = MOST_PEOPLE):
        self._most = most
        self._people: OrderedDict[str, Person] = OrderedDict()

    def __len__(self) -> int:
        return len(self._people)

    def __iter__(self):
        """Who was seen last comes first."""
        return iter(reversed(self._people.values()))

    def get(self, identity: str) -> Person | None:
        """None for somebody who is not remembered."""
        return self._people.get(identity)

    def see(self, identity: str, camera: str, time: float, worth: float, picture: Callable[[], bytes | None]) -> bool:
        """Note that a camera sees somebody. Returns whether they have just come.

        worth: how good a picture this view makes; `picture` makes it, where it is wanted.
        """
        person = self._people.setdefault(identity, Person(identity))
        self._people.move_to_end(identity)
        stay = person.stay_at(camera)
        came = stay is None or time - stay.last > GAP_SECONDS
        if came:
            person.stays.append(Stay(camera, time, time))
        else:
            stay.last = max(stay.last, time)
        least = 0.5 * person.worth if time - person.taken > RENEW_SECONDS else 1.15 * person.worth
        if worth > least and (made := picture()) is not None:
            person.picture, person.worth, person.taken = made, worth, time
            person.version += 1
        while len(self._people) > self._most:
            self._people.popitem(last=False)
        return came

    def present(self, now: float) -> list[tuple[Person, list[Stay]]]:
        """Who is there at `now`, with the stays that go on; who came last comes first."""
        here = []
        for person in self:
            stays = [stay for stay in person.stays if now - stay.last <= PRESENT_SECONDS]
            if stays:
                here.append((person, stays))
        return sorted(here, key=lambda item: -min(stay.first for stay in item[1]))

    def forget(self, identity: str) -> bool:
        """Drop somebody; whether they were remembered."""
        return self._people.pop(identity, None) is not None

    def rename(self, identity: str, to: str) -> None:
        """Give somebody another name; who has that name already is the same person."""
        person = self._people.pop(identity, None)
        if person is None:
            return
        other = self._people.pop(to, None)
        person.identity = to
        if other is not None:
            together = sorted([*person.stays, *other.stays], key=lambda stay: stay.first)
            person.stays = deque(together, maxlen=MOST_STAYS)
            if other.worth > person.worth:
                person.picture, person.worth, person.taken = other.picture, other.worth, other.taken
            person.version += other.version + 1
        self._people[to] = person
