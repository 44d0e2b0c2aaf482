"""Real people's tracklets through the tracker, on a miniature in Market-1501's naming: drawn people, three of them."""

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from sdk.errors import DataError
from sdk.events import Event
from sdk.simulation.population import Population

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
from final_names import FinalNames
from market_tracklets import choose, embedded, read_tracklets
from real_association import Scores, cut, first_passages, greedily, joined, run_arms, tracked, without_cameras


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Persons 1 and 2 are seen together by camera 1; then 1 and 3, apart, by camera 4; and 1 once more by camera 1."""
    root = tmp_path_factory.mktemp("market") / "bounding_box_test"
    root.mkdir()
    population = Population(3, cameras=2, seed=2, size=(128, 64), misalignment=0.0)
    walks = [(1, 1, 0), (2, 1, 50), (1, 4, 2000), (3, 4, 3000), (1, 1, 4000)]
    for person, camera, begin in walks:
        for step in range(8):
            crop = population.draw(person - 1, camera // 4, step)
            cv2.imwrite(str(root / f"{person:04}_c{camera}s1_{begin + 25 * step:06}_00.jpg"), crop)
    for nobody in ("-1_c1s1_000100_00.jpg", "0000_c1s1_000100_00.jpg"):
        cv2.imwrite(str(root / nobody), population.draw(0, 0, 0))
    return root.parent


def test_names_of_files_are_tracklets_with_times(folder, tmp_path):
    tracklets = read_tracklets(folder, "test")
    assert tracklets.person.tolist() == [1, 2, 1, 3, 1]
    assert tracklets.camera.tolist() == [1, 1, 4, 4, 1]
    assert tracklets.crops.tolist() == [8] * 5
    assert np.argwhere(tracklets.together).tolist() == [[0, 1], [1, 0]]
    assert (tracklets.last - tracklets.first).tolist() == pytest.approx([8.5] * 5)
    alone = tracklets.of(tracklets.person == 1)
    assert (len(alone), sorted(set(alone.tracklet)), len(alone.time)) == (3, [0, 1, 2], 24)
    assert set(choose(tracklets, 2, seed=0).person) < {1, 2, 3}
    junk = read_tracklets(folder, "test", junk=True)
    assert (junk.person.tolist(), junk.crops.tolist()) == ([-1], [1])
    with pytest.raises(DataError, match="4 people are asked for, and there are 3"):
        choose(tracklets, 4, seed=0)
    (tmp_path / "bounding_box_test").mkdir()
    with pytest.raises(DataError, match="nobody is in it"):
        read_tracklets(tmp_path, "test")
    (tmp_path / "bounding_box_test" / "0001.jpg").touch()
    with pytest.raises(DataError, match=r"0001\.jpg: not a name of Market-1501"):
        read_tracklets(tmp_path, "test")


def test_right_names_are_counted_and_wrong_ones(folder):
    tracklets = read_tracklets(folder, "test")
    right = Scores.of(tracklets, np.array(["a", "b", "a", "c", "a"], object))
    assert (right.idf1, right.precision["all"], right.recall["all"], right.names) == (1, 1, 1, 3)
    assert (right.right, right.taken) == (1, 0)
    wrong = Scores.of(tracklets, np.array(["a", "b", "a", "a", None], object))
    assert wrong.idf1 == pytest.approx(2 * 24 / (40 + 32))
    assert wrong.precision == {"all": pytest.approx(1 / 3), "one camera": 0, "two cameras": pytest.approx(1 / 2)}
    assert wrong.recall["all"] == pytest.approx(1 / 3)
    assert (wrong.right, wrong.taken) == (pytest.approx(3 / 5), 1)


def test_the_tracker_and_the_other_arms_name_them(folder, tmp_path):
    tracklets = embedded(folder, "test", None, tmp_path)
    again = embedded(folder, "test", None, tmp_path)
    np.testing.assert_array_equal(tracklets.embedding, again.embedding)
    for names in (*tracked(tracklets, None).values(), greedily(tracklets, 0.6)):
        assert Scores.of(tracklets, names).idf1 == 1
    tree = joined(tracklets, without_cameras(tracklets))
    assert len(set(cut(tree, 1e2))) == 2, "who was seen together is never joined"
    assert len(set(cut(tree, -1))) == 5


def test_a_first_passage_has_nobody_who_was_there_before(folder, tmp_path):
    first = first_passages(embedded(folder, "test", None, tmp_path))
    assert (first.person.tolist(), first.camera.tolist()) == ([1, 2, 3], [1, 1, 4])
    taken = Scores.of(first, np.array(["a", "b", "a"], object))
    assert (taken.tracklets, taken.right, taken.taken) == (3, pytest.approx(2 / 3), 1)


def test_another_checkout_names_the_same_tracklets(folder, tmp_path):
    tracklets = embedded(folder, "test", None, tmp_path)
    together = tracklets.of(tracklets.first < 60)
    names = run_arms(together, None, 0.6, 0.0, offline=False, before=Path(__file__).parents[1])
    before = [arm for arm in names if arm.startswith("before (")]
    assert len(before) == 2
    assert Scores.of(together, names["as it comes"]).right == 1
    for arm in before:
        end = "as it comes, names at the end" if arm.endswith("names at the end") else "as it comes"
        assert names[arm].tolist() == names[end].tolist()


def test_names_in_the_end_follow_changes_and_merges():
    names = FinalNames()
    assert names.of("dock", 1, "a") == "a"
    names(Event(0.0, "identified", camera="dock", track=1, identity="b"))
    names(Event(0.0, "merged", identity="c", detail={"other": "b"}))
    assert (names.of("dock", 1, "a"), names.of("dock", 2, "b"), names.of("dock", 2, None)) == ("c", "c", None)
    names(Event(0.0, "merged", identity="b", detail={"other": "c"}))
    assert names.of("dock", 1, "a") == "b", "whoever is merged into is somebody again"
