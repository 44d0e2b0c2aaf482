"""Finding a person among a folder's crops: what is searched, how it is ranked, the picture and the JSON."""

import json

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from sdk.cli import build_app
from sdk.errors import DataError
from sdk.folder import read_folder, write_image
from sdk.measures import cosine, re_ranked, rescored
from sdk.reidentifier import Features, ReIdentifier
from sdk.search import Query, draw_results, queries_of_identity, query_of_images, search
from sdk.search.picture import RIGHT, WRONG


class ByColour:
    """In place of a ReIdentifier: the mean colour of a crop, and of its halves, which the embedding hides."""

    def embed(self, crops):
        stripes = np.array([[half.mean((0, 1)) for half in np.array_split(c, 2)] for c in crops], np.float32) + 1
        embedding = stripes.mean(1)
        return Features(*(x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (embedding, stripes)))


def crop(upper, lower):
    image = np.zeros((32, 16, 3), np.uint8)
    image[:16], image[16:] = upper, lower
    return image


BLUE, GREEN, RED, TEAL = (200, 0, 0), (0, 200, 0), (0, 0, 200), (160, 90, 0)


@pytest.fixture
def gallery(tmp_path):
    """ann is blue over green; bob, upside down, has her mean colour; cid is red, and seen in one camera only."""
    images = {
        "ann/a_0": crop(BLUE, GREEN),
        "ann/a_1": crop(BLUE, GREEN),
        "ann/b_0": crop(BLUE, TEAL),
        "bob/b_0": crop(GREEN, BLUE),
        "bob/c_0": crop(GREEN, BLUE),
        "cid/b_0": crop(RED, RED),
    }
    for name, image in images.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_image(tmp_path / f"{name}.png", image)
    return tmp_path


def names(result):
    return [f"{hit.path.parent.name}/{hit.path.stem}" for hit in result.hits]


def test_an_identity_is_searched_for_from_each_camera_in_the_others(gallery):
    samples = read_folder(gallery)
    queries = queries_of_identity("ann", samples)
    assert [(query.camera, len(query.paths)) for query in queries] == [("a", 2), ("b", 1)]
    from_a, from_b = search(ByColour(), queries, samples)
    assert set(names(from_a)) == {"ann/b_0", "bob/b_0", "bob/c_0", "cid/b_0"}
    assert names(from_a)[-1] == "cid/b_0"
    assert [hit.correct for hit in from_a.hits] == [name.startswith("ann") for name in names(from_a)]
    assert set(names(from_b)) == {"ann/a_0", "ann/a_1", "bob/c_0"}
    assert [hit.distance for hit in from_a.hits] == sorted(hit.distance for hit in from_a.hits)


def test_rescoring_tells_apart_whom_the_mean_colour_confuses(gallery):
    samples = read_folder(gallery)
    (query, _) = queries_of_identity("ann", samples)
    (plain,) = search(ByColour(), [query], samples)
    assert names(plain)[:2] == ["bob/b_0", "bob/c_0"]
    (local,) = search(ByColour(), [query], samples, rescored())
    assert names(local)[0] == "ann/b_0"
    (both,) = search(ByColour(), [query], samples, rescored(re_ranked), top_k=2)
    assert len(both.hits) == 2


def test_images_from_elsewhere_have_no_truth_and_search_everything(gallery, tmp_path_factory):
    samples = read_folder(gallery)
    elsewhere = tmp_path_factory.mktemp("photos") / "photo.png"
    write_image(elsewhere, crop(RED, RED))
    query = query_of_images([elsewhere], samples)
    assert query == Query("photo.png", (elsewhere,), None, None)
    (result,) = search(ByColour(), [query], samples)
    assert len(result.hits) == 6
    assert names(result)[0] == "cid/b_0"
    assert result.hits[0].correct is None


def test_images_of_the_gallery_are_not_found_themselves(gallery):
    samples = read_folder(gallery)
    query = query_of_images([gallery / "ann" / "a_0.png"], samples)
    assert (query.identity, query.camera) == ("ann", "a")
    two = query_of_images([gallery / "ann" / "a_0.png", gallery / "ann" / "b_0.png"], samples)
    assert (two.name, two.identity, two.camera) == ("a_0.png and 1 more", "ann", None)
    (result,) = search(ByColour(), [two], samples)
    assert "ann/a_1" in names(result)
    assert not {"ann/a_0", "ann/b_0"} & set(names(result))
    with pytest.raises(DataError, match="2 people of the gallery, ann, bob"):
        query_of_images([gallery / "ann" / "a_0.png", gallery / "bob" / "b_0.png"], samples)


def test_what_cannot_be_searched_is_said(gallery, tmp_path):
    samples = read_folder(gallery)
    with pytest.raises(DataError, match="'eve' is not in the gallery of 3 people"):
        queries_of_identity("eve", samples)
    alone = [sample for sample in samples if sample.camera == "b"]
    with pytest.raises(DataError, match="no crops of other cameras"):
        search(ByColour(), queries_of_identity("cid", alone), alone)
    with pytest.raises(DataError, match="top_k is 0"):
        search(ByColour(), queries_of_identity("ann", samples), samples, top_k=0)
    with pytest.raises(DataError, match="no stripes"):
        search(ReIdentifier(threshold=0), queries_of_identity("ann", samples), samples, rescored())


def test_the_picture_frames_right_and_wrong_hits(gallery):
    samples = read_folder(gallery)
    results = search(ByColour(), queries_of_identity("ann", samples), samples, cosine)
    picture = draw_results(results, "cosine distance")
    assert picture.dtype == np.uint8
    for colour, count in ((RIGHT, 3), (WRONG, 4)):
        mask = (np.abs(picture.astype(int) - colour) < 8).all(-1).astype(np.uint8)
        frames = cv2.connectedComponentsWithStats(mask)[2][1:, cv2.CC_STAT_AREA]
        assert (frames > 500).sum() == count, "one frame a hit"
    one = draw_results(results[:1])
    assert one.shape[0] < picture.shape[0]


def run(*arguments):
    return CliRunner().invoke(build_app(), [str(argument) for argument in arguments])


def test_the_command_writes_a_picture_and_the_ranks(drawn_people, tmp_path):
    output = tmp_path / "deep" / "search"
    result = run("search", "--gallery", drawn_people, "--identity", "00003", "--rerank", "-o", output, "--top-k", 4)
    assert result.exit_code == 0, result.output
    assert cv2.imread(str(output / "search.png")) is not None
    found = json.loads((output / "search.json").read_text(encoding="utf-8"))
    assert found["ranked by"] == "k-reciprocal re-ranking"
    assert [query["camera"] for query in found["results"]] == ["00", "01"]
    for query in found["results"]:
        assert [hit["rank"] for hit in query["hits"]] == [1, 2, 3, 4]
        assert all(hit["camera"] != query["camera"] for hit in query["hits"])
        assert all(hit["correct"] == (hit["identity"] == "00003") for hit in query["hits"])


@pytest.mark.parametrize("arguments", [(), ("x.png", "--identity", "00003")])
def test_the_command_wants_images_or_an_identity(drawn_people, tmp_path, arguments):
    result = run("search", *arguments, "--gallery", drawn_people, "-o", tmp_path / "out")
    assert isinstance(result.exception, DataError)
    assert "either images of one person" in str(result.exception)


def test_a_gallery_is_searched_by_images_and_by_identity(drawn_people, tmp_path):
    store, output = tmp_path / "site.db", tmp_path / "out"
    assert run("gallery", "enroll", store, "--data", drawn_people, "--store-crops").exit_code == 0
    image = sorted((drawn_people / "00003").glob("*.png"))[0]
    result = run("search", image, "--gallery", store, "-o", output, "--top-k", 3)
    assert result.exit_code == 0, result.output
    found = json.loads((output / "search.json").read_text(encoding="utf-8"))
    (hits,) = [query["hits"] for query in found["results"]]
    assert [hit["rank"] for hit in hits] == [1, 2, 3]
    assert hits[0]["identity"] == "00003"
    assert hits[0]["distance"] == pytest.approx(0, abs=1e-3)
    assert len({hit["identity"] for hit in hits}) == 3
    assert (found["identities"], found["exemplars"]) == (12, 96)
    with_crops = cv2.imread(str(output / "search.png"))
    result = run("search", "--identity", "00003", "--gallery", store, "-o", output, "--top-k", 12)
    assert result.exit_code == 0, result.output
    found = json.loads((output / "search.json").read_text(encoding="utf-8"))
    assert len(found["results"][0]["hits"]) == 11
    assert "00003" not in {hit["identity"] for hit in found["results"][0]["hits"]}
    bare = tmp_path / "bare.db"
    assert run("gallery", "enroll", bare, "--data", drawn_people).exit_code == 0
    assert run("search", image, "--gallery", bare, "-o", output, "--top-k", 3).exit_code == 0
    assert not np.array_equal(cv2.imread(str(output / "search.png")), with_crops), "no crops, no pictures of the hits"
    for arguments, message in [
        (("--identity", "00003"), "stores no crops of '00003'"),
        ((image, "--rerank"), "--rerank"),
    ]:
        failed = run("search", *arguments, "--gallery", bare, "-o", output)
        assert isinstance(failed.exception, DataError)
        assert message in str(failed.exception)
