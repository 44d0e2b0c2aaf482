"""`MultiCameraTracker`: frames of several cameras in, detections with global identities out."""

import time as clock
from collections.abc import Callable, Mapping

import numpy as np
import supervision as sv

from sdk.errors import DataError
from sdk.events import Listener
from sdk.preprocess import MIN_SIDE
from sdk.reidentifier import ReIdentifier
from sdk.tracking.association import Identities, Thresholds
from sdk.tracking.camera import Camera, Sight
from sdk.tracking.change import ChangeMeter
from sdk.tracking.detectors import DETECTORS, Detector
from sdk.tracking.follower import Follower, LibraryTracks
from sdk.tracking.tracklet import Tracklet

MIN_CHANGE = 0.03
"""Share of a box's pixels that must have changed for it to count as a living picture."""
CROPS_PER_SECOND = 6
"""Crops of a person in plain view that are embedded in a second; consecutive frames tell nothing new."""
LOST_SECONDS = 2.0
"""After this long unseen a track is given up, and its tracklet decided with the crops it has."""
LATE_SECONDS = 8.0
"""After this long unseen, a track of whom it is in doubt whether anybody knows them is somebody new."""
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
        on_event: Listener | None = None,
    ):
        """reid: embeds the crops; its gallery and threshold decide who is who.

        detector: "hog" (the default) or "motion", one a camera; or any `frame -> sv.Detections`; or one a camera
        by name. tracker: makes a tracker of the library `trackers` for a camera; None: a `Follower`, which goes by
        position and look. frame_rate: ticks a second, for how long a track waits for its person. on_event: is told
        who was identified, merged, split and has left (`sdk.events`), from the thread that calls `update`.
        Raises `DataError` for an unknown name.
        """
        if isinstance(detector, str) and detector not in DETECTORS:
            raise DataError(f"detector '{detector}' is unknown; choose of {', '.join(DETECTORS)}, or pass a callable")
        self.reid = reid
        self._detector = "hog" if detector is None else detector
        self._make_tracker = tracker
        self._frame_rate = frame_rate
        self._crop_interval = max(1, round(frame_rate / CROPS_PER_SECOND))
        self._patience = round(LOST_SECONDS * frame_rate)
        self._late = round(LATE_SECONDS * frame_rate)
        self._memory = round(MEMORY_SECONDS * frame_rate)
        self._cameras: dict[str, Camera] = {}
        self._identities = Identities(reid.gallery, on_event, tolerance=self._patience)
        self._tick = 0
        self._time = 0.0

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
        sights = {name: self._camera(name).look(frame, self._tick) for name, frame in frames.items()}
        self._embed(frames, sights)
        tracks = {name: self._follow(name, sight) for name, sight in sights.items()}
        self._decide()
        tracklets = self._identities.tracklets
        for camera, detections in tracks.items():
            names = [tracklets[camera, int(track)].identity for track in detections.tracker_id]
            detections.data["identity"] = np.array(names, dtype=object)
        return tracks

    def finish(self) -> None:
        """Decide the tracklets that still wait for more crops: to be called when the videos have ended."""
        self._decide(ended=True)

    def identity_of(self, camera: str, track: int) -> str | None:
        """The identity of a track that was seen lately; None if it has none yet, or is forgotten."""
        tracklet = self._identities.tracklets.get((camera, track))
        return tracklet.identity if tracklet else None

    def _camera(self, name: str) -> Camera:
        if name not in self._cameras:
            detector = self._detector_of(name)
            if self._make_tracker is None:
                tracks = Follower(self.reid.threshold, LOST_SECONDS)
            else:
                tracks = LibraryTracks(self._make_tracker())
            self._cameras[name] = Camera(detector, tracks, ChangeMeter(), self._frame_rate)
        return self._cameras[name]

    def _detector_of(self, camera: str) -> Detector:
        if isinstance(self._detector, str):
            return DETECTORS[self._detector]()
        if isinstance(self._detector, Mapping):
            if camera not in self._detector:
                raise DataError(f"no detector for camera '{camera}'; there are: {', '.join(self._detector)}")
            return self._detector[camera]
        return self._detector

    def _embed(self, frames: Mapping[str, np.ndarray], sights: dict[str, Sight]) -> None:
        """Embed the crops of all cameras that are worth it, in one call."""
        wanted = []
        for name, sight in sights.items():
            for row in np.flatnonzero(sight.large):
                tracklet = self._identities.tracklets.get((name, int(sight.numbers[row])))
                due = sight.numbers[row] >= 0 and (
                    tracklet is None or tracklet.wants(sight.quality[row], self._tick, self._crop_interval)
                )
                if sight.doubtful[row] or due:
                    wanted.append((name, row))
        if not wanted:
            return
        crops = []
        for name, row in wanted:
            x0, y0, x1, y1 = sights[name].corners[row]
            crops.append(frames[name][y0:y1, x0:x1])
        embedding = self.reid.embed(crops).embedding
        for (name, row), features in zip(wanted, embedding, strict=True):
            sights[name].embedding[int(row)] = features

    @property
    def _thresholds(self) -> Thresholds:
        return Thresholds(self.reid.threshold, self.reid.tracklet_threshold)

    def _follow(self, name: str, sight: Sight) -> sv.Detections:
        """The confirmed tracks of one camera in this tick; keeps their tracklets' books."""
        camera, tracklets = self._cameras[name], self._identities.tracklets
        detections = camera.follow(sight)
        last_frame, camera.last_frame = camera.last_frame, self._tick
        for place, row in enumerate(detections.data["row"]):
            key = (name, int(detections.tracker_id[place]))
            tracklet = tracklets.setdefault(key, Tracklet(*key, self._tick, self._tick))
            if sight.beside[row] or tracklet.last_tick < last_frame:
                tracklet.last_doubt = self._tick
            tracklet.last_tick = self._tick
            tracklet.seen += 1
            tracklet.changed += camera.change.share(sight.detections.xyxy[row]) >= MIN_CHANGE
            features, quality = sight.embedding.get(int(row)), float(sight.quality[row])
            if features is not None and tracklet.wants(quality, self._tick, self._crop_interval):
                tracklet.add(quality, features, self._tick)
                if self._identities.shows_another(tracklet, self._thresholds, self._patience):
                    self._split(tracklet, detections)
        del detections.data["row"]
        return detections

    def _split(self, tracklet: Tracklet, detections: sv.Detections) -> None:
        """The track has passed to another person: from here on it is another track, of which no identity is known."""
        number = self._cameras[tracklet.camera].tracks.renew(tracklet.track)
        detections.tracker_id[detections.tracker_id == tracklet.track] = number
        self._identities.tracklets[tracklet.camera, number] = tracklet.split(number)
        self._identities.emit(
            "split", camera=tracklet.camera, track=tracklet.track, identity=tracklet.identity,
            detail={"new_track": number},
        )  # fmt: skip

    def _decide(self, ended: bool = False) -> None:
        """Ask for identities; those of lost tracks, and of all in an ended run, are decided for good."""
        lost, last_chance = self._tick - self._patience, self._tick - self._late
        if ended:
            lost = last_chance = self._tick + 1
        self._identities.decide(self._tick, self._time, self._thresholds, lost, last_chance)
        self._identities.forget_before(self._tick - self._memory)


def _check_frame(camera: str, frame) -> None:
    if not isinstance(frame, np.ndarray):
        raise DataError(f"camera '{camera}': the frame is {type(frame).__name__}; leave the camera out of this tick")
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8 or min(frame.shape[:2]) < 2 * MIN_SIDE:
        raise DataError(
            f"camera '{camera}': the frame is {frame.dtype} of shape {frame.shape}; expected uint8 BGR [H, W, 3]"
        )
