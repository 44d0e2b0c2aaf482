"""A whole site in motion: several cameras over one floor plan, people who walk through it, and who is where."""

from sdk.simulation.site.site import Site
from sdk.simulation.site.truth import Truth
from sdk.simulation.site.writing import write_site

__all__ = ["Site", "Truth", "write_site"]
