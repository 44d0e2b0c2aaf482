"""How long people take from one camera to another, at the least: who is seen in one cannot be in the other sooner."""

import itertools
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from sdk.errors import DataError
from sdk.reading import NAME, NUMBER, read_lines

SOON = 0.02
"""Share of the passages seen that may have been quicker than the time that is learned: some are mistakes."""
ENOUGH = 30
"""Passages between two cameras from which a time is learned."""


class TravelTimes:
    """The least seconds between being seen in one camera and in another, for pairs of cameras.

    Nothing is said of pairs that are not given, nor of those with 0: cameras that see the same place.
    """

    def __init__(self, least: Mapping[tuple[str, str], float]):
        """least: seconds by pair of cameras, in either order.

        Raises `DataError` for a time that is not from 0 on, or a pair of one camera.
        """
        self.least: dict[frozenset[str], float] = {}
        for pair, seconds in least.items():
            if len(set(pair)) != 2 or not 0 <= seconds < float("inf"):
                raise DataError(f"travel time {seconds} between {pair}: give seconds from 0 on, between two cameras")
            self.least[frozenset(pair)] = float(seconds)

    @classmethod
    def learn(cls, records: str | Path) -> "TravelTimes":
        """From `tracks.jsonl` of a run of some hours: the time that 98 in 100 passages of an identity took at least.

        Pairs of cameras with fewer than 30 passages are left out. Raises `DataError` for a file that is no such one.
        """
        visits: dict[str, dict[tuple[str, int], list[float]]] = defaultdict(dict)
        try:
            for record in read_lines(Path(records), {"time": NUMBER, "camera": str, "track": int, "identity": NAME}):
                if record["identity"] is not None:
                    key, time = (record["camera"], record["track"]), float(record["time"])
                    span = visits[record["identity"]].setdefault(key, [time, time])
                    span[1] = max(span[1], time)
        except OSError as error:
            raise DataError(f"{records}: cannot be read as track records ({error}); pass a tracks.jsonl") from error
        gaps: dict[tuple[str, str], list[float]] = defaultdict(list)
        for tracks in visits.values():
            spans = sorted((first, last, camera) for (camera, _), (first, last) in tracks.items())
            for (_, left, one), (entered, _, other) in itertools.pairwise(spans):
                if one != other:
                    gaps[min(one, other), max(one, other)].append(max(0.0, entered - left))
        least = {pair: float(np.quantile(seen, SOON)) for pair, seen in gaps.items() if len(seen) >= ENOUGH}
        return cls(least)

    def forbid(self, one: str, other: str, gap: float) -> bool:
        """Whether nobody gets from one camera to the other in `gap` seconds; negative: seen in both at once."""
        least = self.least.get(frozenset((one, other)), 0.0)
        return least > 0 and gap < least
