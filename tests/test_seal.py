"""Model files whose weights are not those that were written, or give no numbers, are refused."""

import numpy as np
import pytest
from typer.testing import CliRunner

onnx = pytest.importorskip("onnx", reason="the package onnx is not installed")

from converters.calibrated import write_calibrated  # noqa: E402
from converters.onnx_file import with_metadata  # noqa: E402
from sdk.cli import build_app  # noqa: E402
from sdk.engines import DEFAULT_MODEL, load_engine, read_metadata  # noqa: E402
from sdk.engines.seal import SEAL_KEY, UNSEALED, check_seal, seal  # noqa: E402
from sdk.errors import EngineError  # noqa: E402


def sealed(path) -> bool:
    return SEAL_KEY in {entry.key for entry in onnx.load(path).metadata_props}


def test_a_flipped_bit_anywhere_is_refused(small_onnx, tmp_path):
    content = small_onnx.read_bytes()
    check_seal(content, "it")
    assert sealed(small_onnx)
    assert sealed(DEFAULT_MODEL)
    for place in range(0, len(content), len(content) // 50):
        damaged = bytearray(content)
        damaged[place] ^= 4
        if SEAL_KEY.encode() in damaged and b"sealed with" in damaged:
            with pytest.raises(EngineError, match="it: is not what was written"):
                check_seal(bytes(damaged), "it")
    weights = onnx.load(small_onnx).graph.initializer
    place = content.index(max((tensor.raw_data for tensor in weights), key=len)) + 10
    damaged = bytearray(content)
    damaged[place] ^= 1
    path = tmp_path / "damaged.onnx"
    path.write_bytes(damaged)
    with pytest.raises(EngineError, match=r"damaged\.onnx: is not what was written"):
        load_engine(path)
    told = CliRunner().invoke(
        build_app(), ["embed", str(tmp_path), "--model", str(path), "-o", str(tmp_path / "x.npz")]
    )
    assert told.exit_code != 0
    assert not (tmp_path / "x.npz").exists()


def test_a_file_without_a_seal_loads(small_onnx, tmp_path):
    proto = onnx.load(small_onnx)
    kept = [entry for entry in proto.metadata_props if entry.key != SEAL_KEY]
    onnx.helper.set_model_props(proto, {entry.key: entry.value for entry in kept})
    onnx.save(proto, tmp_path / "older.onnx")
    assert load_engine(tmp_path / "older.onnx").metadata == load_engine(small_onnx).metadata
    with pytest.raises(ValueError, match="no place"):
        seal((tmp_path / "older.onnx").read_bytes())


def test_a_new_calibration_is_sealed_anew(small_onnx, tmp_path):
    write_calibrated(small_onnx, tmp_path / "again.onnx", {"value": 0.25})
    assert sealed(tmp_path / "again.onnx")
    assert load_engine(tmp_path / "again.onnx").metadata.threshold == {"value": 0.25}
    assert UNSEALED.encode() not in (tmp_path / "again.onnx").read_bytes()


def test_a_model_whose_features_are_no_numbers_is_refused(small_onnx, tmp_path):
    proto = onnx.load(small_onnx)
    largest = max(proto.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    largest.raw_data = np.full(len(largest.raw_data) // 4, np.nan, np.float32).tobytes()
    (tmp_path / "nan.onnx").write_bytes(with_metadata(proto, read_metadata(small_onnx)))
    with pytest.raises(EngineError, match=r"nan\.onnx: its features are no numbers"):
        load_engine(tmp_path / "nan.onnx")
