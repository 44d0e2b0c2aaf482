"""The parts of benchmarks/gpu.py without a GPU: their own references, that their checks can fail, and the command.

Kernel and engine are the stand-ins of the other tests, so the figures mean nothing here; the parts' logic does. How
parts are run: test_benchmark_runner.py.
"""

import importlib.util
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.gpu_parts import crops, engines, library, local_distance, machine, sanitizer, timing
from benchmarks.gpu_parts.findings import Findings, Unavailable
from benchmarks.gpu_parts.pairs import big_pairs, exact_distances, random_pairs, torch_distances
from sdk.cutting import Cuts
from sdk.distances import local_distance_gathered
from sdk.engines import cuda, native
from sdk.engines.device_crops import CropKernel
from sdk.engines.gpu import Gpu
from sdk.engines.stripes import Kernel
from sdk.reidentifier import Features, ReIdentifier
from tests.fake_cuda import FakeDriver, plan_bytes
from tests.fake_libcuda import build_fake
from tests.test_cuda import install
from tests.test_native import brute_force
from tests.test_tensorrt import LARGEST, METADATA, open_engine, tensors

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks"


def load(name: str):
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", BENCHMARKS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def at_once(work, wait=lambda: None) -> float:
    """Instead of `seconds_each`: the work is done once, and takes a second."""
    work()
    wait()
    return 1.0


@pytest.fixture
def kernel(monkeypatch, emulated):
    install(monkeypatch, FakeDriver(eager=True))
    monkeypatch.setattr(native, "library_folders", lambda: [emulated])
    return Kernel()


def test_its_float64_reference_is_the_brute_force():
    rng = np.random.default_rng(0)
    for stripes in (1, 3, 5, 9):
        pairs = random_pairs(rng, stripes, 16, np.float32)
        found = exact_distances(pairs)
        inside = (pairs.candidates >= -1) & (pairs.candidates < len(pairs.gallery))
        expected = brute_force(pairs.query, pairs.gallery, np.where(inside, pairs.candidates, -1))
        np.testing.assert_allclose(found[inside], expected[inside], atol=1e-12)
        assert np.isnan(found[~inside]).all()
        assert (~inside).any()
        assert (pairs.candidates == -1).any()
        if stripes == 1:
            assert (found == 0).any()  # copies


def test_its_pytorch_is_the_same_formula():
    pairs = big_pairs(4, 6, 30)
    assert len(np.unique(pairs.candidates)) == 24
    found = torch_distances(torch, *(torch.from_numpy(x) for x in (pairs.query, pairs.gallery, pairs.candidates)))
    expected = local_distance_gathered(pairs.query, pairs.gallery, pairs.candidates)
    np.testing.assert_allclose(found.numpy(), expected, atol=0.02)


def test_a_right_kernel_passes_and_leaves_no_memory_behind(kernel):
    device, report = cuda.open_device(), Findings()
    before = len(device.driver.living)
    local_distance.check_kernel(report, device, kernel, stripes=(1, 8, 13), dims=(40, 128), rounds=1)
    assert report.figures["cases"] == 12
    assert report.holds, report.checks
    assert len(report.checks) == 3
    assert len(device.driver.living) == before


@pytest.mark.parametrize("fault", ["shifted", "finite"])
def test_a_wrong_kernel_fails(kernel, monkeypatch, fault):
    launch = kernel.launch

    def wrong(stream, query, gallery, candidates, distance, **sizes):
        launch(stream, query, gallery, candidates, distance, **sizes)
        count = sizes["queries"] * sizes["per_query"]
        dtype = np.float16 if sizes["half_out"] else np.float32
        view = stream.device.driver.view(distance.address, count * np.dtype(dtype).itemsize)
        values = np.frombuffer(view, dtype)
        if fault == "shifted":
            values[np.isfinite(values)] += dtype(0.05)
        else:
            values[~np.isfinite(values)] = 1

    monkeypatch.setattr(kernel, "launch", wrong)
    report = Findings()
    local_distance.check_kernel(report, cuda.open_device(), kernel, stripes=(1, 4), dims=(16,), rounds=1)
    assert not report.holds


def test_bandwidth_counts_what_is_moved(kernel, monkeypatch):
    monkeypatch.setattr(timing, "LEAST", 0.0)
    report = Findings()
    local_distance.measure_bandwidth(report, cuda.open_device(), kernel, entries=64)
    found = report.figures
    assert found["pairs"] == 64
    assert found["share"] == pytest.approx(found["GB/s gathered"] / found["GB/s of a copy, read and written"])
    assert len(report.checks) == 1  # the emulation is nowhere near a copy's speed, and the check says so
    assert not report.holds


@pytest.mark.parametrize("fault", [None, "a line less", "not written"])
def test_crops_are_compared_to_the_processors(kernel, monkeypatch, fault):
    report, cutting = Findings(), CropKernel()
    launch = cutting.launch

    def cut(*given, size, **others):
        if fault != "not written":
            launch(*given, size=(size[0] - (fault is not None), size[1]), **others)

    monkeypatch.setattr(cutting, "launch", cut)
    crops.check_pixels(report, cuda.open_device(), cutting, (32, 16), lines=(180, 90))
    assert report.holds is (fault is None)


def test_the_crops_are_hard_ones():
    cuts = crops.hard_cuts((180,))
    shapes = [crop.shape[:2] for crop in cuts]
    assert shapes[-3:] == [(180, 320), (1, 314), (180, 1)]
    sides = np.array(shapes[:8]) / np.array(shapes[:8]).max()
    assert len(np.unique(sides[:, 0] / sides[:, 1])) > 4  # people cut off at the edges are of other shapes


@pytest.fixture
def engine(monkeypatch, tmp_path):
    monkeypatch.setattr(native, "library_folders", list)
    driver = install(monkeypatch, FakeDriver())
    plan = tmp_path / "model.engine"
    plan.write_bytes(plan_bytes(b"whole"))
    crops = ("input", np.uint8, (-1, 16, 8, 3), (LARGEST, 16, 8, 3), 1)
    metadata = replace(METADATA, input_size=(16, 8))
    return open_engine(monkeypatch, driver, plan, tensors(crops=crops), metadata)[0]


def test_engines_are_compared_and_timed(engine, monkeypatch):
    class Reference:
        def run(self, crops):
            return np.asarray(engine.run(crops)[0]) + 0, None

    monkeypatch.setattr(engines, "seconds_each", at_once)
    assert engines.crops_for(engine, 3).shape == (3, 16, 8, 3)
    report = Findings()
    engines.measure_engine(report, "some", engine, Reference(), (1, LARGEST, LARGEST + 1))
    found = report.figures
    assert list(found) == ["batch 1", f"batch {LARGEST}"]  # what the engine takes at once
    assert found["batch 1"]["overhead of embed over bare"] == 0
    assert report.holds
    monkeypatch.setattr(Reference, "run", lambda self, crops: (-engine.run(crops)[0], None))
    engines.measure_engine(report, "some", engine, Reference(), (1,))
    assert not report.holds


def test_boxes_are_compared_to_crops(engine, monkeypatch):
    """With one path for both they agree; with another for crops in a list they do not."""
    monkeypatch.setattr(engines, "seconds_each", at_once)
    report, reid = Findings(), ReIdentifier(engine, threshold=0.5)
    features = {Cuts: np.eye(3)[[0, 0, 0]], list: np.eye(3)[[0, 0, 0]]}
    monkeypatch.setattr(reid, "embed", lambda crops, boxes=None: Features(features.get(type(crops))))
    assert engines.measure_boxes(report, "some", reid, 3)["embed of boxes, ms"] == 1000
    assert report.holds
    features[list] = np.eye(3)[[0, 0, 1]]
    engines.measure_boxes(report, "some", reid, 3)
    assert not report.holds


def test_threads_and_the_hour(engine, monkeypatch):
    report = Findings()
    engines.check_threads(report, "some", engine, count=4, turns=5)
    assert report.figures == {"calls": 20, "errors": []}
    engines.check_hour(report, "some", engine, cuda.open_device(), calls=60)
    assert report.figures["calls"] == 60
    assert report.holds, report.checks
    leaks, run = [], engine.run
    monkeypatch.setattr(engine, "run", lambda crops: leaks.append(cuda.open_device().allocate(1 << 20)) or run(crops))
    engines.check_hour(report, "some", engine, cuda.open_device(), calls=30)
    assert not report.checks[-2]["holds"]  # 30 MB of the GPU's memory
    turn = iter(range(1000))
    monkeypatch.setattr(engine, "run", lambda crops: (run(crops)[0] + (next(turn) == 5), None))
    engines.check_threads(report, "some", engine, count=2, turns=5)
    assert report.figures["errors"] != []
    assert not report.checks[-1]["holds"]


def test_the_overhead_is_judged_at_batch_32_and_only_on_a_gpu(engine, monkeypatch):
    class Larger:
        metadata, run, cutter, max_batch = engine.metadata, staticmethod(engine.run), None, 32
        bare = staticmethod(lambda batch: None)

    taken = iter([1.2, 1.1, 1.0] * 2)
    monkeypatch.setattr(engines, "seconds_each", lambda work: next(taken))
    for small in (False, True):
        report = Findings(small=small)
        engines.measure_engine(report, "some", Larger(), engine, (32,))
        assert report.figures["batch 32"]["overhead of embed over bare"] == pytest.approx(0.2)
        assert report.holds is small


def test_engines_need_a_library_that_runs_on_this_gpu(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    monkeypatch.setattr(engines, "find_gpu", lambda: Gpu("H200", 90, "13.0"))
    with pytest.raises(Unavailable, match=r"'tensorrt', which is not installed: .*TensorRT-RTX"):
        engines.build(Findings(), "resnet18")


SANITIZER = {
    "========= ERROR SUMMARY: 0 errors\n": True,
    "========= RACECHECK SUMMARY: 0 hazards displayed (0 errors, 0 warnings)\n": True,
    "========= ERROR SUMMARY: 3 errors\n": False,
    "========= RACECHECK SUMMARY: 1 hazard displayed (0 errors, 1 warning)\n": False,
    "": False,
}


@pytest.mark.parametrize(("said", "holds"), SANITIZER.items())
def test_what_compute_sanitizer_says_is_judged(said, holds):
    report = Findings()
    sanitizer.judge(report, "a tool", f"========= COMPUTE-SANITIZER\n{sanitizer.DONE}\n{said}")
    assert report.holds is holds
    report = Findings()
    sanitizer.judge(report, "a tool", f"========= COMPUTE-SANITIZER\n{said}")  # the program has not come to its end
    assert not report.holds


def test_compute_sanitizer_refuses_some_gpus(monkeypatch):
    with pytest.raises(Unavailable, match="Device not supported"):
        sanitizer.judge(Findings(), "memcheck", "========= Error: Device not supported. Please refer to …")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Unavailable, match="not on PATH"):
        sanitizer.racecheck(Findings())


def test_the_library_is_built_with_nvcc_alone(monkeypatch, tmp_path):
    """For this GPU, from the sources; and left alone where the user has named one, or nvcc is not there."""
    commands = []

    def run(command, **_):
        commands.append(command)
        Path(command[command.index("-o") + 1]).touch()

    monkeypatch.setattr(library.subprocess, "run", run)
    monkeypatch.setattr(library.shutil, "which", lambda name: f"/cuda/bin/{name}")
    monkeypatch.setattr(library, "find_gpu", lambda: Gpu("H200", 90, "13.0"))
    own, report = tmp_path / library.FOLDER, Findings(folder=tmp_path)
    monkeypatch.setenv(native.VARIABLE, str(own))
    library.build(report)
    assert report.figures["library"] == str(own / native.filename(native.KERNEL))
    assert "-arch=sm_90" in commands[0]
    assert all(Path(word).is_file() for word in commands[0] if word.endswith(".cu"))
    monkeypatch.setenv(native.VARIABLE, str(tmp_path / "named"))
    monkeypatch.setattr(native, "library_folders", lambda: [tmp_path / "named"])
    with pytest.raises(Unavailable, match="in a clone, cmake"):
        library.build(Findings(folder=tmp_path))
    assert len(commands) == 1


def test_sources_are_told_apart(monkeypatch, tmp_path):
    (tmp_path / "a.py").write_text("1")
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    monkeypatch.setattr(machine, "SOURCES", ("a.py",))
    before = machine.sources()
    (tmp_path / "a.py").write_text("2")
    assert machine.sources() != before


def command(output: Path, *options: str, **environment: str) -> subprocess.CompletedProcess:
    """benchmarks/gpu.py, in a process that does not find the project by itself."""
    return subprocess.run(
        [sys.executable, BENCHMARKS / "gpu.py", "--output", output, "--folder", output.parent / "made", *options],
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | environment,
        capture_output=True, text=True, timeout=120, cwd=output.parent,
    )  # fmt: skip


def test_a_rehearsal_under_the_stand_in_for_the_driver(tmp_path, emulated):
    """The command itself: the driver's calls as the SDK makes them where pycuda is not, and the kernels' source."""
    (tmp_path / "pycuda.py").write_text("raise ImportError")
    fake = build_fake(tmp_path)
    done = command(
        tmp_path / "gpu.json", "--rehearse", "--only", "driver,pixels,features,rescoring,memcheck,engine shipped",
        FAKE_EAGER="1", FAKE_REPORT="1", FAKE_CAPABILITY="90", LD_LIBRARY_PATH=str(fake.parent),
        PYTHONPATH=str(tmp_path), ALIGNED_REID_LIBRARIES=str(emulated), PATH=str(Path(sys.executable).parent),
    )  # fmt: skip
    parts = json.loads((tmp_path / "gpu.json").read_text())["parts"]
    statuses = {name: result["status"] for name, result in parts.items()}
    run = ("machine", "library", "driver", "pixels", "features", "rescoring")
    lacking = ("memcheck", "build shipped", "engine shipped")
    assert statuses == dict.fromkeys(run, "ok") | dict.fromkeys(lacking, "skipped"), done.stderr
    assert done.returncode == 0
    assert (parts["machine"]["figures"]["GPU"], parts["machine"]["figures"]["architecture"]) == ("Fake", "sm_90")
    for name in run[2:]:
        assert "faults 0, refs 0, living 0, copies some" in parts[name]["output"]
    assert parts["features"]["figures"]["least cosine"] >= 0.9999
    assert "kernel" in parts["rescoring"]["figures"]
    assert "(a rehearsal: the figures mean nothing)" in (tmp_path / "gpu.md").read_text()


def test_without_a_gpu_it_says_so_and_runs_nothing(tmp_path):
    fake = build_fake(tmp_path)
    done = command(tmp_path / "gpu.json", FAKE_NO_DEVICE="1", LD_LIBRARY_PATH=str(fake.parent))
    assert done.returncode == 2
    reason = "this benchmark needs an NVIDIA GPU: the NVIDIA driver finds no usable GPU (cuInit answers CUDA"
    assert f"nothing was run: {reason}" in done.stderr
    parts = json.loads((tmp_path / "gpu.json").read_text())["parts"]
    assert {result["status"] for result in parts.values()} == {"skipped"}
    assert "numpy" in parts["machine"]["figures"]["packages"]
    assert "Traceback" not in done.stdout + done.stderr


def test_parts_by_name_bring_what_they_need_and_all_there_are_exist():
    gpu = load("gpu")
    assert [part.name for part in gpu.chosen("threads")] == ["machine", "build resnet50", "threads"]
    with pytest.raises(SystemExit, match="--only bandwith: there is no such part; there are: machine, library"):
        gpu.chosen("kernel,bandwith")
    for part in gpu.chosen(None):
        module, _, name = part.function.partition(":")
        assert callable(getattr(importlib.import_module(module), name))


def test_seconds_each_is_the_time_of_one_call(monkeypatch):
    monkeypatch.setattr(timing, "LEAST", 0.05)
    assert timing.seconds_each(lambda: time.sleep(2e-3)) == pytest.approx(2e-3, rel=3)


def test_nvccs_report_is_read():
    text = """
ptxas info    : Function properties for _ZN12aligned_reidNS0_8HalfTileILi8ELi128EEELi8EEEvNS0_9ArgumentsE
    32 bytes stack frame, 4 bytes spill stores, 8 bytes spill loads
ptxas info    : Used 86 registers, used 0 barriers, 32 bytes cumulative stack size, 8704 bytes smem, 408 bytes cmem[0]
ptxas info    : Function properties for _ZN12aligned_reid41_GLOBAL__NS0_9FloatTileILi16ELi0EEELi16EEEvNS0_9ArgumentsE
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 125 registers, used 0 barriers, 16640 bytes smem
"""
    half, single = load("kernel_resources").read_report(text)
    assert half == {
        "type": "half", "rows": 8, "dim": 128, "stack": 32, "stores": 4, "loads": 8, "registers": 86, "shared": 8704,
        "warps by registers": 20,
    }  # fmt: skip
    assert (single["type"], single["rows"], single["dim"], single["stores"]) == ("float", 16, 0, 0)
