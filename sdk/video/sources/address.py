"""One string says where a camera's frames come from: what it means, and what the camera is called."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from sdk import names
from sdk.confidential import Confidential, hide, shown_text, take_apart
from sdk.errors import DataError

FILE, IMAGES, STREAM, USB, PIPELINE = "file", "images", "stream", "usb", "pipeline"

SCHEMES = ("rtsp", "rtsps", "rtmp", "http", "https", "srt", "udp", "tcp")
"""Of network streams: what FFmpeg, which OpenCV brings along, opens as one."""

OPTIONS = {
    "fps": "frames a second of a folder of images, or of a USB or CSI camera",
    "size": "WIDTHxHEIGHT in px that a USB or CSI camera is asked for",
    "live": "play a file or folder in real time, as if it were a camera: frames that come too fast are passed over",
    "loop": "play a file or folder so many times over, its clock going on",
}
"""What may follow the address after a #, joined by &."""

CSI = (
    "nvarguscamerasrc sensor-id={sensor} ! video/x-raw(memory:NVMM),width={width},height={height},framerate={fps}/1"
    " ! nvvidconv ! video/x-raw,format=BGRx"
)
"""The pipeline of a camera on a Jetson's ribbon-cable connector."""

FORMS = "expected a video file, a folder of images, rtsp://…, http://…, usb:0, csi:0, or a GStreamer pipeline (a ! b)"

_NAME = re.compile(r"([^\s=:?&#!@\"'<>|*/\\]+)=(.+)", re.DOTALL)
_TAIL = re.compile(r"(.*)#([a-z]+(?:=[\w.]+)?(?:&[a-z]+(?:=[\w.]+)?)*)", re.DOTALL)


@dataclass(frozen=True)
class Address:
    """Where one camera's frames come from."""

    kind: str
    """`FILE`, `IMAGES`, `STREAM`, `USB` or `PIPELINE`."""
    location: str | Confidential
    """A path or a device (number or path); a URL or a pipeline, which may hold passwords, as `Confidential`."""
    name: str
    """Of the camera; fit for a file name."""
    options: dict[str, str] = field(default_factory=dict)

    @property
    def live(self) -> bool:
        """Whether its frames come when they come, so that only the newest is worth having."""
        return self.kind in (STREAM, USB, PIPELINE) or "live" in self.options

    @property
    def ends(self) -> bool:
        """Whether it has a last frame, after which there is nothing to connect to again."""
        return self.kind in (FILE, IMAGES)

    @property
    def shown(self) -> str:
        """The location for messages: of a URL what says where it is, of a pipeline its first element."""
        return str(self.location)

    @property
    def frame_rate(self) -> float | None:
        """The option `fps`; None if it is not given."""
        return float(self.options["fps"]) if "fps" in self.options else None

    @property
    def loops(self) -> int:
        """How often a file or folder is played: the option `loop`, or once."""
        return int(self.options.get("loop", 1))

    @property
    def size(self) -> tuple[int, int] | None:
        """The option `size` as (width, height) px; None if it is not given."""
        if "size" not in self.options:
            return None
        width, height = self.options["size"].split("x")
        return int(width), int(height)


def parse_address(text: str | Path) -> Address:
    """Understand `[NAME=]SOURCE[#OPTION&OPTION]`; what exists as a file or folder is taken as such, whatever its name.

    Raises `DataError` naming a file that is missing, an unknown scheme, an address that cannot be understood, a name
    that no file can have, or an option that is unknown or malformed; without what may be a password in it.
    """
    text = str(text)
    named = None if _exists(text) else _NAME.fullmatch(text)
    name, source = named.groups() if named else ("", text)
    name = unicodedata.normalize("NFC", name)
    if name and (wrong := names.wrong_with_camera(name)):
        raise DataError(f"a camera's name '{names.visible(name)}' {wrong}")
    tail = None if _exists(source) else _TAIL.fullmatch(source)
    source, options = (tail[1], _options(tail[2], tail[1])) if tail else (source, {})
    try:
        kind, location, default = _locate(source.removeprefix("file://"), options)
    except DataError as error:
        raise (DataError(f"{name}: {error}") if name else error) from None
    return Address(kind, location, name or names.camera_name(default), options)


def parse_addresses(texts: Sequence[str | Path]) -> list[Address]:
    """Several addresses; cameras of one name are told apart. `@FILE` stands for the lines of a file.

    Raises `DataError` as `parse_address` does, if there are none, or for a file of addresses that cannot be read.
    """
    lines = [line for text in texts for line in _expand(str(text))]
    if not lines:
        raise DataError("no video sources given; name at least one")
    addresses = [parse_address(line) for line in lines]
    told_apart = names.distinct(address.name for address in addresses)
    return [replace(address, name=name) for address, name in zip(addresses, told_apart, strict=True)]


def source_files(texts: Sequence[str | Path]) -> list[str]:
    """The files and folders that are read for the sources `texts`, files of addresses among them.

    Raises `DataError` as `parse_addresses` does.
    """
    lists = [str(text)[1:] for text in texts if str(text).startswith("@") and not _exists(str(text))]
    return lists + [address.location for address in parse_addresses(texts) if address.ends]


def _expand(text: str) -> list[str]:
    """The addresses in a file if `text` is `@FILE`: a line each, without empty ones and those that begin with a #."""
    if not text.startswith("@") or _exists(text):
        return [text]
    try:
        lines = Path(text[1:]).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", error)
        raise DataError(f"{_shown(text[1:])}: no readable file of sources ({reason})") from None
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def camera_names(paths: Sequence[str | Path]) -> list[str]:
    """File names without ending; a second `door.mp4` becomes door-2."""
    return names.distinct(names.camera_name(Path(path).stem) for path in paths)


hide_password = hide
"""The name from before there was more to hide."""


def _locate(source: str, options: dict[str, str]) -> tuple[str, str | Confidential, str]:
    """Kind, location and default name of a source without name and options."""
    if _exists(source):
        path = Path(source)
        return (IMAGES, source, path.resolve().name) if path.is_dir() else (FILE, source, path.stem)
    if source.startswith("gst:") or " ! " in source:
        return PIPELINE, confidential_pipeline(source.removeprefix("gst:").strip()), "pipeline"
    if csi := re.fullmatch(r"csi:(\d+)", source):
        width, height = options.get("size", "1280x720").split("x")
        pipeline = CSI.format(sensor=csi[1], width=width, height=height, fps=int(float(options.get("fps", "30"))))
        return PIPELINE, Confidential(pipeline, source), f"csi-{csi[1]}"
    if usb := re.fullmatch(r"(?:usb:)?(\d+)|(/dev/\w+)", source):
        return USB, usb[1] or usb[2], f"usb-{usb[1]}" if usb[1] else Path(usb[2]).name
    if re.match(r"\s*[A-Za-z][\w+.-]*://", source):
        url = take_apart(source.strip())
        if url.scheme not in SCHEMES:
            raise DataError(f"{url.shown}: unknown scheme '{url.scheme}'; {FORMS}")
        return STREAM, url.whole, url.host + url.shown.removeprefix(url.origin)
    raise DataError(f"{_shown(source)}: no such video file; {FORMS}")


def confidential_pipeline(pipeline: str) -> Confidential:
    """Any property in it may be a password or have one, so its first element stands for it.

    Raises `DataError` for a quote that is not closed.
    """
    if re.search("[\"']", re.sub(r"\"[^\"]*\"|'[^']*'", "", pipeline)):
        raise DataError("a pipeline has a quote that is not closed; write a ' within \"…\", and a \" within '…'")
    first = re.match(r"[\w/-]*", pipeline)[0]
    return Confidential(pipeline, f"pipeline {first} ! …")


def _exists(text: str) -> bool:
    """Whether there is a file or a folder of that name; what cannot be a name has none."""
    try:
        return Path(text).is_dir() or Path(text).is_file()
    except (OSError, ValueError):
        return False


def _shown(text: str) -> str:
    """A text that is no address, for messages: it may be one with a slip of the pen, and a password."""
    if "://" in text:
        return shown_text(text)
    return "…" if re.search("@|&.*=|=.*&", text) else names.visible(re.sub("[?=].*", "…", text, flags=re.DOTALL))


def _options(text: str, source: str) -> dict[str, str]:
    options = dict(part.partition("=")[::2] for part in text.split("&"))
    forms = {"fps": r"\d{1,4}(\.\d{1,9})?", "size": r"[1-9]\d{0,4}x[1-9]\d{0,4}", "live": "", "loop": r"[1-9]\d{0,8}"}
    # After a URL or in a pipeline a # may be a password's.
    plain = re.fullmatch(r"[\w./~ -]*|(usb|csi):\d+", source)
    for key, value in options.items():
        if key not in OPTIONS:
            named = f" '{key}'" if plain else ""
            raise DataError(f"{_shown(source)}: unknown option{named} after the #; there are {', '.join(OPTIONS)}")
        if not re.fullmatch(forms[key], value) or (key == "fps" and not 0 < float(value) <= 240):
            raise DataError(f"{_shown(source)}: the option '{key}' is malformed; {key}: {OPTIONS[key]}")
    return options
