"""How large an image is, read from its first bytes: before anybody makes room for all its pixels."""

import struct

PNG, JPEG, BMP, RIFF = b"\x89PNG\r\n\x1a\n", b"\xff\xd8", b"BM", b"RIFF"
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
"""JPEG's markers of a frame's header, which has the size."""


def image_size(content: bytes) -> tuple[int, int] | None:
    """Width and height in px that a PNG, JPEG, BMP or WebP says it has; None for anything else, or no such header."""
    try:
        if content.startswith(PNG):
            return struct.unpack_from(">II", content, 16)
        if content.startswith(BMP):
            return tuple(map(abs, struct.unpack_from("<ii", content, 18)))
        if content.startswith(JPEG):
            return _jpeg_size(content)
        if content.startswith(RIFF) and content[8:12] == b"WEBP":
            return _webp_size(content)
    except struct.error:  # cut short
        pass
    return None


def promises_more(content: bytes | memoryview) -> bool:
    """Whether a PNG has a chunk that says it is longer than the file: a reader makes room for that, up to 4 GB."""
    place = len(PNG)
    if bytes(content[:place]) != PNG:
        return False
    while place + 8 <= len(content):
        (length,) = struct.unpack_from(">I", content, place)
        place += 12 + length
        if place > len(content):
            return True
    return False


def _jpeg_size(content: bytes) -> tuple[int, int] | None:
    position = 2
    while True:
        marker, length = struct.unpack_from(">HH", content, position)
        if marker == 0xFFFF:  # it may be filled up with these
            position += 1
            continue
        if marker >> 8 != 0xFF or length < 2:
            return None
        if marker & 0xFF in _FRAMES:
            height, width = struct.unpack_from(">HH", content, position + 5)
            return width, height
        position += 2 + length


def _webp_size(content: bytes) -> tuple[int, int] | None:
    kind = content[12:16]
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", content, 26)
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", content, 21)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8X":
        return 1 + int.from_bytes(content[24:27], "little"), 1 + int.from_bytes(content[27:30], "little")
    return None
