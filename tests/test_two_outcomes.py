"""Whoever is to be forgotten, renamed or merged is so everywhere, or nowhere: gallery, tracker and page agree."""

import json
import sqlite3
import urllib.error
import urllib.request

import pytest

from sdk.errors import GalleryError, UnknownIdentityError
from sdk.serve import Access, serve
from tests.galleries import traces
from tests.moving import BLUE
from tests.stage import Stage, make_busy


@pytest.fixture
def busy(tmp_path):
    folder = tmp_path / "site"
    folder.mkdir()
    stage = make_busy(Stage(gallery=str(folder / "site.db")))
    stage.path = folder / "site.db"
    yield stage
    stage.reid.gallery.close()


def everywhere(stage):
    """Who is known: to the gallery, among the tracks, and on the page."""
    found = {name for _, name in stage.site.snapshot(1)[2]} | {p["identity"] for p in stage.site.state()["present"]}
    tracks = {stage.tracker.identity_of(camera, track) for camera in ("dock", "lobby") for track in range(9)} - {None}
    return set(stage.reid.gallery.identities()), tracks, found


def post(address, action, **body):
    secret = json.load(urllib.request.urlopen(address + "api/state"))["secret"]
    headers = {"Content-Type": "application/json", "X-Reid-Secret": secret}
    request = urllib.request.Request(address + "api/" + action, json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


ACTIONS = {
    "forget": {"identity": "person-1"},
    "rename": {"identity": "person-1", "to": "ann"},
    "merge": {"identity": "person-1", "into": "person-2"},
}


@pytest.mark.parametrize("action", ACTIONS)
def test_what_cannot_be_stored_has_happened_nowhere(busy, action):
    before = everywhere(busy)
    connection = busy.reid.gallery._journal._connection
    connection.execute("PRAGMA query_only = ON")  # no transaction goes through, as on a full disk
    with serve(busy.site, Access()) as address:
        status, told = post(address, action, **ACTIONS[action])
    assert (status, "cannot be written" in told) == (409, True)
    assert everywhere(busy) == before
    with pytest.raises(GalleryError, match="cannot be written"):
        getattr(busy.tracker, action)(*ACTIONS[action].values())
    assert everywhere(busy) == before
    connection.execute("PRAGMA query_only = OFF")
    busy.walk(2, lobby=[(BLUE, 170)], dock=[])
    assert busy.reid.gallery.verify().ok


@pytest.mark.parametrize("action", ACTIONS)
def test_what_leaves_traces_has_happened_everywhere_and_says_so(busy, action, monkeypatch):
    monkeypatch.setattr("sdk.gallery.journal.SCRUB_WAIT", 0.05)
    reader = sqlite3.connect(busy.path)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM identity").fetchone()
    with serve(busy.site, Access()) as address:
        status, told = post(address, action, **ACTIONS[action])
        state = json.load(urllib.request.urlopen(address + "api/state"))
    assert status == 200
    assert "until the process that reads it ends" in state["traces"]
    assert told == ({"identity": "ann"} if action == "rename" else {}) | {"traces": state["traces"]}
    assert not any("person-1" in known for known in everywhere(busy))
    busy.walk(20, lobby=[(BLUE, 170)], dock=[])
    assert not any("person-1" in known for known in everywhere(busy)), "nor does anybody come back"
    reader.close()
    busy.reid.gallery.close()
    if action == "forget":
        assert traces(busy.path.parent, "person-1", []) == []


def test_whom_the_gallery_has_let_go_of_can_be_forgotten_and_united(busy):
    """Retention has run out for them, while the tracker still knows them."""
    busy.reid.gallery.forget("person-1")
    busy.tracker.merge("person-2", "person-1")
    assert everywhere(busy)[0] == {"person-1"}, "the gallery has the name that stays"
    busy.reid.gallery.forget("person-1")
    busy.site.forget("person-1")
    assert not any("person-1" in known for known in everywhere(busy))
    with pytest.raises(UnknownIdentityError):
        busy.site.forget("person-1")
    with pytest.raises(UnknownIdentityError):
        busy.tracker.merge("person-1", "person-7")
