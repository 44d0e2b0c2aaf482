"""An adapted network as a model file, with what its own site says of its distances."""

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from converters.calibrated import write_calibrated
from converters.convert import convert
from converters.verify import Crops as Compared
from sdk.calibration import CameraStatistics, Threshold, calibrate_threshold
from sdk.calibration.cameras import LEAST_CROPS
from sdk.calibration.site import measure_site_prior
from sdk.errors import DataError, MissingPackageError
from sdk.tracking.site import SitePrior
from training.adaptation.crops import Crops
from training.adaptation.loop import Adapted
from training.checkpoint import save_checkpoint

COMPARED = 64
"""Crops that the file is compared with the network on before it is written."""


@dataclass(frozen=True)
class SiteCalibration:
    """What the site says of the adapted model's distances."""

    threshold: Threshold
    cameras: CameraStatistics | None
    """None where a camera has too few crops."""
    prior: dict | None
    """Of `sdk.tracking.site.SitePrior`; None where the tracks are too few."""


def calibrate_site(adapted: Adapted, crops: Crops) -> SiteCalibration:
    """Thresholds, cameras and a tracker's prior from clusters across cameras, of which nobody is named.

    Raises `DataError` where no cluster was seen by two cameras.
    """
    look, cameras = adapted.after, crops.cameras
    counts = {camera: int((cameras == camera).sum()) for camera in np.unique(cameras)}
    statistics = None
    embedding = look.embedding
    if min(counts.values()) >= LEAST_CROPS:
        # As the clusters were found. With deviations too, mAP across Market-1501's cameras is lower, not higher.
        statistics = CameraStatistics.fit(embedding, cameras, deviations=False)
        embedding = statistics.normalise(embedding, cameras.tolist())
    rows = np.flatnonzero(look.usable >= 0)
    rows = rows[np.lexsort((adapted.tracklets.place[rows], adapted.tracklets.of_crop[rows]))]
    threshold = calibrate_threshold(embedding[rows], look.usable[rows], cameras[rows])
    return SiteCalibration(threshold, statistics, _prior(adapted, embedding))


def write_adapted(adapted: Adapted, crops: Crops, folder: Path, output: Path, provenance: str) -> SiteCalibration:
    """Write `folder/model.pt`, and the model file `output`, whole or not at all.

    provenance: what it was made of, in words. Raises `DataError` and `EngineError` as `convert` does.
    """
    site = calibrate_site(adapted, crops)
    evaluation = {
        "protocol": f"{provenance}; measured without labels, before and after",
        "before": adapted.before.measures.to_dict(),
        "after": adapted.after.measures.to_dict(),
        "threshold": site.threshold.to_dict() | {"data": provenance},
    }
    path = folder / "model.pt"
    save_checkpoint(replace(adapted.checkpoint, evaluation=evaluation, state=None), path)
    some = np.linspace(0, len(crops) - 1, min(COMPARED, len(crops))).round().astype(int).tolist()
    compared = Compared([crops.read(row) for row in some], [crops.items[row].path.name for row in some])
    with tempfile.TemporaryDirectory(prefix=".adapt-", dir=folder) as made:
        plain = Path(made) / "adapted.onnx"
        convert(path, plain, compared)
        write_calibrated(plain, output, evaluation["threshold"], site.cameras, site.prior)
    return site


def _prior(adapted: Adapted, embedding: np.ndarray) -> dict | None:
    """What the distances of this site are measured in; what they mean is left as it is for people in general.

    Clusters hold who is alike, so their pairs are nearer than people are, and a tracker that believed them would give
    everybody several names.
    """
    tracklets, labels, usual = adapted.tracklets, adapted.after.labels, SitePrior()
    try:
        measured = measure_site_prior(
            tracklets.means(embedding), labels, tracklets.cameras, data="the site's own clusters", passages=False
        )
    except (DataError, MissingPackageError):
        return None
    return replace(measured, neutral=usual.neutral, slope=usual.slope).to_dict()
