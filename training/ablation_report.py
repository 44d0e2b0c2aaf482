"""The ablation as a Markdown table and as a picture."""

from pathlib import Path

import numpy as np

from sdk.errors import missing_package
from sdk.output import whole_file
from training.ablation import ARMS, FIGURES

TITLES = {"rank1": "rank-1", "rank5": "rank-5", "mAP": "mAP"}


def combinations(rows: list[dict]) -> list[tuple[str, str]]:
    """(arm, ranking) in the order of the paper's table."""
    found = dict.fromkeys((row["arm"], row["ranking"]) for row in rows)
    return [combination for arm in ARMS for combination in found if combination[0] == arm.name]


def by_seed(rows: list[dict], arm: str, ranking: str, figure: str) -> np.ndarray:
    """A figure of one combination, a value a seed, float64 `[seeds]`."""
    chosen = {row["seed"]: row[figure] for row in rows if (row["arm"], row["ranking"]) == (arm, ranking)}
    return np.array([chosen[seed] for seed in sorted(chosen)])


def spread(values: np.ndarray) -> float:
    """Standard deviation over the seeds; 0 of a single one."""
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0


def markdown(rows: list[dict], facts: dict) -> str:
    """A table of means and standard deviations, and the paired differences to the baseline."""
    combined = combinations(rows)
    seeds = len(by_seed(rows, *combined[0], "rank1"))
    lines = ["# Ablation", ""]
    lines += [f"- {name}: {value}" for name, value in facts.items()]
    lines += [
        f"- mean ± standard deviation over {seeds} seeds; Δ is the mean paired difference to the first row, with the "
        "number of seeds above it",
        "",
        "| training | ranking | " + " | ".join(TITLES[figure] for figure in FIGURES) + " | Δ rank-1 | Δ mAP |",
        "|---|---|" + "---|" * (len(FIGURES) + 2),
    ]
    for arm, ranking in combined:
        cells = []
        for figure in FIGURES:
            values = by_seed(rows, arm, ranking, figure)
            cells.append(f"{values.mean():.3f} ± {spread(values):.3f}")
        for figure in ("rank1", "mAP"):
            difference = by_seed(rows, arm, ranking, figure) - by_seed(rows, *combined[0], figure)
            first = (arm, ranking) == combined[0]
            cells.append("" if first else f"{difference.mean():+.3f} ({(difference > 0).sum()} of {seeds})")
        lines.append(f"| {arm} | {ranking} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def draw(rows: list[dict], path: Path, title: str) -> None:
    """rank-1 and mAP of every combination: a dot a seed, a bar at the mean. Writes a PNG."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise missing_package("matplotlib", "train", "the picture of the ablation") from None
    combined = combinations(rows)
    figure = Figure(figsize=(9, 0.45 * len(combined) + 1.4), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    places = np.arange(len(combined))[::-1]
    for axis, name in zip(axes, ("rank1", "mAP"), strict=True):
        for place, combination in zip(places, combined, strict=True):
            values = by_seed(rows, *combination, name)
            axis.plot(values, np.full(len(values), place), "o", color="#6b9bd1", alpha=0.7, markersize=5)
            axis.plot([values.mean()] * 2, [place - 0.3, place + 0.3], color="#1b3a5c", linewidth=2.5)
            axis.annotate(f"{values.mean():.3f}", (values.mean(), place + 0.33), ha="center", va="bottom", fontsize=8)
        axis.set_title(TITLES[name], fontsize=10)
        axis.grid(axis="x", color="#dddddd")
        axis.set_axisbelow(True)
        axis.set_ylim(-0.6, len(combined) - 0.1)
        for side in ("top", "right", "left"):
            axis.spines[side].set_visible(False)
        axis.tick_params(axis="y", length=0)
    axes[0].set_yticks(places, [f"{arm},  {ranking}" for arm, ranking in combined], fontsize=9)
    figure.suptitle(title, fontsize=10)
    with whole_file(path, "wb") as file:
        figure.savefig(file, format="png", dpi=130)
