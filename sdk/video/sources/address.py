"""One string says where a camera's frames come from: what it means, and what the camera is called."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

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

_NAME = re.compile(r"([A-Za-z0-9_][\w.-]*)=(.+)", re.DOTALL)
_TAIL = re.compile(r"(.*)#([a-z]+(?:=[\w.]+)?(?:&[a-z]+(?:=[\w.]+)?)*)", re.DOTALL)


@dataclass(frozen=True)
class Address:
    """Where one camera's frames come from."""

    kind: str
    """`FILE`, `IMAGES`, `STREAM`, `USB` or `PIPELINE`."""
    location: str
    """A path, a URL, a device (number or path), or a pipeline."""
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
        """The location for messages: without user and password."""
        return hide_password(self.location)

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

    Raises `DataError` naming a file that is missing, an unknown scheme, or an option that is unknown or malformed.
    """
    text = str(text)
    named = None if Path(text).exists() else _NAME.fullmatch(text)
    name, source = named.groups() if named else (None, text)
    tail = None if Path(source).exists() else _TAIL.fullmatch(source)
    source, options = (tail[1], _options(tail[2], text)) if tail else (source, {})
    kind, location, default = _locate(source.removeprefix("file://"), options)
    return Address(kind, location, name or _file_name(default), options)


def parse_addresses(texts: Sequence[str | Path]) -> list[Address]:
    """Several addresses; cameras of one name are told apart. `@FILE` stands for the lines of a file.

    Raises `DataError` as `parse_address` does, if there are none, or for a file of addresses that cannot be read.
    """
    lines = [line for text in texts for line in _expand(str(text))]
    if not lines:
        raise DataError("no video sources given; name at least one")
    addresses = [parse_address(line) for line in lines]
    names = _distinct([address.name for address in addresses])
    return [Address(a.kind, a.location, name, a.options) for a, name in zip(addresses, names, strict=True)]


def source_files(texts: Sequence[str | Path]) -> list[str]:
    """The files and folders that are read for the sources `texts`, files of addresses among them.

    Raises `DataError` as `parse_addresses` does.
    """
    lists = [str(text)[1:] for text in texts if str(text).startswith("@") and not Path(text).exists()]
    return lists + [address.location for address in parse_addresses(texts) if address.ends]


def _expand(text: str) -> list[str]:
    """The addresses in a file if `text` is `@FILE`: a line each, without empty ones and those that begin with a #."""
    if not text.startswith("@") or Path(text).exists():
        return [text]
    try:
        lines = Path(text[1:]).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{text[1:]}: no readable file of sources ({getattr(error, 'strerror', error)})") from error
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def camera_names(paths: Sequence[str | Path]) -> list[str]:
    """File names without ending; a second `door.mp4` becomes door-2."""
    return _distinct([_file_name(Path(path).stem) for path in paths])


def hide_password(text: str) -> str:
    """The text with `user:password@` taken out of every URL in it."""
    return re.sub(r"(\w+://)[^/\s\"']*@", r"\1", text)


def _locate(source: str, options: dict[str, str]) -> tuple[str, str, str]:
    """Kind, location and default name of a source without name and options."""
    path = Path(source)
    if path.is_dir():
        return IMAGES, source, path.resolve().name
    if path.is_file():
        return FILE, source, path.stem
    if source.startswith("gst:") or " ! " in source:
        return PIPELINE, source.removeprefix("gst:").strip(), "pipeline"
    if csi := re.fullmatch(r"csi:(\d+)", source):
        width, height = options.get("size", "1280x720").split("x")
        pipeline = CSI.format(sensor=csi[1], width=width, height=height, fps=int(float(options.get("fps", "30"))))
        return PIPELINE, pipeline, f"csi-{csi[1]}"
    if usb := re.fullmatch(r"(?:usb:)?(\d+)|(/dev/\w+)", source):
        return USB, usb[1] or usb[2], f"usb-{usb[1]}" if usb[1] else Path(usb[2]).name
    if url := re.match(r"([a-z][a-z0-9+.-]*)://", source, re.IGNORECASE):
        if url[1].lower() not in SCHEMES:
            raise DataError(f"{hide_password(source)}: unknown scheme '{url[1]}'; {FORMS}")
        parts = urlsplit(source)
        return STREAM, source, f"{parts.hostname or ''}{parts.path}"
    raise DataError(f"{source}: no such video file; {FORMS}")


def _options(text: str, source: str) -> dict[str, str]:
    options = dict(part.partition("=")[::2] for part in text.split("&"))
    forms = {"fps": r"\d+(\.\d+)?", "size": r"\d+x\d+", "live": "", "loop": r"[1-9]\d{0,8}"}
    for key, value in options.items():
        if key not in OPTIONS:
            raise DataError(f"{hide_password(source)}: unknown option '{key}'; there are {', '.join(OPTIONS)}")
        if not re.fullmatch(forms[key], value) or (key == "fps" and not 0 < float(value) <= 240):
            raise DataError(f"{hide_password(source)}: '{key}={value}' is malformed; {key}: {OPTIONS[key]}")
    return options


def _file_name(text: str) -> str:
    """The text with all that does not belong into a file name replaced."""
    return re.sub(r"[^\w.-]+", "-", text).strip("-.") or "camera"


def _distinct(wanted: Sequence[str]) -> list[str]:
    names: list[str] = []
    for first in wanted:
        name, count = first, 1
        while name in names:
            count += 1
            name = f"{first}-{count}"
        names.append(name)
    return names
