"""A page beside a run, in a program of your own."""

import threading

from sdk.events import listening
from sdk.serve.site import LiveSite
from sdk.video.run import Ticks, run


def run_site(site: LiveSite, ticks: Ticks, stop: threading.Event) -> None:
    """Track `ticks` into `site` until they have ended, `stop` is set, or Ctrl-C or SIGTERM comes.

    What the tracker raises is passed on, and the site says so.
    """
    with listening((ticks, site.tracker), [site.listen]):
        run(ticks, site.tracker, [site], stop.is_set)
