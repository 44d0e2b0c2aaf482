"""Thresholds with intervals, the test with strangers, cameras' statistics, and the model file that keeps them."""

import json

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner

from converters.calibrated import write_calibrated
from sdk import ReIdentifier
from sdk.calibration import (
    CameraStatistics,
    calibrate_threshold,
    evaluate_open_set,
    pair_distances,
    threshold_intervals,
)
from sdk.calibration import pairs as pairs_module
from sdk.calibration.picture import CHOSEN, draw_calibration
from sdk.calibration.report import measure_calibration
from sdk.cli import build_app
from sdk.engines import DEFAULT_MODEL
from sdk.errors import DataError, GalleryError
from sdk.folder import read_folder, read_image
from sdk.tracking.site import SitePrior


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def site(seed, people=40, crops=3, noise=0.16, dimensions=32, offset=0.0):
    """People in two cameras: embedding, labels, cameras."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(people), 2 * crops)
    cameras = np.tile(np.repeat(["a", "b"], crops), people)
    features = unit(rng.normal(size=(people, dimensions)))[labels] + noise * rng.normal(size=(len(labels), dimensions))
    return unit(features + offset * (cameras == "b")[:, None] * unit(rng.normal(size=dimensions))), labels, cameras


def test_pairs_are_across_cameras_and_know_their_people(monkeypatch):
    embedding, labels, cameras = site(0, people=5)
    pairs = pair_distances(embedding, np.array(list("edcba"))[labels], cameras)
    assert len(pairs.genuine) == 5 * 9
    assert len(pairs.impostor) == 5 * 4 * 9
    assert (pairs.impostor_people[:, 0] != pairs.impostor_people[:, 1]).all()
    assert np.bincount(pairs.genuine_people).tolist() == [9] * 5
    assert pairs.genuine.mean() < pairs.impostor.mean() - 0.3
    monkeypatch.setattr(pairs_module, "MOST_CROPS", 10)
    fewer = pair_distances(embedding, labels, cameras)
    assert 0 < len(fewer.genuine) + len(fewer.impostor) <= 45


def test_the_intervals_hold_the_rates_of_people_to_come():
    """Of thresholds that are calibrated on 30 people each, nine in ten or more have the truth in their interval."""
    everybody = pair_distances(*site(1000, people=400, crops=1))
    inside, wide = [], []
    for seed in range(40):
        pairs = pair_distances(*site(seed, people=30))
        value = float(np.quantile(pairs.impostor, 0.05))
        interval = threshold_intervals(pairs, value, 0.05, seed=seed)
        true_rate = (everybody.impostor <= value).mean()
        inside.append(interval.false_match_rate[0] <= true_rate <= interval.false_match_rate[1])
        wide.append(np.subtract(*interval.value[::-1]))
        assert interval.value[0] <= value <= interval.value[1]
        assert interval.people == 30
    assert np.mean(inside) >= 0.8
    many = pair_distances(*site(0, people=120))
    narrow = threshold_intervals(many, float(np.quantile(many.impostor, 0.05)), 0.05)
    assert np.subtract(*narrow.value[::-1]) < np.mean(wide)


def slow_open_set(embedding, labels, cameras, enrolled, limit):
    """(TPIR, FPIR), probe by probe."""
    known, strangers = [], []
    for row in range(len(labels)):
        others = [i for i in range(len(labels)) if cameras[i] != cameras[row] and labels[i] in enrolled]
        distance = [1 - embedding[row] @ embedding[i] for i in others]
        nearest = int(np.argmin(distance))
        if labels[row] in enrolled:
            known.append(labels[others[nearest]] == labels[row] and distance[nearest] <= limit)
        else:
            strangers.append(distance[nearest] <= limit)
    return np.mean(known), np.mean(strangers)


def test_the_test_with_strangers_equals_a_slow_reference():
    embedding, labels, cameras = site(3, people=8, noise=0.25, dimensions=8)
    found = evaluate_open_set(embedding, labels, cameras, threshold=0.3, rates=(0.2, 0.01), seed=5)
    rng, expected = np.random.default_rng(5), []
    for _ in range(found.rounds):
        enrolled = set(rng.permutation(8)[:4].tolist())
        expected.append(slow_open_set(embedding, labels, cameras, enrolled, 0.3))
    true_positive, false_positive = np.mean(expected, axis=0)
    assert found.true_positive_at_threshold == pytest.approx(true_positive)
    assert found.false_positive_at_threshold == pytest.approx(false_positive)
    assert found.stranger_probes == 24
    assert (found.enrolled, found.strangers) == (4, 4)
    assert found.rank1 >= found.true_positive[0] >= found.true_positive[1]
    for rate, share in zip(found.rates, found.true_positive, strict=True):
        shares = []
        rng = np.random.default_rng(5)
        for _ in range(found.rounds):  # the loosest limit that keeps the rate
            enrolled = set(rng.permutation(8)[:4].tolist())
            limits = np.linspace(0, 1.5, 400)
            rates = [slow_open_set(embedding, labels, cameras, enrolled, limit) for limit in limits[::20]]
            shares.append(max(t for t, f in rates if f <= rate))
        assert np.mean(shares) <= share + 1e-9


def test_strangers_need_people_and_cameras():
    embedding, labels, cameras = site(0, people=3)
    with pytest.raises(DataError, match="3 people are too few"):
        evaluate_open_set(embedding, labels, cameras, 0.3)
    embedding, labels, cameras = site(0, people=6)
    with pytest.raises(DataError, match="two cameras"):
        evaluate_open_set(embedding, labels, np.full(len(labels), "a"), 0.3)


def test_what_a_camera_adds_is_taken_away():
    shifted, labels, cameras = site(0, offset=1.0)
    before, after = (
        measure_calibration(shifted, labels, cameras, 0.01, per_camera).threshold.true_match_rate
        for per_camera in (False, True)
    )
    assert after > before + 0.2
    statistics = CameraStatistics.fit(shifted, cameras)
    features = statistics.normalise(shifted, cameras)
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-6)
    again = CameraStatistics.from_dict(json.loads(json.dumps(statistics.to_dict())))
    np.testing.assert_allclose(again.normalise(shifted, cameras), features, atol=1e-5)
    one = statistics.normalise(shifted[:1], cameras[:1])
    np.testing.assert_allclose(one, features[:1], atol=1e-6, err_msg="a crop's features depend on its camera alone")
    constant = np.concatenate([shifted, np.full((len(shifted), 1), 0.5)], axis=1)
    assert np.isfinite(CameraStatistics.fit(constant, cameras).normalise(constant, cameras)).all()


def test_cameras_with_few_crops_are_named():
    embedding, *_ = site(0)
    with pytest.raises(DataError, match="camera 'b' has 5 crops"):
        CameraStatistics.fit(embedding[:45], ["a"] * 40 + ["b"] * 5)
    with pytest.raises(DataError, match="damaged statistics"):
        CameraStatistics.from_dict({"a": {"mean": [1.0]}})


def test_the_picture_marks_the_threshold():
    pairs = pair_distances(*site(0))
    picture = draw_calibration(pairs, 0.4)
    assert picture.dtype == np.uint8
    assert (np.abs(picture.astype(int) - CHOSEN).max(axis=-1) < 12).sum() > 100
    assert not np.array_equal(picture, draw_calibration(pairs, 0.8))


def run(*arguments):
    return CliRunner().invoke(build_app(), [str(argument) for argument in arguments])


def test_the_command_writes_a_model_that_matches_at_the_threshold(small_onnx, drawn_people, tmp_path):
    output, picture, figures = tmp_path / "calibrated.onnx", tmp_path / "c.png", tmp_path / "deep" / "c.json"
    command = ("calibrate", "--model", small_onnx, "--data", drawn_people, "--false-match-rate", 0.1)
    result = run(*command, "-o", output, "--picture", picture, "--json", figures)
    assert result.exit_code == 0, result.output
    assert read_image(picture).size
    threshold = json.loads(figures.read_text(encoding="utf-8"))["threshold"]
    reid, before = ReIdentifier(output), ReIdentifier(small_onnx, threshold=0)
    assert reid.threshold == pytest.approx(threshold["value"])
    assert reid.tracklet_threshold == pytest.approx(threshold["tracklet_value"])
    assert reid.engine.metadata.threshold["data"] == drawn_people.name
    assert reid.engine.metadata.cameras is None
    assert reid.engine.metadata.site_prior is None
    assert "no prior for a tracker: 48 pairs of one person in two cameras are too few" in " ".join(
        result.output.split()
    )
    crops = [read_image(sample.path) for sample in read_folder(drawn_people)[:5]]
    np.testing.assert_array_equal(reid.embed(crops).embedding, before.embed(crops).embedding)
    first, second = (onnx.load(path).graph for path in (small_onnx, output))
    assert first == second
    write_calibrated(output, output, {"value": 0.25, "tracklet_value": 0.5})
    assert ReIdentifier(output).threshold == 0.25
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--false-match-rate", 0), "--false-match-rate 0.0: a share of pairs"),
        (("-o", "calibrated.engine"), r"calibrated.engine: a calibration is written into .onnx files"),
        (("-o", "/dev/null/calibrated.onnx"), "/dev/null/calibrated.onnx: cannot be written"),
        (("--per-camera",), "camera '00' has"),
    ],
)
def test_the_command_refuses_what_cannot_be(small_onnx, drawn_people, tmp_path, arguments, message):
    few = tmp_path / "few"
    few.mkdir()
    for identity in sorted(drawn_people.iterdir())[:5]:
        if identity.is_dir():
            (few / identity.name).symlink_to(identity)
    result = run("calibrate", "--model", small_onnx, "--data", few, *arguments)
    assert isinstance(result.exception, DataError)
    with pytest.raises(DataError, match=message):
        raise result.exception


def test_on_real_people_the_rate_holds_for_others_within_a_factor_of_two(real_people):
    """Calibrated on one half of the people, asked of the other: the mean rate of ten such halves."""
    samples = read_folder(real_people)
    features = ReIdentifier(threshold=0).embed([read_image(sample.path) for sample in samples]).embedding
    labels, cameras = np.array([s.identity for s in samples]), np.array([s.camera for s in samples])
    people, rates = np.unique(labels), []
    for seed in range(10):
        half = np.isin(labels, np.random.default_rng(seed).permutation(people)[: len(people) // 2])
        value = calibrate_threshold(features[half], labels[half], cameras[half]).value
        rates.append((pair_distances(features[~half], labels[~half], cameras[~half]).impostor <= value).mean())
    assert 0.005 <= np.mean(rates) <= 0.02


def test_a_model_that_is_calibrated_per_camera_takes_away_what_they_add(drawn_people, tmp_path):
    samples = read_folder(drawn_people)
    crops, cameras = [read_image(sample.path) for sample in samples], [sample.camera for sample in samples]
    plain = ReIdentifier().embed(crops).embedding
    statistics = CameraStatistics.fit(plain, cameras)
    path = tmp_path / "site.onnx"
    write_calibrated(DEFAULT_MODEL, path, {"value": 0.6}, statistics)
    reid = ReIdentifier(path, gallery=tmp_path / "site.db")
    expected = statistics.normalise(plain, cameras)
    np.testing.assert_allclose(reid.embed(crops, cameras).embedding, expected, atol=1e-5)
    for camera in (None, "a new one"):  # less is known of it, but it is no error
        other = reid.embed(crops[:2], camera).embedding
        assert 0.5 < (other * expected[:2]).sum(axis=1).min() < 0.999
    reid.enroll(crops[:4], identity="ann", camera=cameras[0])
    (match,) = reid.match(crops[2:3], taken_by=cameras[2])
    assert (match.identity, match.distance) == ("ann", pytest.approx(0, abs=1e-5))
    reid.gallery.close()
    with pytest.raises(GalleryError, match="holds features of model"):
        ReIdentifier(gallery=tmp_path / "site.db")


def test_a_model_that_is_calibrated_on_enough_people_keeps_what_a_tracker_begins_with(
    small_onnx, drawn_people, monkeypatch, tmp_path
):
    monkeypatch.setattr("sdk.calibration.site.LEAST_PAIRS", 20)
    result = run("calibrate", "--model", small_onnx, "--data", drawn_people, "-o", tmp_path / "c.onnx")
    assert result.exit_code == 0, result.output
    assert "evidence of two tracklets" in result.output
    metadata = ReIdentifier(tmp_path / "c.onnx").engine.metadata
    prior = SitePrior.of(metadata, 0.5)
    assert (prior.data, prior.mean.shape) == (drawn_people.name, (metadata.embedding_dim,))
