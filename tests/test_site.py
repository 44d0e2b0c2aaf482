"""A drawn site: its plan holds together, people walk as people do, and the truth is what the frames show."""

import json

import cv2
import numpy as np
import pytest
from trackers.eval import evaluate_mot_sequence

from sdk.errors import DataError
from sdk.simulation.site import Site, Truth, write_site
from sdk.simulation.site.detector import detect
from sdk.simulation.site.plan import FloorPlan
from sdk.simulation.site.viewpoint import Placement, Viewpoint
from sdk.simulation.site.walks import EMPTY_SECONDS, simulate_walks
from sdk.simulation.site.writing import mot_lines


@pytest.mark.parametrize("cameras", [1, 2, 3, 4, 7, 16])
def test_every_room_has_a_camera_and_a_way_to_every_other(cameras):
    plan = FloorPlan.sample(3, cameras)
    assert len(plan.cameras) == cameras
    assert set(plan.camera_rooms) == set(range(len(plan.rooms)))
    for placement, number in zip(plan.cameras, plan.camera_rooms, strict=True):
        assert plan.rooms[number].holds(*placement.position)
        assert plan.rooms[number].holds(*placement.target)
    for end in range(len(plan.rooms)):
        room = 0
        for passage in plan.way(0, end):
            assert room in passage.rooms
            room = sum(passage.rooms) - room
        assert room == end
    assert len(plan.doors) >= 2


def test_passages_and_doors_are_gaps_in_the_walls():
    plan = FloorPlan.sample(0, 6)
    walls = plan.walls()
    for passage in (*plan.passages, *plan.doors):
        nearest = np.clip(passage.middle, walls[:, :2], walls[:, 2:])
        gap = np.hypot(*(nearest - passage.middle).T).min()
        assert gap == pytest.approx(passage.width / 2, abs=1e-6)
        for room in passage.rooms:
            place = passage.beside(room, 0.5)
            assert plan.room_at(*map(np.array, place)) == room


def test_a_camera_projects_as_geometry_says():
    level = Viewpoint.of(Placement((0.0, 0.0), 0.9, (5.0, 0.0), np.pi / 2), (480, 640))
    # Along x, at the height that it looks at: the middle. 90° across: 45° off the axis is the edge.
    np.testing.assert_allclose(level.project([[4, 0, 0.9]]), [[320, 240, 4]], atol=1e-9)
    right, higher = level.project([[4, 4, 0.9], [4, 0, 1.9]])
    np.testing.assert_allclose(right[:2], [640, 240], atol=1e-9)
    np.testing.assert_allclose(higher[:2], [320, 240 - 320 / 4], atol=1e-9)
    assert level.shows(np.array([[4, 0, 1], [-4, 0, 1], [4, 5, 1]])).tolist() == [True, False, False]
    tilted = Viewpoint.of(Placement((1.0, 2.0), 2.7, (5.0, 4.0), 1.2), (480, 640))
    point = tilted.origin + 3.7 * tilted.rays()[100, 500]
    np.testing.assert_allclose(tilted.project(point[None]), [[500.5, 100.5, 3.7]], atol=1e-9)


def test_people_walk_through_openings_and_round_each_other():
    plan = FloorPlan.sample(1, 4)
    walks = simulate_walks(plan, 20, 90.0, seed=1)
    place = walks.position
    here = ~np.isnan(place[..., 0])
    assert here.any(axis=0).all(), "everybody comes"
    assert not here[: int(EMPTY_SECONDS / 0.1)].any(), "nobody comes at first"
    returns = (here[1:] & ~here[:-1]).sum(axis=0)
    assert (returns > 1).any(), "somebody comes back"
    outside = plan.room_at(place[..., 0], place[..., 1]) == -1
    assert (outside & here).mean() < 0.1
    # Nobody steps from room to room but through a gap.
    gaps = np.array([passage.middle for passage in (*plan.passages, *plan.doors)])
    rooms = np.where(here, plan.room_at(place[..., 0], place[..., 1]), -2)
    changes = np.argwhere((rooms[1:] != rooms[:-1]) & (rooms[1:] > -2) & (rooms[:-1] > -2))
    assert len(changes) > 20
    for step, person in changes:
        assert np.hypot(*(gaps - place[step, person]).T).min() < 1.1
    rooms_of_each = [len(set(rooms[:, i]) - {-1, -2}) for i in range(20)]
    assert np.mean(rooms_of_each) > 1.5
    apart = np.hypot(*np.moveaxis(place[:, :, None] - place[:, None], -1, 0))
    apart[:, np.arange(20), np.arange(20)] = np.nan
    assert np.nanquantile(apart, 0.001) > 0.2, "people do not walk through each other"
    assert np.nanmax(walks.speed) <= 1.7 + 1e-9


@pytest.fixture(scope="module")
def watched():
    site = Site(seed=0, cameras=3, people=5, seconds=24, size=(240, 320))
    return site, list(site)


def test_the_first_seconds_are_empty_and_then_people_are_seen_by_several_cameras(watched):
    site, ticks = watched
    assert len(ticks) == site.ticks == 240
    seen, at_once = {}, 0
    for time, frames, truth in ticks:
        for camera, frame in frames.items():
            assert frame.shape == (240, 320, 3)
            if time < EMPTY_SECONDS:
                assert truth[camera].identities == []
            for name in truth[camera].identities:
                seen.setdefault(name, set()).add(camera)
        names = [n for t in truth.values() for n, v in zip(t.identities, t.visibility, strict=True) if v > 0.8]
        at_once += len(names) - len(set(names))
    assert len(seen) == 5
    assert max(map(len, seen.values())) == 3
    assert at_once > 20, "somebody is in plain view of two cameras at once"


def test_true_boxes_lie_on_what_was_drawn(watched):
    """Inside the box of somebody in plain view the picture differs from the empty site; away from boxes it does not."""
    _, ticks = watched
    empty = {camera: np.mean([frames[camera] for _, frames, _ in ticks[:15]], axis=0) for camera in ticks[0][1]}
    checked = 0
    for _, frames, truth in ticks[20::12]:
        for camera, frame in frames.items():
            boxes = truth[camera].boxes
            assert ((boxes[:, :2] >= 0) & (boxes[:, 2:] <= (320, 240))).all()
            change = cv2.blur(np.abs(frame - empty[camera]).mean(axis=2), (5, 5)) > 15
            outside = change.copy()
            for (x0, y0, x1, y1), visibility in zip(boxes.astype(int), truth[camera].visibility, strict=True):
                if visibility > 0.6:
                    assert change[y0:y1, x0:x1].mean() > 0.1
                    checked += 1
                around = int(0.3 * (y1 - y0))  # shadows reach beyond
                outside[max(0, y0 - 6) : y1 + around, max(0, x0 - around) : x1 + around] = False
            assert outside.mean() < 0.01
    assert checked > 30


def test_visibility_tells_who_is_hidden(watched):
    _, ticks = watched
    values = np.concatenate([truth.visibility for _, _, truths in ticks for truth in truths.values()])
    assert ((values >= 0) & (values <= 1)).all()
    assert (values > 0.95).mean() > 0.3
    assert (values < 0.5).any()


def test_every_visit_to_a_camera_is_a_new_track(watched):
    _, ticks = watched
    for camera in ticks[0][1]:
        owner, last, visits = {}, {}, 0
        for time, _, truths in ticks:
            truth = truths[camera]
            for name, track in zip(truth.identities, truth.tracks.tolist(), strict=True):
                assert owner.setdefault(track, name) == name, "a track is one person"
                if name in last and time - last[name][1] > 1.05:
                    assert track != last[name][0]
                    visits += 1
                elif name in last:
                    assert track == last[name][0]
                last[name] = track, time
        assert sorted(owner) == list(range(1, len(owner) + 1))


def test_a_site_repeats_and_seeds_differ(watched):
    site, ticks = watched
    for (_, again, _), (_, frames, _) in zip(site, ticks[:45], strict=False):
        for camera in frames:
            np.testing.assert_array_equal(again[camera], frames[camera])
    other = next(iter(Site(seed=1, cameras=3, people=5, seconds=1, size=(240, 320))))[1]
    assert np.abs(other["camera-1"].astype(float) - ticks[0][1]["camera-1"]).mean() > 5


def test_a_site_on_disk(tmp_path):
    site = Site(seed=2, cameras=2, people=3, seconds=7, size=(240, 320))
    write_site(tmp_path / "site", site)
    records = [json.loads(line) for line in (tmp_path / "site/truth/tracks.jsonl").open()]
    description = json.loads((tmp_path / "site/site.json").read_text())
    assert description["settings"]["seed"] == 2
    assert cv2.imread(str(tmp_path / "site/plan.png")).shape[0] > 300
    compared = 0
    for camera in site.camera_names:
        video = cv2.VideoCapture(str(tmp_path / f"site/{camera}.mp4"))
        assert video.get(cv2.CAP_PROP_FRAME_COUNT) == site.ticks == 70
        assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(10)
        mot = tmp_path / f"site/truth/{camera}.txt"
        here = [record for record in records if record["camera"] == camera]
        lines = mot.read_text().splitlines()
        assert len(lines) == len(here)
        for line, record in zip(lines, here, strict=True):
            frame, number, left, top, width, height, counts, kind, visibility = map(float, line.split(","))
            assert (frame - 1, f"true-{number:.0f}", counts, kind) == (record["frame"], record["identity"], 1, 1)
            assert [left, top, left + width, top + height] == record["box"]
            assert visibility == pytest.approx(record["visibility"], abs=1e-3)
        if here:
            assert pytest.approx(1) == evaluate_mot_sequence(mot, mot, metrics=["HOTA"]).HOTA.HOTA
        # The projection matrix takes where somebody stands to the foot of their box.
        matrix = np.array(description["cameras"][camera]["projection"])
        for record in here:
            person = int(record["identity"].removeprefix("true-")) - 1
            (x, y), *_ = site.walks.at(record["time"], person)
            foot = matrix @ (x, y, 0, 1)
            if record["visibility"] > 0.97:
                left, top, right, bottom = record["box"]
                assert left - 8 < foot[0] / foot[2] < right + 8
                assert abs(foot[1] / foot[2] - bottom) < 0.12 * (bottom - top)
                compared += 1
    assert compared > 10
    with pytest.raises(DataError, match="not empty"):
        write_site(tmp_path / "site", site)


def test_an_interrupted_site_keeps_what_was_drawn(tmp_path, monkeypatch):
    whole = Site.__iter__

    def interrupted(site):
        for number, tick in enumerate(whole(site)):
            if number == 5:
                raise KeyboardInterrupt
            yield tick

    monkeypatch.setattr(Site, "__iter__", interrupted)
    write_site(tmp_path / "site", Site(cameras=1, people=1, seconds=4, size=(120, 160)))
    assert cv2.VideoCapture(str(tmp_path / "site/camera-1.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) == 5


@pytest.mark.parametrize(
    ("settings", "named"),
    [({"cameras": 0}, "camera"), ({"people": 0}, "person"), ({"seconds": 0}, "0 s"), ({"size": (32, 32)}, "32×32")],
)
def test_an_impossible_site_is_refused(settings, named):
    with pytest.raises(DataError, match=named):
        Site(**settings)


TRUTH = Truth(
    boxes=np.float32([[10, 20, 50, 120], [100, 20, 140, 120], [200, 20, 240, 120]]),
    identities=["true-1", "true-2", "true-3"],
    tracks=np.array([1, 2, 3]),
    visibility=np.float32([1.0, 0.9, 0.1]),
)


def test_truth_in_motchallenge_text():
    assert mot_lines(0, TRUTH).splitlines()[1] == "1,2,100,20,40,100,1,1,0.900"
    nobody = Truth(np.empty((0, 4), np.float32), [], np.empty(0, int), np.empty(0, np.float32))
    assert mot_lines(0, nobody) == ""


def test_the_simulated_detector_is_exact_without_faults_and_bad_with_severe_ones():
    boxes, confidence = detect(TRUTH, (240, 320), np.random.default_rng(0), misalignment=0)
    np.testing.assert_array_equal(boxes, TRUTH.boxes[:2], "who is hidden is not found")
    assert ((confidence > 0) & (confidence <= 1)).all()

    def error(misalignment):
        rng = np.random.default_rng(1)
        found = [detect(TRUTH, (240, 320), rng, misalignment)[0] for _ in range(200)]
        off = [np.abs(boxes - TRUTH.boxes[:2]).mean() for boxes in found if len(boxes) == 2]
        assert all((b[:, :2] >= 0).all() and (b[:, 2:] <= (320, 240)).all() for b in found)
        return np.mean(off), np.mean([len(boxes) for boxes in found])

    (usual, found), (severe, found_severe) = error(0.25), error(1.0)
    assert 0 < usual < severe / 2
    assert found > found_severe > 1.2
    with pytest.raises(DataError, match="misalignment"):
        detect(TRUTH, (240, 320), np.random.default_rng(0), 2)
