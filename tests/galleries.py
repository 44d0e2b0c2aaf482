"""What the gallery's tests and benchmarks share: drawn features, and a process that is killed while it writes."""

import gzip
import os
import subprocess
import sys
import time
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

DIM = 64


def unit(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Random vectors of unit length, float32."""
    x = rng.standard_normal(shape, np.float32)
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def features_of(name: str, number: int = 3, dim: int = DIM) -> np.ndarray:
    """Exemplars that anybody can draw again from the name: float32 `[number, dim]`."""
    return unit(np.random.default_rng(zlib.crc32(name.encode())), number, dim)


def traces(folder: Path, name: str, features: np.ndarray) -> list[str]:
    """Files of a folder that hold the name, or 16 bytes in a row of one of the features (at eight places of each)."""
    needles = [name.encode()]
    for row in features:
        content = row.tobytes()
        needles += [content[at : at + 16] for at in range(0, len(content) - 15, max(16, len(content) // 8))]
    found = []
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        found += [f"{path.name}: {needle[:24]!r}" for needle in needles if needle in content]
    return found


def earlier_file(name: str) -> bytes:
    """A gallery file that an earlier release wrote: anna, bob and kim, 8-d, two exemplars each and bob four; ann was
    renamed, eve merged into bob, zoe forgotten. Its passphrase, where it has one, is "open sesame"."""
    return gzip.decompress((Path(__file__).parent / "files" / f"{name}.db.gz").read_bytes())


WRITER = """
import os, sys, threading, time
import numpy as np
from sdk.errors import UnknownIdentityError
from sdk.gallery import Gallery, ledger
from tests.galleries import features_of

DAY = 86400.0
ledger.EXPIRE_EVERY = 0.05
path, journal, round_number = sys.argv[1], sys.argv[2], int(sys.argv[3])
log = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
gallery = Gallery(path, retention=30 * DAY)
enrolled = []

def say(*words):
    os.write(log, (" ".join(words) + "\\n").encode())

def enrol(worker):
    for i in range(10**6):
        name = f"person/{round_number}/{worker}/{i}/end"
        say("enrolling", name)
        gallery.add(features_of(name), identity=name, camera=f"c{i % 3}")
        say("enrolled", name)
        enrolled.append(name)

def match():
    while True:
        for candidates in gallery.search(features_of("somebody"), k=5):
            assert all(0 <= c.distance <= 2 for c in candidates)

def forget():
    random = np.random.default_rng(round_number)
    while True:
        if len(enrolled) > 4:
            name = enrolled.pop(int(random.integers(len(enrolled))))
            say("forgetting", name)
            gallery.forget(name)
            say("forgot", name)

def put(name, days):
    # As if enrolled so long ago.
    ago = np.full(3, time.time() - days * DAY)
    with gallery._lock:
        gallery._insert([ledger.Exemplars(name, None, features_of(name), None, ago, ago, np.ones(3, np.float32))])

def is_known(name):
    try:
        return bool(gallery.describe(name))
    except UnknownIdentityError:
        return False

def change():
    # Of people whom no other thread touches.
    for i in range(10**6):
        one, other, to = (f"{kind}/{round_number}/{i}/end" for kind in ("one", "other", "to"))
        gallery.add(features_of(one), identity=one)
        gallery.add(features_of(other), identity=other)
        say("renaming", one, to)
        gallery.rename(one, to)
        say("renamed", one, to)
        say("merging", other, to)
        gallery.merge(other, into=to)
        say("merged", other, to)
        old, expired = f"old/{round_number}/{i}/end", f"expired/{round_number}/{i}/end"
        say("pruning", old)
        put(old, 20)
        assert gallery.prune(older_than=10 * DAY) and not is_known(old)
        say("pruned", old)
        turn = (i + round_number) % 3
        if turn == 0:
            say("expiring", expired)
            put(expired, 40)
            while is_known(expired):
                time.sleep(0.005)
            say("expired", expired)
        if turn == 1:
            say("copying", to)
            gallery.backup(journal + ".copy.db")
            say("copied", to)
        if turn == 2:
            name = f"import/{round_number}/{i}/end"
            with Gallery() as carried:
                carried.add(features_of(name), identity=name)
                carried.export(journal + ".export")
            say("importing", name)
            gallery.load(journal + ".export")
            say("imported", name)

def guarded(run, *arguments):
    try:
        run(*arguments)
    except BaseException as error:
        say("failed", repr(error).replace("\\n", " "))

jobs = [(enrol, 0), (enrol, 1), (match,), (forget,), (change,)]
for job in jobs:
    threading.Thread(target=guarded, args=job, daemon=True).start()
say("ready")
threading.Event().wait()
"""


DONE = ("renamed", "merged", "pruned", "expired", "copied", "imported")
"""What else was acknowledged, beside enrolments and forgets."""
BEGUN = ("renaming", "merging", "pruning", "expiring", "copying", "importing")


def wrong_changes(gallery, said: dict[str, set[str]], copies: Iterable[Path]) -> list[str]:
    """What of the changes that a killed process has said is not as it should be in the gallery, or in its copies."""
    exemplars = {summary.identity: summary.exemplars for summary in gallery.describe()}
    wrong = []
    for line in said["renaming"]:
        one, to = line.split()
        if (one in exemplars) == (to in exemplars) or (line in said["renamed"] and one in exemplars):
            wrong.append(f"renamed {line}")
    for line in said["merged"]:
        other, to = line.split()
        if other in exemplars or exemplars.get(to) != 6:
            wrong.append(f"merged {line}")
    for line in said["merging"] - said["merged"]:
        other, to = line.split()
        if (exemplars.get(other), exemplars.get(to)) not in ((3, 3), (None, 6)):
            wrong.append(f"merging {line}: half")
    wrong += [f"imported {name}" for name in said["imported"] if exemplars.get(name) != 3]
    wrong += [f"importing {name}: half" for name in said["importing"] if exemplars.get(name, 3) != 3]
    wrong += [f"pruned {name}" for name in said["pruned"] if name in exemplars]
    wrong += [f"pruning {name}: half" for name in said["pruning"] if exemplars.get(name, 3) != 3]
    wrong += [f"kept {name} for too long" for name in said["expiring"] if name in exemplars]  # opened since
    there = 0
    for copy in copies:
        there += 1
        with type(gallery)(copy, read_only=True) as opened:
            copied = {summary.identity: summary.exemplars for summary in opened.describe()}
            if not opened.verify().ok or any(copied.get(name) != 6 for name in said["copied"]):
                wrong.append(f"{copy.name} is no copy")
    if said["copied"] and not there:
        wrong.append("the copy is not there")
    return wrong


def kill_while_writing(folder: Path, number: int, lines: int, word: str = "") -> dict[str, set[str]]:
    """Write `folder`/site.db from four threads and by its retention, and kill the process soon after it
    has said `lines` things, and the word among them.

    The names that the process said it was enrolling, had enrolled, was forgetting, had forgotten. Raises
    `AssertionError` if a thread failed.
    """
    log = folder.parent / f"{folder.name}-{number}.log"
    log.touch()
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", WRITER, str(folder / "site.db"), str(log), str(number)]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.monotonic() + 60
        while (content := log.read_bytes()).count(b"\n") < lines or f"\n{word}".encode() not in content:
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.001)
    finally:
        process.kill()
        process.communicate()
    words = ("enrolling", "enrolled", "forgetting", "forgot", "failed", *BEGUN, *DONE)
    said = {word: set() for word in words}
    for line in log.read_text().split("\n")[:-1]:
        word, _, name = line.partition(" ")
        said.setdefault(word, set()).add(name)
    assert not said["failed"], said["failed"]
    return said
