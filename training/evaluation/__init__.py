"""Evaluation: ranking figures, the match threshold, and both for a whole dataset."""

from training.evaluation.dataset import Evaluation, embed_dataset, evaluate_dataset
from training.evaluation.ranking import RankingResult, evaluate_distances, evaluate_ranking
from training.evaluation.threshold import Threshold, calibrate_threshold

__all__ = [
    "Evaluation",
    "RankingResult",
    "Threshold",
    "calibrate_threshold",
    "embed_dataset",
    "evaluate_dataset",
    "evaluate_distances",
    "evaluate_ranking",
]
