"""The gallery: the identities that are known, and the search among them."""

from sdk.gallery.gallery import Gallery
from sdk.gallery.results import AuditLine, Candidate, IdentitySummary, Match, VerifyReport
from sdk.gallery.statistic import Statistic

__all__ = ["AuditLine", "Candidate", "Gallery", "IdentitySummary", "Match", "Statistic", "VerifyReport"]
