"""Evaluation: ranking figures, the match threshold, both for a whole dataset, and research datasets' protocols."""

from sdk.calibration import Threshold, calibrate_threshold
from training.evaluation.comparison import Comparison, compare
from training.evaluation.dataset import Evaluation, embed_dataset, evaluate_dataset
from training.evaluation.ranking import RankingResult, average_precision, evaluate_distances, evaluate_ranking
from training.evaluation.retrieval import cross_camera_test, evaluate_retrieval

__all__ = [
    "Comparison",
    "Evaluation",
    "RankingResult",
    "Threshold",
    "average_precision",
    "calibrate_threshold",
    "compare",
    "cross_camera_test",
    "embed_dataset",
    "evaluate_dataset",
    "evaluate_distances",
    "evaluate_ranking",
    "evaluate_retrieval",
]
