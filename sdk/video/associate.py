"""A run's folder, and who is who in it once more: from the features of its tracklets, after it has ended."""

from pathlib import Path

import numpy as np

from sdk.errors import DataError
from sdk.reidentifier import ReIdentifier, features_of
from sdk.tracking import MultiCameraTracker, TrackerConfig
from sdk.tracking.multi_camera import site_model
from sdk.tracking.second_pass import Kept, solve_again
from sdk.tracking.site import SiteModel
from sdk.video.feature_store import FeatureStore
from sdk.video.features import NAME, read_features
from sdk.video.final_names import Applied, apply_names, names_of
from sdk.video.run_folder import RunFolder


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

    folder, draw: as of `apply_names`. reid: with the model of the run; its calibration and prior count. site: what
    is known of the site to begin with; None: what the model tells. Raises
    `DataError` if the run kept no features, or those of another model, and as `apply_names` does.
    """
    path = folder.path if isinstance(folder, RunFolder) else Path(folder)
    if not (path / NAME).is_file():
        raise DataError(f"{path}: its run kept no features; track it again with --store-features")
    features = read_features(path)
    metadata = reid.engine.metadata
    if features.fingerprint != features_of(metadata):
        raise DataError(f"{path}: its features are of another model; name that one with --model, or track it again")
    kept = [
        Kept(str(camera), int(track), float(first), float(last), int(crops), embedding.astype(np.float32))
        for camera, track, first, last, crops, embedding in zip(
            features.camera, features.track, features.first, features.last, features.crops, features.embedding,
            strict=True,
        )
    ]  # fmt: skip
    config = config or TrackerConfig()
    names, reasons = solve_again(kept, names_of(folder), site or site_model(reid, config), config)
    return apply_names(folder, names, reasons, draw=draw)
