"""A recording that has ended, solved once more as a whole: whoever came late helps to know who came first."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from sdk.events import Event
from sdk.gallery import Gallery
from sdk.tracking.association import Identities
from sdk.tracking.config import TrackerConfig
from sdk.tracking.people import Person
from sdk.tracking.review import MOST
from sdk.tracking.site import SiteModel
from sdk.tracking.tracklet import Tracklet

ROUNDS = 4
"""Reviews of the same tracklets, at the most: each learns from the one before."""
PART = MOST // 2
"""Tracklets that are solved together; of earlier ones their people take part."""
OURS = re.compile(r"(.*-)?person-\d+")
"""Names that the tracker gives. All others are people whom somebody knows by name."""

Track = tuple[str, int]
"""(camera, number of the track in it)."""


class Kept(NamedTuple):
    """A tracklet of a run that has ended."""

    camera: str
    track: int
    first: float
    """When it was first and last seen, s."""
    last: float
    crops: int
    embedding: np.ndarray
    """Mean of its crops, float `[D]` at unit length."""


def solve_again(
    kept: Sequence[Kept], names: Mapping[Track, str | None], site: SiteModel, config: TrackerConfig | None = None
) -> tuple[dict[Track, str], dict[Track, dict]]:
    """The final names of tracklets, and why, for events: `Reason.to_dict` of those whose name is another.

    names: those that they have; tracklets without a name stay without. Names that the tracker did not make up
    (`OURS`) are kept apart from each other. site: what is known of the site; it learns on.
    """
    config = config or TrackerConfig()
    merged: dict[str, str] = {}

    def listen(event: Event) -> None:
        if event.kind == "merged":
            merged[event.detail["other"]] = event.identity

    identities = Identities(Gallery(), listen, config.lost_seconds, site=site, config=config)
    named = [row for row in sorted(kept, key=lambda row: (row.first, *row[:2])) if names.get(row[:2])]
    reasons: dict[Track, dict] = {}
    tracklets: list[Tracklet] = []
    for start in range(0, len(named), PART):
        for row in named[start : start + PART]:
            name = names[row[:2]]
            while name in merged:
                name = merged[name]
            tracklets.append(_tracklet(row, name))
            identities.tracklets[row[:2]] = tracklets[-1]
            person = identities.people.setdefault(name, Person(name, row.first, known=not OURS.fullmatch(name)))
            person.members[row[:2]] = tracklets[-1]
            person.last = max(person.last, row.last)
        identities.solve_until(named[min(start + PART, len(named)) - 1].last, ROUNDS)
        reasons |= {track: reason.to_dict() for track, reason in identities.reasons.items()}
        identities.forget_before(float("inf"))
    found = {}
    for tracklet in tracklets:
        name = tracklet.identity
        while name in merged:
            name = merged[name]
        found[tracklet.camera, tracklet.track] = name
    return found, {track: reason for track, reason in reasons.items() if found[track] != names[track]}


def _tracklet(row: Kept, name: str) -> Tracklet:
    count = max(1, int(row.crops))
    embedding = np.asarray(row.embedding, np.float32)
    return Tracklet(
        row.camera, int(row.track), float(row.first), float(row.last), name, count, count,
        count=count, total=count * embedding, qualities=float(count), asked=count, ended=True,
    )  # fmt: skip
