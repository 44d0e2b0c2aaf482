"""Searching a gallery: filters, aggregates, re-scoring, the index, and threads that do everything at once."""

import logging
import sys
import threading
import time

import numpy as np
import pytest

from sdk import ReIdentifier
from sdk.distances import local_distance
from sdk.engines import Metadata
from sdk.errors import EngineError, GalleryError
from sdk.gallery import Gallery
from sdk.gallery import index as index_module
from sdk.gallery import ledger as ledger_module
from sdk.gallery import rows as rows_module
from sdk.gallery.selection import surplus
from sdk.installing import how_to_install
from tests.galleries import unit


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def crowd(rng, gallery, people=30, each=5, dim=32, noise=0.8):
    """People as clusters: embeddings `[people × each, dim]`, names, cameras, times, of what was added."""
    centres = unit(rng, people, dim)
    rows = centres.repeat(each, axis=0) + noise * unit(rng, people * each, dim)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    names = np.array([f"p{i:03d}" for i in range(people)]).repeat(each)
    cameras = np.array([f"c{i}" for i in rng.integers(0, 3, len(rows))])
    for i in rng.permutation(len(rows)):
        gallery.add(rows[i], identity=names[i], camera=cameras[i], time=float(i))
    return rows, names, cameras, np.arange(len(rows), dtype=float)


def expected(query, rows, names, mask, k, how="best"):
    """Names and distances by the definition."""
    found = {}
    for name in np.unique(names[mask]):
        own = rows[mask & (names == name)]
        if how == "centroid":
            mean = own.mean(axis=0)
            found[name] = 1 - query @ (mean / np.linalg.norm(mean))
        else:
            found[name] = np.sort(1 - own @ query)[: 1 if how == "best" else 3].mean()
    return sorted(found.items(), key=lambda item: item[1])[:k]


def same(candidates, wanted):
    assert [c.identity for c in candidates] == [name for name, _ in wanted]
    np.testing.assert_allclose([c.distance for c in candidates], [d for _, d in wanted], atol=1e-5)


def test_filters_by_camera_time_and_identity_together(rng):
    gallery = Gallery()
    rows, names, cameras, times = crowd(rng, gallery)
    some = {"p003", "p004", "p011", "nobody"}
    queries = unit(rng, 4, 32)
    filters = {
        "time": ({"since": 30.0, "until": 60.0}, (times >= 30) & (times <= 60)),
        "identity": ({"identities": some}, np.isin(names, list(some))),
        "all": (
            {"camera": "c1", "since": 10.0, "identities": some},
            (cameras == "c1") & (times >= 10) & np.isin(names, list(some)),
        ),
    }
    for options, mask in filters.values():
        for query, candidates in zip(queries, gallery.search(queries, k=8, **options), strict=True):
            same(candidates, expected(query, rows, names, mask, 8))
    assert gallery.search(queries, since=1e6) == [[]] * 4
    gallery.add(rows[0], identity="timeless")
    (candidates,) = gallery.search(rows[0], since=-1e9)
    assert "timeless" not in [c.identity for c in candidates], "an unknown time is in no window"


def test_a_batch_may_ask_of_different_cameras(rng):
    gallery = Gallery()
    rows, names, cameras, _ = crowd(rng, gallery)
    queries = unit(rng, 4, 32)
    asked = ["c0", None, "c2", "elsewhere"]
    for query, camera, candidates in zip(queries, asked, gallery.search(queries, k=5, camera=asked), strict=True):
        mask = np.ones(len(rows), bool) if camera is None else cameras == camera
        same(candidates, expected(query, rows, names, mask, 5))
    with pytest.raises(GalleryError, match="2 cameras for 4 queries"):
        gallery.search(queries, camera=["c0", "c1"])


@pytest.mark.parametrize("how", ["best", "mean3", "centroid"])
def test_aggregates_are_what_they_say(rng, how):
    gallery = Gallery()
    rows, names, cameras, _ = crowd(rng, gallery)
    queries = unit(rng, 4, 32)
    for camera in (None, "c1"):
        mask = np.ones(len(rows), bool) if camera is None else cameras == camera
        for query, candidates in zip(queries, gallery.search(queries, 6, camera=camera, aggregate=how), strict=True):
            same(candidates, expected(query, rows, names, mask, 6, how))
    with pytest.raises(GalleryError, match="aggregate 'median' is unknown; choose of best, mean3, centroid"):
        gallery.search(queries, aggregate="median")


def test_more_identities_than_the_nearest_exemplars_are_of(rng):
    """The nearest hundreds are all of one person: the search must look further."""
    gallery = Gallery(max_exemplars=1000)
    query = unit(rng, 1, 16)[0]
    near = query + 0.01 * unit(rng, 900, 16)
    gallery.add(near / np.linalg.norm(near, axis=1, keepdims=True), identity="one")
    for i in range(5):
        gallery.add(unit(rng, 1, 16), identity=f"other{i}")
    (candidates,) = gallery.search(query, k=10)
    assert len(candidates) == 6
    assert candidates[0].identity == "one"


# Re-scoring.


def with_stripes(rng, gallery, people=8, each=3):
    embedding, stripes = unit(rng, people * each, 32), unit(rng, people * each, 4, 16)
    names = [f"p{i // each}" for i in range(people * each)]
    for i, name in enumerate(names):
        gallery.add(embedding[i], stripes[i : i + 1], identity=name)
    return embedding, stripes.astype(np.float16), np.array(names)


def test_candidates_are_re_scored_by_the_aligned_local_distance(rng):
    gallery = Gallery()
    embedding, stripes, names = with_stripes(rng, gallery)
    queries, own = unit(rng, 3, 32), unit(rng, 3, 4, 16)
    cosine, local = 1 - queries @ embedding.T, local_distance(own, stripes) / 7
    found = gallery.search(queries, k=4, stripes=own, weight=2.0)
    for q, candidates in enumerate(found):
        wanted = {
            n: (cosine[q, names == n].min(), cosine[q, names == n].min() + 2 * local[q, names == n].min())
            for n in set(names)
        }
        order = sorted(wanted, key=lambda n: wanted[n][1])[:4]
        assert [c.identity for c in candidates] == order
        np.testing.assert_allclose([c.distance for c in candidates], [wanted[n][0] for n in order], atol=1e-5)
        np.testing.assert_allclose([c.rescored for c in candidates], [wanted[n][1] for n in order], atol=1e-3)
    assert gallery.search(queries, k=4)[0][0].rescored is None


def test_who_has_no_stripes_is_neither_favoured_nor_lost(rng):
    gallery = Gallery()
    with_stripes(rng, gallery)
    query = unit(rng, 1, 32)
    gallery.add(query, identity="plain")
    (candidates,) = gallery.search(query, k=9, stripes=unit(rng, 1, 4, 16))
    by_name = {c.identity: c.rescored - c.distance for c in candidates}
    assert len(by_name) == 9
    assert by_name.pop("plain") == pytest.approx(np.mean(list(by_name.values())), abs=1e-5)


def test_stripes_that_do_not_fit_are_refused(rng):
    gallery = Gallery()
    gallery.add(unit(rng, 1, 32), identity="ann")
    with pytest.raises(GalleryError, match="keeps no stripes"):
        gallery.search(unit(rng, 1, 32), stripes=unit(rng, 1, 4, 16))
    with pytest.raises(GalleryError, match="keeps no stripes; pass stripes=None"):
        gallery.add(unit(rng, 1, 32), unit(rng, 1, 4, 16), identity="ann")
    gallery = Gallery()
    with_stripes(rng, gallery, 2)
    for bad, message in [
        (unit(rng, 1, 5, 16), "5, 16"),
        (unit(rng, 2, 4, 16), "one for each embedding"),
        (np.full((1, 4, 16), np.nan), "not finite"),
    ]:
        with pytest.raises(GalleryError, match=message):
            gallery.add(unit(rng, 1, 32), bad, identity="bad")
    assert gallery.identities() == ["p0", "p1"]


class StripeEngine:
    """An engine whose stripes say who is meant; the embedding says somebody else."""

    metadata = Metadata(
        "none", (16, 8), 4, "fp32", stripes=4, stripe_dim=16, threshold={"value": 0.5}, checkpoint_sha256="c" * 64
    )

    def run(self, crops):
        value = crops[:, 0, 0, 0].astype(np.float32) / 255
        embedding = np.stack([np.cos(value), np.sin(value), 0 * value, 0 * value], axis=1)
        stripes = np.zeros((len(crops), 4, 16), np.float32)
        stripes[np.arange(len(crops)), :, crops[:, 0, 0, 1] % 16] = 1
        return embedding, stripes


def crop(value, stripe):
    return np.full((16, 8, 3), (value, stripe, 0), np.uint8)


def test_a_re_identifier_re_scores_and_a_file_remembers_the_stripes(tmp_path):
    path = tmp_path / "site.db"
    reid = ReIdentifier(StripeEngine(), path, rescore=True)
    reid.enroll([crop(10, 1)], identity="ann")
    reid.enroll([crop(30, 2)], identity="bob")
    reid.gallery.close()
    reid = ReIdentifier(StripeEngine(), path, rescore=True)
    (match,) = reid.match([crop(12, 2)])  # nearer to ann by its embedding, to bob by its stripes
    assert [c.identity for c in match.candidates] == ["bob", "ann"]
    assert match.identity == "bob"
    assert match.distance == match.candidates[0].distance < 0.01
    reid.gallery.close()
    reid = ReIdentifier(StripeEngine(), path)
    assert reid.match([crop(12, 2)])[0].identity == "ann"
    reid.gallery.close()


def test_a_re_identifier_refuses_what_does_not_go_together(tmp_path):
    path = tmp_path / "site.db"
    ReIdentifier(StripeEngine(), path).gallery.close()
    with pytest.raises(GalleryError, match="keeps no stripes, the model gives stripes of 4×16"):
        ReIdentifier(StripeEngine(), path, rescore=True)
    engine = StripeEngine()
    engine.metadata = Metadata("none", (16, 8), 4, "fp32", threshold={"value": 0.5}, checkpoint_sha256="d" * 64)
    with pytest.raises(EngineError, match="convert its checkpoint with --rescore"):
        ReIdentifier(engine, rescore=True)
    with pytest.raises(GalleryError, match="holds features of model cccccccccccc, this is dddddddddddd"):
        ReIdentifier(engine, path)
    ReIdentifier(StripeEngine(), path).gallery.close()  # the refused ones did not keep it open


# Exemplars.


def test_varied_and_good_exemplars_are_kept(rng):
    base, other = unit(rng, 2, 16)
    rows = np.stack([base, base, other])
    assert surplus(rows, np.array([0.9, 0.5, 0.1]), keep=2).tolist() == [1], "the poorer of two that are alike"
    assert surplus(rows, np.array([0.5, 0.5, 0.1]), keep=2).tolist() == [0], "the older of two that are equally good"
    assert surplus(rows, np.ones(3), keep=3).tolist() == []
    rows = unit(rng, 40, 16)
    assert len(surplus(rows, rng.random(40), keep=7)) == 33


def test_an_identity_has_a_bounded_number_of_exemplars(rng):
    gallery = Gallery(max_exemplars=4)
    looks = unit(rng, 4, 32)
    for _ in range(10):
        for look in looks:
            noisy = look + 0.05 * unit(rng, 1, 32)[0]
            gallery.add(noisy / np.linalg.norm(noisy), identity="ann")
    gallery.add(unit(rng, 9, 32), identity="bob")
    assert [(s.identity, s.exemplars) for s in gallery.describe()] == [("ann", 4), ("bob", 4)]
    assert len(gallery) == 8
    for look in looks:
        assert gallery.search(look, k=1)[0][0].distance < 0.01, "each look is still there"


def test_erased_rows_do_not_take_room_for_ever(rng, monkeypatch):
    monkeypatch.setattr(rows_module, "BLOCK", 64)
    monkeypatch.setattr(ledger_module, "BLOCK", 64)
    gallery = Gallery(max_exemplars=4)
    rows = unit(rng, 1000, 16)
    for i in range(1000):
        gallery.add(rows[i], identity=f"p{i % 10}")
    assert len(gallery) == 40
    assert gallery._state.rows.size < 300
    for i in range(10):
        own = [gallery._state.rows.gather(np.array(r)) for r in gallery._people[i].rows]
        assert len(own) == 4
        assert all(gallery.search(row, k=1)[0][0].identity == f"p{i}" for row in own)


def test_new_names_are_free(rng):
    gallery = Gallery()
    assert gallery.new_name() == "person-1"
    gallery.add(unit(rng, 1, 8), identity="person-1")
    assert gallery.new_name() == "person-2"


# The index.


@pytest.fixture
def small_index(monkeypatch):
    """The index pays from 2 000 exemplars on."""
    pytest.importorskip("faiss")
    for module in (index_module, ledger_module):
        monkeypatch.setattr(module, "INDEX_FROM", 2000)
    monkeypatch.setattr(index_module, "TAIL", 200)


def indexed_gallery(rng, people=500, each=6, dim=64):
    gallery = Gallery()
    centres = unit(rng, people, dim)
    rows = centres.repeat(each, axis=0).reshape(people, each, dim) + 0.9 * unit(rng, people, each, dim)
    rows /= np.linalg.norm(rows, axis=2, keepdims=True)
    for i in range(people):
        gallery.add(rows[i], identity=f"p{i:03d}", camera=f"c{i % 3}")
    deadline = time.monotonic() + 60
    while gallery.indexed < len(gallery) - 200 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert gallery.indexed
    return gallery, rows


def test_the_index_finds_whom_an_exact_search_finds(rng, small_index, monkeypatch):
    gallery, _ = indexed_gallery(rng)
    queries = unit(rng, 50, 64)
    found, hits = gallery.search(queries, k=10), 0
    monkeypatch.setattr(index_module.Index, "worth", lambda *_: False)
    exact = gallery.search(queries, k=10)
    for a, b in zip(found, exact, strict=True):
        distances = [{c.identity: c.distance for c in candidates} for candidates in (a, b)]
        shared = distances[0].keys() & distances[1].keys()
        hits += len(shared)
        assert all(distances[0][name] == pytest.approx(distances[1][name], abs=1e-5) for name in shared)
    assert hits / 500 >= 0.99


def test_changes_are_visible_at_once_beside_the_index(rng, small_index):
    gallery, rows = indexed_gallery(rng)
    new = unit(rng, 1, 64)
    gallery.add(new, identity="new", camera="c9")
    assert gallery.search(new, k=1)[0][0].identity == "new"
    assert [c.identity for c in gallery.search(new, k=3, camera="c9")[0]] == ["new"]
    assert gallery.search(rows[7, 0], k=1)[0][0].identity == "p007"
    gallery.forget("p007")
    assert "p007" not in [c.identity for c in gallery.search(rows[7, 0], k=20)[0]]
    gallery.merge("p008", into="p009")
    assert gallery.search(rows[8, 0], k=1)[0][0].identity == "p009"
    gallery.rename("p010", "bob")
    assert gallery.search(rows[10, 0], k=1)[0][0].identity == "bob"


def test_codes_of_the_forgotten_leave_the_index(rng, small_index):
    gallery, rows = indexed_gallery(rng)
    before = gallery._state.index
    gallery.forget("p007")
    deadline = time.monotonic() + 60
    while gallery._state.index is before and time.monotonic() < deadline:
        time.sleep(0.01)
    state = gallery._state
    assert state.index is not before
    assert not state.index.holds_erased(state.rows)
    found = state.index.search(rows[7, :1], 3000)
    gone = np.flatnonzero(~state.rows.alive)
    assert len(gone) == 6
    nearest = rows[7, 0] @ rows.reshape(-1, 64).T
    assert set(found[0, :3]).isdisjoint(gone), "their codes are of zeros now"
    assert nearest.max() > 0.99


def test_without_faiss_the_search_stays_exact_and_says_so(rng, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "faiss", None)
    monkeypatch.setattr(ledger_module, "INDEX_FROM", 100)
    gallery = Gallery()
    rows = unit(rng, 150, 16)
    with caplog.at_level(logging.WARNING):
        for i in range(150):
            gallery.add(rows[i], identity=f"p{i}")
    assert caplog.text.count(how_to_install("index")) == 1
    assert gallery.indexed == 0
    assert gallery.search(rows[140], k=1)[0][0].identity == "p140"


# Threads.


@pytest.mark.parametrize("durable", [False, True])
def test_eight_threads_match_while_two_enrol_and_one_tidies(rng, tmp_path, durable, small_index):
    """No exception, nobody lost, nobody twice, nobody after being forgotten."""
    gallery = Gallery(tmp_path / "site.db") if durable else Gallery()
    known = unit(rng, 2500, 32)
    for i in range(0, 2500, 25):
        gallery.add(known[i : i + 25], identity=f"k{i // 25:03d}")
    failures, counts, stop = [], [0] * 2, threading.Event()
    forgotten: set[str] = set()

    def match(seed):
        random = np.random.default_rng(seed)
        while not stop.is_set():
            i = int(random.integers(0, 50)) * 50  # an even k: those stay
            gone = forgotten.copy()
            (candidates,) = gallery.search(known[i], k=10)
            names = [c.identity for c in candidates]
            assert names[0] == f"k{i // 25:03d}"
            assert len(names) == len(set(names))
            assert not gone & set(names)
            assert all(candidate.distance < 1.9 for candidate in candidates)

    def enrol(worker):
        random = np.random.default_rng(100 + worker)
        while not stop.is_set():
            gallery.add(unit(random, 2, 32), identity=f"n{worker}-{counts[worker]}", camera="dock")
            counts[worker] += 1

    def tidy():
        for i in range(1, 100, 2):
            if stop.wait(0.02):
                return
            if i % 4 == 1:
                gallery.forget(f"k{i:03d}")
                forgotten.add(f"k{i:03d}")
            else:
                gallery.rename(f"k{i:03d}", f"r{i:03d}")

    def guarded(run, *arguments):
        try:
            run(*arguments)
        except BaseException as error:
            failures.append(error)
            stop.set()

    jobs = [*((match, seed) for seed in range(8)), (enrol, 0), (enrol, 1), (tidy,)]
    threads = [threading.Thread(target=guarded, args=job) for job in jobs]
    for thread in threads:
        thread.start()
    stop.wait(1.5)
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures
    assert min(counts) > 3
    names = gallery.identities()
    assert len(names) == len(set(names))
    assert {f"n{worker}-{i}" for worker in (0, 1) for i in range(counts[worker])} <= set(names)
    assert len(gallery) == 2500 - 25 * len(forgotten) + 2 * sum(counts)
    assert gallery.verify().ok
    gallery.close()
