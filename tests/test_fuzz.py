"""Bad content, a little of it: a result or one of our errors. `benchmarks/fuzz_inputs.py` has more of the same."""

import math
import os
import socket
import struct
import threading
import time
import zlib
from collections import Counter
from dataclasses import dataclass

import cv2
import numpy as np
import pytest

from benchmarks.fuzz_inputs import FAMILIES, FAULTS, fuzz, outcomes
from sdk import ReIdentifier
from sdk.errors import DataError
from sdk.folder import MOST_PIXELS, read_image
from sdk.image_header import image_size
from sdk.reading import EVENT, TRACK, check_types, parse_json, parse_yaml, read_lines

SEED = 20261125
CASES = {"requests": 120, "commands": 40}


@pytest.mark.parametrize("family", FAMILIES)
def test_bad_content_is_a_result_or_a_clear_refusal(family, tmp_path):
    found = list(outcomes(family, SEED, range(CASES.get(family, 150)), tmp_path))
    assert [row for row in found if row[1] in FAULTS] == []
    counts = Counter(outcome for _, outcome, _ in found)
    assert counts["result"] > 5, "some are as they should be"
    assert counts["refused"] > 20


def test_a_process_that_dies_or_hangs_is_told_and_the_rest_goes_on(monkeypatch):
    import benchmarks.fuzz_inputs as module

    def family(rng, folder):
        number = rng.randrange(8)
        kinds = {0: lambda: os._exit(3), 1: lambda: time.sleep(9), 2: lambda: 1 / 0, 3: in_a_thread}
        return kinds.get(number, lambda: None)

    def in_a_thread():
        thread = threading.Thread(target=lambda: [].pop())
        thread.start()
        thread.join()

    monkeypatch.setitem(FAMILIES, "bad", family)
    monkeypatch.setattr(module, "PATIENCE", 1)
    counts, said = fuzz("bad", 7, 0, 12, time.monotonic() + 60)
    assert sum(counts.values()) == 12
    assert set(counts) == {"result", "crash", "hang", "fault"}
    assert len(said) == 12 - counts["result"]
    assert any("ZeroDivisionError" in line for line in said)
    assert any("a thread of its own died: IndexError" in line for line in said)


def test_a_page_that_hangs_up_on_what_is_said_is_no_fault(monkeypatch):
    import benchmarks.fuzz_inputs as module

    def hang_up():
        client, _ = listener.accept()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # at once, with a reset
        client.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setattr(module, "_page", [listener.getsockname()[1]])
        thread = threading.Thread(target=hang_up)
        thread.start()
        assert module._told(_parts_after(thread)) == b""


def test_a_page_that_is_gone_is_a_fault(monkeypatch):
    import benchmarks.fuzz_inputs as module

    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setattr(module, "_page", [listener.getsockname()[1]])
    with pytest.raises(ConnectionRefusedError):
        module._told([b""])


def _parts_after(thread):
    """Nothing to be sent, once the thread has ended."""
    thread.join()
    yield b""


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[" * 100000, '{"a":' * 100000, "NaN", "-Infinity", "1e999", "1" * 25, "9223372036854775808", b"\xff",
        b"\xed\xa0\x80", '"\t"', "1 2",
    ],
)  # fmt: skip
def test_what_is_no_json_is_a_value_error(text):
    with pytest.raises(ValueError, match=r"."):
        parse_json(text)


def test_json_is_read_as_it_is():
    assert parse_json(b'{"a": [1, -2.5, null, true, "\xc3\xa9"]}') == {"a": [1, -2.5, None, True, "é"]}
    assert parse_json(str(2**63 - 1)) == 2**63 - 1


@pytest.mark.parametrize(
    "text", ["[" * 5000, "{" * 5000, "- " * 3000, "a: [", "2020-13-45", "!!python/name:os.system", b"\xff", "\0"]
)
def test_what_is_no_yaml_is_a_value_error_and_soon(text):
    with pytest.raises(ValueError, match=r"."):
        parse_yaml(text)


TRACK_LINE = (
    '{"time": 1, "camera": "dock", "frame": 1, "track": 1, "identity": null, "box": [1, 2, 3, 4], "confidence": 1}'
)
EVENT_LINE = (
    '{"time": 1, "kind": "merged", "camera": null, "track": null, "identity": "ann", "detail": {"other": "bob"}}'
)


@pytest.mark.parametrize(
    ("types", "line", "named"),
    [
        (TRACK, TRACK_LINE.replace('"time": 1', '"time": 1e12'), "wrong time"),
        (TRACK, TRACK_LINE.replace("[1, 2, 3, 4]", "[1, 2, 3]"), "wrong box"),
        (TRACK, TRACK_LINE.replace("[1, 2, 3, 4]", "[1, 2, 3, 1e300]"), "wrong box"),
        (TRACK, TRACK_LINE.replace("null", "5"), "wrong identity"),
        (EVENT, EVENT_LINE.replace('"bob"', "[]"), r"wrong detail\.other"),
        (EVENT, EVENT_LINE.replace('"ann"', "null"), "wrong identity"),
        (EVENT, EVENT_LINE.replace('"other": "bob"', ""), r"wrong detail\.other"),
        (EVENT, EVENT_LINE.replace('"other": "bob"', '"seconds": "x"'), r"wrong detail\.seconds"),
    ],
)
def test_a_record_of_wrong_values_is_refused_by_its_line(tmp_path, types, line, named):
    good = TRACK_LINE if types is TRACK else EVENT_LINE
    (tmp_path / "lines.jsonl").write_text(f"{good}\n{line}\n")
    with pytest.raises(DataError, match=f"line 2 has a {named}"):
        list(read_lines(tmp_path / "lines.jsonl", types))
    (tmp_path / "lines.jsonl").write_text(f"{good}\n{line[:-2]}")
    assert len(list(read_lines(tmp_path / "lines.jsonl", types))) == 1, "its end was never written"


@pytest.mark.parametrize("kind", [".png", ".jpg", ".bmp", ".webp"])
def test_an_image_says_its_size_before_it_is_decoded(kind):
    content = cv2.imencode(kind, np.zeros((21, 34, 3), np.uint8))[1].tobytes()
    assert image_size(content) == (34, 21)
    assert image_size(content[:12]) is None
    assert image_size(b"P6\n34 21\n255\n") is None


@pytest.mark.parametrize(
    ("chunk", "size"),
    [
        (b"VP8X\x0a\0\0\0\0\0\0\0" + (999).to_bytes(3, "little") + (16383).to_bytes(3, "little"), (1000, 16384)),
        (b"VP8L\x0a\0\0\0\x2f" + struct.pack("<I", 99 | 49 << 14), (100, 50)),
    ],
)
def test_other_webp_files_say_it_elsewhere(chunk, size):
    assert image_size(b"RIFF\0\0\0\0WEBP" + chunk) == size


def test_an_image_that_does_not_fit_into_memory_is_refused(tmp_path):
    def chunk(kind, content):
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    side = math.isqrt(MOST_PIXELS) + 1
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(1000))
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    (tmp_path / "bomb.png").write_bytes(content)
    small = struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0)
    (tmp_path / "chunk.png").write_bytes(content[:8] + chunk(b"IHDR", small) + struct.pack(">I", 2**32 - 20) + b"IDATx")
    with pytest.raises(DataError, match=r"chunk\.png: is cut short"):
        read_image(tmp_path / "chunk.png")
    (tmp_path / "bomb.ppm").write_bytes(b"P6\n99999 99999\n255\n")
    with pytest.raises(DataError, match=rf"bomb\.png: has {side}×{side} px, more than 100 million"):
        read_image(tmp_path / "bomb.png")
    with pytest.raises(DataError, match=r"bomb\.ppm: not a readable image"):
        read_image(tmp_path / "bomb.ppm")
    with pytest.raises(DataError, match="cannot be read"):
        read_image("a\0b.png")


def test_settings_have_the_types_that_are_written():
    @dataclass
    class Settings:
        number: float = 1.5
        count: int | None = None
        size: tuple[int, int] = (1, 2)
        names: tuple[str, ...] = ()
        more: dict[str, str] | None = None

    check_types(Settings(2, 3, (4, 5), ("a", "b"), {}))
    for wrong in (
        {"number": True}, {"number": math.nan}, {"number": 10**400}, {"number": "1"}, {"count": 1.0},
        {"size": (1, 2, 3)}, {"size": [1, 2]}, {"names": ("a", 1)}, {"names": "ab"}, {"more": []},
    ):  # fmt: skip
        (name,) = wrong
        with pytest.raises(ValueError, match=f"{name} is "):
            check_types(Settings(**wrong))


@pytest.mark.parametrize("threshold", [math.nan, math.inf, -0.1, 2.1])
def test_a_threshold_that_is_no_distance_is_refused(threshold):
    with pytest.raises(DataError, match="a cosine distance is from 0 to 2"):
        ReIdentifier(threshold=threshold)
