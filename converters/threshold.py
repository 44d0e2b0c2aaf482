"""The match threshold belongs to a precision: rounding moves the distances, so it is moved along.

It was calibrated in FP32 on people who were held out of training (`sdk.calibration`), and those are not
at hand when a model is converted. What is: the same crops seen by both models. Around the threshold, the mean change
of the pairs' distances says by how much it moves; no labels are needed for that, and the share of pairs that match
stays what it was.
"""

import numpy as np

from sdk.distances import cosine_distance

KEYS = ("value", "tracklet_value")
MOST_CROPS = 512
"""Of which all pairs are compared."""
NEAREST = 0.05
"""Share of the pairs, those nearest to the threshold, that tell how distances change there."""
MIN_PAIRS = 100


def transfer_threshold(
    threshold: dict | None, precision: str, reference: np.ndarray, converted: np.ndarray
) -> dict | None:
    """`threshold` for a model of another precision; reference, converted: features of the same crops, `[N, D]`.

    The FP32 values are kept as "fp32_value" and "fp32_tracklet_value". With fewer than `MIN_PAIRS` pairs nothing can
    be told: the values stay, and "precision" still says that they are FP32's.
    """
    if threshold is None:
        return None
    chosen = np.linspace(0, len(reference) - 1, min(len(reference), MOST_CROPS)).round().astype(int)
    upper = np.triu_indices(len(chosen), 1)
    before, after = (cosine_distance(features[chosen], features[chosen])[upper] for features in (reference, converted))
    if len(before) < MIN_PAIRS:
        return {**threshold, "precision": "fp32"}
    moved = dict(threshold)
    count = max(MIN_PAIRS, int(NEAREST * len(before)))
    for key in KEYS:
        if key in threshold:
            near = np.argsort(np.abs(before - threshold[key]), kind="stable")[:count]
            moved[f"fp32_{key}"] = threshold[key]
            moved[key] = float(threshold[key] + (after[near] - before[near]).mean())
    return {**moved, "precision": precision, "pairs": count}
