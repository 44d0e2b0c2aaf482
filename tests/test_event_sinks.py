"""Events leave: in order, each until it is taken, never waited for by who tells them."""

import functools
import json
import shutil
import socket
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from sdk.errors import DataError
from sdk.event_sinks import (
    Choice,
    Delivery,
    check_sinks,
    http_sink,
    json_lines_sink,
    missed_events,
    mqtt_sink,
    open_sink,
    parse_choice,
)
from sdk.event_sinks.delivery import RefusedError, UnreachableError
from sdk.event_sinks.mqtt import topic_of
from sdk.events import Event

QUICK = (0.01, 0.05)


def event(number, camera="dock"):
    return Event(float(number), "left", camera, number, "Ännchen", {"first": 0.0, "last": float(number)})


def until(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


class Fickle:
    """A transport whose next answers are given beforehand."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.taken, self.tried, self.closed = [], [], False
        self.open = threading.Event()
        self.open.set()

    def send(self, event, number):
        self.tried.append(number)
        self.open.wait()
        if self.answers and (answer := self.answers.pop(0)):
            raise answer
        self.taken.append(event.track)

    def close(self):
        self.closed = True


def test_an_event_is_tried_until_it_is_taken_and_order_is_kept():
    transport = Fickle(UnreachableError("down"), UnreachableError("down"), None, RefusedError("never"))
    with Delivery("here", transport, delays=QUICK) as delivery:
        for number in range(4):
            delivery(event(number))
        until(lambda: not delivery.waiting)
        assert transport.taken == [0, 2, 3]
        assert transport.tried == [1, 1, 1, 2, 3, 4]
        assert (delivery.delivered, delivery.refused, delivery.dropped) == (3, 1, 0)
    assert transport.closed


def test_events_are_never_written_to_the_end_of_what_is_read(tmp_path):
    source, link = tmp_path / "dock.mp4", tmp_path / "link.jsonl"
    source.write_bytes(b"a recording")
    link.symlink_to(source)
    for address in (source, link):
        with pytest.raises(DataError, match=address.name):
            check_sinks(["-", "mqtt://broker/site", str(address)], [source])
    check_sinks(["-", "http://broker/dock.mp4", str(tmp_path / "events.jsonl")], [source, tmp_path / "absent"])
    assert source.read_bytes() == b"a recording"


def test_what_did_not_arrive_is_said_once_and_counted_at_the_end(tmp_path):
    said = []
    down, refusing = [UnreachableError("down")] * 3, [RefusedError("no such hook")] * 2
    with Delivery("hook", Fickle(*down, *refusing), delays=QUICK, tell=said.append) as delivery:
        for number in range(4):
            delivery(event(number))
        until(lambda: not delivery.waiting)
    assert said == ["events cannot reach hook and wait: down"]
    assert delivery.missed == "2 of 4 events did not reach hook: no such hook"
    with json_lines_sink(tmp_path / "events.jsonl") as whole:
        whole(event(1))
    absent = Delivery("absent", Fickle(*[UnreachableError("down")] * 9), delays=(9.0, 9.0), tell=said.append)
    absent(event(1))
    absent.close(0.05)
    assert missed_events([delivery, whole, absent]) == [
        delivery.missed, "1 of 1 events did not reach absent: down"
    ]  # fmt: skip
    assert len(said) == 2


def test_who_tells_does_not_wait_and_the_oldest_go_when_there_is_no_room():
    transport = Fickle()
    transport.open.clear()
    delivery = Delivery("here", transport, capacity=3)
    delivery(event(0))
    until(lambda: transport.tried)
    began = time.perf_counter()
    for number in range(1, 1000):
        delivery(event(number))
    assert time.perf_counter() - began < 2, "it waits for the receiver"
    assert (delivery.waiting, delivery.dropped) == (4, 996)
    transport.open.set()
    assert delivery.close() == 0
    assert transport.taken == [0, 997, 998, 999]


def test_what_cannot_be_delivered_does_not_hold_up_the_end():
    delivery = Delivery("here", Fickle(*[UnreachableError("down")] * 10_000), delays=(60, 60))
    for number in range(5):
        delivery(event(number))
    until(lambda: delivery.trouble == "down")
    began = time.monotonic()
    assert delivery.close(0.2) == 5
    assert time.monotonic() - began < 2
    assert (delivery.delivered, delivery.dropped) == (0, 5)
    delivery(event(6))
    assert delivery.dropped == 6


def test_a_detail_that_is_no_json_costs_that_event_only(tmp_path):
    with json_lines_sink(tmp_path / "events.jsonl") as sink:
        sink(Event(0.0, "left", detail={"first": object()}))
        sink(event(1))
    assert (sink.delivered, sink.refused) == (1, 1)


def test_lines_are_added_at_the_end_of_a_file_and_a_torn_one_is_left_alone(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_text('{"time": 1.0, "ki', encoding="utf-8")
    for number in range(2):
        with open_sink(str(path)) as sink:
            sink(event(number))
    torn, *lines = path.read_text(encoding="utf-8").splitlines()
    assert torn == '{"time": 1.0, "ki'
    assert [Event(**json.loads(line)) for line in lines] == [event(0), event(1)]


def test_standard_output_is_an_address_too(capfd):
    with open_sink("-") as sink:
        sink(event(1))
    assert Event(**json.loads(capfd.readouterr().out)) == event(1)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("/proc/none/events.jsonl", "cannot be written"),
        ("events\0.jsonl", "cannot be written"),
        ("ftp://host/file", "'ftp://'"),
        ("http://:80/", "expected http"),
        ("http://host:port/", "port is a number"),
        ("http://ann:secret@host/", "REID_EVENTS_SECRET"),
        ("mqtt://", "mqtt://"),
        ("mqtt://host/a/#", "without # and"),
    ],
)
def test_an_address_that_is_none_is_said_in_one_line(address, message):
    with pytest.raises(DataError, match=message) as error:
        open_sink(address)
    assert "\n" not in str(error.value)
    assert "secret@" not in str(error.value)


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 5

    def setup(self):
        self.server.sockets.append(self.request)
        super().setup()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((self.path, dict(self.headers), body, self.client_address[1]))
        status, headers = self.server.answers.pop(0) if self.server.answers else (204, {})
        self.send_response(status)
        for name, value in {"Content-Length": "0", **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_):
        pass


@contextmanager
def receiver(*answers, port=0):
    server = ThreadingHTTPServer(("127.0.0.1", port), Receiver)
    server.daemon_threads = True
    server.requests, server.answers, server.sockets = [], list(answers), []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        for connection in server.sockets:  # as when its program ends
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def test_events_are_posted_one_by_one_over_one_connection(monkeypatch):
    monkeypatch.setenv("REID_EVENTS_SECRET", "s3cret")
    with receiver() as server, open_sink(f"http://127.0.0.1:{server.server_port}/hook?key=1") as sink:
        assert "key" not in sink.name
        for number in range(3):
            sink(event(number))
        until(lambda: sink.delivered == 3)
    assert [Event(**json.loads(body)) for _, _, body, _ in server.requests] == [event(0), event(1), event(2)]
    paths, headers, _, ports = zip(*server.requests, strict=True)
    assert set(paths) == {"/hook?key=1"}
    assert len(set(ports)) == 1, "each has a connection of its own"
    assert headers[0]["Content-Type"] == "application/json"
    assert headers[0]["Authorization"] == "Bearer s3cret"
    assert len({h["X-Event-Id"] for h in headers}) == 3


def test_a_receiver_that_says_later_is_asked_again_and_one_that_says_no_is_not():
    answers = [(503, {}), (429, {"Retry-After": "0"}), (302, {"Location": "http://127.0.0.1:1/"}), (400, {}), (200, {})]
    with receiver(*answers) as server:
        sink = http_sink(f"http://127.0.0.1:{server.server_port}", delays=QUICK)
        for number in range(3):
            sink(event(number))
        assert sink.close(5) == 0
        assert (sink.delivered, sink.refused) == (1, 2)
        tracks = [json.loads(body)["track"] for _, _, body, _ in server.requests]
        identifiers = [headers["X-Event-Id"] for _, headers, _, _ in server.requests]
    assert tracks == [0, 0, 0, 1, 2]
    assert len(set(identifiers)) == 3
    assert len(set(identifiers[:3])) == 1


def test_a_receiver_that_comes_late_and_goes_away_for_a_while_gets_everything():
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    sink = http_sink(f"http://127.0.0.1:{port}/", delays=QUICK)
    sink(event(0))
    until(lambda: sink.trouble)
    assert "refused" in sink.trouble.lower()
    seen = []
    for number in (1, 2):
        with receiver(port=port) as server:
            until(lambda: not sink.waiting)
            seen += [json.loads(body)["track"] for _, _, body, _ in server.requests]
            assert sink.trouble is None
        sink(event(number))
    with receiver(port=port) as server:
        assert sink.close(5) == 0
        seen += [json.loads(body)["track"] for _, _, body, _ in server.requests]
    assert list(dict.fromkeys(seen)) == [0, 1, 2]


@contextmanager
def broker(folder, port, *lines):
    program = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        pytest.skip("no MQTT broker here (Debian: apt-get install mosquitto)")
    settings = folder / "mosquitto.conf"
    settings.write_text("\n".join([f"listener {port} 127.0.0.1", *(lines or ["allow_anonymous true"])]) + "\n")
    process = subprocess.Popen([program, "-c", settings], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: _answers(port))
        yield
    finally:
        process.terminate()
        process.wait(10)


def _answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@contextmanager
def subscriber(port, topic):
    from paho.mqtt.client import Client
    from paho.mqtt.enums import CallbackAPIVersion

    messages, ready = [], threading.Event()
    client = Client(CallbackAPIVersion.VERSION2)
    client.on_connect = lambda c, *_: c.subscribe(topic, qos=1)
    client.on_subscribe = lambda *_: ready.set()
    client.on_message = lambda _c, _d, message: messages.append((message.topic, message.payload.decode()))
    client.connect("127.0.0.1", port)
    client.loop_start()
    assert ready.wait(10)
    yield messages
    client.disconnect()
    client.loop_stop()


@pytest.fixture
def free_port():
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        return reserved.getsockname()[1]


def test_events_reach_a_real_broker_that_comes_late(tmp_path, free_port):
    pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed")
    sink = mqtt_sink(f"mqtt://127.0.0.1:{free_port}/site/north", delays=QUICK)
    sink(event(0))
    with broker(tmp_path, free_port), subscriber(free_port, "site/north/#") as messages:
        sink(event(1, camera="back/door"))
        sink(Event(2.0, "merged", identity="ann", detail={"other": "person-3"}))
        until(lambda: sink.delivered == 3, 20)
        assert sink.close() == 0
        until(lambda: messages[-1:] == [("site/north/status", "offline")])
        assert messages[0] == ("site/north/status", "online")
        topics, bodies = zip(*[m for m in messages if m[0] != "site/north/status"], strict=True)
        assert topics == ("site/north/dock/left", "site/north/back_door/left", "site/north/site/merged")
        assert Event(**json.loads(bodies[0])) == event(0)


def test_a_broker_that_refuses_the_password_is_quoted(tmp_path, free_port):
    pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed")
    with broker(tmp_path, free_port, "allow_anonymous false"):
        sink = mqtt_sink(f"mqtt://ann:secret@127.0.0.1:{free_port}", delays=QUICK)
        sink(event(0))
        until(lambda: sink.trouble and "refuses" in sink.trouble, 20)
        assert sink.close(0.1) == 1
        assert "secret" not in sink.name + sink.trouble


def test_a_camera_cannot_make_levels_of_its_own():
    assert topic_of(event(1, camera="#/+"), "reid") == "reid/___/left"


def kept_by(address, *events):
    _, choice = parse_choice(address)
    return [number for number, event in enumerate(events) if choice.takes(event)]


def test_a_receiver_gets_the_events_that_it_chose():
    entered = Event(1.0, "entered", "dock", 1, "ann", {"zone": "gate"})
    crossed = Event(2.0, "crossed", "lobby", 2, None, {"line": "way out", "direction": "out"})
    merged = Event(3.0, "merged", identity="ann", detail={"other": "person-1"})
    events = (entered, crossed, merged)
    assert kept_by("mqtt://broker/site", *events) == [0, 1, 2]
    assert kept_by("mqtt://broker/site#kind=entered,crossed", *events) == [0, 1]
    assert kept_by("https://host/hook#zone=way%20out", *events) == [1]
    assert kept_by("-#identity=ann", *events) == [0, 2]
    assert kept_by("out/events.jsonl#identity=ann&camera=dock", *events) == [0]
    assert parse_choice("site#1.jsonl") == ("site#1.jsonl", Choice()), "a file may be called so"


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("-#kind=arrived", "'arrived' is no kind of event; there are identified"),
        ("mqtt://broker/site#knd=left", "an option after # is unknown or empty; there are kind"),
        ("mqtt://broker/site#zone=", "an option after # is unknown or empty"),
        ("events.jsonl#picture", "events.jsonl: pictures of people are not written to files"),
        ("-#picture", "there are none here"),
    ],
)
def test_a_choice_that_is_none_is_refused(address, says):
    with pytest.raises(DataError, match=says):
        open_sink(address)


def test_pictures_are_sent_where_they_are_asked_for_and_taken_out_when_somebody_is_forgotten():
    class Pictured(Fickle):
        def send(self, event, number):
            super().send(event, number)
            self.taken[-1] = event.detail.get("picture")

    choice = Choice(picture=True)
    transport = Pictured(None, UnreachableError("down"), None, None)
    make = functools.partial(choice.of, pictures=lambda event: b"jpeg" if event.track != 3 else None)
    with Delivery("here", transport, delays=(0.3, 0.3), choose=make) as delivery:
        delivery(event(0))
        until(lambda: transport.taken)
        delivery(event(1))
        until(lambda: delivery.trouble)
        delivery(event(2))
        delivery.drop_pictures("ann")
        delivery(event(3))
        until(lambda: not delivery.waiting)
    assert transport.taken == ["anBlZw==", None, None, None]
