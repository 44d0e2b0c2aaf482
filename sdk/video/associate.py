"""A run's folder, and who is who in it once more: from the features of its tracklets, after it has ended."""

from pathlib import Path

import numpy as np

from sdk.errors import DataError
from sdk.reidentifier import ReIdentifier, features_of
from sdk.tracking import MultiCameraTracker, TrackerConfig
from sdk.tracking.multi_camera import site_model
from sdk.tracking.second_pass import Kept, solve_again
from sdk.tracking.site import SiteModel
from sdk.video.embed_again import embed_again, wrong_with_sources
from sdk.video.feature_store import FeatureStore
from sdk.video.features import NAME, Features, forgotten, read_features, write_features
from sdk.video.final_names import Applied, apply_names, names_of, opened
from sdk.video.run_folder import RunFolder, read_manifest


def store_features(folder: RunFolder, tracker: MultiCameraTracker) -> FeatureStore:
    """Have the features of a run's tracklets kept in its folder, for a second pass; close it when the run has ended.

    Raises `DataError` if they cannot be written.
    """
    return FeatureStore(folder, tracker)


def associate(
    folder: str | Path | RunFolder,
    reid: ReIdentifier,
    config: TrackerConfig | None = None,
    *,
    draw: bool = True,
    site: SiteModel | None = None,
) -> Applied:
    """Solve a run that has ended once more as a whole, and write the final names into all its files.

    folder, draw: as of `apply_names`. reid: its calibration and prior count. Where the run has kept features of another
    model, or none, they are made from the files that it read, which takes as long as decoding them, and are kept then;
    until all of that is done nothing is changed. site: what is known of the site to begin with; None: what the model
    tells. Raises `DataError` if they cannot be made, saying why, and as `apply_names` does.
    """
    config = config or TrackerConfig()
    features = _features(folder, reid, config)
    kept = [
        Kept(str(camera), int(track), float(first), float(last), int(crops), embedding.astype(np.float32))
        for camera, track, first, last, crops, embedding in zip(
            features.camera, features.track, features.first, features.last, features.crops, features.embedding,
            strict=True,
        )
    ]  # fmt: skip
    names, reasons = solve_again(kept, names_of(folder), site or site_model(reid, config), config)
    return apply_names(folder, names, reasons, draw=draw)


def _features(folder: str | Path | RunFolder, reid: ReIdentifier, config: TrackerConfig) -> Features:
    """Those that the run has kept, if they are this model's; else new ones, which it keeps from now on."""
    path = folder.path if isinstance(folder, RunFolder) else Path(folder)
    trouble = f"{path}: its run kept no features; track it again with --store-features"
    if (path / NAME).is_file():
        features = read_features(path)
        if features.fingerprint == features_of(reid.engine.metadata):
            return features
        trouble = f"{path}: its features are of another model; name that one with --model, or track it again"
    if not isinstance(folder, RunFolder) and read_manifest(path) is None:
        raise DataError(trouble)
    with opened(folder) as run:
        tracks = {track for track, name in names_of(run).items() if name is not None} - forgotten(run)
        if why := wrong_with_sources(run, {camera for camera, _ in tracks}):
            raise DataError(f"{trouble} (they cannot be made once more: {why})")
        features = embed_again(run, reid, tracks, config)
        write_features(run, features)
    return features
