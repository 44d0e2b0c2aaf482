"""Changing what a running tracker calls people: in its gallery, and in the tracks that it follows just now.

All that this page needs of the tracker's inside is in this module, and goes as the tracker and the gallery learn to do
it themselves. Callers see to it that no `update` runs meanwhile.
"""

import unicodedata

from sdk.errors import GalleryError
from sdk.tracking import MultiCameraTracker
from sdk.tracking.tracklet import Tracklet

LONGEST = 100
"""Letters of a name."""


def checked_name(name: object) -> str:
    """A name without spaces around it. Raises `GalleryError` for what is none."""
    if not isinstance(name, str) or not name.strip():
        raise GalleryError("a name has at least one letter")
    name = name.strip()
    if len(name) > LONGEST or any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in name):
        raise GalleryError(f"a name is one line of at most {LONGEST} letters")
    return name


def forget(tracker: MultiCameraTracker, identity: str) -> int:
    """Delete somebody's exemplars and what their tracks have collected; how many exemplars there were.

    Who is in view at the time is somebody nobody knows from then on. Raises `GalleryError` if the identity is unknown.
    """
    if hasattr(tracker, "forget"):
        return tracker.forget(identity)
    count = tracker.reid.gallery.forget(identity)
    for key, old in list(tracker._tracklets.items()):
        if old.identity == identity:
            tracker._tracklets[key] = Tracklet(old.camera, old.track, old.last_tick, old.last_tick, seen=1, changed=1)
    return count


def rename(tracker: MultiCameraTracker, identity: str, to: str) -> None:
    """Give somebody another name, which nobody has. Raises `GalleryError` if they are unknown or somebody has it."""
    if to in tracker.reid.gallery.identities():
        raise GalleryError(f"'{to}' is somebody already")
    if hasattr(tracker, "rename"):
        tracker.rename(identity, to)
        return
    tracker.reid.gallery.rename(identity, to)
    _call(tracker, identity, to)


def merge(tracker: MultiCameraTracker, identity: str, into: str) -> None:
    """Two names, one person: `into` stays. Raises `GalleryError` if either is unknown, or both are the same."""
    if hasattr(tracker, "merge"):
        tracker.merge(identity, into)
        return
    tracker.reid.gallery.merge(identity, into)
    _call(tracker, identity, into)


def _call(tracker: MultiCameraTracker, identity: str, to: str) -> None:
    """Change a name in what the tracker holds itself."""
    identities = getattr(tracker, "_identities", None)
    if identities is not None and identity in identities.people:
        person = identities.people.pop(identity)
        person.name = to
        identities.people[to] = person
    tracklets = tracker._tracklets if identities is None else identities.tracklets
    for tracklet in list(tracklets.values()):
        if tracklet.identity == identity:
            tracklet.identity = to
