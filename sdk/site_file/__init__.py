"""One YAML file for a site: what `reid track` or `reid serve` is to be called with (docs/site.md)."""

from sdk.site_file.read import SiteFile, read_site

__all__ = ["SiteFile", "read_site"]
