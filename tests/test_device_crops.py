"""Crops that the GPU cuts: the kernel's own source, compiled for the processor (converters/plugin/emulated_gpu.h),
under stand-ins for the driver and TensorRT; what the stand-in engine computes with them is the model that ships.

Nothing here says what a GPU makes of it, nor how fast. The PTX of the same kernel is run in test_ptx.py.
"""

import gc
import sys
import threading

import numpy as np
import pytest

from sdk.cutting import Cuts, cut_out
from sdk.engines import DEFAULT_MODEL, cuda, load_engine, native, tensorrt
from sdk.engines.device_crops import CROP, CropKernel, DeviceCrops
from sdk.errors import CropError, EngineError
from sdk.preprocess import resize, to_batch
from sdk.reidentifier import ReIdentifier
from tests.fake_cuda import FakeDriver, fake_tensorrt, plan_bytes
from tests.test_cuda import in_threads, install

LARGEST = 4


@pytest.fixture(scope="module")
def on_processor():
    return load_engine(DEFAULT_MODEL)


@pytest.fixture
def driver(monkeypatch, emulated) -> FakeDriver:
    monkeypatch.setattr(native, "library_folders", lambda: [emulated])
    return install(monkeypatch, FakeDriver(eager=True))


@pytest.fixture
def engine(driver, monkeypatch, tmp_path, on_processor):
    """The model that ships, as an engine whose input must have been filled by the kernel, up to `LARGEST` crops."""
    height, width = on_processor.metadata.input_size
    tensors = {
        "crops": ("input", np.uint8, (-1, height, width, 3), (LARGEST, height, width, 3), 1),
        "embedding": ("output", np.float32, (-1, on_processor.metadata.embedding_dim), None, None),
    }
    trt = fake_tensorrt(driver, tensors, lambda inputs: {"embedding": on_processor.run(inputs["crops"])[0]})
    monkeypatch.setitem(sys.modules, "tensorrt", trt)
    path = tmp_path / "model.engine"
    path.write_bytes(plan_bytes(b"whole"))
    return tensorrt.TensorRTEngine(path, on_processor.metadata)


def street(height: int = 2160, width: int = 3840) -> np.ndarray:
    """Something with edges, stripes and noise."""
    y, x = np.ogrid[:height, :width]
    frame = np.random.default_rng(height).integers(0, 40, (height, width, 3), np.uint8)
    for channel, layer in enumerate((x // 16 % 2 * 180, 215 * y // height, x * y // 999 % 215)):
        frame[..., channel] += layer.astype(np.uint8)
    return frame


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)


BOXES = {
    "inside": [1000, 500, 1180, 960],
    "beyond the corner": [-200, -300, 150, 400],
    "beyond the other": [3700.4, 1800.6, 4100, 2500],
    "small": [50, 60, 61, 85],
    "all of it": [0, 0, 3840, 2160],
    "wide": [100, 2000, 3000, 2040],
    "as large as the input": [200, 300, 264, 428],
    "the left half of a pixel more": [1000.5, 500.5, 1180.5, 960.5],
}


@pytest.mark.parametrize("integrated", [False, True])
def test_features_are_the_hosts(engine, driver, on_processor, integrated):
    """Of frames of 4K and of 90 lines, in a batch of several parts, with memory of its own and without."""
    driver.integrated = integrated
    frames = {"dock": street(), "lobby": street(90, 160)}
    boxes = {"dock": list(BOXES.values()), "lobby": [[-5, -5, 40, 80], [100, 20, 180, 95]]}
    expected = ReIdentifier(on_processor).embed(frames, boxes=boxes).embedding
    found = ReIdentifier(engine).embed(frames, boxes=boxes).embedding
    assert found.shape == (len(BOXES) + 2, engine.metadata.embedding_dim)
    assert cosine(found, expected).min() >= 0.9999


def test_crops_one_pixel_wide_are_the_hosts(engine, on_processor):
    """They are refused by the public API; the kernel has no least size."""
    frame, corners = street(300, 200), np.array([[7, 20, 8, 220], [30, 9, 130, 10], [199, 299, 200, 300]])
    cuts = Cuts([frame], [corners], ["dock"])
    height, width = engine.metadata.input_size
    expected = on_processor.run(np.stack([resize(crop, (height, width)) for crop in cuts]))[0]
    assert cosine(engine.run_cuts(cuts)[0], expected).min() >= 0.9999
    with pytest.raises(CropError, match="shows 1×200 pixels"):
        ReIdentifier(engine).embed(frame, boxes=corners)


@pytest.mark.parametrize("size", [(64, 32), (37, 53)])
def test_pixels_are_the_hosts_to_a_grey_level(driver, size):
    """Shrunk and enlarged, by whole factors and others, along both axes or one; noise, which forgives nothing."""
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 256, (400, 500, 3), np.uint8)
    places, sizes = rng.integers(0, 200, (12, 2)), rng.integers(8, 200, (12, 2))
    sizes[:4] = np.array(size)[::-1] * [[1, 1], [2, 2], [3, 3], [2, 1]]
    cuts = cut_out(frame, np.concatenate([places, places + sizes], axis=1))
    device = cuda.open_device()
    cutter = DeviceCrops(device, size, len(cuts), CropKernel())
    batch, stream = device.allocate(len(cuts) * size[0] * size[1] * 3), device.stream()
    upload = cutter.upload(cuts)
    upload.wait()
    cutter.cut(stream, upload.crops, batch)
    found = np.empty((len(cuts), *size, 3), np.uint8)
    stream.download(found, batch)
    stream.synchronize()
    assert np.abs(found.astype(int) - to_batch(cuts, size)).max() <= 1


def test_what_is_uploaded_is_the_fewer_bytes(driver):
    """A few people of a frame are a small part of it; a crowd's boxes overlap; and nobody's frame stays here."""
    frame, uploaded = street(200, 300), []
    cutter = DeviceCrops(cuda.open_device(), (64, 32), 8, CropKernel())
    driver.memcpy_htod_async = lambda address, array, stream: uploaded.append(array.nbytes)
    cutter.upload(cut_out(frame, [[0, 0, 50, 100], [100, 50, 150, 150]]))
    cutter.upload(cut_out(frame, [[0, 0, 300, 150], [0, 50, 300, 200]]))
    cutter.upload(cut_out({"a": frame, "b": frame}, {"a": [[0, 0, 10, 10]], "b": []}))
    assert uploaded == [2 * 50 * 100 * 3, frame.nbytes, 300]


def test_with_shared_memory_nothing_of_a_frame_is_uploaded(driver):
    driver.integrated = True
    cutter = DeviceCrops(cuda.open_device(), (64, 32), 8, CropKernel())
    driver.memcpy_htod_async = None
    frame = street(200, 300)
    row = cutter.upload(cut_out(frame, [[10, 20, 60, 120]])).crops[0]
    shown = np.frombuffer(driver.view(int(row["pixels"]), 100 * int(row["row_bytes"])), np.uint8).reshape(100, 50, 3)
    np.testing.assert_array_equal(shown, frame[20:120, 10:60])


def test_the_next_frames_are_uploaded_while_an_engine_runs(engine, on_processor):
    """`cut` returns while a run holds the engine, and what it has taken is a copy."""
    reid, frames = ReIdentifier(engine), [street(200, 300 + i) for i in range(3)]
    boxes = [[20, 30, 70, 150], [-5, 5, 100, 90]]
    expected = [ReIdentifier(on_processor).embed(frame, boxes=boxes).embedding for frame in frames]
    with engine._lock:
        waiting = [reid.cut(frame, boxes) for frame in frames]
        rooms = {id(cuts.uploaded._room) for cuts in waiting}
        runs = [threading.Thread(target=reid.embed, args=(waiting[0],))]
        runs[0].start()
        runs[0].join(0.05)
        assert runs[0].is_alive()
    runs[0].join()
    assert len(rooms) == 3
    for frame in frames:
        frame[:] = 0
    for cuts, right in zip(waiting, expected, strict=True):
        assert cosine(reid.embed(cuts).embedding, right).min() >= 0.9999


def test_threads_get_their_own_crops(engine, on_processor):
    reid, frames = ReIdentifier(engine), [street(100, 150 + 10 * i) for i in range(4)]
    boxes = [[10, 10, 60, 90], [50, 5, 140, 100]]
    expected = [ReIdentifier(on_processor).embed(frame, boxes=boxes).embedding for frame in frames]

    def work(i):
        return min(cosine(reid.embed(frames[i], boxes=boxes).embedding, expected[i]).min() for _ in range(2))

    assert min(in_threads(4, work)) >= 0.9999


def test_memory_is_used_again_and_given_back(engine, driver):
    reid, frame = ReIdentifier(engine), street(100, 150)
    before = len(driver.living)
    for _ in range(3):
        reid.embed(frame, boxes=[[10, 10, 60, 90]])
    assert len(driver.living) == before + 2  # pinned and on the GPU
    kept = [reid.cut(frame, [[10, 10, 60, 90]]) for _ in range(4)]
    assert len(driver.living) == before + 2 * 4
    kept[:3] = []
    gc.collect()
    assert len(driver.living) == before + 2 * 3  # two that wait for work, one in use
    engine.close()
    kept.clear()
    gc.collect()
    assert driver.living == {}
    with pytest.raises(EngineError, match="has been closed"):
        reid.embed(frame, boxes=[[10, 10, 60, 90]])


def test_crops_are_cut_anew_before_each_launch_of_a_graph(engine, tmp_path, monkeypatch, on_processor):
    """Only the engine's work is recorded, once a batch size; each launch finds its own crops in the input."""
    recorded = []

    class Recorded:
        def __init__(self, stream, work):
            self.launch = work
            recorded.append(self)

        def free(self):
            recorded.remove(self)

    monkeypatch.setattr(tensorrt, "Graph", Recorded)
    with_graphs = tensorrt.TensorRTEngine(tmp_path / "model.engine", engine.metadata, graphs=True)
    launched = []
    monkeypatch.setattr(with_graphs.cutter._kernel, "launch", _noting(launched, with_graphs.cutter._kernel.launch))
    reid = ReIdentifier(with_graphs)
    for turn in range(3):  # a run, one that is recorded, one that is launched again
        frame = street(200, 300 + turn)
        boxes = [[20 + 9 * i, 10, 80 + 9 * i, 150 + turn] for i in range(LARGEST + 1)]  # a part of 4, and one of 1
        expected = ReIdentifier(on_processor).embed(frame, boxes=boxes).embedding
        assert cosine(reid.embed(frame, boxes=boxes).embedding, expected).min() >= 0.9999
    assert len(recorded) == 2
    assert launched == [LARGEST, 1] * 3
    with_graphs.close()
    assert recorded == []


def _noting(counts: list[int], launch):
    def noted(*given, count, **others):
        counts.append(count)
        launch(*given, count=count, **others)

    return noted


def test_an_upload_for_another_engine_is_made_again(engine, driver):
    cuts = cut_out(street(100, 150), [[10, 10, 60, 90]])
    other = DeviceCrops(cuda.open_device(), (8, 8), 1, CropKernel())
    expected = engine.run_cuts(cuts)[0]
    cuts.uploaded = other.upload(cuts)
    np.testing.assert_array_equal(engine.run_cuts(cuts)[0], expected)


def test_without_the_library_crops_are_cut_on_the_processor(driver, monkeypatch, tmp_path, engine, on_processor):
    monkeypatch.setattr(native, "library_folders", lambda: [tmp_path])
    plain = tensorrt.TensorRTEngine(tmp_path / "model.engine", on_processor.metadata)
    assert plain.cutter is None
    frame, boxes = street(100, 150), [[10, 10, 60, 90]]
    expected = ReIdentifier(on_processor).embed(frame, boxes=boxes).embedding
    np.testing.assert_allclose(ReIdentifier(plain).embed(frame, boxes=boxes).embedding, expected, atol=1e-6)


def test_a_library_from_before_and_sizes_beyond_are_told(driver, tmp_path):
    (tmp_path / "libold.so").write_bytes(b"no library")
    with pytest.raises(EngineError, match=r"libold\.so: cannot be loaded .*; build it again on this machine"):
        CropKernel(tmp_path / "libold.so")
    device = cuda.open_device()
    memory = device.allocate(CROP.itemsize)
    with pytest.raises(EngineError, match=r"cannot cut 1 crops of \(5000, 8\)"):
        CropKernel().launch(device.stream(), memory, memory, count=1, size=(5000, 8))
