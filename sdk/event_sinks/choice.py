"""Which events a receiver gets, and whether with a picture: what stands after the `#` of its address.

mqtt://broker/site#kind=entered,left_zone&camera=dock&zone=gate&identity=ann&picture
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from urllib.parse import unquote

from sdk.confidential import hide
from sdk.errors import DataError
from sdk.events import KINDS, Event

PictureOf = Callable[[Event], bytes | None]
"""JPEG of the person of an event; None: there is none."""


@dataclass(frozen=True)
class Choice:
    """Of each of the four, the values that are sent; None: all. An event that has no such thing is not sent then."""

    kind: frozenset[str] | None = None
    camera: frozenset[str] | None = None
    zone: frozenset[str] | None = None
    """Zones and lines."""
    identity: frozenset[str] | None = None
    picture: bool = False

    def __bool__(self) -> bool:
        return self != Choice()

    def takes(self, event: Event) -> bool:
        """Whether an event is sent."""
        zone = event.detail.get("zone", event.detail.get("line"))
        values = {"kind": event.kind, "camera": event.camera, "zone": zone, "identity": event.identity}
        return all(getattr(self, name) is None or value in getattr(self, name) for name, value in values.items())

    def of(self, event: Event, pictures: PictureOf | None = None) -> Event | None:
        """The event as it is sent, with `detail["picture"]` (base64 of a JPEG) where that is wanted and there is one;
        None: it is not sent."""
        if not self.takes(event):
            return None
        picture = pictures(event) if self.picture and pictures is not None else None
        if picture is None:
            return event
        return replace(event, detail={**event.detail, "picture": base64.b64encode(picture).decode()})


NAMES = tuple(field.name for field in fields(Choice) if field.name != "picture")


def parse_choice(address: str) -> tuple[str, Choice]:
    """An address without what stands after its `#`, and what that means.

    A file's name may have a `#` too: what follows is an option if it is `picture` or has a `=`. Raises `DataError`
    naming an option or a kind that does not exist, or a file that is to have pictures: from there `forget` could not
    erase them.
    """
    plain, mark, options = address.rpartition("#")
    remote = "://" in address
    if not options or not mark or not (remote or "=" in options or options == "picture"):
        return address, Choice()
    # Of an address its kind alone: a webhook's path is its key, and a password may have a # in it.
    told = f"{address.partition('://')[0]}://…" if remote else hide(plain)
    values: dict = {}
    for option in options.split("&"):
        name, equals, text = option.partition("=")
        if option == "picture":
            values["picture"] = True
        elif name in NAMES and equals and text:
            values[name] = frozenset(map(unquote, text.split(",")))
        else:
            known = ", ".join(f"{known}=…" for known in NAMES)
            # The option is not quoted: the rest of a secret with a # in it would be one.
            raise DataError(f"{told}: an option after # is unknown or empty; there are {known}, picture")
    if unknown := sorted(values.get("kind", frozenset()) - KINDS.keys()):
        raise DataError(f"{told}: '{unknown[0]}' is no kind of event; there are {', '.join(KINDS)}")
    if values.get("picture") and not remote and plain != "-":
        raise DataError(f"{told}: pictures of people are not written to files; send them to http(s):// or mqtt(s)://")
    return plain, Choice(**values)
