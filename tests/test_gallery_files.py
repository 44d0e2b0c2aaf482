"""A gallery's file: one owner, copies that are whole, damage that is told, encryption that is not missed."""

import multiprocessing
import os
import shutil
import sqlite3
import stat
import threading

import numpy as np
import pytest

from sdk.errors import GalleryError
from sdk.gallery import Gallery
from sdk.gallery import ledger as ledger_module
from sdk.gallery.backup import restore
from sdk.gallery.rewrite import accept, rewrite
from tests.galleries import earlier_file, features_of, traces

KEY = "open sesame"


@pytest.fixture
def path(tmp_path):
    folder = tmp_path / "site"
    folder.mkdir()
    return folder / "site.db"


def fill(path, *names, **options):
    with Gallery(path, **options) as gallery:
        for name in names:
            gallery.add(features_of(name), identity=name, camera="dock")


def names_in(path, **options):
    with Gallery(path, read_only=True, **options) as gallery:
        assert gallery.verify().ok, gallery.verify().problems
        return gallery.identities()


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


# One file, one owner.


def refusal(path, queue):
    try:
        Gallery(path).close()
        queue.put("opened")
    except GalleryError as error:
        queue.put(str(error))


@pytest.mark.parametrize("link", ["symbolic", "hard"])
@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_link_is_no_way_to_a_second_writer(path, link, elsewhere):
    fill(path, "ann")
    alias = path.with_name("alias.db")
    alias.symlink_to(path) if link == "symbolic" else alias.hardlink_to(path)
    with Gallery(path) as gallery:
        if elsewhere:
            queue = multiprocessing.get_context("fork").Queue()
            process = multiprocessing.get_context("fork").Process(target=refusal, args=(alias, queue))
            # A fork has this process's descriptors: it must not take the lock for its own, nor end it.
            process.start()
            assert "is writing it" in queue.get(timeout=30)
            process.join()
        else:
            with pytest.raises(GalleryError, match=f"process {os.getpid()} is writing it"):
                Gallery(alias)
        gallery.add(features_of("bob"), identity="bob")
        assert gallery.verify().ok
    alias.unlink()
    assert names_in(path) == ["ann", "bob"]


def test_a_lock_file_that_is_a_link_is_not_written_through(path):
    victim = path.with_name("victim")
    victim.write_text("precious")
    path.with_name("site.db-lock").symlink_to(victim)
    with pytest.raises(GalleryError, match="cannot be written"):
        Gallery(path)
    assert victim.read_text() == "precious"
    assert not path.exists(), "what came to nothing leaves nothing behind"


def test_new_files_are_their_owners_alone(path):
    before = os.umask(0o022)
    try:
        with Gallery(path) as gallery:
            gallery.add(features_of("ann"), identity="ann")
            gallery.export(path.with_name("saved"))
            gallery.backup(path.with_name("copy.db"))
            assert {file.name: mode(file) for file in path.parent.iterdir()} == dict.fromkeys(
                ["site.db", "site.db-wal", "site.db-shm", "site.db-lock", "saved.npz", "saved.jsonl", "copy.db"], 0o600
            )
    finally:
        os.umask(before)


# Gone, and gone without a trace.


@pytest.mark.parametrize("change", ["forget", "rename", "merge"])
def test_what_a_reader_keeps_from_being_overwritten_is_told_and_done_when_it_ends(path, monkeypatch, change):
    monkeypatch.setattr("sdk.gallery.journal.SCRUB_WAIT", 0.05)
    monkeypatch.setattr(ledger_module, "SCRUB_EVERY", 0.02)
    fill(path, "ann-end", "bob-end")
    with Gallery(path) as gallery:
        reader = sqlite3.connect(path)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM identity").fetchone()
        assert gallery.traces is None
        {
            "forget": lambda: gallery.forget("ann-end"),
            "rename": lambda: gallery.rename("ann-end", "eve"),
            "merge": lambda: gallery.merge("ann-end", "bob-end"),
        }[change]()
        assert "ann-end" not in gallery.identities()
        assert "until the process that reads it ends" in gallery.traces
        assert "until the process" in gallery.verify().traces
        with Gallery(path, read_only=True) as other:  # as another process sees it
            assert "may still be in site.db-wal" in other.verify().traces
            assert "ann-end" not in other.identities()
        reader.close()
        for _ in range(500):
            if gallery.traces is None:
                break
            threading.Event().wait(0.01)
        assert gallery.traces is None
        gone = features_of("ann-end") if change == "forget" else features_of("nobody")
        assert traces(path.parent, "ann-end", gone) == []
        assert gallery.verify().traces is None


def test_what_cannot_be_stored_has_not_happened(path):
    fill(path, "ann", "bob")
    with Gallery(path) as gallery:
        gallery._journal._connection.execute("PRAGMA query_only = ON")  # as a full disk: no transaction goes through
        for change in (
            lambda: gallery.forget("ann"),
            lambda: gallery.merge("ann", "bob"),
            lambda: gallery.rename("ann", "eve"),
            lambda: gallery.prune(older_than=0),
            lambda: gallery.settle(retention=1.0),
        ):
            with pytest.raises(GalleryError):
                change()
            assert gallery.identities() == ["ann", "bob"]
        assert (gallery.traces, gallery.retention) == (None, 0.0)


# Copies.


def test_a_copy_without_its_log_is_refused_and_can_be_accepted(path):
    copy = path.with_name("copy.db")
    with Gallery(path) as gallery:
        gallery.add(features_of("ann"), identity="ann")
        gallery._journal.scrub()
        gallery.add(features_of("bob"), identity="bob")
        shutil.copy(path, copy)
        with pytest.raises(GalleryError, match=r"copy.db-wal is missing, with the last 1 changes: 2 people .* 1 with"):
            Gallery(copy)
        with Gallery(copy, read_only=True) as read:
            assert read.identities() == ["ann"]
            assert any("is missing" in problem for problem in read.verify().problems)
        for ending in ("-wal", "-shm"):
            shutil.copy(f"{path}{ending}", f"{copy}{ending}")
        assert names_in(copy) == ["ann", "bob"], "with its log it is whole"
        for ending in ("-wal", "-shm"):
            copy.with_name(copy.name + ending).unlink(missing_ok=True)
    shutil.copy(path, copy)
    assert names_in(copy) == ["ann", "bob"], "a gallery that is closed is one file"
    with Gallery(path) as gallery:
        gallery.add(features_of("eve"), identity="eve")
        shutil.copy(path, copy)
    assert accept(copy, None) == 6
    with Gallery(copy) as gallery:
        assert gallery.identities() == ["ann", "bob"]
        assert gallery.audit()[-1].action == "accept"


def test_a_backup_is_whole_while_somebody_writes_and_comes_back(path):
    copy = path.with_name("copy.db")
    with Gallery(path) as gallery:
        for name in ("ann", "bob", "eve", "kim"):
            gallery.add(features_of(name), identity=name)
        stop = threading.Event()

        def write():
            for number in range(10**6):
                gallery.add(features_of(f"p{number}"), identity=f"p{number}")
                if stop.is_set():
                    return

        writer = threading.Thread(target=write)
        writer.start()
        assert gallery.backup(copy) >= 12
        stop.set()
        writer.join()
        assert {"ann", "bob", "eve", "kim"} <= set(names_in(copy))
        assert [file.name for file in path.parent.glob("*copy*")] == ["copy.db"], "one file, and nothing beside it"
        gallery.merge("eve", into="bob")
        gallery.forget("bob")
        gallery.rename("kim", "kimberly")
        number = gallery.describe("kimberly")[0].number
        with pytest.raises(GalleryError, match="is writing it"):
            restore(copy, path, overwrite=True)
        with pytest.raises(GalleryError, match="the gallery itself"):
            gallery.backup(path)
    with pytest.raises(GalleryError, match="is there already"):
        restore(copy, path)
    done = restore(copy, path, overwrite=True)
    assert (done.forgotten, done.unknown) == (2, False), "bob, and eve, who had become bob"
    with Gallery(path) as gallery:
        known = gallery.identities()
        assert {"ann", "kim"} <= set(known)
        assert not {"bob", "eve", "kimberly"} & set(known), "whoever was forgotten stays so; names are the copy's"
        assert {"merge", "rename", "forget", "restore"} <= {line.action for line in gallery.audit()}
        gallery.add(features_of("new"), identity="new")
        assert gallery.describe("new")[0].number > number, "no number is used twice"
        assert gallery.verify().ok


def test_a_damaged_backup_is_not_restored_and_a_damaged_gallery_is_not_copied(path):
    copy = path.with_name("copy.db")
    fill(path, "ann", "bob")
    with Gallery(path) as gallery:
        gallery.backup(copy)
    good = copy.read_bytes()
    damage(path, features_of("bob")[1].tobytes())
    with Gallery(path, read_only=True) as gallery, pytest.raises(GalleryError, match=r"is damaged .* is not copied"):
        gallery.backup(copy)
    assert copy.read_bytes() == good
    assert restore(copy, path, overwrite=True).identities == 2, "over a damaged one"
    assert names_in(path) == ["ann", "bob"]
    damage(copy, features_of("bob")[1].tobytes())
    with pytest.raises(GalleryError, match="is damaged"):
        restore(copy, path, overwrite=True)
    assert names_in(path) == ["ann", "bob"]


# Damage.


def damage(path, needle, place=10, flip=0x40):
    content = bytearray(path.read_bytes())
    assert needle in content
    content[content.find(needle) + place] ^= flip
    path.write_bytes(content)


def test_wherever_a_sector_is_lost_what_can_be_read_is_read_and_the_rest_is_told(path, caplog):
    names = [f"p{i:02d}" for i in range(40)]
    with Gallery(path, retention=1e9) as gallery:
        for name in names:
            gallery.add(features_of(name), identity=name, camera=f"camera-{name}")
        gallery.forget("p07")
    names.remove("p07")
    whole = path.read_bytes()
    silent = []
    for at in range(0, len(whole), 8192):
        if not any(whole[at : at + 512]):
            continue
        content = bytearray(whole)
        content[at : at + 512] = bytes(512)
        path.write_bytes(content)
        try:
            with Gallery(path, read_only=True) as gallery:
                same = [(s.identity, s.exemplars, s.cameras) for s in gallery.describe()] == [
                    (name, 3, (f"camera-{name}",)) for name in names
                ]
                same &= len(gallery.audit()) == 1 and gallery.retention == 1e9
                if not same and gallery.verify().ok:
                    silent.append(at)
                gallery.export(path.with_name("saved"))
        except GalleryError:
            pass
    assert silent == []


@pytest.mark.parametrize("what", ["retention", "audit", "removal"])
def test_settings_audit_and_removals_have_checksums(path, what):
    with Gallery(path, retention=1e9) as gallery:
        gallery.add(features_of("ann"), identity="ann")
        gallery.add(features_of("bob"), identity="bob")
        gallery.forget("bob")
        with gallery._journal.transaction():
            gallery._journal.put_removals([b"sixteen bytes xx"])
    connection = sqlite3.connect(path)
    change = {
        "retention": "UPDATE meta SET value = 1.0 WHERE key = 'retention'",
        "audit": "UPDATE audit SET number = 1",
        "removal": "UPDATE removal SET uid = CAST('sixteen bytes xy' AS BLOB)",
    }[what]
    connection.execute(change)
    connection.commit()
    connection.close()
    with Gallery(path, read_only=True) as gallery:
        assert gallery.identities() == ["ann"]
        assert gallery.retention == 1e9, "the sealed copy holds"
        assert not gallery.verify().ok
    if what == "audit":  # nobody is lost by it
        with Gallery(path) as gallery:
            assert gallery.audit() == []
            assert not gallery.verify().ok
        return
    with pytest.raises(GalleryError, match="is damaged"):
        Gallery(path)


def test_an_emptied_record_is_missed(path):
    fill(path, "ann", "bob")
    connection = sqlite3.connect(path)
    connection.execute("UPDATE exemplar SET record = zeroblob(length(record)) WHERE slot = 2")
    connection.commit()
    connection.close()
    with pytest.raises(GalleryError, match="table exemplar has 5 records, not 6"):
        Gallery(path)
    with Gallery(path, read_only=True) as gallery:
        assert not gallery.verify().ok
        assert len(gallery) == 5


# What earlier releases wrote.


@pytest.mark.parametrize("passphrase", [None, KEY])
def test_a_file_of_schema_1_is_read_as_it_is_and_brought_up_when_it_is_written(path, passphrase):
    path.write_bytes(earlier_file("gallery-schema-1" + ("-encrypted" if passphrase else "")))
    before = path.read_bytes()
    assert names_in(path, passphrase=passphrase) == ["anna", "bob", "kim"]
    assert path.read_bytes() == before
    with Gallery(path, passphrase=passphrase) as gallery:
        assert {s.identity: (s.number, s.exemplars) for s in gallery.describe()} == {
            "anna": (1, 2), "bob": (2, 4), "kim": (5, 2),
        }  # fmt: skip
        assert [line.action for line in gallery.audit()] == ["rename", "merge", "forget"]
        assert (gallery.model, gallery.max_exemplars, len(gallery.statistics())) == ("a" * 64, 4, 1)
        assert len(gallery.crops("anna")) == (0 if passphrase else 2)
        gallery.add(np.eye(1, 8, dtype=np.float32), identity="new")
        assert gallery.describe("new")[0].number == 6
        assert gallery.verify().ok
    assert names_in(path, passphrase=passphrase) == ["anna", "bob", "kim", "new"]
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (2,)
    connection.close()


# Encryption.


def test_a_passphrase_for_a_plain_file_and_an_empty_one_are_refused(path, monkeypatch):
    fill(path, "ann")
    with pytest.raises(GalleryError, match=r"is not encrypted, and a passphrase was given.*reid gallery encrypt"):
        Gallery(path, passphrase=KEY)
    for empty in ("", "  "):
        with pytest.raises(GalleryError, match="passphrase is empty"):
            Gallery(path.with_name("new.db"), passphrase=empty)
        monkeypatch.setenv("ALIGNED_REID_GALLERY_KEY", empty)
        with pytest.raises(GalleryError, match="ALIGNED_REID_GALLERY_KEY is empty"):
            Gallery(path.with_name("new.db"))
        monkeypatch.delenv("ALIGNED_REID_GALLERY_KEY")
    assert not path.with_name("new.db").exists()
    assert names_in(path) == ["ann"]


def test_a_file_is_encrypted_gets_another_passphrase_and_is_decrypted(path):
    with Gallery(path, store_crops=True, retention=1e9) as gallery:
        for name in ("ann-end", "bob-end", "eve-end"):
            crop = np.full((40, 20, 3), len(name), np.uint8)
            gallery.add(features_of(name), identity=name, camera="dock-end", crops=[crop] * 3)
        gallery.forget("bob-end")
    twin = path.with_name("twin.db")
    twin.hardlink_to(path)
    with pytest.raises(GalleryError, match="several names"):
        rewrite(path, None, KEY)
    twin.unlink()
    with path.open("rb") as former:
        for old, new in ((None, KEY), (KEY, "another"), ("another", None)):
            assert rewrite(path, old, new) == 6
            assert sorted(file.name for file in path.parent.iterdir()) == ["site.db", "site.db-lock"]
            with pytest.raises(GalleryError):
                Gallery(path, passphrase="wrong")
            assert bool(traces(path.parent, "ann-end", features_of("ann-end"))) == (new is None)
            with Gallery(path, passphrase=new) as gallery:
                assert gallery.identities() == ["ann-end", "eve-end"]
                assert gallery.verify().ok
        assert not any(former.read()), "the plain file that was in its place is overwritten"
    with Gallery(path) as gallery:
        assert [line.action for line in gallery.audit()] == ["forget"]
        assert (gallery.retention, gallery.stores_crops, len(gallery.crops("eve-end"))) == (1e9, True, 3)
        with pytest.raises(GalleryError, match="is writing it"):
            rewrite(path, None, KEY)
    assert names_in(path) == ["ann-end", "eve-end"]
