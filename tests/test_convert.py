"""The converted file computes what the checkpoint computes, says what it is, and is never half there."""

import hashlib
import subprocess
import sys

import numpy as np
import onnx
import pytest

from converters.convert import convert
from converters.verify import MIN_COSINE, compare, read_crops
from sdk.engines import load_engine
from sdk.errors import DataError, EngineError
from sdk.reidentifier import ReIdentifier
from training import embedder as embedder_module
from training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from training.config import ModelConfig, RunConfig
from training.embedder import TorchEmbedder
from training.model import AlignedReID


def test_onnx_equals_pytorch_on_every_crop(small_run, small_onnx, drawn_people):
    crops = read_crops(drawn_people).images
    reid = ReIdentifier(small_onnx)
    embed = TorchEmbedder(load_checkpoint(small_run / "model.pt").build_model())
    agreement = compare(embed, lambda batch: reid.embed(batch).embedding, crops)
    assert len(agreement.cosine) == len(crops) == 96
    assert agreement.cosine.min() >= MIN_COSINE["fp32"]


def test_the_graph_keeps_the_contract(small_onnx):
    graph = onnx.load(small_onnx).graph
    (crops,), (embedding,) = graph.input, graph.output
    shape = [d.dim_param or d.dim_value for d in crops.type.tensor_type.shape.dim]
    assert (crops.name, crops.type.tensor_type.elem_type) == ("crops", onnx.TensorProto.UINT8)
    assert shape == ["batch", 64, 32, 3]
    assert embedding.name == "embedding"
    assert embedding.type.tensor_type.elem_type == onnx.TensorProto.FLOAT


def test_the_metadata_tells_origin_and_calibration(small_run, small_onnx):
    metadata = load_engine(small_onnx).metadata
    checkpoint = load_checkpoint(small_run / "model.pt")
    assert (metadata.backbone, metadata.input_size, metadata.embedding_dim) == ("resnet18", (64, 32), 64)
    assert metadata.precision == "fp32"
    assert metadata.threshold == checkpoint.evaluation["threshold"]
    assert metadata.evaluation["rank1"] == checkpoint.evaluation["rank1"]
    assert metadata.checkpoint_sha256 == hashlib.sha256((small_run / "model.pt").read_bytes()).hexdigest()
    assert "torch" in metadata.tools


def test_the_file_carries_no_path_of_the_machine_that_wrote_it(small_onnx):
    content = small_onnx.read_bytes()
    assert b"site-packages" not in content
    assert b".py" not in content


@pytest.mark.parametrize(("absent", "options"), [("torch", ["--fp16"]), ("onnx", [])])
def test_a_board_goes_on_from_an_onnx_file_without(absent, options, small_onnx, tmp_path):
    """A Jetson has no PyTorch, and for an engine in the precision of its file it needs no package onnx either."""
    program = (
        f"import sys; sys.modules['torch'] = sys.modules['onnxscript'] = sys.modules['{absent}'] = None; "
        "from sdk.cli import main; main()"
    )
    made = subprocess.run(
        [sys.executable, "-c", program, "convert", *options, small_onnx, "-o", tmp_path / "model.onnx"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    assert load_engine(tmp_path / "model.onnx").metadata.precision == ("fp16" if options else "fp32")


def test_a_resnet50_converts(tmp_path, drawn_people):
    config = RunConfig(ModelConfig("resnet50", width=8, input_size=(64, 32)))
    model = AlignedReID(config.model, 2)
    save_checkpoint(Checkpoint(config, ["a", "b"], 0, model.state_dict()), tmp_path / "r50.pt")
    converted = convert(tmp_path / "r50.pt", tmp_path / "r50.onnx", read_crops(drawn_people, limit=8))
    assert converted.agreement.cosine.min() >= MIN_COSINE["fp32"]
    assert load_engine(tmp_path / "r50.onnx").metadata.threshold is None


def test_a_model_that_differs_is_not_written(small_run, drawn_people, tmp_path, monkeypatch):
    class Wrong(TorchEmbedder):
        def __call__(self, crops):
            features = super().__call__([crop[..., ::-1] for crop in crops])  # RGB for BGR, the usual mistake
            return np.ascontiguousarray(features)

    monkeypatch.setattr(embedder_module, "TorchEmbedder", Wrong)
    shown = []
    with pytest.raises(EngineError, match="not written"):
        convert(
            small_run / "model.pt", tmp_path / "wrong.onnx", read_crops(drawn_people, limit=8), inspect=shown.append
        )
    assert shown[0].cosine.min() < 0.99, "the picture of the worst crops is for such a case"
    assert list(tmp_path.iterdir()) == []


def test_bad_outputs_are_refused(small_run, drawn_people, tmp_path):
    crops = read_crops(drawn_people, limit=2)
    checkpoint = small_run / "model.pt"
    (tmp_path / "folder.onnx").mkdir()
    (tmp_path / "file").write_bytes(b"")
    for output, message in (
        ("model.bin", r"name it model\.onnx or model\.engine"),
        ("folder.onnx", "is a folder"),
        ("file/model.onnx", "file is a file"),
    ):
        with pytest.raises(DataError, match=message):
            convert(checkpoint, tmp_path / output, crops)
    with pytest.raises(DataError, match="no such checkpoint"):
        convert(tmp_path / "absent.pt", tmp_path / "model.onnx", crops)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.onnx"]


def test_a_folder_that_takes_no_files_is_named(small_run, drawn_people, tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkdtemp", refuse)  # whoever runs the tests may be allowed everything
    with pytest.raises(DataError, match=r"model\.onnx: cannot be written \(Permission denied\)"):
        convert(small_run / "model.pt", tmp_path / "model.onnx", read_crops(drawn_people, limit=2))


def test_nan_features_never_pass_the_comparison():
    agreement = compare(lambda c: np.full((len(c), 4), np.nan), lambda c: np.ones((len(c), 4)), [None] * 3)
    assert agreement.cosine.tolist() == [-1, -1, -1]


def test_crops_are_read_from_below_a_folder(drawn_people, tmp_path):
    crops = read_crops(drawn_people, limit=10)
    assert len(crops) == len(crops.names) == len(crops.identities) == 10
    with pytest.raises(DataError, match=r"no images to compare on \(\.png"):
        read_crops(tmp_path)
