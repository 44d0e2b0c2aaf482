"""Whatever a gallery is given, it answers or raises an error of ours, and then nothing has changed."""

import io
import json
import random
import zipfile

import numpy as np
import pytest

from sdk.errors import ReIDError
from sdk.gallery import Gallery
from tests.galleries import unit

ODD = [
    None, True, 0, -1, 1.5, float("nan"), float("inf"), 10**400, "", "a", "\0", "\ud800", "é" * 300, "../..", b"bytes",
    [], [1], (), {}, {"a": 1}, object(), np.array([1]), np.array("x"), 1 + 2j, set(), "x" * 5000, range(3), len,
]  # fmt: skip
"""Values that are no argument of anything, and some that are."""


def arrays(rng):
    """Arrays of any shape and kind, some of them features."""
    shape = rng.choice([(0,), (8,), (1, 8), (2, 7), (0, 8), (1, 1, 8), (8, 1), ()])
    found = np.random.default_rng(rng.randrange(99)).standard_normal(shape)
    with np.errstate(all="ignore"):
        if rng.random() < 0.5 and shape:
            found = found / np.linalg.norm(found, axis=-1, keepdims=True)
        return found.astype(rng.choice(["f4", "f8", "f2", "i4", "u1", "c8", "?", "O", "U3"]))


def odd(rng):
    return rng.choice([lambda: rng.choice(ODD), lambda: arrays(rng), lambda: rng.choice("abc")])()


def stands(gallery):
    return [(s.identity, s.exemplars, s.cameras) for s in gallery.describe()], gallery.retention, gallery.max_exemplars


OPTIONS = {
    "add": ("identity", "camera", "time", "quality", "crops"),
    "search": ("camera", "since", "until", "identities", "aggregate", "stripes", "weight", "k"),
    "prune": ("before", "older_than"),
    "settle": ("retention", "max_exemplars", "store_crops"),
}
METHODS = {
    "add": (1, 2), "search": (1, 1), "merge": (2, 2), "rename": (2, 2), "forget": (1, 1), "prune": (0, 0),
    "settle": (0, 0), "describe": (0, 1), "bind": (2, 3), "export": (1, 1), "load": (1, 1), "backup": (1, 1),
    "crops": (1, 1), "exemplars": (1, 1),
}  # fmt: skip
"""How many arguments each takes, at least and at most."""


@pytest.mark.parametrize("on_disk", [False, True])
def test_odd_arguments(tmp_path, monkeypatch, on_disk):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")  # some of them are names of files
    rng = random.Random(1)
    gallery = Gallery(tmp_path / "site.db" if on_disk else None, max_exemplars=4)
    for name in "abc":
        gallery.add(unit(np.random.default_rng(ord(name)), 2, 8), identity=name, camera="dock")
    outcomes = {"result": 0, "error": 0}
    for _ in range(300 if on_disk else 1500):
        method = rng.choice(list(METHODS))
        least, most = METHODS[method]
        given = [odd(rng) for _ in range(rng.randint(least, most))]
        options = {name: odd(rng) for name in OPTIONS.get(method, ()) if rng.random() < 0.3}
        if method == "add":
            options.setdefault("identity", odd(rng))
        before = stands(gallery)
        try:
            getattr(gallery, method)(*given, **options)
            outcomes["result"] += 1
        except ReIDError:
            assert stands(gallery) == before, (method, given, options)
            outcomes["error"] += 1
    assert min(outcomes.values()) > 20
    assert gallery.verify().ok
    gallery.close()


def test_odd_ways_to_open_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = random.Random(2)
    places = [
        None,
        "ok.db",
        "\0",
        "",
        "/",
        "/proc/1/x",
        "none/a.db",
        "a" * 5000,
        "/dev/null",
        ".",
        b"x",
        5,
        "é\udcff.db",
    ]
    for _ in range(80):
        options = {
            name: odd(rng)
            for name in ("max_exemplars", "retention", "store_crops", "passphrase", "cache", "read_only")
            if rng.random() < 0.3
        }
        with_disk = set(tmp_path.iterdir())
        try:
            Gallery(rng.choice(places), **options).close()
        except ReIDError:
            assert set(tmp_path.iterdir()) == with_disk, "what cannot be opened leaves nothing behind"
        for file in tmp_path.iterdir():
            file.unlink()


def spoilt(content, rng):
    content = bytearray(content)
    for _ in range(rng.choice([1, 1, 4])):
        at = rng.randrange(len(content))
        change = rng.randrange(4)
        if change == 0:
            content[at] ^= 1 << rng.randrange(8)
        elif change == 1:
            del content[at : at + rng.randrange(1, 64)]
        elif change == 2:
            content[at:at] = rng.randbytes(rng.randrange(1, 64))
        else:
            content[at : at + 4] = b"\xff\xff\xff\x7f"
    return bytes(content)


def test_odd_exports(tmp_path):
    with Gallery() as gallery:
        for name in "abc":
            gallery.add(unit(np.random.default_rng(ord(name)), 3, 8), identity=name, camera="dock")
        gallery.export(tmp_path / "good")
    arrays, lines = (tmp_path / "good.npz").read_bytes(), (tmp_path / "good.jsonl").read_bytes()
    kept = dict(np.load(tmp_path / "good.npz"))
    columns = [
        np.zeros(9), np.zeros((9, 2)), np.full(9, np.nan), np.full(9, np.inf), np.array(["x"] * 9), np.zeros(9, bool),
        np.full(9, 1j), np.zeros((9, 8, 4), np.float16), np.zeros((9, 0)), np.arange(9).astype("M8[s]"), np.array(5),
        np.zeros((9, 3, 3, 3)), np.zeros(9, [("a", "i4")]), np.full((9, 8, 4), np.nan, np.float16),
    ]  # fmt: skip
    texts = [None, 5, "", [], {}, True, "x" * 500, "\0", "\ud800", 10**30]
    rng = random.Random(3)
    loaded = 0
    for case in range(160):
        one, other = arrays, lines
        if case % 4 == 0:
            one = spoilt(arrays, rng)
        elif case % 4 == 1:
            other = spoilt(lines, rng)
        elif case % 4 == 2:
            with io.BytesIO() as file:
                np.savez(file, **kept | {rng.choice([*kept, "stripes", "more"]): rng.choice(columns)})
                one = file.getvalue()
        else:
            rows = [json.loads(line) for line in lines.splitlines()]
            row = rng.choice(rows)
            row[rng.choice(list(row))] = rng.choice(texts)
            other = "\n".join(map(json.dumps, rows)).encode()
        (tmp_path / "odd.npz").write_bytes(one)
        (tmp_path / "odd.jsonl").write_bytes(other)
        with Gallery() as gallery:
            try:
                loaded += gallery.load(tmp_path / "odd") > 0
                assert gallery.verify().ok
                gallery.search(unit(np.random.default_rng(0), 1, 8))
            except ReIDError:
                assert len(gallery) == 0
    assert loaded > 5


def test_an_export_that_would_unpack_to_more_than_it_says_is_refused_before_it_is_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        head = io.BytesIO()
        np.lib.format.write_array_header_1_0(head, {"descr": "<f4", "fortran_order": False, "shape": (10**9, 256)})
        archive.writestr("embedding.npy", head.getvalue())
    head = {"schema": 1, "model": "", "exemplars": 1, "dim": 256}
    lines = [head, {"identity": "ann", "camera": None}]
    (tmp_path / "bomb.jsonl").write_text("\n".join(map(json.dumps, lines)))
    with Gallery() as gallery, pytest.raises(ReIDError, match=r"has shape \(1000000000, 256\), for 1 lines"):
        gallery.load(tmp_path / "bomb")


def test_odd_files(tmp_path):
    path = tmp_path / "site.db"
    truth = {}
    with Gallery(path, retention=1e9) as gallery:
        for number in range(30):
            truth[f"p{number}"] = unit(np.random.default_rng(number), 2, 8)
            gallery.add(truth[f"p{number}"], identity=f"p{number}", camera=f"c{number % 3}")
        gallery.forget("p3")
        gallery.rename("p4", "q")
    truth["q"] = truth.pop("p4")
    del truth["p3"]
    whole = path.read_bytes()
    rng = random.Random(4)
    for _ in range(25):
        path.write_bytes(spoilt(whole, rng))
        for read_only in (False, True):
            for ending in ("-wal", "-shm"):
                path.with_name(path.name + ending).unlink(missing_ok=True)
            try:
                with Gallery(path, read_only=read_only) as gallery:
                    report = gallery.verify()
                    assert set(gallery.identities()) <= truth.keys()
                    for name in gallery.identities()[::7]:
                        nearest = gallery.search(truth[name][0], k=1)[0][0]
                        assert nearest.distance > 1e-3 or nearest.identity == name, "never another one's name"
                    if report.ok:
                        assert set(gallery.identities()) == truth.keys()
                        assert (len(gallery.audit()), gallery.retention) == (2, 1e9)
            except ReIDError:
                pass
