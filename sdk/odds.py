"""Evidence in plain words: what speaks for a name, and how much."""

from collections.abc import Mapping

import numpy as np


def odds_in_words(nats: float) -> str:
    """Odds, whose logarithm is `nats`, in words."""
    if abs(nats) < 0.1:
        return "as likely as not"
    return f"{np.exp(min(abs(nats), 14)):,.{1 if abs(nats) < 2 else 0}f} to 1 {'for' if nats > 0 else 'against'}"


def distance_in_words(nearest: str, distance: float, stranger: float | None) -> str:
    """How far somebody is, and strangers are."""
    there = f"{nearest} is at distance {distance:.2f}"
    return there + (f"; strangers here are {stranger:.2f} apart" if stranger else "")


def evidence_in_words(nearest: str, evidence: float, look: float, odds: float) -> str:
    """The evidence for being `nearest`, and its parts, nats."""
    parts = f"{look:+.1f} for the look, {odds:+.1f} for when, where, and how few are new"
    return f"evidence for {nearest}: {evidence:+.1f} nats, {parts} ({odds_in_words(evidence)})"


def reason_in_words(detail: Mapping) -> str | None:
    """Why a track got its name, from the detail of an "identified" event; None where that does not say.

    Whatever a file may hold in their place, nothing but numbers is taken for numbers.
    """
    nearest = detail.get("nearest")
    distance, stranger, *nats = (
        value if isinstance(value, int | float) and not isinstance(value, bool) else None
        for value in map(detail.get, ("distance", "stranger", "evidence", "look", "odds"))
    )
    if not isinstance(nearest, str) or None in nats:
        return None
    said = [] if distance is None else [distance_in_words(nearest, distance, stranger)]
    return "; ".join([*said, evidence_in_words(nearest, *nats)])
