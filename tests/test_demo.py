"""`make demo` in small: the site is tracked, and what was found is held against the truth honestly."""

import json
from collections import Counter

import numpy as np
import pytest

from sdk import ReIdentifier
from sdk.demo import best_names, compare_with_truth, run_demo, truth_table
from sdk.report import read_record
from sdk.simulation.site import Site, Truth
from sdk.video.run import track_videos
from tests.conftest import SHARED


def test_everybody_bears_one_name_in_both_cameras(tmp_path):
    site = Site(seed=0, cameras=2, people=2, seconds=25)
    sightings, comparison = run_demo(site, ReIdentifier(), tmp_path)
    assert {(s.identity, s.camera) for s in sightings} == {
        (f"person-{i}", f"camera-{c}") for i in (1, 2) for c in (1, 2)
    }
    names = best_names(comparison)
    assert set(names) == {"true-1", "true-2"}
    right = sum(frames for (true, found, _), frames in comparison.found.items() if names[true] == found)
    assert right >= 0.95 * comparison.found.total()
    assert comparison.found.total() >= 0.6 * comparison.present.total()
    record = read_record(tmp_path)
    named = {(visit.camera, track) for visit in record.visits for track in visit.tracks}
    assert named
    assert named <= set(record.reasons), "every name has its reason in events.jsonl"


def test_wrong_names_are_counted_as_wrong(tmp_path):
    truth = {
        "dock": Truth(np.float32([[0, 0, 40, 100], [100, 0, 140, 100]]), ["true-1", "true-2"], np.arange(2), np.ones(2))
    }
    rows = [(0, "a", 2), (1, "a", 2), (3, "a", 2), (2, "b", 2), (2, "a", 102), (1, None, 102), (0, "c", 200)]
    (tmp_path / "tracks.jsonl").write_text(
        "\n".join(
            json.dumps({"frame": frame, "camera": "dock", "identity": name, "box": [x, 0, x + 40, 100]})
            for frame, name, x in rows
        )
    )
    result = compare_with_truth(tmp_path / "tracks.jsonl", [truth] * 4)
    assert result.found == Counter({("true-1", "a", "dock"): 3, ("true-1", "b", "dock"): 1, ("true-2", "a", "dock"): 1})
    assert result.present == {("true-1", "dock"): 4, ("true-2", "dock"): 4}
    assert best_names(result) == {"true-1": "a"}
    assert "3 of 5" in truth_table(result).title


YOLOX = SHARED / "models" / "yolox_nano.onnx"


@pytest.mark.parametrize("detector", [str(YOLOX), "motion"])
def test_two_real_men_in_two_real_cameras(detector, tmp_path):
    """The man of lab-a is the man in beige of lab-b; the man in black is another. With the model that ships.

    The motion detector loses the man in beige in lab-b and finds him again where he fills the picture: a second name.
    """
    videos = [SHARED / "video" / name for name in ("lab-a.mp4", "lab-b.mp4")]
    if not all(file.is_file() for file in (*videos, YOLOX)):
        pytest.skip(f"real videos and a real detector are not here ({videos[0]}, {YOLOX})")
    from sdk import MultiCameraTracker
    from sdk.video.sources import VideoFiles

    source = VideoFiles(videos)
    tracker = MultiCameraTracker(ReIdentifier(), detector, frame_rate=source.tick_rate)
    sightings = track_videos(source, tracker, tmp_path, source.frame_rates)
    cameras = {}
    for sighting in sightings:
        cameras.setdefault(sighting.identity, set()).add(sighting.camera)
    once_too_often = [] if detector == str(YOLOX) else [["lab-b"]]
    assert sorted(map(sorted, cameras.values())) == [["lab-a", "lab-b"], ["lab-b"], *once_too_often]
    if detector == str(YOLOX):
        assert [sighting.tracks for sighting in sightings] == [1, 1, 1], "no track is lost, no name changes"
        assert set(read_record(tmp_path).reasons) == {("lab-a", 1), ("lab-b", 1), ("lab-b", 2)}
    # Who is who: the man in beige is the nearer, so the taller one in the picture, of lab-b.
    (beige,) = (name for name, seen in cameras.items() if len(seen) == 2)
    heights = {}
    for line in (tmp_path / "tracks.jsonl").open():
        record = json.loads(line)
        if record["camera"] == "lab-b" and record["identity"]:
            heights.setdefault(record["identity"] == beige, []).append(record["box"][3] - record["box"][1])
    assert np.median(heights[True]) > np.median(heights[False])
