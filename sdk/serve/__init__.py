"""A local page over a running site: live cameras, who is there, where they were, and what to do about a name."""

from sdk.serve.access import Access
from sdk.serve.server import serve
from sdk.serve.site import LiveSite

__all__ = ["Access", "LiveSite", "serve"]
