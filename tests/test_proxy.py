"""The live page behind a real reverse proxy with TLS: nginx, as packaging/nginx/reid.conf sets it up."""

import http.client
import json
import shutil
import socket
import ssl
import subprocess
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from sdk.serve import Access, pages, serve
from tests.stage import Stage, make_busy, make_certificate

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
OURS = Path(__file__).parents[1] / "packaging" / "nginx" / "reid.conf"
TOKEN = "a token that nobody guesses"

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed (Debian: nginx-light)")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Proxy:
    """What a browser, or somebody who means ill, does at it."""

    def __init__(self, port, certificate):
        self.port = port
        self.origin = f"https://localhost:{port}"
        self.context = ssl.create_default_context(cafile=str(certificate))

    def ask(self, method, path, body=None, headers=None, source="127.0.0.1"):
        connection = http.client.HTTPSConnection(
            "localhost", self.port, context=self.context, timeout=10, source_address=(source, 0)
        )
        content = None if body is None else json.dumps(body)
        kind = {} if body is None else {"Content-Type": "application/json", "Origin": self.origin}
        try:
            connection.request(method, path, content, {**kind, **(headers or {})})
            response = connection.getresponse()
            return response.status, response.read(), response.headers
        finally:
            connection.close()

    def open(self):
        plain = socket.create_connection(("127.0.0.1", self.port), 10)
        return self.context.wrap_socket(plain, server_hostname="localhost")


@pytest.fixture(scope="module")
def busy():
    return make_busy(Stage())


@pytest.fixture
def proxy(busy, tmp_path):
    make_certificate(tmp_path)
    port, inner = free_port(), free_port()
    text = OURS.read_text()
    for ours, here in (
        ("127.0.0.1:8080", f"127.0.0.1:{inner}"),
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("keepalive 8", "keepalive 1"),  # everybody's requests on one connection
        ("reid.example;", "localhost;"),
        ("/etc/reid/", f"{tmp_path}/"),
    ):
        assert ours in text
        text = text.replace(ours, here)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "".join(f"{kind}_temp_path {tmp_path}/{kind};" for kind in kinds)
    (tmp_path / "nginx.conf").write_text(
        f"daemon off; worker_processes 1; pid {tmp_path}/pid; error_log {tmp_path}/errors;"
        f"events {{}} http {{ access_log off; {paths}\n{text}\n}}"
    )
    command = [NGINX, "-p", tmp_path, "-c", tmp_path / "nginx.conf", "-e", tmp_path / "errors"]
    public = f"https://localhost:{port}"
    with serve(busy.site, Access(TOKEN, public), port=inner), subprocess.Popen(command) as nginx:
        try:
            end = time.monotonic() + 10
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    assert nginx.poll() is None, (tmp_path / "errors").read_text()
                    assert time.monotonic() < end
                    time.sleep(0.05)
            yield Proxy(port, tmp_path / "certificate.pem")
        finally:
            nginx.terminate()


def test_signing_in_acting_looking_and_signing_out(busy, proxy):
    assert proxy.ask("GET", "/")[2]["Location"] == "/sign-in"
    status, _, headers = proxy.ask("POST", "/sign-in", {"token": TOKEN})
    assert (status, "Secure" in headers["Set-Cookie"]) == (200, True)
    session = {"Cookie": headers["Set-Cookie"].split(";")[0]}
    assert b"page.js" in proxy.ask("GET", "/", headers=session)[1]
    ours = {**session, "X-Reid-Secret": json.loads(proxy.ask("GET", "/api/state", headers=session)[1])["secret"]}
    wrong = {**ours, "Origin": f"http://localhost:{proxy.port}"}
    assert proxy.ask("POST", "/api/forget", {"identity": "person-2"}, wrong)[0] == 403
    assert proxy.ask("POST", "/api/rename", {"identity": "person-1", "to": "Ann"}, ours)[0] == 200
    assert proxy.ask("POST", "/api/forget", {"identity": "person-2"}, ours)[0] == 200
    assert busy.reid.gallery.identities() == ["Ann"]
    jpeg = proxy.ask("GET", "/camera/0.jpg", headers=session)[1]
    assert cv2.imdecode(np.frombuffer(jpeg, np.uint8), 1).shape == (240, 320, 3)
    with proxy.open() as stream:
        cookie = session["Cookie"]
        stream.sendall(f"GET /camera/0.mjpeg HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n".encode())
        content = b""
        while b"--frame" not in content:
            content += stream.recv(1 << 16)
    assert proxy.ask("POST", "/sign-out", {}, ours)[0] == 200
    assert proxy.ask("GET", "/api/state", headers=session)[0] == 401


def test_a_smuggled_request_gets_nothing(proxy, monkeypatch):
    asked, find = [], pages.find_answer

    def noting(routes, request):
        asked.append(request.path)
        return find(routes, request)

    monkeypatch.setattr(pages, "find_answer", noting)
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    inside = "GET /sign-in.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
    head = "GET /look.css HTTP/1.1\r\nHost: localhost\r\n"
    for smuggled in (
        f"{head}Content-Length: {len(inside)}\r\n\r\n{inside}",
        f"{head}Transfer-Encoding: chunked\r\n\r\n{len(inside):x}\r\n{inside}\r\n0\r\n\r\n",
        f"{head}Content-Length: 0\r\nContent-Length: {len(inside)}\r\n\r\n{inside}",
        f"{head}Content-Length: {len(inside)}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{inside}",
    ):
        with proxy.open() as attacker:
            attacker.sendall(smuggled.encode())
            assert attacker.recv(1 << 16).startswith((b"HTTP/1.1 200", b"HTTP/1.1 400"))
        for _ in range(3):  # what the next ones get is what they asked for
            status, content, _ = proxy.ask("GET", "/api/state", headers=bearer)
            assert (status, "secret" in json.loads(content)) == (200, True)
            status, content, _ = proxy.ask("GET", "/look.css")
            assert (status, b"secret" in content, b"{" in content) == (200, False, True)
    assert {"/look.css", "/api/state"} == set(asked), "what was in a body was never taken for a request"


def test_who_guesses_keeps_nobody_else_out(proxy):
    for _ in range(10):
        proxy.ask("POST", "/sign-in", {"token": "wrong"}, {"X-Forwarded-For": "127.0.0.1"}, source="127.0.0.2")
    assert proxy.ask("POST", "/sign-in", {"token": TOKEN}, source="127.0.0.2")[0] == 429
    assert proxy.ask("POST", "/sign-in", {"token": TOKEN})[0] == 200
