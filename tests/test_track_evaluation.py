"""`reid evaluate-tracks`: the library's figures in a camera, and the same for identities across cameras."""

import json

import numpy as np
import pytest
from trackers.eval import compute_hota_metrics, compute_identity_metrics
from typer.testing import CliRunner

from sdk.cli import build_app
from sdk.errors import DataError
from sdk.tracking.evaluation import Box, evaluate_tracks, measure
from sdk.tracking.evaluation import _frames as frames_of


def scene(rng, cameras=3, people=5, frames=40, wrong=0.1, missed=0.1, false=0.05, off=2.0):
    """Truth and a result with faults of every kind: wrong names, missed people, boxes on nobody, boxes that are off."""
    true, found = [], []
    for camera in range(cameras):
        for frame in range(frames):
            for person in range(people):
                if rng.random() < 0.4:
                    continue
                box = np.array([60.0 * person, 10, 60.0 * person + 40, 110])
                true.append(Box(f"c{camera}", frame, f"true-{person}", tuple(box), rng.random()))
                if rng.random() < missed:
                    continue
                name = person + people * (camera == 1 and person == 0)  # one is somebody else in one camera
                name = int(rng.integers(people)) + 10 if rng.random() < wrong else name
                taken = {b.identity for b in found if (b.camera, b.frame) == (f"c{camera}", frame)}
                if f"p{name}" not in taken:
                    shifted = tuple(box + rng.normal(0, off, 4))
                    found.append(Box(f"c{camera}", frame, f"p{name}", shifted, rng.random()))
            if rng.random() < false:
                found.append(Box(f"c{camera}", frame, "ghost", (0, 150, 40, 250)))
    return true, found


@pytest.mark.parametrize("seed", [0, 1])
def test_across_cameras_is_the_library_on_all_frames_one_after_the_other(seed):
    true, found = scene(np.random.default_rng(seed))
    ours = measure(true, found)
    frames, _, _ = frames_of(true, found, 0.0)
    data = [f.true for f in frames], [f.found for f in frames], [f.iou for f in frames]
    hota, identity = compute_hota_metrics(*data), compute_identity_metrics(*data)
    assert ours.hota == pytest.approx(hota["HOTA"], abs=1e-9)
    assert ours.detection == pytest.approx(hota["DetA"], abs=1e-9)
    assert ours.association == pytest.approx(hota["AssA"], abs=1e-9)
    assert ours.idf1 == pytest.approx(identity["IDF1"], abs=1e-9)
    assert (ours.precision, ours.recall) == pytest.approx((identity["IDP"], identity["IDR"]), abs=1e-9)
    assert 0.3 < ours.idf1 < 0.9, "the scene has faults, but not only"


def test_nists_tool_agrees_where_names_are_consistent():
    """It aligns ids once and for all, so it agrees with HOTA only where nobody has two names."""
    reid_hota, pandas = pytest.importorskip("reid_hota"), pytest.importorskip("pandas")
    true, found = scene(np.random.default_rng(2), wrong=0, false=0)
    found = [b for b in found if b.identity != "p5"]  # who is somebody else in one camera is missed there

    def tables(boxes, strip):
        return {
            camera: pandas.DataFrame(
                [(b.frame, int(b.identity.strip(strip)), *b.xyxy, 1) for b in boxes if b.camera == camera],
                columns=["frame", "id", "x1", "y1", "x2", "y2", "object_type"],
            )
            for camera in ("c0", "c1", "c2")
        }

    config = reid_hota.HOTAConfig(
        iou_thresholds=np.arange(0.05, 0.99, 0.05), reference_contains_dense_annotations=True,
        suppress_print_statements=True,
    )  # fmt: skip
    evaluator = reid_hota.HOTAReIDEvaluator(n_workers=0, config=config)
    evaluator.evaluate(tables(true, "true-"), tables(found, "p"))
    theirs = evaluator.get_global_hota_data()
    ours = measure(true, found)
    assert ours.hota == pytest.approx(np.mean(theirs["HOTA"]), abs=1e-6)
    half = list(np.round(theirs["IOU Thresholds"], 2)).index(0.5)
    assert ours.idf1 == pytest.approx(theirs["IDF1"][half], abs=1e-6)


def row(camera, frame, name, x, weight=1.0):
    return Box(camera, frame, name, (x, 0, x + 40, 100), weight)


def test_another_name_in_the_other_camera_is_wrong_across_cameras_only():
    true = [row(camera, frame, "ann", 10) for camera in ("dock", "lobby") for frame in range(10)]
    one = measure(true, [row(b.camera, b.frame, "x", 10) for b in true])
    two = measure(true, [row(b.camera, b.frame, f"x-{b.camera}", 10) for b in true])
    assert (one.idf1, one.hota, one.people["ann"].names) == (1, 1, 1)
    assert {camera.idf1 for camera in two.cameras.values()} == {1.0}
    assert two.idf1 == pytest.approx(0.5), "ten of twenty true and of twenty found boxes"
    assert two.people["ann"].names == 2
    assert two.found_identities == 2
    assert two.hota == pytest.approx(np.sqrt(0.5))


def test_each_person_has_figures_of_their_own():
    true = [row("dock", f, "ann", 10) for f in range(30)] + [row("dock", f, "bob", 200) for f in range(30, 40)]
    found = [row("dock", f, "x", 10) for f in range(30)] + [row("dock", f, "x", 200) for f in range(30, 32)]
    measures = measure(true, found)
    assert measures.people["ann"].found_as == "x"
    assert measures.people["ann"].idf1 == pytest.approx(2 * 30 / (30 + 32))
    assert measures.people["bob"].found_as is None
    assert measures.people["bob"].idf1 == 0
    assert measures.people["bob"].hota == pytest.approx(np.sqrt(2 / 10 * 2 / (10 + 32 - 2)))
    assert measures.mean_idf1 == pytest.approx(measures.people["ann"].idf1 / 2)


def test_boxes_without_a_name_are_not_found_and_a_name_twice_in_a_frame_is_wrong_once():
    true = [row("dock", 0, "ann", 10), row("dock", 0, "bob", 200)]
    unnamed = measure(true, [row("dock", 0, "x", 10), row("dock", 0, None, 200)])
    assert (unnamed.unnamed, unnamed.precision, unnamed.recall) == (1, 1, 0.5)
    twice = measure(true, [row("dock", 0, "x", 10, 0.9), row("dock", 0, "x", 200, 0.5)])
    assert (twice.people["ann"].idf1, twice.people["bob"].idf1) == (1, 1)
    with pytest.raises(DataError, match="frame 0 of 'dock'"):
        measure([true[0], true[0]], [])
    with pytest.raises(DataError, match="without a name in frame 0 of 'dock'"):
        measure([true[0], row("dock", 0, None, 200)], [])


def test_who_hardly_shows_need_not_be_found_and_a_box_on_them_is_not_wrong():
    true = [row("dock", 0, "ann", 10, 1.0), row("dock", 0, "bob", 200, 0.1)]
    both = [row("dock", 0, "x", 10), row("dock", 0, "y", 200)]
    for found in (both, both[:1]):
        assert measure(true, found, min_visibility=0.3).idf1 == 1
    assert measure(true, both[:1]).recall == 0.5
    elsewhere = measure(true, [both[0], row("dock", 0, "y", 300)], min_visibility=0.3)
    assert elsewhere.precision == 0.5


def test_folders_as_the_commands_write_them(tmp_path):
    truth, result = tmp_path / "site/truth", tmp_path / "result"
    truth.mkdir(parents=True)
    result.mkdir()
    rows = [(frame, name, x) for frame in range(5) for name, x in (("true-1", 10), ("true-2", 200))]
    common = {"time": 0.0, "camera": "dock", "track": 1}
    (truth / "tracks.jsonl").write_text(
        "".join(json.dumps({**common, "frame": f, "identity": n, "box": [x, 0, x + 40, 100], "visibility": 0.9}) + "\n"
                for f, n, x in rows)
    )  # fmt: skip
    (result / "dock.txt").write_text(
        "".join(f"{f + 1},{n.removeprefix('true-')},{x},0,40,100,0.9,-1,-1,-1\n" for f, n, x in rows if f < 4)
    )
    measures = evaluate_tracks(result, tmp_path / "site")
    assert (measures.precision, measures.recall) == (1, 0.8)
    run = CliRunner().invoke(
        build_app(), ["evaluate-tracks", str(result), str(truth), "-o", str(tmp_path / "figures/found.json")]
    )
    assert run.exit_code == 0
    assert "0.889" in run.stdout
    assert json.loads((tmp_path / "figures/found.json").read_text())["idf1"] == pytest.approx(8 / 9)


@pytest.mark.parametrize(
    ("name", "text", "named"),
    [
        ("tracks.jsonl", '{"frame": 0}\n', "line 1 has no camera"),
        ("tracks.jsonl", '{"camera": "c", "frame": 0, "identity": "x", "box": [1, 2]}', "line 1"),
        ("dock.txt", "1,2,3\n", "line 1: no MOTChallenge line"),
        ("other.txt", "1,1,0,0,40,100,1,-1,-1,-1\n", "camera other is not in the truth"),
        ("notes.md", "", "neither tracks.jsonl nor"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, name, text, named):
    for folder in ("truth", "result"):
        (tmp_path / folder).mkdir()
    (tmp_path / "truth/dock.txt").write_text("1,1,0,0,40,100,1,1,1.0\n")
    (tmp_path / "result" / name).write_text(text)
    with pytest.raises(DataError, match=named):
        evaluate_tracks(tmp_path / "result", tmp_path / "truth")
    (tmp_path / "truth/dock.txt").write_text("")
    with pytest.raises(DataError, match="nobody"):
        evaluate_tracks(tmp_path / "truth", tmp_path / "truth")
