"""The paper's ablation on any people: baseline, + aligned, + mutual; each with what can be added at test.

Paper, section 4.3. A run trains one network of one arm on one draw of the people (a seed) and ranks the people held
out in each of the ways that its arm allows. All arms of a seed share the people, the batches and, where they are
random, the first network's weights.
"""

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from sdk.errors import DataError
from sdk.measures import cosine, re_ranked, rescored
from sdk.output import write_whole
from sdk.terminal import notes
from training.checkpoint import Checkpoint
from training.config import RunConfig
from training.data import PeopleDataset
from training.embedder import TorchEmbedder
from training.evaluation import cross_camera_test, evaluate_retrieval
from training.trainer import train

GLOBAL, LOCAL, RE_RANKED = "global", "+ local distance", "+ re-ranking"
FIGURES = ("rank1", "rank5", "mAP")


@dataclass(frozen=True)
class Arm:
    """One way to train."""

    name: str
    aligned: bool
    mutual: bool

    def settings(self, config: RunConfig, partner: str, seed: int) -> RunConfig:
        """`config` as this arm wants it."""
        train = replace(config.train, seed=seed, partners=(partner,) if self.mutual else ())
        return replace(config, train=train if self.aligned else replace(train, local_weight=0.0))


ARMS = (Arm("baseline", False, False), Arm("+ aligned", True, False), Arm("+ mutual", True, True))

Split = Callable[[int], tuple[PeopleDataset, PeopleDataset]]
"""Seed → (people to train on, people held out)."""


def ablate(
    split: Split,
    facts: dict,
    config: RunConfig,
    seeds: int,
    output: Path,
    *,
    partner: str,
    init: Checkpoint | None = None,
    device: str = "cpu",
    workers: int = 0,
) -> list[dict]:
    """Train and test all arms for seeds 0 … `seeds` − 1; `output/ablation.json` is written after each run.

    Rows of {"arm", "seed", "ranking", "rank1", "rank5", "mAP", "queries"}. Runs that the file holds already are not
    repeated. Raises `DataError` if it is of other people or settings, which `facts` tell.
    """
    path = output / "ablation.json"
    facts = json.loads(json.dumps(facts))  # as in the file: tuples become lists
    rows = _rows_of(path, facts)
    for seed in range(seeds):
        training, held_out = split(seed)
        for arm in ARMS:
            if any((row["arm"], row["seed"]) == (arm.name, seed) for row in rows):
                continue
            notes.print(f"seed {seed}, {arm.name}")
            with tempfile.TemporaryDirectory() as folder:
                own = arm.settings(config, partner, seed)
                checkpoint = train(training, Path(folder), own, device=device, workers=workers, init=init)
            for ranking, figures in rank(checkpoint, held_out, arm.aligned, device).items():
                rows.append({"arm": arm.name, "seed": seed, "ranking": ranking} | figures)
            write_whole(path, json.dumps(facts | {"runs": rows}, indent=2) + "\n")
    return [row for row in rows if row["seed"] < seeds]


def rank(checkpoint: Checkpoint, people: PeopleDataset, aligned: bool, device: str = "cpu") -> dict[str, dict]:
    """Figures by the way of ranking: every crop once, against all crops of the other cameras.

    The local distance goes into the ranking as cosine + local / (2S − 1), both of which are of order 1, and only where
    the local branch was trained.
    """
    extract = TorchEmbedder(checkpoint.build_model().to(device)).features
    measures = {GLOBAL: cosine, LOCAL: rescored(candidates=None), RE_RANKED: re_ranked}
    if not aligned:
        del measures[LOCAL]
    results = evaluate_retrieval(extract, cross_camera_test(people), measures, with_stripes=aligned)
    return {
        name: {figure: result.to_dict()[figure] for figure in (*FIGURES, "queries")} for name, result in results.items()
    }


def _rows_of(path: Path, facts: dict) -> list[dict]:
    if not path.is_file():
        return []
    try:
        there = json.loads(path.read_text(encoding="utf-8"))
        rows = there.pop("runs")
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise DataError(f"{path}: not readable as runs of an ablation; choose another --output") from error
    different = [name for name in facts if there.get(name) != facts[name]]
    if different:
        raise DataError(f"{path} holds runs with other {', '.join(different)}; choose another --output")
    return rows
