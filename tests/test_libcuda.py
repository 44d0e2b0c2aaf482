"""The calls of the driver, in a stand-in that refuses and counts what breaks its rules (fake_libcuda.c): which thread,
which context, what is freed when, and in what order a process ends. With our own calls, and with pycuda's where it is.
"""

import gc
import importlib.util
import re
import sys

import numpy as np
import pytest

from sdk.engines import cuda, gpu, libcuda
from sdk.engines.device_crops import CROP
from sdk.engines.graph import Graph
from sdk.engines.stripes import GpuStripes
from sdk.errors import EngineError
from tests.fake_libcuda import build_fake, installed, run_under_fake
from tests.test_cuda import in_threads

WITH_PYCUDA = pytest.param(
    True, marks=pytest.mark.skipif(importlib.util.find_spec("pycuda") is None, reason="pycuda is not installed")
)


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return build_fake(tmp_path_factory.mktemp("fake"))


@pytest.fixture
def fake(library):
    with installed(library) as loaded:
        yield loaded


def test_the_driver_is_called_directly_where_pycuda_is_not(fake):
    device = cuda.open_device()
    assert device.through == "the driver itself"
    assert (device.name, device.capability, device.driver_version) == ("Fake", 87, "13.0")
    assert not device.integrated
    assert device.memory() == (1 << 34, 1 << 34)
    with pytest.raises(EngineError, match="GPU 3: CUDA shows this process 1; is CUDA_VISIBLE_DEVICES right"):
        cuda.open_device(3)


def test_a_pycuda_that_does_not_load_is_no_obstacle(fake, tmp_path, monkeypatch):
    (tmp_path / "pycuda").mkdir()
    (tmp_path / "pycuda" / "__init__.py").write_text("raise ImportError('built for another Python')")
    monkeypatch.delitem(sys.modules, "pycuda")
    monkeypatch.syspath_prepend(tmp_path)
    assert cuda.open_device().through == "the driver itself"


def test_without_a_driver_the_error_says_so(monkeypatch):
    monkeypatch.setattr(libcuda, "LIBRARY", "libcuda-that-is-not-there.so.1")
    monkeypatch.setitem(sys.modules, "pycuda", None)
    monkeypatch.setattr(cuda, "_devices", {})
    libcuda.library.cache_clear()
    gpu.find_gpu.cache_clear()
    with pytest.raises(
        EngineError, match=r"GPU 0: there is no NVIDIA driver \(libcuda-that.*\); install it, or run the"
    ):
        cuda.open_device()
    assert gpu.find_gpu().startswith("no NVIDIA driver")
    gpu.find_gpu.cache_clear()
    libcuda.library.cache_clear()


def test_what_a_gpu_is_asked_before_anything_is_loaded(fake, monkeypatch):
    gpu.find_gpu.cache_clear()
    assert gpu.find_gpu() == gpu.Gpu("Fake", 87, "13.0")
    monkeypatch.setenv("FAKE_NO_DEVICE", "1")
    gpu.find_gpu.cache_clear()
    assert gpu.find_gpu() == "the NVIDIA driver finds no usable GPU (cuInit answers CUDA_ERROR_NO_DEVICE (100))"
    gpu.find_gpu.cache_clear()
    assert fake.fake_refs() == 0  # no context was made for it


def test_a_gallery_is_filled_and_dropped_in_any_thread(fake):
    def work(i):
        gallery = GpuStripes(2, 8, capacity=1)
        for value in range(20):
            gallery.extend(np.full((3, 2, 8), value))
        gallery.replace(7, np.full((2, 8), 77))
        back, stream = np.empty((60, 2, 8), np.float16), gallery.device.stream()
        stream.download(back, gallery.memory)
        stream.synchronize()
        expected = np.repeat(np.arange(20), 3)
        expected[7] = 77
        return back[:, 0, 0].tolist() == expected.tolist(), fake.fake_depth()

    assert in_threads(6, work) == [(True, 0)] * 6
    gc.collect()
    assert fake.fake_living() == 0
    assert fake.fake_refs() == 1  # one context a process, however many threads


@pytest.mark.parametrize(
    ("shape", "dtype"), [((3, 4), np.float32), ((5,), np.float16), ((2, 3, 1), np.uint8), ((0, 2), "i4"), ((4,), CROP)]
)
def test_page_locked_arrays_are_arrays(fake, shape, dtype):
    device = cuda.open_device()
    pinned, back = device.pinned(shape, dtype), np.zeros(shape, dtype)
    assert (pinned.array.shape, pinned.array.dtype) == (shape, np.dtype(dtype))
    three = np.full(shape, 3, dtype)
    pinned.array[...] = three
    memory, stream = device.allocate(pinned.array.nbytes), device.stream()
    stream.upload(memory, pinned.array)
    stream.download(back, memory)
    assert not back.view(np.uint8).any()  # it is only queued
    stream.synchronize()
    assert (back == three).all()


def test_what_the_driver_refuses_is_said_in_words_and_leaves_no_context_behind(fake):
    device = cuda.open_device()
    fake.fake_limit(1000)
    with pytest.raises(
        EngineError, match=r"2000 bytes on the GPU: the GPU's memory is full \(cuMemAlloc_v2 answers CUDA"
    ):
        device.allocate(2000)
    with (
        pytest.raises(EngineError, match=r"another GPU: CUDA says: .*CUDA_ERROR_INVALID_DEVICE \(101\)"),
        cuda.in_words(device.driver, "another GPU"),
    ):
        libcuda.call("cuDevicePrimaryCtxRelease_v2", 7)
    with pytest.raises(ValueError, match="only contiguous arrays"):
        device.stream().upload(device.allocate(64), np.zeros((4, 4), np.float32)[:, ::2])
    assert fake.fake_depth() == 0


def test_a_driver_that_lacks_a_call(fake):
    with pytest.raises(libcuda.Error, match="cuSomething is not in this driver; install a newer one"):
        libcuda.call("cuSomething")


def test_a_graph_does_again_what_was_recorded(fake):
    device = cuda.open_device()
    stream, source, target = device.stream(), device.pinned((4,), np.float32), device.pinned((4,), np.float32)
    memory = device.allocate(16)

    def work():
        stream.upload(memory, source.array)
        stream.download(target.array, memory)

    graph = Graph(stream, work)
    for value in (1, 2):
        source.array[:] = value
        target.array[:] = 0
        graph.launch()
        stream.synchronize()
        assert (target.array == value).all()
    with pytest.raises(RuntimeError, match="something else"):
        Graph(stream, lambda: (_ for _ in ()).throw(RuntimeError("something else")))
    stream.synchronize()  # it is not left capturing


RULES = """
import gc, threading
import numpy as np
from sdk.engines import cuda
from sdk.engines.stripes import GpuStripes

device = cuda.open_device()
kept = []
def work(number):
    memory, pinned, stream = device.allocate(4000), device.pinned((1000,), np.float32), device.stream()
    back = device.pinned((1000,), np.float32)
    for turn in range(20):
        pinned.array[:] = 100 * number + turn
        stream.upload(memory, pinned.array)
        stream.download(back.array, memory)
        stream.synchronize()
        assert (back.array == 100 * number + turn).all()
        GpuStripes(2, 8, capacity=1).extend(np.zeros((5, 2, 8)))  # dropped, and freed here
    kept.append((memory, pinned, back, stream))  # freed elsewhere, or at the end
threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]
assert len(kept) == 4
del kept[:2]
gc.collect()
print(device.through, len(kept))
"""


@pytest.mark.parametrize("pycuda", [False, WITH_PYCUDA])
def test_a_process_ends_with_everything_given_back_in_order(library, pycuda):
    done = run_under_fake(library, RULES, pycuda=pycuda)
    assert done.stdout.split() == (["pycuda", "2"] if pycuda else ["the", "driver", "itself", "2"])
    assert (done.returncode, done.stderr) == (0, "fake libcuda: faults 0, refs 0, living 0, copies some\n")


QUEUED = """
import numpy as np
from sdk.engines import cuda

device = cuda.open_device()
stream, memory, pinned = device.stream(), device.allocate(1 << 16), device.pinned((1 << 16,), np.uint8)
stream.upload(memory, pinned.array)
stream.download(pinned.array, memory)
"""


@pytest.mark.parametrize("pycuda", [False, WITH_PYCUDA])
def test_what_is_queued_when_the_process_ends_is_done_before_its_memory_goes(library, pycuda):
    done = run_under_fake(library, QUEUED, pycuda=pycuda)
    assert (done.returncode, done.stderr) == (0, "fake libcuda: faults 0, refs 0, living 0, copies some\n")


DAEMONS = """
import threading, time
import numpy as np
from sdk.engines import cuda
from sdk.engines.stripes import GpuStripes

def copies():
    device = cuda.open_device()
    memory, stream, pinned = device.allocate(1 << 16), device.stream(), device.pinned((1 << 16,), np.uint8)
    while True:
        stream.upload(memory, pinned.array)
        stream.download(pinned.array, memory)
        stream.synchronize()

def makes_and_drops():
    while True:
        GpuStripes(2, 8, capacity=1).extend(np.zeros((9, 2, 8)))

for work in (copies, copies, makes_and_drops, makes_and_drops):
    threading.Thread(target=work, daemon=True).start()
time.sleep(0.2)
"""


@pytest.mark.parametrize("pycuda", [False, WITH_PYCUDA])
def test_threads_that_are_on_the_gpu_when_the_process_ends(library, pycuda):
    done = run_under_fake(library, DAEMONS, pycuda=pycuda, FAKE_SLOW="1")
    assert (done.returncode, done.stderr) == (0, "fake libcuda: faults 0, refs 0, living 0, copies some\n")


def test_after_the_end_things_may_be_closed_but_not_used(fake):
    device = cuda.open_device()
    gallery, stream = GpuStripes(2, 8), device.stream()
    cuda.close_devices()
    assert fake.fake_living() == 0
    gallery.close()
    stream.free()
    with pytest.raises(EngineError, match="has been given back"):
        device.allocate(8)


def test_the_stand_in_finds_what_breaks_the_rules(library):
    """Or the tests above would say nothing: memory used after it is freed, a call without a context, one too many."""
    program = """
import numpy as np
from sdk.engines import cuda, libcuda
device = cuda.open_device()
memory, stream = device.allocate(64), device.stream()
stream.upload(memory, np.zeros(64, np.uint8))
memory.free()
try:
    stream.synchronize()
except Exception as error:
    print(error)
for call in (("cuStreamSynchronize", stream.handle), ("cuMemFree_v2", memory.address)):
    try:
        libcuda.call(*call)
    except libcuda.Error:
        print(call[0])
"""
    done = run_under_fake(library, program)
    assert "CUDA_ERROR_ILLEGAL_ADDRESS" in done.stdout
    assert "cuMemFree_v2" in done.stdout
    for fault in (
        "64 bytes are written at .* which is not allocated",
        "cuStreamSynchronize: no context is current in this thread",
        "cuMemFree_v2: no context is current in this thread",
        "faults 3, refs 0, living 0",
    ):
        assert re.search(fault, done.stderr), done.stderr
