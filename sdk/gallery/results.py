"""What a search gives back."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Candidate:
    """An identity and its exemplar nearest to the query."""

    identity: str
    distance: float
    """Cosine distance in [0, 2], of the nearest exemplar or as the search's `aggregate` says."""
    camera: str | None = None
    time: float | None = None
    """When the exemplar was seen, in seconds; what zero means is the caller's choice."""
    rescored: float | None = None
    """`distance` + weight × aligned local distance / (2S − 1), which the candidates are then ordered by; None: not
    re-scored."""


@dataclass(frozen=True)
class Match:
    """The answer for one crop."""

    identity: str | None
    """The nearest identity within the threshold; None: nobody known."""
    distance: float
    """Cosine distance of the nearest candidate, whether it was accepted or not; inf if the gallery is empty."""
    candidates: tuple[Candidate, ...] = ()
    """The nearest identities, each once, nearest first, accepted or not."""


@dataclass(frozen=True)
class IdentitySummary:
    """What a gallery knows of one identity."""

    number: int
    """Under which audit lines speak of the identity; never used again."""
    identity: str
    exemplars: int
    cameras: tuple[str, ...]
    first_added: float
    last_added: float
    """When exemplars were enrolled, in seconds since 1970."""


@dataclass(frozen=True)
class AuditLine:
    """Something that was done to identities. Numbers and no names: a forgotten name must not live on here."""

    time: float
    """Seconds since 1970."""
    action: str
    """merge, rename, forget, prune, retention, import, reembed, restore, clock or accept."""
    number: int | None
    """Of the identity; None: of several."""
    into: int | None
    """Of the identity that another was merged into."""
    exemplars: int
    """How many were concerned."""


@dataclass(frozen=True)
class VerifyReport:
    """What `Gallery.verify` found."""

    exemplars: int
    identities: int
    problems: tuple[str, ...] = ()
    """Each names what is damaged; empty: nothing is."""
    traces: str | None = None
    """Why, and until when, bytes of what was erased may still be in a file; None: none are."""

    @property
    def ok(self) -> bool:
        return not self.problems
