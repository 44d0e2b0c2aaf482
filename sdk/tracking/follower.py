"""The tracks of one camera: by position where that is clear, by look where it is not.

Trackers by position alone pass a track on to another person wherever two cross, and with thirty people in a few rooms
a third of their boxes are under somebody else's track. Here each pair of track and box has a log-likelihood ratio, one
person against two, from where the track should be by now, and, where several boxes or several tracks come into
question, from what it has looked like. One assignment (the Hungarian algorithm) takes the pairs with the highest sum.

So only boxes in doubt need a crop at once: `begin` says which, `end` takes their embeddings. That leaves all crops of
all cameras to one engine call in between.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import supervision as sv
from scipy.optimize import linear_sum_assignment  # scipy comes with `trackers`

from sdk.tracking.clock import ROUNDING

ACROSS, ALONG, TALL = (0.06, 0.35), (0.05, 0.2), (0.15, 0.15)
"""How far a box may be off where its track should be: standard deviation of the middle across, of the top, and of the
log height, in heights of the box; at once, and more for every second unseen."""
CROWD = 0.5
"""Other people in an area of the person's height squared, as far as no box shows them: hidden, missed, just coming."""
BESIDE = 1.0
"""One more where another box is so near, in heights of the box: there, a place tells less. More of them count no more:
then tracks break where people stand in groups, as measured on drawn and on real people (docs/tracking.md)."""
FARTHEST = -8.0
"""The least that position says; a box is never so far off that nothing could explain it."""
PLAUSIBLE = -3.0
"""From which position lets a pair come into question."""
CLEAR = 1.0
"""From which position alone is enough, if no other pair comes near it."""
MARGIN = 3.0
"""By how much it must be ahead of every other pair of this track or this box for that."""
LOOK_SLOPE = (4.0, 10.0)
"""How much the ratio falls as the distance grows by the model's threshold: of a hardly visible person, of one in plain
view."""
LOOK_NEUTRAL = (1.05, 0.8)
"""The distance, in thresholds, that says nothing, of the same two."""
LOOK_MOST = 6.0
"""The most that a look can say."""
LOOK_MEMORY = 0.9
"""What a new crop leaves of the weight of those before."""
LEAST_QUALITY = 0.3
"""Of crops that a look is made of."""
GAIN, VELOCITY_GAIN = 0.6, 0.25
"""How much of the difference between the box and where it should be goes into position and velocity."""
FULL_CONFIDENCE = 0.5
"""From which a box usually starts a track; others only carry one on."""
CONFIRMED = 2
"""Boxes from which a track is one."""
OLD = 0.25
"""Seconds unseen after which position alone is not enough."""

FORGET_SECONDS = 60.0
"""After which a library's tracker does not come back to a track."""


@dataclass
class Track:
    """One person, followed. Its place is middle across and top, px, and log height."""

    number: int
    place: np.ndarray
    time: float
    """When it was last seen, s."""
    velocity: np.ndarray = field(default_factory=lambda: np.zeros(3))
    boxes: int = 1
    look: np.ndarray | None = None
    """The sum of the crops' embeddings, the latest weighted most, `[D]`."""

    def see(self, place: np.ndarray, time: float) -> None:
        """Take the next box."""
        seconds = time - self.time
        expected = self.expected(time)
        off = place - expected
        self.place = expected + GAIN * off
        if self.boxes == 1:
            self.velocity = (place - self.place) / max(seconds, 1e-6) * 0.5 if seconds < 0.5 else self.velocity
        self.velocity = self.velocity + VELOCITY_GAIN * off / max(seconds, 0.05)
        self.velocity[2] = 0.0
        self.time = time
        self.boxes += 1

    def expected(self, time: float) -> np.ndarray:
        """Where it should be; who is unseen for long is not taken to walk on for ever."""
        return self.place + self.velocity * min(time - self.time, 0.7)

    def remember(self, embedding: np.ndarray, quality: float) -> None:
        if quality >= LEAST_QUALITY:
            self.look = quality * embedding + (0.0 if self.look is None else LOOK_MEMORY * self.look)


class Follower:
    """Follows the people of one camera. Times are seconds on any clock that goes forward."""

    def __init__(self, threshold: float, lost_seconds: float, start_confidence: float = FULL_CONFIDENCE):
        """threshold: the model's cosine distance for crops. lost_seconds: unseen for so long, a track has ended.
        start_confidence: of a box, to begin a track."""
        self._start_confidence = start_confidence
        self._threshold = threshold
        self._lost_seconds = lost_seconds
        self._tracks: list[Track] = []
        self._count = 0
        self._time = 0.0
        self._pairs = np.zeros((0, 0))
        self._clear: list[tuple[int, int]] = []
        self._places = np.zeros((0, 3))
        self._confidence = np.zeros(0)

    def begin(self, boxes: np.ndarray, confidence: np.ndarray, time: float) -> tuple[np.ndarray, np.ndarray]:
        """Take the boxes `[N, 4]` xyxy px and confidences `[N]` of a frame.

        Returns the numbers of their tracks as far as position tells them, int `[N]`, −1 elsewhere; and which of the
        boxes need a look, bool `[N]`.
        """
        self._tracks = [track for track in self._tracks if time - track.time <= self._lost_seconds + ROUNDING]
        last_time, self._time, self._confidence = self._time, time, confidence
        height = np.maximum(boxes[:, 3] - boxes[:, 1], 1.0)
        self._places = np.stack([(boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 1], np.log(height)], axis=1)
        self._pairs = self._position_ratio()
        plausible = self._pairs > PLAUSIBLE
        old = np.array([track.time < last_time and time - track.time > OLD + ROUNDING for track in self._tracks], bool)
        clear = plausible & (self._pairs >= CLEAR) & ~old[:, None] & (self._pairs - _best_other(self._pairs) >= MARGIN)
        self._clear = list(zip(*np.nonzero(clear), strict=True))
        numbers = np.full(len(boxes), -1)
        for row, column in self._clear:
            numbers[column] = self._tracks[row].number
        return numbers, plausible.any(axis=0) & (numbers < 0)

    def end(self, embedding: np.ndarray | None, seen: np.ndarray, quality: np.ndarray) -> np.ndarray:
        """The numbers of the tracks of the boxes, int `[N]`; −1 where there is none yet.

        embedding `[N, D]`, of which the rows `seen` (bool `[N]`) are filled, and quality `[N]` in [0, 1]. A box
        that needs a look and has none is judged by position alone.
        """
        ratio = self._pairs.copy()
        for row, track in enumerate(self._tracks):
            if track.look is not None and seen.any():
                distance = 1 - embedding[seen] @ (track.look / np.linalg.norm(track.look))
                ratio[row, seen] += self._look_ratio(distance, quality[seen])
        ratio[self._pairs <= PLAUSIBLE] = FARTHEST
        for row, column in self._clear:  # decided: nobody else came into question
            ratio[row, column] = max(ratio[row, column], CLEAR)
        numbers = np.full(len(self._places), -1)
        taken = np.zeros(len(self._places), bool)
        for row, column in zip(*linear_sum_assignment(-np.maximum(ratio, 0)), strict=True):
            if ratio[row, column] > 0:
                self._see(self._tracks[row], column, embedding, seen, quality)
                taken[column] = True
                if self._tracks[row].boxes >= CONFIRMED:
                    numbers[column] = self._tracks[row].number
        self._tracks = [track for track in self._tracks if track.boxes >= CONFIRMED or track.time == self._time]
        for column in np.flatnonzero(~taken & (self._confidence >= self._start_confidence)):
            self._count += 1
            track = Track(self._count, self._places[column], self._time)
            if seen[column]:
                track.remember(embedding[column], quality[column])
            self._tracks.append(track)
        return numbers

    def renew(self, number: int) -> int:
        """The track passes to another person from here on: its new number."""
        (track,) = (track for track in self._tracks if track.number == number)
        self._count += 1
        track.number = self._count
        return track.number

    def _see(self, track: Track, column: int, embedding, seen: np.ndarray, quality: np.ndarray) -> None:
        track.see(self._places[column], self._time)
        if seen[column]:
            track.remember(embedding[column], quality[column])

    def _position_ratio(self) -> np.ndarray:
        """Log-likelihood ratio of each track and box by position, `[T, N]`."""
        if not self._tracks or not len(self._places):
            return np.zeros((len(self._tracks), len(self._places)))
        expected = np.stack([track.expected(self._time) for track in self._tracks])
        unseen = self._time - np.array([track.time for track in self._tracks])
        height = np.exp(expected[:, 2])
        across, along, tall = (least + more * unseen for least, more in (ACROSS, ALONG, TALL))
        off = self._places[None] - expected[:, None]
        off[..., :2] /= height[:, None, None]
        chi = np.square(off / np.stack([across, along, tall], axis=1)[:, None]).sum(-1)
        peak = -np.log(2 * np.pi * across * along)[:, None] - np.log(_crowd(self._places))
        return np.maximum(peak - chi / 2, FARTHEST)

    def _look_ratio(self, distance: np.ndarray, quality: np.ndarray) -> np.ndarray:
        slope = LOOK_SLOPE[0] + (LOOK_SLOPE[1] - LOOK_SLOPE[0]) * quality
        neutral = LOOK_NEUTRAL[0] + (LOOK_NEUTRAL[1] - LOOK_NEUTRAL[0]) * quality
        return np.clip(slope * (neutral - distance / self._threshold), -LOOK_MOST, LOOK_MOST)


class LibraryTracks:
    """A tracker of the library `trackers` in the place of a `Follower`; numbers its tracks from 1.

    Such a tracker counts frames and knows no time. So after a gap that ends all tracks there is a new one.
    """

    def __init__(self, make: Callable[[], object], lost_seconds: float):
        """make: the tracker. lost_seconds: without a frame for so long, all tracks have ended."""
        self._make, self._lost_seconds = make, lost_seconds
        self._tracker = make()
        self._time = float("-inf")
        self._numbers: dict[int, int] = {}
        self._used: dict[int, float] = {}
        self._count = 0
        self._found = np.zeros(0, int)

    def begin(self, boxes: np.ndarray, confidence: np.ndarray, time: float) -> tuple[np.ndarray, np.ndarray]:
        """As `Follower.begin`; no look is needed."""
        if time - self._time > self._lost_seconds + ROUNDING and self._used:
            self._tracker = self._make()
            self._numbers.clear()
            self._used.clear()
        self._time = time
        rows = np.arange(len(boxes))
        detections = sv.Detections(boxes, confidence=confidence, class_id=np.zeros(len(boxes), int), data={"row": rows})
        tracked = self._tracker.update(detections)
        self._found = np.full(len(boxes), -1)
        if len(tracked):
            self._found[tracked.data["row"]] = [self._number_of(int(i), time) for i in tracked.tracker_id]
        for track in [track for track, last in self._used.items() if last < time - FORGET_SECONDS]:
            del self._used[track], self._numbers[track]
        return self._found, np.zeros(len(boxes), bool)

    def end(self, embedding: np.ndarray | None, seen: np.ndarray, quality: np.ndarray) -> np.ndarray:
        """As `Follower.end`."""
        return self._found

    def renew(self, number: int) -> int:
        """As `Follower.renew`."""
        (track,) = (track for track, ours in self._numbers.items() if ours == number)
        self._count += 1
        self._numbers[track] = self._count
        return self._count

    def _number_of(self, track: int, time: float) -> int:
        if track < 0:
            return -1
        if track not in self._numbers:
            self._count += 1
            self._numbers[track] = self._count
        self._used[track] = time
        return self._numbers[track]


def _crowd(places: np.ndarray) -> np.ndarray:
    """Other people in an area of the height squared around each of the places `[N, 3]`, `[N]`."""
    off = np.abs(places[:, None, :2] - places[None, :, :2]) / np.exp(places[:, 2])[:, None, None]
    near = (off < BESIDE).all(-1)
    return CROWD + (near.sum(1) > 1)


def _best_other(pairs: np.ndarray) -> np.ndarray:
    """The highest of the other values in the row and the column of each, `[T, N]`; `FARTHEST` where there are none."""
    best = np.full(pairs.shape, FARTHEST)
    for table, result in ((pairs, best), (pairs.T, best.T)):
        if table.shape[1] > 1:
            second, first = np.split(np.sort(table, axis=1)[:, -2:], 2, axis=1)
            np.maximum(result, np.where(table == first, second, first), out=result)
    return best
