"""Crops that the GPU cuts out of frames and resizes, straight into an engine's input.

The processor copies pixels once, to pinned memory, from where the GPU fetches them by a stream of its own, while the
engine runs what came before. Of a frame it is given either the whole or the crops alone, whichever is fewer bytes: a
few people of a large frame are a small part of it, and in a crowd boxes overlap. Where the GPU shares the processor's
memory, on a Jetson, its kernel reads the pinned memory itself and nothing is uploaded.
"""

import ctypes
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sdk.cutting import Cuts
from sdk.engines.cuda import Device, DeviceMemory, Stream
from sdk.engines.native import KernelLibrary
from sdk.errors import EngineError

CROP = np.dtype([("pixels", "u8"), ("row_bytes", "i4"), ("height", "i4"), ("width", "i4"), ("unused", "i4")])
"""AlignedReidCrop of converters/plugin/crop.h."""
KEPT = 2
"""Pieces of memory for uploads that are kept when they are not in use: one is filled while one is read."""


class CropKernel(KernelLibrary):
    """The library of the crops (converters/plugin/crop.h)."""

    def __init__(self, path: Path | None = None):
        """path: the library; None: where `find_library` finds it. Raises `EngineError` where it is not, or is older."""
        pointer, integer = ctypes.c_void_p, ctypes.c_int32
        arguments = [pointer, ctypes.c_int64, pointer, integer, integer, pointer]
        super().__init__("aligned_reid_crops", arguments, path)

    def launch(
        self, stream: Stream, crops: DeviceMemory, batch: DeviceMemory, *, count: int, size: tuple[int, int]
    ) -> None:
        """Queue the making of batch uint8 `[count, *size, 3]` from the table `crops`, `CROP` `[count]`.

        size: (height, width), up to 4096. Raises `EngineError` with CUDA's words if it cannot be launched.
        """
        with stream.device.active():
            error = self.call(crops.address, count, batch.address, *size, stream.handle)
        if error:
            raise EngineError(
                f"{self.path}: cannot cut {count} crops of {size} ({self.message(error)}); it was built for "
                "other GPUs, or the model's input is too large"
            )


class Upload:
    """Pixels of frames where the GPU's kernel can read them, as long as this lives."""

    def __init__(self, cutter: "DeviceCrops", room: "_Room", crops: np.ndarray):
        self.cutter = cutter
        self.crops = crops
        """`CROP` `[N]`: where each crop is."""
        self._room = room
        finalizer = weakref.finalize(self, cutter.take_back, room)
        finalizer.atexit = False  # the end of the process frees it in its own order

    def wait(self) -> None:
        """Until all of it is there; other threads go on meanwhile."""
        self._room.stream.synchronize()


class DeviceCrops:
    """Cuts crops for one engine. `upload` may be called from any thread, also while the engine runs."""

    def __init__(self, device: Device, size: tuple[int, int], most: int, kernel: CropKernel):
        """size: (height, width) of the engine's input, and `most` its largest batch."""
        self._device, self._size, self._kernel = device, size, kernel
        self._staged = device.pinned((most,), CROP)
        self._table = device.allocate(self._staged.array.nbytes)
        self._free: list[_Room] = []
        self._lock = threading.RLock()  # the garbage collector may bring a room back in the middle of anything
        self._closed = False

    def upload(self, cuts: Cuts) -> Upload:
        """Begin to bring the pixels of `cuts` to the GPU; they are copied when this returns, and may still be on their
        way there. Raises `EngineError` if there is no memory for them."""
        pieces = list(_pieces(cuts))
        with self._lock:
            room = self._free.pop() if self._free else None
        room = room or _Room(self._device)
        upload = Upload(self, room, np.zeros(len(cuts), CROP))  # from here on it brings the room back
        addresses = room.fill([pixels for pixels, _ in pieces])
        row = 0
        for (pixels, corners), address in zip(pieces, addresses, strict=True):
            part = upload.crops[row : row + len(corners)]
            x0, y0, x1, y1 = np.asarray(corners).T
            row_bytes = 3 * pixels.shape[1]
            part["pixels"], part["row_bytes"] = address + y0 * row_bytes + 3 * x0, row_bytes
            part["height"], part["width"] = y1 - y0, x1 - x0
            row += len(corners)
        return upload

    def cut(self, stream: Stream, crops: np.ndarray, batch: DeviceMemory) -> None:
        """Queue the crops, some of an `Upload` that has been waited for, into `batch`, in their order.

        To be called again only when the stream has been synchronised.
        """
        table = self._staged.array[: len(crops)]
        table[:] = crops
        stream.upload(self._table, table)
        self._kernel.launch(stream, self._table, batch, count=len(crops), size=self._size)

    def take_back(self, room: "_Room") -> None:
        """Memory that an upload no longer needs; its last reader has been synchronised."""
        with self._lock:
            if not self._closed and len(self._free) < KEPT:
                self._free.append(room)
                return
        room.close()

    def close(self) -> None:
        """Give all memory back; that of uploads which live on is given back when they end."""
        with self._lock:
            self._closed = True
            free, self._free = self._free, []
        for owned in (self._staged, self._table, *free):
            owned.close() if isinstance(owned, _Room) else owned.free()


def open_cutter(device: Device, size: tuple[int, int], most: int) -> DeviceCrops | None:
    """As `DeviceCrops`, of this machine's library; None where it is not built, or before there were crops in it."""
    try:
        kernel = CropKernel()
    except EngineError:
        return None
    return DeviceCrops(device, size, most, kernel)


def _pieces(cuts: Cuts) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """What is uploaded, uint8 `[h, w, 3]`, and the corners of its crops in it, `[N, 4]`; crops in their order."""
    for frame, corners in zip(cuts.frames, cuts.corners, strict=True):
        sides = corners[:, 2:] - corners[:, :2]
        if len(corners) and 3 * int(sides.prod(axis=1).sum()) >= frame.size:
            yield frame, corners
            continue
        for x0, y0, x1, y1 in corners:
            yield frame[y0:y1, x0:x1], np.array([[0, 0, x1 - x0, y1 - y0]])


class _Room:
    """Pinned memory, as much on a GPU that has memory of its own, and the stream from one to the other."""

    def __init__(self, device: Device):
        self.stream = device.stream()
        self._device = device
        self._pinned = self._memory = None

    def fill(self, pieces: list[np.ndarray]) -> list[int]:
        """Copy `pieces` and queue their upload: the addresses for the GPU, of rows without a gap."""
        size = sum(piece.size for piece in pieces)
        self._grow(size)
        held, begins, at = self._pinned.array, [], 0
        for piece in pieces:
            held[at : at + piece.size].reshape(piece.shape)[...] = piece
            begins.append(at)
            at += piece.size
        if self._memory is None:
            base = held.ctypes.data
        else:
            base = self._memory.address
            self.stream.upload(self._memory, held[:size])
        return [base + begin for begin in begins]

    def _grow(self, size: int) -> None:
        if self._pinned is not None and len(self._pinned.array) >= size:
            return
        self._release()
        reserve = size + size // 2
        self._pinned = self._device.pinned((reserve,), np.uint8)
        if not self._device.integrated:
            self._memory = self._device.allocate(reserve)

    def _release(self) -> None:
        self.stream.synchronize()  # a dropped upload may be on its way
        for owned in (self._pinned, self._memory):
            if owned is not None:
                owned.free()
        self._pinned = self._memory = None

    def close(self) -> None:
        self._release()
        self.stream.free()
