"""The hybrid site in miniature: three walkers under two cameras, and people whose embeddings are drawn by lot."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sdk.errors import DataError
from sdk.reidentifier import ReIdentifier
from sdk.simulation.site import Site
from sdk.tracking.evaluation import Box

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
import other_checkout
from hybrid_site import Cast, JunkBoxes, choose_cast, deal_out, dress, in_front, run_arms, scores, shown_crops
from market_tracklets import Tracklets
from site_cache import Found

ROOT = Path(__file__).parents[1]
SITE = Site(seed=3, cameras=2, people=3, seconds=12.0)
RATE = SITE.frame_rate


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def market(people, crops, cameras=(1, 2), noise=0.2, seed=0):
    """Everybody has one tracklet of so many crops, a second apart, in each camera."""
    rng = np.random.default_rng(seed)
    size = ReIdentifier().engine.metadata.embedding_dim
    person, camera = (values.ravel() for values in np.meshgrid(people, cameras, indexing="ij"))
    looks = unit(rng.normal(size=(len(people), size)))[np.searchsorted(people, person)]
    first = np.arange(len(person)) * 100.0
    rows = np.repeat(np.arange(len(person)), crops)
    return Tracklets(
        person, camera, first, first + crops + 0.5, rows, first[rows] + np.tile(np.arange(crops), len(person)),
        np.array([f"{row}.jpg" for row in range(len(rows))]),
        unit(looks[rows] + noise * unit(rng.normal(size=(len(rows), size)))),
    )  # fmt: skip


def walks():
    """Each walks through camera 1, then camera 2, then camera 1 again; apart from each other, and half of a second late
    after the one before."""
    boxes = []
    for walker in range(3):
        for camera, begin in (("camera-1", 20), ("camera-2", 50), ("camera-1", 80)):
            for step in range(25):
                x, y = 60 + 180 * walker + 2 * step, 100 + 5 * walker
                corners = (float(x), float(y), float(x + 60), float(y + 150))
                boxes.append(Box(camera, begin + 5 * walker + step, f"true-{walker + 1}", corners))
    return sorted(boxes, key=lambda box: (box.frame, box.camera))


def found_of(boxes):
    return Found(
        Path(),
        tick=np.array([box.frame for box in boxes]),
        camera=np.array([SITE.camera_names.index(box.camera) for box in boxes]),
        box=np.array([box.xyxy for box in boxes], np.float32),
        confidence=np.full(len(boxes), 0.9, np.float32),
        changed=np.ones(len(boxes)),
    )


def test_passages_get_consecutive_crops_of_their_own():
    assert deal_out([10, 30], 6) == [range(2), range(2, 6)]
    assert deal_out([5, 5, 5], 3) == [range(1), range(1, 2), range(2, 3)]
    assert deal_out([5, 5, 5], 2) == [range(1), range(1), range(1, 2)], "fewer crops than passages: shared"
    cast = Cast({f"true-{n}": n for n in (1, 2, 3)}, {"camera-1": 2, "camera-2": 1})
    tracklets = market([1, 2, 3], crops=5)
    crop, shared = shown_crops(walks(), cast, tracklets, RATE)
    assert shared == 0
    first, second = ([crop["true-1", "camera-1", begin + step] for step in range(25)] for begin in (20, 80))
    assert first == sorted(first)
    assert second == sorted(second)
    assert len({*first}) == len({*second}) == 2, "no more than one a second"
    assert max(first) < min(second)
    whose = tracklets.tracklet[[*first, *second]]
    assert {*tracklets.person[whose]} == {1}
    assert {*tracklets.camera[whose]} == {2}
    assert shown_crops(walks(), cast, market([1, 2, 3], crops=1), RATE)[1] == pytest.approx(2 / 3)


def test_walkers_are_people_whom_all_their_cameras_saw():
    known = market(range(1, 9), crops=4, cameras=(2, 5))
    cast = choose_cast(known, ["a", "b", "c"], ["x", "y"], seed=1)
    assert sorted(cast.camera.values()) == [2, 5]
    assert len({*cast.person.values()} & {*range(1, 9)}) == 3
    assert cast == choose_cast(known, ["a", "b", "c"], ["x", "y"], seed=1)
    with pytest.raises(DataError, match=r"no 3 of 6 cameras have 3 people with 3 crops"):
        choose_cast(known, ["a", "b", "c"], ["x", "y", "z"], seed=1)


def test_a_box_shows_its_walker_or_who_stands_in_front_or_junk():
    true = walks()
    hidden = Box("camera-1", 40, "true-1", (290.0, 100.0, 350.0, 250.0), weight=0.4)
    true = [box for box in true if (box.frame, box.identity) != (40, "true-1")] + [hidden]
    nearer = next(box for box in true if box.frame == 40 and box.identity == "true-2")
    assert in_front(hidden, np.array(hidden.xyxy), [hidden, nearer]) == nearer
    assert in_front(nearer, np.array(nearer.xyxy), [hidden, nearer]) is None
    tracklets, junk = market([1, 2, 3], crops=5), market([-1], crops=7, seed=9)
    boxes = [*true, Box("camera-2", 30, "", (500.0, 300.0, 540.0, 400.0))]
    embedding, who = dress(true, found_of(boxes), SITE, tracklets, junk)
    played = dict(zip(("true-1", "true-2", "true-3"), who["people of Market"], strict=True))
    cameras = dict(zip(SITE.camera_names, who["cameras of Market"], strict=True))
    rows = np.argmax(embedding @ np.concatenate([tracklets.embedding, junk.embedding]).T, axis=1)
    for box, row in zip(boxes[:-2], rows, strict=False):
        shown = tracklets.tracklet[row]
        assert (tracklets.person[shown], tracklets.camera[shown]) == (played[box.identity], cameras[box.camera])
    assert tracklets.person[tracklets.tracklet[rows[-2]]] == played["true-2"], "who stands in front"
    of_junk = rows[-1] - len(tracklets.embedding)
    assert junk.camera[junk.tracklet[of_junk]] == cameras["camera-2"]
    assert who["boxes that show"]["junk"] == pytest.approx(1 / len(boxes), abs=1e-4)


def test_a_box_on_nobody_that_stays_shows_a_new_piece_every_second():
    nobody = JunkBoxes(market([-1], crops=7), RATE, seed=0)
    box = np.array([10, 10, 50, 110], np.float32)
    pieces = [nobody.show("camera-1", 1, frame, box + frame) for frame in range(30)]
    assert [len({*pieces[i : i + 10]}) for i in (0, 10, 20)] == [1, 1, 1]
    assert len({*pieces}) == 3
    with pytest.raises(DataError, match="camera 3 of Market-1501 has no junk"):
        nobody.show("camera-1", 3, 0, box)


def test_pairs_of_two_cameras_are_counted(tmp_path):
    """One walker twice in camera 1, once in camera 2, and somebody else in camera 2."""
    true = [
        Box("camera-1", 0, "a", (0.0, 0.0, 10.0, 20.0)),
        Box("camera-1", 1, "a", (0.0, 0.0, 10.0, 20.0)),
        Box("camera-2", 1, "a", (0.0, 0.0, 10.0, 20.0)),
        Box("camera-2", 1, "b", (50.0, 0.0, 60.0, 20.0)),
    ]

    def with_names(names):
        lines = [
            f'{{"camera": "{box.camera}", "frame": {box.frame}, "identity": {name}, "box": {list(box.xyxy)}}}\n'
            for box, name in zip(true, names, strict=True)
        ]
        (tmp_path / "tracks.jsonl").write_text("".join(lines))
        return scores(true, tmp_path)

    right = with_names(['"p"', '"p"', '"p"', '"q"'])
    assert (right["IDF1"], right["pair precision"], right["pair recall"], right["names"]) == (1, 1, 1, 2)
    joined = with_names(['"p"', '"p"', '"p"', '"p"'])
    assert (joined["pair precision"], joined["pair recall"], joined["names"]) == (0.5, 1, 1)
    apart = with_names(['"p"', "null", '"p"', '"q"'])
    assert (apart["pair precision"], apart["pair recall"], apart["boxes without a name"]) == (1, 0.5, 1)


def test_the_tracker_and_another_checkout_name_the_walkers(tmp_path):
    true = walks()
    found = found_of(true)
    embedding, _ = dress(true, found, SITE, market([1, 2, 3], crops=5), market([-1], crops=7))
    rows = run_arms(true, found, SITE, embedding, None, before=ROOT)
    before = other_checkout.title(ROOT)
    assert rows["as it comes, perfect names"]["IDF1"] >= rows["as it comes"]["IDF1"]
    for arm in ("as it comes", "as it comes, names at the end"):
        assert rows[arm]["IDF1"] > 0.8
        there = rows[arm.replace("as it comes", before)]
        assert {name: value for name, value in there.items() if "seconds" not in name} == {
            name: value for name, value in rows[arm].items() if "seconds" not in name
        }
    assert rows["as it comes"]["pair precision"] == 1
    with pytest.raises(DataError, match="has no sdk"):
        other_checkout.run_elsewhere(tmp_path, "site_replay:replay_folder", tmp_path)


def test_another_checkout_is_the_one_that_runs(tmp_path):
    """A checkout whose sdk is empty but for a mark; the task tells which one it got."""
    (tmp_path / "sdk").mkdir()
    (tmp_path / "sdk" / "__init__.py").write_text("MARK = 'the other'\n")
    (tmp_path / "sdk" / "errors.py").write_text("class DataError(Exception):\n    pass\n")
    (tmp_path / "task.py").write_text("import sdk\n\n\ndef run(folder):\n    (folder / 'mark').write_text(sdk.MARK)\n")
    other_checkout.run_elsewhere(tmp_path, "task:run", tmp_path)
    assert (tmp_path / "mark").read_text() == "the other"
    with pytest.raises(DataError, match="task:walk failed"):
        other_checkout.run_elsewhere(tmp_path, "task:walk", tmp_path)
    assert other_checkout.title(tmp_path) == f"before ({tmp_path.name})"
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    if commit.returncode == 0:
        assert commit.stdout.strip() in other_checkout.title(ROOT)
