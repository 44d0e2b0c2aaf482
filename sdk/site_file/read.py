"""A site's file, held against the options of `reid track` and `reid serve`, whatever these are."""

import difflib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sdk.age import age_in_seconds
from sdk.errors import DataError, GalleryError
from sdk.event_sinks import check_sinks, parse_choice
from sdk.site_file.document import Document, Place, read_document
from sdk.site_file.options import KINDS, Option, fits, from_text, options_of
from sdk.tracking.config import TrackerConfig
from sdk.video.sources.address import OPTIONS as CAMERA_OPTIONS
from sdk.video.sources.address import parse_addresses, source_files
from sdk.zones import Zones, read_zones

CAMERAS, PAGE, RETENTION = "cameras", "page", "retention"
SOURCES = "sources"
"""The commands' argument, which is made of the cameras."""
CAMERA = ("source", *CAMERA_OPTIONS, "zones", "lines")
"""Keys of a camera."""
TOLD_APART = {"config": TrackerConfig.from_dict}
"""Options with a file of their own, whose values may stand in this one instead."""
MADE = ("cache", "output", "zones")
"""Paths that need not be there before the start: the page may draw the first zones, the store fills the cache."""


@dataclass(frozen=True)
class SiteFile:
    """What a site's file says."""

    page: bool
    """Whether it is to be served (`reid serve`), or only tracked (`reid track`)."""
    values: dict[str, object]
    """Arguments of that command's function, by name; paths are whole."""
    retention: float | None = None
    """Of the gallery, s."""


def read_site(
    path: str | Path, track: Callable, serve: Callable, environment: Mapping[str, str] = os.environ
) -> SiteFile:
    """Read and check a site's file; nothing is opened but what it names as a setting.

    track, serve: the functions of these commands; their options are the file's keys, those that only `serve` has under
    `page`. Raises `DataError` with all that is wrong, a line each, `FILE:LINE: KEY: what, and the remedy`.
    """
    document = read_document(path, environment)
    page = document.values.get(PAGE, False)
    if page is None:
        document.fault((PAGE,), "is empty; write true or false")
    serves = page is not None and page is not False
    tracked, served = options_of(track), options_of(serve)
    of_page = {key: option for key, option in served.items() if key not in tracked}
    site = {key: option for key, option in (served if serves else tracked).items() if key not in of_page}
    everywhere = {CAMERAS, PAGE, RETENTION} | (tracked.keys() | served.keys()) - of_page.keys() - {SOURCES}
    values: dict[str, object] = {}
    for key, value in document.values.items():
        if key in (CAMERAS, PAGE, RETENTION):
            continue
        if key not in everywhere:
            _unknown(document, (key,), everywhere)
        elif key not in site:
            document.fault((key,), f"a site {'with' if serves else 'without'} a page has no such option")
        elif value is not None:
            values[site[key].parameter] = _read(document, (key,), value, site[key])
    if serves:
        values |= _page(document, page, of_page)
    sources, zones = _cameras(document, document.values.get(CAMERAS))
    if sources:
        values[SOURCES] = sources
    elif document.values.get(CAMERAS) is None and not values.get("simulated"):
        place = (CAMERAS,) if CAMERAS in document.values else ()
        document.fault(place, "there are no cameras; begin with 'cameras:', and a camera a line under it")
    if sources and values.get("simulated"):
        document.fault((PAGE, "simulated"), "a drawn site has cameras of its own; leave it or 'cameras:' away")
    if zones:
        if "zones" in values:
            document.fault(("zones",), "there are zones at the cameras too; leave the file or those away")
        values["zones"] = _noted(document, (CAMERAS,), lambda: Zones.from_mapping(zones))
    for option in site.values():
        if option.required and option.key != SOURCES and option.parameter not in values:
            document.fault((), f"{option.key} is missing: {option.help}")
    retention = document.values.get(RETENTION)
    if retention is not None:
        said = str(retention)
        retention = _noted(document, (RETENTION,), lambda: age_in_seconds(said, never=True))
        if "gallery" not in values:
            document.fault((RETENTION,), "it is the gallery's, and there is none; name one with 'gallery:'")
    document.check()
    _check_together(document, values)
    document.check()
    return SiteFile(serves, values, retention)


def _page(document: Document, page: object, options: dict[str, Option]) -> dict[str, object]:
    if page is True:
        return {}
    if not isinstance(page, dict):
        document.fault((PAGE,), f"write true, false, or under it {', '.join(options)}")
        return {}
    values = {}
    for key, value in page.items():
        if key not in options:
            _unknown(document, (PAGE, key), options)
        elif value is not None:
            values[options[key].parameter] = _read(document, (PAGE, key), value, options[key])
    return values


def _read(document: Document, place: Place, value: object, option: Option) -> object:
    """The value of an option as its command takes it."""
    if option.key in TOLD_APART and isinstance(value, dict):
        return _noted(document, place, lambda: TOLD_APART[option.key](value))
    if option.several:
        listed = value if isinstance(value, list) else [value]
        return [_one(document, (*place, at), one, option) for at, one in enumerate(listed)]
    return _one(document, place, value, option)


def _one(document: Document, place: Place, value: object, option: Option) -> object:
    if place in document.filled:
        value = from_text(value, option.kind)
    if not fits(value, option.kind):
        document.fault(place, f"is {_kind(value)}; give {KINDS[option.kind]}")
        return None
    if option.kind is Path:
        path = document.path.parent / value
        if option.key not in MADE and not path.exists():
            document.fault(place, f"{path}: no such file or folder")
        return path
    return _placed(document, option.key, value) if isinstance(value, str) else value


def _placed(document: Document, key: str, text: str) -> str:
    """A text that may be a file's name, from the folder of the document on."""
    where = parse_choice(text)[0] if key == "events" and "#" in text else text
    if "://" in where or where == "-":
        return text
    is_file = key in ("gallery", "events") or (key == "detector" and (where.endswith((".onnx", ".engine"))))
    if key == "detector" and is_file and not (document.path.parent / where).is_file():
        document.fault((key,), f"{document.path.parent / where}: no such file")
    return str(document.path.parent / text) if is_file else text


def _cameras(document: Document, cameras: object) -> tuple[list[str], dict[str, dict]]:
    """The sources as the commands take them, and the zones and lines by camera."""
    if cameras is None:
        return [], {}
    if not isinstance(cameras, dict) or not cameras:
        document.fault((CAMERAS,), "write a camera a line under it, NAME: SOURCE")
        return [], {}
    sources, zones = [], {}
    for name, camera in cameras.items():
        place = (CAMERAS, name)
        if not isinstance(name, str):
            document.fault(place, "a camera's name is no text; write it in quotes")
            continue
        camera = {"source": camera} if isinstance(camera, str | int) else camera
        if not isinstance(camera, dict):
            document.fault(place, f"write its source, or under it {', '.join(CAMERA)}")
            continue
        for key in camera:
            if key not in CAMERA:
                _unknown(document, (*place, key), CAMERA)
        source = camera.get("source")
        if not isinstance(source, str | int) or isinstance(source, bool):
            document.fault((*place, "source"), "is missing: a file, a folder, rtsp://…, usb:0, …")
            continue
        own = {kind: camera[kind] for kind in ("zones", "lines") if camera.get(kind) is not None}
        if own and _noted(document, place, lambda name=name, own=own: Zones.from_mapping({name: own})) is not None:
            zones[name] = own
        text = f"{name}={_source(document, str(source))}{_tail(document, place, camera, str(source))}"
        _noted(document, (*place, "source"), lambda text=text: parse_addresses([text]))
        sources.append(text)
    return sources, zones


def _source(document: Document, source: str) -> str:
    beside = document.path.parent / source.rpartition("#")[0] if "#" in source else document.path.parent / source
    return str(document.path.parent / source) if beside.exists() or _is_path(source) else source


def _is_path(source: str) -> bool:
    """Whether it is none of the other forms (`sdk.video.sources.address`)."""
    other = source.startswith(("usb:", "csi:", "gst:", "@", "/")) or "://" in source or " ! " in source
    return not other and not source.isdigit()


def _tail(document: Document, place: Place, camera: dict, source: str) -> str:
    """The camera's own options, as they follow an address."""
    said = []
    for key in CAMERA_OPTIONS:
        value = camera.get(key)
        if value is None or value is False:
            continue
        if not isinstance(value, bool | int | float | str):
            document.fault((*place, key), f"is {_kind(value)}; {CAMERA_OPTIONS[key]}")
            continue
        said.append(key if value is True else f"{key}={value}")
    if said and "#" in source:
        document.fault((*place, "source"), f"has options after a # already; write {', '.join(said)} there too")
        return ""
    return f"#{'&'.join(said)}" if said else ""


def _check_together(document: Document, values: dict) -> None:
    """What the commands would look at first, without opening a camera."""
    sources, events = values.get(SOURCES), values.get("events") or []
    used = [values[key] for key in ("model", "detector", "gallery") if values.get(key) is not None]
    _noted(document, ("events",), lambda: check_sinks(events, [*(source_files(sources) if sources else ()), *used]))
    if isinstance(config := values.get("config"), Path):
        _noted(document, ("config",), lambda: TrackerConfig.load(config))
    zones = values.get("zones")
    if isinstance(zones, Path) and zones.exists():
        zones = _noted(document, ("zones",), lambda: read_zones(values["zones"]))
    if isinstance(zones, Zones) and sources:
        names = [address.name for address in parse_addresses(sources)]
        _noted(document, ("zones",) if "zones" in document.values else (CAMERAS,), lambda: zones.check_cameras(names))


def _noted(document: Document, place: Place, act: Callable) -> object:
    """What `act` returns; what it refuses is noted of that place."""
    try:
        return act()
    except (DataError, GalleryError) as error:
        document.fault(place, str(error))
    except TypeError:
        document.fault(place, "its keys are no texts; write them in quotes")
    return None


def _unknown(document: Document, place: Place, known: Iterable[str]) -> None:
    near = difflib.get_close_matches(str(place[-1]).replace("-", "_"), known, n=1)
    remedy = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(known))}"
    document.fault(place, f"no such key; {remedy}")


def _kind(value: object) -> str:
    if isinstance(value, dict | list) or value is None:
        return "a mapping" if isinstance(value, dict) else "a list" if isinstance(value, list) else "empty"
    return KINDS.get(type(value), "something else")
