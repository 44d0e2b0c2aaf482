"""`reid evaluate-tracks`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from sdk.terminal import Table, notes, results


def evaluate_tracks(
    result: Annotated[
        Path, typer.Argument(help="Folder of `reid track`: tracks.jsonl, or a MOTChallenge text a camera.")
    ],
    truth: Annotated[Path, typer.Argument(help="Folder of `reid simulate site`, or one like it.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="JSON file to write.")] = None,
    min_visibility: Annotated[
        float,
        typer.Option(help="Whoever shows less of their body need not be found, nor counts as wrong.", min=0, max=1),
    ] = 0.0,
) -> None:
    """HOTA, IDF1 and MOTA in each camera, and HOTA and IDF1 of the identities across all of them."""
    from rich.text import Text

    from sdk.output import check_output, write_whole
    from sdk.tracking.evaluation import evaluate_tracks as evaluate
    from sdk.video.run_folder import recorded_files

    check_output(output, [*recorded_files(result), *recorded_files(truth)])
    measures = evaluate(result, truth, min_visibility)
    table = Table("camera", "HOTA", "IDF1", "MOTA", "switches", "true boxes", "named boxes", name="cameras")
    for name, camera in measures.cameras.items():
        figures = (f"{value:.3f}" for value in (camera.hota, camera.idf1, camera.mota))
        counts = map(str, (camera.switches, camera.true_boxes, camera.found_boxes))
        table.add_row(name, *figures, *counts, record={"camera": name} | asdict(camera))
    results.print(table)
    table = Table("across cameras", "HOTA", "IDF1", "names", "true boxes", name="people")
    for name, person in measures.people.items():
        row = f"{name} as {person.found_as or 'nobody'}"
        cells = row, f"{person.hota:.3f}", f"{person.idf1:.3f}", str(person.names), str(person.true_boxes)
        table.add_row(*cells, record={"identity": name} | asdict(person))
    table.add_section()
    table.add_row("mean of the people", f"{measures.mean_hota:.3f}", f"{measures.mean_idf1:.3f}", record={})
    counts = str(measures.found_identities), str(sum(camera.true_boxes for camera in measures.cameras.values()))
    figures = (Text(text, "bold") for text in ("all", f"{measures.hota:.3f}", f"{measures.idf1:.3f}"))
    table.add_row(*figures, *counts, record={})
    table.caption = (
        f"{measures.true_identities} people, {measures.found_identities} identities; DetA {measures.detection:.3f}, "
        f"AssA {measures.association:.3f}, IDP {measures.precision:.3f}, IDR {measures.recall:.3f}; "
        f"{measures.unnamed} boxes without an identity count as not found"
    )
    whole = {name: value for name, value in measures.to_dict().items() if name not in ("cameras", "people")}
    table.records.append({"identity": None} | whole)
    results.print(table)
    if output:
        write_whole(output, json.dumps(measures.to_dict(), indent=2, ensure_ascii=False) + "\n")
        notes.print(f"wrote {output}")
