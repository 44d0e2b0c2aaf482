"""Which identity a tracklet bears: at once as far as it is clear, and looked at again with all others later.

All decisions are in nats, the logarithm of odds: evidence for "one person", which the site model gives (`site/`). A
tracklet's evidence for a person is that of all its pairs with the person's tracklets (`joint.weight_of`). Names are
given as soon as there are crops enough; every few seconds the tracklets of the last minutes are solved once more as one
problem (`review.py`).
"""

import itertools
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from scipy.optimize import linear_sum_assignment  # scipy comes with `trackers`

from sdk.errors import DataError, GalleryError, UnknownIdentityError
from sdk.events import Event, Listener
from sdk.gallery import Gallery
from sdk.tracking.apart import Apart
from sdk.tracking.clock import ROUNDING
from sdk.tracking.config import TrackerConfig
from sdk.tracking.crowd import Crowd, witnesses
from sdk.tracking.joint import NEVER, standing, weight_of
from sdk.tracking.people import Person
from sdk.tracking.reason import Reason, Thresholds
from sdk.tracking.rescoring import Align, aligned_stripes, local_differences
from sdk.tracking.review import STAY, review
from sdk.tracking.site import SiteModel
from sdk.tracking.tracklet import GROUP, LEAST_GROUP, PATIENCE, Tracklet
from sdk.tracking.travel import TravelTimes

MIN_CHANGED = 0.5
"""Share of a tracklet's frames in which its picture must have changed; see `change.py`."""

LEAST = 0.5
"""Nats from which two are one person. Above 0, for of many who might be joined the likeliest are."""
AT_ONCE = 1.0
"""Nats more that it takes while it is asked for the first time; a review may join later what was kept apart."""
SURE = 1.5
"""Nats beyond that, and beyond the runner-up, with which it is one at once."""
SURELY_NEW = 1.5
"""Nats by which the nearest known person must miss it for a tracklet to be somebody new at once."""
GALLERY_SLOPE = 10.9
"""Nats by which the evidence for somebody whom the gallery alone knows falls over the whole limit (`Thresholds`)."""
SUSPICIOUS = 0.7
"""From which share of the crops' threshold a track looks as if it had passed to another person."""
NEARER = 0.3
"""By which share of the threshold somebody known must be nearer to the latest crops for it to have."""
GATE = 10
"""Nearest identities that the gallery is asked for."""
CROWDED = 300
"""Tracklets that take part in a review from which reviews are rarer."""
NEVER_BEFORE = float("-inf")
"""Before all times."""


def is_ready(tracklet: Tracklet, least: int = GROUP) -> bool:
    """Whether a tracklet without identity is known well enough to ask for one."""
    if tracklet.identity is not None or tracklet.count < least:
        return False
    return tracklet.changed >= MIN_CHANGED * max(1, tracklet.seen)


class Scores:
    """The evidence of N tracklets for P people, and its parts: `[N, P]` each."""

    def __init__(self, count: int, names: list[str]):
        self.names = names
        self.evidence = np.full((count, len(names)), NEVER)
        """Nats; `NEVER` where it cannot be, or nothing is known."""
        self.look = np.zeros((count, len(names)))
        self.odds = np.zeros((count, len(names)))
        self.distance = np.full((count, len(names)), np.nan)
        self.unit = np.ones((count, len(names)))
        """How much distance is a nat."""
        self.stranger: float | None = None
        self.closed: list[list[str]] = []
        """Who it cannot be, of each."""

    def set(self, row: int, column: int, nats: float, distance: float, unit: float) -> None:
        """Take what the look alone says of one pair."""
        self.evidence[row, column] = self.look[row, column] = nats
        self.odds[row, column], self.distance[row, column], self.unit[row, column] = 0.0, distance, unit


class Identities:
    """Who is who among the tracklets of all cameras: gives names, reviews and merges them, and says why."""

    def __init__(
        self,
        gallery: Gallery,
        on_event: Listener | None = None,
        tolerance: float = 0.0,
        align: Align | None = None,
        travel: TravelTimes | None = None,
        site: SiteModel | None = None,
        config: TrackerConfig | None = None,
    ):
        """align: look at close calls stripe by stripe, where tracklets have stripes; see `rescoring.Align`.

        tolerance: seconds for which one camera may see a person twice, because one of two tracks was about to be lost
        and lay on somebody else. travel: how long people take between cameras. site: what is known of the site.
        """
        self.gallery = gallery
        self.tracklets: dict[tuple[str, int], Tracklet] = {}
        """Those of the last minutes, by camera and number."""
        self.people: dict[str, Person] = {}
        """Those of the last hours."""
        self.reasons: dict[tuple[str, int], Reason] = {}
        self.site = site or SiteModel()
        self.apart = Apart(tolerance, travel)
        self.config = config or TrackerConfig()
        self._on_event = on_event
        self._tolerance = tolerance
        self._align = align
        self._now, self._time = 0.0, 0.0
        self._next_look = self._next_review = NEVER_BEFORE
        self._named = 0
        """The number of the last new person."""

    @property
    def least(self) -> float:
        """Nats from which two are one person."""
        return (LEAST if self.site.learns else 0.0) + self.config.caution

    @property
    def at_once(self) -> float:
        """Nats from which a tracklet is a known person when it is asked for the first time."""
        return self.least + (AT_ONCE if self.site.learns else 0.0)

    def emit(self, kind: str, **what) -> None:
        """Tell the listener."""
        if self._on_event is not None:
            self._on_event(Event(self._time, kind, **what))

    def decide(self, now: float, time: float, thresholds: Thresholds, lost: float, last_chance: float) -> None:
        """Give names as far as the cases are clear, and review those of the last minutes when it is time to.

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
        if self.config.review_seconds and now >= self._next_review - ROUNDING:
            self.review()
        for tracklet in self.tracklets.values():
            if tracklet.identity and not tracklet.ended and tracklet.last < lost:
                self._end(tracklet)

    def finish(self, now: float, time: float, thresholds: Thresholds) -> None:
        """Decide all that wait: nothing more will come."""
        unnamed = -1
        while unnamed != (unnamed := sum(t.identity is None for t in self.tracklets.values())):
            self._next_look = NEVER_BEFORE  # who was recognised helps to recognise others, before these are new
            self.decide(now, time, thresholds, -NEVER_BEFORE, NEVER_BEFORE)
        self._next_look = NEVER_BEFORE
        self.decide(now, time, thresholds, -NEVER_BEFORE, -NEVER_BEFORE)
        if self.config.review_seconds:
            self.review()

    def review(self, stay: float = STAY) -> bool:
        """Solve the last minutes again as one problem, learn from it, and tell what is other than it was said.

        stay: nats that speak for what has been said. Returns whether anything is other.
        """
        found = review(self.people, self.tracklets.values(), self.site, self.apart, self.least, self._now, stay)
        # The work grows with the square of the tracklets: a crowded site is reviewed less often, and costs no more.
        self._next_review = self._now + self.config.review_seconds * max(1.0, (found.size / CROWDED) ** 2)
        for kept, other in found.merged:
            self._unite(self.people[kept], self.people[other])
        moved = {id(t): t.identity for t, _ in found.moved} | {id(t): t.identity for group in found.new for t in group}
        for tracklet in [t for t, _ in found.moved] + [t for group in found.new for t in group]:
            del self.people[tracklet.identity].members[tracklet.camera, tracklet.track]
            tracklet.enrolled = 0
        for tracklet, name in found.moved:
            self._rename(tracklet, name, moved[id(tracklet)])
        for group in found.new:
            name = self._new_name()
            for tracklet in group:
                self._rename(tracklet, name, moved[id(tracklet)])
        for name in [p.name for p in self.people.values() if not p.members and not p.past]:
            del self.people[name]
        return bool(found.merged or found.moved or found.new)

    def solve_until(self, now: float, rounds: int) -> None:
        """Review what is there from scratch until nothing changes, `rounds` times at the most, as of `now`, s."""
        self._now = self._time = now
        for _ in range(rounds):
            if not self.review(stay=0.0):
                break

    def _end(self, tracklet: Tracklet) -> None:
        tracklet.ended = True
        span = {"first": round(tracklet.first_time, 3), "last": round(tracklet.last_time, 3)}
        where = {"camera": tracklet.camera, "track": tracklet.track, "identity": tracklet.identity}
        self.emit("left", **where, detail=span)
        if tracklet.count >= 2 * tracklet.enrolled:
            self._enroll(tracklet)

    def _assign(self, undecided: list[Tracklet], thresholds: Thresholds, last_chance: float | None = None) -> None:
        """One assignment over all cameras (the Hungarian algorithm) instead of each its nearest.

        Where two tracklets of a camera want one identity, the sum of the evidence decides, and to be somebody new
        is worth `least`. Cameras may overlap and see one person at once, so each has its own column for everybody.
        """
        scores = self._scores(undecided, thresholds)
        count = len(scores.names)
        cameras = sorted({t.camera for t in undecided})
        wide = np.full((len(undecided), count * len(cameras) + len(undecided)), NEVER)
        for row, tracklet in enumerate(undecided):
            start = cameras.index(tracklet.camera) * count
            evidence = scores.evidence[row]
            wide[row, start : start + count] = np.where(evidence >= self.at_once, evidence, NEVER)
            wide[row, count * len(cameras) + row] = self.at_once
        newcomers = []
        possible = np.flatnonzero((wide > NEVER / 2).any(axis=0))  # of a crowd almost nobody is
        for row, place in zip(*linear_sum_assignment(-wide[:, possible]), strict=True):
            tracklet, column = undecided[row], int(possible[place])
            chosen = column % count if column < count * len(cameras) else None
            self.reasons[tracklet.camera, tracklet.track] = self._reason(tracklet, scores, row)
            if not self._is_clear(tracklet, chosen, scores.evidence[row], last_chance):
                continue
            if chosen is None:
                newcomers.append(tracklet)
            else:
                self._name(tracklet, scores.names[chosen])
        for tracklet in newcomers:
            if tracklet.complete:
                self._welcome(tracklet, newcomers)

    def _is_clear(self, tracklet: Tracklet, chosen: int | None, evidence: np.ndarray, last_chance) -> bool:
        if last_chance is not None and (chosen is not None or tracklet.last < last_chance):
            return True
        if last_chance is None and tracklet.count >= PATIENCE * GROUP:
            return True
        if chosen is None:
            return evidence.max(initial=NEVER) < self.at_once - SURELY_NEW
        others = np.delete(evidence, chosen).max(initial=NEVER)
        return evidence[chosen] >= max(self.at_once, others) + SURE

    def _welcome(self, tracklet: Tracklet, newcomers: list[Tracklet]) -> None:
        """Somebody new; unless another of the newcomers is the same."""
        for other in newcomers:
            if other.identity:
                person = self.people[other.identity]
                if self.apart.tracklet_and_person(tracklet, person):
                    continue
                scores = self._held_against(tracklet, person)
                if scores.evidence[0, 0] >= self.at_once:
                    self.reasons[tracklet.camera, tracklet.track] = self._reason(tracklet, scores, 0)
                    self._name(tracklet, other.identity)
                    return
        self._name(tracklet, self._new_name(), new=True)

    def _held_against(self, tracklet: Tracklet, person: Person) -> Scores:
        """The evidence for one person alone."""
        scores = Scores(1, [person.name])
        scores.closed = [[]]
        self._compare(scores, [tracklet], [person])
        return scores

    def _compare(self, scores: Scores, tracklets: list[Tracklet], people: Iterable[Person]) -> None:
        """Fill in the evidence that the site model gives for `tracklets`, which are none of these people's own."""
        crowd = Crowd.of(people, self.site)
        if crowd is None:
            return
        found = self.site.evidence(self.site.prepare(witnesses(tracklets)), crowd.pairing)
        place = {name: column for column, name in enumerate(scores.names)}
        columns = [place[name] for name in crowd.names]
        look, odds, distance = (crowd.means(part) for part in found)
        look = look * weight_of(crowd.counts)
        if self.site.learns:
            odds = odds + standing(1.0, crowd.counts)
        scores.look[:, columns], scores.odds[:, columns], scores.distance[:, columns] = look, odds, distance
        scores.evidence[:, columns] = look + odds
        scores.stranger = float(self.site.likeness.stranger.mean())
        scores.unit[:, columns] = scores.stranger / np.mean(self.site.prior.slope)

    def _scores(self, tracklets: list[Tracklet], thresholds: Thresholds) -> Scores:
        """The evidence of every tracklet for every person."""
        self._ask_gallery(tracklets)
        known = {name for t in tracklets for name in t.from_gallery}
        scores = Scores(len(tracklets), sorted({*self.people, *known}))
        place = {name: column for column, name in enumerate(scores.names)}
        self._compare(scores, tracklets, self.people.values())
        limit = thresholds.limit(max(1, sum(name not in self.people or self.people[name].known for name in place)))
        scores.closed = self.apart.barred(tracklets, self.people.values())
        for row, tracklet in enumerate(tracklets):
            for name, distance in tracklet.from_gallery.items():
                person = self.people.get(name)
                if person is None or person.known:
                    nats = self.at_once + GALLERY_SLOPE * (limit - distance) / thresholds.tracklet
                    if nats > scores.evidence[row, place[name]]:
                        scores.set(row, place[name], nats, distance, thresholds.tracklet / GALLERY_SLOPE)
            if self._align is not None:
                self._look_closer(tracklet, scores, row)
            scores.evidence[row, [place[name] for name in scores.closed[row]]] = NEVER
        return scores

    def _look_closer(self, tracklet: Tracklet, scores: Scores, row: int) -> None:
        """Re-score those who are about as near as the nearest."""
        evidence = scores.evidence[row]
        close = np.flatnonzero(evidence >= max(evidence.max(initial=NEVER) - SURE, NEVER / 2))
        people = [self.people.get(scores.names[i]) for i in close]
        if len(close) > 1 and all(people):
            local = local_differences(self._align, tracklet.stripes, [p.best_stripes(without=tracklet) for p in people])
            nats = -local / scores.unit[row, close]
            scores.evidence[row, close] += nats
            scores.look[row, close] += nats

    def _ask_gallery(self, tracklets: list[Tracklet]) -> None:
        """Whom the gallery alone knows: asked once a group of crops, for a shared gallery is slow."""
        asking = [t for t in tracklets if t.count >= t.gallery_asked + GROUP or not t.gallery_asked]
        if not asking:
            return
        found = self.gallery.search(np.stack([t.embedding for t in asking]), k=GATE)
        for tracklet, candidates in zip(asking, found, strict=True):
            tracklet.gallery_asked = tracklet.count
            tracklet.from_gallery = {candidate.identity: candidate.distance for candidate in candidates}

    def _reason(self, tracklet: Tracklet, scores: Scores, row: int, chosen: int | None = None) -> Reason:
        """What speaks for the nearest, or for `chosen`, and who would be next."""
        evidence = scores.evidence[row]
        order = np.argsort(-evidence, kind="stable")
        order = order[evidence[order] > NEVER / 2].tolist()
        if chosen in order:
            order.remove(chosen)
            order.insert(0, chosen)
        barred, known = tuple(sorted(scores.closed[row])), len(scores.names)
        notes = self.site.cameras.notes(tracklet.camera)
        if not order:
            return Reason(None, None, None, None, None, None, tracklet.count, known, barred, notes=notes)
        best = order[0]
        # Limit and runner-up are told in the unit in which distances are, since a nat is so much distance.
        unit, distance = float(scores.unit[row, best]), float(scores.distance[row, best])
        limit = distance + unit * float(evidence[best] - self.at_once)
        second = distance + unit * float(evidence[best] - evidence[order[1]]) if len(order) > 1 else None
        return Reason(
            None, distance, scores.names[best], scores.names[order[1]] if len(order) > 1 else None, second, limit,
            tracklet.count, known, barred, evidence=float(evidence[best]), look=float(scores.look[row, best]),
            odds=float(scores.odds[row, best]), stranger=scores.stranger, notes=notes,
        )  # fmt: skip

    def _name(self, tracklet: Tracklet, name: str, new: bool = False) -> None:
        key = tracklet.camera, tracklet.track
        if name not in self.people:
            self.people[name] = Person(name, self._now, known=not new, passes=self._passes_before(name))
        person = self.people[name]
        tracklet.identity = name
        person.members[key] = tracklet
        person.last = max(person.last, tracklet.last)
        tracklet.asked = max(tracklet.asked, tracklet.count)
        reason = self.reasons[key] = replace(self.reasons[key], identity=name, new=new)
        self.emit("identified", camera=tracklet.camera, track=tracklet.track, identity=name, detail=reason.to_dict())
        if new:  # others when the track has ended: what is in the gallery stays there
            self._enroll(tracklet)

    def _passes_before(self, name: str) -> Counter:
        """How often somebody has passed the cameras whose statistics come from earlier runs, as the gallery knows."""
        if not self.site.restored:
            return Counter()
        try:
            return Counter(self.site.restored.intersection(self.gallery.describe(name)[0].cameras))
        except GalleryError:  # somebody new
            return Counter()

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
        taken = {*self.gallery.identities(), *self.people}
        first = max(int(number), self._named + 1)
        self._named = next(i for i in itertools.count(first) if f"{stem}-{i}" not in taken)
        return f"{stem}-{self._named}"

    def _rename(self, tracklet: Tracklet, name: str, before: str) -> None:
        """It has been taken for somebody else, `before`."""
        scores = Scores(1, sorted(self.people))
        scores.closed.append([])
        self._compare(scores, [tracklet], self.people.values())
        chosen = scores.names.index(name) if name in self.people else None
        reason = self._reason(tracklet, scores, 0, chosen)
        key = tracklet.camera, tracklet.track
        self.reasons[key] = replace(reason, notes=(f"it was taken for {before} before", *reason.notes))
        self._name(tracklet, name, new=chosen is None)

    def shows_another(self, tracklet: Tracklet, thresholds: Thresholds, patience: float) -> bool:
        """Whether a track has passed to another person: its latest crops are far from what it showed before.

        Less far is enough if somebody known is much nearer to them.
        """
        change = tracklet.change(patience)
        if change > thresholds.crop:
            return True
        if change <= SUSPICIOUS * thresholds.crop or not tracklet.identity:
            return False
        others = [person.picture() for person in self.people.values() if person.name != tracklet.identity]
        others = [picture for picture in others if picture is not None]
        if not others:
            return False
        nearest = float(1 - (np.stack(others) @ tracklet.now()).max())
        return nearest <= change - NEARER * thresholds.tracklet

    def _unite(self, kept: Person, other: Person, **detail) -> None:
        known = set(self.gallery.identities())  # first: what cannot be stored must not be so here alone
        if {kept.name, other.name} <= known:
            self.gallery.merge(other.name, into=kept.name)
        elif other.name in known:
            self.gallery.rename(other.name, kept.name)
        for tracklet in other.members.values():
            tracklet.identity = kept.name
        kept.absorb(other)
        self.people.pop(other.name, None)
        for tracklet in self.tracklets.values():
            tracklet.from_gallery.pop(other.name, None)
        self.emit("merged", identity=kept.name, detail={"other": other.name, "distance": None, **detail})

    def explain(self, camera: str, track: int) -> Reason:
        """Why a track has its identity, or none. Raises `DataError` for one that was not seen lately."""
        tracklet = self.tracklets.get((camera, track))
        if tracklet is None:
            raise DataError(f"camera '{camera}' has no track {track} of late; ask while it is remembered")
        reason = self.reasons.get((camera, track))
        if reason is None:
            return Reason(None, None, None, None, None, None, tracklet.count, 0)
        person = self.people.get(reason.nearest)
        return replace(reason, aligned=person and aligned_stripes(tracklet.stripes, person.best_stripes(tracklet)))

    def forget(self, identity: str) -> int:
        """Delete a person from the gallery and from memory; how many exemplars there were.

        Who is in view at the time is somebody nobody knows from then on. Raises `UnknownIdentityError` if neither knows
        them, `GalleryError` if it cannot be done; nothing is changed then.
        """
        try:
            count = self.gallery.forget(identity)
        except UnknownIdentityError:
            if identity not in self.people:
                raise
            count = 0  # retention has run out for them
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
        self.emit("renamed", identity=to, detail={"other": identity})

    def merge(self, identity: str, into: str) -> None:
        """Two names, one person: `into` stays, and no review parts them again. Raises `GalleryError` if either is
        unknown, both are the same, or it cannot be done; nothing is changed then."""
        for name in (identity, into):
            if name not in self.people and name not in self.gallery.identities():
                raise UnknownIdentityError(f"identity '{name}' is not in the gallery")
        if identity == into:
            raise GalleryError(f"identity '{identity}' cannot be merged into itself")
        kept = self.people.get(into) or Person(into, self._now, known=True)
        other = self.people.get(identity) or Person(identity, self._now)
        bound = other.bound | kept.members.keys() | other.members.keys()
        self._unite(kept, other, by_hand=True)
        self.people[into] = kept
        kept.bound |= bound

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
                person = self.people[tracklet.identity]
                if tracklet.count:
                    self.site.settled(tracklet.camera, tracklet.embedding, person.passes[tracklet.camera])
                person.retire(tracklet)
        if len(self.people) > self.config.most_people:
            absent = sorted((p for p in self.people.values() if not p.members), key=lambda p: p.last)
            for person in absent[: len(self.people) - self.config.most_people]:
                del self.people[person.name]
        return gone
