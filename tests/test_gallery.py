"""The gallery finds the nearest identities, keeps exemplars apart, forgets, and refuses what does not fit."""

import threading

import numpy as np
import pytest

from sdk import Gallery
from sdk.errors import GalleryError


def unit(rng, *shape):
    x = rng.normal(size=shape).astype(np.float32)
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


@pytest.fixture
def filled():
    """200 exemplars of 20 people in 3 cameras, added in mixed order."""
    rng = np.random.default_rng(0)
    embedding = unit(rng, 200, 16)
    people = [f"p{i:02d}" for i in rng.integers(0, 20, 200)]
    cameras = [f"c{i}" for i in rng.integers(0, 3, 200)]
    gallery = Gallery()
    for i in range(200):
        gallery.add(embedding[i], identity=people[i], camera=cameras[i], time=float(i))
    return gallery, embedding, people, cameras


@pytest.mark.parametrize("camera", [None, "c1"])
def test_search_gives_each_identity_once_by_its_nearest_exemplar(filled, camera):
    gallery, embedding, people, cameras = filled
    queries = unit(np.random.default_rng(1), 7, 16)
    for query, candidates in zip(queries, gallery.search(queries, k=6, camera=camera), strict=True):
        distance = 1 - embedding @ query
        seen = {}
        for i in np.argsort(distance):
            if camera in (None, cameras[i]):
                seen.setdefault(people[i], i)
        expected = list(seen.items())[:6]
        assert [(c.identity, c.time) for c in candidates] == [(name, float(i)) for name, i in expected]
        for candidate, (_, i) in zip(candidates, expected, strict=True):
            assert candidate.distance == pytest.approx(distance[i], abs=1e-6)
            assert candidate.camera == cameras[i]


def test_an_exemplar_is_at_distance_zero_from_itself(filled):
    gallery, embedding, people, _ = filled
    (candidates,) = gallery.search(embedding[17], k=1)
    assert candidates[0].identity == people[17]
    assert 0 <= candidates[0].distance < 1e-6


def test_fewer_people_than_k_and_nobody_at_all():
    gallery = Gallery()
    query = unit(np.random.default_rng(0), 2, 8)
    assert gallery.search(query) == [[], []]
    gallery.add(query, identity="ann", camera="dock")
    assert [[c.identity for c in found] for found in gallery.search(query, k=10)] == [["ann"], ["ann"]]
    assert gallery.search(query, camera="lobby") == [[], []]


def test_forget_leaves_nothing_and_the_others_untouched(filled):
    gallery, embedding, people, _ = filled
    gone = embedding[people.index("p03")].copy()
    assert gallery.forget("p03") == people.count("p03")
    assert "p03" not in gallery.identities()
    assert len(gallery) == 200 - people.count("p03")
    assert all(c.identity != "p03" for c in gallery.search(embedding, k=20)[0])
    assert not any((block == gone).all(axis=1).any() for block in gallery._state.rows.blocks), "the bytes are gone too"
    assert gallery.search(embedding[people.index("p04")], k=1)[0][0].identity == "p04"
    with pytest.raises(GalleryError, match="p03"):
        gallery.forget("p03")


BAD = {
    "another width": (np.eye(1, 4), "4 dimensions"),
    "not unit": (np.full((1, 16), 1.0), "unit-length"),
    "zero": (np.zeros((1, 16)), "unit-length"),
    "nan": (np.full((1, 16), np.nan), "unit-length"),
    "no rows": (np.empty((0, 16)), "N ≥ 1"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_refused_and_nothing_is_added(filled, name):
    gallery = filled[0]
    embedding, message = BAD[name]
    with pytest.raises(GalleryError, match=message):
        gallery.add(embedding, identity="ann")
    with pytest.raises(GalleryError, match=message):
        gallery.search(embedding)
    assert len(gallery) == 200
    assert "ann" not in gallery.identities()


@pytest.mark.parametrize("identity", ["", None, 3])
def test_an_identity_needs_a_name(identity):
    with pytest.raises(GalleryError, match="non-empty string"):
        Gallery().add(np.eye(1, 4), identity=identity)


def test_k_must_be_positive(filled):
    with pytest.raises(GalleryError, match="k is 0"):
        filled[0].search(np.eye(1, 16), k=0)


def test_threads_may_search_while_others_add():
    gallery = Gallery()
    rng = np.random.default_rng(0)
    embedding = unit(rng, 400, 8)
    gallery.add(embedding[0], identity="p0")
    failures = []

    def add(start):
        for i in range(start, 400, 2):
            gallery.add(embedding[i], identity=f"p{i}")

    def search():
        try:
            for _ in range(100):
                assert gallery.search(embedding[0], k=1)[0][0].identity == "p0"
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=add, args=(s,)) for s in (1, 2)] + [threading.Thread(target=search)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(gallery) == 400
    assert all(gallery.search(embedding[i], k=1)[0][0].identity == f"p{i}" for i in range(0, 400, 37))


def test_two_names_of_one_person_are_merged(filled):
    gallery, *_, people, _ = filled
    count = people.count("p03")
    assert gallery.merge("p03", into="p04") == count
    assert "p03" not in gallery.identities()
    assert len(gallery) == 200
    assert gallery.forget("p04") == count + people.count("p04")
    for identity, into, message in [("p05", "p05", "into itself"), ("p03", "p05", "'p03' is not"), ("p05", "x", "'x'")]:
        with pytest.raises(GalleryError, match=message):
            gallery.merge(identity, into)
