"""The libraries of converters/plugin/, built here with the system's compiler: the local distance in C++ against float64
over all paths, the kernel's source lane by lane on the processor, and the plugin in a TensorRT registry.

What compiling needs nvcc or TensorRT's headers is skipped, with the reason, where they are not.
"""

import ctypes
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from sdk.distances import local_distance_gathered

ROOT = Path(__file__).parents[1]
HEADERS = os.environ.get("TENSORRT_INCLUDE_DIR", "").split(os.pathsep)
"""Folders with TensorRT's headers; the plugin is built with the first, and tested with all."""


def cmake() -> Path:
    """The wheel's program, beside this Python's."""
    found = shutil.which("cmake", path=str(Path(os.sys.executable).parent)) or shutil.which("cmake")
    if found is None:
        pytest.skip("there is no cmake: pip install cmake")
    if not any(shutil.which(compiler) for compiler in (os.environ.get("CXX", "c++"), "g++", "clang++")):
        pytest.skip("there is no C++ compiler")
    return Path(found)


def build(folder: Path, *options: str, target: str = "all") -> subprocess.CompletedProcess:
    configured = subprocess.run(
        [cmake(), "--no-warn-unused-cli", "-S", ROOT, "-B", folder, *options],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert configured.returncode == 0, configured.stdout + configured.stderr
    built = subprocess.run(
        [cmake(), "--build", folder, "--target", target], capture_output=True, text=True, timeout=600
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return subprocess.CompletedProcess([], 0, configured.stdout + built.stdout, configured.stderr + built.stderr)


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    """`aligned_reid_host_local_distance` as a function of arrays."""
    folder = tmp_path_factory.mktemp("host")
    build(folder, "-DCMAKE_CUDA_COMPILER=", target="aligned_reid_host")
    function = ctypes.CDLL(str(next(folder.glob("libaligned_reid_host.*")))).aligned_reid_host_local_distance
    function.argtypes = [ctypes.c_void_p] * 4 + [ctypes.c_int64] * 3 + [ctypes.c_int32] * 3
    function.restype = ctypes.c_int32

    def distances(query: np.ndarray, gallery: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        query, gallery = np.ascontiguousarray(query), np.ascontiguousarray(gallery)
        assert query.dtype == gallery.dtype
        assert query.dtype in (np.float16, np.float32)
        candidates = np.ascontiguousarray(candidates, np.int32)
        result = np.full(candidates.shape, -7, np.float32)
        error = function(
            *(array.ctypes.data for array in (query, gallery, candidates, result)),
            len(query), len(gallery), candidates.shape[1], *query.shape[1:], int(query.dtype == np.float16),
        )  # fmt: skip
        if error:
            raise ValueError("refused")
        return result

    return distances


def brute_force(query: np.ndarray, gallery: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """In float64: every monotone path up to six stripes (252 paths), beyond that the cheapest of all paths from each
    cell, cell by cell from the last one backwards."""
    query, gallery = query.astype(np.float64), gallery.astype(np.float64)
    result = np.full(candidates.shape, np.inf)
    for b, k in np.argwhere(candidates != -1):
        with np.errstate(invalid="ignore"):
            element = np.tanh(np.linalg.norm(query[b][:, None] - gallery[candidates[b, k]][None], axis=-1) / 2)
        result[b, k] = cheapest(element.tolist()) if len(element) <= 6 else cheapest_backwards(element)
    return result


def cheapest(element: list, i: int = 0, j: int = 0) -> float:
    last = len(element) - 1
    if i == last and j == last:
        return element[i][j]
    moves = ([cheapest(element, i + 1, j)] if i < last else []) + ([cheapest(element, i, j + 1)] if j < last else [])
    return element[i][j] + min(moves)


def cheapest_backwards(element: np.ndarray) -> float:
    size = len(element)
    cost = np.full((size + 1, size + 1), np.inf)
    cost[size, size - 1] = 0  # where a path leaves
    for i, j in ((i, j) for i in reversed(range(size)) for j in reversed(range(size))):
        cost[i, j] = element[i, j] + min(cost[i + 1, j], cost[i, j + 1])
    return cost[0, 0]


def test_the_two_float64_references_agree():
    rng = np.random.default_rng(0)
    for size in (1, 2, 4, 6, 7):
        element = rng.uniform(size=(size, size))
        assert cheapest_backwards(element) == pytest.approx(cheapest(element.tolist()), abs=1e-12)


def draw(rng: np.random.Generator, stripes: int, half: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One query, two people and three candidates, with ties, zeros and, in float32, infinities among them."""
    dim = 8 * int(rng.integers(1, 3))
    query, gallery = rng.normal(size=(1, stripes, dim)), rng.normal(size=(2, stripes, dim))
    query, gallery = query / rng.choice([1, dim**0.5]), gallery / rng.choice([1, dim**0.5])
    kind = rng.integers(5)
    if kind == 0:  # ties: every stripe one of two
        query, gallery = query[:, rng.integers(0, min(2, stripes), stripes)], query[:, [0] * stripes].repeat(2, axis=0)
        gallery[1] = query[0]
    elif kind == 1:
        gallery[0] = 0
        query[0, rng.integers(stripes)] = 0
    elif kind == 2:  # the query's own stripes, moved by some places
        gallery[0] = np.roll(query[0], rng.integers(stripes), axis=0)
    elif kind == 3 and not half:
        gallery[0, rng.integers(stripes), rng.integers(dim)] = rng.choice([-np.inf, np.inf])
    candidates = rng.permuted([0, 1, rng.choice([-1, 0, 1])])[None]
    dtype = np.float16 if half else np.float32
    return query.astype(dtype), gallery.astype(dtype), candidates


def test_10_000_random_cases_agree_with_float64(host):
    rng = np.random.default_rng(1711)
    infinite = copies = 0
    for case in range(10_000):
        half = bool(case % 2)
        query, gallery, candidates = draw(rng, 1 + case % 16, half)
        found, expected = host(query, gallery, candidates), brute_force(query, gallery, candidates)
        # Float32 sums squared differences: x is as exact as its stripes. Half precision subtracts ‖f‖² + ‖g‖² and
        # 2 f·g, whose rounding is the distance of what should be 0: the square root of some 1e-7 of the norms.
        scale = max(1.0, float(np.square(query.astype(np.float32)).sum(-1).max()))
        tolerance = (2e-3 * np.sqrt(scale) if half else 2e-6) * (2 * query.shape[1] - 1)
        np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)
        infinite += int(np.isinf(expected).sum())
        copies += int((expected == 0).sum())
    assert infinite > 500
    assert copies > 500


def test_half_precision_is_exact_where_it_can_be(host):
    """Multiples of 1/64, whose products and sums float32 holds exactly: no tolerance for cancellation is needed."""
    rng = np.random.default_rng(3)
    for stripes in (1, 3, 8, 11, 16):
        query, gallery = (rng.integers(-32, 33, (count, stripes, 24)) / 64 for count in (3, 5))
        candidates = rng.integers(0, 5, (3, 9))
        found = host(query.astype(np.float16), gallery.astype(np.float16), candidates)
        np.testing.assert_allclose(found, brute_force(query, gallery, candidates), rtol=0, atol=5e-6)


def test_a_copy_has_distance_zero_in_half_precision_too(host):
    stripes = np.random.default_rng(4).normal(size=(6, 1, 128)).astype(np.float16)  # one stripe: the path is one cell
    assert (host(stripes, stripes, np.arange(6)[:, None]) == 0).all()


def test_it_agrees_with_the_numpy_of_the_sdk(host):
    rng = np.random.default_rng(5)
    query, gallery = (rng.normal(size=(count, 8, 128)).astype(np.float16) / 11 for count in (4, 20))
    candidates = rng.integers(-1, 20, (4, 12))
    expected = local_distance_gathered(query, gallery, candidates)
    np.testing.assert_allclose(host(query, gallery, candidates), expected, atol=1e-4)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("side", ["query", "gallery"])
def test_a_nan_never_looks_like_a_match(host, dtype, side):
    """Not even as distance 0, which is what max(NaN, 0) is in C."""
    rng = np.random.default_rng(6)
    for stripe in range(8):
        query, gallery = (rng.normal(size=(1, 8, 16)).astype(dtype) for _ in range(2))
        (query if side == "query" else gallery)[0, stripe, 3] = np.nan
        assert np.isnan(host(query, gallery, np.array([[0]]))).all()


def test_rows_that_are_not_in_the_gallery(host):
    stripes = np.ones((2, 4, 8), np.float32)
    strange = np.array([[-1, 2, -2, 1]] * 2)
    np.testing.assert_array_equal(host(stripes, stripes, strange), [[np.inf, np.nan, np.nan, 0]] * 2)


@pytest.mark.parametrize("shape", [(1, 0, 8), (1, 17, 8), (1, 4, 12), (1, 4, 0)])
def test_other_sizes_are_refused(host, shape):
    stripes = np.zeros(shape, np.float32)
    with pytest.raises(ValueError, match="refused"):
        host(stripes, stripes, np.zeros((1, 1)))


def test_the_libraries_tests_pass_under_sanitizers(tmp_path):
    """ctest: the host library on 2 000 cases of its own, and the kernel's source lane by lane on the processor, its
    reads checked against the arrays, built with -fsanitize=address,undefined."""
    build(tmp_path, "-DSANITIZE=ON", "-DCMAKE_CUDA_COMPILER=", target="tests")
    tested = subprocess.run(
        [cmake().with_name("ctest"), "--test-dir", tmp_path, "--output-on-failure"],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert "100% tests passed" in tested.stdout
    assert tested.stdout.count("Passed") == 4


@pytest.fixture(scope="module")
def with_cuda(tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess]:
    """All that is built where nvcc is, for one architecture, which is quick: the folder, and what was said."""
    if shutil.which("nvcc") is None and "CUDACXX" not in os.environ:
        pytest.skip("there is no nvcc here")
    folder = tmp_path_factory.mktemp("cuda")
    others = f"-DTENSORRT_OTHER_INCLUDE_DIRS={';'.join(HEADERS[1:])}"
    log = build(folder, f"-DTENSORRT_INCLUDE_DIR={HEADERS[0]}", others, "-DCMAKE_CUDA_ARCHITECTURES=87-real")
    return folder, log


@pytest.fixture(scope="module")
def plugin(with_cuda) -> Path:
    folder, log = with_cuda
    library = folder / "libaligned_reid_plugin.so"
    if not library.exists():
        assert re.search("aligned_reid_plugin: left out, .*TENSORRT_INCLUDE_DIR", log.stdout)
        pytest.skip("TensorRT's headers are not found: set TENSORRT_INCLUDE_DIR to their folder")
    return library


def test_the_kernels_compile_without_warnings_and_spills(with_cuda):
    """Of the local distance for all architectures: benchmarks/kernel_resources.py."""
    folder, log = with_cuda
    said = log.stdout + log.stderr
    assert "warning" not in said.lower()
    assert len(re.findall(r"0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads", said)) == 9
    assert len(re.findall("bytes stack frame", said)) == 9
    library = ctypes.CDLL(str(folder / "libaligned_reid_kernel.so"))
    assert library.aligned_reid_local_distance
    assert library.aligned_reid_crops
    library.aligned_reid_error.restype = ctypes.c_char_p
    assert library.aligned_reid_error(1) == b"invalid argument"


def test_the_plugin_is_found_by_a_registry_of_tensorrt(plugin):
    trt = pytest.importorskip("tensorrt_rtx", exc_type=ImportError)
    registry = trt.get_plugin_registry()
    assert registry.get_creator("AlignedLocalDistance", "1", "reid") is None
    assert registry.load_library(str(plugin)) is not None
    assert ("AlignedLocalDistance", "1", "reid") in [
        (creator.name, creator.plugin_version, creator.plugin_namespace) for creator in registry.all_creators
    ]
    creator = registry.get_creator("AlignedLocalDistance", "1", "reid")
    assert [field.name for field in creator.field_names] == ["half_output"]
    assert creator.create_plugin("pairs", trt.PluginFieldCollection([]), trt.TensorRTPhase.BUILD) is not None
    wrong = trt.PluginFieldCollection([trt.PluginField("half_output", np.ones(2, np.int32), trt.PluginFieldType.INT32)])
    assert creator.create_plugin("pairs", wrong, trt.TensorRTPhase.BUILD) is None


def test_the_plugin_needs_no_tensorrt_library_to_load(plugin):
    listed = subprocess.run(["ldd", plugin], capture_output=True, text=True, check=True).stdout
    assert "nvinfer" not in listed
    assert "libcuda" not in listed
    assert ctypes.CDLL(str(plugin)).getCreators


def test_the_plugin_serves_other_versions_than_it_was_built_with(plugin):
    """plugin_test.cpp calls it as TensorRT does while it builds an engine, through each version's interfaces."""
    targets = [f"plugin_test_{number}" for number in range(len(HEADERS))]
    command = [cmake(), "--build", plugin.parent, "--target", *targets]
    built = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert built.returncode == 0, built.stderr
    assert "warning" not in built.stderr.lower()
    for target in targets:
        tested = subprocess.run([plugin.parent / target, plugin], capture_output=True, text=True, timeout=60)
        assert (tested.returncode, tested.stdout) == (0, "0 failures\n"), tested.stdout + tested.stderr
        assert "AlignedLocalDistance: takes 1 to 16 stripes" in tested.stderr
        assert tested.stderr.endswith("AlignedLocalDistance: invalid argument\n")  # of enqueue, in CUDA's words
