"""`reid benchmark`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from sdk.output import check_output, write_whole
from sdk.terminal import notes, results
from training.commands.models import open_model
from training.commands.options import (
    DATA,
    AnyCounts,
    Cameras,
    Device,
    Identities,
    Misalignment,
    PeopleSeed,
    SiteCameras,
    Split,
    SplitSeed,
    check_layout_options,
    choose_device,
    named_files,
    open_layout,
    open_people,
)


def benchmark(
    model: Annotated[Path, typer.Argument(help="A checkpoint (.pt) or a converted model (.onnx).")],
    data: Annotated[list[str], typer.Option(help=f"{DATA} Give it once a set.")],
    split: Split = None,
    split_seed: SplitSeed = None,
    any_counts: AnyCounts = False,
    device: Device = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Markdown file for the table.")] = None,
    json_path: Annotated[Path | None, typer.Option("--json", help="JSON file for the figures.")] = None,
    identities: Identities = 1500,
    cameras: Cameras = 16,
    site_cameras: SiteCameras = 64,
    people_seed: PeopleSeed = 1711,
    misalignment: Misalignment = 0.25,
) -> None:
    """A model on several sets in several ways, as one table: plain, flipped crops averaged, per-camera statistics
    taken away, local distance added, re-ranked.

    Each set is tested by its own protocol, which the table names; people without one across cameras, as by
    `reid evaluate`. Per-camera statistics come from the very crops that are ranked, of which nobody needs to be named.
    """
    from sdk.measures import cosine
    from training.data import parse_layout
    from training.evaluation import compare, cross_camera_test

    for path in (output, json_path):
        check_output(path, named_files(model, data))
    check_layout_options(data, split, split_seed, any_counts)
    device = choose_device(device) if model.suffix == ".pt" else "cpu"
    opened = open_model(model, device)
    by_cosine = cosine
    if device != "cpu":
        from training.embedder import cosine_on

        by_cosine = cosine_on(device)
    drawn = (identities, cameras, site_cameras, people_seed, opened.input_size, misalignment)
    tests = []
    for text in data:  # all of them before the first takes its time
        layout = parse_layout(text)
        if layout:
            opened_set = open_layout(layout, split, split_seed, any_counts)
            tests.append((opened_set.name, opened_set.test))
        else:
            tests.append((Path(text).resolve().name, cross_camera_test(open_people([text], *drawn))))
    sets = []
    for text, (name, test) in zip(data, tests, strict=True):
        notes.print(f"{name}: {test.protocol}", soft_wrap=True)
        found = compare(opened.extract, test, by_cosine=by_cosine, local=opened.local)
        rows = {way: ranking.to_dict() for way, ranking in found.rankings.items()}
        sets.append({"set": name, "data": text, "protocol": test.protocol, "figures": rows, "left out": found.left_out})
    text = markdown(model.name, sets)
    results.print(text, soft_wrap=True)
    if output is not None:
        write_whole(output, text)
    if json_path is not None:
        write_whole(json_path, json.dumps({"model": str(model), "sets": sets}, indent=2, ensure_ascii=False) + "\n")
    for path in filter(None, (output, json_path)):
        notes.print(f"wrote {path}")


TITLES = {
    "rank1": "rank-1",
    "rank5": "rank-5",
    "rank10": "rank-10",
    "mAP": "mAP",
    "mAP_trapezoids": "mAP by trapezoids",
    "mINP": "mINP",
}


def markdown(model: str, sets: list[dict]) -> str:
    """The table of all sets and ways, mean ± deviation where there are splits, and below it the protocols."""
    rankings = [ranking for one in sets for ranking in one["figures"].values()]
    names = [name for name in TITLES if any(name in ranking for ranking in rankings)]
    lines = [
        f"# {model}",
        "",
        "| set | ranked by | " + " | ".join(TITLES[name] for name in names) + " | queries |",
        "|---|---|" + "---|" * (len(names) + 1),
    ]
    for one in sets:
        for way, ranking in one["figures"].items():
            cells = [_cell(ranking, name) for name in names]
            lines.append(f"| {one['set']} | {way} | " + " | ".join(cells) + f" | {ranking['queries']} |")
    lines.append("")
    for one in sets:
        lines.append(f"- {one['set']}: {one['protocol']}")
        lines += [f'  - without "{way}": {reason}' for way, reason in one["left out"].items()]
    return "\n".join(lines) + "\n"


def _cell(ranking: dict, name: str) -> str:
    if name not in ranking:
        return ""
    deviation = ranking.get("deviation", {}).get(name)
    return f"{ranking[name]:.3f}" + ("" if deviation is None else f" ± {deviation:.3f}")
