"""benchmarks/gpu.py without a GPU: its own references, that its checks can fail, and what it says where it cannot run.

Kernel and engine are the stand-ins of the other tests, so the figures mean nothing here; the parts' logic does.
"""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from sdk.cutting import Cuts
from sdk.distances import local_distance_gathered
from sdk.engines import cuda, libcuda, native
from sdk.engines.device_crops import CropKernel
from sdk.engines.stripes import Kernel
from sdk.reidentifier import Features
from tests.fake_cuda import FakeDriver, plan_bytes
from tests.test_cuda import install
from tests.test_native import brute_force
from tests.test_tensorrt import LARGEST, METADATA, open_engine, tensors

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def load(name: str):
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", BENCHMARKS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


gpu = load("gpu")


@pytest.fixture
def kernel(monkeypatch, emulated):
    install(monkeypatch, FakeDriver(eager=True))
    monkeypatch.setattr(native, "library_folders", lambda: [emulated])
    return Kernel()


def test_its_float64_reference_is_the_brute_force():
    rng = np.random.default_rng(0)
    for stripes in (1, 3, 5, 9):
        pairs = gpu.random_pairs(rng, stripes, 16, np.float32)
        found = gpu.exact_distances(pairs)
        inside = (pairs.candidates >= -1) & (pairs.candidates < len(pairs.gallery))
        expected = brute_force(pairs.query, pairs.gallery, np.where(inside, pairs.candidates, -1))
        np.testing.assert_allclose(found[inside], expected[inside], atol=1e-12)
        assert np.isnan(found[~inside]).all()
        assert (~inside).any()
        assert (pairs.candidates == -1).any()
        if stripes == 1:
            assert (found == 0).any()  # copies


def test_its_pytorch_is_the_same_formula():
    pairs = gpu.big_pairs(4, 6, 30)
    assert len(np.unique(pairs.candidates)) == 24
    found = gpu.torch_distances(torch, *(torch.from_numpy(x) for x in (pairs.query, pairs.gallery, pairs.candidates)))
    expected = local_distance_gathered(pairs.query, pairs.gallery, pairs.candidates)
    np.testing.assert_allclose(found.numpy(), expected, atol=0.02)


def test_a_right_kernel_passes_and_leaves_no_memory_behind(kernel):
    device, report = cuda.open_device(), gpu.Report()
    before = len(device.driver.living)
    found = gpu.check_kernel(report, device, kernel, stripes=(1, 7, 8, 16), dims=(40, 128), rounds=1)
    assert found["cases"] == 16
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
    report = gpu.Report()
    gpu.check_kernel(report, cuda.open_device(), kernel, stripes=(1, 4), dims=(16,), rounds=1)
    assert not report.holds


def test_bandwidth_counts_what_is_moved(kernel):
    report = gpu.Report()
    found = gpu.measure_bandwidth(report, cuda.open_device(), kernel, entries=64)
    assert found["pairs"] == 64
    assert found["share"] == pytest.approx(found["GB/s gathered"] / found["GB/s of a copy, read and written"])
    assert len(report.checks) == 1  # the emulation is nowhere near a copy's speed, and the check says so
    assert not report.holds


@pytest.mark.parametrize("lines_lost", [0, 1])
def test_crops_are_compared_to_the_processors(kernel, monkeypatch, lines_lost):
    monkeypatch.setattr(gpu, "seconds_each", lambda work, wait: (work(), 1.0)[1])
    report, crops = gpu.Report(), CropKernel()
    launch = crops.launch

    def cut(*given, size, **others):
        launch(*given, size=(size[0] - lines_lost, size[1]), **others)

    monkeypatch.setattr(crops, "launch", cut)
    found = gpu.check_crops(report, cuda.open_device(), crops, size=(32, 16), lines=(300, 180))
    assert (found["crops"], report.holds) == (16, not lines_lost)


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

    monkeypatch.setattr(gpu, "seconds_each", lambda work, wait: (work(), 1.0)[1])
    monkeypatch.setattr(gpu, "BATCHES", (1, LARGEST, LARGEST + 1))
    assert gpu.crops_for(engine, 3).shape == (3, 16, 8, 3)
    report = gpu.Report()
    found = gpu.measure_engine(report, "some", engine, Reference())
    assert list(found) == ["batch 1", f"batch {LARGEST}"]  # what the engine takes at once
    assert found["batch 1"]["overhead of embed over bare"] == 0
    assert report.holds
    monkeypatch.setattr(Reference, "run", lambda self, crops: (-engine.run(crops)[0], None))
    gpu.measure_engine(report, "some", engine, Reference())
    assert not report.holds


def test_boxes_are_compared_to_crops(engine, monkeypatch):
    """With one path for both they agree; with another for crops in a list they do not."""
    monkeypatch.setattr(gpu, "seconds_each", lambda work, wait: (work(), 1.0)[1])
    report, reid = gpu.Report(), gpu.ReIdentifier(engine, threshold=0.5)
    features = {Cuts: np.eye(3)[[0, 0, 0]], list: np.eye(3)[[0, 0, 0]]}
    monkeypatch.setattr(reid, "embed", lambda crops, boxes=None: Features(features.get(type(crops))))
    assert gpu.measure_boxes(report, "some", reid, 3)["embed of boxes, ms"] == 1000
    assert report.holds
    features[list] = np.eye(3)[[0, 0, 1]]
    gpu.measure_boxes(report, "some", reid, 3)
    assert not report.holds


def test_threads_and_the_hour(engine, monkeypatch):
    report = gpu.Report()
    assert gpu.check_threads(report, "some", engine, threads=4, turns=5) == {"threads": 4, "calls": 20, "errors": []}
    found = gpu.check_hour(report, "some", engine, cuda.open_device(), calls=60)
    assert found["calls"] == 60
    assert report.holds, report.checks
    leaks, run = [], engine.run
    monkeypatch.setattr(engine, "run", lambda crops: leaks.append(cuda.open_device().allocate(1 << 20)) or run(crops))
    gpu.check_hour(report, "some", engine, cuda.open_device(), calls=30)
    assert not report.checks[-2]["holds"]  # 30 MB of the GPU's memory
    turn = iter(range(1000))
    monkeypatch.setattr(engine, "run", lambda crops: (run(crops)[0] + (next(turn) == 5), None))
    assert gpu.check_threads(report, "some", engine, threads=2, turns=5)["errors"] != []
    assert not report.checks[-1]["holds"]


def test_what_cannot_run_is_listed_and_what_fails_does_not_stop_the_rest():
    report = gpu.Report()

    def unavailable(report):
        raise gpu.Unavailable("torch sees no GPU")

    def broken(report):
        raise gpu.ReIDError("the GPU fell off the bus")

    report.run("pytorch", unavailable)
    report.run("hour", broken)
    report.run("threads", lambda report: {"calls": 3, "of": {"a": 0.123456}})
    report.check("share", float("nan"), 0.6, at_least=True)
    assert not report.holds
    facts = {"machine": {"GPU": "some"}, "checks": report.checks, "parts": report.parts, "not run": report.not_run}
    text = gpu.to_markdown(facts)
    assert "- pytorch: torch sees no GPU" in text
    assert "| hour runs | the GPU fell off the bus |  | **fails** |" in text
    assert "| share | nan | ≥ 0.6 | **fails** |" in text
    assert "| threads | of: a | 0.1235 |" in text


def test_without_a_gpu_it_says_so_and_runs_nothing(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pycuda", None)
    monkeypatch.setattr(cuda, "_devices", {})
    monkeypatch.setattr(libcuda, "LIBRARY", "no-driver.so")
    libcuda.library.cache_clear()
    app = gpu.typer.Typer()
    app.command()(gpu.main)
    done = CliRunner().invoke(app, ["--output", str(tmp_path / "gpu.json")])
    assert done.exit_code == 2
    said = " ".join(done.stderr.split())
    assert "nothing was run, this benchmark needs a GPU" in said
    assert "there is no NVIDIA driver" in said
    assert list(tmp_path.iterdir()) == []


def test_seconds_each_is_the_time_of_one_call():
    import time

    assert gpu.seconds_each(lambda: time.sleep(2e-3), lambda: None, least=0.05) == pytest.approx(2e-3, rel=3)


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
