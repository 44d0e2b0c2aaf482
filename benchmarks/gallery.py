"""The gallery: searches beside faiss and NumPy, insertions, reopening, memory, threads, kills, and aggregates.

    python benchmarks/gallery.py                      # all of it; about a quarter of an hour on two cores
    python benchmarks/gallery.py --only search
    python benchmarks/gallery.py --only kills
    python benchmarks/gallery.py --only aggregates --people PEOPLE    # <root>/<identity>/<camera>_<anything>.png

Features are drawn: people are clusters with no structure between them, the hardest case for an approximate index.
faiss `IndexFlatIP`, NumPy and the gallery search the same exemplars in turn; the
fastest round of each by the clock counts, and the processor time of the median round stands beside it.
"""

import json
import multiprocessing
import os
import platform
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from sdk.gallery import Gallery
from sdk.gallery.index import Index
from sdk.gallery.journal import Journal
from sdk.gallery.ledger import Exemplars
from sdk.terminal import Table, notes, results

DIM, EACH, BATCH, TOP = 512, 8, 16, 10
SIZES = (1_000, 10_000, 20_000, 50_000, 100_000, 1_000_000)
ROUNDS = 25
QUERIES = 128
"""For the recall."""


def people(size: int, dim: int = DIM, seed: int = 0) -> np.ndarray:
    """Exemplars as clusters, `EACH` of a person in a row: float32 `[size, dim]` of unit length."""
    rng = np.random.default_rng(seed)
    rows = np.repeat(rng.standard_normal((size // EACH, dim), np.float32), EACH, axis=0)
    for start in range(0, size, 65536):
        part = rows[start : start + 65536]
        part += rng.standard_normal(part.shape, np.float32)
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    return rows


def queries_of(rows: np.ndarray, number: int) -> np.ndarray:
    """Further views of people who are among the rows."""
    rng = np.random.default_rng(1)
    chosen = rows[rng.integers(0, len(rows), number)]
    chosen = chosen + rng.standard_normal(chosen.shape, np.float32) / np.float32(np.sqrt(rows.shape[1]))
    return chosen / np.linalg.norm(chosen, axis=1, keepdims=True)


def fill(gallery: Gallery, rows: np.ndarray) -> None:
    """`EACH` exemplars a person, in transactions of 2 000 people."""
    now = np.full(EACH, time.time())
    for start in range(0, len(rows), 2000 * EACH):
        groups = [
            Exemplars(f"p{i}", f"c{i % 4}", rows[i : i + EACH], None, now, now, np.ones(EACH, np.float32))
            for i in range(start, min(start + 2000 * EACH, len(rows)), EACH)
        ]
        with gallery._lock:
            gallery._insert(groups)


def in_turn(**run: Callable) -> dict[str, dict[str, float]]:
    """Milliseconds of each: the fastest round by the clock, as other work only ever slows one down, and the processor's
    time of all threads, the median round, which other work disturbs less."""
    clock, processor = ({name: [] for name in run} for _ in range(2))
    for _ in range(ROUNDS):
        for name, call in run.items():
            started, used = time.perf_counter(), time.process_time()
            call()
            clock[name].append(1e3 * (time.perf_counter() - started))
            processor[name].append(1e3 * (time.process_time() - used))
    return {name: {"clock": min(clock[name]), "processor": float(np.median(processor[name]))} for name in run}


def memory() -> float:
    """Resident bytes."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def search(size: int) -> dict:
    """A batch of 16, the ten nearest identities; and that of exact searches for 128 queries."""
    import faiss

    rows = people(size)
    queries = queries_of(rows, QUERIES)
    flat = faiss.IndexFlatIP(DIM)
    flat.add(rows)
    gallery, before = Gallery(), memory()
    fill(gallery, rows)
    gallery.wait_for_index(600)
    used = (memory() - before) / size
    batch = queries[:BATCH]

    def plain():
        similarity = batch @ rows.T
        top = np.argpartition(-similarity, TOP, axis=1)[:, :TOP]
        return np.take_along_axis(similarity, top, axis=1)

    milliseconds = in_turn(
        gallery=lambda: gallery.search(batch, TOP), faiss=lambda: flat.search(batch, TOP), numpy=plain
    )
    found = gallery.search(queries, TOP)
    worth, Index.worth = Index.worth, lambda *_: False
    exact = gallery.search(queries, TOP)
    if gallery.indexed:
        milliseconds |= {"exact": in_turn(exact=lambda: gallery.search(batch, TOP))["exact"]}
    else:  # what an index would have brought
        index = Index.build(gallery._state.rows)
        Index.worth = lambda *_: True
        gallery._state = replace(gallery._state, index=index)
        milliseconds |= {"exact": milliseconds["gallery"]}
        milliseconds |= {"indexed": in_turn(indexed=lambda: gallery.search(batch, TOP))["indexed"]}
    Index.worth = worth

    def ratios(name: str) -> dict[str, float]:
        return {by: milliseconds[name][by] / milliseconds["gallery"][by] for by in ("clock", "processor")}

    hits = [len({c.identity for c in a} & {c.identity for c in b}) / TOP for a, b in zip(found, exact, strict=True)]
    return {
        "milliseconds": milliseconds,
        "faiss / gallery": ratios("faiss"),
        "numpy / gallery": ratios("numpy"),
        "recall@10 of identities": float(np.mean(hits)),
        "bytes an exemplar": used,
        "indexed": gallery.indexed,
    }


def durable(size: int = 100_000) -> dict:
    """Live insertions, a forget, and reopening, at 100 000 exemplars on disk; a bare append of 2 KB to a file, synced,
    beside the insertions."""
    rows = people(size)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "site.db"
        gallery = Gallery(path)
        fill(gallery, rows)
        gallery.wait_for_index(600)
        new = queries_of(rows, 300)
        rng = np.random.default_rng(2)
        insert, append, opened = [], [], os.open(Path(folder) / "bare", os.O_WRONLY | os.O_CREAT)
        for i in range(300):
            name = f"p{int(rng.integers(0, size // EACH)) * EACH}" if i % 2 else f"new{i}"
            started = time.perf_counter()
            gallery.add(new[i], identity=name, camera="c1")
            insert.append(time.perf_counter() - started)
            started = time.perf_counter()
            os.write(opened, new[i].tobytes())
            os.fsync(opened)
            append.append(time.perf_counter() - started)
        os.close(opened)
        forget = []
        for i in range(20):
            started = time.perf_counter()
            gallery.forget(f"p{i * EACH}")
            forget.append(time.perf_counter() - started)
        gallery.close()
        started = time.perf_counter()
        gallery = Gallery(path)
        ready = time.perf_counter() - started
        gallery.wait_for_index(600)
        indexed = time.perf_counter() - started
        facts = {"file, bytes an exemplar": path.stat().st_size / len(gallery)}
        started = time.perf_counter()
        assert gallery.verify().ok
        facts["verify, s"] = time.perf_counter() - started
        gallery.close()
    milliseconds = 1e3 * np.array(insert)
    return facts | {
        "insert, ms: median, p99, most": [float(np.percentile(milliseconds, p)) for p in (50, 99, 100)],
        "a synced append of the same bytes, ms: median, p99, most": [
            float(1e3 * np.percentile(append, p)) for p in (50, 99, 100)
        ],
        "forget, ms: median, most": [float(1e3 * np.percentile(forget, p)) for p in (50, 100)],
        "reopened, s": ready,
        "and indexed again, s": indexed,
    }


def threads(seconds: float = 60.0) -> dict:
    """Eight match while two enrol, at 100 000 exemplars on disk."""
    rows = people(100_000)
    with tempfile.TemporaryDirectory() as folder:
        gallery = Gallery(Path(folder) / "site.db")
        fill(gallery, rows)
        gallery.wait_for_index(600)
        stop, failures, taken, enrolled = threading.Event(), [], [], [0, 0]

        def match(seed: int) -> None:
            rng = np.random.default_rng(seed)
            while not stop.is_set():
                i = int(rng.integers(0, len(rows)))
                started = time.perf_counter()
                (candidates,) = gallery.search(rows[i], TOP)
                taken.append(time.perf_counter() - started)
                assert candidates[0].identity == f"p{i // EACH * EACH}", candidates[0]
                assert len({c.identity for c in candidates}) == TOP

        def enrol(worker: int) -> None:
            new = people(1 << 16, seed=10 + worker)
            while not stop.is_set():
                i = enrolled[worker]
                gallery.add(new[2 * i : 2 * i + 2], identity=f"n{worker}-{i}", camera="dock")
                enrolled[worker] += 1

        def guarded(run, number) -> None:
            try:
                run(number)
            except BaseException as error:
                failures.append(repr(error))
                stop.set()

        running = [threading.Thread(target=guarded, args=(match, i)) for i in range(8)]
        running += [threading.Thread(target=guarded, args=(enrol, i)) for i in range(2)]
        for thread in running:
            thread.start()
        stop.wait(seconds)
        stop.set()
        for thread in running:
            thread.join()
        expected = {f"p{i}" for i in range(0, len(rows), EACH)}
        expected |= {f"n{worker}-{i}" for worker in (0, 1) for i in range(enrolled[worker])}
        names = gallery.identities()
        facts = {
            "seconds": seconds,
            "exceptions": failures,
            "lost identities": len(expected - set(names)),
            "identities twice": len(names) - len(set(names)),
            "lost exemplars": len(rows) + 2 * sum(enrolled) - len(gallery),
            "searches": len(taken),
            "enrolments": sum(enrolled),
            "search, ms: median, p99, most": [float(1e3 * np.percentile(taken, p)) for p in (50, 99, 100)],
            "verified": gallery.verify().ok,
        }
        gallery.close()
    return facts


def kills(rounds: int = 100) -> dict:
    """Processes killed (SIGKILL) at random moments while they enrol, match, forget, and change people in all ways."""
    sys.path.insert(0, str(Path(__file__).parents[1]))  # ours, whatever else has installed a package "tests"
    from tests.galleries import DONE, features_of, kill_while_writing, traces, wrong_changes

    kept, gone, traced, unverified, wrong, changes = set(), set(), 0, 0, 0, dict.fromkeys(DONE, 0)
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder) / "site"
        site.mkdir()
        for number in range(rounds):
            said = kill_while_writing(site, number, int(random.integers(5, 300)))
            erased = said["forgot"] | said["pruned"] | said["expired"]
            traced += sum(bool(traces(site, name, features_of(name))) for name in erased)
            kept |= said["enrolled"] - said["forgetting"]
            gone |= said["forgot"]
            with Gallery(site / "site.db") as gallery:
                known = set(gallery.identities())
                unverified += not gallery.verify().ok
                wrong += len(wrong_changes(gallery, said, Path(folder).glob(f"*-{number}.log.copy.db")))
            changes = {word: count + len(said[word]) for word, count in changes.items()}
        lost = kept - known
    return {
        "rounds": rounds,
        "acknowledged enrolments": len(kept),
        "lost": len(lost),
        "acknowledged forgets": len(gone),
        "still there": len(gone & known),
        "with bytes in a file": traced,
        "rounds where verify found damage": unverified,
        "other changes": changes,
        "of them wrong": wrong,
    }


def encryption(size: int = 20_000) -> dict:
    """Storing and reopening, plain and encrypted."""
    rows = people(size)
    facts = {}
    for name, passphrase in (("plain", None), ("encrypted", "open sesame")):
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            with Gallery(Path(folder) / "site.db", passphrase=passphrase) as gallery:
                fill(gallery, rows)
            stored = time.perf_counter() - started
            started = time.perf_counter()
            Journal(Path(folder) / "site.db", read_only=True, passphrase=passphrase).load()
            facts[name] = {"stored, s": stored, "read, s": time.perf_counter() - started}
    return facts


def aggregates(folder: Path) -> dict:
    """rank-1 of identities: every crop a query once, against 1, 2, 4 or 8 exemplars of each person in other cameras."""
    from sdk import ReIdentifier
    from sdk.folder import read_folder, read_image

    samples = read_folder(folder)
    reid = ReIdentifier(threshold=0)
    embedding = np.concatenate(
        [reid.embed([read_image(s.path) for s in samples[i : i + 64]]).embedding for i in range(0, len(samples), 64)]
    )
    identity = np.array([s.identity for s in samples])
    camera = np.array([s.camera for s in samples])
    facts = {}
    for number in (1, 2, 4, 8):
        ranks = {how: [] for how in ("best", "mean3", "centroid")}
        for seed in range(5):
            rng = np.random.default_rng(seed)
            right = dict.fromkeys(ranks, 0)
            for own in np.unique(camera):
                gallery = Gallery()
                for name in np.unique(identity):
                    others = rng.permutation(np.flatnonzero((identity == name) & (camera != own)))[:number]
                    if len(others):
                        gallery.add(embedding[others], identity=name)
                asked = np.flatnonzero(camera == own)
                for how in ranks:
                    found = gallery.search(embedding[asked], 1, aggregate=how)
                    right[how] += sum(c[0].identity == name for c, name in zip(found, identity[asked], strict=True))
            for how in ranks:
                ranks[how].append(right[how] / len(samples))
        facts[f"{number} exemplars"] = {
            how: {"rank-1, mean": float(np.mean(values)), "standard deviation": float(np.std(values))}
            for how, values in ranks.items()
        }
    return facts


def alone(run: Callable[..., dict], *arguments) -> dict:
    """In a process of its own, so that memory is its own."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(run, arguments)


def main(
    only: Annotated[str, typer.Option(help="search, durable, threads, kills, encryption or aggregates.")] = "",
    sizes: Annotated[list[int], typer.Option(help="Exemplars of the galleries searched.")] = SIZES,
    people: Annotated[Path | None, typer.Option(help="Crops of real people, for the aggregates.")] = None,
    seconds: Annotated[float, typer.Option(help="Of eight threads matching and two enrolling.")] = 60.0,
    rounds: Annotated[int, typer.Option(help="Of kills.")] = 100,
    output: Annotated[Path, typer.Option(help="JSON to write; what is not measured now stays in it.")] = Path(
        "benchmarks/results/gallery.json"
    ),
) -> None:
    facts = json.loads(output.read_text()) if output.is_file() else {}
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    machine = f"{platform.machine()}, {cores} cores, NumPy {np.__version__}"

    def measure(name: str, run: Callable[..., dict], *arguments) -> None:
        if only in ("", name):
            notes.print(f"{name} {' '.join(map(str, arguments))}")
            found = alone(run, *arguments)
            results.print_json(json.dumps(found))
            place = facts.setdefault(name, {})
            if name == "search":
                place[str(arguments[0])] = found
            else:
                facts[name] = found
            facts.setdefault("measured", {})[name] = {"date": time.strftime("%Y-%m-%d"), "machine": machine}
            output.parent.mkdir(parents=True, exist_ok=True)
            output.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")

    for size in sizes:
        measure("search", search, size)
    measure("durable", durable)
    measure("threads", threads, seconds)
    measure("kills", kills, rounds)
    measure("encryption", encryption)
    if people is not None:
        measure("aggregates", aggregates, people)
    if "search" in facts and only in ("", "search"):
        table = Table("exemplars", "gallery, ms", "faiss flat", "NumPy", "exact gallery", "recall@10", "bytes each")
        for size, found in facts["search"].items():
            taken = found["milliseconds"]
            table.add_row(
                size,
                *(f"{taken[name]['clock']:.2f}" for name in ("gallery", "faiss", "numpy", "exact")),
                f"{found['recall@10 of identities']:.4f}",
                f"{found['bytes an exemplar']:.0f}",
            )
        results.print(table)


if __name__ == "__main__":
    typer.run(main)
