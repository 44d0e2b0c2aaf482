"""What the authors of a model did to an image before it: said by a project's name, by flags, or by both.

The values are those of the projects' own test-time code (docs/convert.md names the commits that were read).
"""

from dataclasses import dataclass, fields, replace

import numpy as np

from sdk.preprocess import MEAN, STD

FLAGS = "--color, --mean, --std, --value-range"
POOLINGS = ("average", "gem", "max")


@dataclass(frozen=True)
class Authors:
    """What is known of a model's authors; None: not said, and then their project's, else torchvision's convention."""

    color: str | None = None
    """"rgb" or "bgr"."""
    mean: tuple[float, float, float] | None = None
    """In the order of `color`, in units of `value_range`."""
    std: tuple[float, float, float] | None = None
    value_range: int | None = None
    """What white was: 1 or 255."""
    input_size: tuple[int, int] | None = None
    """Height and width (px), where the file does not say it."""
    backbone: str | None = None
    """Of a checkpoint, which does not say it: "resnet50", …"""
    last_stride: int | None = None
    """Of a checkpoint: 1 or 2, the stride of the backbone's last stage."""
    project: str | None = None
    """One of `PROJECTS`: settles what is not said otherwise."""
    pooling: str | None = None
    """Of a checkpoint: one of `POOLINGS`, where neither project nor weights tell."""
    output_name: str | None = None
    """Of an ONNX file with several outputs: which is the feature."""

    @property
    def given(self) -> bool:
        """Whether anything was said, so that the model is another project's."""
        return any(getattr(self, field.name) is not None for field in fields(self))

    def or_else(self, others: "Authors") -> "Authors":
        """With what `others` say where nothing was said; their mean and deviation in the order and range said here."""
        white = self.value_range or (1 if self.mean or self.std else others.value_range)
        others = others._as(self.color, white)
        said = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(others, **{name: value for name, value in said.items() if value is not None})

    def _as(self, color: str | None, white: int | None) -> "Authors":
        """The same preprocessing, told in another order of the channels and for another value of white."""
        scale = white / self.value_range if white and self.value_range else 1
        step = -1 if color and self.color and color != self.color else 1
        mean, std = (part and tuple(scale * value for value in part[::step]) for part in (self.mean, self.std))
        return replace(self, color=color or self.color, mean=mean, std=std, value_range=white)

    def describe(self) -> str:
        color, mean, std, white = self._settled()
        mean, std = (", ".join(f"{value:.6g}" for value in part) for part in (mean, std))
        return f"{color}, values 0 to {white}, mean ({mean}), std ({std}), resized without keeping the aspect ratio"

    def apply(self, batch: np.ndarray) -> np.ndarray:
        """uint8 BGR `[B, H, W, 3]` → float32 `[B, H, W, 3]` as the model wants it: the reference for the graph."""
        color, mean, std, white = self._settled()
        images = batch[..., ::-1] if color == "rgb" else batch
        return (images.astype(np.float32) * np.float32(white / 255) - np.float32(mean)) / np.float32(std)

    def constants(self) -> tuple[bool, np.ndarray, np.ndarray]:
        """Whether to reverse the channels; mean and std of values from 0 to 255, float32 `[3]`."""
        color, mean, std, white = self._settled()
        return color == "rgb", np.float32(mean) * (255 / white), np.float32(std) * (255 / white)

    def _settled(self) -> tuple[str, tuple, tuple, int]:
        settled = self.or_else(TORCHVISION)
        return settled.color, settled.mean, settled.std, settled.value_range


TORCHVISION = Authors("rgb", MEAN, STD, 1)
"""The convention where nothing is said."""
_PERSON = Authors("rgb", MEAN, STD, 1, (256, 128))
PROJECTS: dict[str, Authors] = {
    "torchreid": _PERSON,
    "fast-reid": Authors(
        "rgb", tuple(255 * value for value in MEAN), tuple(255 * value for value in STD), 255, (256, 128)
    ),
    "strong-baseline": _PERSON,
    "alignedreid": _PERSON,
    "torchvision": replace(_PERSON, input_size=(224, 224)),
    "timm": Authors(),
}
"""Whose name (`--from`) says what the flags say. timm's models say it themselves."""
