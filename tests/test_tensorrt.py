"""The TensorRT engine's own logic, with stand-ins for TensorRT and the driver (tests/fake_cuda.py): parts of a batch,
staging, threads, what is freed and what is said. Whether a GPU computes right is for benchmarks/gpu.py.
"""

import gc
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sdk.engines import native, tensorrt
from sdk.engines.log import log_of
from sdk.engines.metadata import Metadata
from sdk.engines.plan import network_name
from sdk.engines.plugin import load_plugin, plugin_state
from sdk.engines.stripes import GpuStripes
from sdk.engines.versions import import_library
from sdk.errors import CropError, EngineError, MissingPackageError
from tests.fake_cuda import FakeDriver, fake_tensorrt, plan_bytes
from tests.test_cuda import in_threads, install

METADATA = Metadata("resnet18", (4, 2), 3, "fp16", stripes=2, stripe_dim=8)
LARGEST = 5


def embed(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Something that tells crops apart: sums over channels, and over rows."""
    crops = inputs["crops"].astype(np.float32)
    sums = crops.sum(axis=(1, 2))
    return {"embedding": sums, "stripes": np.repeat(sums[:, :2, None] / 64, 8, axis=2).astype(np.float16)}


def tensors(smallest: int = 1, with_stripes: bool = True, **changed) -> dict:
    made = {
        "crops": ("input", np.uint8, (-1, 4, 2, 3), (LARGEST, 4, 2, 3), smallest),
        "embedding": ("output", np.float32, (-1, 3), None, None),
        "stripes": ("output", np.float16, (-1, 2, 8), None, None),
    }
    if not with_stripes:
        del made["stripes"]
    return made | changed


@pytest.fixture
def driver(monkeypatch) -> FakeDriver:
    monkeypatch.setattr(tensorrt, "open_cutter", lambda *_: None)  # a library in a clone's build folder changes nothing
    return install(monkeypatch, FakeDriver())


@pytest.fixture
def plan(tmp_path):
    path = tmp_path / "model.engine"
    path.write_bytes(plan_bytes(b"whole"))
    return path


def open_engine(monkeypatch, driver, plan, made=None, metadata=METADATA, rtx=False, **options):
    made = made or tensors()
    trt = fake_tensorrt(driver, made, lambda inputs: {k: v for k, v in embed(inputs).items() if k in made}, rtx=rtx)
    monkeypatch.setitem(sys.modules, "tensorrt", trt)
    return tensorrt.TensorRTEngine(plan, metadata, **options), trt


def crops(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 4, 2, 3), np.uint8)


@pytest.mark.parametrize("smallest", [1, 3])
def test_batches_of_every_size_are_run_in_parts(monkeypatch, driver, plan, smallest):
    engine, _ = open_engine(monkeypatch, driver, plan, tensors(smallest))
    assert (engine.min_batch, engine.max_batch) == (smallest, LARGEST)
    for count in (*range(13), 33):
        batch = crops(count, count)
        embedding, stripes = engine.run(batch)
        expected = embed({"crops": batch})
        np.testing.assert_array_equal(embedding, expected["embedding"])
        np.testing.assert_array_equal(stripes, expected["stripes"])
        assert embedding.dtype == np.float32
        assert stripes.dtype == np.float16
        assert driver.stack() == []


def test_a_model_without_stripes(monkeypatch, driver, plan):
    engine, _ = open_engine(monkeypatch, driver, plan, tensors(with_stripes=False))
    embedding, stripes = engine.run(crops(2))
    assert embedding.shape == (2, 3)
    assert stripes is None


def test_results_are_the_callers_own(monkeypatch, driver, plan):
    engine, _ = open_engine(monkeypatch, driver, plan)
    first = engine.run(crops(3, 1))[0]
    kept = first.copy()
    engine.run(crops(3, 2))
    engine.close()
    np.testing.assert_array_equal(first, kept)


def test_the_shape_is_set_only_when_it_changes(monkeypatch, driver, plan):
    engine, trt = open_engine(monkeypatch, driver, plan)
    for count in (2, 2, 2, 4, 4, 2):
        engine.run(crops(count))
    assert trt.contexts[0].shape_changes == 3


def test_any_thread_may_run_it_and_their_batches_are_not_mixed(monkeypatch, driver, plan):
    engine, _ = open_engine(monkeypatch, driver, plan)

    def work(i):
        right = True
        for turn in range(20):
            batch = crops(1 + (i + turn) % 12, 100 * i + turn)
            right &= np.array_equal(engine.run(batch)[0], embed({"crops": batch})["embedding"])
        return right, len(driver.stack())

    assert in_threads(8, work) == [(True, 0)] * 8
    assert driver.most_at_once == 1
    assert driver.retained == 1


def test_running_allocates_nothing_and_closing_frees_everything(monkeypatch, driver, plan):
    engine, _ = open_engine(monkeypatch, driver, plan)
    before = set(driver.living)
    assert len(before) == 6  # pinned and on the GPU: crops, embedding, stripes
    for count in (1, 5, 12):
        engine.run(crops(count))
    assert set(driver.living) == before
    assert in_threads(1, lambda i: engine.close()) == [None]
    assert driver.living == {}
    engine.close()
    with pytest.raises(EngineError, match=r"model\.engine: this engine has been closed; load it again"):
        engine.run(crops(1))


def test_an_engine_that_is_dropped_frees_everything(monkeypatch, driver, plan):
    engine, _ = open_engine(monkeypatch, driver, plan)
    engine.run(crops(2))
    del engine
    gc.collect()
    assert driver.living == {}


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (np.zeros((1, 4, 2, 3), np.float32), "the batch is float32; the graph scales"),
        (np.zeros((1, 3, 4, 2), np.uint8), r"shape \(1, 3, 4, 2\); .* takes uint8 \[B, 4, 2, 3\]"),
        (np.zeros((4, 2, 3), np.uint8), "has shape"),
        ([np.zeros((4, 2, 3), np.uint8)], "the batch is a list"),
    ],
)
def test_other_batches_are_refused(monkeypatch, driver, plan, batch, message):
    engine, _ = open_engine(monkeypatch, driver, plan)
    with pytest.raises(CropError, match=message):
        engine.run(batch)


def test_a_plan_that_keeps_another_contract_is_refused(monkeypatch, driver, plan):
    for name, tensor, message in (
        (
            "crops",
            ("input", np.float32, (-1, 3, 4, 2), (5, 3, 4, 2), 1),
            r"has 'crops' float32 .* expected 'crops' uint8",
        ),
        ("embedding", ("output", np.float32, (-1, 7), None, None), r"expected 'embedding' float32 \[·, 3\]"),
        ("stripes", ("output", np.float32, (-1, 2, 8), None, None), "expected 'stripes' float16"),
    ):
        with pytest.raises(EngineError, match=message):
            open_engine(monkeypatch, driver, plan, tensors(**{name: tensor}))
    incomplete = tensors(with_stripes=False)
    del incomplete["embedding"]
    with pytest.raises(EngineError, match="has no 'embedding'"):
        open_engine(monkeypatch, driver, plan, incomplete)
    gc.collect()
    assert driver.living == {}
    assert driver.stack() == []


def test_what_tensorrt_said_is_in_the_error(monkeypatch, driver, plan):
    plan.write_bytes(plan_bytes(b"damaged"))
    with pytest.raises(
        EngineError, match=r"cannot be loaded \(TensorRT says: magicTag does not match\); build it again"
    ):
        open_engine(monkeypatch, driver, plan)


def test_no_plan_and_no_library(monkeypatch, driver, plan):
    plan.write_bytes(b"\x08\x07onnx")
    with pytest.raises(EngineError, match="not a TensorRT plan"):
        tensorrt.TensorRTEngine(plan, METADATA)
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    plan.write_bytes(plan_bytes(b"whole"))
    with pytest.raises(MissingPackageError, match=r"\[tensorrt\]"):
        tensorrt.TensorRTEngine(plan, METADATA)


def test_host_code_is_allowed_only_where_it_is_asked_for(monkeypatch, driver, plan):
    _, trt = open_engine(monkeypatch, driver, plan)
    assert trt.runtimes[0].engine_host_code_allowed is False
    _, trt = open_engine(monkeypatch, driver, plan, host_code=True)
    assert trt.runtimes[0].engine_host_code_allowed is True


def test_graphs_are_recorded_once_a_batch_size_and_the_oldest_goes(monkeypatch, driver, plan):
    """The second run of a size records, later ones launch; a stand-in does what was recorded."""
    living = []

    class Recorded:
        def __init__(self, stream, work):
            living.append(self)
            self.work = work

        def launch(self):
            self.work()

        def free(self):
            living.remove(self)

    monkeypatch.setattr(tensorrt, "Graph", Recorded)
    monkeypatch.setattr(tensorrt, "GRAPHS", 2)
    engine, trt = open_engine(monkeypatch, driver, plan, graphs=True)
    for number, count in enumerate((1, 1, 1, 2, 2, 3, 3, 1, 1, 2)):
        batch = crops(count, number)
        np.testing.assert_array_equal(engine.run(batch)[0], embed({"crops": batch})["embedding"])
        assert len(living) <= 2
    # A size has a context of its own, whose shape never changes: what was recorded of it stays true.
    assert len(trt.contexts) == 5
    assert {context.shape_changes for context in trt.contexts} == {1}
    engine.close()
    assert living == []
    assert driver.living == {}


def test_tensorrt_rtx_keeps_what_it_compiles_and_records_its_graphs_itself(monkeypatch, driver, plan, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(tensorrt, "Graph", None)
    for turn in range(2):
        engine, trt = open_engine(monkeypatch, driver, plan, rtx=True, graphs=True)
        for count in (2, 2, 2, 5):
            batch = crops(count, count)
            np.testing.assert_array_equal(engine.run(batch)[0], embed({"crops": batch})["embedding"])
        (config,) = trt.configs
        assert (config.cuda_graph_strategy, config.dynamic_shapes_kernel_specialization_strategy) == ("whole", "eager")
        assert config.cache.content == (b"compiled" if turn else b"")
        if turn:
            engine.close()
        else:
            del engine, config, trt
            gc.collect()  # it is kept when the engine is dropped, too, and at the end of the process
        (file,) = (tmp_path / "cache" / "aligned-reid").iterdir()
        assert file.read_bytes() == b"compiled"
    assert driver.living == {}
    _, trt = open_engine(monkeypatch, driver, plan, rtx=True)
    assert trt.configs[0].cuda_graph_strategy is None


def test_a_runtime_cache_that_is_damaged_or_cannot_be_written_is_no_obstacle(
    monkeypatch, driver, plan, tmp_path, capsys
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    engine, _ = open_engine(monkeypatch, driver, plan, rtx=True)
    engine.close()
    (file,) = (tmp_path / "cache" / "aligned-reid").iterdir()
    file.write_bytes(b"garbage")
    engine, trt = open_engine(monkeypatch, driver, plan, rtx=True)
    assert trt.configs[0].cache.content == b""
    engine.close()
    assert file.read_bytes() == b"compiled"
    plan.write_bytes(plan_bytes(b"another, whole"))  # another plan has another
    engine, _ = open_engine(monkeypatch, driver, plan, rtx=True)
    engine.close()
    assert len(list(file.parent.iterdir())) == 2
    monkeypatch.setenv("XDG_CACHE_HOME", str(file))  # no folder can be made there
    engine, _ = open_engine(monkeypatch, driver, plan, rtx=True)
    engine.run(crops(1))
    engine.close()
    assert "what TensorRT-RTX has compiled is not kept" in " ".join(capsys.readouterr().err.split())


def rescoring_tensors(most_queries: int = 3, most_candidates: int = 4, most_entries: int = 20) -> dict:
    return {
        "query_stripes": ("input", np.float16, (-1, 2, 8), (most_queries, 2, 8), 1),
        "gallery_stripes": ("input", np.float16, (-1, 2, 8), (most_entries, 2, 8), 1),
        "candidates": ("input", np.int32, (-1, -1), (most_queries, most_candidates), 1),
        "distance": ("output", np.float32, (-1, -1), None, None),
    }


def align(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    from sdk.distances import local_distance_gathered

    return {
        "distance": local_distance_gathered(*(inputs[n] for n in ("query_stripes", "gallery_stripes", "candidates")))
    }


def test_re_scoring_in_a_plan_is_run_in_parts_over_a_gallery_that_grows(monkeypatch, driver, plan, tmp_path):
    monkeypatch.setenv(native.VARIABLE, str(tmp_path))
    library = tmp_path / native.filename(native.PLUGIN)
    library.write_bytes(b"")
    loaded = []
    monkeypatch.setitem(sys.modules, "tensorrt", fake_tensorrt(driver, rescoring_tensors(), align, loaded))
    engine = tensorrt.RescoringEngine(plan)
    assert loaded == [str(library)]
    tensorrt.RescoringEngine(plan)
    assert loaded == [str(library)]  # once a process
    rng = np.random.default_rng(0)
    everybody, query = (rng.normal(size=(count, 2, 8)).astype(np.float16) for count in (20, 8))
    gallery = GpuStripes(2, 8, capacity=4)
    for entries in (4, 20):
        gallery.extend(everybody[len(gallery) : entries])
        candidates = rng.integers(-1, entries, (8, 11)).astype(np.int32)
        expected = align({"query_stripes": query, "gallery_stripes": everybody, "candidates": candidates})["distance"]
        np.testing.assert_allclose(engine.distances(query, gallery, candidates), expected, atol=1e-6)
    with pytest.raises(IndexError, match="reach to 20; the gallery has 20"):
        engine.distances(query[:1], gallery, np.array([[20]], np.int32))
    gallery.extend(everybody[:1])
    with pytest.raises(EngineError, match="up to 20 crops, this one has 21"):
        engine.distances(query, gallery, candidates)
    assert driver.stack() == []


def test_a_re_scoring_plan_of_another_gpu_or_version_is_not_deserialised(monkeypatch, driver, tmp_path):
    trt = fake_tensorrt(driver, rescoring_tensors(), align)
    monkeypatch.setitem(sys.modules, "tensorrt", trt)
    path = tmp_path / "model.rescore.engine"
    remedy = r"build it again here: reid convert --rescore model\.onnx -o model\.engine"
    for target, message in (("sm_90", f"built for sm_90, this GPU \\(Fake\\) is sm_87; {remedy}"), ("sm_87", None)):
        path.write_bytes(plan_bytes(network_name(replace(METADATA, target=target)).encode() + b"whole"))
        if message is None:
            assert tensorrt.RescoringEngine(path).stripes == 2
            continue
        with pytest.raises(EngineError, match=message):
            tensorrt.RescoringEngine(path)
        assert trt.runtimes == []
    monkeypatch.setattr(trt, "__version__", "10.7.0.23")
    with pytest.raises(EngineError, match=rf"built by TensorRT 10\.3\.0\.26, here is TensorRT 10\.7\.0\.23; {remedy}"):
        tensorrt.RescoringEngine(path)


def test_a_plugin_that_cannot_be_loaded(monkeypatch, driver, plan, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorrt", fake_tensorrt(driver, rescoring_tensors(), align, plugins=None))
    monkeypatch.setattr(native, "library_folders", lambda: [tmp_path])
    library = import_library("tensorrt")
    assert not load_plugin(library)  # not built: a plan without plugin layers runs all the same
    assert plugin_state()[0] is False
    (tmp_path / native.filename(native.PLUGIN)).write_bytes(b"")
    with pytest.raises(EngineError, match="cannot load it; build it again"):
        load_plugin(library)


def test_what_is_called_is_what_tensorrt_has():
    """The stand-in's names, in a real library; and a real log's words in the error of a plan that is damaged."""
    trt = pytest.importorskip("tensorrt_rtx", exc_type=ImportError)
    used = {
        trt.Runtime: "deserialize_cuda_engine engine_host_code_allowed",
        trt.ICudaEngine: "create_execution_context num_io_tensors get_tensor_name get_tensor_mode get_tensor_shape "
        "get_tensor_dtype get_tensor_profile_shape create_runtime_config",
        trt.IExecutionContext: "set_tensor_address set_input_shape execute_async_v3",
        type(trt.get_plugin_registry()): "get_creator load_library",
        trt.IRuntimeCache: "serialize deserialize reset",
        trt.IRuntimeConfig: "create_runtime_cache set_runtime_cache cuda_graph_strategy "
        "dynamic_shapes_kernel_specialization_strategy",
        trt.CudaGraphStrategy: "WHOLE_GRAPH_CAPTURE",
        trt.DynamicShapesKernelSpecializationStrategy: "EAGER",
    }
    for kind, names in used.items():
        assert [name for name in names.split() if not hasattr(kind, name)] == []
    assert [trt.nptype(kind) for kind in (trt.uint8, trt.float16, trt.float32, trt.int32)] == [
        np.uint8, np.float16, np.float32, np.int32,
    ]  # fmt: skip
    log = log_of(trt)
    log.begin(verbose=False)
    for severity in (trt.ILogger.Severity.INFO, trt.ILogger.Severity.ERROR):
        trt.Builder(log)  # it takes the log as its own
        log.log(severity, f" {severity.name} ")
    assert log.last_error == "ERROR"
    assert "INFO" not in log.errors


ONE_LOG = """
import faulthandler, gc
import tensorrt_rtx as trt
from sdk.engines.builder import make_logger
from sdk.engines.log import log_of

faulthandler.enable()
def open_and_close():
    trt.Runtime(log_of(trt)).deserialize_cuda_engine(b"ftrt" + b"x" * 100)
for _ in range(2):
    open_and_close()
    gc.collect()
assert log_of(trt).count >= 2
trt.get_plugin_registry().load_library("/nowhere.so")
log = make_logger(trt, False)
network = trt.Builder(log).create_network(0)
assert log.last_error == ""
assert not trt.OnnxParser(network, log).parse(b"garbage")
print("survived")
"""


def test_one_log_a_process_is_there_when_the_library_speaks_to_it_later(tmp_path):
    """With one an engine, TensorRT spoke to the first one's memory when that was gone."""
    pytest.importorskip("tensorrt_rtx", exc_type=ImportError)
    done = subprocess.run(
        [sys.executable, "-c", ONE_LOG], capture_output=True, text=True, timeout=120,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "survived\n"), done.stderr


def test_the_log_remembers_the_last_errors_and_whose_they_are(driver):
    log = log_of(fake_tensorrt(driver, {}, None))
    error, info = log.Severity.ERROR, log.Severity.INFO
    assert log.last_error == ""
    for number in range(30):
        log.log(error, f" error {number}\nand more ")
        log.log(info, "all is well")
    assert (log.count, log.last_error) == (30, "error 29")
    assert log.since(28) == ["error 28\nand more", "error 29\nand more"]
    assert log.since(30) == []
    assert len(log.since(0)) == len(log.errors) == 20
    log.begin(verbose=False)
    assert log.last_error == ""


def test_a_real_librarys_refusal_is_one_error(monkeypatch, driver, tmp_path):
    pytest.importorskip("tensorrt_rtx", exc_type=ImportError)
    path = tmp_path / "model.engine"
    path.write_bytes(plan_bytes(bytes(1000)).replace(b"ftrt", b"vtrt"))
    with pytest.raises(
        EngineError, match=r"model\.engine: cannot be loaded \(TensorRT says: .+\); build it again"
    ) as error:
        tensorrt.TensorRTEngine(path, METADATA)
    assert "no reason given" not in str(error.value)
