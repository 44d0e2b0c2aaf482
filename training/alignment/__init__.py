"""How two crops are aligned, stripe by stripe: the measures, and a picture of them."""

from training.alignment.measure import Alignment, align_crops
from training.alignment.picture import draw_alignment

__all__ = ["Alignment", "align_crops", "draw_alignment"]
