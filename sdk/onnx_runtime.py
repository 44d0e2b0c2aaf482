"""ONNX Runtime, imported here and nowhere else: what it would send to its makers is switched off before.

From 1.29 on its published builds for Linux and macOS queue a record of every process and every model that is loaded
(path of the program, names and hashes of the model, hardware, a number of the device) and send it to a server of its
makers', unless `ORT_DISABLE_TELEMETRY` is set before the first import; see docs/Privacy.md of the project. A program
that watches people gives nothing away that its operator has not asked for. Whoever wants to send it sets the variable
to 0.
"""

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime

if os.environ["ORT_DISABLE_TELEMETRY"] == "1":
    onnxruntime.disable_telemetry_events()  # of a program that had imported it before, and on Windows

__all__ = ["onnxruntime", "session_options"]


def session_options(severity: int) -> onnxruntime.SessionOptions:
    """How the SDK runs models: as ONNX Runtime does, but that its threads sleep where there is nothing to do.

    By default they wait in a loop, also for long after a run, which is quicker where nobody else wants the cores. A
    tracker has two models that run in turn, frames to decode and crops to resize, and each would stand in the other's
    way. severity: of what is logged, 3 for errors, 4 for what ends the process.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = severity
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options
