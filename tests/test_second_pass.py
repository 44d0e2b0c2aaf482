"""A run that has ended, solved once more: `reid track` of files does it at once, `reid associate` later."""

import json

import numpy as np
import pytest

from sdk import MultiCameraTracker, ReIdentifier
from sdk.errors import DataError
from sdk.tracking import TrackerConfig
from sdk.tracking.second_pass import Kept, solve_again
from sdk.tracking.site import SiteModel, SitePrior
from sdk.video.associate import associate, store_features
from sdk.video.features import read_features
from sdk.video.recorder import Recorder
from sdk.video.run import run
from sdk.video.run_folder import RunFolder
from tests.moving import BLUE, RED, ColourEngine, World


def passages(people=12, seed=0, noise=0.45):
    """Everybody passes three cameras twice; who they are, by track."""
    rng = np.random.default_rng(seed)

    def unit(vector):
        return vector / np.linalg.norm(vector)

    looks = [unit(rng.normal(size=48)) for _ in range(people)]
    cameras = {name: 0.8 * unit(rng.normal(size=48)) for name in ("dock", "hall", "yard")}
    kept, owner = [], {}
    for turn in range(2):
        for person in range(people):
            start = 400.0 * turn + 25 * person
            for number, (camera, colour) in enumerate(cameras.items()):
                track = len(kept) + 1
                look = unit(looks[person] + colour + noise * unit(rng.normal(size=48)))
                kept.append(Kept(camera, track, start + 8 * number, start + 8 * number + 5, 20, look))
                owner[camera, track] = person
    return kept, owner


def site():
    return SiteModel(SitePrior.at(0.6))


def test_wrong_names_of_a_run_are_put_right():
    kept, owner = passages()
    rng = np.random.default_rng(1)
    names = {
        track: f"person-{1 + (int(rng.integers(12)) if rng.random() < 0.3 else who)}" for track, who in owner.items()
    }
    found, reasons = solve_again(kept, names, site())
    of = {}
    for track, name in found.items():
        of.setdefault(owner[track], set()).add(name)
    assert all(len(given) == 1 for given in of.values()), of
    assert len(set.union(*of.values())) == 12
    assert reasons.keys() == {track for track in found if found[track] != names[track]}
    assert all(reason["evidence"] is None or np.isfinite(reason["evidence"]) for reason in reasons.values())
    assert solve_again(kept, found, site())[0] == found, "and so they stay"


def test_who_is_known_by_name_stays_and_who_has_none_gets_none():
    kept, owner = passages()
    names = {track: {0: "ann", 1: "bob"}.get(who, f"person-{who}") for track, who in owner.items()}
    stray = next(iter(owner))
    names[stray] = None
    found, _ = solve_again(kept, names, site())
    assert {name for track, name in found.items() if owner[track] == 0} == {"ann"}
    assert {name for track, name in found.items() if owner[track] == 1} == {"bob"}
    assert stray not in found


def record(folder, tmp_path):
    """A run of two who pass two cameras, with wrong names; the folder keeps the features."""
    world = World()
    tracker = MultiCameraTracker(ReIdentifier(ColourEngine()), detector=world, frame_rate=6)
    ticks = [
        (tick / 6, {camera: world.frame((colour, 10 + 4 * (tick % 20), 50))})
        for part, (camera, colour) in enumerate((("dock", BLUE), ("dock", RED), ("lobby", BLUE), ("lobby", RED)))
        for tick in range(40 * part, 40 * part + 20)
    ]
    with (
        RunFolder(folder, "test") as opened,
        Recorder(opened, tracker, {"dock": 6, "lobby": 6}, video=False) as recorder,
    ):
        features = store_features(opened, tracker)
        tracker.add_listener(recorder.listen)
        run(ticks, tracker, [recorder])
        features.close()
    return tracker


def test_a_folder_is_solved_again_and_all_of_it_agrees(tmp_path):
    folder = tmp_path / "run"
    tracker = record(folder, tmp_path)
    kept = read_features(folder)
    assert sorted(zip(kept.camera.tolist(), kept.track.tolist(), strict=True)) == [
        ("dock", 1), ("dock", 2), ("lobby", 1), ("lobby", 2)
    ]  # fmt: skip
    done = associate(folder, tracker.reid, TrackerConfig(distance=1.9))
    assert done.changed > 0, "at a distance of 1.9 all are one person"
    assert len({s.identity for s in done.sightings}) == 1
    done = associate(folder, tracker.reid, TrackerConfig(distance=0.3))
    assert {s.identity for s in done.sightings} == {
        row["identity"] for row in map(json.loads, (folder / "tracks.jsonl").read_text().splitlines())
    }
    assert len({s.identity for s in done.sightings}) == 2
    again = associate(folder, tracker.reid, TrackerConfig(distance=0.3))
    assert again.changed == 0


def test_features_of_another_model_or_none_are_refused(tmp_path):
    folder = tmp_path / "run"
    record(folder, tmp_path)
    with pytest.raises(DataError, match="another model"):
        associate(folder, ReIdentifier())
    with pytest.raises(DataError, match="kept no features; track it again with --store-features"):
        associate(tmp_path, ReIdentifier(ColourEngine()))
