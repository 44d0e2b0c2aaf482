"""`reid train` and `reid evaluate` on research datasets, in miniature."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from sdk.engines import DEFAULT_MODEL
from sdk.errors import DataError
from sdk.measures import cosine
from sdk.reidentifier import Features
from tests.miniatures import by_colour
from tests.test_benchmarks import SMALL
from training import commands
from training.checkpoint import load_checkpoint, save_checkpoint
from training.commands.options import print_rankings
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
    monkeypatch.setattr(
        sys.modules["training.commands.benchmark"].results, "print", lambda text, **_: printed.append(text)
    )

    def run(*arguments):
        printed.clear()
        result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return printed[0] if printed else None

    return run


def test_each_dataset_is_tested_by_its_own_protocol(reid, data, small_run):
    model = small_run / "model.pt"
    queries = {name: reid("evaluate", model, "--data", data[name])["global"]["queries"] for name in data}
    splits = {"viper": 20, "prid450s": 20, "grid": 20, "cuhk01": 20}
    assert {name: queries.pop(name) for name in splits} == splits, "two people in each of ten splits"
    assert 20 < queries.pop("ilids") < 50
    assert queries == {"market1501": 2, "mars": 2, "cuhk03": 4, "cuhk03-classic": 400, "cuhk-sysu": 2, "msmt17": 2}
    assert reid("evaluate", model, "--data", data["cuhk03-classic"], "--split", "all")["global"]["queries"] == 600


def test_the_options_of_a_protocol_change_its_figures(reid, data, small_run, monkeypatch):
    def figures(name, *options):
        return reid("evaluate", small_run / "model.pt", "--data", data[name], *options)

    # By colour the rankings are those of tests/test_benchmarks.py.
    from training.embedder import TorchEmbedder

    monkeypatch.setattr(TorchEmbedder, "features", lambda self, crops: by_colour(crops))
    assert figures("market1501")["global"]["rank1"] == 0.5
    assert figures("market1501", "--multi-query")["global"]["rank1"] == 1.0
    assert figures("cuhk-sysu")["global"]["rank1"] == 0.5
    assert figures("cuhk-sysu", "--gallery-size", 50)["global"]["rank1"] == 1.0
    both = figures("market1501", "--rescore", "--rerank")
    assert list(both) == ["global", "+ local distance", "+ re-ranking", "+ both"]
    assert both["global"]["rank1"] == 0.5
    for figure in both.values():
        assert list(figure)[3:5] == ["mAP", "mAP_trapezoids"]
        assert figure["mAP"] > figure["mAP_trapezoids"], "the standard one, and that of the dataset's publishers"
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
        (None, ["--split", "0"], "--split is for .*cuhk03-classic.* alone"),
        (None, ["--split-seed", 1], "--split-seed is for .*viper.* alone"),
        ("mars", ["--split-seed", 1], "--split-seed means nothing to mars"),
        (None, ["--any-counts"], "--any-counts is for the layout of a research dataset"),
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
    with pytest.raises(DataError, match=r"--split is for .*cuhk03-classic.* alone"):
        reid("train", "--data", data["mars"], "--split", "1", "-o", tmp_path / "other", *SMALL_RUN)
    with pytest.raises(DataError, match="both named 'mars'"):
        reid("train", "--data", data["mars"], "--data", data["mars"], "-o", tmp_path / "other", *SMALL_RUN)


def test_an_unknown_layout_is_taken_for_a_folder_and_refused(reid, small_run):
    with pytest.raises(DataError, match=r"duke:/data: no such folder.*market1501, cuhk03"):
        reid("evaluate", small_run / "model.pt", "--data", "duke:/data")


def test_training_on_a_random_half_says_which(reid, data, tmp_path):
    run = tmp_path / "run"
    with pytest.raises(DataError, match=r"viper:.*say which half is to be tested, --split 0 to 9"):
        reid("train", "--data", data["viper"], "-o", run, *SMALL_RUN)
    reid("train", "--data", data["viper"], "--split", "4", "--hold-out", 0, "-o", run, *SMALL_RUN)
    trained = {name.split("/")[1] for name in load_checkpoint(run / "model.pt").identities}
    layout, _, path = data["viper"].partition(":")
    test = LAYOUTS[layout](path, split="4").test
    assert trained.isdisjoint(test.entries.identities[test.rounds[0][0]])
    assert len(trained) == 2


def test_the_table_of_rankings_names_both_kinds_of_map(capsys):
    figures = {"rank1": 0.5, "rank5": 0.6, "rank10": 0.7, "mAP": 0.4, "mINP": 0.2, "queries": 9}
    print_rankings({"global": figures | {"mAP_trapezoids": 0.3}})
    table = capsys.readouterr().out
    assert "standard mAP" in table
    assert "by trapezoids" in table
    assert "0.300" in table
    print_rankings({"global": figures | {"splits": 10, "deviation": dict.fromkeys(figures, 0.012)}})
    table = capsys.readouterr().out
    assert "standard mAP" not in table
    assert "± 0.012" in table


# reid benchmark


def test_benchmark_writes_the_whole_table(reid, data, drawn_people, small_run, tmp_path, monkeypatch):
    """By colour and without stripes' help the rankings are those of tests/test_benchmarks.py."""
    from training.embedder import TorchEmbedder

    monkeypatch.setattr(TorchEmbedder, "features", lambda self, crops: by_colour(crops))
    table, figures = tmp_path / "table.md", tmp_path / "figures.json"
    sets = ("market1501", "viper", "ilids")
    given = [word for name in sets for word in ("--data", data[name])] + ["--data", drawn_people]
    text = reid("benchmark", small_run / "model.pt", *given, "-o", table, "--json", figures)
    assert table.read_text(encoding="utf-8") == text
    found = json.loads(figures.read_text(encoding="utf-8"))
    assert [one["set"] for one in found["sets"]] == [*sets, "drawn"]
    market, viper, ilids, drawn = found["sets"]
    assert list(market["figures"]) == ["global", "flipped crops averaged", "+ local distance", "+ re-ranking"]
    assert "statistics need at least 32" in market["left out"]["per-camera statistics taken away"]
    assert market["figures"]["global"]["rank1"] == 0.5
    assert market["figures"]["flipped crops averaged"] == market["figures"]["global"], "crops of one colour"
    assert viper["figures"]["global"]["deviation"]["rank1"] > 0
    assert ilids["left out"]["per-camera statistics taken away"] == "the dataset does not tell its cameras"
    assert list(drawn["figures"])[2] == "per-camera statistics taken away"
    lines = text.splitlines()
    assert lines[2].startswith(
        "| set | ranked by | rank-1 | rank-5 | rank-10 | mAP | mAP by trapezoids | mINP | queries |"
    )
    assert lines[4].startswith("| market1501 | global | 0.500 | 1.000 |")
    assert any(line.startswith("| viper | + re-ranking |") and " ± " in line for line in lines)
    assert any(line.startswith("- ilids: random halves") for line in lines)


@pytest.mark.parametrize("why", ["converted", "not trained"])
def test_benchmark_says_why_there_is_no_local_distance(reid, data, small_run, tmp_path, why):
    model = DEFAULT_MODEL
    if why == "not trained":
        model = tmp_path / "model.pt"
        checkpoint = load_checkpoint(small_run / "model.pt")
        settings = replace(checkpoint.config.train, local_weight=0.0)
        save_checkpoint(replace(checkpoint, config=replace(checkpoint.config, train=settings)), model)
    text = reid("benchmark", model, "--data", data["prid450s"])
    assert "+ re-ranking" in text
    assert "| + local" not in text
    reason = "the model gives no stripes" if why == "converted" else "the model's local branch was not trained"
    assert f'without "+ local distance": {reason}' in text


def test_benchmark_refuses_what_evaluate_refuses(reid, data, drawn_people):
    with pytest.raises(DataError, match="--split is for"):
        reid("benchmark", DEFAULT_MODEL, "--data", data["mars"], "--data", drawn_people, "--split", "0")
    assert " split 3, seed 7" in reid(
        "benchmark", DEFAULT_MODEL, "--data", data["mars"], "--data", data["grid"], "--split", "3", "--split-seed", 7
    )
