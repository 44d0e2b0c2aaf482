"""Bad content for everything that reads what others wrote: a result, or one of our errors; never anything else.

python benchmarks/fuzz_inputs.py                       # 5 000 cases a family, some minutes
python benchmarks/fuzz_inputs.py --seconds 3600        # the hour
python benchmarks/fuzz_inputs.py --family mot --first 17 --cases 1   # one of them again

A case depends on `--seed`, its family and its number alone. Outcomes: "result"; "refused", by a `ReIDError` with a
message (of the page: by a status from 400 on); and what must not be: "fault" (any other error, or a result that is
none), "hang" (longer than `PATIENCE`) and "crash" (the process died; it goes on after that case). The exit code is 1 if
there was any of those.
"""

import contextlib
import errno
import functools
import io
import json
import math
import multiprocessing
import os
import random
import re
import resource
import shutil
import signal
import socket
import struct
import sys
import tempfile
import threading
import time
import traceback
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated

import cv2
import numpy as np
import typer

from sdk import Gallery
from sdk.cli import build_app, run_app
from sdk.errors import ReIDError
from sdk.folder import Sample, read_folder, read_image
from sdk.report import build_report
from sdk.serve import Access, LiveSite, serve
from sdk.terminal import results
from sdk.tracking import TrackerConfig
from sdk.tracking.evaluation import evaluate_tracks
from sdk.tracking.travel import TravelTimes
from sdk.video.history import read_history
from sdk.video.run_folder import read_manifest
from sdk.video.sources.address import parse_address
from sdk.video.summary import read_sightings
from training.config import RunConfig
from training.human.answers import Answers, read_questions
from training.human.questions import Question
from training.recipe import read_recipe, settle

PATIENCE = 60
"""Seconds for one case."""
MEMORY = 8 << 30
"""Bytes of address space that the process may have."""
TOKEN = "a token that nobody guesses"
FAULTS = ("fault", "hang", "crash")

ODD = (
    *(None, True, False, 0, -1, 1.5, 1e308, 10**400, -(10**18), 2**63, 2**70, float("nan"), float("inf")),
    *("", "a", "[/x]", "x" * 3000, "\0", "\ud800", "../..", "٣", [], [1, 2, 3, 4], [1e308] * 4, ["a"] * 4, [None] * 4),
    *({}, {"a": 1}, [[[1]]]),
)
"""Values that stand where others are expected."""

Case = Callable[[], object]
"""Does the work; returns a text about what is wrong with the result, or anything else."""


class Hang(BaseException):
    """A case took longer than `PATIENCE`."""


def damaged(content: bytes, rng: random.Random) -> bytes:
    """Some bytes changed, lost, added or repeated."""
    content = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 4, 16])):
        place, length = rng.randrange(len(content) + 1), rng.randrange(1, 64)
        change = rng.randrange(6)
        if change == 0 and place < len(content):
            content[place] ^= 1 << rng.randrange(8)
        elif change == 1:
            del content[place : place + length]
        elif change == 2:
            content[place:place] = rng.randbytes(length)
        elif change == 3:
            del content[place:]
        elif change == 4:
            content[place : place + length] = rng.randbytes(length)
        else:
            content[place : place + 4] = rng.choice([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff"])
    return bytes(content)


def changed(value: dict, rng: random.Random) -> dict:
    """With a field gone, of another kind, or more of them."""
    value = dict(value)
    name = rng.choice([*value, "more"])
    if rng.random() < 0.15:
        value.pop(name, None)
    elif isinstance(value.get(name), dict) and value[name] and rng.random() < 0.5:
        value[name] = changed(value[name], rng)
    else:
        value[name] = rng.choice(ODD)
    return value


def json_text(value: object, rng: random.Random) -> bytes:
    """JSON that is now and then none."""
    text = json.dumps(value).encode()
    chance = rng.random()
    if chance < 0.2:
        return damaged(text, rng)
    if chance < 0.25:
        number = rng.choice([b"1e999", b"NaN", b"-Infinity", b"1" * 5000, b"0." + b"3" * 9999, b"[" * 100000])
        return re.sub(rb"\d+", lambda _: number, text, count=1)
    return text


def lines_of(rows: list[dict], rng: random.Random) -> bytes:
    """JSON Lines, of which some are not as they should be."""
    for _ in range(rng.choice([0, 1, 1, 2])):
        place = rng.randrange(len(rows))
        rows[place] = changed(rows[place], rng)
    lines = [json.dumps(row).encode() for row in rows]
    if rng.random() < 0.5:
        place = rng.randrange(len(rows))
        lines[place] = json_text(rows[place], rng)
    return b"".join(line + b"\n" for line in lines)


def _tracks(rng: random.Random) -> list[dict]:
    return [
        {"time": n / 10, "camera": rng.choice(["dock", "lobby"]), "frame": n, "track": n % 3, "confidence": 0.9}
        | {"identity": rng.choice(["ann", "bob", None]), "box": [10.0, 10.0, 40.0 + n, 90.0]}
        for n in range(12)
    ]


def _events() -> list[dict]:
    kinds = (
        ("identified", "dock", 1, "ann", {"distance": 0.3, "runner_up": None, "margin": 0.1, "new": False}),
        ("merged", None, None, "ann", {"other": "bob"}),
        ("camera_frozen", "dock", None, None, {"seconds": 20, "reason": "x"}),
        ("camera_back", "dock", None, None, {}),
        ("split", "dock", 1, "ann", {"new_track": 3}),
        ("renamed", None, None, "cy", {"other": "ann"}),
        ("withdrawn", "dock", 1, None, {"before": "ann", "second_pass": True}),
    )
    names = ("kind", "camera", "track", "identity", "detail")
    return [{"time": n / 10, **dict(zip(names, kind, strict=True))} for n, kind in enumerate(kinds)]


def records(rng: random.Random, folder: Path) -> Case:
    """Track records and events: the report, the history, the summary, the evaluation, the travel times."""
    tracks = folder / "tracks.jsonl"
    tracks.write_bytes(lines_of(_tracks(rng), rng))
    (folder / "events.jsonl").write_bytes(lines_of(_events(), rng))
    reader = rng.choice(["report", "history", "sightings", "evaluation", "travel"])

    def report() -> str | None:
        page = folder / "report.html"
        page.unlink(missing_ok=True)
        try:
            build_report(folder, page)
        except ReIDError:
            if page.exists():
                return "half a report"
            raise
        return "no number in the report" if re.search(r":\s*(NaN|-?Infinity)\b", page.read_text()) else None

    def evaluation() -> str | None:
        truth = folder / "other"
        truth.mkdir(exist_ok=True)
        rows = [row | {"identity": str(row["frame"]), "visibility": 1.0} for row in _tracks(random.Random(0))]
        rows += [rows[0] | {"camera": camera, "frame": 99} for camera in ("dock", "lobby")]
        (truth / "tracks.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return _measured(folder, truth)

    others = {
        "history": lambda: read_history(folder / "events.jsonl"),
        "sightings": lambda: read_sightings(folder),
        "travel": lambda: TravelTimes.learn(tracks),
    }
    return {"report": report, "evaluation": evaluation, **others}[reader]


def _measured(result: Path, truth: Path) -> str | None:
    measures = evaluate_tracks(result, truth)
    figures = (measures.hota, measures.idf1, measures.precision, measures.recall)
    return None if all(0 <= figure <= 1 for figure in figures) else f"measures are {figures}"


def mot(rng: random.Random, folder: Path) -> Case:
    """MOTChallenge text, as result or as truth."""
    plain = [f"{f},{i},{10 * i}.0,10.0,30.0,80.0,0.9,-1,-1,-1" for f in range(1, 6) for i in (1, 2)]
    lines = list(plain)
    for _ in range(rng.choice([1, 1, 2, 3])):
        place = rng.randrange(len(lines))
        cells = lines[place].split(",")
        odd = ["nan", "inf", "-inf", "1e308", "1e999", "", "x", "0", "9" * 400, "1_0", " 1 ", "1.5", "٣", "\0"]
        cells[rng.randrange(len(cells))] = rng.choice(odd)
        lines[place] = ",".join(cells) + rng.choice(["", "", "", ",1,2,3"])
    content = "\n".join(lines).encode()
    if rng.random() < 0.3:
        content = damaged(content, rng)
    bad, good = rng.sample(["result", "truth"], 2)
    for name in ("result", "truth"):
        (folder / name).mkdir(exist_ok=True)
    (folder / bad / "dock.txt").write_bytes(content)
    (folder / good / "dock.txt").write_text("\n".join(plain))
    return lambda: _measured(folder / "result", folder / "truth")


YAML = (
    *(
        "!!python/object/apply:os.system ['touch ran']",
        "a: &a [*a]",
        "&a [*a, *a]",
        "[" * 5000,
        "{" * 5000,
        "- " * 3000,
    ),
    *("? {a: b}\n: c", "2020-13-45: x", "model: {1: 2}", "1: {a: b}", "\ufeffmodel: {}", "model:\n\tx: 1", "a: 1_0:60"),
    'a: &a ["x","x"]\n'
    + "\n".join(f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)},*{chr(97 + n)}]" for n in range(20)),
)
RECIPE = {
    "model": {"backbone": "mobilenetv2", "width": 32, "input_size": [128, 64], "last_stride": 1},
    "train": {"epochs": 3, "margin": 0.3, "learning_rate": 0.002, "milestones": [1, 2], "precision": "float32"},
}
SETTINGS = {"caution": 0.5, "lost_seconds": 2.0, "late_seconds": 8.0, "most_people": 500, "distance": 0.4}


def settings(rng: random.Random, folder: Path) -> Case:
    """YAML: a recipe of a training run, or the settings of a tracker. JSON is YAML too."""
    path, recipe = folder / "settings.yaml", rng.random() < 0.5
    text = json_text(changed(RECIPE if recipe else SETTINGS, rng), rng)
    path.write_bytes(rng.choice(YAML).encode() if rng.random() < 0.15 else text)

    def read() -> str | None:
        if recipe:
            config = settle(RunConfig(), read_recipe(str(path)), {})
            return None if isinstance(config.train.epochs, int) else f"epochs are {config.train.epochs!r}"
        config = TrackerConfig.load(path)
        return None if math.isfinite(config.caution) else "caution is no number"

    return read


def _png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def images(rng: random.Random, folder: Path) -> Case:
    """Image files of all kinds, damaged, or with sizes that do not fit into memory."""
    crop = np.random.default_rng(0).integers(0, 255, (64, 32, 3), np.uint8)
    sides = [0, 1, 30000, 40000, 70000, 99999, 2**31 - 1]
    kind = rng.choice([".png", ".jpg", ".bmp", ".webp", "header", "other"])
    if kind == "header":
        content = _png(rng.choice(sides), rng.choice(sides))
    elif kind == "other":
        odd = [b"", b"GIF89a", b"BM", b"RIFF\0\0\0\0WEBPVP8X", b"\xff\xd8\xff", b"#?RADIANCE\n\n-Y 99999 +X 99999\n"]
        content = rng.choice([*odd, b"P6\n99999 99999\n255\n", b"P6\n999999999999 1\n255\n", b"\x89PNG\r\n\x1a\n"])
        content += rng.randbytes(rng.randrange(60))
    else:
        content = damaged(cv2.imencode(kind, crop)[1].tobytes(), rng)
    shutil.rmtree(folder / "people", ignore_errors=True)
    (folder / "people" / "ann").mkdir(parents=True)
    (folder / "people" / "ann" / "dock_1.png").write_bytes(content)

    def read() -> str | None:
        (sample,) = read_folder(folder / "people")
        image = read_image(sample.path)
        return None if image.dtype == np.uint8 and image.ndim == 3 and image.size else f"an image of {image.shape}"

    return read


def addresses(rng: random.Random, folder: Path) -> Case:
    """Sources as they are written on the command line."""
    pieces = (
        *("rtsp://", "http://", "user:", "pass@", "10.0.0.7", ":554", ":99999", ":x", "/s", "?a=b", "#fps=", "#size="),
        *("1x1", "&live", "&loop=", "0", "-1", "1e9", "usb:", "csi:", "gst:", " ! ", "videotestsrc", "[", "::1", "]"),
        *(
            "name=",
            "@",
            "\0",
            "é",
            "\ud800",
            "%00",
            "..",
            "/",
            "//",
            "file://",
            "ftp://",
            "x" * 300,
            "\n",
            "#",
            "9" * 5000,
        ),
    )
    text = "".join(rng.choice(pieces) for _ in range(rng.randrange(1, 7)))

    def read() -> None:
        address = parse_address(text)
        _ = address.shown, address.frame_rate, address.size, address.loops

    return read


def questions(rng: random.Random, folder: Path) -> Case:
    """The folder of `reid human`: what was asked, what was answered, and the manifest of a run."""
    samples = [Sample(folder / f"{name}_1.png", name, "dock") for name in "abcdef"]
    people = SimpleNamespace(samples=samples)
    names = [f"{sample.identity}/{sample.path.name}" for sample in samples]
    row = {"query": names[0], "candidates": names[1:4], "right": names[1], "model": names[2]}
    begun = {"version": 1, "settings": {"seed": 1}, "questions": [row, dict(row)]}
    if rng.random() < 0.3:
        begun["questions"][1] = changed(row, rng)
    answer = {"question": 1, "candidates": names[1:4], "choice": names[2]}
    run = {"format": 1, "command": "reid track", "started": "2026-11-24T10:00:00", "version": "1", "state": "done"}
    (folder / "questions.json").write_bytes(json_text(changed(begun, rng) if rng.random() < 0.7 else begun, rng))
    (folder / "answers.jsonl").write_bytes(lines_of([answer], rng))
    (folder / "run.json").write_bytes(json_text(changed({**run, "former": "", "files": [], "facts": {}}, rng), rng))
    reader = rng.choice(["questions", "answers", "manifest"])
    asked = [Question(0, (1, 2, 3), 0, 1)]

    def answers() -> None:
        with Answers(folder, asked, people):
            pass

    others = {
        "questions": lambda: read_questions(folder, {"seed": 1}, people),
        "manifest": lambda: read_manifest(folder),
    }
    return {"answers": answers, **others}[reader]


PIECES = (
    *(
        b"GET ",
        b"POST ",
        b"HEAD ",
        b"PUT ",
        b"OPTIONS ",
        b"CONNECT ",
        b"get ",
        b"/",
        b"/api/state",
        b"/api/forget",
        b"/sign-in",
    ),
    *(
        b"/camera/0.jpg",
        b"/camera/0.mjpeg",
        b"/api/people?find=a",
        b"/picture?identity=%00",
        b"/../..",
        b"*",
        b"//[",
        b"?a=b&" * 9,
    ),
    *(
        b" HTTP/1.1\r\n",
        b" HTTP/1.0\r\n",
        b" HTTP/9.9\r\n",
        b"\r\n",
        b"\r\n\r\n",
        b"\n",
        b"\r",
        b"\0",
        b"\xff",
        b" ",
        b": ",
    ),
    *(
        b"Host: x\r\n",
        b"Content-Length: 2\r\n",
        b"Content-Length: 99999\r\n",
        b"Content-Length: -1\r\n",
        b"Connection: close\r\n",
    ),
    *(
        b"Transfer-Encoding: chunked\r\n",
        b"Content-Type: application/json\r\n",
        b"Expect: 100-continue\r\n",
        b"2\r\n{}\r\n0\r\n\r\n",
    ),
    *(b"{}", b'{"identity": "a"}', b'{"token": 5}', b"[" * 4000, b"Upgrade: websocket\r\n", b"X: " + b"y" * 70000),
    *(b"Cookie: " + b"a=" * 99 + b"\r\n", b"Origin: null\r\n", b"Authorization: Bearer " + TOKEN.encode() + b"\r\n"),
)
GOOD = (
    b"GET /api/state HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.9\r\nAuthorization: Bearer "
    + TOKEN.encode()
    + b"\r\nConnection: close\r\n\r\n"
)
_page: list[int] = []
"""The port of the page, once it is there."""


def requests(rng: random.Random, folder: Path) -> Case:
    """What comes to the live page from the network, whole or in two parts."""
    if rng.random() < 0.5:
        data = b"".join(rng.choice(PIECES) for _ in range(rng.randrange(1, 14)))
    else:
        body = rng.choice([b"", b"{}", b'{"identity": "a"}', b'{"identity": "a", "to": "b"}'])
        data = (
            rng.choice([b"GET", b"POST", b"HEAD"])
            + b" "
            + rng.choice([b"/", b"/api/forget", b"/api/rename", b"/metrics"])
        )
        # Through a proxy, for somebody else each time: who shows wrong tokens is not looked at for a while.
        data += f" HTTP/1.1\r\nX-Forwarded-For: 198.51.{rng.randrange(256)}.{rng.randrange(256)}".encode()
        data += b"\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer " + TOKEN.encode()
        data += f"\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        data = damaged(data, rng) if rng.random() < 0.7 else data
    place = rng.randrange(len(data) + 1)

    def ask() -> str | None:
        answers = _told([data[:place], data[place:]])
        statuses = [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) [A-Z]", answers)]
        if answers and not statuses:
            return f"no HTTP: {answers[:80]!r}"
        if 500 in statuses:
            return "a fault of the page's own"
        if answers.count(b"\r\nX-Content-Type-Options: nosniff\r\n") != sum(status != 100 for status in statuses):
            return "an answer without its headers"
        if not _told([GOOD]).startswith(b"HTTP/1.1 200 "):
            return "the page does not answer any more"
        return "refused" if statuses and max(statuses) >= 400 else None

    return ask


def _told(parts: list[bytes]) -> bytes:
    """All that the page answers to somebody who says this and nothing more."""
    if not _page:
        _page.append(_open_page())
    answers = b""
    try:
        with socket.create_connection(("127.0.0.1", _page[0]), PATIENCE) as client:
            for part in parts:
                client.sendall(part)
            client.shutdown(socket.SHUT_WR)
            while len(answers) < 1 << 20 and (piece := client.recv(1 << 16)):
                answers += piece
    except OSError as error:
        # The page may hang up on whoever speaks on, as early as the connection stands; a shutdown then finds none. One
        # that nobody takes is a page that is gone.
        hung_up = isinstance(error, ConnectionError) and not isinstance(error, ConnectionRefusedError)
        if not hung_up and error.errno != errno.ENOTCONN:
            raise
    return answers


def _open_page() -> int:
    """A page over a site where nothing happens; it stays until the process ends."""
    gallery = Gallery()
    gallery.add(np.eye(8, dtype=np.float32)[:1], identity="a")
    tracker = SimpleNamespace(reid=SimpleNamespace(gallery=gallery), turn=contextlib.nullcontext)
    tracker.forget, tracker.rename, tracker.merge = gallery.forget, gallery.rename, gallery.merge
    site = LiveSite(tracker, ["dock"])
    address = _stack.enter_context(serve(site, Access(TOKEN, "https://reid.example")))
    return int(address.rstrip("/").rpartition(":")[2])


_stack = contextlib.ExitStack()
_app = functools.cache(build_app)


COMMANDS = """
gallery list IN:site.db --json
gallery show IN:site.db NAME:ann
gallery forget IN:site.db NAME:ann
gallery rename IN:site.db NAME:ann --to NAME:cy
gallery merge IN:site.db NAME:ann --into NAME:bob
gallery prune IN:site.db --older-than AGE:30d
gallery audit IN:site.db
gallery verify IN:site.db
gallery export IN:site.db -o OUT:new
gallery import OUT:new.db IN:saved
gallery backup IN:site.db -o OUT:new.db
gallery restore IN:site.db OUT:new.db
gallery clock IN:site.db --passed
gallery accept IN:site.db
gallery enroll OUT:new.db --identity NAME:ann IN:people/ann/dock_1.png --retention AGE:30d
gallery enroll OUT:new.db --data IN:people
gallery reembed IN:site.db OUT:new.db
gallery encrypt IN:site.db
report IN:run -o OUT:new.html
evaluate-tracks IN:run IN:run -o OUT:new.json
match IN:people/ann/dock_1.png --gallery IN:site.db
search IN:people/ann/dock_1.png --gallery IN:people -o OUT:new
embed IN:people -o OUT:new.npz
align IN:people/ann/dock_1.png IN:people/bob/dock_1.png -o OUT:new.png
doctor IN:junk.onnx
convert IN:junk.onnx -o OUT:new.onnx
calibrate --data IN:people -o OUT:new.onnx
track IN:people -o OUT:new --gallery IN:site.db
forget IN:site.db NAME:ann --run IN:run
"""
"""Command lines that are as they should be but for one or two words: what is read, what is written, names and ages."""

WORDS = {
    "IN": (
        *("site.db", "saved", "run", "people", "people/ann/dock_1.png", "junk.db", "junk.onnx", "junk.png", "junk.txt"),
        *("empty.db", "empty.onnx", "folder.db", "loop", "absent", "absent.db", "", ".", "..", "/", "-", "~"),
        *("x" * 300, "x" * 5000 + ".db", "a\nb", "\udcff\udcfe.png", "[/x]", "\x1b[2J", "%s%n", "/etc/shadow/x"),
    ),
    "OUT": (
        *("new", "new.db", "new.html", "new.png", "new.onnx", "new.npz", "new.json", "no/new.db", "junk.txt/new.png"),
        *("site.db", "people", "folder.db", "loop", "", ".", "..", "x" * 300, "x" * 5000, "\x1b[2J.png", "empty.db"),
    ),
    "NAME": ("ann", "bob", "nobody", "", "[/x]", "x" * 500, "a\nb", "\x1b[2J", "-x", "--", "../..", "é☃", "\udcff"),
    "AGE": ("30d", "30", "0", "0d", "-1d", "1e9d", "nan", "", "d", "9" * 400 + "d", "٣d"),
}


def commands(rng: random.Random, folder: Path) -> Case:
    """Command lines: all of the work, or a message and nothing left behind."""
    place = folder / "here"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(_inputs(folder), place, symlinks=True)
    parts = [word.partition(":") for word in rng.choice(COMMANDS.strip().splitlines()).split(" ")]
    odd = rng.choices([i for i, (kind, _, _) in enumerate(parts) if kind in WORDS], k=rng.choice([0, 1, 1, 2]))
    line = [rng.choice(WORDS[kind]) if i in odd else good or kind for i, (kind, _, good) in enumerate(parts)]

    def there() -> dict[Path, object]:
        """What is in the folder, but for what SQLite and the lock keep beside a gallery."""
        found = {path: path.is_dir() or path.is_symlink() or path.read_bytes() for path in place.rglob("*")}
        if found.get(place / "site.db"):  # opened to be written, it may be tidied up
            with Gallery(place / "site.db", read_only=True) as gallery:
                found[place / "site.db"] = gallery.describe(), gallery.audit(), gallery.retention
        return {path: content for path, content in found.items() if not path.name.endswith(("-lock", "-shm", "-wal"))}

    def call() -> str | None:
        before, told = there(), io.StringIO()
        arguments, sys.argv, here = sys.argv, ["reid", *line], os.getcwd()
        os.chdir(place)
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(told):
                run_app(_app())
        except SystemExit as end:
            code = end.code
        finally:
            sys.argv = arguments
            os.chdir(here)
        if code == 0:
            return None
        if not told.getvalue().strip():
            return f"{line}: code {code} without a word"
        return "refused" if there() == before else f"{line}: left something behind, or changed it"

    return call


def _inputs(folder: Path) -> Path:
    """A folder with good files and bad ones, made once."""
    made = folder / "made"
    if made.is_dir():
        return made
    made.mkdir()
    rng = np.random.default_rng(0)
    for name in ("ann", "bob", "cy", "dan"):
        (made / "people" / name).mkdir(parents=True)
        for camera in ("dock", "lobby"):
            crop = rng.integers(0, 255, (64, 32, 3), np.uint8)
            cv2.imwrite(str(made / "people" / name / f"{camera}_1.png"), crop)
    with Gallery(made / "site.db") as gallery:
        for number, name in enumerate(("ann", "bob")):
            gallery.add(np.eye(256, dtype=np.float32)[number : number + 1], identity=name, camera="dock")
        gallery.export(made / "saved")
    (made / "run").mkdir()
    (made / "run" / "tracks.jsonl").write_text("".join(json.dumps(row) + "\n" for row in _tracks(random.Random(0))))
    for name in ("db", "onnx", "png", "txt"):
        (made / f"junk.{name}").write_bytes(rng.bytes(3000))
        (made / f"empty.{name}").touch()
    (made / "folder.db").mkdir()
    (made / "loop").symlink_to("loop")
    return made


FAMILIES: dict[str, Callable[[random.Random, Path], Case]] = {
    family.__name__: family for family in (records, mot, settings, images, addresses, questions, requests, commands)
}


def _said(error: BaseException) -> str:
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {str(error)[:120]} ({Path(place.filename).name}:{place.lineno})"


def outcome_of(case: Case) -> tuple[str, str]:
    """One of the outcomes, and what is to be said of it."""
    try:
        wrong = case()
    except ReIDError as error:
        return ("refused", "") if str(error).strip() else ("fault", "an error without a message")
    except Hang:
        return "hang", traceback.format_exc()
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return "fault", _said(error)
    if wrong == "refused":
        return "refused", ""
    return ("fault", wrong) if isinstance(wrong, str) else ("result", "")


def outcomes(family: str, seed: int, numbers: range, folder: Path) -> Iterator[tuple[int, str, str]]:
    """(number, outcome, what is to be said of it) of each case. In the main thread of a program that has no alarm."""

    def ring(*_) -> None:
        raise Hang

    died: list[str] = []
    hook, threading.excepthook = threading.excepthook, lambda args: died.append(_said(args.exc_value))
    before = signal.signal(signal.SIGALRM, ring)
    try:
        for number in numbers:
            case = FAMILIES[family](random.Random(f"{seed}/{family}/{number}"), folder)
            signal.alarm(PATIENCE)
            try:
                outcome = outcome_of(case)
            finally:
                signal.alarm(0)
            if died:
                outcome = "fault", f"a thread of its own died: {died.pop()}"
            yield number, *outcome
    finally:
        signal.signal(signal.SIGALRM, before)
        threading.excepthook = hook


def _work(family: str, seed: int, numbers: range, pipe) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with tempfile.TemporaryDirectory() as folder:
        for found in outcomes(family, seed, numbers, Path(folder)):
            pipe.send(found)
    pipe.send(None)
    os._exit(0)


def fuzz(family: str, seed: int, first: int, cases: int, until: float) -> tuple[Counter, list[str]]:
    """Outcomes of cases in a process of their own, and what is to be said of the faults."""
    counts, said, numbers = Counter(), [], range(first, first + cases)
    while numbers and time.monotonic() < until:
        mine, theirs = multiprocessing.Pipe(False)
        process = multiprocessing.get_context("fork").Process(target=_work, args=(family, seed, numbers, theirs))
        process.start()
        theirs.close()
        try:
            while (found := mine.recv()) is not None and time.monotonic() < until:
                number, outcome, what = found
                numbers = numbers[numbers.index(number) + 1 :]
                counts[outcome] += 1
                if outcome in FAULTS:
                    said.append(f"{family} {number}: {outcome}: {what}")
            numbers = range(0)
        except EOFError:
            counts["crash"] += 1
            said.append(f"{family} {numbers[0]}: crash")
            numbers = numbers[1:]
        process.kill()
        process.join()
    return counts, said


def main(
    family: Annotated[list[str] | None, typer.Option(help=f"Of {', '.join(FAMILIES)}. Default: all.")] = None,
    seed: Annotated[int, typer.Option(help="Draws the cases.")] = 1,
    first: Annotated[int, typer.Option(help="Number of the first case.")] = 0,
    cases: Annotated[int, typer.Option(help="Of each family.")] = 5000,
    seconds: Annotated[float | None, typer.Option(help="Share this time among the families instead.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Where the counts go, JSON.")] = None,
) -> None:
    """Fuzz what is read from others."""
    found, failed = {}, False
    for name in family or FAMILIES:
        share = math.inf if seconds is None else seconds / len(family or FAMILIES)
        counts, said = fuzz(name, seed, first, cases if seconds is None else 1 << 40, time.monotonic() + share)
        found[name] = dict(counts)
        results.print(f"{name}: {', '.join(f'{number} {outcome}' for outcome, number in sorted(counts.items()))}")
        for line in said[:20]:
            results.print(f"  {line}")
        failed = failed or bool(said)
    if output is not None:
        output.write_text(json.dumps({"seed": seed, "first": first, "outcomes": found}, indent=2) + "\n")
    raise typer.Exit(int(failed))


if __name__ == "__main__":
    typer.run(main)
