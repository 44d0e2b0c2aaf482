"""A file of the wrong kind gets the command that helps, whoever opens it."""

import struct
import zipfile

import pytest
import torch

from converters.authors import Authors
from converters.sources import open_source
from sdk import ReIdentifier
from sdk.doctor import examine_model
from sdk.engines.kinds import explain_kind
from sdk.errors import DataError, EngineError, ReIDError
from training.checkpoint import FORMAT, load_checkpoint

KINDS = {
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "a Git LFS pointer.*: git lfs pull"),
    "html": (b"\n<!DOCTYPE html><html>", "a web page, not a model; fetch the file itself"),
    "xml": (b'<?xml version="1.0"?><net name="reid">', "perhaps of OpenVINO; export .* --from PROJECT"),
    "keras": (b"\x89HDF\r\n\x1a\n", "perhaps of Keras; export"),
    "tflite": (b"\x1c\0\0\0TFL3", "a TensorFlow Lite model; export"),
    "gzip": (b"\x1f\x8b\x08\0", "a compressed archive; unpack it"),
    "safetensors": (struct.pack("<Q", 40) + b'{"conv1.weight":{"dtype":"F32"}}', "a file of safetensors"),
    "ultralytics": (struct.pack("<I", 30) + b'{"stride": 32}' + b"ftrt", "metadata that are not ours.*; export"),
    "empty": (b"", "is empty; fetch the file itself"),
}


@pytest.mark.parametrize("suffix", [".onnx", ".engine", ".pt", ".pth", ".xml", ".pth.tar"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_a_file_is_instead_is_said_with_what_helps(kind, suffix, tmp_path):
    content, said = KINDS[kind]
    path = tmp_path / f"model{suffix}"
    path.write_bytes(content)
    openers = [lambda: ReIdentifier(path), lambda: examine_model(path), lambda: open_source(path, False, Authors())]
    for opener in openers[: 2 if suffix in (".engine", ".xml") else 3]:
        with pytest.raises(ReIDError, match=said):
            opener()


def test_an_archive_is_of_tensors_or_of_a_program(tmp_path):
    for names, said in ((["m/code/a.py", "m/data.pkl"], "a TorchScript program"), (["readme.txt"], "an archive")):
        path = tmp_path / "model.pt"
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, "x")
        with pytest.raises(DataError, match=said):
            open_source(path, False, Authors())
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("m/data.pkl", "x")
    assert explain_kind(path) is None
    assert explain_kind(tmp_path / "absent") is None


def test_names_in_upper_case_are_known(small_onnx, tmp_path):
    path = tmp_path / "OSNET.ONNX"
    path.write_bytes(small_onnx.read_bytes())
    assert ReIdentifier(path).engine.metadata == open_source(path, False, Authors()).metadata
    (tmp_path / "MODEL.ENGINE").write_bytes(b"none")
    with pytest.raises(EngineError, match="not a TensorRT plan"):
        ReIdentifier(tmp_path / "MODEL.ENGINE")


def test_a_model_of_another_project_gets_the_command_that_converts_it(tmp_path):
    from tests.test_foreign_onnx import write

    with pytest.raises(EngineError, match=r"reid convert theirs\.onnx -o ours\.onnx --from PROJECT"):
        ReIdentifier(write(tmp_path / "osnet_x0_25.onnx"))
    (tmp_path / "osnet.pth").write_bytes(b"PK\x03\x04 damaged")
    with pytest.raises(EngineError, match=r"reid convert osnet\.pth -o model\.onnx \(--from PROJECT"):
        ReIdentifier(tmp_path / "osnet.pth")


def test_a_checkpoint_of_others_or_of_later_is_not_called_damaged(tmp_path):
    path = tmp_path / "model.pt"
    for facts, said in (
        (None, "not a checkpoint of `reid train`; of another project's"),
        ('{"format": "other", "version": 1}', "not a checkpoint of `reid train`; of another project's"),
        (f'{{"format": "{FORMAT}", "version": 99}}', "checkpoint version 99; this release reads up to 1: upgrade"),
        (f'{{"format": "{FORMAT}"}}', r"damaged checkpoint \('version'\); was it copied whole"),
        ("[]", "damaged checkpoint"),
    ):
        torch.save({"weights": {}} if facts is None else {"facts": facts, "weights": {}}, path)
        with pytest.raises(DataError, match=rf"^{path}: {said}"):
            load_checkpoint(path)
