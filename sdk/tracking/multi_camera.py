"""`MultiCameraTracker`: frames of several cameras in, detections with global identities out."""

import time as clock
from collections.abc import Callable, Mapping

import numpy as np
import supervision as sv
from trackers import ByteTrackTracker

from sdk.errors import DataError
from sdk.preprocess import MIN_SIDE
from sdk.reidentifier import ReIdentifier
from sdk.tracking.association import Thresholds, assign_identities, enroll, is_ready
from sdk.tracking.change import ChangeMeter
from sdk.tracking.detectors import Detector, detector_maker
from sdk.tracking.tracklet import Tracklet, at_side, beside_another, crop_quality

MIN_CHANGE = 0.03
"""Share of a box's pixels that must have changed for it to count as a living picture."""
CROPS_PER_SECOND = 6
"""Crops of a person that are embedded in a second; consecutive frames tell nothing new."""
LOST_SECONDS = 2.0
"""After this long unseen a track is given up, and its tracklet decided with the crops it has."""
MEMORY_SECONDS = 30.0
"""For how long an ended tracklet is remembered; after that nobody undecided can have been seen with it."""


class MultiCameraTracker:
    """Tracks people in each camera and gives them identities that hold across the cameras.

    ```python
    tracker = MultiCameraTracker(ReIdentifier())
    tracks = tracker.update({"dock": frame, "lobby": other_frame})
    tracks["dock"].data["identity"]     # "person-1", or the name under which somebody was enrolled
    ```
    """

    def __init__(
        self,
        reid: ReIdentifier,
        detector: str | Detector | Mapping[str, Detector] | None = None,
        tracker: Callable[[], object] | None = None,
        frame_rate: float = 30.0,
    ):
        """reid: embeds the crops; its gallery and threshold decide who is who.

        detector: "hog" (the default) or "motion", one a camera; the file of a model (`detector_maker`); any
        `frame -> sv.Detections`; or one of these callables a camera, by name. tracker: makes a tracker of the library
        `trackers` for a camera; None: ByteTrack.
        frame_rate: ticks a second, for how long a track waits for its person.
        Raises `DataError` for an unknown name.
        """
        self.reid = reid
        self._detector = "hog" if detector is None else detector
        self._make_detector = detector_maker(self._detector) if isinstance(self._detector, str) else None
        self._make_tracker = tracker or (lambda: _byte_track(frame_rate))
        self._crop_interval = max(1, round(frame_rate / CROPS_PER_SECOND))
        self._patience = round(LOST_SECONDS * frame_rate)
        self._memory = round(MEMORY_SECONDS * frame_rate)
        self._time: float | None = None
        self._cameras: dict[str, _Camera] = {}
        self._tracklets: dict[tuple[str, int], Tracklet] = {}
        self._tick = 0

    def update(self, frames: Mapping[str, np.ndarray], time: float | None = None) -> dict[str, sv.Detections]:
        """Take one frame of each camera, uint8 BGR `[H, W, 3]`; a camera without a new frame is left out.

        time: seconds, stored with exemplars; None: the system's clock. Returns for each camera the tracked
        detections, with `tracker_id` int and `data["identity"]`, an object array: a name, or None while
        the tracklet is not known well enough. Raises `DataError` naming the camera of a bad frame, and
        changes nothing then.
        """
        for camera, frame in frames.items():
            _check_frame(camera, frame)
        self._time = clock.time() if time is None else time
        self._tick += 1
        tracks = {camera: self._track(camera, frame) for camera, frame in frames.items()}
        self._embed(frames, tracks)
        self._identify()
        for camera, detections in tracks.items():
            names = [self._tracklets[camera, int(track)].identity for track in detections.tracker_id]
            detections.data["identity"] = np.array(names, dtype=object)
        return tracks

    def finish(self) -> None:
        """Decide the tracklets that still wait for more crops: to be called when the videos have ended."""
        self._identify(ended=True)

    def identity_of(self, camera: str, track: int) -> str | None:
        """The identity of a track that was seen lately; None if it has none yet, or is forgotten."""
        tracklet = self._tracklets.get((camera, track))
        return tracklet.identity if tracklet else None

    def _track(self, name: str, frame: np.ndarray) -> sv.Detections:
        """The confirmed tracks of one camera in this tick; keeps their tracklets' books."""
        if name not in self._cameras:
            self._cameras[name] = _Camera(self._detector_of(name), self._make_tracker())
        camera = self._cameras[name]
        camera.change.update(frame)
        detections = camera.tracker.update(camera.detector(frame))
        detections = detections[detections.tracker_id >= 0]
        detections.tracker_id = np.array([camera.number_of(int(i)) for i in detections.tracker_id], int)
        last_frame, camera.last_frame = camera.last_frame, self._tick
        doubtful = beside_another(detections.xyxy) | at_side(detections.xyxy, frame.shape[1])
        for box, track, doubt in zip(detections.xyxy, detections.tracker_id, doubtful, strict=True):
            key = (name, int(track))
            tracklet = self._tracklets.setdefault(key, Tracklet(*key, self._tick, self._tick))
            if doubt or tracklet.last_tick < last_frame:
                tracklet.last_doubt = self._tick
            tracklet.last_tick = self._tick
            tracklet.seen += 1
            tracklet.changed += camera.change.share(box) >= MIN_CHANGE
        return detections

    def _detector_of(self, camera: str) -> Detector:
        if self._make_detector is not None:
            return self._make_detector()
        if isinstance(self._detector, Mapping):
            if camera not in self._detector:
                raise DataError(f"no detector for camera '{camera}'; there are: {', '.join(self._detector)}")
            return self._detector[camera]
        return self._detector

    def _embed(self, frames: Mapping[str, np.ndarray], tracks: dict[str, sv.Detections]) -> None:
        """Embed the crops of all cameras that are worth it, in one call."""
        wanted = []
        for camera, detections in tracks.items():
            height, width = frames[camera].shape[:2]
            confidence = np.ones(len(detections)) if detections.confidence is None else detections.confidence
            quality = crop_quality(detections.xyxy, confidence, (height, width))
            for box, track, q in zip(detections.xyxy, detections.tracker_id, quality, strict=True):
                tracklet = self._tracklets[camera, int(track)]
                x0, y0, x1, y1 = np.round(np.clip(box, 0, [width, height, width, height])).astype(int)
                if tracklet.wants(q, self._tick, self._crop_interval) and min(x1 - x0, y1 - y0) >= MIN_SIDE:
                    wanted.append((tracklet, float(q), frames[camera][y0:y1, x0:x1]))
        if wanted:
            embedding = self.reid.embed([crop for _, _, crop in wanted]).embedding
            for (tracklet, quality, _), row in zip(wanted, embedding, strict=True):
                tracklet.add(quality, row, self._tick)
                if tracklet.shows_another(self._thresholds.surely_new, self._patience):
                    self._split(tracklet, tracks[tracklet.camera])

    @property
    def _thresholds(self) -> Thresholds:
        return Thresholds(self.reid.threshold, self.reid.tracklet_threshold)

    def _split(self, tracklet: Tracklet, detections: sv.Detections) -> None:
        """The track has passed to another person: from here on it is another track, of which no identity is known."""
        number = self._cameras[tracklet.camera].renumber(tracklet.track)
        detections.tracker_id[detections.tracker_id == tracklet.track] = number
        self._tracklets[tracklet.camera, number] = tracklet.split(number)

    def _identify(self, ended: bool = False) -> None:
        """Ask for identities; those of lost tracks, and of all in an ended run, are decided for good."""
        gallery, tracklets = self.reid.gallery, list(self._tracklets.values())
        thresholds = self._thresholds
        for tracklet in tracklets:
            if tracklet.identity is not None and tracklet.complete:
                enroll(tracklet, gallery, self._time)
        waiting = [t for t in tracklets if is_ready(t)]
        if any(len(t.crops) > t.asked for t in waiting):  # without a new crop the answer would be the same
            # All that wait, so that a doubtful one takes nobody's identity who is there too, and nearer.
            assign_identities(waiting, tracklets, gallery, thresholds, self._time)
            for tracklet in waiting:
                tracklet.asked = len(tracklet.crops)
        last_chance = self._tick - self._patience
        lost = [t for t in waiting if t.identity is None and (ended or t.last_tick < last_chance)]
        assign_identities(lost, tracklets, gallery, thresholds, self._time, ended=True)
        for key, tracklet in list(self._tracklets.items()):
            if tracklet.last_tick < self._tick - self._memory:
                del self._tracklets[key]
                self._cameras[tracklet.camera].forget(tracklet.track)


class _Camera:
    """What is kept for one camera."""

    def __init__(self, detector: Detector, tracker):
        self.detector = detector
        self.tracker = tracker
        self.change = ChangeMeter()
        self.last_frame = 0
        """The tick of the last frame."""
        self._numbers: dict[int, int] = {}
        self._count = 0

    def number_of(self, track: int) -> int:
        """Our number of a track of the tracker's."""
        if track not in self._numbers:
            self._count += 1
            self._numbers[track] = self._count
        return self._numbers[track]

    def renumber(self, number: int) -> int:
        """Go on with the track that we call `number` under a new number, which is returned."""
        (track,) = (t for t, n in self._numbers.items() if n == number)
        self.forget(number)
        return self.number_of(track)

    def forget(self, number: int) -> None:
        """Drop a number that is not used any more."""
        self._numbers = {track: n for track, n in self._numbers.items() if n != number}


def _byte_track(frame_rate: float) -> ByteTrackTracker:
    """Settings for detectors that miss people now and then; any confident box starts a track."""
    return ByteTrackTracker(
        lost_track_buffer=round(30 * LOST_SECONDS),  # in thirtieths of a second
        frame_rate=frame_rate,
        track_activation_threshold=0.5,
        high_conf_det_threshold=0.4,
        minimum_consecutive_frames=2,
    )


def _check_frame(camera: str, frame) -> None:
    if not isinstance(frame, np.ndarray):
        raise DataError(f"camera '{camera}': the frame is {type(frame).__name__}; leave the camera out of this tick")
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8 or min(frame.shape[:2]) < 2 * MIN_SIDE:
        raise DataError(
            f"camera '{camera}': the frame is {frame.dtype} of shape {frame.shape}; expected uint8 BGR [H, W, 3]"
        )
