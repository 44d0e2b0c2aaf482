"""Who is where in one frame of one camera."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Truth:
    """One row for everybody of whom the frame shows at least a pixel."""

    boxes: np.ndarray
    """float32 `[N, 4]`, xyxy px, inside the frame: round all of the body that the frame would show if nothing stood in
    front."""
    identities: list[str]
    """The same name in all cameras."""
    tracks: np.ndarray
    """int `[N]`: a new number, from 1, each time that somebody comes into this camera's view."""
    visibility: np.ndarray
    """float32 `[N]`: share of the whole body that is seen, neither outside the frame nor behind anything."""
