"""The server under both pages: where a request ends, how long it may take, and who finds room."""

import re
import socket
import threading
import time
from contextlib import contextmanager, suppress
from http import HTTPStatus

import pytest

from sdk.web import connection, server
from sdk.web.addresses import group_of
from sdk.web.messages import Answer, Headers, Refusal
from sdk.web.routes import Route, find_answer
from sdk.web.server import listen, serving

ALWAYS = {"Content-Security-Policy": "default-src 'none'", "X-Content-Type-Options": "nosniff"}
PRIVATE = b"GET /private HTTP/1.1\r\nHost: x\r\n\r\n"


class App:
    """What it was asked, and what it answers."""

    def __init__(self):
        self.asked = []
        self.busy = threading.Event()
        self.go_on = threading.Event()
        self.pieces_end = threading.Event()
        self._routes = [
            Route("GET", "/", lambda request: Answer(b"hello", "text/plain")),
            Route("GET", "/item/([0-9]+)", lambda request, number: Answer(number.encode())),
            Route("GET", "/none", lambda request: Answer(status=HTTPStatus.NO_CONTENT)),
            Route("GET", "/private", lambda request: Answer(b"private")),
            Route("GET", "/broken", lambda request: 1 / 0),
            Route("GET", "/slow", self._slow),
            Route("GET", "/pieces", lambda request: Answer(self._pieces(), "text/event-stream")),
            Route("POST", "/item/([0-9]+)", lambda request, number: Answer(request.body)),
        ]

    def __call__(self, request):
        self.asked.append((request.method, request.path))
        return find_answer(self._routes, request)

    def _slow(self, request):
        self.busy.set()
        self.go_on.wait(10)
        return Answer(b"slept")

    def _pieces(self):
        for number in range(3):
            yield f"data: {number}\n\n".encode()
        self.pieces_end.set()


@contextmanager
def running(app):
    with listen("127.0.0.1", 0) as listener, serving(listener, app, ALWAYS):
        yield listener.getsockname()[1]


@pytest.fixture
def app():
    return App()


@pytest.fixture
def port(app):
    with running(app) as port:
        yield port


def told(port, data, seconds=5.0):
    """All that the server says to some bytes until it hangs up; b"..." at the end where it does not."""
    with socket.create_connection(("127.0.0.1", port), 5) as client:
        client.sendall(data)
        return rest_of(client, seconds)


def rest_of(client, seconds=5.0):
    content = b""
    client.settimeout(seconds)
    try:
        while piece := client.recv(1 << 16):
            content += piece
    except TimeoutError:
        content += b"..."
    except ConnectionError:
        pass
    return content


def statuses(content):
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+)", content)]


def last_of(path, method="GET", body=b"", more=""):
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{more}\r\n".encode() + body


def test_requests_come_one_after_another(port, app):
    post = b"POST /item/7 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab"
    chunked = b"POST /item/8 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\ncd\r\n0\r\n\r\n"
    content = told(port, post + chunked + last_of("/item/9?a=1"))
    assert statuses(content) == [200, 200, 200]
    assert [part.rpartition(b"\r\n\r\n")[2] for part in content.split(b"HTTP/1.1 200")[1:]] == [b"ab", b"cd", b"9"]
    assert app.asked == [("POST", "/item/7"), ("POST", "/item/8"), ("GET", "/item/9")]


def test_a_request_in_a_body_is_never_answered(port, app):
    inside = f"Content-Length: {len(PRIVATE)}\r\n"
    assert statuses(told(port, last_of("/", more=inside) + PRIVATE)) == [200]
    keep_alive = f"GET / HTTP/1.1\r\nHost: x\r\n{inside}\r\n".encode() + PRIVATE + last_of("/item/1")
    assert statuses(told(port, keep_alive)) == [200, 200]
    assert statuses(told(port, last_of("/", "HEAD", PRIVATE, inside))) == [200]
    assert statuses(told(port, last_of("/absent", "POST", PRIVATE, inside))) == [404]
    assert ("GET", "/private") not in app.asked


@pytest.mark.parametrize(
    "lines",
    [
        "Content-Length: 2\r\nContent-Length: 40\r\n",
        "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length : 2\r\n",
        "Content-Length: +2\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 0x2\r\n",
        "X: y\rContent-Length: 2\r\n",
        "X: y\0\r\n",
        " Content-Length: 2\r\n",
        "no colon\r\n",
        "Host: y\r\n",
    ],
)
def test_a_request_that_could_be_read_in_two_ways_is_refused_and_the_rest_of_it_is_not_read(port, app, lines):
    content = told(port, f"POST /item/1 HTTP/1.1\r\n{lines}Host: x\r\n\r\n{{}}".encode() + PRIVATE)
    assert statuses(content) in ([400], [501])
    assert app.asked == []
    assert_has_headers(content)


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x00\xff\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /\xc3\xa9 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 70000 + b"\r\n\r\n",
        b"GET /" + b"y" * 70000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n" + b"y" * 5000,
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"400\r\n" + b"y" * 0x400 + b"\r\n" * 5,
    ],
)
def test_what_is_no_request_or_too_large_is_refused(port, app, data):
    content = told(port, data)
    assert statuses(content) in ([400], [405], [413], [431], [505])
    assert app.asked == []
    assert_has_headers(content)


def assert_has_headers(content):
    """Of each answer."""
    for name, value in ALWAYS.items():
        assert content.count(f"{name}: {value}\r\n".encode()) == len(statuses(content)), content


def test_every_answer_has_the_same_headers_and_the_wrong_method_is_told_the_right_ones(port, app):
    for method, path, status in (
        ("GET", "/", 200), ("GET", "/none", 204), ("GET", "/absent", 404), ("GET", "/broken", 500), ("GET", "*", 404),
        ("GET", "//etc/passwd", 404), ("GET", "/../x", 404), ("GET", "/item/٣", 400), ("PUT", "/item/1", 405),
        ("OPTIONS", "/", 405), ("TRACE", "/", 405), ("CONNECT", "/", 405), ("get", "/", 405), ("GET", "/pieces", 200),
    ):  # fmt: skip
        content = told(port, last_of(path, method))
        assert statuses(content) == [status], (method, path)
        assert_has_headers(content)
    assert b"Allow: GET, HEAD, POST\r\n" in told(port, last_of("/item/1", "PUT"))
    assert b"Allow: GET, HEAD\r\n" in told(port, last_of("/", "POST"))
    upgrade = told(port, last_of("/", more="Upgrade: websocket\r\n").replace(b"close", b"upgrade, close"))
    assert statuses(upgrade) == [200]


def test_head_is_get_without_the_content(port):
    got, head = told(port, last_of("/")), told(port, last_of("/", "HEAD"))
    assert got.endswith(b"\r\n\r\nhello")
    assert re.sub(rb"Date: .*\r\n", b"", got[:-5]) == re.sub(rb"Date: .*\r\n", b"", head)
    assert told(port, last_of("/pieces", "HEAD")).endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "data",
    [
        b"HEAD / HTTP/9.9\r\nHost: x\r\n\r\n",
        b"HEAD / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HEAD / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        b"HEAD / HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n" + bytes(5000),
    ],
)
def test_head_that_is_refused_has_no_content_either(port, app, data):
    answer = told(port, data)
    (status,) = statuses(answer)
    assert 400 <= status <= 505
    assert answer.endswith(b"\r\n\r\n")
    assert int(re.search(rb"Content-Length: ([0-9]+)", answer)[1]) > 0, "what a GET would have told"
    assert app.asked == []


def test_head_that_is_cut_short_is_refused_without_content(port, app):
    with socket.create_connection(("127.0.0.1", port), 5) as client:
        client.sendall(b"HEAD / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf")
        client.shutdown(socket.SHUT_WR)
        answer = rest_of(client)
    assert statuses(answer) == [400]
    assert answer.endswith(b"\r\n\r\n")
    assert app.asked == []


def test_a_stream_comes_piece_by_piece_to_old_clients_too(port, app):
    for version in ("1.1", "1.0"):
        content = told(port, f"GET /pieces HTTP/{version}\r\nHost: x\r\n\r\n".encode())
        assert content.endswith(b"\r\n\r\ndata: 0\n\ndata: 1\n\ndata: 2\n\n")
        assert b"Content-Length" not in content


def test_a_fault_of_ours_is_said_without_its_details(port, capsys):
    content = told(port, last_of("/broken"))
    assert statuses(content) == [500]
    assert b"division" not in content
    assert "the page failed: ZeroDivisionError" in capsys.readouterr().err


def test_a_body_waits_for_leave_where_the_client_asks(port):
    with socket.create_connection(("127.0.0.1", port), 5) as client:
        client.sendall(last_of("/item/1", "POST", more="Content-Length: 2\r\nExpect: 100-continue\r\n"))
        assert client.recv(1 << 16).startswith(b"HTTP/1.1 100")
        client.sendall(b"ab")
        assert rest_of(client).endswith(b"\r\n\r\nab")


def test_a_whole_request_has_its_time_however_it_drips(port, app, monkeypatch):
    monkeypatch.setattr(connection, "REQUEST_SECONDS", 0.4)
    monkeypatch.setattr(connection, "IDLE_SECONDS", 0.4)
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), 5) as client:
        client.sendall(b"GET / HTTP/1.1\r\n")
        with suppress(OSError):
            while time.monotonic() - began < 5:
                client.sendall(b"X: y\r\n")
                time.sleep(0.05)
    assert time.monotonic() - began < 4, "it hangs up"
    for silent in (b"", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"):  # before the first request, and after one
        assert not told(port, silent).endswith(b"..."), "it hangs up"
    assert app.asked == [("GET", "/")]


def test_a_client_that_does_not_read_is_hung_up_on(app, monkeypatch):
    monkeypatch.setattr(connection, "ANSWER_SECONDS", 0.3)
    ended = threading.Event()

    def endless():
        try:
            while True:
                yield bytes(1 << 20)
        finally:
            ended.set()

    answer = Answer(endless(), "image/jpeg")
    with running(lambda _: answer) as port, socket.create_connection(("127.0.0.1", port), 5) as client:
        client.sendall(last_of("/"))
        assert ended.wait(5)


def test_who_only_waits_makes_room_for_who_asks(port, monkeypatch):
    monkeypatch.setattr(server, "MOST_OF_ONE", 8)
    waiting = []
    for number in range(30):
        waiting.append(socket.create_connection(("127.0.0.1", port), 5))
        if number % 2:
            waiting[-1].sendall(b"GET / HTTP/1.1\r\nX: ")
    try:
        assert statuses(told(port, last_of("/"))) == [200]
        assert rest_of(waiting[0]) == b"", "who waited longest has gone"
        time.sleep(0.2)
        assert sum(thread.name.startswith("page") for thread in threading.enumerate()) <= 10
    finally:
        for client in waiting:
            client.close()


def test_who_is_being_answered_keeps_the_place(port, app, monkeypatch):
    monkeypatch.setattr(server, "MOST_OF_ONE", 1)
    with socket.create_connection(("127.0.0.1", port), 5) as client:
        client.sendall(last_of("/slow"))
        assert app.busy.wait(5)
        assert told(port, last_of("/")) == b""
        app.go_on.set()
        assert rest_of(client).endswith(b"slept")


def test_a_crowd_keeps_out_nobody_but_itself(port, app, monkeypatch):
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 3)
    monkeypatch.setattr(server, "group_of", lambda address: groups.pop(0))
    groups = ["alone", "crowd", "crowd", "other", "other"]
    clients = [socket.create_connection(("127.0.0.1", port), 5) for _ in range(4)]
    try:
        assert rest_of(clients[1], 2) == b"", "the crowd's oldest has gone"
        for client in (clients[0], clients[2], clients[3]):
            client.sendall(last_of("/"))
            assert statuses(rest_of(client)) == [200]
    finally:
        for client in clients:
            client.close()


def test_who_counts_as_one():
    assert group_of("192.0.2.7") == group_of("::ffff:192.0.2.7") == "192.0.2.7"
    assert group_of("2001:db8:1:2:3::4") == group_of("2001:db8:1:2::9")
    assert group_of("2001:db8:1:2::9") != group_of("2001:db8:1:3::9")
    assert group_of("fe80::1%eth0") == group_of("fe80::2")
    assert group_of("unknown") == "unknown"


def test_a_header_that_came_twice_equals_neither():
    headers = Headers([("Origin", "a"), ("origin", "b"), ("Cookie", "c=1"), ("Cookie", "d=2")])
    assert (headers["ORIGIN"], headers.get("cookie"), headers.get("Host")) == ("a, b", "c=1; d=2", None)


def test_a_refusal_says_why():
    answer = Refusal(HTTPStatus.CONFLICT, "taken", {"Retry-After": "1"}).answer
    assert (answer.status, answer.content, answer.headers) == (409, b"taken", {"Retry-After": "1"})
