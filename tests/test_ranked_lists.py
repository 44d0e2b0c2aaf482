"""The pictures of `reid evaluate --show`: whose lists are drawn, what is left out of them, and the files."""

import numpy as np
import pytest
from typer.testing import CliRunner

from sdk.cli import build_app
from sdk.errors import DataError
from sdk.folder import read_image
from sdk.measures import cosine
from sdk.reidentifier import Features
from training.data.benchmark import Entries, RetrievalTest
from training.data.folder import PeopleDataset
from training.evaluation.ranked_lists import ranked_lists
from training.evaluation.retrieval import cross_camera_test, rank_entries

PEOPLE = np.array(["a", "b", "c", "a", "a", "b", "c", "nobody"])
CAMERAS = np.array(["1", "1", "1", "1", "2", "2", "2", "2"])
ANGLES = np.radians([0, 30, 60, 1, 5, 80, 62, 33])
"""b's nearest are nobody and c; a's nearest is a crop of its own camera, which counts for nothing."""


def small_test():
    entries = Entries(tuple(np.arange(8)[:, None]), PEOPLE, CAMERAS)
    return RetrievalTest(PeopleDataset(()), entries, ((np.arange(3), np.arange(3, 8)),))


def test_the_worst_come_first_and_what_the_protocol_leaves_out_is_not_listed():
    features = Features(np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1).astype(np.float32), None)
    lists = ranked_lists(features, small_test(), cosine, 1, top_k=3)
    (worst,), (drawn,) = lists["worst"], lists["random"]
    assert PEOPLE[worst.query] == "b"
    assert PEOPLE[worst.gallery].tolist() == ["nobody", "a", "a"]
    assert (worst.first, worst.matches, worst.right.tolist()) == (5, 1, [False] * 3)
    assert drawn.query != worst.query
    everybody = ranked_lists(features, small_test(), cosine, 3)["worst"]
    of_a = next(listed for listed in everybody if PEOPLE[listed.query] == "a")
    assert 3 not in of_a.gallery, "the same person in the same camera"
    assert (of_a.gallery[0], of_a.right[0], len(of_a.gallery)) == (4, True, 4)
    mean_ap = rank_entries(features, small_test(), {"": cosine})[""].mean_ap
    assert np.mean([listed.average_precision for listed in everybody]) == pytest.approx(mean_ap)


def test_queries_without_a_match_are_passed_over(drawn_people):
    people = PeopleDataset.from_folder(drawn_people)
    alone = people.samples[0].identity
    people = PeopleDataset(tuple(s for s in people.samples if s.identity != alone) + people.samples[:1])
    features = Features(np.random.default_rng(0).normal(size=(len(people), 4)).astype(np.float32), None)
    lists = ranked_lists(features, cross_camera_test(people), cosine, len(people))
    assert len(lists["worst"]) == len(people) - 1
    assert not lists["random"]


def test_the_command_writes_a_picture_a_query_and_one_sheet(drawn_people, small_onnx, tmp_path):
    def run(*more):
        line = ["evaluate", str(small_onnx), "--data", str(drawn_people), "--show", str(tmp_path / "show"), *more]
        return CliRunner().invoke(build_app(), line)

    result = run("--show-count", "2")
    assert result.exit_code == 0, result.exception
    names = ["contact-sheet.png", "random-01.png", "random-02.png", "worst-01.png", "worst-02.png"]
    assert sorted(path.name for path in (tmp_path / "show").iterdir()) == names
    sheet, one = (read_image(tmp_path / "show" / name) for name in (names[0], "worst-01.png"))
    assert sheet.shape[1] == one.shape[1]
    assert sheet.shape[0] > 3 * one.shape[0]
    with pytest.raises(DataError, match="--show-count 0: draw at least 1"):
        raise run("--show-count", "0").exception
