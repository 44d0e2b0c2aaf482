"""ONNX Runtime's threads sleep where there is nothing to do, in every session of the SDK."""

import pytest

from sdk.engines import DEFAULT_MODEL, load_engine
from sdk.onnx_runtime import onnxruntime
from sdk.tracking.detectors.sessions import open_session


@pytest.mark.parametrize("open_", [load_engine, open_session])
def test_no_thread_waits_in_a_loop(monkeypatch, open_):
    asked = []

    class Session(onnxruntime.InferenceSession):
        def __init__(self, path, options, **others):
            asked.append(options.get_session_config_entry("session.intra_op.allow_spinning"))
            super().__init__(path, options, **others)

    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    open_(DEFAULT_MODEL)
    assert asked == ["0"]
