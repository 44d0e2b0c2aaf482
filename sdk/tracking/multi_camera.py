"""`MultiCameraTracker`: frames of several cameras in, detections with global identities out."""

import contextlib
import functools
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Concatenate, ParamSpec, TypeVar, cast

import numpy as np
import supervision as sv

from sdk.cutting import Cuts
from sdk.errors import DataError
from sdk.events import Listener, Listeners
from sdk.names import checked_name
from sdk.preprocess import MIN_SIDE
from sdk.reidentifier import ReIdentifier, features_of
from sdk.tracking.association import Identities
from sdk.tracking.camera import Camera, Sight
from sdk.tracking.change import ChangeMeter
from sdk.tracking.clock import ROUNDING, Clock
from sdk.tracking.config import TrackerConfig
from sdk.tracking.detectors import Detector, default_detector, detector_maker
from sdk.tracking.detectors.boxes import checked, checked_boxes
from sdk.tracking.follower import Follower, LibraryTracks
from sdk.tracking.reason import Reason, Thresholds
from sdk.tracking.rescoring import keep_best
from sdk.tracking.site import SiteModel, SitePrior
from sdk.tracking.site.memory import SiteMemory, restore
from sdk.tracking.tracklet import Tracklet
from sdk.tracking.travel import TravelTimes

CROPS_PER_SECOND = TrackerConfig.crops_per_second
LOST_SECONDS = TrackerConfig.lost_seconds
SAVED_SECONDS = 0.5
"""For how long crops are saved up within a budget."""


P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound="MultiCameraTracker")

CropKeeper = Callable[[Tracklet, float, np.ndarray], None]


def _in_turn(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """The method, run while no other thread runs one of those marked so."""

    @functools.wraps(method)
    def run(self: S, /, *arguments: P.args, **named: P.kwargs) -> R:
        with self.turn():
            return method(self, *arguments, **named)

    return run


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
        frame_rate: float | None = None,
        on_event: Listener | None = None,
        rescore: bool | None = None,
        crop_budget: float | None = None,
        travel: TravelTimes | None = None,
        config: TrackerConfig | None = None,
    ):
        """reid: embeds the crops; whom its gallery knows is recognised. A threshold that was given to it decides alone
        who is who, as `config.distance` does; the model's own is where the site's own statistics begin.

        detector: "yolox-nano", "motion", "hog", or the file of a model (`detector_maker`); None: yolox-nano where it is
        here, else hog, with a note; any `frame -> sv.Detections`; or one of these callables a camera, by name:
        `{}` where every `update` brings its boxes.
        tracker: makes a tracker of the library `trackers` for a camera; None: a `Follower`, which goes by position and
        look. frame_rate: of frames that come without a time: they are so many a second, as in a recording; None: they
        are live, and the system's clock says when they came. Frames with a time need no rate. on_event: the first
        listener; see `add_listener`.
        rescore: decide close calls by the aligned local distance, with a model that gives stripes; None: as `reid`
        does. crop_budget: the most crops to embed in a second, of all cameras together; None: as many as are worth
        it (docs/tracking.md says what it saves and costs). travel: the least times between cameras, given or learned.
        config: what else may be set; None: the defaults.
        Raises `DataError` for a name that is unknown or whose file is not here, a budget or a rate that is not
        positive, or a model without stripes to re-score.
        """
        if frame_rate is not None and not 0 < frame_rate < float("inf"):
            raise DataError(f"the frame rate is {frame_rate}; give frames a second, or None for live ones")
        if crop_budget is not None and not crop_budget > 0:
            raise DataError(f"the budget is {crop_budget} crops a second; give a positive number, or None for no limit")
        self.reid = reid
        rescore = reid.rescore if rescore is None else rescore
        if rescore and not reid.engine.metadata.stripes:
            raise DataError("the model gives no stripes, so nothing can be re-scored; convert it with --rescore")
        self._budget = None if crop_budget is None else CropBudget(crop_budget)
        self._detector = default_detector() if detector is None else detector
        self._make_detector = detector_maker(self._detector) if isinstance(self._detector, str) else None
        self._make_tracker = tracker
        self._frame_rate = frame_rate
        self._rescore = rescore
        self.config = config or TrackerConfig()
        self._crop_interval = 1 / self.config.crops_per_second
        self._cameras: dict[str, Camera] = {}
        self._listeners = Listeners([] if on_event is None else [on_event])
        self._keepers: list[Callable[[Tracklet], None]] = []
        self._forgetters: list[Callable[[str], object]] = []
        self._crop_keepers: list[CropKeeper] = []
        self._turn = threading.RLock()
        site = site_model(reid, self.config)
        self._identities = Identities(
            reid.gallery, self._listeners, self.config.lost_seconds, reid.align if rescore else None, travel,
            site, self.config,
        )  # fmt: skip
        metadata = reid.engine.metadata
        self._memory = SiteMemory(site, reid.gallery, features_of(metadata), metadata.embedding_dim)
        self._clock = Clock(frame_rate)
        self._set_back = False
        """Whether it was told that times went back."""

    def add_listener(self, listener: Listener) -> None:
        """Tell `listener` who is identified, merged, split and has left (`sdk.events`), from now on.

        It is called from the thread that calls `update`; see `sdk.events.Listeners` for one that fails.
        """
        self._listeners.add(listener)

    def remove_listener(self, listener: Listener) -> None:
        """Tell `listener` no more, if it is still told."""
        self._listeners.remove(listener)

    def add_keeper(self, keeper: Callable[[Tracklet], None], forget: Callable[[str], object] | None = None) -> None:
        """Give `keeper` every named tracklet when nothing more is learned of it: when it leaves the memory, and at the
        end. It has `camera`, `track`, `first_time`, `last_time`, `count`, `quality` and `embedding`, which is what a
        second pass needs (`sdk.tracking.second_pass`). forget: is called with the name of who is forgotten."""
        self._keepers.append(keeper)
        if forget is not None:
            self._forgetters.append(forget)

    def add_crop_keeper(self, keeper: CropKeeper) -> None:
        """Give `keeper` every crop that counts for a tracklet, as it comes: the tracklet, the crop's quality in [0, 1],
        and the crop, uint8 BGR `[H, W, 3]`, a view of the frame."""
        self._crop_keepers.append(keeper)

    def _keep(self, tracklets: Iterable[Tracklet]) -> None:
        for tracklet in tracklets if self._keepers else ():
            if tracklet.identity and tracklet.count:
                for keeper in self._keepers:
                    keeper(tracklet)

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Held by `update`, `forget`, `rename` and `merge`, so that a name changes between two ticks, never within one.

        Who shows what `update` returned holds it from before the call until it is shown: then nobody who was
        forgotten in between comes back. One thread may hold it several times over.
        """
        with self._turn:
            yield

    @_in_turn
    def update(
        self,
        frames: Mapping[str, np.ndarray],
        time: float | None = None,
        detections: Mapping[str, sv.Detections] | None = None,
    ) -> dict[str, sv.Detections]:
        """Take one frame of each camera, uint8 BGR `[H, W, 3]`; a camera without a new frame is left out.

        time: when the frames were taken, s on any clock, which is written down with exemplars and events. Tracks,
        patience and memory go by it: after 2 s without frames all tracks have ended. None: as `frame_rate` says.
        Times that go back are survived, and told once (`camera_clock`).
        detections: the people in these frames, `xyxy` in px and `confidence`, by camera: then no detector looks, and a
        camera that is not in it has nobody in its frame. None: the detectors look.

        Returns for each camera the tracked detections, with `tracker_id` int and `data["identity"]`, an object
        array: a name, or None while the tracklet is not known well enough. Raises `DataError` naming the camera of a
        bad frame or bad detections, or a time that is none, and changes nothing then.
        """
        if not isinstance(frames, Mapping):
            raise DataError(f"frames is a {type(frames).__name__}; pass one frame of each camera: {{name: frame}}")
        for camera, frame in frames.items():
            _check_frame(camera, frame)
        given = None if detections is None else _given(frames, detections)
        before = self._clock.now
        self._go_on(time, frames)
        now = self._clock.now
        if given is None:
            sights = {name: self._seeing(name).look(frame, now) for name, frame in frames.items()}
        else:
            sights = {name: self._camera(name).look(frame, now, given[name]) for name, frame in frames.items()}
        self._embed(frames, sights)
        tracks = {name: self._follow(name, sight, frames[name]) for name, sight in sights.items()}
        config = self.config
        lost, last_chance = (now - seconds - ROUNDING for seconds in (config.lost_seconds, config.late_seconds))
        self._identities.decide(now, self._clock.time, self._thresholds, lost, last_chance)
        # After a long gap, who is decided now is remembered until the next call, for records that wait for it.
        gone = self._identities.forget_before(min(now - config.memory_seconds, before - config.lost_seconds) - ROUNDING)
        self._keep(gone)
        self._memory.save_now_and_then()
        tracklets = self._identities.tracklets
        for camera, tracked in tracks.items():
            names = [tracklets[camera, int(track)].identity for track in _numbers(tracked)]
            tracked.data["identity"] = np.array(names, dtype=object)
        return tracks

    @_in_turn
    def finish(self) -> None:
        """Decide the tracklets that still wait for more crops: to be called when the videos have ended."""
        self._identities.finish(self._clock.now, self._clock.time, self._thresholds)
        self._keep(self._identities.tracklets.values())
        self._memory.save()

    def identity_of(self, camera: str, track: int) -> str | None:
        """The identity of a track that was seen lately; None if it has none yet, or is forgotten."""
        tracklet = self._identities.tracklets.get((camera, track))
        return tracklet.identity if tracklet else None

    def explain(self, camera: str, track: int) -> Reason:
        """Why a track has its identity, or none yet: the nearest person, the runner-up, the margin, and, with stripes,
        how they were aligned. Raises `DataError` for a track that was not seen lately."""
        return self._identities.explain(camera, track)

    @_in_turn
    def forget(self, identity: str) -> int:
        """Delete a person here, in the gallery and in what keepers have kept; how many exemplars there were.

        Who is in view at the time is somebody nobody knows from then on. Raises `UnknownIdentityError` if nobody knows
        them, `GalleryError` or `DataError` if it cannot be done: they stay then, here and in the gallery, but keepers
        may have erased theirs. Where bytes of them are still in a file, `reid.gallery.traces` says so.
        """
        for forget in self._forgetters:
            forget(identity)
        count = self._identities.forget(identity)
        self._memory.forget()
        return count

    @_in_turn
    def rename(self, identity: str, to: str) -> None:
        """Give a person another name. Raises `GalleryError` if they are unknown, the name is taken, or it cannot be
        stored; nothing is changed then."""
        self._identities.rename(identity, to)

    @_in_turn
    def merge(self, identity: str, into: str) -> None:
        """Two names, one person: `into` stays. Raises `GalleryError` if either is unknown, both are the same, or it
        cannot be stored; nothing is changed then."""
        self._identities.merge(identity, into)

    def _go_on(self, time: float | None, cameras: Iterable[str]) -> None:
        """Set the clock to the next frames' time."""
        again = any(name in self._cameras and self._cameras[name].last_frame == self._clock.now for name in cameras)
        behind = self._clock.advance(time, again)
        if behind is not None and not self._set_back:
            self._set_back = True
            what = f"the time of the frames is set back by {behind:.1f} s; tracking goes on"
            self._identities.emit("camera_clock", detail={"what": what})

    def _camera(self, name: str) -> Camera:
        if name not in self._cameras:
            checked_name(name, "a camera's name")
            tracks: Follower | LibraryTracks
            if self._make_tracker is None:
                tracks = Follower(self.reid.threshold, self.config.lost_seconds, self.config.start_confidence)
            else:
                tracks = LibraryTracks(self._make_tracker, self.config.lost_seconds)
            self._cameras[name] = Camera(None, tracks, ChangeMeter, self.config.lost_seconds, self._frame_rate)
        return self._cameras[name]

    def _seeing(self, name: str) -> Camera:
        """The camera with a detector of its own."""
        known = self._cameras.get(name)
        if known is None or known.detector is None:
            checked_name(name, "a camera's name")
            detector = checked(self._detector_of(name), name)
            known = self._camera(name)
            known.detector = detector
        return known

    def _detector_of(self, camera: str) -> Detector:
        if self._make_detector is not None:
            return self._make_detector()
        if isinstance(self._detector, Mapping):
            if camera not in self._detector:
                there = ", ".join(self._detector) or "none, so bring boxes: update(frames, detections=…)"
                raise DataError(f"no detector for camera '{camera}'; there are: {there}")
            return self._detector[camera]
        return cast(Detector, self._detector)

    def _embed(self, frames: Mapping[str, np.ndarray], sights: dict[str, Sight]) -> None:
        """Embed the crops of all cameras that are worth it, in one call."""
        wanted = []
        for name, sight in sights.items():
            for row in map(int, np.flatnonzero(sight.large)):
                tracklet = self._identities.tracklets.get((name, int(sight.numbers[row])))
                due = sight.numbers[row] >= 0 and (tracklet is None or self._wants(tracklet, sight.quality[row]))
                if sight.doubtful[row] or due:
                    # In doubt about the track first; then those of whom least is known; then the best crops.
                    need = (not sight.doubtful[row], tracklet.count if tracklet else 0, -sight.quality[row])
                    wanted.append((need, name, row))
        if self._budget is not None:
            wanted = sorted(wanted)[: self._budget.take(len(wanted), self._clock.now)]
        if not wanted:
            return
        rows: dict[str, list[int]] = {}
        for _, name, row in wanted:
            rows.setdefault(name, []).append(row)
        crops = Cuts([frames[name] for name in rows], [sights[name].corners[rows[name]] for name in rows], list(rows))
        features = self.reid.embed(crops, crops.cameras)
        places = [(name, row) for name, of_camera in rows.items() for row in of_camera]
        for place, (name, row) in enumerate(places):
            sights[name].embedding[row] = features.embedding[place]
            if self._rescore and features.stripes is not None:
                sights[name].stripes[row] = features.stripes[place]

    def _wants(self, tracklet: Tracklet, quality: float) -> bool:
        return tracklet.wants(float(quality), self._clock.now, self._crop_interval, self.config.min_quality)

    @property
    def _thresholds(self) -> Thresholds:
        return Thresholds(self.reid.threshold, self.reid.tracklet_threshold)

    def _follow(self, name: str, sight: Sight, frame: np.ndarray) -> sv.Detections:
        """The confirmed tracks of one camera in this frame; keeps their tracklets' books."""
        camera, tracklets, now = self._cameras[name], self._identities.tracklets, self._clock.now
        detections = camera.follow(sight)
        last_frame, camera.last_frame = camera.last_frame, now
        for place, row in enumerate(detections.data["row"]):
            key = (name, int(_numbers(detections)[place]))
            if key not in tracklets:
                tracklets[key] = Tracklet(*key, now, now, first_time=self._clock.time)
            tracklet = tracklets[key]
            if sight.beside[row] or tracklet.last < last_frame:
                tracklet.last_doubt = now
            tracklet.last, tracklet.last_time, tracklet.frame = now, self._clock.time, camera.frame
            tracklet.seen += 1
            tracklet.changed += camera.change.share(sight.detections.xyxy[row]) >= self.config.min_movement
            features, quality = sight.embedding.get(int(row)), float(sight.quality[row])
            if features is not None and self._wants(tracklet, quality):
                tracklet.add(quality, features, now)
                for keeper in self._crop_keepers:
                    x0, y0, x1, y1 = sight.corners[row]
                    keeper(tracklet, quality, frame[y0:y1, x0:x1])
                if int(row) in sight.stripes:
                    tracklet.stripes = keep_best([*tracklet.stripes, (quality, sight.stripes[int(row)])])
                if self._identities.shows_another(tracklet, self._thresholds, self.config.lost_seconds):
                    self._split(tracklet, detections)
        del detections.data["row"]
        return detections

    def _split(self, tracklet: Tracklet, detections: sv.Detections) -> None:
        """The track has passed to another person: from here on it is another track, of which no identity is known."""
        number = self._cameras[tracklet.camera].tracks.renew(tracklet.track)
        numbers = _numbers(detections)
        numbers[numbers == tracklet.track] = number
        self._identities.tracklets[tracklet.camera, number] = tracklet.split(number)
        self._identities.emit(
            "split", camera=tracklet.camera, track=tracklet.track, identity=tracklet.identity,
            detail={"new_track": number},
        )  # fmt: skip


def known_site(reid: ReIdentifier, config: TrackerConfig) -> SiteModel:
    """As `site_model`, and with what the gallery has kept of earlier runs; nothing more is kept of what it learns."""
    site, metadata = site_model(reid, config), reid.engine.metadata
    if site.learns:
        restore(site, reid.gallery.statistics(), features_of(metadata), metadata.embedding_dim)
    return site


def site_model(reid: ReIdentifier, config: TrackerConfig) -> SiteModel:
    """What is known of a site to begin with: what the model tells of people, or the distance that was given."""
    fixed = config.distance
    if fixed is None and reid.threshold_given:  # whoever gives one wants to decide by it
        fixed = reid.tracklet_threshold
    if fixed is not None:
        return SiteModel(SitePrior.at(fixed, fixed), learns=False)
    return SiteModel(SitePrior.of(reid.engine.metadata, reid.tracklet_threshold))


class CropBudget:
    """Crops that may be embedded: so many a second on average, and what is saved in up to `SAVED_SECONDS`."""

    def __init__(self, per_second: float):
        self._per_second = per_second
        self._most = max(1.0, SAVED_SECONDS * per_second)
        self._saved = self._most
        self._then = 0.0

    def take(self, wanted: int, now: float) -> int:
        """How many of `wanted` crops there may be now, s on a clock that goes forward."""
        self._saved = min(self._saved + (now - self._then) * self._per_second, self._most)
        self._then = now
        taken = min(wanted, int(self._saved + ROUNDING))
        self._saved = max(0.0, self._saved - taken)
        return taken


def _numbers(tracked: sv.Detections) -> np.ndarray:
    """The numbers of detections that are tracks, int `[N]`."""
    if tracked.tracker_id is None:
        raise ValueError("the detections are no tracks")
    return tracked.tracker_id


def _given(frames: Mapping[str, np.ndarray], detections: Mapping[str, sv.Detections]) -> dict[str, sv.Detections]:
    """The detections of each frame. Raises `DataError` naming the camera of bad ones."""
    if not isinstance(detections, Mapping):
        raise DataError(f"detections is a {type(detections).__name__}; pass those of each camera: {{name: detections}}")
    for camera in detections:
        if camera not in frames:
            raise DataError(f"camera '{camera}': there are detections and no frame; pass its frame, or leave both out")
    empty = sv.Detections.empty()
    return {
        camera: checked_boxes(detections.get(camera, empty), camera, frame, "its detections are a")
        for camera, frame in frames.items()
    }


def _check_frame(camera: str, frame: object) -> None:
    if not isinstance(frame, np.ndarray):
        raise DataError(f"camera '{camera}': the frame is {type(frame).__name__}; leave the camera out of this tick")
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8 or min(frame.shape[:2]) < 2 * MIN_SIDE:
        raise DataError(
            f"camera '{camera}': the frame is {frame.dtype} of shape {frame.shape}; expected uint8 BGR [H, W, 3] "
            f"of {2 * MIN_SIDE} px a side or more"
        )
