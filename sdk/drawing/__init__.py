"""Boxes and names drawn into pictures: the same in annotated videos and in the live page's streams."""

from sdk.drawing.labels import Label, place_label
from sdk.drawing.people import draw_people

__all__ = ["Label", "draw_people", "place_label"]
