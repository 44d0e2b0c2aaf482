"""The model that ships: small, calibrated, good at drawn people it never saw, and of some use on real ones."""

import numpy as np
import pytest
from typer.testing import CliRunner

from sdk import ReIdentifier
from sdk.cli import build_app
from sdk.engines import DEFAULT_MODEL, load_engine, read_metadata
from sdk.simulation.crops import draw_crop
from training.data import PeopleDataset
from training.evaluation import evaluate_dataset, evaluate_ranking

UNSEEN = 987_654
"""A seed that no model was trained on."""


@pytest.fixture(scope="module")
def reid():
    return ReIdentifier()


def test_it_ships_and_is_small():
    assert DEFAULT_MODEL.stat().st_size <= 20e6
    metadata = load_engine().metadata
    assert metadata.threshold["true_match_rate"] > 0.7
    assert metadata.evaluation["rank1"] > 0.9


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_it_becomes_an_engine(precision, drawn_people, tmp_path):
    pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX has no package for this platform")
    path = tmp_path / "shipped.engine"
    options = {"fp32": [], "fp16": ["--fp16"], "int8": ["--int8", "--calibration", str(drawn_people)]}[precision]
    result = CliRunner().invoke(
        build_app(), ["convert", str(DEFAULT_MODEL), "-o", str(path), "--target", "rtx", *options]
    )
    assert result.exit_code == 0, result.output
    built, shipped = read_metadata(path), read_metadata(DEFAULT_MODEL)
    assert built.precision == read_metadata(path.with_suffix(".onnx")).precision == precision
    assert built.checkpoint_sha256 == shipped.checkpoint_sha256
    assert built.threshold["value"] == pytest.approx(shipped.threshold["value"], abs=0.03)


def test_it_tells_unseen_drawn_people_apart(reid):
    crops = [draw_crop(UNSEEN, 3 * i, camera, view) for i in range(20) for camera in (0, 1) for view in (0, 3)]
    labels, cameras = np.repeat(np.arange(20), 4), np.tile([0, 0, 1, 1], 20)
    features = reid.embed(crops).embedding
    result = evaluate_ranking(features, features, labels, labels, cameras, cameras, cross_camera=True)
    assert result.rank(1) > 0.8


def test_half_of_the_people_enrolled_the_other_half_unknown(reid):
    """Open set: known people are named, strangers mostly are not."""
    for i in range(15):
        reid.enroll([draw_crop(UNSEEN, 3 * i, 0, view) for view in range(4)], identity=f"p{i}")
    known = reid.match([draw_crop(UNSEEN, 3 * i, 1, 1) for i in range(15)])
    strangers = reid.match([draw_crop(UNSEEN, 3 * i, 1, 1) for i in range(15, 30)])
    right = sum(m.identity == f"p{i}" for i, m in enumerate(known))
    assert right >= 12
    assert sum(m.identity is None for m in strangers) >= 8


def test_it_recognises_real_people_whom_it_never_saw(reid, real_people):
    evaluation = evaluate_dataset(lambda crops: reid.embed(crops).embedding, PeopleDataset.from_folder(real_people))
    assert evaluation.ranking.rank(1) > 0.6
    assert evaluation.ranking.mean_ap > 0.42
