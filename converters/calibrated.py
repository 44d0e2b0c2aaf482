"""A model file with another calibration: the network stays as it is, bit for bit."""

from dataclasses import replace
from pathlib import Path

from sdk.calibration.cameras import CameraStatistics
from sdk.engines.metadata import KEY, Metadata
from sdk.engines.seal import SEAL_KEY, UNSEALED, seal
from sdk.errors import DataError, missing_package
from sdk.output import write_whole


def write_calibrated(
    model: str | Path,
    output: str | Path,
    threshold: dict,
    cameras: CameraStatistics | None = None,
    site_prior: dict | None = None,
) -> None:
    """Copy the `.onnx` file `model` to `output` with new thresholds, the statistics of a site's cameras or none, and a
    tracker's prior (`sdk.tracking.site.SitePrior`) or none.

    `output` may be `model` itself. Raises `DataError` for a file that is not .onnx (an engine's metadata cannot be
    changed: calibrate the .onnx that it is built from) or that cannot be written, and `MissingPackageError` without the
    package onnx.
    """
    onnx = require_calibratable(model, output)
    proto = onnx.load(model)
    found = {entry.key: entry.value for entry in proto.metadata_props}
    metadata = Metadata.from_json(found.get(KEY), str(model))
    cameras = cameras.to_dict() if cameras else None
    metadata = replace(metadata, threshold=threshold, cameras=cameras, site_prior=site_prior)
    onnx.helper.set_model_props(proto, found | {KEY: metadata.to_json(), SEAL_KEY: UNSEALED})
    write_whole(output, seal(proto.SerializeToString()), private=False)


def require_calibratable(model: str | Path, output: str | Path):
    """The package onnx. Raises as `write_calibrated` does for names that are not .onnx, and without the package."""
    for path in (Path(model), Path(output)):
        if path.suffix != ".onnx":
            raise DataError(
                f"{path}: a calibration is written into .onnx files; calibrate the one that an engine is built from, "
                "then convert it again"
            )
    try:
        import onnx
    except ImportError:
        raise missing_package("onnx", "convert", "writing a calibration into a model") from None
    return onnx
