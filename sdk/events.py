"""What happens at a site, as it happens: one record an event, for programs that act on it.

The tracker and the video sources tell events to a listener, any callable that takes an `Event`; where they go (a file,
a message broker, a page) is the listener's business. A listener is called from the thread that the event happens in,
and must be quick.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

from sdk.names import visible

KINDS = {
    "identified": "a track has got its identity; detail: distance, runner_up, margin, new (nobody knew them before)",
    "left": "a track has ended; detail: first, last (seconds)",
    "merged": "two identities are one person; identity is the one that stays; detail: other",
    "split": "a track has passed to another person and goes on under a new number; detail: new_track",
    "camera_lost": "a camera gives no frames; detail: reason",
    "camera_back": "it gives frames again; detail: seconds it was away",
    "camera_frozen": "its picture has not changed for a while; detail: seconds",
    "camera_changed": "its resolution has changed; detail: before, now ([height, width] px)",
    "camera_ended": "it will give no more frames; detail: reason",
}
"""What can happen, and what its `detail` holds."""


@dataclass(frozen=True)
class Event:
    """One thing that happened. Raises `ValueError` for a kind that is not in `KINDS`."""

    time: float
    """Seconds, on the clock of the frames."""
    kind: str
    camera: str | None = None
    track: int | None = None
    """The track's number in its camera."""
    identity: str | None = None
    detail: dict = field(default_factory=dict)
    """What else there is to say; plain JSON values."""

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ValueError(f"'{self.kind}' is no kind of event; there are {', '.join(KINDS)}")

    def to_json(self) -> str:
        """One line, without a line break; hidden characters in names are written as JSON escapes."""
        return visible(json.dumps(asdict(self), ensure_ascii=False))


Listener = Callable[[Event], None]
