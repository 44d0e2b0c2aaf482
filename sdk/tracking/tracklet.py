"""A tracklet: one track of one camera, and what its crops looked like."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from sdk.tracking.clock import ROUNDING, USUAL_STEP

GROUP = 6
"""Good crops from which a tracklet asks for an identity."""
PATIENCE = 3
"""Groups of crops after which a tracklet is decided, sure or not."""
LEAST_GROUP = 3
"""Good crops with which a track that has ended may still be recognised; to be somebody new takes a `GROUP`."""
FULL_WEIGHT = 30
"""Crops from which a tracklet weighs no more in the picture of its person."""
ENOUGH = 48
"""Crops after which it is only checked that a track still shows the same person."""
CHECK_INTERVALS = 6
"""How many times rarer crops are embedded for that check alone."""
LATEST = 3
"""Crops that together must differ from all before for a track to have passed from one person to another."""
MIN_QUALITY = 0.3
"""Crops below tell more of what is in front of a person, or of the frame's edge, than of the person."""
FULL_HEIGHT = 96
"""Height in px from which a crop is as good as any."""

NEAR = 0.2
"""Share of its sides by which a box is enlarged to see whether another is near."""


def crop_quality(boxes: np.ndarray, confidence: np.ndarray, frame_size: tuple[int, int]) -> np.ndarray:
    """How much a crop tells of its person, float `[N]` in [0, 1].

    boxes float `[N, 4]` xyxy px, confidence `[N]`, frame_size (height, width) px. The product of the
    detector's confidence, the size, the part that no other box covers, and whether the frame's edge cuts it.
    """
    height, width = frame_size
    size = np.clip((boxes[:, 3] - boxes[:, 1]) / FULL_HEIGHT, 0, 1)
    cut = at_side(boxes, width) | (boxes[:, 3] >= height - 1)
    return confidence * size * (1 - covered_share(boxes)) * np.where(cut, 0.6, 1.0)


def at_side(boxes: np.ndarray, width: int) -> np.ndarray:
    """Which boxes `[N, 4]` touch the left or right edge of a frame of `width` px, bool `[N]`."""
    return (boxes[:, 0] <= 1) | (boxes[:, 2] >= width - 1)


def beside_another(boxes: np.ndarray) -> np.ndarray:
    """Which boxes `[N, 4]` are so close to another that the two people could be mixed up, bool `[N]`."""
    reach = NEAR * (boxes[:, 2:] - boxes[:, :2])
    return covered_share(np.hstack([boxes[:, :2] - reach, boxes[:, 2:] + reach])) > 0


def covered_share(boxes: np.ndarray) -> np.ndarray:
    """Share of each box `[N, 4]` that the one other box covers which covers most of it, `[N]`."""
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    overlap = np.clip(high - low, 0, None).prod(axis=2)
    np.fill_diagonal(overlap, 0)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return overlap.max(axis=1, initial=0) / np.maximum(area, 1)


class Span(NamedTuple):
    """From when to when a camera saw somebody, s on the tracker's clock."""

    first: float
    last: float
    frame: float = USUAL_STEP
    """How long a frame of that camera lasts, which is how long somebody was seen who was seen in one frame."""

    def together(self, other: "Span") -> float:
        """For how long both were seen, of one camera; more than 0 if in a single frame, 0 if never."""
        both = min(self.last, other.last) - max(self.first, other.first)
        return both + min(self.frame, other.frame) if both >= 0 else 0.0


@dataclass(eq=False)
class Tracklet:
    """What is known of a track. Times are seconds on the tracker's clock, those of one frame exactly equal."""

    camera: str
    track: int
    first: float
    """When it was first seen."""
    last: float
    """When it was last seen."""
    identity: str | None = None
    seen: int = 0
    """Frames with a detection."""
    changed: int = 0
    """Of these, frames in which the picture inside the box changed."""
    frame: float = USUAL_STEP
    """How long a frame of its camera lasts, s."""
    first_time: float = 0.0
    last_time: float = 0.0
    """When that was, as the caller has it, s."""
    ended: bool = False
    """Whether it was told that this track has ended."""
    last_crop: float = float("-inf")
    last_doubt: float = float("-inf")
    """When the track could last have passed to another person: close to one, at the edge, or missed."""
    count: int = 0
    """Good crops so far."""
    total: np.ndarray | float = 0.0
    """The sum of their embeddings, weighted by quality, `[D]`."""
    qualities: float = 0.0
    """The sum of their qualities."""
    latest: list[tuple[float, float, np.ndarray]] = field(default_factory=list)
    """(time, quality, embedding `[D]`) of the last `LATEST` crops."""
    asked: int = 0
    """How many crops there were when an identity was last asked for, or reviewed."""
    enrolled: int = 0
    """How many crops there were when the gallery last got an exemplar of them; 0 if it has none."""
    from_gallery: dict[str, float] = field(default_factory=dict)
    """Distances to the nearest exemplars of the gallery, by identity, as of `gallery_asked` crops."""
    gallery_asked: int = 0
    stripes: list[tuple[float, np.ndarray]] = field(default_factory=list)
    """(quality, stripes `[S, d]`) of the best crops, where the model has the local branch."""
    _unit: tuple = field(default=(None, None), repr=False)
    """The sum that `embedding` was last worked out of, and what came out."""

    def wants(self, quality: float, now: float, interval: float, least: float = MIN_QUALITY) -> bool:
        """Whether a crop of this quality is worth embedding: consecutive frames show the same twice.

        interval: seconds between crops, as far as the camera's frames allow. least: the quality from which it is.
        """
        if self.frame < interval:  # in whole frames: of ten a second every other, not by turns one and two
            interval = self.frame * round(interval / self.frame - ROUNDING)
        if self.count >= ENOUGH:
            interval *= CHECK_INTERVALS
        return quality >= least and now - self.last_crop >= interval - self.frame / 2

    def add(self, quality: float, embedding: np.ndarray, now: float) -> None:
        """Keep the features of a crop."""
        self.count += 1
        self.qualities += quality
        self.total = self.total + quality * embedding
        self.last_crop = now
        self.latest.append((now, quality, embedding))
        if len(self.latest) > LATEST:
            self.latest.pop(0)

    def now(self) -> np.ndarray:
        """What the latest crops show: their mean, `[D]` at unit length."""
        total = np.sum([quality * embedding for _, quality, embedding in self.latest], axis=0)
        return total / np.linalg.norm(total)

    def change(self, patience: float) -> float:
        """How far the latest crops are from what was seen before: a cosine distance, or 0 where it means nothing.

        Trackers by position pass a track on to another person where two cross, or where one leaves as one enters.
        Only then, up to `patience` seconds before those crops, is it believed: who takes off a coat stays who they are.
        """
        if self.count < 2 * LATEST or self.last_doubt < self.latest[0][0] - patience - ROUNDING:
            return 0.0
        before = self.total - np.sum([quality * embedding for _, quality, embedding in self.latest], axis=0)
        return 1 - float(self.now() @ before) / float(np.linalg.norm(before))

    def split(self, track: int) -> "Tracklet":
        """Give the latest crops to a new tracklet named `track`, which goes on; this one has ended before them."""
        latest, self.latest = self.latest, []
        first = latest[0][0]
        other = Tracklet(self.camera, track, first, self.last, seen=len(latest), changed=len(latest), frame=self.frame)
        other.first_time = other.last_time = self.last_time
        self.last = first - self.frame
        for then, quality, embedding in latest:
            self.total = self.total - quality * embedding
            self.count -= 1
            self.qualities -= quality
            other.add(quality, embedding, then)
        return other

    @property
    def complete(self) -> bool:
        """Whether there are crops enough for a mean that can be trusted."""
        return self.count >= GROUP

    @property
    def embedding(self) -> np.ndarray:
        """The mean of the crops' embeddings, weighted by quality, at unit length: float32 `[D]`."""
        total, unit = self._unit
        if total is not self.total:  # every crop makes a new sum
            unit = (self.total / np.linalg.norm(self.total)).astype(np.float32)
            self._unit = self.total, unit
        return unit

    @property
    def quality(self) -> float:
        """The mean of the crops' qualities, at most 1."""
        return float(min(1.0, self.qualities / max(1, self.count)))

    @property
    def weight(self) -> float:
        """What it counts in the picture of its person."""
        return float(min(self.count, FULL_WEIGHT))

    @property
    def span(self) -> Span:
        """When it was seen."""
        return Span(self.first, self.last, self.frame)

    def together(self, other: "Tracklet") -> float:
        """For how many seconds one camera saw both, more than 0 if it was in a single frame: then they are two people,
        unless one of them was followed wrongly."""
        return self.span.together(other.span) if self.camera == other.camera else 0.0
