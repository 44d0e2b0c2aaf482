"""The tracklets of the last minutes, solved again as one problem: what is other than it was said at first.

A name that was given at once rests on what was known then: few crops, and nothing of those who came later. In a
review every tracklet whose name may still change stands for itself, and each person's past for itself as a whole.
What is under one name keeps a little extra evidence (`STAY`), so that nobody's name goes to and fro for a trifle.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from sdk.tracking.apart import Apart
from sdk.tracking.crowd import witnesses
from sdk.tracking.joint import keep_names, solve
from sdk.tracking.people import Person
from sdk.tracking.site import SiteModel
from sdk.tracking.tracklet import Tracklet

STAY = 1.0
"""Nats that speak for what has been said."""
BOUND = 50.0
"""Nats for what a human has said."""
RECENT = 900.0
"""Seconds for which somebody who left takes part."""
MOST = 1500
"""Tracklets that take part, of now and of the past; those seen last."""


class Review(NamedTuple):
    """What has changed: first come the mergers, then the moves."""

    merged: list[tuple[str, str]]
    """(who stays, who was the same person)."""
    moved: list[tuple[Tracklet, str]]
    """Who a tracklet is instead."""
    new: list[list[Tracklet]]
    """Tracklets of one person each, who is nobody of those they were taken for."""
    size: int = 0
    """How many tracklets took part."""


def review(
    people: Mapping[str, Person],
    tracklets: Iterable[Tracklet],
    site: SiteModel,
    apart: Apart,
    least: float,
    now: float,
    stay: float = STAY,
) -> Review:
    """Solve again who is who; `site` learns from it. least: nats from which two are one person. stay: see `STAY`."""
    free = sorted((t for t in tracklets if t.identity and t.count), key=lambda t: (t.first, t.camera, t.track))
    free = free[-MOST:]
    site.observe([(t.camera, t.embedding, t.identity) for t in free], {p.name: p.passes for p in people.values()})
    recent = sorted((p for p in people.values() if p.past and p.last >= now - RECENT), key=lambda p: -p.last)
    room = MOST - len(free)
    pasts = []
    for person in recent:
        room -= len(person.past)
        if room < 0:
            break
        pasts.append(person)
    nodes = [[t] for t in free] + [list(p.past) for p in pasts]
    if len(nodes) < 2:
        return Review([], [], [])
    name_of = [t.identity for t in free] + [p.name for p in pasts]
    spans = [[(t.camera, t.span)] for t in free] + [list(p.intervals) for p in pasts]
    size = np.array([len(node) for node in nodes])
    owner = np.repeat(np.arange(len(nodes)), size)
    seen = site.prepare(witnesses(t for node in nodes for t in node))
    names, name = np.unique(name_of, return_inverse=True)
    known = np.array([people[n].known for n in names])
    cannot = apart.matrix(spans)
    bound = np.array([(t.camera, t.track) in people[t.identity].bound for t in free] + [bool(p.bound) for p in pasts])
    must = bound[:, None] & bound & (name[:, None] == name)
    cannot &= ~must  # a human knows better than a camera
    anchor = known[name] & _anchors(free, name, len(nodes))
    cannot |= anchor[:, None] & anchor & (name[:, None] != name)
    site.learn(seen, name[owner], cannot[np.ix_(owner, owner)] & (owner[:, None] != owner))
    starts = np.cumsum(size) - size
    look, odds = (
        np.add.reduceat(np.add.reduceat(part, starts, axis=0), starts, axis=1) / (size[:, None] * size)
        for part in site.evidence(seen, seen)[:2]
    )
    odds += stay * (name[:, None] == name) + BOUND * must
    movable = (np.arange(len(nodes)) < len(free)) & ~bound & ~anchor
    group = solve(look, odds, cannot, size, movable, least, counts=site.learns)
    weight = np.array([t.count for t in free] + [sum(past.crops for past in p.past) for p in pasts], float)
    of_past = np.arange(len(nodes)) >= len(free)  # whoever has a past keeps their name, unless two of them are one
    kept = keep_names(group, name, weight, of_past)
    return _changes(free, names, name, known, group, weight, kept)._replace(size=int(size.sum()))


def _anchors(free: list[Tracklet], name: np.ndarray, count: int) -> np.ndarray:
    """Which of the nodes stand for their person for good: their past, or else the tracklet that is nearest to what the
    gallery has of them, or of which most is known."""
    anchor = np.arange(count) >= len(free)
    settled = set(name[len(free) :].tolist())
    best: dict[int, tuple[float, int, int]] = {}
    for node, tracklet in enumerate(free):
        who = int(name[node])
        if who not in settled:
            rank = (tracklet.from_gallery.get(tracklet.identity, np.inf), -tracklet.count, node)
            best[who] = min(best.get(who, rank), rank)
    anchor[[node for _, _, node in best.values()]] = True
    return anchor


def _changes(
    free: list[Tracklet],
    names: np.ndarray,
    name: np.ndarray,
    known: np.ndarray,
    group: np.ndarray,
    weight: np.ndarray,
    kept: dict[int, int],
) -> Review:
    """What is to be told, so that every node bears the name of its group."""
    became = {}
    for old in sorted(set(range(len(names))) - set(kept.values())):
        if known[old]:
            continue  # who is known by name is not merged into somebody; their tracklets go one by one
        theirs = np.flatnonzero(name == old)
        groups, row = np.unique(group[theirs], return_inverse=True)
        most = int(groups[np.bincount(row, weight[theirs]).argmax()])
        if most in kept:
            became[old] = kept[most]
    moved: list[tuple[Tracklet, str]] = []
    new: dict[int, list[Tracklet]] = {}
    for node, tracklet in enumerate(free):
        old, target = int(name[node]), kept.get(int(group[node]))
        if target is None:
            new.setdefault(int(group[node]), []).append(tracklet)
        elif became.get(old, old) != target:
            moved.append((tracklet, str(names[target])))
    return Review([(str(names[kept_]), str(names[old])) for old, kept_ in became.items()], moved, list(new.values()))
