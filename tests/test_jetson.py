"""A Jetson's steps to its first engine, on folders that look like one."""

import importlib.util
import os
import sys

import pytest
from typer.testing import CliRunner

from sdk import doctor, jetson
from sdk.cli import build_app
from sdk.findings import BROKEN, MISSING, OK

RELEASES = {  # as the files begin
    "6.2": "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64, DATE: Wed Jan  8 2025\n",
    "7.2": "# R39 (release), REVISION: 2.0, GCID: 1, BOARD: generic, EABI: aarch64\n",
    "5.1": "# R35 (release), REVISION: 4.1, GCID: 33958178, BOARD: t186ref, EABI: aarch64\n",
}


@pytest.fixture
def board(tmp_path, monkeypatch):
    """A Jetson on which everything is done."""
    write(tmp_path, "etc/nv_tegra_release", RELEASES["6.2"])
    write(tmp_path, "proc/meminfo", "MemTotal: 7800000 kB\nMemFree: 1 kB\nSwapTotal: 8388608 kB\n")
    write(tmp_path, "var/lib/nvpmodel/status", "pmode:0002 fmode:quiet\n")
    write(tmp_path, "dev/nvmap", "")
    monkeypatch.setattr(sys, "version_info", (3, 10, 12))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(jetson.shutil, "which", lambda name: "/usr/local/cuda/bin/nvcc")
    monkeypatch.setattr(jetson, "find_library", lambda name: tmp_path / "libaligned_reid_plugin.so")
    return tmp_path


def write(root, name: str, text: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


def next_of(root):
    """The first step that is not done."""
    return next((one for one in jetson.steps(root) if one.state != OK), None)


def test_a_board_on_which_all_is_done(board):
    assert jetson.is_jetson(board)
    assert next_of(board) is None
    found = {one.what: one.found for one in jetson.steps(board)}
    assert found["Jetson: JetPack"] == "Jetson Linux 36.4.3, JetPack 6"
    assert found["Jetson: memory"] == "7617 MiB, and 8192 MiB of swap"
    assert found["Jetson: power"].startswith("nvpmodel 2;")
    (board / "proc/meminfo").unlink()
    (board / "var/lib/nvpmodel/status").unlink()
    assert next_of(board) is None, "what is not told is no step"


def test_each_step_says_what_to_do_next(board, monkeypatch):
    """From the last to the first: whatever comes behind it is the later."""

    def expect(step, state, words):
        found = next_of(board)
        assert (found.what, found.state) == (f"Jetson: {step}", state)
        assert words in found.remedy

    write(board, "proc/meminfo", "MemTotal: 7800000 kB\nSwapTotal: 0 kB\n")
    expect("memory", MISSING, "swapon /swapfile")
    monkeypatch.setattr(jetson, "find_library", lambda name: None)
    expect("plugin", MISSING, "cmake --install build")
    monkeypatch.setattr(jetson.shutil, "which", lambda name: None)
    expect("nvcc", MISSING, "apt-get install nvidia-jetpack")
    write(board, "usr/local/cuda/bin/nvcc", "")
    expect("nvcc", MISSING, "export PATH=/usr/local/cuda/bin:$PATH")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    expect("TensorRT", MISSING, "apt-get install nvidia-jetpack")
    (board / "usr/lib/python3.10/dist-packages/tensorrt").mkdir(parents=True)
    expect("TensorRT", BROKEN, "--system-site-packages")
    (board / "dev/nvmap").unlink()
    expect("GPU", MISSING, "--runtime nvidia --gpus all")
    write(board, "dev/nvmap", "")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    expect("GPU", BROKEN, "usermod -aG video,render")
    monkeypatch.setattr(sys, "version_info", (3, 13, 0))
    expect("Python", BROKEN, "/usr/bin/python3.10 -m venv --system-site-packages")
    write(board, "etc/nv_tegra_release", RELEASES["7.2"])
    expect("Python", BROKEN, "/usr/bin/python3.12 -m venv")
    write(board, "etc/nv_tegra_release", RELEASES["5.1"])
    expect("JetPack", BROKEN, "flash JetPack 6.2 or later")
    write(board, "etc/nv_tegra_release", "")
    expect("JetPack", BROKEN, "does not say which release")


def test_the_doctor_tells_the_next_step_last(board, monkeypatch):
    monkeypatch.setattr(jetson.shutil, "which", lambda name: None)
    monkeypatch.setattr(doctor, "is_jetson", lambda: True)
    monkeypatch.setattr(doctor, "steps", lambda: jetson.steps(board))
    assert "Jetson: nvcc" in {one.what for one in doctor.examine()}
    told = CliRunner().invoke(build_app(), ["doctor"], env={"COLUMNS": "240"})
    assert "next: sudo apt-get install nvidia-jetpack" in told.output
