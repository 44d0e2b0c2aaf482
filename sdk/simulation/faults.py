"""What detectors do to crops: boxes that are too large, shifted or cut, and others or things in front.

This is the misalignment that the paper's local branch is there for (arXiv 1711.08184, figure 1).
"""

from dataclasses import dataclass

from sdk.errors import DataError

USUAL = 0.25
"""The misalignment of a good detector's boxes."""


@dataclass(frozen=True)
class Faults:
    """How often and how much a detector's box is off. Shares are of the crop's height or width."""

    loose: float
    """Up to this share of the height is left free by a box that is too large."""
    cut: float
    """Chance that the box cuts the feet or the head."""
    cut_least: float
    cut_most: float
    """The body is between these times as high as a box that cuts it."""
    shift_across: float
    """Standard deviation of the box's place, share of the width."""
    shift_along: float
    """… share of the height."""
    passer_by: float
    """Chance of a second person in the crop, half of the time in front."""
    obstacle: float
    """Chance of a pole, furniture or twigs in front."""
    missed: float
    """Chance that somebody in plain view is not found at all."""

    @classmethod
    def at(cls, misalignment: float) -> "Faults":
        """From 0, none, to 1, severe. Raises `DataError` outside."""
        if not 0 <= misalignment <= 1:
            raise DataError(f"misalignment is {misalignment}; it goes from 0 (none) to 1 (severe)")
        return cls(
            loose=0.52 * misalignment,
            cut=0.48 * misalignment,
            cut_least=1 + 0.2 * misalignment,
            cut_most=1 + misalignment,
            shift_across=0.16 * misalignment,
            shift_along=0.08 * misalignment,
            passer_by=0.32 * misalignment,
            obstacle=0.24 * misalignment,
            missed=0.2 * misalignment,
        )
