"""`reid doctor`: the machine and model files, in words; and the messages of `reid convert` and `verify` for a user."""

import re
import subprocess
import sys
from enum import IntEnum
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from sdk import doctor
from sdk.doctor import BROKEN, MISSING, OK, examine, examine_model
from sdk.engines import DEFAULT_MODEL, gpu, native
from sdk.engines.gpu import Gpu
from sdk.engines.versions import Library
from sdk.errors import EngineError, MissingPackageError
from sdk.installing import how_to_install


class Capability(IntEnum):
    """TensorRT-RTX's list of GPUs."""

    NONE, CURRENT, SM89 = 0, 1, 89


def reid(*arguments, cwd=None) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", "from sdk.cli import main; main()", *map(str, arguments)],
        capture_output=True, text=True, check=False, cwd=cwd, env={**__import__("os").environ, "COLUMNS": "240"},
    )  # fmt: skip


def by_name(findings) -> dict:
    return {finding.what: finding for finding in findings}


def test_every_missing_piece_says_what_it_costs_and_how_to_get_it(monkeypatch):
    def absent(name):
        raise MissingPackageError(name)

    monkeypatch.setattr(doctor, "_version", lambda *names: None)
    monkeypatch.setattr(doctor, "import_library", absent)
    monkeypatch.setattr(doctor, "find_gpu", lambda: "no NVIDIA driver")
    monkeypatch.setattr(doctor, "find_library", lambda name: None)
    found = by_name(examine())
    assert found["Python"].state == OK
    for what, words in (
        ("onnxruntime", f"running .onnx models: {how_to_install()}"),
        ("trackers", how_to_install("track")),
        ("torch", "reid train"),
        ("TensorRT", f"no engines for this GPU: {how_to_install('tensorrt')}"),
        ("TensorRT-RTX", how_to_install("rtx")),
        ("aligned_reid_plugin", "cmake -S . -B build"),
        ("aligned_reid_kernel", "crops are cut on the processor"),
        ("GPU", "models run on the processor"),
    ):
        assert found[what].state == MISSING
        assert words in found[what].remedy


def test_a_library_without_the_crops_is_told(monkeypatch, tmp_path, emulated):
    broken, whole = tmp_path / "libaligned_reid_kernel.so", emulated / native.filename(native.KERNEL)
    broken.write_bytes(b"of another machine")
    for path, state, words in ((broken, BROKEN, "crops are cut on the processor: .* build it again"), (whole, OK, "")):
        monkeypatch.setattr(doctor, "find_library", lambda name, path=path: path)
        found = by_name(examine())["aligned_reid_kernel"]
        assert (found.state, found.found) == (state, str(path))
        assert re.search(words, found.remedy)


def test_what_is_here_is_told_with_its_version(monkeypatch):
    def library(name):
        if name == "tensorrt":
            raise EngineError("libnvinfer.so.10 is not there")
        return Library(name, SimpleNamespace(__version__="1.7.1", ComputeCapability=Capability))

    monkeypatch.setattr(doctor, "import_library", library)
    monkeypatch.setattr(doctor, "find_gpu", lambda: Gpu("Orin", 87, "12.6"))
    found = by_name(examine())
    assert found["numpy"].found == np.__version__
    assert found["GPU"].found == "Orin, sm_87, driver for CUDA 12.6"
    assert "pycuda" in found["CUDA calls"].found
    assert found["TensorRT"].state == BROKEN
    assert (found["TensorRT-RTX"].state, found["TensorRT-RTX"].found) == (MISSING, "1.7.1, which is not for this GPU")
    assert how_to_install("tensorrt") in found["TensorRT-RTX"].remedy
    monkeypatch.setattr(doctor, "find_gpu", lambda: Gpu("RTX 4090", 89, "13.0"))
    assert by_name(examine())["TensorRT-RTX"].found == "1.7.1"
    monkeypatch.setattr(doctor, "PYTHON", ((2, 6), (2, 7)))
    assert by_name(examine())["Python"].state == BROKEN


def test_a_model_file_is_explained():
    metadata, findings = examine_model(DEFAULT_MODEL)
    assert metadata.precision == "fp32"
    assert by_name(findings)["runs here"].state == OK
    assert len(by_name(findings)["SHA-256"].found) == 64


def test_of_a_model_with_stripes_it_says_how_re_scoring_is_done(small_run, tmp_path):
    from converters.convert import ConvertOptions, convert
    from converters.verify import Crops

    crops = Crops([np.zeros((64, 32, 3), np.uint8)], ["black"])
    convert(small_run / "model.pt", tmp_path / "model.onnx", crops, ConvertOptions(rescore=True))
    found = by_name(examine_model(tmp_path / "model.onnx")[1])
    assert "model.rescore.onnx" in found["re-scoring: onnxruntime"].found
    assert found["re-scoring: numpy"].state == OK
    (tmp_path / "model.rescore.onnx").unlink()
    found = by_name(examine_model(tmp_path / "model.onnx")[1])
    assert "reid convert --rescore" in found["re-scoring: onnxruntime"].remedy


def test_the_command_explains_machine_and_model():
    machine = reid("doctor")
    assert machine.returncode in (0, 1), machine.stderr
    for word in ("Python", "onnxruntime", "GPU", "TensorRT-RTX", "re-scoring"):
        assert word in machine.stdout
    model = reid("doctor", DEFAULT_MODEL)
    assert model.returncode == 0, model.stderr
    assert "uint8 BGR, resized to 128×64 px" in model.stdout
    wrong = reid("doctor", DEFAULT_MODEL, "--sha256", "00")
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("error: ")
    assert "not the file you meant" in wrong.stderr


def test_an_engine_is_explained_without_a_gpu(small_onnx, tmp_path):
    pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX has no package for this platform")
    made = reid("convert", small_onnx, "-o", "model.engine", "--target", "rtx", "--max-batch", 9, cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert "model.engine" in made.stderr
    assert "SHA-256 of model.engine: " in made.stderr
    told = reid("doctor", "model.engine", cwd=tmp_path)
    assert "sm_86,sm_89,sm_120" in told.stdout
    assert "TensorRT-RTX" in told.stdout
    if not isinstance(gpu.find_gpu(), Gpu):
        assert "what was compared is its ONNX graph" in made.stderr
        assert "built but was not run" in made.stderr
        assert told.returncode == 0
        assert "needs an NVIDIA GPU" in told.stdout
    (tmp_path / "renamed.engine").write_bytes(small_onnx.read_bytes())
    renamed = reid("doctor", "renamed.engine", cwd=tmp_path)
    assert renamed.returncode == 1
    assert "looks like an ONNX file: name it .onnx" in renamed.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-o", "model.bin"), "name it model.onnx or model.engine"),
        (("-o", "model.onnx", "--int8"), "--int8 needs crops of your cameras to calibrate on: --calibration FOLDER"),
        (("-o", "model.onnx", "--int8", "--calibration", "empty"), "no images to compare on"),
        (("-o", "model.onnx", "--int8", "--calibration", "absent"), "absent: no such folder of crops"),
        (("-o", "model.onnx", "--int8", "--fp16"), "contradict each other"),
        (("-o", "model.onnx", "--calibration", "empty"), "--calibration is for --int8"),
        (("-o", "model.onnx", "--target", "rtx"), "--target rtx writes model.engine"),
        (("-o", "model.onnx", "--color", "cmyk"), "--color cmyk: unknown; rgb or bgr"),
        (("-o", "model.onnx", "--mean", "1,2"), "--mean 1,2: three numbers are needed"),
        (("-o", "model.onnx", "--std", "1,0,2"), "--std 1,0,2: three numbers are needed"),
        (("-o", "model.onnx", "--input-size", "tall"), "--input-size tall: height and width are needed"),
        (("-o", "empty"), "name it model.onnx or model.engine"),
    ],
)
def test_a_wrong_convert_is_one_line_and_leaves_nothing(small_onnx, tmp_path, monkeypatch, arguments, message):
    from typer.testing import CliRunner

    from sdk.cli import build_app
    from sdk.errors import ReIDError

    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    result = CliRunner().invoke(build_app(), ["convert", str(small_onnx), *arguments])
    assert isinstance(result.exception, ReIDError)  # which `run_app` prints as one line
    assert message in str(result.exception)
    assert "\n" not in str(result.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_verify_fails_where_models_differ(small_run, small_onnx, drawn_people, tmp_path):
    picture = tmp_path / "worst.png"
    same = reid("verify", small_run / "model.pt", small_onnx, "--crops", drawn_people, "--worst", picture)
    assert same.returncode == 0, same.stderr
    assert "1.00000" in same.stdout
    assert cv2.imread(str(picture)).shape[1] > 8 * 80
    other = reid("verify", small_onnx, DEFAULT_MODEL, "--crops", drawn_people)
    assert other.returncode == 1
    assert "they are not of one model" in other.stderr
    strict = reid("verify", small_run / "model.pt", small_onnx, "--crops", drawn_people, "--min-cosine", 1.1)
    assert strict.returncode == 1
    assert "its features differ: crop" in strict.stderr
    assert "Traceback" not in strict.stderr


def test_an_engine_is_built_where_neither_torch_nor_onnx_is_installed(small_onnx, drawn_people, tmp_path):
    """As on a Jetson: the ONNX file was made elsewhere. `None` makes an import fail as where the package is absent."""
    pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX has no package for this platform")
    code = (
        "import sys\n"
        "for absent in ('torch', 'onnx', 'onnxscript'): sys.modules[absent] = None\n"
        "from sdk.cli import main; main()\n"
    )
    arguments = ["convert", small_onnx, "-o", "model.engine", "--target", "rtx", "--crops", drawn_people]
    result = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert result.returncode == 0, result.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"model.engine", "model.onnx"}
    missing = subprocess.run(
        [sys.executable, "-c", code, "convert", str(small_onnx), "-o", "half.onnx", "--fp16"],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert missing.returncode == 1
    assert "[convert]'" in missing.stderr
