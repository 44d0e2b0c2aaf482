"""What a site has taught, kept with the gallery, so that a restart begins with it.

Kept are means and deviations of the people of each camera and of the site, how far strangers are apart, and how often
people come back: each of ten people or more, nothing of one (`sdk.gallery.statistic`). It counts for the model whose
features it is of.
"""

import json
import logging
import time

import numpy as np

from sdk.errors import GalleryError
from sdk.gallery import Gallery, Statistic
from sdk.gallery.statistic import FEWEST, MANY
from sdk.tracking.site.cameras import Sums
from sdk.tracking.site.evidence import SiteModel
from sdk.tracking.site.returns import CLASSES

FORMAT = 1
SAVE_SECONDS = 300.0
"""Between two times of saving, by this machine's clock."""
MOST_CAMERAS = 64
"""Of which something is kept: those that have seen the most people."""

log = logging.getLogger("aligned_reid.tracking")


class SiteMemory:
    """Gives a site model what the gallery has kept of it, and has the gallery keep what it learns."""

    def __init__(self, site: SiteModel, gallery: Gallery, model: str, dimensions: int):
        """model: what tells its features from others (`features_of`). dimensions: D of the embeddings.

        What is of another model, or cannot be read, is left alone, and said in the log.
        """
        self._site, self._gallery, self._model, self._dimensions = site, gallery, model, dimensions
        self._kept = gallery.statistics() if site.learns else []
        self._saved = time.monotonic()
        self._failed = False
        if not self._kept:
            return
        if wrong := restore(site, self._kept, model, dimensions):
            log.warning("%s: what was learned of the site %s; it is learned anew", gallery.where, wrong)

    def save_now_and_then(self) -> None:
        """Have it kept if the last time is long ago."""
        if time.monotonic() - self._saved >= SAVE_SECONDS:
            self.save()

    def save(self) -> None:
        """Have it kept. Where that fails the log says so, once; the run goes on, and tries again."""
        self._saved = time.monotonic()
        if not self._site.learns or self._gallery.read_only:
            return
        there = self._gallery.statistics()
        if len(there) < len(self._kept) and all(statistic in self._kept for statistic in there):
            self.forget()  # somebody was forgotten in the gallery itself, or at another site
        learned = statistics_of(self._site, self._model)
        if not learned or learned == self._kept:
            return
        try:
            self._gallery.keep_statistics(learned)
        except GalleryError as error:
            if not self._failed:
                log.warning("what was learned of the site is not kept: %s", error)
            self._failed = True
            return
        self._kept, self._failed = learned, False

    def forget(self) -> None:
        """Somebody was forgotten, in the gallery too: what is of few people goes."""
        self._site.forget(MANY)
        self._kept = []


def statistics_of(site: SiteModel, model: str) -> list[Statistic]:
    """What a site has taught, as far as it is of people enough."""
    sums = {name: known for name, known in site.cameras.learned.items() if known[0].weight >= FEWEST}
    cameras = sorted((name for name in sums if name), key=lambda name: -sums[name][0].weight)[:MOST_CAMERAS]
    if None not in sums:
        return []
    found = []
    for name in (None, *cameras):
        known, changes = sums[name]
        says = {"what": "camera", "name": name, "weight": round(known.weight, 3), "changes": changes}
        arrays = [known.mean.astype("<f2"), np.sqrt(known.variance).astype("<f2")]
        found.append(_packed(known.weight, model, says, arrays))
    numbers = site.numbered
    known = [name for name in numbers if name in cameras]
    which = [numbers.index(name) for name in known]
    learned = site.returns.learned
    if max(which, default=-1) < learned.shape[1]:  # all of them have been counted
        says = {"what": "ways", "cameras": known, "strangers": site.likeness.learned}
        ways = learned[:, which][:, :, which].astype("<f4")
        found.append(_packed(sums[None][0].weight, model, says, [ways]))
    return found


def restore(site: SiteModel, statistics: list[Statistic], model: str, dimensions: int) -> str:
    """Let `site` begin with what was kept; why not, in words, or empty. It is as it was then."""
    sums: dict[str | None, tuple[Sums, int]] = {}
    ways = None
    try:
        for statistic in statistics:
            says, content = _opened(statistic)
            if says["model"] != model:
                return f"is of model {says['model'][:12]}, this is {model[:12]}"
            if says["format"] > FORMAT:
                return "was written by a newer release"
            if says["what"] == "camera":
                sums[says["name"]] = _sums(says, content, dimensions), int(says["changes"])
            elif says["what"] == "ways":
                ways = _ways(says, content)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return f"cannot be read ({error})"
    site.cameras.restore(sums)
    cameras, strangers, learned = ways or ([], None, None)
    if strangers is not None:
        site.likeness.restore(strangers)
        site.returns.restore(learned)
    site.restore(cameras)
    return ""


def _packed(people: float, model: str, says: dict, arrays: list[np.ndarray]) -> Statistic:
    head = json.dumps({"format": FORMAT, "model": model, **says}).encode() + b"\n"
    return Statistic(float(people), head + b"".join(array.tobytes() for array in arrays))


def _opened(statistic: Statistic) -> tuple[dict, bytes]:
    head, _, content = statistic.content.partition(b"\n")
    return json.loads(head), content


def _sums(says: dict, content: bytes, dimensions: int) -> Sums:
    mean, deviation = np.frombuffer(content, "<f2").astype(np.float64).reshape(2, dimensions)
    weight = float(says["weight"])
    if not (np.isfinite(mean).all() and np.isfinite(deviation).all() and FEWEST - 1 <= weight < float("inf")):
        raise ValueError("a number is none")
    return Sums(weight, weight * mean, weight * (deviation**2 + mean**2))


def _ways(says: dict, content: bytes) -> tuple[list[str], list[tuple[float, float]], np.ndarray]:
    cameras, strangers = list(map(str, says["cameras"])), [(float(mean), float(n)) for mean, n in says["strangers"]]
    learned = np.frombuffer(content, "<f4").astype(np.float64).reshape(2, len(cameras), len(cameras), CLASSES)
    numbers = [*learned.ravel(), *(number for pair in strangers for number in pair)]
    if len(strangers) != 2 or not (np.isfinite(numbers).all() and min(numbers) >= 0):
        raise ValueError("a number is none")
    return cameras, strangers, learned
