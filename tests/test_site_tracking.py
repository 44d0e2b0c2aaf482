"""The benchmark on drawn sites: what is replayed from the cache is what the tracker does with the frames."""

import json
import sys
from functools import partial
from pathlib import Path

import pytest

from sdk import ReIdentifier
from sdk.demo import run_demo
from sdk.tracking.evaluation import evaluate_tracks

SETTINGS = {"cameras": 2, "people": 2, "seconds": 9.0}


@pytest.fixture(scope="module")
def benchmark():
    folder = str(Path(__file__).parents[1] / "benchmarks")
    sys.path.append(folder)
    import site_cache
    import site_tracking

    sys.path.remove(folder)
    return site_cache, site_tracking


@pytest.fixture(scope="module")
def drawn(benchmark, tmp_path_factory):
    return benchmark[0].open_site(tmp_path_factory.mktemp("sites"), seed=4, **SETTINGS)


def test_a_replayed_site_is_tracked_as_its_frames_are(benchmark, drawn, tmp_path):
    _, site_tracking = benchmark
    site, found, truth = drawn
    live, replayed = tmp_path / "live", tmp_path / "replayed"
    replayed.mkdir()
    run_demo(site, ReIdentifier(), live)
    reid = site_tracking.CachedReIdentifier(found["simulated"].embedding(), None)
    site_tracking.replay(site, found["simulated"], reid, replayed)
    first, second = ([json.loads(line) for line in (folder / "tracks.jsonl").open()] for folder in (live, replayed))
    assert len(first) > 100
    assert {record["identity"] for record in first} >= {"person-1"}
    assert first == second
    assert evaluate_tracks(replayed, truth, 0.3).idf1 > 0.8


def test_the_arms_and_the_bound_are_what_they_say(benchmark, drawn):
    _, site_tracking = benchmark
    site, found, truth = drawn
    run = partial(site_tracking.run_arm, site=site, found=found["simulated"], truth=truth, stripes=None)
    whole, tight, greedy = (run(arm) for arm in ({}, {"crop_budget": 5.0}, {"make": site_tracking.NearestCrop}))
    every = run(site_tracking.ARMS["tracker, every crop"])
    assert tight["crops embedded a second"] <= 5.5
    assert tight["crops embedded a second"] < whole["crops embedded a second"] < every["crops embedded a second"]
    best = site_tracking.best_possible(found["simulated"], site, truth)["IDF1"]
    assert greedy["IDF1"] < whole["IDF1"] <= best
    assert best > 0.9
    assert run({}) | {"seconds to replay": 0} == whole | {"seconds to replay": 0}, "constants are put back"
    before = site_tracking.run_before(Path(__file__).parents[1], site, found["simulated"], truth)
    assert before | {"seconds to replay": 0} == whole | {"seconds to replay": 0}
