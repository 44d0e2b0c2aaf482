"""The map of embeddings: crops as points of a plane, near to each other where the model finds them alike."""

from sdk.embedding_map.page import write_page
from sdk.embedding_map.picture import draw_map
from sdk.embedding_map.place import place
from sdk.embedding_map.points import Point, points_of_features, points_of_gallery

__all__ = ["Point", "draw_map", "place", "points_of_features", "points_of_gallery", "write_page"]
