"""What a model file says of itself: one JSON, written by the converters, read by every engine."""

import json
from dataclasses import asdict, dataclass, field

from sdk.errors import EngineError

KEY = "aligned_reid"
"""The name under which an ONNX file's `metadata_props` hold the JSON."""

SCHEMA = 1


@dataclass(frozen=True)
class Metadata:
    """A model's shape, origin and calibration."""

    backbone: str
    input_size: tuple[int, int]
    """Height and width of the input crops, px."""
    embedding_dim: int
    precision: str
    """Of the weights: "fp32"."""
    stripes: int = 0
    """S, the number of stripes in the second output; 0 where the model has the global branch only."""
    stripe_dim: int = 0
    threshold: dict | None = None
    """Calibrated cosine distances, as `sdk.calibration` writes them: "value" for crops,
    "tracklet_value" for tracklets, and at what error rates. None if uncalibrated."""
    cameras: dict | None = None
    """What each camera of a site adds to the features (`sdk.calibration.CameraStatistics`); None: not measured."""
    evaluation: dict | None = None
    """Figures on people held out of training, with their protocol; None if there were none."""
    checkpoint_sha256: str = ""
    tools: dict[str, str] = field(default_factory=dict)
    """Versions of what wrote the file, by package."""
    target: str | None = None
    """The GPU an engine was built for; None for ONNX, which runs anywhere."""
    schema: int = SCHEMA

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str | None, source: str) -> "Metadata":
        """Read the JSON of the file `source`. Raises `EngineError` if it is absent, damaged or of a newer schema."""
        remedy = "; make it again with: reid convert checkpoint.pt -o model.onnx"
        if not text:
            raise EngineError(f"{source}: carries no AlignedReID metadata, so its preprocessing is unknown{remedy}")
        try:
            data = json.loads(text)
            schema = data["schema"]
            if schema > SCHEMA:
                raise EngineError(f"{source}: metadata schema {schema}; this release reads up to {SCHEMA}: upgrade")
            data["input_size"] = tuple(data["input_size"])
            return cls(**data)
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise EngineError(f"{source}: damaged AlignedReID metadata ({error}){remedy}") from error
