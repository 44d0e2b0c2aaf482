"""What a search gives back."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Candidate:
    """An identity and its exemplar nearest to the query."""

    identity: str
    distance: float
    """Cosine distance in [0, 2]."""
    camera: str | None = None
    time: float | None = None
    """When the exemplar was seen, in seconds; what zero means is the caller's choice."""


@dataclass(frozen=True)
class Match:
    """The answer for one crop."""

    identity: str | None
    """The nearest identity within the threshold; None: nobody known."""
    distance: float
    """Cosine distance of the nearest candidate, whether it was accepted or not; inf if the gallery is empty."""
    candidates: tuple[Candidate, ...] = ()
    """The nearest identities, each once, nearest first, accepted or not."""
