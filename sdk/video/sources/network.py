"""Is a network camera there? Asked before OpenCV is, which opens one stream at a time in the whole program.

Its lock is held for as long as a dead camera is waited for; meanwhile no other could connect.
"""

import os
import socket
from urllib.parse import urlsplit

from sdk.errors import DataError
from sdk.video.sources.address import hide_password

PORTS = {"rtsp": 554, "rtsps": 322, "rtmp": 1935, "http": 80, "https": 443}
"""Of the schemes that go over TCP."""

FFMPEG_OPTIONS = "rtsp_flags;prefer_tcp|fpsprobesize;0"
"""TCP, as OpenCV has it, since UDP loses parts of pictures; and no waiting for frames to guess a rate nobody asks for,
which takes most of the time that it takes to connect."""


def set_ffmpeg_options() -> None:
    """Choose how OpenCV's FFmpeg opens what is opened from now on, unless the user's environment does."""
    os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", FFMPEG_OPTIONS)


def check_reachable(url: str, timeout: float) -> None:
    """Raise `DataError` if nothing answers at `url` within `timeout` s; RTSP servers must say a word."""
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    if scheme not in PORTS or not parts.hostname:
        return
    try:
        port = parts.port or PORTS[scheme]
    except ValueError as error:
        raise DataError(f"{hide_password(url)}: {error}") from None
    where = f"{hide_password(url)}: {parts.hostname} port {port}"
    try:
        with socket.create_connection((parts.hostname, port), timeout=timeout) as connection:
            if scheme != "rtsp":
                return
            connection.settimeout(timeout)
            bare = hide_password(url)
            connection.sendall(f"OPTIONS {bare} RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: aligned-reid\r\n\r\n".encode())
            if not connection.recv(64).startswith(b"RTSP/"):
                raise DataError(f"{where} does not speak RTSP; is the address right?")
    except TimeoutError:
        raise DataError(f"{where} does not answer; is the camera on, and the cable in?") from None
    except OSError as error:
        raise DataError(f"{where}: {error.strerror or error}; is the camera on, and the address right?") from None
