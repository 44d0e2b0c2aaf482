"""The crops that a run of `reid track --store-crops` kept, and what its events say of who is who."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np

from sdk.errors import DataError
from sdk.reading import EVENT, read_lines
from sdk.video.crop_store import NAME, StoredCrop, read_crops
from sdk.video.history import EVENTS, Track
from training.adaptation.crops import Crop, Crops

DOUBT = 5.0
"""Seconds before a track passed to another person in which it may have shown either."""
PASSED = "the track passed to another person"
REPEATED = "the very picture that the track has shown before: the camera stood still"


@dataclass
class Links:
    """What the events of a run say besides names."""

    cannot: list[tuple[Track, Track]] = field(default_factory=list)
    """A track that passed to another person, and what it went on as; tracks whom a human gave two names."""
    must: list[tuple[Track, Track]] = field(default_factory=list)
    """Tracks that a human said are of one person."""
    doubtful: list[tuple[Track, float]] = field(default_factory=list)
    """Tracks that passed to another person, and when, s."""


def read_run(folder: Path, prefix: str) -> Crops:
    """The crops in the folder of a run; `prefix` tells its tracks from those of other runs.

    Raises `DataError` that says why there are none.
    """
    stored = read_crops(folder)
    if not stored:
        raise DataError(f"{folder / NAME}: holds no crops; nobody was seen, or all were forgotten")
    events = folder / EVENTS
    links = links_of(read_lines(events, EVENT) if events.is_file() else ())
    doubtful = [_in_doubt(crop, links) for crop in stored]
    good, last = _once([crop for crop, doubt in zip(stored, doubtful, strict=True) if not doubt])
    items = [
        Crop(folder / NAME, crop.camera, prefix, crop.track, crop.time, partial(_decode, folder, crop.jpeg), until)
        for crop, until in zip(good, last, strict=True)
    ]
    first: dict[Track, int] = {}
    for row, crop in enumerate(good):
        first.setdefault((crop.camera, crop.track), row)
    cannot, must = (
        tuple((first[one], first[other]) for one, other in pairs if one in first and other in first)
        for pairs in (links.cannot, links.must)
    )
    reasons = {PASSED: sum(doubtful), REPEATED: len(stored) - sum(doubtful) - len(good)}
    thrown_away = {reason: count for reason, count in reasons.items() if count} or None
    return Crops(tuple(items), f"run {folder.resolve().name}", cannot, must, thrown_away)


def links_of(events: Iterable[Mapping]) -> Links:
    """What events, as `Event.to_json` writes them and in their order, say of who is who.

    Of what a human said of a person, the latest track that bore the name is believed, because that is whom they saw.
    """
    links, bearers = Links(), defaultdict(dict)
    called: dict[str, Track] = {}
    for event in events:
        kind, name, detail = event["kind"], event["identity"], event["detail"]
        if kind == "identified":
            for others in bearers.values():
                others.pop((event["camera"], event["track"]), None)
            bearers[name][event["camera"], event["track"]] = None
        elif kind == "split":
            track = (event["camera"], event["track"])
            links.cannot.append((track, (event["camera"], detail["new_track"])))
            links.doubtful.append((track, event["time"]))
        elif kind in ("merged", "renamed"):
            other = bearers.pop(detail["other"], {})
            if kind == "merged" and detail.get("by_hand") and other and bearers[name]:
                links.must.append((_latest(other), _latest(bearers[name])))
            if kind == "renamed" and other:
                called[name] = _latest(other)
            elif kind == "merged":
                called.pop(detail["other"], None)
            bearers[name] |= other
    links.cannot += combinations(called.values(), 2)
    return links


def _latest(tracks: dict[Track, None]) -> Track:
    return next(reversed(tracks))


def _in_doubt(crop: StoredCrop, links: Links) -> bool:
    return any((crop.camera, crop.track) == track and crop.time > time - DOUBT for track, time in links.doubtful)


def _once(crops: Iterable[StoredCrop]) -> tuple[list[StoredCrop], list[float]]:
    """Each picture of a track once, and when it was last shown: that a picture is like itself tells nothing of a model,
    but as long as the track shows it, its person is there."""
    last: dict[tuple, float] = {}
    first = []
    for crop in crops:
        picture = crop.camera, crop.track, crop.jpeg
        if picture not in last:
            first.append(crop)
        last[picture] = crop.time
    return first, list(last.values())


def _decode(folder: Path, jpeg: bytes) -> np.ndarray:
    crop = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    if crop is None:
        raise DataError(f"{folder / NAME}: a crop in it is no picture; remove the file, and track once more")
    return crop
