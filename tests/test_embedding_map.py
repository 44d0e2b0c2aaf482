"""`reid map`: what it reads, where it puts crops, the picture, and the page in a browser."""

import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from sdk.cli import build_app
from sdk.colours import as_bgr, colour_of
from sdk.embedding_files import read_features
from sdk.embedding_map import Point, draw_map, place, write_page
from sdk.embedding_map.points import named_after, whole_people
from sdk.errors import DataError, MissingPackageError
from sdk.folder import read_image
from sdk.gallery import Gallery

EVIL = '</script><img src="http://192.0.2.1/x" onerror="document.title=1">'


@pytest.fixture
def plain_places(monkeypatch):
    """The first two numbers of an embedding instead of t-SNE, which not every machine has."""
    seen = []

    def instead(embedding, perplexity, seed):
        seen.append((embedding, perplexity, seed))
        return (embedding[:, :2] + 1) / 2

    monkeypatch.setattr("sdk.embedding_map.place", instead)
    return seen


def run(*line):
    result = CliRunner().invoke(build_app(), ["map", *map(str, line)])
    if result.exception:
        raise result.exception
    return result


def test_features_folders_and_galleries_make_the_same_map(plain_places, drawn_people, small_onnx, tmp_path):
    run(drawn_people, "--model", small_onnx, "-o", tmp_path / "a", "--seed", 3)
    embed = ["embed", str(drawn_people), "--model", str(small_onnx), "-o", str(tmp_path / "f.npz")]
    assert CliRunner().invoke(build_app(), embed).exit_code == 0
    run(tmp_path / "f.npz", "--crops", drawn_people, "-o", tmp_path / "b", "--colour-by", "camera")
    features = read_features(tmp_path / "f.npz")
    with Gallery(tmp_path / "site.db", max_exemplars=100) as gallery:
        for name, embedding in zip(features.names, features.features.embedding, strict=True):
            gallery.add(embedding[None], identity=named_after(name)[0])
    run(tmp_path / "site.db", "-o", tmp_path / "c")
    (a, _, seed), (b, *_), (c, *_) = plain_places
    assert seed == 3
    np.testing.assert_allclose(a, b, atol=1e-6)
    assert sorted(map(tuple, b.round(4))) == sorted(map(tuple, c.round(4)))
    pages = {name: (tmp_path / name / "map.html").read_text() for name in "abc"}
    assert pages["a"].count('"crop": "/9j/') == pages["b"].count('"crop": "/9j/') == len(a)
    assert pages["c"].count('"crop": ""') == len(a), "a gallery that stores no crops"
    for name in "abc":
        assert read_image(tmp_path / name / "map.png").shape == (1640, 1600, 3)


def test_of_too_many_crops_all_of_some_people_are_shown():
    identities = [f"p{i % 10}" for i in range(100)]
    chosen = whole_people(identities, 30, seed=0)
    assert len(chosen) == 30
    assert len({identities[i] for i in chosen}) == 3
    assert not np.array_equal(chosen, whole_people(identities, 30, seed=1))
    assert whole_people(identities, 100, seed=0).tolist() == list(range(100))


def test_names_tell_who_and_where():
    assert named_after("ann/dock_1.png") == ("ann", "dock")
    assert named_after("bounding_box_test/0002_c1s1_000451_03.jpg") == ("0002", "1")
    assert named_after("one.png") == (None, None)
    assert named_after("ann/one.png") == ("ann", None)


def test_the_picture_has_crops_and_frames_at_their_places():
    blue = np.full((64, 32, 3), (250, 20, 20), np.uint8)
    points = [Point("1", "ann", "dock", lambda: blue), Point("2", "bob", None)]
    picture = draw_map(np.array([[0.0, 1.0], [1.0, 0.5]]), points)
    assert picture[50, 50].tolist() == [250, 20, 20]
    assert picture[800, 1550].tolist() == list(as_bgr(colour_of("bob")))
    assert as_bgr(colour_of("ann")) in {tuple(pixel) for pixel in picture[50, 20:50].tolist()}
    assert tuple(draw_map(np.array([[0.5, 0.5]]), points[1:], "camera")[800, 800]) == as_bgr(colour_of(None))


def test_t_sne_keeps_groups_together_and_a_seed_gives_the_same_map():
    pytest.importorskip("sklearn", reason="scikit-learn is not installed: pip install 'aligned-reid[map]'")
    random = np.random.default_rng(0)
    embedding = np.concatenate([centre + 0.05 * random.normal(size=(12, 16)) for centre in random.normal(size=(3, 16))])
    places = place(embedding, seed=5)
    assert places.shape == (36, 2)
    assert (places.min(), places.max()) == pytest.approx((0, 1), abs=1e-6)
    assert np.array_equal(places, place(embedding, seed=5))
    distance = np.linalg.norm(places[:, None] - places[None], axis=-1)
    np.fill_diagonal(distance, np.inf)
    assert (distance.argmin(axis=1) // 12 == np.arange(36) // 12).all()


def test_what_cannot_be_mapped_is_explained(monkeypatch, tmp_path, drawn_people):
    with pytest.raises(DataError, match="at least 4 crops; here are 3"):
        place(np.eye(3))
    with pytest.raises(DataError, match="--perplexity 0: from 1 on"):
        place(np.eye(8), perplexity=0)
    with pytest.raises(DataError, match="not finite"):
        place(np.full((8, 2), np.nan))
    monkeypatch.setitem(sys.modules, "sklearn.manifold", None)
    with pytest.raises(MissingPackageError, match=r"\[map\]"):
        place(np.eye(8))
    for line, said in (
        ([drawn_people, "--colour-by", "height"], "it is identity or camera"),
        ([drawn_people, "--crops", drawn_people], "--crops is for features"),
        ([drawn_people, "--any-counts"], "--any-counts is for the layout"),
        ([tmp_path / "no.npz"], "no such file"),
        ([tmp_path / "no"], "no such image, folder"),
    ):
        with pytest.raises(DataError, match=said):
            run(*line, "-o", tmp_path / "out")
    for content in (b"", b"PK\x03\x04", b"text"):
        (tmp_path / "bad.npz").write_bytes(content)
        with pytest.raises(DataError, match=r"bad\.npz: cannot be read as features"):
            read_features(tmp_path / "bad.npz")
    np.savez(tmp_path / "bad.npz", embedding=np.zeros((3, 2)), names=np.array(["a"]))
    with pytest.raises(DataError, match="not features of `reid embed`"):
        read_features(tmp_path / "bad.npz")


def test_the_page_shows_whom_it_is_pointed_at(chromium, tmp_path):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import Select

    from tests.browsing import complaints, nameless, overflow, requested, screen

    crop = np.full((64, 32, 3), 90, np.uint8)
    people = ["ann", EVIL, "person-10", "person-9"]
    points = [Point(f"{name}.png", name, "dock", lambda: crop) for name in people]
    places = np.array([[0, 0], [1, 1], [0, 1], [1, 0.0]])
    write_page(tmp_path / "map.html", places, points, EVIL)
    requested(chromium), complaints(chromium)  # of the page before
    chromium.get((tmp_path / "map.html").as_uri())
    canvas, card = (chromium.find_element(By.ID, name) for name in ("map", "card"))
    assert not card.is_displayed()
    canvas.send_keys(Keys.ARROW_RIGHT)
    assert card.text == "ann, camera dock (ann.png)"
    assert card.find_element(By.TAG_NAME, "img").size["height"] == 192
    canvas.send_keys(Keys.ARROW_RIGHT)
    assert card.text == f"{EVIL}, camera dock ({EVIL}.png)"
    only = Select(chromium.find_element(By.ID, "only"))
    assert [option.text for option in only.options][2:] == ["ann", "person-9", "person-10"]
    only.select_by_visible_text("person-10")
    assert chromium.find_element(By.ID, "count").text == "1 of 4 crops, 4 people"
    side = min(canvas.size["width"], canvas.size["height"]) - 40
    ActionChains(chromium).move_to_element_with_offset(canvas, -side // 2, -side // 2).perform()
    assert card.text == "person-10, camera dock (person-10.png)"
    assert chromium.title == EVIL
    assert {address.partition(":")[0] for address in requested(chromium)} == {"file", "data"}
    assert (complaints(chromium), nameless(chromium)) == ([], [])
    with screen(chromium, 400):
        assert overflow(chromium) <= 0
