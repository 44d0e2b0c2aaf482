"""Downloads from a server of this machine: whole and right, or an error that says what to do, and nothing half done."""

import hashlib
import os
import shutil
import socket
import ssl
import subprocess
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from sdk import download as module
from sdk.download import bring, download, fault
from sdk.errors import DataError

CONTENT = bytes(range(256)) * 1200
SIZE, HASH = len(CONTENT), hashlib.sha256(CONTENT).hexdigest()
OTHER = CONTENT[::-1]


@dataclass
class Behaviour:
    """What the server does; each test changes what it is about."""

    content: bytes = CONTENT
    breaks_after: list[int] = field(default_factory=list)
    """Bytes after which the connection is cut, one a request."""
    ranges: str = "kept"
    """kept; ignored: all of it comes; refused: 416; other: another part comes."""
    length: bool = True
    """Whether it says how long the file is."""
    redirects: dict[str, str] = field(default_factory=dict)
    status: int = 200
    asked: list[str | None] = field(default_factory=list)
    """The Range of every request."""


@contextmanager
def serving(behaviour: Behaviour, certificate=None):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path in behaviour.redirects:
                self.send_response(302)
                self.send_header("Location", behaviour.redirects[self.path])
                self.end_headers()
                return
            wanted = self.headers["Range"]
            behaviour.asked.append(wanted)
            if behaviour.status != 200:
                self.send_error(behaviour.status)
                return
            begin, total = 0, len(behaviour.content)
            if wanted is not None and behaviour.ranges == "refused":
                self.send_error(416)
                return
            if wanted is not None and behaviour.ranges != "ignored":
                begin = int(wanted.removeprefix("bytes=").removesuffix("-")) + (behaviour.ranges == "other")
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {begin}-{total - 1}/{total}")
            else:
                self.send_response(200)
            part = behaviour.content[begin:]
            if behaviour.length:
                self.send_header("Content-Length", str(len(part)))
            self.end_headers()
            self.wfile.write(part[: behaviour.breaks_after.pop(0)] if behaviour.breaks_after else part)

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        scheme, host = ("http", "127.0.0.1") if certificate is None else ("https", "localhost")
        yield f"{scheme}://{host}:{server.server_address[1]}/file.onnx"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def server():
    return Behaviour()


@pytest.fixture
def url(server):
    with serving(server) as address:
        yield address


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "file.onnx"


def parts(path):
    return sorted(found.name for found in path.parent.iterdir()) if path.parent.exists() else []


def test_a_file_comes_whole_and_alone(server, url, path):
    told = []
    download(url, path, SIZE, HASH, told.append)
    assert path.read_bytes() == CONTENT
    assert parts(path) == ["file.onnx"]
    assert (told[0], told[-1]) == (0, SIZE)
    assert told == sorted(told)
    assert fault(path, SIZE, HASH) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"content": OTHER},
            f"another file than the published one .SHA-256 [0-9a-f]{{64}}, not {HASH}",
        ),
        ({"content": CONTENT[:-1]}, f"another file than the published one .{SIZE - 1} bytes, not {SIZE}"),
        ({"content": CONTENT + b"x"}, f"{SIZE + 1} bytes, not {SIZE}"),
        ({"content": CONTENT + b"x", "length": False}, "longer than the published file"),
        ({"status": 404}, "the server answers 404"),
        ({"status": 503}, "the server answers 503"),
    ],
)
@pytest.mark.parametrize("before", [None, b"an earlier file"])
def test_what_is_not_the_file_is_not_kept(server, url, path, change, words, before):
    vars(server).update(change)
    if before is not None:
        path.parent.mkdir()
        path.write_bytes(before)
    with pytest.raises(DataError, match=words):
        download(url, path, SIZE, HASH)
    assert parts(path) == ([] if before is None else ["file.onnx"]), "no half file under any name"
    assert before is None or path.read_bytes() == before


@pytest.mark.parametrize("length", [True, False])
def test_an_interrupted_download_goes_on(server, url, path, length):
    server.breaks_after, server.length = [100_000, 70_000], length
    for done in (100_000, 170_000):
        with pytest.raises(DataError, match=f"{done} of {SIZE} bytes are here, and the same command goes on"):
            download(url, path, SIZE, HASH)
        assert parts(path) == ["file.onnx.part"]
    told = []
    download(url, path, SIZE, HASH, told.append)
    assert path.read_bytes() == CONTENT
    assert parts(path) == ["file.onnx"]
    assert server.asked == [None, "bytes=100000-", "bytes=170000-"]
    assert told[0] == 170_000


@pytest.mark.parametrize("ranges", ["ignored", "refused", "other"])
def test_a_server_that_cannot_go_on_begins_anew(server, url, path, ranges):
    server.ranges, server.breaks_after = ranges, [100_000]
    with pytest.raises(DataError, match="broke off"):
        download(url, path, SIZE, HASH)
    download(url, path, SIZE, HASH)
    assert path.read_bytes() == CONTENT
    assert server.asked == [None, "bytes=100000-"] + [None] * (ranges != "ignored")


def test_a_beginning_of_another_file_is_thrown_away(server, url, path):
    path.parent.mkdir()
    (path.parent / "file.onnx.part").write_bytes(OTHER[:100_000])
    download(url, path, SIZE, HASH)
    assert path.read_bytes() == CONTENT
    assert server.asked == ["bytes=100000-", None]


@pytest.mark.parametrize(("left", "requests"), [(CONTENT, 0), (OTHER, 1), (CONTENT + b"x", 1)])
def test_what_is_there_to_its_end_needs_no_server_if_it_is_right(server, url, path, left, requests):
    path.parent.mkdir()
    (path.parent / "file.onnx.part").write_bytes(left)
    download(url, path, SIZE, HASH)
    assert path.read_bytes() == CONTENT
    assert len(server.asked) == requests


def test_redirects_are_followed_and_keep_what_is_asked_for(server, url, path):
    server.breaks_after = [100_000]
    with serving(server) as elsewhere:
        server.redirects = {"/file.onnx": elsewhere.replace("file.onnx", "store?key=1")}
        with pytest.raises(DataError, match="broke off"):
            download(url, path, SIZE, HASH)
        download(url, path, SIZE, HASH)
    assert path.read_bytes() == CONTENT
    assert server.asked == [None, "bytes=100000-"]


def test_a_redirect_in_a_circle_ends(server, url, path):
    server.redirects = {"/file.onnx": "/file.onnx"}
    with pytest.raises(DataError, match="the server answers 302"):
        download(url, path, SIZE, HASH)
    assert parts(path) == []


@pytest.mark.parametrize("target", ["http://127.0.0.1/file", "ftp://127.0.0.1/file", "//127.0.0.1/file"])
def test_no_redirect_leads_out_of_https(target, path, tmp_path, monkeypatch):
    """A server with a certificate of its own, which is trusted when it is named."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = shutil.which("openssl") and subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost", "-addext",
         "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
        capture_output=True, check=False,
    )  # fmt: skip
    if not made or made.returncode != 0:
        pytest.skip("openssl makes no certificate here")
    key.write_bytes(key.read_bytes() + certificate.read_bytes())
    behaviour = Behaviour(redirects={"/file.onnx": target})
    with serving(behaviour, key) as url:
        with pytest.raises(DataError, match="certificate"):
            download(url, path, SIZE, HASH)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        with pytest.raises(DataError, match="cannot be reached" if target.startswith("//") else "leads from https to"):
            download(url, path, SIZE, HASH)
        assert parts(path) == []
        behaviour.redirects.clear()
        download(url, path, SIZE, HASH)
    assert path.read_bytes() == CONTENT


def test_no_network_is_told(path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(DataError, match=rf"127.0.0.1:{port}/x: cannot be reached \(Connection refused\)"):
        download(f"http://127.0.0.1:{port}/x", path, SIZE, HASH)
    assert parts(path) == []


def test_a_server_that_says_nothing_is_given_up(path, monkeypatch):
    monkeypatch.setattr(module, "SILENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(DataError, match="no answer for"):
        download(f"http://127.0.0.1:{silent.getsockname()[1]}/x", path, SIZE, HASH)


@pytest.mark.parametrize(
    "address",
    ["ftp://host/x", "file:///etc/passwd", "host/x", "http://", "http://[1/x", "http://host/ü", "http://a b"],
)
def test_only_addresses_of_the_web_are_asked(address, path):
    with pytest.raises(DataError, match="no address of the form"):
        download(address, path, SIZE, HASH)


def test_secrets_in_an_address_are_not_repeated(path):
    with pytest.raises(DataError) as error:
        download("https://ann:secret@host/x?key=hidden", path, SIZE, HASH)
    assert "https://host/x: has a user in it" in str(error.value)
    assert not any(word in str(error.value) for word in ("ann", "secret", "hidden"))


def test_a_folder_that_cannot_be_written_is_named(server, url, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"file/folder: cannot be written \((Not a directory|File exists)\)"):
        download(url, tmp_path / "file" / "folder" / "x", SIZE, HASH)
    assert server.asked == [], "nothing is fetched that cannot be kept"


def test_a_full_disk_is_named(server, url, path):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full on this system")
    path.parent.mkdir()
    (path.parent / "file.onnx.part").symlink_to("/dev/full")
    with pytest.raises(DataError, match=r"folder: cannot be written"):
        download(url, path, SIZE, HASH)
    assert not path.exists()


def test_two_at_once_do_not_write_one_file(server, url, path):
    fcntl = pytest.importorskip("fcntl")
    path.parent.mkdir()
    with (path.parent / "file.onnx.part").open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(DataError, match="another process is writing it"):
            download(url, path, SIZE, HASH)
    download(url, path, SIZE, HASH)
    assert path.read_bytes() == CONTENT


def test_who_comes_as_another_finishes_leaves_its_file_alone(server, url, path, monkeypatch):
    fcntl, part = pytest.importorskip("fcntl"), path.parent / "file.onnx.part"
    path.parent.mkdir()
    part.write_bytes(CONTENT)
    monkeypatch.setattr(fcntl, "flock", lambda file, how: part.rename(path))  # between its opening and its locking
    with pytest.raises(DataError, match="another process is writing it"):
        download(url, path, SIZE, HASH)
    assert path.read_bytes() == CONTENT


def test_a_file_is_brought_from_a_disk_if_it_is_the_one(path, tmp_path):
    right, wrong, short = tmp_path / "right", tmp_path / "wrong", tmp_path / "short"
    right.write_bytes(CONTENT)
    wrong.write_bytes(OTHER)
    short.write_bytes(CONTENT[:10])
    bring(right, path, SIZE, HASH)
    assert path.read_bytes() == CONTENT
    for bad, words in ((wrong, "wrong: its SHA-256 is"), (short, "short: has 10 bytes"), (tmp_path, "no such file")):
        with pytest.raises(DataError, match=words):
            bring(bad, path, SIZE, HASH)
    bring(path, path, SIZE, HASH)
    assert path.read_bytes() == right.read_bytes() == CONTENT
    assert parts(path) == ["file.onnx"]


@pytest.mark.parametrize("link", ["symbolic", "hard"])
def test_a_planted_link_is_not_written_through(path, tmp_path, link):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.symlink_to(victim) if link == "symbolic" else part.hardlink_to(victim)
    right = tmp_path / "right"
    right.write_bytes(CONTENT)
    with pytest.raises(DataError, match="cannot be written"):
        bring(right, path, SIZE, HASH)
    assert victim.read_text() == "precious"
    assert not path.exists()
