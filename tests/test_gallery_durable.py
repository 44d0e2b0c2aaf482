"""A gallery on disk: what was acknowledged survives, what was forgotten is in no file, what goes wrong is told."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import pytest

from sdk.errors import GalleryError
from sdk.gallery import Gallery
from sdk.gallery import ledger as ledger_module
from sdk.gallery.reserve import MOST, Reserve
from tests.galleries import DONE, features_of, kill_while_writing, traces, unit, wrong_changes

ROOT = Path(__file__).parents[1]


@pytest.fixture
def path(tmp_path):
    folder = tmp_path / "site"
    folder.mkdir()
    return folder / "site.db"


def fill(gallery, people=12, stripes=None):
    for i in range(people):
        gallery.add(features_of(f"p{i:02d}/x"), stripes, identity=f"p{i:02d}/x", camera=f"c{i % 3}", time=float(i))


def contents(gallery):
    rows, state = gallery._state.rows, gallery._state
    return sorted(
        (state.names[rows.person[i]], state.cameras[rows.camera[i]], rows.time[i], rows.gather(np.array(i)).tobytes())
        for i in np.flatnonzero(rows.alive)
    )


def test_what_was_added_is_there_after_reopening(path):
    with Gallery(path) as gallery:
        fill(gallery)
        before, found = contents(gallery), gallery.search(features_of("p03/x"), k=4)
    with Gallery(path) as gallery:
        assert contents(gallery) == before
        assert gallery.search(features_of("p03/x"), k=4) == found
        assert gallery.verify().ok
        gallery.add(features_of("new"), identity="new")
    with Gallery(path) as gallery:
        assert len(gallery) == 39


def test_every_change_of_an_identity_survives(path):
    with Gallery(path) as gallery:
        fill(gallery)
        gallery.merge("p01/x", into="p02/x")
        gallery.rename("p03/x", "bob")
        gallery.forget("p04/x")
        before, audit = contents(gallery), gallery.audit()
        numbers = {s.identity: s.number for s in gallery.describe()}
    with Gallery(path) as gallery:
        assert contents(gallery) == before
        assert gallery.audit() == audit
        assert [line.action for line in audit] == ["merge", "rename", "forget"]
        assert {s.identity: s.number for s in gallery.describe()} == numbers
        assert gallery.describe("p02/x")[0].exemplars == 6
        gallery.add(features_of("new"), identity="new")
        assert gallery.describe("new")[0].number > 12, "a number is never used again"
        assert gallery.verify().ok


@pytest.mark.parametrize("passphrase", [None, "open sesame"])
def test_what_is_forgotten_is_in_no_file(path, passphrase):
    gallery = Gallery(path, passphrase=passphrase, store_crops=True)
    crop = np.random.default_rng(0).integers(0, 255, (40, 20, 3), np.uint8)
    image = cv2.imencode(".png", crop)[1].tobytes()
    for i in range(120):  # several pages of everything
        name = f"person-{i}-end"
        gallery.add(features_of(name), identity=name, camera="dock", crops=[crop if i == 7 else 0 * crop] * 3)
    victim = features_of("person-7-end")
    if passphrase is None:
        assert traces(path.parent, "person-7-end", victim), "the search for traces finds what is there"
        assert image[40:80] in path.read_bytes() + (path.parent / "site.db-wal").read_bytes()
    gallery.rename("person-8-end", "other-8-end")
    gallery.merge("person-9-end", into="person-10-end")
    for name in ("person-7-end", *(f"person-{i}-end" for i in range(60, 100))):
        assert gallery.forget(name) == 3
    for name in ("person-7-end", "person-60-end", "person-99-end"):
        assert traces(path.parent, name, features_of(name)) == []
    assert traces(path.parent, "person-8-end", features_of("x")) == [], "the old name"
    assert traces(path.parent, "person-9-end", features_of("x")) == [], "the merged name"
    files = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert not any(image[at : at + 16] in files for at in range(40, len(image) - 16, 40)), "the crop"
    gallery.close()
    for name in ("person-7-end", "person-60-end"):
        assert traces(path.parent, name, features_of(name)) == []
    with Gallery(path, passphrase=passphrase) as gallery:
        assert gallery.verify().ok
        assert len(gallery) == 3 * (120 - 41)


def test_old_exemplars_are_pruned_and_retention_does_it_alone(path, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(ledger_module.clock, "time", lambda: now[0])
    with Gallery(path, retention=600) as gallery:
        gallery.add(features_of("old-end"), identity="old-end")
        now[0] = 1100.0
        gallery.add(features_of("kept"), identity="kept")
        gallery.add(features_of("both-old"), identity="both")
        now[0] = 1300.0
        gallery.add(features_of("both-new"), identity="both")
        assert gallery.prune(before=1050.0) == 3
        assert gallery.identities() == ["both", "kept"]
        assert traces(path.parent, "old-end", features_of("old-end")) == []
    now[0] = 1750.0
    with Gallery(path) as gallery:  # the file remembers its retention
        assert gallery.identities() == ["both"]
        assert len(gallery) == 3
        now[0] = 1950.0
        gallery.add(features_of("new"), identity="new")
        assert gallery.identities() == ["new"]
        assert [line.action for line in gallery.audit()] == ["prune", "retention", "retention", "retention"]
    with Gallery(path, retention=0) as gallery:
        assert gallery.retention == 0


def test_kills_lose_nothing_that_was_acknowledged_and_bring_nothing_back(path):
    """Ten processes are killed while they enrol, match, forget, rename, merge, prune, copy and import, and retention
    runs out; one file."""
    kept, gone, done = set(), set(), set()
    random = np.random.default_rng(0)
    for number in range(10):
        word = DONE[number] if number < len(DONE) else ""
        said = kill_while_writing(path.parent, number, int(random.integers(5, 120)), word)
        for name in said["forgot"] | said["pruned"] | said["expired"]:
            assert traces(path.parent, name, features_of(name)) == []
        kept |= said["enrolled"] - said["forgetting"]
        gone |= said["forgot"]
        done |= {word for word in DONE if said[word]}
        with Gallery(path) as gallery:
            known = set(gallery.identities())
            assert kept <= known
            assert not gone & known
            assert gallery.verify().ok
            for name in said["enrolled"] & known:
                (candidates,) = gallery.search(features_of(name)[0], k=1)
                assert candidates[0].identity == name
                assert gallery.describe(name)[0].exemplars == 3
            for name in said["enrolling"] & known:
                assert gallery.describe(name)[0].exemplars == 3, "an enrolment is whole or not there"
            assert wrong_changes(gallery, said, path.parent.parent.glob(f"*-{number}.log.copy.db")) == []
    assert len(kept) > 20
    assert len(gone) >= 3
    assert done == set(DONE)


def test_one_process_writes_and_others_read(path):
    with Gallery(path) as gallery:
        fill(gallery, 3)
        code = (
            "import sys\nfrom sdk.errors import GalleryError\nfrom sdk.gallery import Gallery\n"
            "try: Gallery(sys.argv[1])\nexcept GalleryError as error: print(error)\n"
            "reader = Gallery(sys.argv[1], read_only=True)\nprint(len(reader), reader.identities())\n"
            "try: reader.forget('p00/x')\nexcept GalleryError as error: print(error)\n"
        )
        out = subprocess.run(
            [sys.executable, "-c", code, str(path)], cwd=ROOT, capture_output=True, text=True, check=True
        )
        refused, read, unchanged = out.stdout.splitlines()
        assert f"process {os.getpid()} is writing it" in refused
        assert read == "9 ['p00/x', 'p01/x', 'p02/x']"
        assert "read_only=True" in unchanged
        gallery.forget("p00/x")
    with Gallery(path) as gallery:
        assert len(gallery) == 6


def test_a_closed_gallery_says_so(path):
    gallery = Gallery(path)
    fill(gallery, 1)
    gallery.close()
    gallery.close()
    for use in (lambda: gallery.search(features_of("p00/x")), lambda: fill(gallery, 1), lambda: gallery.forget("p")):
        with pytest.raises(GalleryError, match="is closed"):
            use()


def test_a_gallery_belongs_to_the_model_that_made_it(path):
    with Gallery(path) as gallery:
        gallery.bind("a" * 64, 64)
        gallery.bind("a" * 64, 64)
        fill(gallery, 2)
    with Gallery(path) as gallery:
        assert gallery.model == "a" * 64
        with pytest.raises(GalleryError, match="enrol its people into a new gallery"):
            gallery.bind("b" * 64, 64)
        with pytest.raises(GalleryError, match="64 dimensions, the model 32"):
            gallery.bind("a" * 64, 32)
        with pytest.raises(GalleryError, match="no stripes, the model gives stripes of 8×16"):
            gallery.bind("a" * 64, 64, (8, 16))
        gallery.add(features_of("p"), identity="p")
    with Gallery(path, store_crops=True) as gallery:
        gallery.add(features_of("q"), identity="q", crops=[np.zeros((16, 8, 3), np.uint8)] * 3)
        with pytest.raises(GalleryError, match="reid gallery reembed"):
            gallery.bind("b" * 64, 64)


def test_crops_are_kept_only_where_asked_and_come_back_as_they_were(path):
    random = np.random.default_rng(0)
    crops = [random.integers(0, 255, (128, 64, 3), np.uint8) for _ in range(3)]  # several records each
    with Gallery(path, store_crops=True) as gallery:
        gallery.add(features_of("p"), identity="p", camera="dock", time=5.0, crops=crops)
        gallery.add(features_of("q"), identity="q")
    with Gallery(path) as gallery:
        assert gallery.stores_crops, "the file remembers"
        found = gallery.crops("p")
        assert [(camera, time) for _, camera, time in found] == [("dock", 5.0)] * 3
        assert all(np.array_equal(image, crop) for (image, _, _), crop in zip(found, crops, strict=True))
        assert gallery.crops("q") == []
        with pytest.raises(GalleryError, match="2 crops for 3"):
            gallery.add(features_of("p"), identity="p", crops=crops[:2])
    with Gallery(path.with_name("other.db")) as gallery:
        gallery.add(features_of("p"), identity="p", crops=crops)
        assert gallery.crops("p") == []


def test_an_encrypted_file_shows_nothing_and_opens_with_its_passphrase_only(path, monkeypatch):
    monkeypatch.setenv("ALIGNED_REID_GALLERY_KEY", "open sesame")
    with Gallery(path) as gallery:
        fill(gallery)
        before = contents(gallery)
        assert gallery.verify().ok
        assert not any(traces(path.parent, f"p{i:02d}/x", features_of(f"p{i:02d}/x")) for i in range(12))
    with Gallery(path) as gallery:
        assert contents(gallery) == before
    monkeypatch.setenv("ALIGNED_REID_GALLERY_KEY", "guess")
    with pytest.raises(GalleryError, match="not the passphrase"):
        Gallery(path)
    monkeypatch.delenv("ALIGNED_REID_GALLERY_KEY")
    with pytest.raises(GalleryError, match="ALIGNED_REID_GALLERY_KEY"):
        Gallery(path, read_only=True)


# What goes wrong.


def test_a_newer_schema_and_foreign_files_are_refused(path):
    Gallery(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 9")
    connection.close()
    with pytest.raises(GalleryError, match="schema 9; this release reads up to 2: upgrade"):
        Gallery(path)
    other = path.with_name("other.db")
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE t (x)")
    connection.close()
    with pytest.raises(GalleryError, match="no gallery"):
        Gallery(other)
    other.write_bytes(b"no database at all" * 100)
    with pytest.raises(GalleryError, match="is damaged"):
        Gallery(other)
    with pytest.raises(GalleryError, match="no such gallery"):
        Gallery(path.with_name("absent.db"), read_only=True)
    with pytest.raises(GalleryError, match="does not exist"):
        Gallery(path.parent / "absent" / "site.db")


def pages_with(path, name, dim=64):
    """Offsets of the pages that hold somebody's exemplars."""
    content, size = path.read_bytes(), 16384
    needles = [row.tobytes()[:16] for row in features_of(name)]
    return sorted({content.find(needle) // size * size for needle in needles})


@pytest.mark.parametrize("damage", ["a flipped byte", "a page of zeros", "a page of noise"])
def test_a_corrupted_page_is_told_and_the_rest_can_be_read(path, damage):
    with Gallery(path) as gallery:
        for i in range(100):
            gallery.add(features_of(f"p{i}"), identity=f"p{i}")
    (page, *_) = pages_with(path, "p50")
    content = bytearray(path.read_bytes())
    if damage == "a flipped byte":
        content[content.find(features_of("p50")[0].tobytes()) + 10] ^= 0x40
    else:
        noise = np.random.default_rng(0).bytes(16384)
        content[page : page + 16384] = bytes(16384) if damage == "a page of zeros" else noise
    path.write_bytes(content)
    with pytest.raises(GalleryError, match=r"is damaged \(.*read_only=True.*reid gallery export"):
        Gallery(path)
    with Gallery(path, read_only=True) as gallery:
        assert gallery.problems
        assert not gallery.verify().ok
        left = len(gallery)
        assert left == 299 if damage == "a flipped byte" else 200 < left < 300
        assert gallery.search(features_of("p2")[0], k=1)[0][0].identity == "p2"
        assert gallery.export(path.with_name("saved")) == left
    with Gallery(path.with_name("new.db")) as gallery:
        assert gallery.load(path.with_name("saved")) == left
        assert gallery.verify().ok


def test_a_flipped_byte_is_found_by_verify_while_the_gallery_is_open(path):
    gallery = Gallery(path)
    fill(gallery)
    gallery._journal.scrub()
    at = path.read_bytes().find(features_of("p05/x")[1].tobytes())
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"\xff")
    report = gallery.verify()
    assert not report.ok
    assert "exemplar" in report.problems[0]
    gallery.close()


FULL = """
import resource, signal, sys
from sdk.errors import GalleryError
from sdk.gallery import Gallery
from tests.galleries import features_of
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
gallery = Gallery(sys.argv[1])
gallery.add(features_of("first"), identity="first")
resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, resource.RLIM_INFINITY))
added = 0
try:
    for added in range(100_000):
        gallery.add(features_of(f"p{added}"), identity=f"p{added}")
except GalleryError as error:
    print(error)
assert len(gallery) == 3 * (1 + added), (len(gallery), added)
assert f"p{added}" not in gallery.identities()
assert gallery.search(features_of("first")[0], k=1)[0][0].identity == "first"
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
gallery.add(features_of("last"), identity="last")
print(added)
"""


def test_a_full_disk_is_told_nothing_is_lost_and_matching_goes_on(path):
    """The system refuses to make a file longer, as it does when the disk is full."""
    out = subprocess.run([sys.executable, "-c", FULL, str(path)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert out.returncode == 0, out.stderr
    message, added = out.stdout.splitlines()
    assert "nothing of this call was stored" in message
    with Gallery(path) as gallery:
        assert len(gallery.identities()) == int(added) + 2
        assert {"first", "last", f"p{int(added) - 1}"} <= set(gallery.identities())
        assert gallery.verify().ok


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 8 MB."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(place)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a small file system cannot be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def occupy(path):
    """Fill the rest of a disk."""
    with path.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def test_people_are_forgotten_on_a_full_disk(small_disk):
    with Gallery(small_disk / "site.db", store_crops=True) as gallery:
        crops = [np.random.default_rng(0).integers(0, 255, (64, 32, 3), np.uint8)] * 12
        for i in range(16):
            gallery.add(features_of(f"p{i:02d}-end", 12), identity=f"p{i:02d}-end", crops=crops)
        occupy(small_disk / "filler")
        gallery.merge("p00-end", into="p01-end")
        gallery.rename("p02-end", "bob-end")
        for name in ("bob-end", *(f"p{i:02d}-end" for i in range(3, 10))):
            assert gallery.forget(name) == 12
            occupy(small_disk / "filler")
        assert gallery.traces is None
        for name in ("p00-end", "p02-end", "bob-end", "p09-end"):
            assert traces(small_disk, name, []) == []
        assert traces(small_disk, "p09-end", features_of("p09-end", 12)) == []
        added = 0
        with contextlib.suppress(GalleryError):
            for added in range(1000):
                gallery.add(features_of(f"q{added}", 12), identity=f"q{added}")
        assert added < 900
        assert gallery.forget("p10-end") == 12, "what is held for forgetting is for nothing else"
        known = gallery.identities()
        assert gallery.verify().ok
    (small_disk / "filler").unlink()
    with Gallery(small_disk / "site.db") as gallery:
        assert gallery.identities() == known
        assert len(known) == 16 - 10 + added
        assert gallery.verify().ok


def test_a_reserve_holds_what_there_is_and_gives_it(small_disk, tmp_path):
    def free():
        disk = os.statvfs(small_disk)
        return disk.f_bavail * disk.f_frsize

    before, reserve = free(), Reserve(small_disk)
    reserve.take()
    reserve.take()
    assert (reserve.held, before - free(), list(small_disk.iterdir())) == (MOST, MOST, [])
    reserve.give()
    assert (reserve.held, free()) == (0, before)
    (small_disk / "filler").write_bytes(bytes(before - MOST // 2))
    reserve.take()
    assert reserve.held == MOST // 2, "less where there is less"
    reserve.close()
    occupy(small_disk / "filler")
    reserve.take()
    assert reserve.held == 0
    assert free() == 0
    reserve.close()
    missing = Reserve(tmp_path / "nowhere")
    missing.take()
    missing.give()
    assert missing.held == 0


def test_sqlites_own_word_for_a_full_disk(path):
    with Gallery(path) as gallery:
        fill(gallery, 3)
        (pages,) = gallery._journal._connection.execute("PRAGMA page_count").fetchone()
        gallery._journal._connection.execute(f"PRAGMA max_page_count = {pages}")
        add_many = (gallery.add(features_of(f"q{i}"), identity=f"q{i}") for i in range(1000))
        with pytest.raises(GalleryError, match="the disk is full, nothing of this call was stored"):
            list(add_many)
        known = len(gallery)
        assert gallery.verify().ok
    with Gallery(path) as gallery:
        assert len(gallery) == known


def as_nobody(run, *arguments) -> str:
    """What `run` prints or raises in a process without root's right to write anything."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.getuid() == 0:
                os.setresuid(65534, 65534, 65534)
            answer = run(*arguments)
        except GalleryError as error:
            answer = str(error)
        except BaseException as error:
            answer = repr(error)
        os.write(write, str(answer).encode())
        os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    with os.fdopen(read) as file:
        return file.read()


def test_a_read_only_folder_is_told_and_can_be_read(tmp_path_factory):
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="gallery-"))  # not below tmp_path, which nobody else may enter
    path = folder / "site.db"
    try:
        with Gallery(path) as gallery:
            fill(gallery, 3)
        (folder / "site.db-lock").unlink()
        for file in folder.iterdir():
            file.chmod(0o444)
        folder.chmod(0o555)

        def write():
            return Gallery(path)

        def read():
            with Gallery(path, read_only=True) as gallery:
                return len(gallery), gallery.search(features_of("p01/x"), k=1)[0][0].identity, gallery.verify().ok

        assert "cannot be written" in as_nobody(write)
        assert "read_only=True" in as_nobody(write)
        assert as_nobody(read) == "(9, 'p01/x', True)"
    finally:
        folder.chmod(0o755)
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()


@pytest.mark.parametrize("embedding", [np.full((1, 64), np.nan), np.eye(1, 32), np.full((2, 64), 0.5)])
def test_a_bad_embedding_is_refused_and_nothing_is_stored(path, embedding):
    with Gallery(path) as gallery:
        fill(gallery, 2)
        with pytest.raises(GalleryError):
            gallery.add(embedding, identity="bad")
    with Gallery(path) as gallery:
        assert gallery.identities() == ["p00/x", "p01/x"]


@pytest.mark.parametrize("name", ["x" * 201, "é" * 101, "\ud800"])
def test_a_name_that_a_record_cannot_hold_is_refused(path, name):
    with Gallery(path) as gallery:
        with pytest.raises(GalleryError, match=r"half a character|bytes"):
            gallery.add(features_of("p"), identity=name)
        with pytest.raises(GalleryError, match=r"half a character|bytes"):
            gallery.add(features_of("p"), identity="p", camera=name)
        gallery.add(features_of("p"), identity="é" * 100, camera="é" * 100)
    with Gallery(path) as gallery:
        assert gallery.identities() == ["é" * 100]


# Export and import.


def test_export_and_import_carry_everything(path):
    random = np.random.default_rng(0)
    stripes = unit(random, 3, 4, 16).astype(np.float16)
    with Gallery(path) as gallery:
        gallery.bind("a" * 64, 64, (4, 16))
        fill(gallery, stripes=stripes)
        gallery.add(features_of("timeless"), identity="timeless")
        assert gallery.export(path.with_name("saved.npz")) == 39
        before = contents(gallery)
        added = gallery._state.rows.added.copy()
    with Gallery(path.with_name("copy.db")) as copy:
        assert copy.load(path.with_name("saved")) == 39
        timeless = [(n, c, "nan" if np.isnan(t) else t, e) for n, c, t, e in contents(copy)]
        assert timeless == [(n, c, "nan" if np.isnan(t) else t, e) for n, c, t, e in before]
        assert (copy.model, copy.stripes_shape) == ("a" * 64, (4, 16))
        assert sorted(copy._state.rows.added) == sorted(added)
        kept = copy._state.rows
        rows = kept.gather_stripes(np.flatnonzero(kept.alive))
        assert sum(not row.any() for row in rows) == 3, "timeless has none"
        assert asdict(copy.audit()[-1])["action"] == "import"
    with Gallery() as other:
        other.bind("b" * 64, 64)
        with pytest.raises(GalleryError, match="holds features of model bbbb"):
            other.load(path.with_name("saved"))
        assert len(other) == 0


@pytest.mark.parametrize("damage", ["lines", "npz", "absent", "pickle", "schema"])
def test_a_damaged_export_is_refused_and_nothing_is_added(path, damage):
    with Gallery(path) as gallery:
        fill(gallery, 3)
        gallery.export(path.with_name("saved"))
        arrays, lines = path.with_name("saved.npz"), path.with_name("saved.jsonl")
        if damage == "lines":
            lines.write_text("".join(lines.read_text().splitlines(True)[:-1]))
        elif damage == "npz":
            arrays.write_bytes(arrays.read_bytes()[:400])
        elif damage == "absent":
            lines.unlink()
        elif damage == "pickle":
            np.savez(arrays, embedding=np.array([{}], dtype=object))
        else:
            lines.write_text(lines.read_text().replace('"schema": 1', '"schema": 7'))
        with pytest.raises(GalleryError, match="saved"):
            gallery.load(path.with_name("saved"))
        assert len(gallery) == 9
