"""The settings of a `MultiCameraTracker` that somebody at a site may want to change; all else it learns."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from sdk.errors import DataError
from sdk.output import write_whole
from sdk.reading import parse_yaml


@dataclass(frozen=True)
class TrackerConfig:
    """Every setting has a default that is meant to serve everywhere. Raises `DataError` for a value that cannot be."""

    caution: float = 0.0
    """How much more evidence than usual it takes to call two tracklets one person, in nats (the logarithm of odds:
    0.7 doubles them). Above 0: fewer people share a name, and more bear several. Below 0: the reverse."""
    distance: float | None = None
    """None: what the site teaches decides who is who. A number: this cosine distance between two tracklets alone, as
    the model gives it, at every site the same; nothing is learned."""
    lost_seconds: float = 2.0
    """After this long unseen a track has ended. Longer where people are hidden for long, behind pillars or machines."""
    late_seconds: float = 8.0
    """After this long unseen, somebody of whom it is in doubt whether anybody knows them is somebody new."""
    review_seconds: float = 5.0
    """How often the names of the last minutes are looked at again, all together; less often where more than 300
    tracklets take part. 0: never; names stay as given."""
    memory_seconds: float = 180.0
    """For how long the name of a track that has ended may still change."""
    crops_per_second: float = 6.0
    """Crops of one person in plain view that are embedded in a second."""
    min_quality: float = 0.3
    """Of a crop, from 0 to 1, to be looked at: its size, how much of it is covered, whether the frame's edge cuts it,
    and how sure the detector is."""
    min_movement: float = 0.03
    """Share of a box's pixels that must change for it to be somebody alive, and no picture or chair."""
    start_confidence: float = 0.5
    """Of the detector, for a box to begin a track; less sure ones only carry one on."""
    most_people: int = 500
    """People who are remembered at once; those not seen for longest are left to the gallery."""

    def __post_init__(self) -> None:
        positive = {"distance", "lost_seconds", "memory_seconds", "crops_per_second", "most_people"}
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None and field.name == "distance":
                continue
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e9:
                raise DataError(f"{field.name} is {value!r}; give a number")
            if (value < 0 and field.name != "caution") or (value == 0 and field.name in positive):
                raise DataError(f"{field.name} is {value}; give a number {'above 0' if value == 0 else 'from 0 on'}")
            if value > 1 and field.name in ("min_quality", "min_movement", "start_confidence"):
                raise DataError(f"{field.name} is {value}; give a number from 0 to 1")
        if self.late_seconds < self.lost_seconds:
            raise DataError(f"late_seconds, {self.late_seconds}, is less than lost_seconds, {self.lost_seconds}")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "TrackerConfig":
        """Raises `DataError` naming a setting that does not exist, or one that cannot be."""
        known = [field.name for field in fields(cls)]
        for name in values:
            if name not in known:
                raise DataError(f"there is no setting '{name}'; there are {', '.join(known)}")
        return cls(**values)

    @classmethod
    def load(cls, path: str | Path) -> "TrackerConfig":
        """Read a YAML file, `setting: value` a line. Raises `DataError` naming file and line, or the setting."""
        try:
            values = parse_yaml(Path(path).read_bytes()) or {}
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: cannot be read as settings ({error}); write 'setting: value' a line") from error
        if not isinstance(values, Mapping):
            raise DataError(f"{path}: holds no settings; write 'setting: value' a line")
        try:
            return cls.from_dict(values)
        except DataError as error:
            raise DataError(f"{path}: {error}") from error

    def save(self, path: str | Path) -> None:
        """Write them all as YAML."""
        write_whole(Path(path), yaml.safe_dump(asdict(self), sort_keys=False), private=False)
