"""The live page's server: what it knows of a site, who may see it, and what may be done to a name."""

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from urllib.parse import unquote

import cv2
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from sdk import ReIdentifier
from sdk.cli import main
from sdk.colours import colour_of
from sdk.errors import DataError, GalleryError
from sdk.event_sinks import json_lines_sink
from sdk.events import Event
from sdk.names import LONGEST
from sdk.report import read_record
from sdk.report.pictures import kept_pictures
from sdk.serve import Access, LiveSite, guesses, pages, serve
from sdk.serve.metrics import render_metrics
from sdk.serve.people import People
from sdk.serve.run import run_site
from sdk.serve.sources import open_sources
from sdk.video.recorder import Recorder
from sdk.video.run_folder import RunFolder, new_run
from tests.moving import BLUE, GREEN, ColourEngine
from tests.stage import Stage, make_busy, make_certificate

TOKEN = "a token that nobody guesses"


@pytest.fixture
def stage():
    return Stage()


@pytest.fixture
def busy(stage):
    return make_busy(stage)


def names(site):
    return sorted(person["identity"] for person in site.state()["present"])


def test_the_site_knows_who_is_where_and_was(busy):
    state = busy.site.state()
    assert state["known"] == 2
    assert [camera["name"] for camera in state["cameras"]] == ["dock", "lobby"]
    assert state["cameras"][0]["state"] == "live"
    blue = next(p for p in state["present"] if p["cameras"] == [1])
    history = busy.site.history(blue["identity"])
    assert [stay["camera"] for stay in history["stays"]] == [1, 0], "latest first"
    assert history["stays"][0]["first"] > history["stays"][1]["last"] - 2
    assert history["known"]
    mean = cv2.imdecode(np.frombuffer(busy.site.picture(blue["identity"]), np.uint8), 1).mean(axis=(0, 1))
    assert int(np.argmax(mean)) == 0, "the picture is blue"
    came = [(line["identity"], line["camera"]) for line in state["lately"] if line["kind"] == "came"]
    assert came[0] == (blue["identity"], 1), "who came last stands first"
    assert busy.site.history("nobody") is None


def test_who_has_gone_is_not_here_any_more(busy):
    assert len(names(busy.site)) == 2
    busy.walk(30, dock=[], lobby=[])
    assert names(busy.site) == []
    assert busy.site.find("")["total"] == 2
    assert [p["identity"] for p in busy.site.find("ON-2")["people"]] == ["person-2"]


def test_a_renamed_person_keeps_the_name_in_the_tracks_that_go_on(busy):
    blue = next(p for p in busy.site.state()["present"] if p["cameras"] == [1])["identity"]
    assert busy.site.rename(blue, "  Ann Ö. ") == "Ann Ö."
    (green,) = {"person-1", "person-2"} - {blue}
    assert busy.reid.gallery.identities() == ["Ann Ö.", green]
    busy.walk(20, lobby=[(BLUE, 170)], dock=[])
    assert "Ann Ö." in names(busy.site)
    assert blue not in busy.reid.gallery.identities(), "the old name does not come back"
    assert {s["camera"] for s in busy.site.history("Ann Ö.")["stays"]} == {0, 1}
    assert all(line["identity"] != blue for line in busy.site.state()["lately"])


def test_names_that_are_none_or_taken_are_refused(busy):
    for name in ("", "  ", "a\nb", "x" * (LONGEST + 1), "a\u2028b", "\ud800"):
        with pytest.raises(GalleryError, match="name"):
            busy.site.rename("person-1", name)
    with pytest.raises(GalleryError, match="'person-2' is in the gallery already"):
        busy.site.rename("person-1", "person-2")
    with pytest.raises(GalleryError, match="not in the gallery"):
        busy.site.rename("nobody", "ann")
    assert busy.reid.gallery.identities() == ["person-1", "person-2"]


def test_two_names_of_one_person_become_one(busy):
    busy.site.merge("person-2", "person-1")
    assert busy.reid.gallery.identities() == ["person-1"]
    assert names(busy.site) == ["person-1"]
    assert len(busy.site.history("person-1")["stays"]) == 3
    assert busy.site.history("person-2") is None
    with pytest.raises(GalleryError):
        busy.site.merge("person-1", "person-1")


def test_nothing_is_left_of_the_forgotten(busy):
    blue = next(p for p in busy.site.state()["present"] if p["cameras"] == [1])["identity"]
    blue = busy.site.rename(blue, "Ann")
    exemplars = len(busy.reid.gallery)
    busy.site.forget(blue)
    assert len(busy.reid.gallery) < exemplars
    assert blue not in json.dumps(busy.site.state()) + json.dumps(busy.site.find(""))
    assert busy.site.history(blue) is None
    assert busy.site.picture(blue) is None
    assert all(name != blue for number in (0, 1) for _, name in busy.site.snapshot(number)[2])
    assert blue not in [busy.tracker.identity_of("lobby", track) for track in range(10)]
    busy.walk(30, lobby=[(BLUE, 170)], dock=[])
    assert blue not in busy.reid.gallery.identities(), "their track would have enrolled them again"
    with pytest.raises(GalleryError, match="not in the gallery"):
        busy.site.forget(blue)


def test_the_page_lets_go_of_whom_the_retention_has_run_out_for(busy, monkeypatch):
    monkeypatch.setattr("sdk.serve.site.EXPIRE_SECONDS", 0.0)
    blue, green = sorted(busy.reid.gallery.identities())
    busy.reid.gallery.settle(retention=1e6)
    busy.reid.gallery.forget(blue)  # as its retention does, which no tracker and no page is told of
    busy.walk(2, dock=[(GREEN, 40)], lobby=[])
    assert {person.identity for person in busy.site.people} == {blue, green}, "seen just now"
    busy.reid.gallery.settle(retention=60.0)
    busy.time += 61.0
    busy.walk(2, dock=[], lobby=[])
    assert {person.identity for person in busy.site.people} == {green}, "the gallery has her still"
    assert blue not in json.dumps(busy.site.state())
    assert busy.site.picture(blue) is None


def test_a_gallery_on_disk_keeps_the_names(tmp_path):
    stage = make_busy(Stage(tmp_path / "site.db"))
    stage.site.rename("person-1", "Ann")
    stage.site.forget("person-2")
    stage.reid.gallery.close()
    later = Stage(tmp_path / "site.db")
    assert later.reid.gallery.identities() == ["Ann"]
    ann = {"identity": "Ann", "colour": colour_of("Ann"), "last": None, "picture": None}
    assert later.site.find("ann") == {"people": [ann], "total": 1}
    history = later.site.history("Ann")
    assert (history["known"], history["stays"]) == (True, [])
    later.walk(20, dock=[(BLUE, 10), (GREEN, 150)], lobby=[])
    assert "Ann" in names(later.site)
    later.reid.gallery.close()


def test_what_was_served_can_be_reported_with_pictures(stage, tmp_path):
    folder = new_run(tmp_path / "out")
    with RunFolder(folder, "test") as run_folder, Recorder(run_folder, stage.tracker, video=False) as recorder:
        stage.act(
            (20, {"dock": [(BLUE, 10), (GREEN, 150)], "lobby": []}),
            (40, {"dock": [(GREEN, 10)], "lobby": [(BLUE, 10)]}),
            observers=[recorder],
        )
    assert new_run(tmp_path / "out") != folder
    frames = [json.loads(line)["frame"] for line in (folder / "tracks.jsonl").read_text().splitlines()]
    assert max(frames) == 59
    assert len((folder / "pictures.jsonl").read_text().splitlines()) < 12, "a handful a track"
    visits = read_record(folder).visits
    where = sorted((visit.identity, visit.camera) for visit in visits)
    assert where == [("person-1", "dock"), ("person-1", "lobby"), ("person-2", "dock")]
    pictures = kept_pictures(visits, folder)
    assert sorted(pictures) == [0, 1, 2]
    colours = {
        (visit.identity, int(np.argmax(cv2.imdecode(np.frombuffer(pictures[i], np.uint8), 1).mean(axis=(0, 1)))))
        for i, visit in enumerate(visits)
    }
    assert len(colours) == 2, "everybody has one colour, and they differ"


def test_names_change_between_ticks_only(busy):
    with busy.tracker.turn():
        thread = threading.Thread(target=busy.site.forget, args=("person-1",))
        thread.start()
        thread.join(0.2)
        assert thread.is_alive(), "it waits for the tick to end"
        assert "person-1" in busy.reid.gallery.identities()
    thread.join(10)
    assert "person-1" not in busy.reid.gallery.identities()


def test_events_of_cameras_and_merges_are_shown(busy):
    site = busy.site
    site.listen(Event(5.0, "camera_lost", "dock", detail={"reason": "timeout"}))
    assert (site.state()["cameras"][0]["state"], site.state()["cameras"][0]["reason"]) == ("lost", "timeout")
    site.listen(Event(6.0, "camera_back", "dock", detail={"seconds": 1.0}))
    assert site.state()["cameras"][0]["state"] == "live"
    site.listen(Event(7.0, "camera_lost", "gate", detail={"reason": "unheard of"}))
    assert [camera["name"] for camera in site.state()["cameras"]] == ["dock", "lobby", "gate"]
    site.listen(Event(8.0, "merged", identity="person-1", detail={"other": "person-2"}))
    assert names(site) == ["person-1"]
    assert [line["kind"] for line in site.state()["lately"]][:4] == [
        "merged",
        "camera_lost",
        "camera_back",
        "camera_lost",
    ]


def test_the_tracker_and_the_sources_tell_the_page(tmp_path):
    reid = ReIdentifier(ColourEngine())
    with open_sources([drawn_video(tmp_path / "dock.mp4")], reid, "motion") as opened:
        assert opened.cameras == ["dock"]
        site = LiveSite(opened.tracker, opened.cameras)
        opened.tracker.add_listener(site.listen)  # in a program of before; it is told once all the same
        run_site(site, opened.ticks, threading.Event())
    assert site.state()["cameras"][0]["state"] == "ended"
    assert site.events["camera_ended"] == 1


def drawn_video(path):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10, (64, 48))
    for value in range(5):
        writer.write(np.full((48, 64, 3), 10 * value, np.uint8))
    writer.release()
    return path


def test_memory_of_people_is_bounded():
    people = People(most=50)
    for number in range(2000):
        people.see(f"person-{number}", "dock", number / 10, 1.0, lambda: b"jpeg")
    assert len(people) == 50
    assert next(iter(people)).identity == "person-1999"
    for visit in range(1000):
        people.see("ann", "dock", 1000.0 + 10 * visit, 1.0, lambda: b"jpeg")
    assert len(people.get("ann").stays) == 200


def test_a_picture_gives_way_to_a_better_or_a_fresher_one():
    people, made = People(), []

    def see(moment, worth):
        people.see("ann", "dock", moment, worth, lambda: made.append((moment, worth)) or b"jpeg")

    for moment, worth in ((0, 10), (1, 5), (2, 11), (3, 12), (4, 5), (30, 5), (50, 7)):
        see(moment, worth)
    assert made == [(0, 10), (3, 12), (50, 7)]


def test_a_tracker_that_fails_is_reported_and_not_hidden(stage):
    with pytest.raises(DataError):
        run_site(stage.site, [(0.0, {"dock": np.zeros((4, 4), np.uint8)})], threading.Event())
    assert stage.site.state()["ended"].startswith("tracking has stopped: camera 'dock'")


# The server.


def request(address, method, path, body=None, **headers):
    host, port = address.split("/")[2].rsplit(":", 1)
    connection = http.client.HTTPConnection(host, int(port), timeout=10)
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    if isinstance(body, dict):
        body, headers = json.dumps(body), {"Content-Type": "application/json", **headers}
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.read(), response.headers
    finally:
        connection.close()


@pytest.fixture
def address(busy):
    with serve(busy.site) as address:
        yield address


def secret(address, **headers):
    return json.loads(request(address, "GET", "/api/state", **headers)[1])["secret"]


def test_every_address_answers(busy, address):
    for path, kind in {
        "/": "text/html", "/page.js": "text/javascript", "/page.css": "text/css", "/look.css": "text/css",
        "/common.js": "text/javascript", "/api/state": "application/json",
        "/api/people?find=person": "application/json", "/api/person?identity=person-1": "application/json",
        "/picture?identity=person-1": "image/jpeg",
        "/camera/0.jpg": "image/jpeg", "/metrics": "text/plain",
    }.items():  # fmt: skip
        status, content, headers = request(address, "GET", path)
        assert (status, headers.get_content_type()) == (200, kind), path
        assert content
        assert "default-src 'self'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    for path in (
        "/api/person?identity=nobody", "/picture?identity=nobody", "/camera/7.jpg", "/camera/-1.jpg", "/camera/0.png",
        "/../access.py", "/%2e%2e/access.py", "/page/../../access.py", "/etc/passwd",
    ):  # fmt: skip
        assert request(address, "GET", path)[0] == 404, path


def test_a_picture_comes_with_who_is_in_it_and_only_when_it_is_new(busy, address):
    status, jpeg, headers = request(address, "GET", "/camera/1.jpg")
    assert status == 200
    people = json.loads(unquote(headers["X-Reid-People"]))
    assert cv2.imdecode(np.frombuffer(jpeg, np.uint8), 1).shape == (240, 320, 3)
    (((x0, y0, x1, y1), name),) = people
    assert name in ("person-1", "person-2")
    assert headers["X-Reid-Colours"] == colour_of(name)
    for path in ("/api/state", "/api/people?find=" + name, "/api/person?identity=" + name):
        assert f'"identity": "{name}", "colour": "{colour_of(name)}"' in request(address, "GET", path)[1].decode(), path
    assert 0 <= x0 < x1 <= 1
    assert 0 <= y0 < y1 <= 1
    assert request(address, "GET", f"/camera/1.jpg?after={headers['X-Reid-Frame']}")[0] == 204
    busy.walk(1, lobby=[(BLUE, 170)])
    assert request(address, "GET", f"/camera/1.jpg?after={headers['X-Reid-Frame']}")[0] == 200


def test_a_stream_is_a_motion_jpeg(busy, address):
    host, port = address.split("/")[2].split(":")
    with socket.create_connection((host, int(port)), 10) as connection:
        connection.sendall(f"GET /camera/1.mjpeg HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        content = b""
        while content.count(b"--frame") < 2:
            busy.walk(1, lobby=[(BLUE, 170)])
            content += connection.recv(1 << 20)
    head, _, body = content.partition(b"\r\n\r\n")
    assert b"multipart/x-mixed-replace; boundary=frame" in head
    part, _, rest = body.partition(b"\r\n\r\n")
    length = int(part.split(b"Content-Length: ")[1])
    assert cv2.imdecode(np.frombuffer(rest[:length], np.uint8), 1).shape == (240, 320, 3)


def test_actions_change_names(busy, address):
    ours = {"X_Reid_Secret": secret(address)}
    status, content, _ = request(address, "POST", "/api/rename", {"identity": "person-1", "to": "ann"}, **ours)
    assert (status, json.loads(content)) == (200, {"identity": "ann"})
    status, content, _ = request(address, "POST", "/api/rename", {"identity": "ann", "to": "person-2"}, **ours)
    assert status == 409
    assert b"'person-2' is in the gallery already" in content
    assert request(address, "POST", "/api/merge", {"identity": "person-2", "into": "ann"}, **ours)[0] == 200
    assert busy.reid.gallery.identities() == ["ann"]
    assert request(address, "POST", "/api/forget", {"identity": "ann"}, **ours)[0] == 200
    assert request(address, "POST", "/api/forget", {"identity": "ann"}, **ours)[0] == 409
    assert busy.reid.gallery.identities() == []


def test_an_action_that_our_page_did_not_send_is_refused(busy, address):
    ours, forget = secret(address), {"identity": "person-1"}
    form = "identity=person-1"
    for expected, body, headers in (
        (403, forget, {}),
        (403, forget, {"X_Reid_Secret": "wrong"}),
        (403, forget, {"X_Reid_Secret": ours, "Origin": "http://evil.example"}),
        (403, forget, {"X_Reid_Secret": ours, "Origin": "null"}),
        (401, forget, {"X_Reid_Secret": ours, "Sec_Fetch_Site": "cross-site"}),
        (403, forget, {"X_Reid_Secret": ours, "Host": "evil.example"}),
        (415, form, {"X_Reid_Secret": ours, "Content_Type": "application/x-www-form-urlencoded"}),
        (415, json.dumps(forget), {"X_Reid_Secret": ours, "Content_Type": "text/plain"}),
        (400, "[]", {"X_Reid_Secret": ours, "Content_Type": "application/json"}),
        (400, "[" * 4000, {"X_Reid_Secret": ours, "Content_Type": "application/json"}),
        (413, "x" * 5000, {"X_Reid_Secret": ours, "Content_Type": "application/json"}),
        (400, {"identity": 1}, {"X_Reid_Secret": ours}),
        (400, {"identity": "person-1", "more": "x"}, {"X_Reid_Secret": ours}),
        (404, {}, {"X_Reid_Secret": ours}),
    ):
        path = "/api/absent" if expected == 404 else "/api/forget"
        status, content, _ = request(address, "POST", path, body, **headers)
        assert status == expected, (body, headers, content)
    assert request(address, "GET", "/api/forget?identity=person-1")[0] == 405
    assert busy.reid.gallery.identities() == ["person-1", "person-2"]
    good = {"X_Reid_Secret": ours, "Origin": address.rstrip("/"), "Sec_Fetch_Site": "same-origin"}
    assert request(address, "POST", "/api/forget", forget, **good)[0] == 200


def test_other_sites_cannot_look_through_the_browser(address):
    port = address.rstrip("/").rsplit(":", 1)[1]
    for path in ("/", "/api/state", "/camera/0.jpg", "/metrics"):
        assert request(address, "GET", path, Host="evil.example")[0] == 403, path
        assert request(address, "GET", path, Host=f"evil.example:{port}")[0] == 403, path
        assert request(address, "GET", path, Host=f"localhost:{port}")[0] == 200, path
    for path in ("/api/state", "/camera/0.jpg", "/picture?identity=person-1"):
        assert request(address, "GET", path, Sec_Fetch_Site="cross-site")[0] == 401, path
    status, content, _ = request(address, "GET", "/", Sec_Fetch_Site="cross-site")
    assert (status, b"refresh" in content, b"page.js" in content) == (200, True, False)


def test_with_a_token_nobody_else_sees_anything(busy):
    with serve(busy.site, Access(TOKEN)) as address:
        for path in (
            "/api/state",
            "/camera/0.jpg",
            "/camera/0.mjpeg",
            "/metrics",
            "/page.js",
            "/picture?identity=person-1",
        ):
            assert request(address, "GET", path)[0] == 401, path
            assert request(address, "GET", path, Authorization="Bearer wrong")[0] == 401, path
            assert request(address, "GET", path, Cookie="reid=1; " + "x" * 50)[0] == 401, path
        assert request(address, "POST", "/api/forget", {"identity": "person-1"})[0] == 401
        status, _, headers = request(address, "GET", "/")
        assert (status, headers["Location"]) == (303, "/sign-in")
        assert request(address, "GET", "/sign-in")[0] == 200
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        assert request(address, "GET", "/metrics", Host="box.example", **bearer)[0] == 200
        assert request(address, "POST", "/api/forget", {"identity": "person-1"}, **bearer)[0] == 200
        evil = {"Origin": "http://evil.example", **bearer}
        assert request(address, "POST", "/api/forget", {"identity": "person-2"}, **evil)[0] == 403
        assert busy.reid.gallery.identities() == ["person-2"]


def test_signing_in_gives_a_session_and_signing_out_ends_it(busy):
    with serve(busy.site, Access(TOKEN)) as address:
        assert request(address, "POST", "/sign-in", {"token": "wrong"})[0] == 403
        status, _, headers = request(address, "POST", "/sign-in", {"token": TOKEN})
        assert status == 200
        cookie = headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert TOKEN not in cookie
        session = {"Cookie": cookie.split(";")[0]}
        assert request(address, "GET", "/", **session)[0] == 200
        assert request(address, "POST", "/api/forget", {"identity": "person-1"}, **session)[0] == 403
        ours = {**session, "X_Reid_Secret": secret(address, **session)}
        assert request(address, "POST", "/api/forget", {"identity": "person-1"}, **ours)[0] == 200
        assert request(address, "POST", "/sign-out", {}, **ours)[0] == 200
        assert request(address, "GET", "/api/state", **session)[0] == 401


def test_a_token_cannot_be_guessed_by_trying():
    access = Access(TOKEN)
    session = {"Cookie": f"{access.cookie}={access.sign_in(TOKEN, '192.0.2.1')}"}
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    for number in range(10):
        if number % 2:
            assert access.sign_in("wrong", "192.0.2.1") is None
        else:
            assert not access.may_see({"Authorization": "Bearer wrong"}, "192.0.2.1")
    assert access.is_kept_out("192.0.2.1")
    assert access.sign_in(TOKEN, "192.0.2.1") is None, "for a minute even the right one is not looked at"
    assert not access.may_see(bearer, "192.0.2.1")
    assert access.may_see(session, "192.0.2.1"), "who has signed in stays so"
    assert access.sign_in(TOKEN, "192.0.2.2") is not None, "nobody else is kept out"
    assert access.may_see(bearer, "192.0.2.2")
    for short in ("secret", "", "fünfzehn Zeichen und mehr"):
        with pytest.raises(DataError, match="at least 16 letters"):
            Access(short)


def test_guessing_ends_and_is_forgotten(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(guesses.clock, "monotonic", lambda: now[0])
    counted = guesses.Guesses()
    for _ in range(guesses.MOST_WRONG):
        counted.note_wrong("192.0.2.1")
    assert counted.too_many("192.0.2.1")
    now[0] += guesses.SECONDS
    assert not counted.too_many("192.0.2.1")
    for number in range(3 * guesses.MOST_ADDRESSES):
        counted.note_wrong(str(number))
    assert len(counted) == guesses.MOST_ADDRESSES


def test_wrong_tokens_are_told_to_wait(busy):
    with serve(busy.site, Access(TOKEN)) as address:
        wrong = [request(address, "GET", "/metrics", Authorization="Bearer wrong")[0] for _ in range(10)]
        assert wrong == [401] * 9 + [429]
        status, _, headers = request(address, "GET", "/metrics", Authorization=f"Bearer {TOKEN}")
        assert (status, headers["Retry-After"]) == (429, "60")
        assert request(address, "POST", "/sign-in", {"token": TOKEN})[0] == 429
        assert request(address, "GET", "/metrics")[0] == 401, "who shows none guesses none"


def test_behind_a_proxy_the_public_address_counts(busy):
    access = Access(TOKEN, "https://Reid.example/")
    through = {"Host": "reid.example", "X_Forwarded_For": "198.51.100.9, 192.0.2.1"}
    with serve(busy.site, access) as address:
        status, _, headers = request(address, "POST", "/sign-in", {"token": TOKEN}, **through)
        assert status == 200
        assert headers["Set-Cookie"].endswith("; Secure")
        ours = {**through, "Cookie": headers["Set-Cookie"].split(";")[0]}
        ours["X_Reid_Secret"] = secret(address, **ours)
        forget = {"identity": "person-1"}
        for origin in ("http://reid.example", "https://reid.example:444", "https://reid.example.evil", "null", ""):
            assert request(address, "POST", "/api/forget", forget, Origin=origin, **ours)[0] == 403, origin
        for body, origin in ((forget, "https://reid.example"), ({"identity": "person-2"}, address.rstrip("/"))):
            if origin != "https://reid.example":  # at this machine itself
                ours["Host"] = address.split("/")[2]
            assert request(address, "POST", "/api/forget", body, Origin=origin, **ours)[0] == 200, origin
        for _ in range(10):
            request(address, "POST", "/sign-in", {"token": "wrong"}, **through)
        assert request(address, "POST", "/sign-in", {"token": TOKEN}, **through)[0] == 429
        other = {**through, "X_Forwarded_For": "192.0.2.1, 192.0.2.2"}
        assert request(address, "POST", "/sign-in", {"token": TOKEN}, **other)[0] == 200, "the proxy's word comes last"


@pytest.mark.parametrize(
    "public_url",
    ["reid.example", "ftp://reid.example", "https://", "https://reid.example/page", "https://a:b@c", "https://x:y"],
)
def test_a_public_address_is_scheme_and_host(public_url):
    with pytest.raises(DataError, match="scheme and host alone"):
        Access(TOKEN, public_url)
    with pytest.raises(DataError, match="give it a token"):
        Access(None, "https://reid.example")


def test_only_a_proxy_on_this_machine_is_believed():
    behind, direct = Access(TOKEN, "https://reid.example"), Access(TOKEN)
    headers = {"X-Forwarded-For": "192.0.2.1"}
    assert behind.client(headers, "127.0.0.1") == "192.0.2.1"
    assert behind.client({}, "127.0.0.1") == "127.0.0.1"
    assert behind.client(headers, "198.51.100.7") == "198.51.100.7"
    assert direct.client(headers, "127.0.0.1") == "127.0.0.1"


def test_head_and_wrong_methods_at_the_page(address):
    got, head = request(address, "GET", "/page.js"), request(address, "HEAD", "/page.js")
    assert (head[0], head[1], head[2]["Content-Length"]) == (200, b"", str(len(got[1])))
    assert request(address, "HEAD", "/camera/0.mjpeg")[0] == 200
    for path, allowed in (("/api/forget", "POST"), ("/api/state", "GET, HEAD"), ("/sign-in", "GET, HEAD, POST")):
        status, _, headers = request(address, "DELETE", path)
        assert (status, headers["Allow"]) == (405, allowed)
        assert "default-src 'self'" in headers["Content-Security-Policy"]


def test_a_stream_that_stands_still_is_sent_again(busy, address, monkeypatch):
    monkeypatch.setattr(pages, "REPEAT_SECONDS", 0.2)
    host, port = address.split("/")[2].split(":")
    with socket.create_connection((host, int(port)), 10) as connection:
        connection.sendall(f"GET /camera/1.mjpeg HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
        content = b""
        while content.count(b"--frame") < 3:
            content += connection.recv(1 << 20)
    parts = content.split(b"--frame\r\n")
    assert parts[1] == parts[2]


def test_what_others_can_reach_needs_a_token(busy):
    for host in ("0.0.0.0", "::", "192.0.2.1"):
        with pytest.raises(DataError, match="token"), serve(busy.site, host=host):
            pass
    with serve(busy.site, Access(TOKEN), host="0.0.0.0") as address:
        port = address.rstrip("/").rsplit(":", 1)[1]
        assert request(f"http://127.0.0.1:{port}/", "GET", "/metrics")[0] == 401
        with pytest.raises(DataError, match=f"port {port} cannot be had"), serve(busy.site, port=int(port)):
            pass


def test_metrics_are_read_by_prometheus(busy, tmp_path):
    busy.site.cameras[0].name = 'do"ck\\\n'
    before = busy.site.events["left"]
    busy.site.listen(Event(1.0, "left", "lobby", 1, "person-1"))
    with json_lines_sink(tmp_path / "events.jsonl") as sink:
        busy.site.sinks.append(sink)
        sink(Event(1.0, "left", "lobby", 1, "person-1"))
        while sink.waiting:
            time.sleep(0.01)
        families = {family.name: family for family in text_string_to_metric_families(render_metrics(busy.site))}
    value = {name: {tuple(s.labels.values()): s.value for s in family.samples} for name, family in families.items()}
    assert value["reid_ticks"] == {(): 60}
    assert value["reid_camera_frames"] == {('do"ck\\\n',): 60, ("lobby",): 60}
    assert value["reid_people_present"] == {(): 2}
    assert value["reid_identities"] == {(): 2}
    assert value["reid_exemplars"] == {(): len(busy.reid.gallery)}
    assert value["reid_events"] == {(kind,): number for kind, number in busy.site.events.items()}
    assert value["reid_events"]["left",] == before + 1
    assert value["reid_sink_delivered"] == {(sink.name,): 1}
    buckets = {s.labels["le"]: s.value for s in families["reid_tick_seconds"].samples if s.name.endswith("_bucket")}
    assert buckets["+Inf"] == 60
    assert list(buckets.values()) == sorted(buckets.values())
    assert value["process_resident_memory_bytes"][()] > 1e7


def test_many_connections_do_not_make_many_threads(busy, address):
    host, port = address.split("/")[2].split(":")
    before = threading.active_count()
    sockets = [socket.create_connection((host, int(port)), 10) for _ in range(90)]
    try:
        time.sleep(0.3)
        assert threading.active_count() - before <= 66
    finally:
        for connection in sockets:
            connection.close()
    end = time.monotonic() + 10
    while request_or_none(address) is None:
        assert time.monotonic() < end, "it does not recover"


def request_or_none(address):
    try:
        return request(address, "GET", "/api/state")
    except (OSError, http.client.HTTPException):
        return None


def test_https_with_a_certificate(busy, tmp_path):
    import ssl

    make_certificate(tmp_path)
    with serve(busy.site, Access(TOKEN), certificate=tmp_path / "certificate.pem", key=tmp_path / "key.pem") as address:
        assert address.startswith("https://")
        context = ssl.create_default_context(cafile=str(tmp_path / "certificate.pem"))
        port = int(address.rstrip("/").rsplit(":", 1)[1])
        silent = socket.create_connection(("127.0.0.1", port))  # shakes no hands, and holds nobody up
        connection = http.client.HTTPSConnection("localhost", port, context=context, timeout=10)
        connection.request("POST", "/sign-in", json.dumps({"token": TOKEN}), {"Content-Type": "application/json"})
        response = connection.getresponse()
        assert response.status == 200
        assert "Secure" in response.headers["Set-Cookie"]
        connection.close()
        silent.close()
    with pytest.raises(DataError, match="no certificate"), serve(busy.site, certificate=tmp_path / "absent.pem"):
        pass


@contextmanager
def running(*arguments):
    command = [sys.executable, "-c", "from sdk.cli import main; main()", "serve", *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_the_command_serves_a_video_until_it_is_told_to_end(tmp_path):
    drawn_video(tmp_path / "dock.mp4")
    arguments = ("--port", 0, "--detector", "motion", "-o", tmp_path / "out")
    with running(tmp_path / "dock.mp4", *arguments) as process:
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:")
        end = time.monotonic() + 20
        while not (state := json.loads(request(address, "GET", "/api/state")[1]))["ended"]:
            assert time.monotonic() < end
            time.sleep(0.05)
        assert state["ticks"] == 5
        assert state["ended"] == "the sources have ended"
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert time.monotonic() - began < 5
        assert "Traceback" not in process.stderr.read()
    (folder,) = (tmp_path / "out").iterdir()
    assert {path.name for path in folder.iterdir()} >= {"tracks.jsonl", "events.jsonl", "pictures.jsonl"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "name the sources"),
        (("absent.mp4", "--simulated"), "name the sources"),
        (("absent.mp4",), "absent.mp4"),
        (("absent.mp4", "--token-file", "absent"), "absent: the token cannot be read"),
        (("--simulated", "--events", "ftp://x"), "ftp"),
        (("--simulated", "--public-url", "reid.example"), "public address"),
    ],
)
def test_what_is_wrong_with_the_command_is_one_line(arguments, message, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["reid", "serve", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 1
    errors = capsys.readouterr().err
    assert errors.startswith("error: ")
    assert message in errors
    assert errors.count("\n") == 1
