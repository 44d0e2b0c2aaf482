"""`reid evaluate`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from sdk.errors import DataError
from sdk.output import check_output, write_whole
from sdk.terminal import notes
from training.commands.models import held_out_people, open_model
from training.commands.options import (
    AnyCounts,
    Cameras,
    Data,
    Device,
    Identities,
    Misalignment,
    PeopleSeed,
    SiteCameras,
    Split,
    SplitSeed,
    choose_device,
    named_files,
    open_people,
    print_evaluations,
    print_rankings,
)

PROTOCOL = "With --data LAYOUT:PATH"
COSINE, RESCORED, RE_RANKED, BOTH = "global", "+ local distance", "+ re-ranking", "+ both"


def evaluate(
    model: Annotated[Path, typer.Argument(help="A checkpoint (.pt) or a converted model (.onnx).")],
    data: Data,
    held_out: Annotated[
        bool, typer.Option("--held-out", help="Only the people that a checkpoint's training held out.")
    ] = False,
    rescore: Annotated[
        bool, typer.Option("--rescore", help="Also with the aligned local distance of each query's 100 nearest added.")
    ] = False,
    rerank: Annotated[bool, typer.Option("--rerank", help="Also re-ranked by k-reciprocal neighbours.")] = False,
    multi_query: Annotated[
        bool,
        typer.Option(
            "--multi-query",
            help="market1501: a query is the mean of all images of its person in its camera.",
            rich_help_panel=PROTOCOL,
        ),
    ] = False,
    gallery_size: Annotated[
        int | None,
        typer.Option(
            help="cuhk-sysu: images that each query is searched for in. Default: 100.", rich_help_panel=PROTOCOL
        ),
    ] = None,
    split: Split = None,
    split_seed: SplitSeed = None,
    any_counts: AnyCounts = False,
    device: Device = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="JSON file for the figures.")] = None,
    show: Annotated[
        Path | None,
        typer.Option(help="Folder for pictures of ranked lists: the worst queries, and as many drawn at random."),
    ] = None,
    show_count: Annotated[int, typer.Option(help="With --show: how many of each.")] = 10,
    identities: Identities = 1500,
    cameras: Cameras = 16,
    site_cameras: SiteCameras = 64,
    people_seed: PeopleSeed = 1711,
    misalignment: Misalignment = 0.25,
) -> None:
    """Rank-1, -5, -10, mAP and mINP: by a research dataset's own protocol, else across cameras.

    Across cameras every crop is a query once, against all crops of the other cameras. mAP is the standard one; where a
    dataset's own evaluation takes trapezoids, that figure is given too.
    """
    from training.data import open_benchmark, parse_layout
    from training.evaluation import cross_camera_test, evaluate_dataset
    from training.evaluation.ranked_lists import SHEET, draw_lists, pictures_of, ranked_lists
    from training.evaluation.retrieval import pool_features, rank_entries, used_entries

    check_output(output, named_files(model, data))
    if show is not None:
        check_output(show / SHEET, named_files(model, data))
        if show_count < 1:
            raise DataError(f"--show-count {show_count}: draw at least 1")
    layout = None if held_out else parse_layout(data)
    if layout is None and (multi_query or gallery_size is not None):
        raise DataError("--multi-query and --gallery-size are for the test of a research dataset; leave them away")
    device = choose_device(device) if model.suffix == ".pt" else "cpu"
    opened = open_model(model, device)
    if layout:
        options = {"gallery_size": gallery_size, "split": split, "seed": split_seed}
        test = open_benchmark(*layout, any_counts=any_counts, **options).test
    else:
        size = opened.input_size
        research = {"split_seed": split_seed, "any_counts": any_counts}
        people = open_people(
            [data], identities, cameras, site_cameras, people_seed, size, misalignment, split, **research
        )
        if held_out:
            people = held_out_people(people, opened, str(model), data)
        if not (rescore or rerank or show):
            figures = evaluate_dataset(opened.embed, people).to_dict()
            print_evaluations({COSINE: figures})
            _write(output, {COSINE: figures})
            return
        test = cross_camera_test(people)
    measures = _measures(rescore, rerank, device)
    used = used_entries(test, multi_query)
    features = pool_features(opened.extract, used.crops, used.entries.groups, with_stripes=rescore)
    rankings = rank_entries(features, used, measures)
    figures = {name: ranking.to_dict() for name, ranking in rankings.items()}
    notes.print(f"protocol: {test.protocol}", soft_wrap=True)
    print_rankings(figures)
    _write(output, figures)
    if show is not None:
        ranked_by = list(measures)[-1]
        lists = ranked_lists(features, used, measures[ranked_by], show_count)
        for name in pictures_of(lists):
            check_output(show / name, named_files(model, data))
        draw_lists(show, lists, used, ranked_by)
        notes.print(f"wrote {len(pictures_of(lists))} pictures to {show}; all of them are on {show / SHEET}")


def _measures(rescore: bool, rerank: bool, device: str) -> dict:
    from sdk.measures import cosine, re_ranked, rescored

    measures = {COSINE: cosine}
    if device != "cpu":
        from training.embedder import cosine_on

        measures[COSINE] = cosine_on(device)
    if rescore:
        measures[RESCORED] = rescored()
    if rerank:
        measures[RE_RANKED] = re_ranked
    if rescore and rerank:
        measures[BOTH] = rescored(re_ranked)
    return measures


def _write(path: Path | None, figures: dict) -> None:
    if path is None:
        return
    write_whole(path, json.dumps(figures, indent=2) + "\n")
    notes.print(f"wrote {path}")
