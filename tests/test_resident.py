"""A gallery's stripes on the GPU follow the gallery: searches with them find what searches without them find, whatever
was added, forgotten, merged and moved meanwhile, and of whom was forgotten nothing is left there.

The driver is the strict stand-in; the distances are NumPy's, of what lies in its memory.
"""

import gc

import numpy as np
import pytest

from sdk.distances import local_distance_gathered
from sdk.engines import cuda
from sdk.engines.stripes import GpuStripes
from sdk.errors import EngineError
from sdk.gallery import Gallery, ledger
from sdk.gallery.resident import Aligner
from sdk.tracking.rescoring import local_differences
from tests.fake_libcuda import build_fake, installed
from tests.test_cuda import in_threads

STRIPES, DIM, WIDTH = 4, 8, 16


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return build_fake(tmp_path_factory.mktemp("fake"))


class OnGpu:
    """A way of re-scoring that holds galleries on the GPU and computes with NumPy."""

    name, reason, on_gpu = "numpy", "", True

    def hold(self, stripes: np.ndarray) -> GpuStripes:
        held = GpuStripes(*stripes.shape[1:], capacity=4)
        held.extend(stripes)
        return held

    def distances(self, query, gallery, candidates):
        return local_distances(query, gallery if isinstance(gallery, np.ndarray) else download(gallery), candidates)


def download(held: GpuStripes) -> np.ndarray:
    """All that lies in its memory, also behind its last row."""
    back = np.empty((held.capacity, *held.shape[1:]), held.dtype)
    stream = held.device.stream()
    stream.download(back, held.memory)
    stream.synchronize()
    return back


def local_distances(query, gallery, candidates) -> np.ndarray:
    distance = local_distance_gathered(query, gallery, np.maximum(candidates, 0))
    return np.where(candidates < 0, np.float32(np.inf), distance)


@pytest.fixture
def way(library):
    """The way of re-scoring, and the stand-in."""
    with installed(library) as fake:
        yield OnGpu(), fake


def features(rng, count: int) -> tuple[np.ndarray, np.ndarray]:
    embedding, stripes = rng.normal(size=(count, WIDTH)), rng.normal(size=(count, STRIPES, DIM))
    embedding /= np.linalg.norm(embedding, axis=-1, keepdims=True)
    stripes /= np.linalg.norm(stripes, axis=-1, keepdims=True)
    return embedding.astype(np.float32), stripes.astype(np.float16)


def search(gallery: Gallery, rng, align) -> list:
    embedding, stripes = features(rng, 3)
    return gallery.search(embedding, 5, stripes=stripes, align=align)


def same(found, expected) -> bool:
    assert [[c.identity for c in line] for line in found] == [[c.identity for c in line] for line in expected]
    values = [[c.rescored for line in lines for c in line] for lines in (found, expected)]
    return values[0] == pytest.approx(values[1], abs=1e-6)


def test_whatever_is_done_to_a_gallery_searches_find_the_same(way, monkeypatch):
    monkeypatch.setattr(ledger, "BLOCK", 8)  # rows move often
    rescorer, _ = way
    rng, gallery = np.random.default_rng(0), Gallery()
    align, turn = Aligner(rescorer, gallery), 0
    generations = set()
    for turn in range(60):
        people = gallery.identities()
        names = [getattr(person, "name", person) for person in people]
        deed = rng.integers(6) if len(names) > 4 else 0
        if deed <= 2:
            embedding, stripes = features(rng, int(rng.integers(1, 6)))
            gallery.add(embedding, None if deed == 2 else stripes, identity=f"person {turn}")
        elif deed == 3:
            gallery.forget(str(rng.choice(names)))
        elif deed == 4:
            source, target = rng.choice(names, 2, replace=False)
            gallery.merge(str(source), str(target))
        else:
            gallery.rename(str(rng.choice(names)), f"renamed {turn}")
        state = np.random.default_rng(turn)
        expected = search(gallery, state, local_distances)
        assert same(search(gallery, np.random.default_rng(turn), align), expected)
        generations.add(gallery._state.rows.generation)
    assert len(generations) > 2
    rows = gallery._state.rows
    there = download(align.resident._held)
    np.testing.assert_array_equal(there[: rows.size][rows.alive], rows.gather_stripes(np.flatnonzero(rows.alive)))
    assert not there[: rows.size][~rows.alive].any()


def test_nothing_of_the_forgotten_is_left_on_the_gpu(way, monkeypatch):
    rescorer, _ = way
    rng, gallery = np.random.default_rng(1), Gallery()
    align = Aligner(rescorer, gallery)
    kept = {name: features(rng, 3) for name in ("ann", "bob", "cleo")}
    for name, (embedding, stripes) in kept.items():
        gallery.add(embedding, stripes, identity=name)
    for _ in range(2):
        search(gallery, rng, align)

    def left(name: str) -> bool:
        return any((row == crop).all() for row in download(align.resident._held) for crop in kept[name][1])

    assert left("ann")
    assert left("bob")
    gallery.forget("bob")
    assert not left("bob")  # before anybody searches again
    monkeypatch.setattr(ledger, "BLOCK", 1)
    gallery.forget("ann")  # the rows move now
    assert not left("ann")
    assert left("cleo")
    gallery.close()
    assert align.resident._held is None


def test_a_search_copies_nothing_of_the_gallery(way, monkeypatch):
    rescorer, _ = way
    rng, gallery = np.random.default_rng(2), Gallery()
    align = Aligner(rescorer, gallery)
    for number in range(12):
        embedding, stripes = features(rng, 4)
        gallery.add(embedding, stripes, identity=f"person {number}")
    search(gallery, rng, align)
    assert align.resident._held is None  # one search alone copies less without it
    search(gallery, rng, align)
    copied, upload = [], cuda.Stream.upload
    monkeypatch.setattr(
        cuda.Stream,
        "upload",
        lambda stream, memory, array, offset=0: (copied.append(array.nbytes), upload(stream, memory, array, offset)),
    )
    search(gallery, rng, align)
    assert copied == []  # of the gallery; queries and numbers are the way's affair


def test_threads_search_while_another_changes_the_gallery(way, monkeypatch):
    monkeypatch.setattr(ledger, "BLOCK", 8)
    rescorer, _ = way
    gallery, rng = Gallery(), np.random.default_rng(3)
    align = Aligner(rescorer, gallery)
    embedding, stripes = features(rng, 4)
    gallery.add(embedding, stripes, identity="ann")

    def work(i):
        own = np.random.default_rng(i)
        for turn in range(15):
            if i == 0:
                embedding, stripes = features(own, 3)
                gallery.add(embedding, stripes, identity=f"{turn}")
                if turn > 2:
                    gallery.forget(f"{turn - 2}")
            else:
                (found, *_) = gallery.search(embedding_of_ann, 2, stripes=stripes_of_ann, align=align)
                if found[0].identity != "ann" or found[0].rescored != pytest.approx(expected, abs=1e-6):
                    return found
        return True

    embedding_of_ann, stripes_of_ann = embedding[:1], stripes[:1]
    expected = gallery.search(embedding_of_ann, 1, stripes=stripes_of_ann)[0][0].rescored
    assert in_threads(4, work) == [True] * 4


def test_where_there_is_no_room_searches_go_on_without(way, capsys):
    rescorer, fake = way
    rng, gallery = np.random.default_rng(4), Gallery()
    align = Aligner(rescorer, gallery)
    embedding, stripes = features(rng, 30)
    gallery.add(embedding, stripes, identity="ann")
    search(gallery, rng, align)
    search(gallery, rng, align)
    fake.fake_limit(0)
    embedding, stripes = features(rng, 20)
    gallery.add(embedding[:10], stripes[:10], identity="bob")
    gallery.add(embedding[10:], stripes[10:], identity="cleo")
    fake.fake_limit(1 << 30)
    assert align.resident._held is None or len(align.resident._held) == 60
    state = np.random.default_rng(5)
    expected = search(gallery, state, local_distances)
    assert same(search(gallery, np.random.default_rng(5), align), expected)


def test_a_way_that_fails_with_a_held_gallery_is_given_another_chance_with_arrays(way, capsys):
    rescorer, _ = way

    class Fails:
        on_gpu, hold = True, staticmethod(rescorer.hold)

        def distances(self, query, gallery, candidates):
            if not isinstance(gallery, np.ndarray):
                raise EngineError("re-scores galleries of up to 2 crops")
            return rescorer.distances(query, gallery, candidates)

    rng, gallery = np.random.default_rng(6), Gallery()
    align = Aligner(Fails(), gallery)
    embedding, stripes = features(rng, 6)
    gallery.add(embedding, stripes, identity="ann")
    for _ in range(3):
        assert search(gallery, rng, align)[0][0].rescored is not None
    assert "stripes are not kept on the GPU: re-scores galleries of up to 2 crops" in " ".join(
        capsys.readouterr().err.split()
    )


def test_a_trackers_crops_stay_on_the_gpu_while_they_live(way, monkeypatch):
    """Close calls have the same outcome, a crop is copied once, and places of who is gone are wiped."""
    rescorer, _ = way
    rng, align = np.random.default_rng(7), Aligner(rescorer, Gallery())
    people = [[(1.0, crop) for crop in features(rng, 3)[1]] for _ in range(4)]
    track = [(1.0, crop) for crop in features(rng, 2)[1]]
    expected = local_differences(local_distances, track, people)
    copied, upload = [], cuda.Stream.upload

    def counting(stream, memory, array, offset=0):
        copied.append(array.nbytes)
        upload(stream, memory, array, offset)

    monkeypatch.setattr(cuda.Stream, "upload", counting)
    for _ in range(3):
        assert local_differences(align, track, people) == pytest.approx(expected, abs=1e-6)
        assert sum(copied) == (12 * STRIPES * DIM * 2)
    assert len(align.crops) == 12
    gone = people.pop()[0][1].copy()
    gc.collect()
    people.append([(1.0, crop) for crop in features(rng, 2)[1]])
    expected = local_differences(local_distances, track, people)
    assert local_differences(align, track, people) == pytest.approx(expected, abs=1e-6)
    assert len(align.crops) == 11
    there = download(align.crops._held)
    assert not (there == gone).all(axis=(1, 2)).any()
    assert (there[:12] == 0).all(axis=(1, 2)).sum() == 1  # of three places two are another's now


def test_a_tracker_goes_on_where_its_crops_find_no_room(way, capsys):
    rescorer, fake = way
    rng, align = np.random.default_rng(8), Aligner(rescorer, Gallery())
    people = [[(1.0, crop) for crop in features(rng, 3)[1]] for _ in range(4)]
    track = [(1.0, crop) for crop in features(rng, 2)[1]]
    fake.fake_limit(8)
    for _ in range(2):
        found = local_differences(align, track, people)
        assert found == pytest.approx(local_differences(local_distances, track, people), abs=1e-6)
    assert capsys.readouterr().err.count("stripes are not kept on the GPU") == 1
