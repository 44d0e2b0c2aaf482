"""What is known of people's looks and ways before a site has taught anything."""

import json
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from sdk.engines.metadata import Metadata
from sdk.errors import DataError

GAPS = (0.0, 2.0, 5.0, 15.0, 60.0, 300.0, 1800.0)
"""Seconds between two tracklets at which a new class of gaps begins; before the first are those that overlap."""
FARTHEST = 4 * GAPS[-1]
"""Seconds to which the last class is taken to reach."""
SHIPPED = Path(__file__).parents[2] / "models" / "site_prior.json"
"""Of the model that ships; `benchmarks/site_prior.py` writes it."""
WITHIN, BETWEEN = 0, 1
"""The two kinds of pairs: of one camera, of two."""

AGAIN, ELSEWHERE = 0.03, 0.12
"""Other tracklets of a person in a class of gaps, in the same camera and in another, where nothing is known."""


@dataclass(frozen=True)
class SitePrior:
    """Of two kinds of pairs, within a camera and between cameras.

    The numbers that are the default are those of real people, Market-1501's training half (docs/tracking.md), in units
    that do not depend on the model: so they serve a model for which none were measured.
    """

    stranger: tuple[float, float] = (1.0, 1.0)
    """Mean distance of two people's tracklets, with `mean` and `deviation` taken away."""
    trust: float = 20.0
    """Pairs of people from which the site's own strangers count as much as these."""
    neutral: tuple[float, float] = (0.71, 0.78)
    """The distance that says nothing, in stranger distances."""
    slope: tuple[float, float] = (13.0, 14.0)
    """Nats by which the evidence falls as the distance grows by one stranger distance."""
    returns: tuple[tuple[float, ...], tuple[float, ...]] = field(
        default_factory=lambda: ((0.0, *[AGAIN] * len(GAPS)), (ELSEWHERE,) * (len(GAPS) + 1))
    )
    """How many other tracklets a person has, by class of gap, in the same camera and in another one, a tracklet."""
    mean: np.ndarray | None = None
    """Mean of real people's tracklets, float32 `[D]`; None: not measured."""
    deviation: np.ndarray | None = None
    """Their standard deviation, float32 `[D]`."""
    data: str = ""
    """What it was measured on."""

    @classmethod
    def of(cls, metadata: Metadata, tracklet_threshold: float) -> "SitePrior":
        """The one of a model: what was measured of it, or of the model that ships if it is made of that one's weights;
        else what its calibrated distance for tracklets tells: between cameras it says neither yes nor no."""
        values = metadata.site_prior or _shipped(metadata.checkpoint_sha256)
        if values:
            return cls.from_dict(values)
        return cls.at(tracklet_threshold)

    @classmethod
    def at(cls, distance: float, within: float | None = None) -> "SitePrior":
        """Where nothing but one cosine distance is known: at which two cameras' tracklets are as likely one as two.

        within: the same of two tracklets of one camera; None: as strangers are as far apart there.
        """
        between = distance / cls.neutral[BETWEEN]
        return cls(stranger=(between if within is None else within / cls.neutral[WITHIN], between))

    @classmethod
    def from_dict(cls, values: dict) -> "SitePrior":
        """What a model's metadata hold. Raises `DataError` if it is damaged."""
        try:
            mean, deviation = (
                np.asarray(values[name], np.float32) if name in values else None for name in ("mean", "deviation")
            )
            pairs = {name: tuple(map(float, values[name])) for name in ("stranger", "neutral", "slope")}
            returns = tuple(tuple(map(float, kind)) for kind in values["returns"])
            if any(len(pair) != 2 for pair in pairs.values()) or [len(kind) for kind in returns] != [len(GAPS) + 1] * 2:
                raise ValueError("it has another form")
            return cls(
                **pairs,
                trust=float(values["trust"]),
                returns=returns,
                mean=mean,
                deviation=deviation,
                data=str(values.get("data", "")),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"the model's prior for sites cannot be read ({error}); convert the model again") from error

    def to_dict(self) -> dict:
        """For a model's metadata."""
        values = {name: [round(v, 4) for v in getattr(self, name)] for name in ("stranger", "neutral", "slope")}
        values["returns"] = [[round(v, 4) for v in kind] for kind in self.returns]
        for name in ("mean", "deviation"):
            if getattr(self, name) is not None:
                values[name] = [round(float(v), 4) for v in getattr(self, name)]
        return values | {"trust": self.trust, "data": self.data}


@lru_cache(maxsize=8)
def _shipped(checkpoint_sha256: str) -> dict | None:
    values = json.loads(SHIPPED.read_text(encoding="utf-8"))
    return values if checkpoint_sha256 and values["checkpoint_sha256"] == checkpoint_sha256 else None
