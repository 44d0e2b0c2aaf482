"""Re-scoring's two things on a GPU: a gallery's stripes, and the library of the kernel that compares them."""

import ctypes
import threading
from pathlib import Path

import numpy as np

from sdk.engines.cuda import Device, DeviceMemory, Stream, open_device
from sdk.engines.native import KernelLibrary
from sdk.errors import EngineError


class Kernel(KernelLibrary):
    """The library of the local distance (converters/plugin/kernel.h)."""

    def __init__(self, path: Path | None = None):
        """path: the library; None: where `find_library` finds it. Raises `EngineError` where it is not."""
        pointer, long, integer = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32
        arguments = [pointer] * 4 + [long] * 3 + [integer] * 4 + [pointer]
        super().__init__("aligned_reid_local_distance", arguments, path)

    def launch(
        self,
        stream: Stream,
        query: DeviceMemory,
        gallery: DeviceMemory,
        candidates: DeviceMemory,
        distance: DeviceMemory,
        *,
        queries: int,
        entries: int,
        per_query: int,
        stripes: int,
        dim: int,
        half: bool,
        half_out: bool = False,
    ) -> None:
        """Queue the distances of query `[queries, stripes, dim]` to candidates int32 `[queries, per_query]` of gallery
        `[entries, stripes, dim]`, into distance float32 (half: the stripes are float16; half_out: the distances).

        Raises `EngineError` with CUDA's words if it cannot be launched.
        """
        with stream.device.active():
            error = self.call(
                query.address, gallery.address, candidates.address, distance.address, queries, entries, per_query,
                stripes, dim, int(half), int(half_out), stream.handle,
            )  # fmt: skip
        if error:
            words = self.message(error)
            raise EngineError(
                f"{self.path}: cannot run ({words}); it was built for other GPUs, or [{queries}, {stripes}, {dim}] is "
                "not 1 to 16 stripes of a multiple of 8 numbers"
            )


class GpuStripes:
    """The stripes of a gallery, kept on the GPU: re-scoring then copies only queries' stripes and candidates' rows.

    Rows have the order in which they were added, as in the arrays that other ways of re-scoring take. May be used from
    several threads.
    """

    def __init__(self, stripes: int, dim: int, *, dtype=np.float16, capacity: int = 1024, device: Device | None = None):
        """Room for `capacity` people of `stripes` × `dim` numbers, doubled when it is full."""
        self.dtype = np.dtype(dtype)
        if self.dtype not in (np.float16, np.float32):
            raise ValueError(f"stripes on the GPU are float16 or float32, not {self.dtype}")
        self.device = open_device() if device is None else device
        self.lock = threading.RLock()
        """Held while rows are changed, and by whoever runs a kernel on `memory`."""
        self._shape = (int(stripes), int(dim))
        self._rows = 0
        self._row_bytes = self._shape[0] * self._shape[1] * self.dtype.itemsize
        self._stream = self.device.stream()
        self.memory = self.device.allocate(max(1, capacity) * self._row_bytes)

    def __len__(self) -> int:
        return self._rows

    @property
    def shape(self) -> tuple[int, int, int]:
        """[G, S, d]"""
        return (self._rows, *self._shape)

    @property
    def capacity(self) -> int:
        """For how many people there is memory."""
        return self.memory.size // self._row_bytes

    def extend(self, stripes: np.ndarray) -> None:
        """Add people: `[N, S, d]`, rounded to this object's type. Raises `ValueError` for another shape."""
        stripes = self._checked(stripes)
        with self.lock:
            needed = self._rows + len(stripes)
            if needed > self.capacity:
                self._grow(max(needed, 2 * self.capacity))
            self._stream.upload(self.memory, stripes, self._rows * self._row_bytes)
            self._stream.synchronize()  # the caller may change or drop its array now
            self._rows = needed

    def replace(self, row: int, stripes: np.ndarray) -> None:
        """Put other stripes `[S, d]` into a row. Raises `IndexError` for a row that is not there."""
        stripes = self._checked(np.asarray(stripes)[None])
        with self.lock:
            if not 0 <= row < self._rows:
                raise IndexError(f"row {row}: there are {self._rows}")
            self._stream.upload(self.memory, stripes, row * self._row_bytes)
            self._stream.synchronize()

    def restart(self, stripes: np.ndarray) -> None:
        """Others `[N, S, d]` in the place of everybody, whose memory is kept and not wiped."""
        with self.lock:
            self._rows = 0
            self.extend(stripes)

    def erase(self, start: int, stop: int) -> None:
        """Overwrite rows with zeros; they keep their places."""
        with self.lock:
            if not 0 <= start <= stop <= self._rows:
                raise IndexError(f"rows {start} to {stop}: there are {self._rows}")
            zeros = np.zeros((min(stop - start, 512), *self._shape), self.dtype)
            for row in range(start, stop, 512):
                self._stream.upload(self.memory, zeros[: stop - row], row * self._row_bytes)
            self._stream.synchronize()

    def clear(self) -> None:
        """Forget everybody: they are overwritten, and the memory is kept."""
        with self.lock:
            self.erase(0, self._rows)
            self._rows = 0

    def close(self) -> None:
        """Give the memory back. The object cannot be used afterwards."""
        with self.lock:
            self._rows = 0
            self.memory.free()
            self._stream.free()

    def _checked(self, stripes: np.ndarray) -> np.ndarray:
        stripes = np.ascontiguousarray(stripes, self.dtype)
        if stripes.ndim != 3 or stripes.shape[1:] != self._shape:
            raise ValueError(
                f"stripes of shape {stripes.shape} do not go into a gallery of [N, {self._shape[0]}, {self._shape[1]}]"
            )
        return stripes

    def _grow(self, capacity: int) -> None:
        memory = self.device.allocate(capacity * self._row_bytes)
        self._stream.copy(memory, self.memory, self._rows * self._row_bytes)
        self._stream.synchronize()
        self.memory.free()
        self.memory = memory
