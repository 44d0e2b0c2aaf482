"""The features of a run's tracklets while the run goes on: kept as they come, erased when somebody is forgotten."""

from sdk.reidentifier import features_of
from sdk.tracking import MultiCameraTracker
from sdk.tracking.tracklet import Tracklet
from sdk.video.features import FeatureWriter, drop, mark_forgotten
from sdk.video.named_tracks import NamedTracks
from sdk.video.run_folder import RunFolder


class FeatureStore:
    """Keeps what a tracker's named tracklets looked like in its run's folder. A context manager.

    It remembers whose each is, in eight bytes a track, so that `tracker.forget` erases them from the file.
    """

    def __init__(self, folder: RunFolder, tracker: MultiCameraTracker):
        """Raises `DataError` if the file cannot be written."""
        metadata = tracker.reid.engine.metadata
        self._folder = folder
        self._writer = FeatureWriter(folder, features_of(metadata), metadata.embedding_dim)
        self._open = True
        self._tracks = NamedTracks()
        tracker.add_keeper(self.keep, self.forget)
        tracker.add_listener(self._tracks.listen)

    def __enter__(self) -> "FeatureStore":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def keep(self, tracklet: Tracklet) -> None:
        """Write a tracklet. Raises `DataError` as `FeatureWriter.write`."""
        times = {"first": tracklet.first_time, "last": tracklet.last_time}
        crops, quality = tracklet.count, tracklet.quality
        self._writer.write(tracklet.camera, tracklet.track, tracklet.embedding, **times, crops=crops, quality=quality)
        self._tracks.add(tracklet.identity, (tracklet.camera, tracklet.track))

    def forget(self, identity: str) -> int:
        """Erase a person's tracklets from the file, after the run's end too; how many there were.

        Raises `DataError` if the file cannot be written anew; nothing is erased then, and it may be asked once more.
        """
        tracks = self._tracks.of(identity)
        if not tracks:
            return 0
        if self._open:
            mark_forgotten(self._folder, tracks)
        erased = self._writer.drop(tracks) if self._open else drop(self._folder.path, tracks)
        self._tracks.forget(identity)
        return erased

    def close(self) -> None:
        """Say that this was all; once."""
        self._open = False
        self._writer.close()
