"""`reid doctor`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from sdk.terminal import Table, notes, results


def doctor(
    model: Annotated[
        Path | None, typer.Argument(help="A model file, .onnx or .engine: what it is, and whether it runs here.")
    ] = None,
    sha256: Annotated[str | None, typer.Option("--sha256", help="The SHA-256 that the file must have.")] = None,
) -> None:
    """What is on this machine, what is missing, what that costs and how to get it; or what a model file is.

    Needs no GPU, and loads no engine. Fails (exit code 1) where something is broken.
    """
    from rich.text import Text

    from sdk.doctor import BROKEN, MISSING, OK, examine, examine_model
    from sdk.engines.loading import check_sha256
    from sdk.errors import DataError, EngineError

    if model is None:
        if sha256 is not None:
            raise DataError("--sha256 is of a model file; name it too")
        findings = list(examine())
    else:
        if sha256 is not None and model.is_file():
            check_sha256(model, sha256)
        metadata, findings = examine_model(model)
        table = Table("", str(model), name="model")
        for name, value in _facts(metadata):
            table.add_row(name, value, record={"name": name, "value": value})
        results.print(table)
    styles = {OK: "green", MISSING: "yellow", BROKEN: "red"}
    table = Table("what", "state", "found", "what to do", name="findings")
    for finding in findings:
        state = Text(finding.state, styles[finding.state])
        table.add_row(finding.what, state, finding.found, finding.remedy, record=asdict(finding))
    results.print(table)
    if following := next((one for one in findings if one.step and one.state != OK), None):
        notes.print(f"next: {following.remedy}", soft_wrap=True)
    if any(finding.state == BROKEN for finding in findings):
        raise EngineError("something is broken; see the table")
    if model is None and any(finding.state == MISSING for finding in findings):
        notes.print("what is missing is needed only for what the table says")


def _facts(metadata) -> list[tuple[str, str]]:
    height, width = metadata.input_size
    facts = [
        ("backbone", metadata.backbone),
        (
            "crops",
            f"uint8 BGR, resized to {height}×{width} px; {metadata.preprocessing or 'preprocessing in the graph'}",
        ),
        ("embedding", f"{metadata.embedding_dim} numbers"),
        ("stripes", f"{metadata.stripes} of {metadata.stripe_dim}" if metadata.stripes else "none (no --rescore)"),
        ("precision", metadata.precision),
    ]
    threshold = metadata.threshold
    if threshold is None:
        facts.append(("threshold", "none: not calibrated"))
    else:
        measured = threshold.get("precision", metadata.precision)
        facts.append(("threshold", f"{threshold['value']:.4f} for crops, for {measured}"))
    report = metadata.precision_report
    if report and "cosine" in report:
        cosine = report["cosine"]
        facts.append(("agreement", f"lowest cosine {cosine['lowest']:.6f} to FP32 over {cosine['crops']} crops"))
    if metadata.target is not None:
        facts.append(("GPU", metadata.target))
    if metadata.max_batch is not None:
        facts.append(("largest batch", str(metadata.max_batch)))
    facts.append(("checkpoint", metadata.checkpoint_sha256[:16] or "unknown"))
    facts.append(("written by", ", ".join(f"{name} {number}" for name, number in metadata.tools.items())))
    return facts
