"""The sinks that a command line names, with what gives their events pictures where that is wanted."""

import contextlib
from collections.abc import Callable, Iterable

from sdk.event_sinks import Delivery, open_sink, parse_choice
from sdk.tracking import MultiCameraTracker
from sdk.video.latest_pictures import LatestPictures
from sdk.video.observer import Observer


def open_sinks(
    addresses: Iterable[str], tracker: MultiCameraTracker, stack: contextlib.ExitStack, tell: Callable[[str], None]
) -> tuple[list[Observer], list[Delivery]]:
    """(observers that the run must have, the sinks), opened in `stack`. Who is forgotten is in no picture that waits.

    Raises as `open_sink` does.
    """
    addresses = list(addresses)
    pictures = LatestPictures(tracker) if any(parse_choice(address)[1].picture for address in addresses) else None
    of = None if pictures is None else pictures.of
    sinks = [stack.enter_context(open_sink(address, of, tell=tell)) for address in addresses]
    if pictures is None:
        return [], sinks
    for sink in sinks:
        tracker.add_keeper(lambda tracklet: None, sink.drop_pictures)
    return [pictures], sinks
