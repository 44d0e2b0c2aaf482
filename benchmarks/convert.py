"""What a precision costs and brings: size, agreement, rank-1, speed in ONNX Runtime; and what converting itself takes.

    python benchmarks/convert.py --data people
    python benchmarks/convert.py                 # without people: drawn ones, no rank-1

Two models: the weights that ship (ResNet-18 of half width, 128×64 px, trained) and a ResNet-50 at 256×128 px with
random weights (untrained: only its sizes and times mean something). Every conversion is a process of its own, so that
its time and its memory are its own. Speed is that of batches of 8, in turn, as a multiple of FP32's in the same run.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer

from converters.commands.convert import drawn_crops
from converters.verify import Crops, compare_features, compare_ranking, embed_all, read_crops
from sdk.engines import read_metadata
from sdk.engines.contract import INPUT
from sdk.engines.onnx import open_session
from sdk.preprocess import to_batch
from sdk.reidentifier import ReIdentifier
from sdk.terminal import Table, notes, results
from training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from training.config import ModelConfig, RunConfig
from training.embedder import TorchEmbedder
from training.start import SHIPPED

PRECISIONS = ("fp32", "fp16", "int8")
BATCH, ROUNDS = 8, 7
SPEED = "speed against FP32"


def resnet50(path: Path) -> None:
    """An untrained network of the paper's size, in its own layout of files."""
    import torch

    from training.model import AlignedReID

    torch.manual_seed(0)
    config = RunConfig(ModelConfig("resnet50", width=64, last_stride=1, input_size=(256, 128)))
    save_checkpoint(Checkpoint(config, [], 0, AlignedReID(config.model).state_dict()), path)


def convert(source: Path, output: Path, precision: str, calibration: Path | None, target: str) -> dict:
    """Run the command in a process of its own: seconds, processor seconds, peak memory in MiB."""
    arguments = ["convert", str(source), "-o", str(output), "--target", target]
    if precision == "fp16":
        arguments.append("--fp16")
    if precision == "int8":
        arguments += ["--int8", "--calibration", str(calibration)]
    code = (
        "import json, resource, sys, time\n"
        "from sdk.cli import run_app, build_app\n"
        "start = time.perf_counter()\n"
        "sys.argv = ['reid', *json.loads(sys.argv[1])]\n"
        "try:\n"
        "    run_app(build_app())\n"
        "except SystemExit as end:\n"
        "    if end.code: raise\n"
        "used = resource.getrusage(resource.RUSAGE_SELF)\n"
        "print(json.dumps([time.perf_counter() - start, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(arguments)], check=False, stdout=subprocess.PIPE, text=True
    )
    if done.returncode:
        raise SystemExit(f"benchmarks/convert.py: reid {' '.join(arguments)} failed")
    seconds, processor, memory = json.loads(done.stdout.splitlines()[-1])
    return {"seconds": round(seconds, 1), "processor seconds": round(processor, 1), "peak MiB": round(memory)}


def speeds(files: dict[str, Path], crops: Crops) -> dict[str, float]:
    """Of each file, how many times as fast as the first: medians of rounds in which all take turns."""
    times: dict[str, list[float]] = {name: [] for name in files}
    runs = {}
    for name, path in files.items():
        batch = to_batch((crops.images * BATCH)[:BATCH], read_metadata(path).input_size)
        session = open_session(path)
        session.run(None, {INPUT: batch})
        runs[name] = (session, batch)
    for _ in range(ROUNDS):
        for name, (session, batch) in runs.items():
            start = time.perf_counter()
            session.run(None, {INPUT: batch})
            times[name].append(time.perf_counter() - start)
    first = times[next(iter(times))]
    return {name: statistics.median(a / b for a, b in zip(first, taken, strict=True)) for name, taken in times.items()}


def measure(source: Path, crops: Crops, calibration: Path, folder: Path, rtx: bool, precisions, speed: bool) -> dict:
    """All figures of one model, by precision."""
    rows, files = {}, {}
    reference = embed_all(TorchEmbedder(load_checkpoint(source).build_model()), crops.images)
    for precision in precisions:
        path = files[precision] = folder / f"{source.stem}-{precision}.onnx"
        notes.print(f"{source.stem}, {precision}")
        row = {"to ONNX": convert(source, path, precision, calibration, "onnx")}
        reid = ReIdentifier(path, threshold=0)
        agreement = compare_features(reference, embed_all(lambda batch, r=reid: r.embed(batch).embedding, crops.images))
        ranking = compare_ranking(agreement, crops)
        report = read_metadata(path).precision_report or {}
        row |= {
            "ONNX MB": round(path.stat().st_size / 1e6, 2),
            "lowest cosine": float(agreement.cosine.min()),
            "mean cosine": float(agreement.cosine.mean()),
            "half": report.get("weights"),
            "int8 layers": report.get("int8_layers"),
            "left out": report.get("left_out"),
        }
        if ranking is not None:
            row |= {"rank1": ranking.rank1[1], "mAP": ranking.mean_ap[1], "rank1 of PyTorch": ranking.rank1[0]}
        if rtx:
            engine = path.with_suffix(".engine")
            row["ONNX to RTX engine"] = convert(path, engine, "", None, "rtx")
            row["engine MB"] = round(engine.stat().st_size / 1e6, 2)
        rows[precision] = row
    if speed:
        for precision, times in speeds(files, crops).items():
            rows[precision][SPEED] = round(times, 2)
    return rows


def main(
    data: Annotated[Path | None, typer.Option(help="Folder of crops, <identity>/<camera>_*: for rank-1 too.")] = None,
    only: Annotated[str | None, typer.Option(help="shipped or resnet50. Default: both.")] = None,
    precisions: Annotated[str, typer.Option(help="Which, with commas.")] = ",".join(PRECISIONS),
    speed: Annotated[bool, typer.Option(help="Also time them against the first; give all precisions then.")] = True,
    output: Annotated[Path, typer.Option(help="JSON to write; what is not measured stays as it is in it.")] = Path(
        "benchmarks/results/convert.json"
    ),
) -> None:
    crops = read_crops(data) if data else drawn_crops()
    try:
        import tensorrt_rtx

        rtx = tensorrt_rtx.__version__
    except ImportError:
        rtx = None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        calibration = folder / "calibration"
        _write(calibration, drawn_crops(128))
        measured = {}
        chosen = (rtx is not None, precisions.split(","), speed)
        if only in (None, "shipped"):
            shipped = folder / "shipped.pt"
            shipped.write_bytes(SHIPPED.read_bytes())
            measured["shipped"] = measure(shipped, crops, calibration, folder, *chosen)
        if only in (None, "resnet50"):
            resnet50(folder / "resnet50.pt")
            few = Crops(crops.images[:32], crops.names[:32])
            measured["resnet50"] = measure(folder / "resnet50.pt", few, calibration, folder, *chosen)
    models = json.loads(output.read_text())["models"] if output.is_file() else {}
    for model, rows in measured.items():
        for precision, row in rows.items():
            models[model] = models.get(model, {}) | {precision: models.get(model, {}).get(precision, {}) | row}
    table = Table("model", "precision", "ONNX MB", "engine MB", "lowest cosine", "rank-1", "mAP", "speed", "converting")
    for model, rows in models.items():
        for precision, row in rows.items():
            took = row["to ONNX"]
            figures = [f"{row[key]:.4f}" if key in row else "" for key in ("rank1", "mAP")]
            table.add_row(
                model, precision, str(row["ONNX MB"]), str(row.get("engine MB", "")), f"{row['lowest cosine']:.6f}",
                *figures, str(row.get(SPEED, "")), f"{took['processor seconds']} s, {took['peak MiB']} MiB",
            )  # fmt: skip
    results.print(table)
    facts = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores",
        "crops": len(crops),
        "calibrated on": "128 drawn people",
        "tensorrt-rtx": rtx,
        "models": models,
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    notes.print(f"wrote {output}")


def _write(folder: Path, crops: Crops) -> None:
    from sdk.folder import write_image

    folder.mkdir()
    for index, image in enumerate(crops.images):
        write_image(folder / f"{index:03}.png", image)


if __name__ == "__main__":
    typer.run(main)
