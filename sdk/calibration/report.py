"""All that is measured of a model on a site's people, together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sdk.calibration.cameras import CameraStatistics
from sdk.calibration.intervals import Interval, threshold_intervals
from sdk.calibration.open_set import OpenSet, evaluate_open_set
from sdk.calibration.pairs import Pairs, pair_distances
from sdk.calibration.threshold import Threshold, calibrate_threshold
from sdk.terminal import Table


@dataclass(frozen=True)
class Calibration:
    """Thresholds, how sure they are, and how the model does with strangers."""

    threshold: Threshold
    interval: Interval
    open_set: OpenSet
    pairs: Pairs
    statistics: CameraStatistics | None
    """What the features were freed from before they were compared; None: nothing."""

    def to_dict(self) -> dict:
        """The figures, for JSON."""
        return {
            "threshold": self.threshold.to_dict(),
            "interval": self.interval.to_dict(),
            "open_set": self.open_set.to_dict(),
            "per_camera": self.statistics is not None,
        }

    def for_metadata(self, data: str) -> dict:
        """What a model file keeps: the thresholds, how they were found, and on which data."""
        return self.threshold.to_dict() | {"interval": self.interval.to_dict(), "data": data}


def measure_calibration(
    embedding: np.ndarray,
    identities: Sequence[str],
    cameras: Sequence[str],
    false_match_rate: float,
    per_camera: bool = False,
) -> Calibration:
    """Features float `[N, D]` at unit length of a site's people, with identities and cameras `[N]`.

    per_camera: free the features from what the cameras add, first. Raises `DataError` for too few people or crops.
    """
    identities, cameras = np.asarray(identities), np.asarray(cameras)
    statistics = CameraStatistics.fit(embedding, cameras) if per_camera else None
    if statistics:
        embedding = statistics.normalise(embedding, cameras)
    pairs = pair_distances(embedding, identities, cameras)
    threshold = calibrate_threshold(embedding, identities, cameras, false_match_rate, pairs)
    return Calibration(
        threshold,
        threshold_intervals(pairs, threshold.value, false_match_rate),
        evaluate_open_set(embedding, identities, cameras, threshold.value),
        pairs,
        statistics,
    )


def calibration_table(found: Calibration) -> Table:
    """The figures for a terminal, with their 95% intervals."""
    threshold, interval, strangers = found.threshold, found.interval, found.open_set
    table = Table("", "crops", "95% interval", "tracklets", title="across cameras", name="calibration")
    table.add_row(
        "threshold (cosine distance)",
        f"{threshold.value:.3f}",
        "{:.3f} – {:.3f}".format(*interval.value),
        f"{threshold.tracklet_value:.3f}",
    )
    table.add_row(
        "two people taken for one",
        f"{threshold.false_match_rate:.2%}",
        "{:.2%} – {:.2%}".format(*interval.false_match_rate),
        f"{threshold.tracklet_false_match_rate:.2%}",
    )
    table.add_row(
        "one person recognised",
        f"{threshold.true_match_rate:.1%}",
        "{:.1%} – {:.1%}".format(*interval.true_match_rate),
        f"{threshold.tracklet_true_match_rate:.1%}",
        end_section=True,
    )
    table.add_row(f"{strangers.enrolled} people enrolled, {strangers.strangers} strangers", "", "", "")
    for rate, share, spread in zip(
        strangers.rates, strangers.true_positive, strangers.true_positive_spread, strict=True
    ):
        few = " (no stranger at all)" if rate * strangers.stranger_probes < 1 else ""
        table.add_row(f"named, if {rate:.1%} of strangers are{few}", f"{share:.1%}", f"± {spread:.1%}", "")
    table.add_row("named, at the threshold", f"{strangers.true_positive_at_threshold:.1%}", "", "")
    table.add_row("strangers named, at the threshold", f"{strangers.false_positive_at_threshold:.1%}", "", "")
    table.add_row("rank-1, without a threshold", f"{strangers.rank1:.1%}", "", "")
    table.records = [found.to_dict()]
    return table
