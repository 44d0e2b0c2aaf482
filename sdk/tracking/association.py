"""Which identity a tracklet bears: asked of all its crops together, for all tracklets of a tick at once.

A person's picture is the mean of their tracklets, which is a better witness than any one of them: of 350 tracklets
of thirty drawn people, the nearest picture was the right person's for 98 in 100 (docs/tracking.md).
"""

import itertools
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from scipy.optimize import linear_sum_assignment  # scipy comes with `trackers`

from sdk.errors import DataError, GalleryError
from sdk.events import Event, Listener
from sdk.gallery import Gallery
from sdk.tracking.clock import ROUNDING
from sdk.tracking.look import CLOSED, LUCKY, Look
from sdk.tracking.people import Person
from sdk.tracking.reason import Reason, Thresholds
from sdk.tracking.rescoring import aligned_stripes, rescored
from sdk.tracking.tracklet import GROUP, LEAST_GROUP, PATIENCE, Tracklet
from sdk.tracking.travel import TravelTimes

MIN_CHANGED = 0.5
"""Share of a tracklet's frames in which its picture must have changed; see `change.py`."""

SURE = 0.75
"""Up to which share of the limit a tracklet is a known person at once, if nobody else is near."""
SURELY_NEW = 1.3
"""How many times the limit the nearest known person must be away for a tracklet to be somebody new at once."""
MARGIN = 0.15
"""By which share of the threshold the runner-up must be farther for the nearest to be sure."""
MERGE = 0.85
"""Up to which share of the limit two people are found to be one."""
LEAVE = 1.2
"""How many times the limit a tracklet must be away from its own person to be somebody else."""
SUSPICIOUS = 0.7
"""From which share of the crops' threshold a track looks as if it had passed to another person."""
GATE = 10
"""Nearest identities that the gallery is asked for."""
MOST_PEOPLE = 500
"""That are remembered at once; those not seen for longest are left to the gallery."""
NEVER = float("-inf")
"""Before all times."""


def is_ready(tracklet: Tracklet, least: int = GROUP) -> bool:
    """Whether a tracklet without identity is known well enough to ask for one."""
    lives = tracklet.changed >= MIN_CHANGED * max(1, tracklet.seen)
    return tracklet.identity is None and tracklet.count >= least and lives


class Identities:
    """Who is who among the tracklets of all cameras: gives names, reviews and merges them, and says why."""

    def __init__(
        self,
        gallery: Gallery,
        on_event: Listener | None = None,
        tolerance: float = 0.0,
        rescore: bool = False,
        travel: TravelTimes | None = None,
    ):
        """rescore: look at close calls stripe by stripe, where tracklets have stripes.

        tolerance: seconds for which one camera may see a person twice, because one of two tracks was about to be lost
        and lay on somebody else. travel: how long people take between cameras.
        """
        self.gallery = gallery
        self.tracklets: dict[tuple[str, int], Tracklet] = {}
        """Those of the last seconds, by camera and number."""
        self.people: dict[str, Person] = {}
        """Those of the last hours."""
        self.reasons: dict[tuple[str, int], Reason] = {}
        self._on_event = on_event
        self._tolerance = tolerance
        self._rescore = rescore
        self._travel = travel
        self._now, self._time = 0.0, 0.0
        self._next_look = NEVER
        self._named = 0
        """The number of the last new person."""

    def emit(self, kind: str, **what) -> None:
        """Tell the listener."""
        if self._on_event is not None:
            self._on_event(Event(self._time, kind, **what))

    def decide(self, now: float, time: float, thresholds: Thresholds, lost: float, last_chance: float) -> None:
        """Give names as far as the cases are clear.

        now: seconds on the tracker's clock, as `lost` and `last_chance` are; time: the same as it is written down.
        Tracks not seen since `lost` get no more crops, so that whoever is near enough is it; whether they are
        somebody new may wait for what others still show, until they have not been seen since `last_chance`.
        """
        self._now, self._time = now, time
        waiting = [t for t in self.tracklets.values() if is_ready(t)]
        if any(t.count > t.asked for t in waiting):  # without a new crop the answer would be the same
            # All that wait, so that a doubtful one takes nobody's identity who is there too, and nearer.
            self._assign(waiting, thresholds)
            for tracklet in waiting:
                tracklet.asked = tracklet.count
        gone = [t for t in self.tracklets.values() if t.last < lost and is_ready(t, LEAST_GROUP)]
        if gone and now >= self._next_look:
            self._next_look = now + self._tolerance / 2 - ROUNDING
            self._assign(gone, thresholds, last_chance)
        self._review(thresholds)
        for tracklet in self.tracklets.values():
            if tracklet.identity and not tracklet.ended and tracklet.last < lost:
                self._end(tracklet)

    def finish(self, now: float, time: float, thresholds: Thresholds) -> None:
        """Decide all that wait: nothing more will come."""
        unnamed = -1
        while unnamed != (unnamed := sum(t.identity is None for t in self.tracklets.values())):
            self._next_look = NEVER  # whoever was recognised helps to recognise others, before these are somebody new
            self.decide(now, time, thresholds, -NEVER, NEVER)
        self._next_look = NEVER
        self.decide(now, time, thresholds, -NEVER, -NEVER)

    def _end(self, tracklet: Tracklet) -> None:
        tracklet.ended = True
        span = {"first": round(tracklet.first_time, 3), "last": round(tracklet.last_time, 3)}
        where = {"camera": tracklet.camera, "track": tracklet.track, "identity": tracklet.identity}
        self.emit("left", **where, detail=span)
        if tracklet.count >= 2 * tracklet.enrolled:
            self._enroll(tracklet)

    def _assign(self, undecided: list[Tracklet], thresholds: Thresholds, last_chance: int | None = None) -> None:
        """One assignment over all cameras (the Hungarian algorithm) instead of each its nearest.

        Where two tracklets of a camera want one identity, the sum of the distances decides, and to be somebody new
        costs the limit. Cameras may overlap and see one person at once, so each has its own column for everybody.
        """
        cost, names, closed = self._costs(undecided, thresholds)
        limit = thresholds.limit(len(names))
        cameras = sorted({t.camera for t in undecided})
        wide = np.full((len(undecided), len(names) * len(cameras) + len(undecided)), CLOSED)
        for row, tracklet in enumerate(undecided):
            start = cameras.index(tracklet.camera) * len(names)
            wide[row, start : start + len(names)] = np.where(cost[row] <= limit, cost[row], CLOSED)
            wide[row, len(names) * len(cameras) + row] = limit
        newcomers = []
        for row, column in zip(*linear_sum_assignment(wide), strict=True):
            tracklet = undecided[row]
            chosen = column % len(names) if column < len(names) * len(cameras) else None
            reason = self._reason(tracklet, cost[row], names, closed[row], limit)
            self.reasons[tracklet.camera, tracklet.track] = reason
            if not self._is_clear(tracklet, reason, chosen, cost[row], thresholds, last_chance):
                continue
            if chosen is None:
                newcomers.append(tracklet)
            else:
                self._name(tracklet, names[chosen])
        for tracklet in newcomers:
            if tracklet.complete:
                self._welcome(tracklet, newcomers, limit)

    def _is_clear(self, tracklet, reason: Reason, chosen, cost, thresholds: Thresholds, last_chance) -> bool:
        if last_chance is not None and (chosen is not None or tracklet.last < last_chance):
            return True
        if last_chance is None and tracklet.count >= PATIENCE * GROUP:
            return True
        if chosen is None:
            return cost.min(initial=CLOSED) > SURELY_NEW * reason.limit
        others = np.delete(cost, chosen).min(initial=CLOSED)
        return cost[chosen] <= SURE * reason.limit and others - cost[chosen] >= MARGIN * thresholds.tracklet

    def _welcome(self, tracklet: Tracklet, newcomers: list[Tracklet], limit: float) -> None:
        """Somebody new; unless another of the newcomers is the same."""
        for other in newcomers:
            if other.identity:
                distance = 1 - float(other.embedding @ tracklet.embedding)
                person = self.people[other.identity]
                if distance <= limit and not any(self._apart(tracklet, m) for m in person.members.values()):
                    key = tracklet.camera, tracklet.track
                    self.reasons[key] = replace(self.reasons[key], distance=distance, nearest=other.identity)
                    self._name(tracklet, other.identity)
                    return
        self._name(tracklet, self._new_name(), new=True)

    def _look_closer(self, tracklet: Tracklet, cost: np.ndarray, names: list[str], margin: float) -> None:
        """Re-score those who are about as near as the nearest."""
        close = np.flatnonzero(cost <= cost.min(initial=CLOSED) + margin)
        people = [self.people.get(names[i]) for i in close]
        if len(close) > 1 and all(people):
            cost[close] = rescored(cost[close], tracklet.stripes, [p.best_stripes(without=tracklet) for p in people])

    def _costs(
        self, tracklets: list[Tracklet], thresholds: Thresholds, own: bool = False
    ) -> tuple[np.ndarray, list[str], list[list[str]]]:
        """Distance of every tracklet to every person, `CLOSED` where it cannot be; the names; who was closed to each.

        own: the tracklets have identities, and count for nothing in the pictures that they are held against.
        """
        self._ask_gallery(tracklets)
        names = sorted({*self.people, *(name for t in tracklets for name in t.from_gallery)})
        cost = np.full((len(tracklets), len(names)), CLOSED)
        looks = [Look.of(t) for t in tracklets]
        all_looks, lucky = Look.join(looks), LUCKY * np.log(max(len(names), 1))
        for column, name in enumerate(names):
            if name in self.people:
                cost[:, column] = all_looks.distances(self.people[name].look(), lucky)
        closed = []
        for row, tracklet in enumerate(tracklets):
            if own and tracklet.identity in self.people:
                look = self.people[tracklet.identity].look(without=tracklet)
                cost[row, names.index(tracklet.identity)] = looks[row].distances(look, lucky)[0]
            for name, distance in tracklet.from_gallery.items():
                person = self.people.get(name)
                if person is None or person.known:
                    column = names.index(name)
                    cost[row, column] = min(cost[row, column], distance)
            if self._rescore:
                self._look_closer(tracklet, cost[row], names, MARGIN * thresholds.tracklet)
            taken = {t.identity for t in self._beside(tracklet)}
            if self._travel is not None:
                taken |= {person.name for person in self.people.values() if self._too_far(person, tracklet)}
            closed.append([name for name in taken if name in names and name != (own and tracklet.identity)])
            for name in closed[-1]:
                cost[row, names.index(name)] = CLOSED
        return cost, names, closed

    def _ask_gallery(self, tracklets: list[Tracklet]) -> None:
        """Whom the gallery alone knows: asked once a group of crops, for a shared gallery is slow."""
        asking = [t for t in tracklets if t.count >= t.gallery_asked + GROUP or not t.gallery_asked]
        if not asking:
            return
        found = self.gallery.search(np.stack([t.embedding for t in asking]), k=GATE)
        for tracklet, candidates in zip(asking, found, strict=True):
            tracklet.gallery_asked = tracklet.count
            tracklet.from_gallery = {candidate.identity: candidate.distance for candidate in candidates}

    def _beside(self, tracklet: Tracklet) -> Iterable[Tracklet]:
        return (t for t in self.tracklets.values() if t.identity and t is not tracklet and self._apart(t, tracklet))

    def _apart(self, one: Tracklet, other: Tracklet) -> bool:
        """Whether they must be two people: one camera sees both now, or saw both for longer than can be a mistake."""
        together = one.together(other)
        return self._too_long(together) or (together > 0 and one.last == other.last)

    def _too_long(self, together: float) -> bool:
        """Whether one camera saw two for longer than it may see one person twice."""
        return together > self._tolerance + ROUNDING

    def _too_far(self, person: Person, tracklet: Tracklet) -> bool:
        """Whether somebody was seen in another camera too shortly before or after."""
        return any(
            self._travel.forbid(camera, tracklet.camera, max(tracklet.first - span.last, span.first - tracklet.last))
            for camera, spans in person.seen(without=tracklet).items()
            for span in spans
        )

    def _reason(self, tracklet, cost: np.ndarray, names: list[str], closed: list[str], limit: float) -> Reason:
        order = [i for i in np.argsort(cost, kind="stable")[:2] if cost[i] < CLOSED]
        nearest, runner_up = (names[order[i]] if len(order) > i else None for i in (0, 1))
        distance, second = (float(cost[order[i]]) if len(order) > i else None for i in (0, 1))
        barred = tuple(sorted(closed))
        return Reason(None, distance, nearest, runner_up, second, limit, tracklet.count, len(names), barred)

    def _name(self, tracklet: Tracklet, name: str, new: bool = False) -> None:
        key = tracklet.camera, tracklet.track
        if name not in self.people:
            self.people[name] = Person(name, self._now, known=not new)
        person = self.people[name]
        tracklet.identity = name
        person.members[key] = tracklet
        person.last = max(person.last, tracklet.last)
        tracklet.asked = max(tracklet.asked, tracklet.count)
        reason = self.reasons[key] = replace(self.reasons[key], identity=name, new=new)
        self.emit("identified", camera=tracklet.camera, track=tracklet.track, identity=name, detail=reason.to_dict())
        if new:  # others when the case has been reviewed, or the track has ended: what is in the gallery stays there
            self._enroll(tracklet)

    def _enroll(self, tracklet: Tracklet) -> None:
        """Make the mean of a tracklet's crops an exemplar of its identity, with the stripes of the best of them."""
        stripes = tracklet.stripes[0][1][None] if self.gallery.stripes_shape and tracklet.stripes else None
        self.gallery.add(
            tracklet.embedding,
            stripes,
            identity=tracklet.identity,
            camera=tracklet.camera,
            time=self._time,
            quality=tracklet.quality,
        )
        tracklet.enrolled = tracklet.count

    def _new_name(self) -> str:
        """person-1, person-2, …: no name that anybody has, or had while this tracker runs.

        In a gallery that sites share it holds the site's name, as `Gallery.new_name` has it.
        """
        stem, _, number = self.gallery.new_name().rpartition("-")
        taken = set(self.gallery.identities())
        first = max(int(number), self._named + 1)
        self._named = next(i for i in itertools.count(first) if f"{stem}-{i}" not in taken)
        return f"{stem}-{self._named}"

    def _review(self, thresholds: Thresholds) -> None:
        """Hold decided tracklets that have a group of new crops against everybody once more; move the wrong ones."""
        due = [t for t in self.tracklets.values() if t.identity and t.count >= t.asked + GROUP]
        if not due:
            return
        cost, names, closed = self._costs(due, thresholds, own=True)
        limit = thresholds.limit(len(names))
        for row, tracklet in enumerate(due):
            tracklet.asked = tracklet.count
            own = names.index(tracklet.identity)
            if cost[row, own] == CLOSED:
                continue  # their person is nobody but them: see `_merge`
            others = np.delete(cost[row], own)
            best = int(cost[row].argmin())
            if (
                best != own
                and cost[row, best] <= SURE * limit
                and cost[row, own] - cost[row, best] >= MARGIN * thresholds.tracklet
            ):
                self._move(tracklet, names[best], self._reason(tracklet, cost[row], names, closed[row], limit))
            elif cost[row, own] > LEAVE * limit and others.min(initial=CLOSED) > limit:
                self._move(tracklet, None, self._reason(tracklet, cost[row], names, closed[row], limit))
            elif not tracklet.enrolled:
                self._enroll(tracklet)
        for tracklet in due:
            self._swap(tracklet, thresholds)
        self._merge(thresholds)

    def _swap(self, tracklet: Tracklet, thresholds: Thresholds) -> None:
        """Two whom one camera sees at once bear each other's names, if that is the nearer explanation by a margin.

        Neither could be moved alone: the other's name is closed to it.
        """
        lucky = LUCKY * np.log(max(len(self.people), 1))
        for other in [t for t in self._beside(tracklet) if t.complete and t.identity != tracklet.identity]:
            pair = (tracklet, other)
            looks = [self.people[t.identity].look(without=t) for t in pair]
            mine, theirs = ([Look.of(t).distances(look, lucky)[0] for look in looks] for t in pair)
            if mine[0] + theirs[1] - mine[1] - theirs[0] < 2 * MARGIN * thresholds.tracklet or None in looks:
                continue
            names = tracklet.identity, other.identity
            known = len(self.people)
            for one, name, distances in ((tracklet, names[1], mine), (other, names[0], theirs)):
                order = distances if one is other else distances[::-1]
                runner_up = one.identity
                reason = Reason(None, order[0], name, runner_up, order[1], thresholds.limit(known), one.count, known)
                self._move(one, name, reason)
            return

    def _move(self, tracklet: Tracklet, name: str | None, reason: Reason) -> None:
        """It has been taken for somebody else; name: who it is instead, None: somebody new."""
        key = tracklet.camera, tracklet.track
        del self.people[tracklet.identity].members[key]
        self.reasons[key] = reason
        tracklet.enrolled = 0
        self._name(tracklet, name or self._new_name(), new=name is None)

    def _merge(self, thresholds: Thresholds) -> None:
        """Find people that are one: each other's nearest, never seen together."""
        looks = [(person, look) for person in self.people.values() if (look := person.look())]
        if len(looks) < 2:
            return
        people = [person for person, _ in looks]
        pictures = np.stack([picture for _, (picture, _) in looks])
        distance = 1 - pictures @ pictures.T
        np.fill_diagonal(distance, CLOSED)
        limit = MERGE * thresholds.limit(len(people))
        for i, j in zip(*np.nonzero(np.triu(distance <= limit)), strict=True):
            if (people[i].known and people[j].known) or self._two(people[i], people[j]):
                distance[i, j] = distance[j, i] = CLOSED
        nearest = distance.argmin(axis=1)
        for i, j in enumerate(nearest):
            if i < j and nearest[j] == i and distance[i, j] <= limit:
                kept, other = sorted((people[i], people[j]), key=lambda p: (not p.known, p.since))
                self._unite(kept, other, float(distance[i, j]))

    def _two(self, one: Person, other: Person) -> bool:
        """Whether they cannot be one person."""
        if self._too_long(one.together(other)):
            return True
        if self._travel is not None and any(self._too_far(one, t) for t in other.members.values()):
            return True
        return any(self._apart(a, b) for a in one.members.values() for b in other.members.values())

    def shows_another(self, tracklet: Tracklet, thresholds: Thresholds, patience: float) -> bool:
        """Whether a track has passed to another person: its latest crops are far from what it showed before.

        Less far is enough if somebody known is much nearer to them.
        """
        change = tracklet.change(patience)
        if change > thresholds.crop:
            return True
        if change <= SUSPICIOUS * thresholds.crop or not tracklet.identity:
            return False
        others = [person for person in self.people.values() if person.name != tracklet.identity and person.look()]
        if not others:
            return False
        nearest = float(1 - (np.stack([person.look()[0] for person in others]) @ tracklet.now()).max())
        return nearest <= change - 2 * MARGIN * thresholds.tracklet

    def _unite(self, kept: Person, other: Person, distance: float | None) -> None:
        for tracklet in other.members.values():
            tracklet.identity = kept.name
        kept.absorb(other)
        self.people.pop(other.name, None)
        if {kept.name, other.name} <= set(self.gallery.identities()):
            self.gallery.merge(other.name, into=kept.name)
        for tracklet in self.tracklets.values():
            tracklet.from_gallery.pop(other.name, None)
        detail = {"other": other.name, "distance": None if distance is None else round(distance, 4)}
        self.emit("merged", identity=kept.name, detail=detail)

    def explain(self, camera: str, track: int) -> Reason:
        """Why a track has its identity, or none. Raises `DataError` for one that was not seen lately."""
        tracklet = self.tracklets.get((camera, track))
        if tracklet is None:
            raise DataError(f"camera '{camera}' has no track {track} of late; ask while it is remembered")
        reason = self.reasons.get((camera, track))
        if reason is None:
            return Reason(None, None, None, None, None, 0.0, tracklet.count, 0)
        person = self.people.get(reason.nearest)
        return replace(reason, aligned=person and aligned_stripes(tracklet.stripes, person.best_stripes(tracklet)))

    def forget(self, identity: str) -> int:
        """Delete a person from the gallery and from memory; how many exemplars there were.

        Who is in view at the time is somebody nobody knows from then on. Raises `GalleryError` if they are unknown.
        """
        count = self.gallery.forget(identity)
        person = self.people.pop(identity, None)
        for key, old in person.members.items() if person else ():
            fresh = Tracklet(*key, old.last, old.last, seen=1, changed=1, frame=old.frame)
            fresh.first_time = fresh.last_time = old.last_time
            self.tracklets[key] = fresh
            self.reasons.pop(key, None)
        for tracklet in self.tracklets.values():
            tracklet.from_gallery.pop(identity, None)
        return count

    def rename(self, identity: str, to: str) -> None:
        """Give a person another name. Raises `GalleryError` if they are unknown, or the name is taken."""
        self.gallery.rename(identity, to)
        person = self.people.pop(identity, None)
        for tracklet in self.tracklets.values():
            if identity in tracklet.from_gallery:
                tracklet.from_gallery[to] = tracklet.from_gallery.pop(identity)
        if person is not None:
            person.name, person.known = to, True
            self.people[to] = person
            for tracklet in person.members.values():
                tracklet.identity = to

    def merge(self, identity: str, into: str) -> None:
        """Two names, one person: `into` stays. Raises `GalleryError` if either is unknown, or both are the same."""
        for name in (identity, into):
            if name not in self.people and name not in self.gallery.identities():
                raise GalleryError(f"identity '{name}' is not in the gallery")
        if identity == into:
            raise GalleryError(f"identity '{identity}' cannot be merged into itself")
        kept = self.people.setdefault(into, Person(into, self._now, known=True))
        self._unite(kept, self.people.get(identity) or Person(identity, self._now), None)

    def forget_before(self, then: float) -> list[Tracklet]:
        """Drop the tracklets that ended before `then`, s on the tracker's clock, and give them back.

        People too, if there are very many.
        """
        gone = [t for t in self.tracklets.values() if t.last < then]
        for tracklet in gone:
            key = tracklet.camera, tracklet.track
            del self.tracklets[key]
            self.reasons.pop(key, None)
            if tracklet.identity:
                self.people[tracklet.identity].retire(tracklet)
        if len(self.people) > MOST_PEOPLE:
            absent = sorted((p for p in self.people.values() if not p.members), key=lambda p: p.last)
            for person in absent[: len(self.people) - MOST_PEOPLE]:
                del self.people[person.name]
        return gone
