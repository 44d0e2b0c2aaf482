"""Whose tracks there were, while a run goes on: what is kept of somebody can be found when they are forgotten."""

from array import array

from sdk.events import Event

Track = tuple[str, int]
"""(camera, number of the track in it)."""


class NamedTracks:
    """Tracks by name, in eight bytes a track; goes along with people who are merged or renamed."""

    def __init__(self):
        self._tracks: dict[str, dict[str, array]] = {}
        """By name and camera."""

    def add(self, name: str, track: Track) -> None:
        camera, number = track
        self._tracks.setdefault(name, {}).setdefault(camera, array("q")).append(number)

    def of(self, name: str) -> set[Track]:
        """Their tracks; none of who is unknown."""
        return {(camera, number) for camera, own in self._tracks.get(name, {}).items() for number in own}

    def forget(self, name: str) -> None:
        self._tracks.pop(name, None)

    def listen(self, event: Event) -> None:
        """Go along with an event; a listener of a tracker."""
        if event.kind in ("merged", "renamed"):
            for camera, tracks in self._tracks.pop(event.detail["other"], {}).items():
                self._tracks.setdefault(event.identity, {}).setdefault(camera, array("q")).extend(tracks)
