"""The driver's calls as the SDK makes them: threads, copies, graphs, and a process that ends amid work."""

import threading

import numpy as np

from benchmarks.gpu_parts.findings import Findings
from benchmarks.gpu_parts.timing import seconds_each
from sdk.engines.cuda import Device, open_device
from sdk.engines.graph import Graph

THREADS = 8


def check(found: Findings) -> None:
    """What each thread copies to the GPU comes back to it; a graph does its work again; memory is given back.

    When this returns, a thread that nobody waits for is still copying: the process has to end all the same.
    """
    device, size = open_device(), 1 << (12 if found.small else 22)
    found.note("calls through", device.through)
    free, total = device.memory()
    found.note("free and all memory, GB", [free / 1e9, total / 1e9])
    found.check("driver: threads whose data came back wrong", _wrong_threads(device, size), 0)
    found.check("driver: runs of a graph with a wrong result", _wrong_graphs(device), 0)
    memory = device.allocate(size)
    pinned, stream = device.pinned((size,), np.uint8), device.stream()
    upload = seconds_each(lambda: stream.upload(memory, pinned.array), stream.synchronize)
    found.note("upload of pinned memory, GB/s", size / upload / 1e9)
    found.note(
        "a queued copy of 1 byte, µs", 1e6 * seconds_each(lambda: stream.copy(memory, memory, 1), stream.synchronize)
    )
    for owned in (memory, pinned, stream):
        owned.free()
    found.check("driver: memory not given back, bytes", free - device.memory()[0], 64 << 20)  # what CUDA itself keeps
    threading.Thread(target=_copy_for_ever, args=(device,), daemon=True).start()


def _wrong_threads(device: Device, size: int, turns: int = 10) -> int:
    wrong = set()

    def work(number: int) -> None:
        memory, stream = device.allocate(size), device.stream()
        there, back = device.pinned((size,), np.uint8), device.pinned((size,), np.uint8)
        for turn in range(turns):
            there.array[:] = number + THREADS * turn
            stream.upload(memory, there.array)
            stream.download(back.array, memory)
            stream.synchronize()
            if not np.array_equal(there.array, back.array):
                wrong.add(number)

    def run(number: int) -> None:
        try:
            work(number)
        except Exception:
            wrong.add(number)
            raise  # to standard error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(wrong)


def _wrong_graphs(device: Device, turns: int = 3) -> int:
    stream, memory = device.stream(), device.allocate(4096)
    there, back = device.pinned((1024,), np.float32), device.pinned((1024,), np.float32)

    def work() -> None:
        stream.upload(memory, there.array)
        stream.download(back.array, memory)

    graph, wrong = Graph(stream, work), 0
    for turn in range(turns):
        there.array[:], back.array[:] = turn, -1
        graph.launch()
        stream.synchronize()
        wrong += not (back.array == turn).all()
    graph.free()
    return wrong


def _copy_for_ever(device: Device) -> None:
    memory, stream, pinned = device.allocate(1 << 16), device.stream(), device.pinned((1 << 16,), np.uint8)
    while True:
        stream.upload(memory, pinned.array)
        stream.download(pinned.array, memory)
        stream.synchronize()
