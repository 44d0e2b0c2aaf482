"""Is a network camera there? Asked before OpenCV is, which opens one stream at a time in the whole program.

Its lock is held for as long as a dead camera is waited for; meanwhile no other could connect.
"""

import os
import socket

from sdk.confidential import Confidential, take_apart
from sdk.errors import DataError

PORTS = {"rtsp": 554, "rtsps": 322, "rtmp": 1935, "http": 80, "https": 443}
"""Of the schemes that go over TCP."""

FFMPEG_OPTIONS = "rtsp_flags;prefer_tcp|fpsprobesize;0"
"""TCP, as OpenCV has it, since UDP loses parts of pictures; and no waiting for frames to guess a rate nobody asks for,
which takes most of the time that it takes to connect."""


def set_ffmpeg_options() -> None:
    """Choose how OpenCV's FFmpeg opens what is opened from now on, unless the user's environment does."""
    os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", FFMPEG_OPTIONS)


def check_reachable(url: str | Confidential, timeout: float) -> None:
    """Raise `DataError` if nothing answers at `url` within `timeout` s; RTSP servers must say a word."""
    parts = take_apart(url.reveal() if isinstance(url, Confidential) else url)
    if parts.scheme not in PORTS or not parts.host:
        return
    port = parts.port or PORTS[parts.scheme]
    where = f"{parts.shown}: {parts.host} port {port}"
    try:
        with socket.create_connection((parts.host, port), timeout=timeout) as connection:
            if parts.scheme != "rtsp":
                return
            connection.settimeout(timeout)
            # The server as a whole is asked, so nothing confidential crosses the network for it.
            request = f"OPTIONS {parts.origin}/ RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: aligned-reid\r\n\r\n"
            connection.sendall(request.encode())
            if not connection.recv(64).startswith(b"RTSP/"):
                raise DataError(f"{where} does not speak RTSP; is the address right?")
    except TimeoutError:
        raise DataError(f"{where} does not answer; is the camera on, and the cable in?") from None
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise DataError(f"{where}: {reason}; is the camera on, and the address right?") from None
