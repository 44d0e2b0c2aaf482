"""A tracklet: one track of one camera, with the features of its best crops."""

from dataclasses import dataclass, field

import numpy as np

GROUP = 6
"""Good crops that are averaged before the gallery is asked, and for every exemplar."""
PATIENCE = 3
"""Groups of crops after which a tracklet is decided, sure or not."""
MAX_EXEMPLARS = 8
"""Exemplars that one tracklet leaves in the gallery; after that it is only checked that it still shows the same."""
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


@dataclass
class Tracklet:
    """What is known of a track. The identity, once given, stays."""

    camera: str
    track: int
    first_tick: int
    last_tick: int
    identity: str | None = None
    seen: int = 0
    """Ticks with a detection."""
    changed: int = 0
    """Of these, ticks in which the picture inside the box changed."""
    last_crop_tick: int = -(10**9)
    last_doubt: int = -(10**9)
    """The last tick in which the track could have passed to another person: close to one, at the edge, or missed."""
    asked: int = 0
    """How many crops there were when the gallery was last asked."""
    exemplars: int = 0
    """Groups of crops that went into the gallery."""
    crops: list[tuple[float, np.ndarray]] = field(default_factory=list)
    """(quality, embedding `[D]`): all crops until the identity is decided, then those of the next exemplar."""
    latest: list[tuple[int, float, np.ndarray]] = field(default_factory=list)
    """(tick, quality, embedding `[D]`) of the last `LATEST` crops."""
    look: np.ndarray | float = 0.0
    """The sum of the embeddings before those: what this track has looked like, `[D]`."""
    looks: int = 0
    """How many they are."""

    def wants(self, quality: float, tick: int, interval: int) -> bool:
        """Whether a crop of this quality is worth embedding: consecutive frames show the same twice."""
        room = GROUP if self.identity else PATIENCE * GROUP
        if self.exemplars >= MAX_EXEMPLARS:
            interval *= CHECK_INTERVALS
        return quality >= MIN_QUALITY and tick - self.last_crop_tick >= interval and len(self.crops) < room

    def add(self, quality: float, embedding: np.ndarray, tick: int) -> None:
        """Keep the features of a crop."""
        if self.exemplars < MAX_EXEMPLARS:
            self.crops.append((quality, embedding))
        self.last_crop_tick = tick
        self.latest.append((tick, quality, embedding))
        if len(self.latest) > LATEST:
            self.look = self.look + self.latest.pop(0)[2]
            self.looks += 1

    def shows_another(self, distance: float, patience: int) -> bool:
        """Whether the latest crops are farther than a cosine `distance` from what was seen before.

        Trackers by position pass a track on to another person where two cross, or where one leaves as one enters.
        Only then, up to `patience` ticks before those crops, is it believed: who takes off a coat stays who they are.
        """
        if len(self.latest) < LATEST or self.looks < LATEST or self.last_doubt < self.latest[0][0] - patience:
            return False
        now = np.sum([embedding for _, _, embedding in self.latest], axis=0)
        return 1 - float(now @ self.look) / float(np.linalg.norm(now) * np.linalg.norm(self.look)) > distance

    def split(self, track: int) -> "Tracklet":
        """Give the latest crops to a new tracklet named `track`, which goes on; this one has ended before them."""
        latest, self.latest = self.latest, []
        self.crops = self.crops[: -len(latest)]
        first = latest[0][0]
        other = Tracklet(self.camera, track, first, self.last_tick, seen=len(latest), changed=len(latest))
        self.last_tick = first - 1
        for tick, quality, embedding in latest:
            other.add(quality, embedding, tick)
        return other

    def take_exemplar(self) -> np.ndarray:
        """The mean of the crops, for the gallery; collecting begins anew."""
        embedding = self.embedding
        self.crops.clear()
        self.exemplars += 1
        return embedding

    @property
    def complete(self) -> bool:
        """Whether there are crops enough for a mean that can be trusted."""
        return len(self.crops) >= GROUP

    @property
    def embedding(self) -> np.ndarray:
        """The mean of the crops' embeddings, weighted by quality, at unit length: float32 `[D]`."""
        quality, embedding = zip(*self.crops, strict=True)
        mean = np.average(embedding, axis=0, weights=quality)
        return (mean / np.linalg.norm(mean)).astype(np.float32)

    def overlaps(self, other: "Tracklet") -> bool:
        """Whether both were seen by one camera at one time: then they are two people."""
        return self.camera == other.camera and self.first_tick <= other.last_tick and other.first_tick <= self.last_tick
