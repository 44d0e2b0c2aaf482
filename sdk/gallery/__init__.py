"""The gallery: the identities that are known, and the search among them."""

from sdk.gallery.memory import Gallery
from sdk.gallery.results import Candidate, Match

__all__ = ["Candidate", "Gallery", "Match"]
