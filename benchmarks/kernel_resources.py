"""What nvcc makes of the local-distance kernel: registers, shared memory and spills, for every architecture; no GPU.

    python benchmarks/kernel_resources.py

Exits with an error if a kernel spills registers or keeps anything in local memory, or an architecture does not compile.
"""

import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from sdk.terminal import Table, notes, results, track

SOURCE = Path(__file__).parents[1] / "converters" / "plugin" / "kernel.cu"
ARCHITECTURES = (75, 80, 86, 87, 89, 90, 100, 110, 120)
KERNELS = 8
"""Half and float, up to 8 stripes and up to 16, dimension 128 and any."""
THREADS = 128
"""Of a block."""
REGISTERS = 65536
"""Of a multiprocessor, on all of these architectures."""

_FUNCTION = re.compile(
    r"Function properties for \S*?(?P<type>Half|Float)TileILi(?P<rows>\d+)ELi(?P<dim>\d+)E.*?"
    r"(?P<stack>\d+) bytes stack frame, (?P<stores>\d+) bytes spill stores, (?P<loads>\d+) bytes spill loads.*?"
    r"Used (?P<registers>\d+) registers.*?(?P<shared>\d+) bytes smem",
    re.DOTALL,
)


def read_report(text: str) -> list[dict]:
    """The kernels in what `nvcc -Xptxas -v` prints, a dictionary each."""
    kernels = []
    for found in _FUNCTION.finditer(text):
        facts = {name: int(value) if value.isdigit() else value.lower() for name, value in found.groupdict().items()}
        warps = 4 * (REGISTERS // (THREADS * (-(-facts["registers"] // 8) * 8)))  # registers are given out by eights
        kernels.append(facts | {"warps by registers": warps})
    return kernels


def compile_for(architecture: int, nvcc: str) -> list[dict]:
    """Raises `RuntimeError` with nvcc's words if it does not compile."""
    with tempfile.TemporaryDirectory() as folder:
        options = ["-std=c++17", "-O3", f"-arch=sm_{architecture}", "-Xptxas=-v", "-c", str(SOURCE)]
        done = subprocess.run([nvcc, *options, "-o", f"{folder}/kernel.o"], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    kernels = read_report(done.stdout + done.stderr)
    if len(kernels) != KERNELS:
        raise RuntimeError(f"sm_{architecture}: {len(kernels)} kernels reported, expected {KERNELS}")
    return kernels


def main(
    output: Annotated[Path, typer.Option(help="JSON to write.")] = Path("benchmarks/results/kernel_resources.json"),
) -> None:
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        notes.print("there is no nvcc; install the CUDA toolkit and put its bin folder on PATH", style="red")
        raise typer.Exit(1)
    version = re.search(
        r"release \S+ (V\S+)", subprocess.run([nvcc, "--version"], capture_output=True, text=True).stdout
    )
    facts = {"nvcc": version[1] if version else "unknown", "architectures": {}}
    table = Table("", "type", "stripes up to", "dimension", "registers", "warps by registers", "shared memory, bytes")
    spilled = False
    for architecture in track(ARCHITECTURES, "architectures"):
        kernels = compile_for(architecture, nvcc)
        facts["architectures"][f"sm_{architecture}"] = kernels
        for kernel in kernels:
            spilled |= any(kernel[name] for name in ("stack", "stores", "loads"))
            table.add_row(
                f"sm_{architecture}",
                kernel["type"],
                str(kernel["rows"]),
                str(kernel["dim"] or "any"),
                *(str(kernel[name]) for name in ("registers", "warps by registers", "shared")),
            )
    facts["spills or local memory"] = spilled
    output.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    results.print(table)
    results.print("a kernel spills" if spilled else "no kernel spills registers or uses local memory")
    raise typer.Exit(int(spilled))


if __name__ == "__main__":
    typer.run(main)
