"""Two sites and a real Milvus standalone server, which is killed and restarted: when do both sites know the same?

    pip install 'aligned-reid[milvus]' milvus==2.3.5     # the server as a package; Linux, x86-64
    python benchmarks/shared_gallery.py                  # 5 000 people; about four minutes
    python benchmarks/shared_gallery.py --people 500 --tls

Each site enrols half of the people; the server is killed (SIGKILL) when it has a part of them, stays away while the
sites go on enrolling, forgetting and matching, and is restarted on its files. Timed by the clock: until both sites hold
the same people and exemplars; then, with everything settled, until somebody whom one site forgets is gone at the other.

--tls: the server has a certificate of an authority made on the spot, and asks the sites for theirs.
"""

import contextlib
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from sdk.gallery import Gallery
from sdk.terminal import Table, notes, results

DIM = 256
PATIENCE = 600.0
"""Seconds after which something that has not come does not come."""


class Server:
    """Milvus standalone in a folder."""

    def __init__(self, folder: Path, port: int, certificates: dict[str, Path] | None = None):
        from milvus import MilvusServer

        self._make = lambda: MilvusServer(wait_for_started=False)
        self._folder, self.port, self._certificates = folder, port, certificates
        self._server = None

    def start(self) -> None:
        """Start it; it needs some seconds until it answers, for which the sites wait by themselves."""
        self._server = self._make()
        self._server.set_base_dir(str(self._folder))
        self._server.listen_port = self.port
        if self._certificates:
            for name, path in self._certificates.items():
                self._server.config.set(name, str(path))
            self._server.config.set("tls_mode", 2)
        self._server.start()

    def kill(self) -> None:
        self._server.server_proc.kill()
        self._server.server_proc.wait()

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop()


def make_certificates(folder: Path) -> dict[str, Path]:
    """An authority, a server's certificate for localhost and a site's, by openssl."""

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], check=True, cwd=folder, capture_output=True)

    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ca")
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    for name in ("server", "site"):
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr",
                "-subj", f"/CN={name}")  # fmt: skip
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                "-out", f"{name}.pem", "-extfile", "names")  # fmt: skip
    os.environ["ALIGNED_REID_MILVUS_CA"] = str(folder / "ca.pem")
    os.environ["ALIGNED_REID_MILVUS_CERTIFICATE"] = str(folder / "site.pem")
    os.environ["ALIGNED_REID_MILVUS_KEY"] = str(folder / "site.key")
    return {f"{kind}_path": folder / file for kind, file in
            (("server_pem", "server.pem"), ("server_key", "server.key"), ("ca_pem", "ca.pem"))}  # fmt: skip


def until(done: Callable[[], bool], what: str) -> float:
    """Seconds that it takes."""
    started = time.monotonic()
    while not done():
        if time.monotonic() - started > PATIENCE:
            raise SystemExit(f"after {PATIENCE:.0f} s: {what} has not come")
        time.sleep(0.02)
    return time.monotonic() - started


def enrol(site: Gallery, names: list[str], seed: int) -> None:
    rows = np.random.default_rng(seed).standard_normal((len(names), 2, DIM)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=2, keepdims=True)
    for name, row in zip(names, rows, strict=True):
        site.add(row, identity=name, camera="dock")


def measure(people: int, forgets: int, folder: Path, port: int, tls: bool) -> dict:
    server = Server(folder / "server", port, make_certificates(folder) if tls else None)
    server.start()
    where = f"milvus{'+tls' if tls else ''}://{'localhost' if tls else '127.0.0.1'}:{port}/site"
    with contextlib.ExitStack() as stack:
        stack.callback(server.stop)
        north, south = (stack.enter_context(Gallery(where, cache=folder / f"{name}.db")) for name in ("north", "south"))
        quarter = people // 4
        groups = [[f"p{number:06d}" for number in range(i * quarter, (i + 1) * quarter)] for i in range(4)]
        notes.print("enrolling the first half; the server starts")
        enrol(north, groups[0], 0)
        enrol(south, groups[1], 1)
        first = until(lambda: len(north.identities()) == len(south.identities()) == 2 * quarter, "the first half")
        notes.print(f"both have it after {first:.1f} s; more, and the server is killed")
        enrol(north, groups[2][: quarter // 2], 2)
        server.kill()
        enrol(north, groups[2][quarter // 2 :], 3)
        enrol(south, groups[3], 4)
        gone = groups[0][: max(1, quarter // 50)]
        for name in gone:
            south.forget(name)
        matched = np.random.default_rng(5).standard_normal((1, DIM)).astype(np.float32)
        assert north.search(matched / np.linalg.norm(matched))[0], "a site matches while the store is away"
        restarted = time.monotonic()
        server.start()
        wanted = {name for group in groups for name in group} - set(gone)
        until(lambda: set(north.identities()) == set(south.identities()) == wanted, "both sites alike")
        until(lambda: len(north) == len(south) == 2 * len(wanted), "all exemplars")
        alike = time.monotonic() - restarted
        notes.print(f"killed and restarted: both alike after {alike:.1f} s")
        waits = []
        for name in groups[3][:forgets]:
            south.forget(name)
            waits.append(until(lambda name=name: name not in north.identities(), f"the forgetting of {name}"))
    return {
        "people": people,
        "tls": tls,
        "first_half_s": round(first, 1),
        "alike_after_restart_s": round(alike, 1),
        "forget_median_s": round(statistics.median(waits), 2),
        "forget_longest_s": round(max(waits), 2),
    }


def main(
    people: Annotated[int, typer.Option(help="Enrolled in all.")] = 5000,
    forgets: Annotated[int, typer.Option(help="How often a forgetting is timed.")] = 10,
    port: Annotated[int, typer.Option(help="Of the server.")] = 19531,
    tls: Annotated[bool, typer.Option("--tls", help="Encrypted, with certificates of an own authority.")] = False,
    output: Annotated[Path | None, typer.Option("--json", help="File for the figures.")] = None,
) -> None:
    logging.getLogger("aligned_reid.gallery").setLevel(logging.ERROR)  # the store is away on purpose
    try:
        import milvus  # noqa: F401
    except ImportError:
        notes.print("the server is not installed: pip install milvus==2.3.5")
        sys.exit(2)
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(people, forgets, Path(folder), port, tls)
    table = Table("figure", "value")
    for name, value in figures.items():
        table.add_row(name, str(value))
    results.print(table)
    if output is not None:
        output.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
