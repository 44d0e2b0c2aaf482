"""Everything of the SDK that a GPU is needed for, checked and timed: one command, on the machine that it is about.

    python benchmarks/gpu.py                  # Python, NumPy and OpenCV, nvcc on PATH; nothing is installed or fetched
    python benchmarks/gpu.py --resume         # what did not go well, or did not fit into the time
    python benchmarks/gpu.py --only bandwidth,memcheck

It needs neither pycuda nor TensorRT: what cannot be run without something is listed with it. A torch for CUDA is what
the kernel is compared with; `pip install -e '.[convert,tensorrt]'` (or `[convert,rtx]`) makes the engines.

Each part runs in a process of its own (gpu_parts/). Whatever becomes of one, the others run, and all that was found is
in benchmarks/results/gpu.json as soon as it is; a Markdown table beside it at the end. All parts end within --seconds.
Ratios are of times from the same run.

| exit | |
|---|---|
| 0 | what could be run here went well, and every check holds |
| 1 | something failed, crashed or ran out of time |
| 2 | there is no GPU: nothing was run |
"""

import argparse
import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # a clone in which nothing is installed

from benchmarks.gpu_parts.report import to_markdown
from benchmarks.gpu_parts.runner import FAILED, SKIPPED, TIMED_OUT, Part, run_parts

HERE = "benchmarks.gpu_parts"
LIBRARIES = "ALIGNED_REID_LIBRARIES"
"""As `sdk.engines.native.VARIABLE`, which a machine without our dependencies cannot import."""
MODELS = ("resnet50", "shipped", "resnet18")


def parts() -> list[Part]:
    """What is not known yet and needs least comes first."""
    gpu, kernels = ("machine",), ("machine", "library")

    def part(name: str, function: str, seconds: float, needs=kernels, arguments=(), again=False) -> Part:
        return Part(name, f"{HERE}.{function}", seconds, arguments, needs, again)

    found = [
        part("machine", "machine:describe", 60, (), again=True),
        part("library", "library:build", 180, gpu, again=True),
        part("driver", "driver:check", 60, gpu),
        part("kernel", "local_distance:correct", 90),
        part("bandwidth", "local_distance:bandwidth", 60),
        part("pytorch", "local_distance:eager", 90),
        part("pixels", "crops:pixels", 60),
        part("features", "crops:features", 60),
        part("crop times", "crops:times", 60),
        part("launches", "local_distance:launches", 60),
        part("memcheck", "sanitizer:memcheck", 90),
        part("racecheck", "sanitizer:racecheck", 90),
    ]
    for model in MODELS:
        build, arguments = f"build {model}", (model,)
        found.append(part(build, "engines:build", 150, gpu, arguments, again=True))
        found.append(part(f"engine {model}", "engines:measure", 60, (build,), arguments))
    model = MODELS[0]
    return [
        *found,
        part("rescoring", "rescoring:measure", 60, kernels, (model,)),
        part("graphs", "engines:graphs", 60, (f"build {model}",), (model,)),
        part("threads", "engines:threads", 60, (f"build {model}",), (model,)),
        part("hour", "engines:hour", 60, (f"build {model}",), (model,)),
        part("torch.compile", "local_distance:compiled", 120),
    ]


def chosen(names: str | None) -> list[Part]:
    """The parts of these names, separated by commas, and those that they need; None: all. Raises `SystemExit`."""
    by_name = {part.name: part for part in parts()}
    if names is None:
        return list(by_name.values())
    wanted = set()
    waiting = [name.strip() for name in names.split(",")]
    while waiting:
        name = waiting.pop()
        if name not in by_name:
            raise SystemExit(f"--only {name}: there is no such part; there are: {', '.join(by_name)}")
        wanted.add(name)
        waiting += by_name[name].needs
    return [part for part in by_name.values() if part.name in wanted]


def main(arguments: list[str] | None = None) -> int:
    """The command; its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/gpu.json"), help="JSON; .md beside it")
    parser.add_argument("--folder", type=Path, default=Path("out/gpu"), help="where libraries and engines are built")
    parser.add_argument("--seconds", type=float, default=540, help="that all parts may take together (540)")
    parser.add_argument("--resume", action="store_true", help="keep of an earlier report what went well")
    parser.add_argument("--only", metavar="PART,PART", help="these parts, and what they need")
    parser.add_argument(
        "--rehearse", action="store_true", help="small sizes, no speed is judged: where there is no GPU"
    )
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a part is not left behind by who ends this
    os.environ.setdefault(LIBRARIES, str(options.folder.resolve() / "libraries"))
    report = run_parts(
        chosen(options.only),
        options.output,
        options.folder,
        options.seconds,
        resume=options.resume,
        small=options.rehearse,
        say=lambda line: print(line, file=sys.stderr, flush=True),
    )
    text = to_markdown(report)
    if options.output.is_file():
        options.output.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)
    machine = report["parts"]["machine"]
    if machine["status"] == SKIPPED:
        print(f"nothing was run: {machine['reason']}", file=sys.stderr)
        return 2
    return int(any(result["status"] in (FAILED, TIMED_OUT) for result in report["parts"].values()))


if __name__ == "__main__":
    sys.exit(main())
