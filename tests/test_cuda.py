"""What keeps a GPU's rules without one: contexts a thread, lifetimes, copies that are still under way.

The driver is a stand-in that refuses what CUDA refuses (tests/fake_cuda.py); nothing here says that a GPU computes
right, which benchmarks/gpu.py checks on one.
"""

import gc
import sys
import threading
from types import ModuleType

import numpy as np
import pytest

from sdk.engines import cuda, native
from sdk.engines.stripes import GpuStripes, Kernel
from sdk.errors import EngineError
from tests.fake_cuda import FakeDriver


def install(monkeypatch, driver) -> FakeDriver:
    package = ModuleType("pycuda")
    package.driver = driver
    monkeypatch.setitem(sys.modules, "pycuda", package)
    monkeypatch.setitem(sys.modules, "pycuda.driver", driver)
    monkeypatch.setattr(cuda, "_devices", {})
    return driver


@pytest.fixture
def driver(monkeypatch) -> FakeDriver:
    return install(monkeypatch, FakeDriver())


def in_threads(count: int, work) -> list:
    """What `work(i)` returned or raised in each of some threads that begin at once."""
    results, barrier = [None] * count, threading.Barrier(count)

    def run(i):
        barrier.wait()
        try:
            results[i] = work(i)
        except BaseException as error:  # handed to the test
            results[i] = error

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_a_gpu_that_is_not_there(driver):
    with pytest.raises(EngineError, match="GPU 3: CUDA shows this process 1; is CUDA_VISIBLE_DEVICES right"):
        cuda.open_device(3)


def test_the_context_is_retained_once_by_however_many_threads(driver):
    devices = in_threads(8, lambda i: cuda.open_device())
    assert len({id(device) for device in devices}) == 1
    assert driver.retained == 1
    assert devices[0].capability == 87
    assert devices[0].driver_version == "12.6"


def test_any_thread_may_call_and_none_is_left_with_a_context(driver):
    device = cuda.open_device()

    def work(i):
        memory, stream = device.allocate(64), device.stream()
        sent, back = np.full(16, i, np.int32), np.zeros(16, np.int32)
        stream.upload(memory, sent)
        stream.download(back, memory)
        stream.synchronize()
        return back.tolist(), len(driver.stack())

    assert in_threads(6, work) == [([i] * 16, 0) for i in range(6)]
    with device.active(), device.active():
        assert len(driver.stack()) == 2
    assert driver.stack() == []


def test_the_context_is_popped_where_a_call_fails(driver):
    device = cuda.open_device()
    driver.limit = 1000
    with pytest.raises(EngineError, match=r"2000 bytes on the GPU: the GPU's memory is full .* smaller batch"):
        device.allocate(2000)
    assert driver.stack() == []


def test_memory_is_freed_in_a_thread_without_a_context_and_only_once(driver):
    device = cuda.open_device()
    memory, pinned, stream = device.allocate(100), device.pinned((4, 4), np.float32), device.stream()
    assert len(driver.living) == 2
    assert in_threads(1, lambda i: [owned.free() for owned in (memory, pinned, stream)]) == [[None] * 3]
    assert driver.living == {}
    memory.free()
    with pytest.raises(EngineError, match="has been closed"):
        stream.synchronize()


def test_the_garbage_collector_frees_as_well(driver):
    device = cuda.open_device()
    kept = [device.allocate(10), device.pinned((3,), np.uint8)]
    assert len(driver.living) == 2
    kept.clear()
    gc.collect()
    assert driver.living == {}


def test_what_does_not_fit_is_refused_before_it_is_copied(driver):
    device = cuda.open_device()
    memory, stream = device.allocate(8), device.stream()
    for copy in (
        lambda: stream.upload(memory, np.zeros(2, np.float32), 4),
        lambda: stream.download(np.zeros(9, "u1"), memory),
    ):
        with pytest.raises(ValueError, match="do not fit into 8 bytes"):
            copy()


def test_a_failing_driver_is_reported_in_words(driver):
    device = cuda.open_device()
    memory, stream = device.allocate(8), device.stream()
    stream.upload(memory, np.zeros(8, np.uint8))
    memory.free()
    with pytest.raises(EngineError, match=r"work on the GPU: CUDA says: an illegal memory access .*`nvidia-smi`"):
        stream.synchronize()


def held(gallery: GpuStripes, driver: FakeDriver) -> np.ndarray:
    size = len(gallery) * gallery.shape[1] * gallery.shape[2] * gallery.dtype.itemsize
    return np.frombuffer(driver.view(gallery.memory.address, size), gallery.dtype).reshape(gallery.shape)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_a_gallery_on_the_gpu_grows_and_keeps_its_rows(driver, dtype):
    rng = np.random.default_rng(0)
    gallery = GpuStripes(3, 8, dtype=dtype, capacity=2)
    everybody = rng.normal(size=(40, 3, 8)).astype(np.float32)
    for start, end in ((0, 1), (1, 2), (2, 5), (5, 5), (5, 40)):
        array = everybody[start:end].copy()
        gallery.extend(array)
        array[:] = -1  # the caller's array is the caller's again
        assert len(gallery) == end
        np.testing.assert_array_equal(held(gallery, driver), everybody[:end].astype(dtype))
    assert gallery.capacity >= 40
    gallery.replace(7, np.ones((3, 8)))
    everybody[7] = 1
    np.testing.assert_array_equal(held(gallery, driver), everybody.astype(dtype))
    with pytest.raises(IndexError, match="row 40: there are 40"):
        gallery.replace(40, np.ones((3, 8)))
    with pytest.raises(ValueError, match=r"do not go into a gallery of \[N, 3, 8\]"):
        gallery.extend(np.zeros((1, 3, 16)))
    gallery.clear()
    assert gallery.shape == (0, 3, 8)
    gallery.close()
    assert driver.living == {}


def test_a_gallery_is_filled_by_several_threads(driver):
    gallery = GpuStripes(2, 8, capacity=1)
    in_threads(8, lambda i: [gallery.extend(np.full((3, 2, 8), i)) for _ in range(5)])
    assert len(gallery) == 120
    rows = held(gallery, driver)[:, 0, 0]
    assert np.bincount(rows.astype(int)).tolist() == [15] * 8
    assert len(driver.living) == 1  # what it grew out of is freed


def test_a_closed_driver_leaves_no_memory_behind_after_many_galleries(driver):
    for _ in range(200):
        GpuStripes(2, 8, capacity=4).extend(np.zeros((9, 2, 8)))
    gc.collect()
    assert driver.living == {}


def test_where_libraries_are_looked_for(monkeypatch, tmp_path):
    monkeypatch.delenv(native.VARIABLE, raising=False)
    assert tmp_path not in native.library_folders()
    monkeypatch.setenv(native.VARIABLE, str(tmp_path))
    assert native.library_folders()[0] == tmp_path
    library = tmp_path / native.filename("some")
    assert native.find_library("some") is None
    assert str(tmp_path) in native.how_to_build("some")
    assert "cmake -S . -B build" in native.how_to_build("some")
    library.write_bytes(b"no library")
    assert native.find_library("some") == library
    with pytest.raises(EngineError, match=r"cannot be loaded .*; build it again on this machine"):
        Kernel(library)
