"""A gallery shared by several sites, on Milvus Lite: sites see each other, work on without the store, and agree."""

import contextlib
import json
import logging
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from sdk.cli import build_app
from sdk.confidential import Confidential
from sdk.errors import GalleryError, MissingPackageError
from sdk.gallery import Gallery
from sdk.gallery import shared as shared_module
from sdk.gallery.milvus import Address
from sdk.gallery.opening import open_to_read
from tests.galleries import features_of, traces, unit

pytest.importorskip("pymilvus", reason="Milvus is not installed: pip install 'aligned-reid[milvus]'")
pytest.importorskip("milvus_lite", reason="Milvus Lite is not installed: pip install 'aligned-reid[milvus]'")


@pytest.fixture(autouse=True)
def only_when_asked(monkeypatch):
    """The background thread rests: each test says when sites exchange."""
    monkeypatch.setattr(shared_module, "INTERVAL", 3600.0)
    monkeypatch.setattr(shared_module.Sync, "wake", lambda self: None)
    monkeypatch.setattr(shared_module.Sync, "_run", lambda self: None)


class Server:
    """Milvus Lite as a process that listens on a port, like a cluster."""

    def __init__(self, folder: Path):
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process = None

    def start(self):
        program = Path(sys.executable).with_name("milvus-lite")
        command = [
            str(program),
            "server",
            "--data-dir",
            str(self.folder),
            "--host",
            "127.0.0.1",
            "--port",
            str(self.port),
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 0.2):
                return
            assert self.process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("milvus") / "data")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def site(server):
    """Opens a gallery of this test's store: `site()`, or with a cache."""
    name = f"g_{uuid.uuid4().hex}"
    opened = []

    def open_site(cache=None):
        gallery = Gallery(f"milvus://127.0.0.1:{server.port}/{name}", cache=cache)
        opened.append(gallery)
        return gallery

    yield open_site
    for gallery in opened:
        with contextlib.suppress(GalleryError):
            gallery.close()


def enrol(gallery, *names, camera=None, time=None):
    for name in names:
        gallery.add(features_of(name), identity=name, camera=camera, time=time)


def settle(*galleries):
    """Exchange until nobody has anything new."""
    for _ in range(2):
        for gallery in galleries:
            gallery._sync._compared = 0.0  # a full comparison, also of what was deleted
            gallery.sync()


def wait_for_store(*galleries):
    """Until connections that were cut are made again; the background thread tries again just so."""
    for gallery in galleries:
        deadline = time.monotonic() + 40
        while True:
            try:
                gallery.sync()
                break
            except GalleryError:
                assert time.monotonic() < deadline
                time.sleep(0.2)


def contents(gallery):
    state = gallery._state
    rows = state.rows
    return sorted(
        (
            state.names[rows.person[i]],
            state.cameras[rows.camera[i]] or "",
            str(rows.time[i]),
            np.round(rows.gather(np.array(i)), 5).tobytes(),
        )
        for i in np.flatnonzero(rows.alive)
    )


def uids(gallery):
    return {name: gallery._people[number].record.uid for name, number in gallery._number.items()}


def agree(*galleries):
    """All have the same, which is also all that the store has: it keeps nothing, and no name, of who is gone."""
    store, rows = galleries[0]._sync._store, galleries[0]._state.rows
    alive = np.flatnonzero(rows.alive)
    assert {uid for uid, _, _ in store.exemplar_uids(0.0)} == {rows.uid[row].tobytes() for row in alive}
    people = [person for person, _ in store.people(0.0)]
    assert sorted((p.name, p.uid) for p in people if not p.gone) == sorted(uids(galleries[0]).items())
    assert all(p.name == "" for p in people if p.gone)
    assert all(contents(gallery) == contents(galleries[0]) for gallery in galleries)
    assert all(uids(gallery) == uids(galleries[0]) for gallery in galleries)
    assert all(gallery._sync.waiting() == 0 for gallery in galleries)
    assert all(gallery.verify().ok for gallery in galleries)


def test_two_sites_see_each_others_people(site):
    dock, gate = site(), site()
    enrol(dock, "ann", camera="dock", time=5.0)
    enrol(gate, "bob")
    settle(dock, gate)
    agree(dock, gate)
    (candidates,) = gate.search(features_of("ann")[0], k=1)
    assert (candidates[0].identity, candidates[0].camera, candidates[0].time) == ("ann", "dock", 5.0)
    assert candidates[0].distance < 1e-6
    gate.add(features_of("ann once more"), identity="ann", camera="gate")
    gate.rename("bob", "robert")
    settle(dock, gate)
    agree(dock, gate)
    assert dock.identities() == ["ann", "robert"]
    assert dock.describe("ann")[0].exemplars == 6


def test_a_lite_file_is_opened_by_its_name(tmp_path):
    where = tmp_path / "site.milvus.db"
    with Gallery(where) as dock, Gallery(where) as gate:
        enrol(dock, "ann")
        settle(dock, gate)
        agree(dock, gate)
        assert gate.identities() == ["ann"]


def test_what_one_site_forgets_is_forgotten_everywhere(site, tmp_path):
    dock, gate = site(tmp_path / "dock.db"), site(tmp_path / "gate.db")
    enrol(dock, "ann-end", "bob")
    settle(dock, gate)
    gate.add(features_of("sent"), identity="ann-end")
    gate.sync()  # sent, but the other site does not know of it when it forgets
    gate.add(features_of("late"), identity="ann-end")  # not even sent
    dock.forget("ann-end")
    dock.sync()
    assert dock.identities() == ["bob"], "what the other site has sent does not bring her back"
    settle(dock, gate)
    agree(dock, gate)
    assert gate.identities() == ["bob"]
    assert traces(tmp_path, "ann-end", np.concatenate([features_of("ann-end"), features_of("late")])) == []
    late = site()
    settle(late)
    assert late.identities() == ["bob"]
    enrol(gate, "ann-end")  # again, later: somebody new
    settle(dock, gate, late)
    agree(dock, gate, late)
    assert late.identities() == ["ann-end", "bob"]


@pytest.mark.parametrize("smaller_first", [True, False])
def test_the_same_name_at_two_sites_is_one_person(site, smaller_first):
    dock, gate, yard = site(), site(), site()
    for gallery, features in ((dock, "one"), (gate, "two"), (yard, "three")):
        gallery.add(features_of(features), identity="ann")
    dock, gate, yard = sorted((dock, gate, yard), key=lambda g: uids(g)["ann"], reverse=not smaller_first)
    settle(dock, gate, yard)
    agree(dock, gate, yard)
    assert dock.describe("ann")[0].exemplars == 9
    assert dock.new_name() != gate.new_name(), "a tracker's names do not meet"


def test_mergers_meet_additions_and_renamings(site):
    dock, gate = site(), site()
    enrol(dock, "a", "b", "c")
    settle(dock, gate)
    dock.merge("a", into="b")
    gate.add(features_of("more of a"), identity="a")
    gate.rename("c", "see")
    time.sleep(0.01)
    dock.rename("c", "sea")
    settle(gate, dock)
    settle(dock, gate)
    agree(dock, gate)
    assert dock.identities() == ["b", "sea"], "the later name holds"
    assert dock.describe("b")[0].exemplars == 9
    newcomer = site()
    settle(newcomer)
    agree(dock, newcomer)


def test_pruning_at_one_site_leaves_what_another_has_just_added(site):
    dock, gate = site(), site()
    enrol(dock, "old", "both")
    settle(dock, gate)
    gate.add(features_of("new look"), identity="both")
    assert dock.prune(before=time.time() + 1) == 6
    settle(dock, gate)
    settle(dock, gate)
    agree(dock, gate)
    assert gate.identities() == ["both"]
    assert len(gate) == 3


def test_what_one_site_finds_redundant_goes_everywhere(site):
    dock, gate = site(), site()
    enrol(dock, "ann")
    settle(dock, gate)
    dock.max_exemplars = 2
    dock.add(features_of("ann anew", number=1), identity="ann")
    settle(dock, gate)
    agree(dock, gate)
    assert len(gate) == 2


def test_more_exemplars_than_an_identity_may_have_come_to_rest(site):
    dock, gate = site(), site()
    for gallery, seed in ((dock, 1), (gate, 2)):
        gallery.add(unit(np.random.default_rng(seed), 30, 64), identity="ann")
    settle(dock, gate)
    settle(dock, gate)
    agree(dock, gate)
    assert 16 <= len(dock) <= 32


def test_stripes_come_along(site):
    dock, gate = site(), site()
    stripes = unit(np.random.default_rng(0), 3, 4, 16).astype(np.float16)
    dock.add(features_of("ann"), stripes, identity="ann")
    settle(dock, gate)
    assert gate.stripes_shape == (4, 16)
    rows = gate._state.rows
    found = rows.gather_stripes(np.flatnonzero(rows.alive))
    assert sorted(map(bytes, found)) == sorted(map(bytes, stripes))


def test_another_models_features_are_refused(site):
    dock, gate = site(), site()
    dock.bind("a" * 64, 64)
    gate.bind("b" * 64, 64)
    enrol(dock, "ann")
    enrol(gate, "bob")
    dock.sync()
    with pytest.raises(GalleryError, match=r"holds features of model bbbb.*this is aaaa"):
        gate.sync()
    assert gate.identities() == ["bob"]


def test_the_store_stops_matching_goes_on_and_nothing_is_lost(site, server, tmp_path):
    dock, gate = site(tmp_path / "dock.db"), site()
    enrol(dock, "ann", "bob", "eve-end")
    settle(dock, gate)
    server.stop()
    try:
        for gallery in (dock, gate):
            assert gallery.search(features_of("ann")[0], k=1)[0][0].identity == "ann"
            with pytest.raises(GalleryError, match=r"does not answer .* matching goes on"):
                gallery.sync()
        enrol(dock, "at the dock")
        enrol(gate, "at the gate")
        dock.forget("eve-end")
        assert dock.search(features_of("at the dock")[0], k=1)[0][0].identity == "at the dock"
        assert traces(tmp_path, "eve-end", features_of("eve-end")) == []
        # One site is restarted while the store is away: its cache knows what is still to be sent.
        dock.close()
        dock = site(tmp_path / "dock.db")
        assert dock.identities() == ["ann", "at the dock", "bob"]
        assert dock._sync.waiting() == 3 + 1 + 1 + 3  # exemplars, a name, somebody forgotten and those exemplars
    finally:
        server.start()
    wait_for_store(dock, gate)
    settle(dock, gate)
    agree(dock, gate)
    assert dock.identities() == ["ann", "at the dock", "at the gate", "bob"]


def test_a_store_that_has_lost_everything_gets_it_back(site, server, tmp_path):
    dock, gate = site(tmp_path / "dock.db"), site()
    enrol(dock, "ann", "bob")
    enrol(gate, "eve")
    settle(dock, gate)
    server.stop()
    try:
        shutil.rmtree(server.folder)
        dock.close()
    finally:
        server.start()
    dock = site(tmp_path / "dock.db")
    wait_for_store(dock, gate)
    settle(dock, gate)
    agree(dock, gate)
    newcomer = site()
    settle(newcomer)
    assert newcomer.identities() == ["ann", "bob", "eve"]
    agree(dock, newcomer)


def test_an_operator_looks_after_a_shared_gallery(site):
    dock = site()
    enrol(dock, "ann", "bob")
    settle(dock)
    run = CliRunner().invoke
    app = build_app()
    listed = run(app, ["gallery", "list", dock.where, "--json"])
    assert [entry["identity"] for entry in json.loads(listed.stdout)] == ["ann", "bob"]
    with open_to_read(dock.where) as opened:
        assert opened.identities() == ["ann", "bob"], "at once, though nothing was exchanged in the background yet"
        assert {candidate.identity for candidate in opened.search(features_of("ann"), 1)[0]} == {"ann"}
    assert run(app, ["gallery", "forget", dock.where, "ann"]).exit_code == 0
    settle(dock)
    assert dock.identities() == ["bob"]


def test_a_loss_at_the_end_is_told(site, server, caplog, monkeypatch):
    monkeypatch.setattr(shared_module, "GOODBYE", 0.2)
    gate = site()
    enrol(gate, "ann")
    server.stop()
    try:
        with caplog.at_level(logging.ERROR):
            gate.close()
        assert "4 changes have not reached" in caplog.text
        assert "there is no cache=" in caplog.text
    finally:
        server.start()


def test_the_background_thread_does_it_all_alone(site, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(shared_module, "INTERVAL", 0.1)
    dock, gate = site(), site()
    enrol(dock, "ann")
    deadline = time.monotonic() + 30
    while gate.identities() != ["ann"] and time.monotonic() < deadline:
        time.sleep(0.05)
    assert gate.identities() == ["ann"]
    gate.forget("ann")
    while dock.identities() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert dock.identities() == []


@pytest.mark.parametrize("where", ["milvus://host", "milvus://host:19530", "milvus://host:19530/a-b", "milvus:///x"])
def test_a_bad_address_is_explained(where):
    with pytest.raises(GalleryError, match="write milvus://host:19530/name"):
        Gallery(where)


def test_addresses():
    for where, uri, name, token, shown in (
        ("milvus://host:19530/site", "http://host:19530", "site", "", "milvus://host:19530/site"),
        ("milvus://me:se%40cret@10.0.0.1:1/s_2", "http://10.0.0.1:1", "s_2", "me:se@cret", "milvus://10.0.0.1:1/s_2"),
        ("milvus://key@host:1/s", "http://host:1", "s", "key", "milvus://host:1/s"),
        ("milvus+tls://host:1/s", "https://host:1", "s", "", "milvus+tls://host:1/s"),
        ("dir/x.milvus.db", "dir/x.milvus.db", "gallery", "", "dir/x.milvus.db"),
    ):
        assert Address.parse(where, {}) == Address(uri, name, Confidential(token), shown)


def test_without_pymilvus_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    with pytest.raises(MissingPackageError, match=r"\[milvus\]"):
        Gallery("milvus://127.0.0.1:1/site")


def away(gallery):
    """What a site says while its store does not answer."""
    with pytest.raises(GalleryError) as caught:
        gallery.sync()
    return str(caught.value)


def test_a_cache_that_was_made_elsewhere_serves_a_box_that_starts_without_a_network(server, tmp_path):
    name, cache = f"g_{uuid.uuid4().hex}", tmp_path / "box.db"
    here = f"milvus://127.0.0.1:{server.port}/{name}"
    with Gallery(here) as office:
        enrol(office, "ann", "bob")
        office.sync()
    result = CliRunner().invoke(build_app(), ["gallery", "sync", here, "--cache", str(cache)])
    assert result.exit_code == 0, result.exception
    with Gallery(f"milvus://127.0.0.1:1/{name}", cache=cache) as box:
        assert box.search(features_of("ann")[:1])[0][0].identity == "ann"
        enrol(box, "eve")
        assert "matching goes on with what is here" in away(box)
    with Gallery(here, cache=cache) as box, Gallery(here) as office:
        settle(box, office)
        assert sorted(office.identities()) == ["ann", "bob", "eve"]


def test_without_anybody_a_site_says_that_it_knows_nobody(tmp_path):
    with Gallery("milvus://127.0.0.1:1/site") as gallery:
        assert "nobody is known until it does, for this site has no cache; with cache=FILE" in away(gallery)
    with Gallery("milvus://127.0.0.1:1/site", cache=tmp_path / "site.db") as gallery:
        assert "the cache is empty; `reid gallery sync` fills one elsewhere" in away(gallery)


def test_a_cache_needs_a_shared_gallery_to_be_of(tmp_path):
    for more, said in (
        ([], "name it with --gallery"),
        (["--gallery", str(tmp_path / "a.db")], "is for a shared gallery"),
    ):
        line = ["serve", "--simulated", "--port", "0", "--cache", str(tmp_path / "c.db"), *more]
        result = CliRunner().invoke(build_app(), line)
        assert isinstance(result.exception, GalleryError)
        assert said in str(result.exception)
