"""What an .onnx file says of itself: the metadata that exporters write, Ultralytics' above all."""

import ast
from collections.abc import Mapping
from dataclasses import dataclass, field

PEOPLE = ("pedestrian", "pedestrians", "person", "persons", "people", "human", "humans")
"""Names of classes that are people, in small letters."""


@dataclass(frozen=True)
class Facts:
    """What is known of a model from its file; empty where the file does not say."""

    task: str = ""
    """Ultralytics' word: detect, segment, pose, obb, classify."""
    names: dict[int, str] = field(default_factory=dict)
    """Of the classes, by number."""
    size: tuple[int, int] | None = None
    """(height, width) px that it was exported for."""
    stride: int = 1
    """px of which the sides of the input must be multiples."""
    doubles: bool | None = None
    """Whether the doubles are still in; None if the file does not say."""

    @classmethod
    def of(cls, metadata: Mapping[str, str]) -> "Facts":
        """Read a file's metadata, text by key. What cannot be read is taken as not said."""
        sides = _literal(metadata.get("imgsz", ""))
        stride = _literal(metadata.get("stride", ""))
        options = _literal(metadata.get("args", ""))
        ended = _literal(metadata.get("end2end", ""))
        if isinstance(options, dict) and options.get("nms") is True:
            ended = True
        task = metadata.get("task", "").strip().lower()
        return cls(
            task=task,
            names=_names(metadata.get("names", "")),
            size=tuple(sides) if _is_size(sides) else None,
            stride=stride if isinstance(stride, int) and 1 <= stride <= 256 else 1,
            doubles=not ended if isinstance(ended, bool) else None,
        )

    @property
    def people(self) -> tuple[int, ...]:
        """The numbers of the classes that are people: more than one in VisDrone, say."""
        found = tuple(number for number, name in self.names.items() if name.strip().lower() in PEOPLE)
        return found or ((next(iter(self.names)),) if len(self.names) == 1 else ())


def _names(text: str) -> dict[int, str]:
    names = _literal(text)
    if isinstance(names, list | tuple):
        names = dict(enumerate(names))
    if not isinstance(names, dict):
        return {}
    try:
        return {int(number): str(name) for number, name in names.items()}
    except (ValueError, TypeError):
        return {}


def _is_size(sides) -> bool:
    return isinstance(sides, list | tuple) and len(sides) == 2 and all(isinstance(s, int) and s > 0 for s in sides)


def _literal(text: str):
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
