"""One address for every kind of sink, as the command line takes it."""

import os
import re
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from sdk.confidential import hide
from sdk.errors import DataError
from sdk.event_sinks.choice import PictureOf, parse_choice
from sdk.event_sinks.delivery import Delivery
from sdk.event_sinks.http import http_sink
from sdk.event_sinks.json_lines import json_lines_sink
from sdk.event_sinks.mqtt import mqtt_sink
from sdk.output import check_output

SECRET = "REID_EVENTS_SECRET"
"""Environment variable: the password of an MQTT user, or the token for HTTP; others can read a command line."""


def check_sinks(addresses: Iterable[str], inputs: Iterable[str | Path]) -> None:
    """Refuse, before any work, a file for events that is one of the `inputs`: they would be written to its end.

    Raises `DataError` that names the file and the way on, or what is wrong with the options of an address.
    """
    inputs = list(inputs)
    for address in addresses:
        address, _ = parse_choice(address)
        if address != "-" and "://" not in address:
            check_output(address, inputs)


def open_sink(address: str, pictures: PictureOf | None = None, **settings) -> Delivery:
    """`-` is standard output; `http://…`, `https://…`, `mqtt://…` and `mqtts://…` are receivers; else a file's path.

    After a `#` the address may say which events are sent, and whether with a picture (`sdk.event_sinks.choice`).
    pictures: gives the JPEG of the person of an event; needed for addresses that want one. settings: of `Delivery`.
    Raises `DataError` if the address is none of these or the file cannot be opened, and `MissingPackageError` if a
    package is absent. A receiver that is down is no error: events wait for it.
    """
    address, choice = parse_choice(address)
    if choice.picture and pictures is None:
        raise DataError(f"{hide(address)}: its events are to have pictures, and there are none here; leave it out")
    if choice:
        settings["choose"] = partial(choice.of, pictures=pictures)
    scheme, colon, _ = address.partition("://")
    secret = os.environ.get(SECRET, "").strip() or None
    if address == "-":
        return json_lines_sink(**settings)
    if not colon:
        if re.match("(https?|mqtts?):", address):
            raise DataError(f"{hide(address)}: no address to send events to; write // after the scheme")
        return json_lines_sink(address, **settings)
    if scheme in ("http", "https"):
        return http_sink(address, secret, **settings)
    if scheme in ("mqtt", "mqtts"):
        return mqtt_sink(address, secret, **settings)
    raise DataError(f"events cannot be sent to '{hide(scheme)}://'; use a file, -, http(s)://… or mqtt(s)://…")
