"""What a model file says of itself: one JSON, written by the converters, read by every engine.

An ONNX file has it in its `metadata_props`, a TensorRT plan as the name of its network, and what is too long for that
beside it (see `sdk.engines.plan`).
"""

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from sdk.errors import EngineError

KEY = "aligned_reid"
"""The name under which an ONNX file's `metadata_props` hold the JSON."""

SCHEMA = 1
PRECISIONS = ("fp32", "fp16", "int8")
LARGEST = 1 << 16
"""Of all lengths that a model has."""
LARGEST_SIDE = 1 << 13
"""Of an input, px."""


@dataclass(frozen=True)
class Metadata:
    """A model's shape, origin and calibration."""

    backbone: str
    input_size: tuple[int, int]
    """Height and width of the input crops, px."""
    embedding_dim: int
    precision: str
    """Of the weights and activations: "fp32", "fp16" or "int8" (with the layers that did not bear it in FP16)."""
    stripes: int = 0
    """S, the number of stripes in the second output; 0 where the model has the global branch only."""
    stripe_dim: int = 0
    threshold: dict[str, Any] | None = None
    """Calibrated cosine distances, as `sdk.calibration` writes them: "value" for crops, "tracklet_value" for
    tracklets, and at what error rates; "precision" is the one that they hold for, the file's own where it is not said.
    None if uncalibrated."""
    cameras: dict[str, Any] | None = None
    """What each camera of a site adds to the features (`sdk.calibration.CameraStatistics`); None: not measured."""
    site_prior: dict[str, Any] | None = None
    """What is known of people's looks to this model before a site has taught anything (`sdk.tracking.site.SitePrior`);
    None: not measured."""
    evaluation: dict[str, Any] | None = None
    """Figures on people held out of training, with their protocol; None if there were none. "identities" are those
    people's names, in an engine how many they are."""
    checkpoint_sha256: str = ""
    tools: dict[str, str] = field(default_factory=dict)
    """Versions of what wrote the file, by package."""
    target: str | None = None
    """The GPU architectures an engine was built for: "sm_87", or "sm_80+" for that and later ones, or several with
    commas; None for ONNX, which runs anywhere."""
    max_batch: int | None = None
    """Most crops of one call of an engine; None where there is no limit."""
    version_compatible: bool = False
    """Whether a later TensorRT of the same major version may load the engine."""
    onnx_sha256: str = ""
    """Of the ONNX file that an engine was built from."""
    preprocessing: str = ""
    """What the graph does to the crops, in words, where it is not the SDK's own."""
    precision_report: dict[str, Any] | None = None
    """How the precision was reached and what it did to the features (`converters.convert`)."""
    schema: int = SCHEMA

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str | None, source: str) -> "Metadata":
        """Read the JSON of the file `source`. Raises `EngineError` if it is absent, damaged or of a newer schema."""
        remedy = "; make it again with: reid convert checkpoint.pt -o model.onnx"
        if not text:
            raise EngineError(
                f"{source}: carries no AlignedReID metadata, so its preprocessing is unknown; of another project: "
                "reid convert theirs.onnx -o ours.onnx --from PROJECT (docs/convert.md); of a checkpoint of `reid "
                "train`: reid convert checkpoint.pt -o model.onnx"
            )
        try:
            data = json.loads(text)
            schema = data["schema"]
            if schema > SCHEMA:
                raise EngineError(f"{source}: metadata schema {schema}; this release reads up to {SCHEMA}: upgrade")
            data["input_size"] = tuple(data["input_size"])
            known = {field.name for field in fields(cls)}
            found = cls(**{name: value for name, value in data.items() if name in known})
            found._check()
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise EngineError(f"{source}: damaged AlignedReID metadata ({error}){remedy}") from error
        return found

    def _check(self) -> None:
        """Raise `ValueError` naming the first value that is not of its kind: a file may hold anything."""
        size = self.input_size
        numbers = (self.embedding_dim, self.stripes, self.stripe_dim, self.max_batch or 1, *size)
        wrong = {
            "input_size": len(size) != 2 or min(map(_whole, size)) < 1 or max(map(_whole, size)) > LARGEST_SIDE,
            "precision": self.precision not in PRECISIONS,
            "embedding_dim": _whole(self.embedding_dim) < 1,
            "stripes": min(map(_whole, (self.stripes, self.stripe_dim))) < 0,
            "max_batch": self.max_batch is not None and _whole(self.max_batch) < 1,
            "a length": max(map(_whole, numbers)) > LARGEST,
        }
        for name in ("backbone", "checkpoint_sha256", "onnx_sha256", "preprocessing"):
            wrong[name] = not isinstance(getattr(self, name), str)
        for name in ("threshold", "cameras", "site_prior", "evaluation", "precision_report"):
            wrong[name] = not isinstance(getattr(self, name), dict | None)
        wrong["tools"] = not isinstance(self.tools, dict) or not all(isinstance(v, str) for v in self.tools.values())
        wrong["target"] = not isinstance(self.target, str | None)
        if isinstance(self.threshold, dict):
            values = [self.threshold["value"], *(self.threshold[k] for k in ("tracklet_value",) if k in self.threshold)]
            wrong["threshold"] = not all(isinstance(v, int | float) and -LARGEST < v < LARGEST for v in values)
        for name, is_wrong in wrong.items():
            if is_wrong:
                raise ValueError(f"{name} is not what it should be")


def _whole(value) -> int:
    """The number itself, or one that nothing allows where it is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) else -1
