"""Users, passwords and keys in addresses: whatever is printed or written, they are not in it."""

import base64
import contextlib
import copy
import json
import logging
import pickle
import pprint
import random
import shutil
import socketserver
import sys
import threading
import traceback
import types
from dataclasses import asdict
from pathlib import Path
from urllib.parse import quote

import pytest
from rich.console import Console

from sdk import Gallery
from sdk.cli import build_app, run_app
from sdk.confidential import HOW_TO_WRITE, Confidential, hide, take_apart, why
from sdk.errors import DataError, GalleryError, ReIDError
from sdk.event_sinks import open_sink
from sdk.events import Event
from sdk.gallery.gallery import shown
from sdk.gallery.milvus import Address
from sdk.serve.metrics import render_metrics
from sdk.video.listeners import print_trouble
from sdk.video.sources import CameraReport, Patience, parse_address, trouble_table
from sdk.video.sources.address import STREAM, parse_addresses
from sdk.video.sources.capture import open_capture
from sdk.video.sources.network import check_reachable
from sdk.video.sources.pipeline import Pipeline
from tests.stage import Stage
from tests.test_event_sinks import Receiver, receiver

MARK = "zQ7mark"
SPECIAL = "/'\"[ ]@:#?&=%+!;,\\|^~<>{}$*()é入"

CAMERAS = (
    "rtsp://admin:{}@127.0.0.1:9/s",
    "rtsp://{}@127.0.0.1:9/s",
    "http://{}:x@127.0.0.1:9/video.mjpg#live",
    "rtsp://127.0.0.1:9/user=admin&password={}&channel=1&stream=0.sdp",
    "rtsp://127.0.0.1:9/live/password={}/1",
    "rtsp://127.0.0.1:9/cam?user=admin&password={}",
    "http://127.0.0.1:9/snap.cgi?usr=admin&pwd={}#speed=2",
    "srt://127.0.0.1:9?passphrase={}",
    "ftp://admin:{}@127.0.0.1/x",
    "admin:{}@127.0.0.1/stream1",
    "rtsp:/admin:{}@127.0.0.1:9/s",
    "user=admin&password={}",
    "gst:rtspsrc location=rtsp://127.0.0.1:9/1 user-id=admin user-pw={} latency=9 ! decodebin",
    'rtspsrc location="rtsp://admin:{}@127.0.0.1:9/1" ! decodebin ! autovideosink',
    "souphttpsrc location='http://127.0.0.1:9/?token={}' ! jpegdec",
)
WEBHOOKS = (
    "http://127.0.0.1:9/services/T0/B0/{}",
    "http://127.0.0.1:9/hook?token={}",
    "http://ann:{}@127.0.0.1:9/hook",
    "http:/ann:{}@127.0.0.1/hook",
    "gopher://ann:{}@127.0.0.1/hook",
)
GALLERIES = (
    "milvus://ann:{}@127.0.0.1:19530/site",
    "milvus://{}@127.0.0.1:19530/site",
    "milvus://ann:{}@127.0.0.1/site-1",
    "http://ann:{}@127.0.0.1:19530/site",
    "ann:{}@127.0.0.1:19530/site",
)


def drawn(forms, count, seed):
    """Addresses with a marked secret in them, most with a letter that means something in an address."""
    dice = random.Random(seed)
    for number in range(count):
        left, right = ("".join(dice.choices(SPECIAL + "aZ1", k=dice.randrange(4))) for _ in range(2))
        secret = left + MARK + right
        secret = quote(secret, safe="") if dice.random() < 0.3 else secret
        named = "dock=" if dice.random() < 0.3 else ""
        yield named * (forms is CAMERAS) + forms[number % len(forms)].format(secret)


def told(value) -> str:
    """All ways in which something prints itself."""
    texts = [repr(value), str(value), f"{value}", f"{value!r:>20}", pprint.pformat(value), f"{value!a}"]
    if hasattr(value, "__dataclass_fields__"):
        as_dict = asdict(value)
        texts += [str(as_dict), json.dumps(as_dict, default=str), json.dumps(as_dict, default=vars_of)]
    return "\n".join(texts)


def vars_of(value):
    return {name: str(getattr(value, name)) for name in dir(value) if not callable(getattr(value, name))}


def fault_of(run, *arguments) -> str:
    """What is raised, as a traceback prints it; nothing else than an error of our own may be."""
    try:
        run(*arguments)
    except ReIDError as error:
        return str(error) + "".join(traceback.format_exception(error))
    return ""


def test_what_is_confidential_does_not_print_itself():
    secret = Confidential(MARK, "a camera")
    assert secret.reveal() == MARK
    assert (str(secret), f"{secret:>10}", repr(secret)) == ("a camera", "  a camera", "<a camera>")
    assert (copy.copy(secret), copy.deepcopy(secret)) == (secret, secret)
    assert secret == Confidential(MARK)
    assert len({secret, Confidential(MARK), Confidential("other")}) == 2
    assert secret != MARK
    assert (bool(secret), bool(Confidential(""))) == (True, False)
    for fails in (json.dumps, pickle.dumps, vars):
        with pytest.raises(TypeError) as error:
            fails(secret)
        assert MARK not in "".join(traceback.format_exception(error.value))
    assert MARK not in told(secret) + str(vars_of(secret))


def test_an_address_is_taken_apart():
    url = take_apart("RTSP://ad%40min:p%3Aa@ss:1@[::1]:554/cam/1?x=1#y")
    assert (url.scheme, url.host, url.port) == ("rtsp", "::1", 554)
    assert (url.user.reveal(), url.password.reveal()) == ("ad@min", "p:a@ss:1")
    assert [part.reveal() for part in (url.path, url.query, url.fragment)] == ["/cam/1", "x=1", "y"]
    assert url.whole.reveal() == "RTSP://ad%40min:p%3Aa@ss:1@[::1]:554/cam/1?x=1#y"
    assert (url.origin, url.shown) == ("RTSP://[::1]:554", "RTSP://[::1]:554/cam/1")
    bare = take_apart("udp://:1234")
    assert (bare.user, bare.password, bare.host, bare.port, bare.shown) == (None, None, "", 1234, "udp://:1234")


@pytest.mark.parametrize("secret", ["a/b", "a?b", "a#b", "a@b/c", "12/b", "a\nb"])
def test_what_cannot_be_understood_is_refused_with_the_way_to_write_it(secret):
    with pytest.raises(DataError, match=r"dock: rtsp://…: .* write / as %2F, @ as %40") as error:
        parse_address(f"dock=rtsp://admin:{secret}@10.0.0.7/s")
    assert secret not in str(error.value)
    understood = parse_address(f"dock=rtsp://admin:{quote(secret, safe='')}@10.0.0.7/s")
    assert take_apart(understood.location.reveal()).password.reveal() == secret


class Gate(socketserver.StreamRequestHandler):
    """An RTSP server that asks for user and password, and lets nobody in."""

    def handle(self):
        while request := list(iter(lambda: self.rfile.readline().decode().strip(), "")):
            fields = dict(line.split(": ", 1) for line in request[1:])
            if "Authorization" in fields:
                self.server.told.append(base64.b64decode(fields["Authorization"].removeprefix("Basic ")).decode())
            asked = request[0].startswith("OPTIONS")
            answer = "200 OK\r\nPublic: DESCRIBE" if asked else '401 No\r\nWWW-Authenticate: Basic realm="dock"'
            self.wfile.write(f"RTSP/1.0 {answer}\r\nCSeq: {fields['CSeq']}\r\n\r\n".encode())


@pytest.mark.parametrize(
    "written", ["plain", "p@ss'w\"ord", "pa [x] y", "a%40b%2Fc%3Fd%23e%25", "100%", "é入", "a:b\\^|~<>"]
)
def test_ffmpeg_reads_user_and_password_as_we_do(written):
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Gate) as server:
        server.daemon_threads, server.told = True, []
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        address = parse_address(f"rtsp://admin:{written}@127.0.0.1:{server.server_address[1]}/s")
        with pytest.raises(DataError, match="are path, user and password right"):
            open_capture(address, Patience(silence=5))
        server.shutdown()
    password = take_apart(address.location.reveal()).password.reveal()
    assert set(server.told) == {f"admin:{password}"}


def test_long_texts_of_others_are_read_in_no_time():
    """A pattern that begins anew at every letter takes hours for these."""
    many = "user:" * 4000
    assert hide(many) == many
    assert hide(f"{many}{MARK}@h") == "h"
    assert hide(f"no file {many}rtsp://a:{MARK}@h") == f"no file {many}rtsp://h"
    assert hide("9" * 20_000 + ":x") == "9" * 20_000 + ":x"
    assert hide("rtsp://" * 2000 + f"{MARK}@h") == "rtsp://…"
    assert hide("@a " * 5000 + "x") == "@a " * 5000 + "x"


def test_texts_of_others_are_cut_and_our_own_are_not():
    assert hide(f"could not open rtsp://a:{MARK} x'[@h/s: no route") == "could not open rtsp://h/s: no route"
    assert hide(f"could not open rtsp://a:{MARK}/x@h/s: no route") == "could not open rtsp://…"
    assert hide(f"GET http://h/x?token={MARK} failed") == "GET http://h/x?…"
    assert hide(f"bad passphrase={MARK} here") == "bad passphrase=…"
    assert hide(f"no file a:{MARK}@h/s") == "no file h/s"
    ours = f"rtsp://h:9/s: h port 9 does not answer; is the camera on, and the cable in?\nrtsp://…: {HOW_TO_WRITE}"
    assert hide(ours) == ours
    assert why(ValueError()) == "ValueError"


def test_no_camera_tells_its_secret(capsys):
    reports, understood = [], 0
    for number, text in enumerate(drawn(CAMERAS, 1200, seed=1)):
        said = fault_of(parse_address, text) + fault_of(parse_addresses, [text, text])
        with contextlib.suppress(DataError):
            address = parse_address(text)
            understood += 1
            said += told(address) + address.shown + address.name
            if address.kind == STREAM:
                said += fault_of(check_reachable, address.location, 1)
        reason = why(RuntimeError(f"OpenCV(4.14): error: (-215) {text} in function 'open'\nmore of {text}"))
        event = Event(1.0, "camera_lost", camera="dock", detail={"reason": reason})
        if number % 10 == 0:  # the terminal takes its time
            print_trouble(event)
            reports.append(CameraReport("dock", losses=1, reason=reason))
        assert MARK not in said + event.to_json(), text
    assert 400 < understood < 1100, "both are tried: what is understood, and what is not"
    console = Console(width=200)
    console.print(trouble_table(reports))
    output = capsys.readouterr()
    assert MARK not in output.out + output.err


def test_no_sink_tells_its_secret(monkeypatch):
    site = Stage().site
    for text in drawn(WEBHOOKS, 400, seed=2):
        said = fault_of(open_sink, text)
        with contextlib.suppress(DataError), open_sink(text) as sink:
            said += told(sink) + sink.name + told(sink._transport) + sink._thread.name
            site.sinks.append(sink)
        assert MARK not in said, text
    metrics = render_metrics(site)
    assert MARK not in metrics
    labels = [line for line in metrics.splitlines() if line.startswith("reid_sink_waiting{")]
    assert len(labels) == len(set(labels)) == len(site.sinks) > 100, "each receiver has a line of its own"
    monkeypatch.setenv("REID_EVENTS_SECRET", MARK + "\nx")
    with pytest.raises(DataError, match="no header can hold") as error:
        open_sink("http://127.0.0.1:9/")
    assert MARK not in str(error.value)


def test_what_a_receiver_answers_is_not_repeated(monkeypatch):
    class Echo(Receiver):
        def send_response(self, code, message=None):
            super().send_response(code, f"nothing at {self.path}")

    monkeypatch.setattr("tests.test_event_sinks.Receiver", Echo)
    with receiver((404, {})) as server, open_sink(f"http://127.0.0.1:{server.server_port}/services/{MARK} x") as sink:
        sink(Event(1.0, "left", camera="dock"))
        sink.close(5)
    assert [path for path, *_ in server.requests] == [f"/services/{MARK}%20x"]
    assert (sink.refused, sink.trouble) == (1, "the receiver answered 404 Not Found")


def test_no_gallery_tells_its_secret(monkeypatch, caplog, tmp_path):
    for text in drawn(GALLERIES, 400, seed=3):
        said = fault_of(shown, text)
        with contextlib.suppress(GalleryError):
            said += shown(text)
        if text.startswith("milvus:"):
            with contextlib.suppress(GalleryError):
                said += told(Address.parse(text))
        assert MARK not in said, text

    def client(uri, token, timeout):
        raise ValueError(f"cannot log in to {uri} with {token}, {token.partition(':')[2]}; {token}@{uri}")

    monkeypatch.setitem(sys.modules, "pymilvus", types.SimpleNamespace(MilvusClient=client))
    with caplog.at_level(logging.DEBUG), Gallery(f"milvus://ann:{MARK}@127.0.0.1:19530/site") as gallery:
        said = fault_of(gallery.sync) + gallery.where
    assert "milvus://127.0.0.1:19530/site: the store does not answer (cannot log in to http://" in said
    assert MARK not in said + caplog.text


COMMANDS = (
    ("track", "rtsp://admin:pa/{}@127.0.0.1:9/s", "-o", "out"),
    ("track", "admin:{}@127.0.0.1:9/s", "-o", "out"),
    ("track", "rtsp://admin:{}@127.0.0.1:9/s"),
    ("track", "usb:0", "-o", "out", "--events", "http://ann:{}@127.0.0.1/hook"),
    ("serve", "rtsp://admin:{}#x@127.0.0.1:9/s"),
    ("serve", "usb:0", "--events", "https://hooks.example.org/services/{}?a b", "--port", "x"),
    ("gallery", "list", "milvus://ann:{}/@127.0.0.1:19530/site"),
    ("gallery", "list", "ann:{}@127.0.0.1:19530/site"),
    ("gallery", "list", "site.db", "https://hooks.example.org/services/{}"),
    ("search", "--gallery", "milvus://ann:p@{}/x@127.0.0.1:19530/site", "--identity", "ann", "-o", "out"),
    ("doctor", "rtsp://admin:{}@127.0.0.1:9/s"),
    ("doctor", "rtsp://admin:{}@127.0.0.1:9/s", "milvus://ann:{}@127.0.0.1:19530/site"),
)


def test_no_command_repeats_a_secret_when_it_refuses(monkeypatch, capfd, tmp_path):
    monkeypatch.chdir(tmp_path)
    app = build_app()
    for arguments in COMMANDS:
        monkeypatch.setattr("sys.argv", ["reid", *(argument.replace("{}", MARK) for argument in arguments)])
        with pytest.raises(SystemExit) as end:
            run_app(app)
        output = capfd.readouterr()
        assert end.value.code in (1, 2), arguments
        assert "error: " in output.err, arguments
        assert MARK not in output.out + output.err, arguments
    assert not any(MARK in str(path) for path in tmp_path.rglob("*"))


def test_a_run_with_secrets_writes_none(monkeypatch, capfd, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path("cameras.txt").write_text(
        "\n".join(form.format(MARK) for form in (CAMERAS[0], CAMERAS[3], CAMERAS[5], CAMERAS[7], CAMERAS[12]))
    )
    hook = f"http://127.0.0.1:9/services/{MARK}"
    run = ["track", "@cameras.txt", "-o", "out", "--seconds", "0.4", "--events", hook, "--detector", "motion"]
    monkeypatch.setattr("sys.argv", ["reid", *run])
    with pytest.raises(SystemExit) as end:
        run_app(build_app())
    assert end.value.code == 0
    output = capfd.readouterr()
    assert "5 cameras had trouble" in output.out
    assert "127.0.0.1-s: lost: rtsp://127.0.0.1:9/s: 127.0.0.1 port 9: Connection refused" in output.err
    written = {path: path.read_text(errors="replace") for path in Path("out").rglob("*") if path.is_file()}
    assert "camera_lost" in written[Path("out/events.jsonl")]
    assert MARK not in output.out + output.err + str(written)


def test_a_pipelines_secret_is_in_no_argument_and_in_no_reason():
    if shutil.which("gst-launch-1.0") is None:
        pytest.skip("GStreamer is not here: apt-get install gstreamer1.0-tools gstreamer1.0-plugins-{base,good}")
    for pipeline in (
        f"fakesrc user-pw={MARK} ! fakesink",
        f"fakesrc num-buffers={MARK} ! identity",
        f"fakesrc user-pw=a {MARK} ! identity",
        f"filesrc location=/nowhere/{MARK} ! identity",
    ):
        location = parse_address(f"gst:{pipeline}").location
        with pytest.raises(DataError, match=r"pipeline f[a-z]*src ! …: GStreamer: ") as error:
            Pipeline(location, Patience(silence=5))
        assert MARK not in "".join(traceback.format_exception(error.value))
    with pytest.raises(DataError, match="a quote that is not closed"):
        parse_address(f'rtspsrc user-pw="a ! {MARK} ! decodebin')
    location = parse_address(f"gst:videotestsrc name={MARK} is-live=true ! video/x-raw,width=64,height=48").location
    capture, argv = Pipeline(location, Patience()), []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            argv.append(path.read_bytes().decode(errors="replace"))
    capture.close()
    assert any("gstreamer.py" in line for line in argv)
    assert not any(MARK in line for line in argv)
