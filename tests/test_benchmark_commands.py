"""`reid train` and `reid evaluate` on research datasets, in miniature."""

import json
import sys

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from sdk.engines import DEFAULT_MODEL
from sdk.errors import DataError
from sdk.measures import cosine
from sdk.reidentifier import Features
from tests.test_benchmarks import SMALL
from training import commands
from training.checkpoint import load_checkpoint
from training.data import LAYOUTS
from training.embedder import cosine_on

SMALL_RUN = ("--width", 8, "--height", 64, "--epochs", 1, "--batch-identities", 2, "--batch-images", 2)


@pytest.fixture
def data(tmp_path, monkeypatch):
    """LAYOUT → what `--data` is given for its miniature; the table's counts are then the miniatures'."""
    for name, (write, load) in SMALL.items():
        write(tmp_path / name)
        monkeypatch.setitem(LAYOUTS, name, load)
    return {name: f"{name}:{tmp_path / name}" for name in SMALL}


@pytest.fixture
def reid(monkeypatch):
    """Runs a command; gives what `reid evaluate` prints, figures by name. Errors are raised as they are."""
    app = typer.Typer()
    commands.register(app)
    printed = []
    module = sys.modules["training.commands.evaluate"]
    monkeypatch.setattr(module, "print_evaluations", printed.append)
    monkeypatch.setattr(module, "print_rankings", printed.append)

    def run(*arguments):
        printed.clear()
        result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return printed[0] if printed else None

    return run


def test_each_dataset_is_tested_by_its_own_protocol(reid, data, small_run):
    model = small_run / "model.pt"
    queries = {name: reid("evaluate", model, "--data", data[name])["global"]["queries"] for name in data}
    assert queries == {"market1501": 2, "mars": 2, "cuhk03": 4, "cuhk03-classic": 400, "cuhk-sysu": 2}
    assert reid("evaluate", model, "--data", data["cuhk03-classic"], "--split", "all")["global"]["queries"] == 600


def test_the_options_of_a_protocol_change_its_figures(reid, data, small_run, monkeypatch):
    def figures(name, *options):
        return reid("evaluate", small_run / "model.pt", "--data", data[name], *options)

    # By colour the rankings are those of tests/test_benchmarks.py.
    from tests.miniatures import by_colour
    from training.embedder import TorchEmbedder

    monkeypatch.setattr(TorchEmbedder, "features", lambda self, crops: by_colour(crops))
    assert figures("market1501")["global"]["rank1"] == 0.5
    assert figures("market1501", "--multi-query")["global"]["rank1"] == 1.0
    assert figures("cuhk-sysu")["global"]["rank1"] == 0.5
    assert figures("cuhk-sysu", "--gallery-size", 50)["global"]["rank1"] == 1.0
    both = figures("market1501", "--rescore", "--rerank")
    assert list(both) == ["global", "+ local distance", "+ re-ranking", "+ both"]
    assert both["global"]["rank1"] == 0.5
    assert figures("cuhk-sysu", "--rerank")["+ re-ranking"]["queries"] == 2


def test_an_onnx_model_is_tested_but_cannot_rescore(reid, data):
    figures = reid("evaluate", DEFAULT_MODEL, "--data", data["mars"], "--rerank")
    assert {name: figure["queries"] for name, figure in figures.items()} == {"global": 2, "+ re-ranking": 2}
    with pytest.raises(DataError, match="no stripes"):
        reid("evaluate", DEFAULT_MODEL, "--data", data["mars"], "--rescore")


@pytest.mark.parametrize(
    ("layout", "options", "message"),
    [
        ("mars", ["--multi-query"], "multi-query is for Market-1501"),
        ("mars", ["--gallery-size", 50], "--gallery-size means nothing to mars"),
        ("cuhk-sysu", ["--split", "0"], "--split means nothing to cuhk-sysu"),
        (None, ["--multi-query"], "test of a research dataset"),
        (None, ["--gallery-size", 50], "test of a research dataset"),
        (None, ["--split", "0"], "cuhk03-classic alone"),
    ],
)
def test_options_that_mean_nothing_here_are_refused(reid, data, drawn_people, small_run, layout, options, message):
    where = data[layout] if layout else drawn_people
    with pytest.raises(DataError, match=message):
        reid("evaluate", small_run / "model.pt", "--data", where, *options)


def test_a_device_ranks_as_numpy_does(reid, data, small_run):
    features = Features(np.eye(4, dtype=np.float32)[[0, 1, 2, 0, 3]])
    rows = cosine_on("cpu")(features, features)(slice(1, 4))
    np.testing.assert_array_equal(rows.numpy(), cosine(features, features)(slice(1, 4)))
    with pytest.raises(DataError, match="--device nowhere: no such device"):
        reid("evaluate", small_run / "model.pt", "--data", data["mars"], "--device", "nowhere")
    with pytest.raises(DataError, match="no GPU here"):
        reid("train", "--data", data["mars"], "--device", "cuda:9", "-o", small_run / "other")


def test_a_folder_can_be_rescored_and_re_ranked(reid, drawn_people, small_run, tmp_path):
    plain = reid("evaluate", small_run / "model.pt", "--data", drawn_people)["global"]
    path = tmp_path / "out" / "figures.json"
    again = reid("evaluate", small_run / "model.pt", "--data", drawn_people, "--rescore", "--rerank", "-o", path)
    assert "threshold" in plain
    assert again["global"] == pytest.approx({name: plain[name] for name in again["global"]}, abs=1e-6)
    assert {figures["queries"] for figures in again.values()} == {96}
    assert len({figures["mAP"] for figures in again.values()}) == 4
    assert json.loads(path.read_text(encoding="utf-8")) == again


def test_training_on_a_union_holds_people_of_it_out(reid, data, drawn_people, tmp_path):
    run = tmp_path / "run"
    union = ("--data", data["market1501"], "--data", drawn_people, "--data", data["cuhk-sysu"])
    reid("train", *union, "--hold-out", 6, "-o", run, *SMALL_RUN)
    checkpoint = load_checkpoint(run / "model.pt")
    held_out = checkpoint.evaluation["identities"]
    everybody = set(checkpoint.identities) | set(held_out)
    assert len(everybody) == 2 + 12 + 2
    assert {"market1501/0002", "cuhk-sysu/p1"} < everybody
    assert "market1501" in checkpoint.config.train.data
    assert "cuhk-sysu" in checkpoint.config.train.data
    of_folder = sum(name.startswith("drawn/") for name in held_out)
    assert (
        reid("evaluate", run / "model.pt", "--data", drawn_people, "--held-out")["global"]["queries"] == 8 * of_folder
    )


def test_training_on_one_dataset_takes_its_training_people(reid, data, tmp_path):
    run = tmp_path / "run"
    reid("train", "--data", data["cuhk03-classic"], "--split", "1", "--hold-out", 2, "-o", run, *SMALL_RUN)
    checkpoint = load_checkpoint(run / "model.pt")
    names = sorted(checkpoint.identities + checkpoint.evaluation["identities"])
    assert names == ["cuhk03/1_001", "cuhk03/1_002", "cuhk03/1_003", "cuhk03/2_003"]
    held_out = ("--data", data["cuhk03-classic"], "--split", "1", "--held-out")
    assert reid("evaluate", run / "model.pt", *held_out)["global"]["queries"] == checkpoint.evaluation["queries"]
    with pytest.raises(DataError, match="cuhk03-classic alone"):
        reid("train", "--data", data["mars"], "--split", "1", "-o", tmp_path / "other", *SMALL_RUN)
    with pytest.raises(DataError, match="both named 'mars'"):
        reid("train", "--data", data["mars"], "--data", data["mars"], "-o", tmp_path / "other", *SMALL_RUN)


def test_an_unknown_layout_is_taken_for_a_folder_and_refused(reid, small_run):
    with pytest.raises(DataError, match=r"duke:/data: no such folder.*market1501, cuhk03"):
        reid("evaluate", small_run / "model.pt", "--data", "duke:/data")
