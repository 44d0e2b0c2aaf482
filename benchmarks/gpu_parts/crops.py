"""Crops that the GPU cuts out of frames, against the processor's: pixels, a model's features, time."""

import numpy as np

from benchmarks.gpu_parts.findings import Findings
from benchmarks.gpu_parts.timing import seconds_each
from sdk.cutting import Cuts, corners, cut_out
from sdk.engines import DEFAULT_MODEL
from sdk.engines.cuda import Device, open_device
from sdk.engines.device_crops import CropKernel, DeviceCrops
from sdk.preprocess import resize, to_batch

GREY_LEVELS = 1
COSINE = 0.9999
"""The least agreement of features whose crops the GPU has cut with those whose crops the processor has."""
LINES = (2160, 1080, 360)


def people_on(height: int, width: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """A frame of smooth noise, and the boxes of so many people on it, 1/4 to 1/2 as high; some reach beyond it."""
    rng = np.random.default_rng(height)
    coarse = rng.integers(0, 247, (height // 8 + 1, width // 8 + 1, 3), np.uint8)
    frame = coarse.repeat(8, axis=0).repeat(8, axis=1)[:height, :width]
    frame = frame + rng.integers(0, 9, (height, width, 3), np.uint8)
    tall = rng.uniform(height / 4, height / 2, count)
    middle = rng.uniform([0, 0], [width, height], (count, 2))
    half = np.stack([tall / 5, tall / 2], axis=1)
    return frame, np.concatenate([middle - half, middle + half], axis=1)


def hard_cuts(lines: tuple[int, ...] = LINES) -> Cuts:
    """Frames of so many lines, eight people each, some partly outside; and of each frame its whole, a row, a column."""
    frames, shown = [], []
    for height in lines:
        width = height * 16 // 9
        frame, boxes = people_on(height, width, 8)
        frames.append(frame)
        thin = [[0, 0, width, height], [3, 5, width - 3, 6], [width - 1, 0, width, height]]
        shown.append(np.concatenate([corners(boxes, frame.shape), thin]))
    return Cuts(frames, shown, [f"{height} lines" for height in lines])


class Cutter:
    """`DeviceCrops` for some cuts, and a batch that it cuts them into."""

    def __init__(self, device: Device, kernel: CropKernel, cuts: Cuts, size: tuple[int, int]):
        self.cuts, self.size = cuts, size
        self.cutter, self.stream = DeviceCrops(device, size, len(cuts), kernel), device.stream()
        self.batch = device.allocate(len(cuts) * size[0] * size[1] * 3)
        self.upload = self.cutter.upload(cuts)
        self.upload.wait()

    def cut(self) -> None:
        """Once, and wait for it."""
        self.cutter.cut(self.stream, self.upload.crops, self.batch)
        self.stream.synchronize()

    def pixels(self) -> np.ndarray:
        """uint8 `[N, *size, 3]`, cut anew over a batch of another content."""
        pixels = np.full((len(self.cuts), *self.size, 3), 77, np.uint8)
        self.stream.upload(self.batch, pixels)
        self.cut()
        self.stream.download(pixels, self.batch)
        self.stream.synchronize()
        return pixels

    def close(self) -> None:
        self.cutter.close()
        self.batch.free()
        self.stream.free()


def pixels(found: Findings) -> None:
    """Hard cuts, in the sizes of models' inputs."""
    lines = (360,) if found.small else LINES
    for size in ((256, 128), (128, 64), (37, 53)):
        check_pixels(found, open_device(), CropKernel(), size, lines)


def check_pixels(
    found: Findings, device: Device, kernel: CropKernel, size: tuple[int, int], lines: tuple[int, ...] = LINES
) -> None:
    """Their distance from the processor's in grey levels."""
    cuts = hard_cuts(lines)
    cutter = Cutter(device, kernel, cuts, size)
    off = np.abs(cutter.pixels().astype(int) - np.stack([resize(crop, size) for crop in cuts]))
    cutter.close()
    found.note(f"{size[0]}×{size[1]}: share of values that differ", float((off > 0).mean()))
    found.check(f"crops of {size[0]}×{size[1]}: grey levels from the processor's", int(off.max()), GREY_LEVELS)


def features(found: Findings) -> None:
    """Of the model that ships, in ONNX Runtime: crops of the GPU against those of the processor."""
    from sdk.engines import load_engine

    engine = load_engine(DEFAULT_MODEL)
    cuts = hard_cuts((360,) if found.small else LINES)
    cutter = Cutter(open_device(), CropKernel(), cuts, engine.metadata.input_size)
    pair = [
        engine.run(batch)[0]
        for batch in (cutter.pixels(), np.stack([resize(crop, engine.metadata.input_size) for crop in cuts]))
    ]
    cutter.close()
    cosine = float((pair[0] * pair[1]).sum(-1).min())
    found.note("least cosine", cosine)
    found.check("crops: least cosine of the shipped model's features", cosine, COSINE, at_least=True)


def times(found: Findings) -> None:
    """32 people of one frame, as an engine of 256×128 takes them: what each step takes, and the processor instead."""
    device, kernel = open_device(), CropKernel()
    for height in (360,) if found.small else LINES:
        frame, boxes = people_on(height, height * 16 // 9, 2 if found.small else 32)
        cutter = Cutter(device, kernel, cut_out(frame, boxes), (256, 128))
        steps = {
            "upload": lambda: cutter.cutter.upload(cutter.cuts).wait(),  # noqa: B023
            "kernel, its table and the wait": cutter.cut,
            "the processor's resizing instead": lambda: to_batch(cutter.cuts, (256, 128)),  # noqa: B023
        }
        taken = {name: seconds_each(work) for name, work in steps.items()}
        found.note(
            f"{height} lines, {len(boxes)} people", {f"{name}, ms": 1e3 * seconds for name, seconds in taken.items()}
        )
        cutter.close()
