"""What became of each camera in a run."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sdk.terminal import Table


@dataclass
class CameraReport:
    """One camera's run in figures."""

    camera: str
    frames: int = 0
    """Given to the tracker."""
    missing: int = 0
    """Of a file: could not be decoded."""
    passed_over: int = 0
    """Came while the tracker was busy, and a newer one came before it was not."""
    losses: int = 0
    """How often it gave no frames."""
    away: float = 0.0
    """For how long in all, s."""
    freezes: int = 0
    """How often its picture stood still."""
    frozen: float = 0.0
    """For how long in all, s."""
    sizes: list[tuple[int, int]] = field(default_factory=list)
    """(height, width) px, each one it changed to."""
    clock: list[str] = field(default_factory=list)
    """What was wrong with its time stamps, in words, each kind once."""
    reason: str = ""
    """Of the last loss, or of an early end."""
    out: bool = False
    """Whether it was lost or frozen when the run ended."""

    @property
    def trouble(self) -> str:
        """One line, or nothing."""
        parts = []
        if self.losses:
            parts.append(f"lost {_times(self.losses)}, {self.away:.1f} s in all")
        if self.freezes:
            parts.append(f"frozen {_times(self.freezes)}, {self.frozen:.1f} s in all")
        if self.missing:
            parts.append(f"{self.missing} {'frame' if self.missing == 1 else 'frames'} could not be decoded")
        parts.extend(self.clock)
        if len(self.sizes) > 1:
            sizes = " → ".join(f"{width}×{height}" for height, width in self.sizes[:4])
            parts.append(f"resolution changed: {sizes}{' → …' if len(self.sizes) > 4 else ''}")
        if self.out:
            parts.append("still out at the end")
        if self.reason:
            parts.append(self.reason)
        return "; ".join(parts)


def trouble_table(reports: Sequence[CameraReport]) -> Table | None:
    """The cameras that had trouble, as a table for the terminal; None if none had."""
    troubled = [report for report in reports if report.trouble]
    if not troubled:
        return None
    title = f"{len(troubled)} of {len(reports)} cameras had trouble"
    table = Table("camera", "frames", "trouble", title=title, name="trouble")
    for report in troubled:
        facts = {"camera": report.camera, "frames": report.frames, "trouble": report.trouble}
        table.add_row(report.camera, str(report.frames), report.trouble, record=facts)
    return table


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
