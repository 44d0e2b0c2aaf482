"""The command `reid calibrate`: measured by `sdk.calibration`, written into a model file here."""

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from sdk.commands.options import HostCode, Model
from sdk.errors import DataError, MissingPackageError
from sdk.terminal import Table, notes, results


def calibrate(
    data: Annotated[
        Path, typer.Option(help="Folder <root>/<identity>/<camera>_<anything>.png|jpg|bmp|webp of your people.")
    ],
    model: Model = None,
    host_code: HostCode = False,
    false_match_rate: Annotated[
        float, typer.Option(help="Share of pairs of two people, from two cameras, that may be taken for one person.")
    ] = 0.01,
    per_camera: Annotated[
        bool,
        typer.Option(
            "--per-camera", help="Also measure what each camera adds to the features, and take it away from then on."
        ),
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the model with these thresholds: calibrated.onnx.")
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="Draw the distributions, ROC and DET: a .png or .jpg.")] = None,
    figures: Annotated[Path | None, typer.Option("--json", help="Write all figures to this file.")] = None,
) -> None:
    """Find the match threshold on people of your site, and say what it is worth, with strangers among them too."""
    from converters.calibrated import require_calibratable, write_calibrated
    from sdk.calibration.picture import draw_calibration
    from sdk.calibration.report import calibration_table, measure_calibration
    from sdk.engines import DEFAULT_MODEL
    from sdk.folder import check_picture, read_folder, write_image
    from sdk.output import check_output, write_whole
    from sdk.reidentifier import ReIdentifier
    from sdk.search import embed_files

    if not 0 < false_match_rate < 1:
        raise DataError(f"--false-match-rate {false_match_rate}: a share of pairs, between 0 and 1, such as 0.01")
    model = DEFAULT_MODEL if model is None else model
    check_picture(picture, [model, data])
    check_output(figures, [model, data])
    check_output(output, [model, data])
    if output:
        require_calibratable(model, output)
    samples = read_folder(data)
    features = embed_files(
        ReIdentifier(model, threshold=0, host_code=host_code), [sample.path for sample in samples], "embedding"
    )
    identities, cameras = [s.identity for s in samples], [s.camera for s in samples]
    found = measure_calibration(features.embedding, identities, cameras, false_match_rate, per_camera)
    results.print(calibration_table(found))
    free = found.statistics.normalise(features.embedding, cameras) if found.statistics else features.embedding
    prior = _site_prior(free, identities, cameras, data.resolve().name)
    if picture:
        write_image(picture, draw_calibration(found.pairs, found.threshold.value))
        notes.print(f"wrote {picture}")
    if figures:
        write_whole(figures, json.dumps(found.to_dict(), indent=2) + "\n")
        notes.print(f"wrote {figures}")
    if output:
        write_calibrated(model, output, found.for_metadata(data.resolve().name), found.statistics, prior)
        notes.print(f"wrote {output}, for ReIdentifier('{output}')", soft_wrap=True)


def _site_prior(embedding: np.ndarray, identities: list[str], cameras: list[str], data: str) -> dict | None:
    """What a tracker begins with, of the crops of a person in a camera as two tracklets; None, and why is said, where
    these people are too few, or the tracker is not installed."""
    try:
        from sdk.calibration.site import measure_site_prior

        means, who, where = _halves(embedding, identities, cameras)
        prior = measure_site_prior(means, who, where, data=data, passages=False)
    except (DataError, MissingPackageError) as error:
        notes.print(f"no prior for a tracker: {error}", soft_wrap=True)
        return None
    table = Table("evidence of two tracklets, for the tracker", "one camera", "two cameras", name="prior")
    table.add_row("strangers are apart, their cameras taken away", *(f"{value:.3f}" for value in prior.stranger))
    table.add_row("says neither yes nor no, of that", *(f"{value:.3f}" for value in prior.neutral))
    table.add_row("nats for all of it", *(f"{value:.1f}" for value in prior.slope))
    results.print(table)
    return prior.to_dict()


def _halves(embedding: np.ndarray, identities: list[str], cameras: list[str]) -> tuple[np.ndarray, list, list]:
    """Means of the first and the second half of each person's crops in each camera, at unit length."""
    groups: dict[tuple[str, str], list[int]] = {}
    for row, key in enumerate(zip(identities, cameras, strict=True)):
        groups.setdefault(key, []).append(row)
    parts = [(key, part) for key, rows in groups.items() for part in np.array_split(rows, 2) if len(part)]
    means = np.stack([embedding[part].mean(axis=0) for _, part in parts])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    return means, [key[0] for key, _ in parts], [key[1] for key, _ in parts]
