"""Which way of re-scoring is taken, and that all ways that run here agree with `sdk.distances`.

The kernel's way runs the kernel's own source, compiled for the processor (converters/plugin/emulated_gpu.h), under a
stand-in for the driver: its arguments, types and memory are real, the GPU is not.
"""

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from sdk import rescoring
from sdk.distances import local_distance_gathered
from sdk.engines import DEFAULT_MODEL, Metadata, cuda, libcuda, native
from sdk.engines.plan import network_name
from sdk.errors import EngineError
from sdk.reidentifier import ReIdentifier
from sdk.rescorers import EngineRescorer, needed
from tests.fake_cuda import FakeDriver, fake_tensorrt, plan_bytes
from tests.fake_libcuda import build_fake, installed
from tests.test_cuda import in_threads, install
from tests.test_tensorrt import align, rescoring_tensors


def rescore_graph(stripes: int) -> onnx.ModelProto:
    """The contract's graph: one node, and the function that says what it means, its paths' cells one by one."""
    nodes, number = [], 0

    def add(operator: str, *inputs: str, output: str | None = None, **attributes) -> str:
        nonlocal number
        number += 1
        output = output or f"t{number}"
        nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def constant(value) -> str:
        return add("Constant", value=numpy_helper.from_array(np.asarray(value)))

    rows = add("Max", add("Cast", "candidates", to=TensorProto.INT64), constant(np.int64(0)))
    gathered = add("Cast", add("Gather", "gallery_stripes", rows, axis=0), to=TensorProto.FLOAT)  # [B, K, S, d]
    query = add("Unsqueeze", add("Cast", "query_stripes", to=TensorProto.FLOAT), constant(np.int64([1, 3])))
    difference = add("Sub", query, add("Unsqueeze", gathered, constant(np.int64([2]))))  # [B, K, S, S, d]
    squared = add("ReduceSum", add("Mul", difference, difference), constant(np.int64([-1])), keepdims=0)
    element = add("Tanh", add("Mul", add("Sqrt", squared), constant(np.float32(0.5))))
    cells = {}
    for i in range(stripes):
        row = add("Gather", element, constant(np.int64(i)), axis=2)
        for j in range(stripes):
            before = [cells[cell] for cell in ((i - 1, j), (i, j - 1)) if cell in cells]
            own = add("Gather", row, constant(np.int64(j)), axis=2)
            cells[i, j] = add("Add", own, add("Min", *before)) if before else own
    none = add("Less", "candidates", constant(np.int32(0)))
    add("Where", none, constant(np.float32(np.inf)), cells[stripes - 1, stripes - 1], output="distance")
    function = helper.make_function(
        "reid",
        "AlignedLocalDistance",
        ["query_stripes", "gallery_stripes", "candidates"],
        ["distance"],
        nodes,
        [helper.make_opsetid("", 18)],
    )
    shapes = {"query_stripes": ["B", stripes, "d"], "gallery_stripes": ["G", stripes, "d"], "candidates": ["B", "K"]}
    types = dict.fromkeys(shapes, TensorProto.FLOAT16) | {"candidates": TensorProto.INT32}
    graph = helper.make_graph(
        [helper.make_node("AlignedLocalDistance", list(shapes), ["distance"], domain="reid")],
        "rescore",
        [helper.make_tensor_value_info(name, types[name], shape) for name, shape in shapes.items()],
        [helper.make_tensor_value_info("distance", TensorProto.FLOAT, ["B", "K"])],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("reid", 1)]
    return helper.make_model(graph, opset_imports=opsets, functions=[function], ir_version=8)


def case(seed: int = 0, stripes: int = 8, dim: int = 128, entries: int = 30):
    """Unit-length stripes in half precision, as an engine gives them; every third candidate is none."""
    rng = np.random.default_rng(seed)
    query, gallery = (rng.normal(size=(count, stripes, dim)) for count in (5, entries))
    query, gallery = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (query, gallery))
    candidates = rng.integers(0, entries, (5, 9))
    candidates[:, ::3] = -1
    return query.astype(np.float16), gallery.astype(np.float16), candidates


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """A machine without a GPU, without libraries; the model's folder."""
    monkeypatch.setattr(native, "library_folders", lambda: [tmp_path])
    monkeypatch.setattr(cuda, "_devices", {})
    monkeypatch.setitem(sys.modules, "pycuda", None)
    monkeypatch.setattr(libcuda, "LIBRARY", "no-driver.so")
    libcuda.library.cache_clear()
    return tmp_path / "model.onnx"


def test_a_bare_machine_takes_numpy_and_says_what_the_others_lack(bare):
    ways = rescoring.available(bare)
    assert [way.name for way in ways] == list(rescoring.WAYS)
    assert [way.usable for way in ways] == [False, False, False, False, True]
    reasons = {way.name: way.reason for way in ways}
    assert "model.rescore.engine is not there; reid convert --rescore" in reasons["plugin"]
    assert "cmake -S . -B build" in reasons["kernel"]
    assert "model.rescore.onnx is not there; reid convert --rescore" in reasons["onnxruntime"]
    rescorer = rescoring.choose(bare)
    assert rescorer.name == "numpy"
    assert "not kernel: lib" in rescorer.reason
    assert rescoring.choose().name == "numpy"
    (bare.parent / native.filename(native.KERNEL)).write_bytes(b"")
    assert "there is no NVIDIA driver" in rescoring.available(bare)[1].reason


def test_a_way_that_is_asked_for_is_taken_or_refused(bare):
    assert rescoring.choose(bare, "numpy").name == "numpy"
    with pytest.raises(EngineError, match=r"'kernel' cannot be used here: .*cmake"):
        rescoring.choose(bare, "kernel")
    with pytest.raises(
        EngineError, match="'cuda' is no way of re-scoring; there are plugin, kernel, compiled, onnxruntime, numpy"
    ):
        rescoring.choose(bare, "cuda")


def test_onnx_runtime_is_taken_where_the_graph_lies_beside_the_model(bare):
    path = bare.with_name("model.rescore.onnx")
    onnx.save(rescore_graph(8), path)
    rescorer = rescoring.choose(bare)
    assert rescorer.name == "onnxruntime"
    check(rescorer)


@pytest.mark.parametrize(("content", "message"), [(b"no graph", "cannot load it"), (None, "is no re-scoring graph")])
def test_a_file_that_is_no_graph_is_passed_over(bare, content, message):
    bare.with_name("model.rescore.onnx").write_bytes(DEFAULT_MODEL.read_bytes() if content is None else content)
    rescorer = rescoring.choose(bare)
    assert rescorer.name == "numpy"
    assert message in rescorer.reason
    with pytest.raises(EngineError, match=message):
        rescoring.choose(bare, "onnxruntime")


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> Path:
    """The strict stand-in for libcuda."""
    return build_fake(tmp_path_factory.mktemp("fake"))


@pytest.fixture
def kernel(bare, emulated, monkeypatch):
    """The kernel's way, and its driver."""
    driver = install(monkeypatch, FakeDriver(eager=True))
    monkeypatch.setattr(native, "library_folders", lambda: [emulated])
    rescorer = rescoring.choose(bare)
    assert rescorer.name == "kernel"
    assert "Fake, CUDA 12.6, through pycuda" in rescorer.reason
    return rescorer, driver


def cheapest_paths(query: np.ndarray, gallery: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """The local distances in float64, cell by cell from the first: none of the ways' own code. -1: infinitely far."""
    pairs = gallery.astype(np.float64)[np.maximum(candidates, 0)]
    cost = np.tanh(np.linalg.norm(query.astype(np.float64)[:, None, :, None] - pairs[:, :, None], axis=-1) / 2)
    for i, j in np.ndindex(cost.shape[2:]):
        before = [cost[:, :, i - 1, j]] * (i > 0) + [cost[:, :, i, j - 1]] * (j > 0)
        cost[:, :, i, j] += np.minimum.reduce(before) if before else 0
    return np.where(candidates < 0, np.inf, cost[:, :, -1, -1])


def check(rescorer, atol: float = 2e-3):
    """Against float64, with an array and with what the way holds."""
    for seed, shape in enumerate([(8, 128), (8, 128), (3, 16)] if rescorer.name != "onnxruntime" else [(8, 128)] * 2):
        query, gallery, candidates = case(seed, *shape)
        expected = cheapest_paths(query, gallery, candidates)
        for given in (gallery, rescorer.hold(gallery)):
            found = rescorer.distances(query, given, candidates)
            assert found.dtype == np.float32
            np.testing.assert_allclose(found, expected, atol=atol)
            assert np.isposinf(found[:, ::3]).all()
            assert np.isposinf(rescorer.distances(query, given, np.full((5, 2), -1))).all()
            assert rescorer.distances(query, given, candidates[:, :0]).shape == (5, 0)
            for strange in (len(gallery), -2):
                with pytest.raises(IndexError, match="gallery has 30"):
                    rescorer.distances(query, given, np.where(candidates == candidates.max(), strange, candidates))
            with pytest.raises(ValueError, match=r"are not \[B, S, d\], \[G, S, d\] and \[B, K\]"):
                rescorer.distances(query[:2], given, candidates)
            with pytest.raises(ValueError, match="candidates are integers"):
                rescorer.distances(query, given, candidates.astype(float))
    nobody = rescorer.hold(gallery[:0])
    assert np.isposinf(rescorer.distances(query, nobody, np.full((5, 2), -1))).all()


def test_numpy_agrees(bare):
    check(rescoring.choose(bare), atol=1e-5)


def test_the_kernels_way_agrees(kernel):
    rescorer, driver = kernel
    check(rescorer)
    assert driver.stack() == []


def test_float32_stripes_are_not_rounded_unless_they_are_held_in_half_precision(kernel):
    rescorer, _ = kernel
    query, gallery, candidates = (x.astype(np.float32) if x.dtype == np.float16 else x for x in case(7))
    query += np.random.default_rng(0).normal(size=query.shape).astype(np.float32) * 1e-4
    expected = local_distance_gathered(query, gallery, candidates)
    np.testing.assert_allclose(rescorer.distances(query, gallery, candidates), expected, atol=1e-5)
    held = rescorer.hold(gallery)
    assert held.dtype == np.float16
    np.testing.assert_allclose(rescorer.distances(query, held, candidates), expected, atol=5e-3)


def test_only_indices_and_queries_go_to_the_gpu_where_the_gallery_is_held(kernel, monkeypatch):
    rescorer, driver = kernel
    query, gallery, candidates = case()
    held, copied = rescorer.hold(gallery), []
    copy = driver.memcpy_htod_async
    monkeypatch.setattr(
        driver, "memcpy_htod_async", lambda a, array, s: (copied.append(array.nbytes), copy(a, array, s))
    )
    rescorer.distances(query, held, candidates)
    assert sum(copied) == query.nbytes + 4 * candidates.size
    copied.clear()
    rescorer.distances(query, gallery, candidates)  # an array: the candidates' rows, each once, and not the gallery
    rows = len(np.unique(candidates[candidates >= 0]))
    assert sum(copied) == query.nbytes + 4 * candidates.size + rows * gallery[0].nbytes


def test_threads_and_repeated_calls_leave_the_memory_as_it_was(kernel):
    rescorer, driver = kernel
    query, gallery, candidates = case()
    held, expected = rescorer.hold(gallery), local_distance_gathered(query, gallery, candidates)
    rescorer.distances(query, gallery, candidates)
    before = len(driver.living)

    def work(i):
        found = [rescorer.distances(query, (gallery, held)[(i + turn) % 2], candidates) for turn in range(4)]
        return all(np.allclose(distance, expected, atol=2e-3) for distance in found)  # inf is equal to inf

    assert in_threads(4, work) == [True] * 4
    assert len(driver.living) == before


def test_sizes_that_the_kernel_does_not_take_are_an_error_in_words(kernel):
    rescorer, _ = kernel
    with pytest.raises(
        EngineError, match=r"cannot run .* \[5, 17, 16\] is not 1 to 16 stripes of a multiple of 8 numbers"
    ):
        rescorer.distances(*case(0, 17, 16))
    with pytest.raises(EngineError, match=r"\[5, 8, 12\] is not"):
        rescorer.distances(*case(0, 8, 12))


def lay_plan(model, library: Path | None, content: bytes = b"whole", **tools: str) -> None:
    """A re-scoring plan beside the model whose metadata name these tools, and the plugin's library."""
    name = network_name(Metadata("resnet18", (256, 128), 512, "fp16", stripes=2, stripe_dim=8, tools=tools))
    model.with_name("model.rescore.engine").write_bytes(plan_bytes(name.encode() + content))
    if library is not None:
        (library / native.filename(native.PLUGIN)).write_bytes(b"")


@pytest.mark.parametrize(("tools", "way"), [({"plugin": "1"}, "plugin"), ({}, "compiled")])
def test_a_plan_is_taken_for_what_it_was_built_with(bare, monkeypatch, tools, way):
    driver = install(monkeypatch, FakeDriver())
    trt = fake_tensorrt(driver, rescoring_tensors(most_entries=40), align, plugins=[])
    monkeypatch.setitem(sys.modules, "tensorrt", trt)
    lay_plan(bare, bare.parent, **tools)
    rescorer = rescoring.choose(bare)
    assert rescorer.name == way
    query, gallery, candidates = case(0, 2, 8)
    expected = local_distance_gathered(query, gallery, candidates)
    for given in (gallery, rescorer.hold(gallery)):
        np.testing.assert_allclose(rescorer.distances(query, given, candidates), expected, atol=1e-6)
    lay_plan(bare, None, b"damaged", **tools)
    assert rescoring.choose(bare).name == "numpy"
    assert "magicTag does not match" in rescoring.choose(bare).reason


def test_an_engine_of_standard_operators_stands_behind_the_kernel(kernel, bare, monkeypatch, emulated):
    _, driver = kernel
    monkeypatch.setitem(sys.modules, "tensorrt", fake_tensorrt(driver, rescoring_tensors(), align))
    lay_plan(bare, None)
    assert [way.name for way in rescoring.available(bare) if way.usable] == ["kernel", "compiled", "numpy"]
    chosen = rescoring.choose(bare)
    assert chosen.name == "kernel"
    assert "model.rescore.engine was built without the plugin" in chosen.reason
    lay_plan(bare, None, plugin="1")
    reasons = {way.name: way.reason for way in rescoring.available(bare)}
    assert "built with the plugin, which is not here" in reasons["plugin"]
    assert "was built with the plugin" in reasons["compiled"]


def engine_of_zeros(monkeypatch) -> EngineRescorer:
    """The rescorer's own part of an engine's way: what TensorRT computes is left out."""

    class Zeros:
        def __init__(self, path, device):
            self.device = cuda.open_device()

        def distances(self, query, gallery, candidates):
            return np.zeros(candidates.shape, np.float32)

    monkeypatch.setattr("sdk.engines.tensorrt.RescoringEngine", Zeros)
    return EngineRescorer(Path("model.rescore.engine"), "compiled")


@pytest.mark.parametrize("way", ["kernel", "compiled"])
def test_a_call_makes_no_memory_and_no_stream(library, bare, emulated, monkeypatch, way):
    """Of arrays and of what is held, in the stand-in that counts; once its buffers are as large as it needs them."""
    monkeypatch.setattr(native, "library_folders", lambda: [emulated])
    with installed(library) as fake:
        fake.fake_eager(1)
        rescorer = rescoring.choose(None, "kernel") if way == "kernel" else engine_of_zeros(monkeypatch)
        query, gallery, candidates = case(0, 2, 8)
        held = rescorer.hold(gallery)
        for given in (gallery, held):
            rescorer.distances(query, given, candidates)
        before = fake.fake_made()
        for number in range(20):
            rescorer.distances(query[: 1 + number % 5], (gallery, held)[number % 2], candidates[: 1 + number % 5])
        assert fake.fake_made() == before
        held.close()
        del rescorer, held


def test_needed_rows():
    gallery = np.arange(20).reshape(10, 1, 2)
    for candidates in ([[7, -1, 7], [2, 9, -1]], [[3, 3]], [[-1, -1]], [[]]):
        candidates = np.array(candidates, np.int32)
        rows, at = needed(gallery, candidates)
        assert len(rows) == len(np.unique(candidates[candidates >= 0]))
        assert (at < 0).tolist() == (candidates < 0).tolist()
        np.testing.assert_array_equal(rows[at[at >= 0]], gallery[candidates[candidates >= 0]])


def test_a_re_identifier_re_scores_by_the_machines_best_way(kernel, monkeypatch):
    """Through enrolment and search: the same order and distances as NumPy's, by the kernel."""

    class Engine:
        metadata = Metadata("resnet18", (16, 8), 12, "fp16", stripes=4, stripe_dim=8)

        def run(self, crops):
            """Numbers that differ from crop to crop: means of regions, at unit length."""
            regions = crops.reshape(len(crops), 4, 4, 8, 3).mean(axis=2)  # [B, 4, 8, 3]
            embedding = regions.mean(axis=2).reshape(len(crops), 12)
            stripes = regions.mean(axis=3) / 255
            return embedding / np.linalg.norm(embedding, axis=1, keepdims=True), stripes.astype(np.float16)

    rng = np.random.default_rng(0)
    people = rng.integers(0, 256, (6, 3, 16, 8, 3), np.uint8)
    query = rng.integers(0, 256, (4, 16, 8, 3), np.uint8)
    found = {}
    for way in ("kernel", "numpy"):
        reid = ReIdentifier(Engine(), rescore=True, threshold=1.0)
        assert reid.align.rescorer.name == "kernel"
        if way == "numpy":
            reid.align = local_distance_gathered
        for number, crops in enumerate(people):
            reid.enroll(list(crops), f"person {number}")
        found[way] = reid.match(list(query))
        if way == "kernel":  # from the second search on the gallery is on the GPU
            found["resident"] = reid.match(list(query))
    assert all(
        a.rescored == pytest.approx(b.rescored, abs=1e-6)
        for mine, same in zip(found["kernel"], found["resident"], strict=True)
        for a, b in zip(mine.candidates, same.candidates, strict=True)
    )
    for mine, expected in zip(found["kernel"], found["numpy"], strict=True):
        assert [c.identity for c in mine.candidates] == [c.identity for c in expected.candidates]
        for a, b in zip(mine.candidates, expected.candidates, strict=True):
            assert a.rescored == pytest.approx(b.rescored, abs=1e-3)
            assert a.rescored > a.distance
