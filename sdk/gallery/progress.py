"""What a gallery's file counts: changes, records, numbers that were given, and the time that it has seen pass.

It is one sealed record, written in every transaction. So a record that has vanished without a trace is missed.
"""

import struct
from dataclasses import dataclass, field

from sdk.gallery.timeline import SIZE, Timeline

COUNTED = ("identity", "camera", "exemplar", "chunk")
_HEAD = struct.Struct("<QQ4Q")
BODY = _HEAD.size + SIZE
"""Bytes of the record's body."""


@dataclass
class Progress:
    """As of a change."""

    changes: int = 0
    """Transactions so far."""
    next_number: int = 1
    """That no identity has ever had."""
    counts: tuple[int, ...] = (0,) * len(COUNTED)
    """Records in the tables `COUNTED`."""
    timeline: Timeline = field(default_factory=Timeline)

    def pack(self) -> bytes:
        return _HEAD.pack(self.changes, self.next_number, *self.counts) + self.timeline.pack()

    @classmethod
    def unpack(cls, body: bytes) -> "Progress":
        changes, number, *counts = _HEAD.unpack_from(body)
        return cls(changes, number, tuple(counts), Timeline.unpack(body[_HEAD.size :]))
