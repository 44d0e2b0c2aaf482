"""`reid ablate`."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from sdk.errors import DataError
from sdk.output import check_output, write_whole
from sdk.terminal import notes, results
from training.commands.options import (
    SIMULATION,
    Cameras,
    Data,
    Identities,
    Misalignment,
    PeopleSeed,
    SiteCameras,
    StartShare,
    choose_device,
    named_files,
    open_people,
    require_torch,
)


def ablate(
    data: Data,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for ablation.json, .md and .png.")],
    hold_out: Annotated[int, typer.Option(help="Identities to test on, drawn anew by every seed.")] = 14,
    seeds: Annotated[int, typer.Option(help="Runs of each arm.")] = 5,
    partner: Annotated[str, typer.Option(help="Backbone of the other network in mutual learning.")] = "resnet18",
    recipe: Annotated[str | None, typer.Option(help="Settings, as in `reid train`.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the data. Default: as `reid train`.")] = None,
    start_share: StartShare = None,
    init: Annotated[Path | None, typer.Option(help="Checkpoint to start from. Default: as `reid train`.")] = None,
    from_scratch: Annotated[bool, typer.Option("--from-scratch", help="Start from random weights.")] = False,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1, … Default: cuda if there is one.")] = None,
    workers: Annotated[int, typer.Option(help="Processes that read and augment images.")] = 0,
    identities: Identities = 1500,
    cameras: Cameras = 16,
    site_cameras: SiteCameras = 64,
    people_seed: PeopleSeed = 1711,
    misalignment: Misalignment = 0.25,
    test_misalignment: Annotated[
        float | None,
        typer.Option(help="Of the people held out. Default: as --misalignment.", rich_help_panel=SIMULATION),
    ] = None,
) -> None:
    """The paper's table: baseline, + aligned, + mutual; + local distance and + re-ranking at test.

    Every seed draws other people to hold out. An interrupted ablation goes on where it stopped.
    """
    require_torch()
    from training.ablation import ablate as run
    from training.ablation_report import draw, markdown
    from training.config import RunConfig, TrainConfig
    from training.data import PeopleDataset, SimulatedPeople
    from training.recipe import read_recipe, settle
    from training.start import FINE_TUNING, choose_start, default_shape, describe_start

    runs, table, picture = (output / f"ablation.{ending}" for ending in ("json", "md", "png"))
    for path in (runs, table, picture):
        check_output(path, named_files(recipe, init))
    settings = read_recipe(recipe) if recipe else {}
    default = RunConfig(default_shape(settings.get("model", {}), init, from_scratch))
    shape = settle(default, settings, {}).model
    start = choose_start(shape, init, from_scratch)
    defaults = replace(default, train=TrainConfig() if start is None else FINE_TUNING)
    config = settle(defaults, settings, {"train": {"epochs": epochs, "start_share": start_share}})
    people = open_people([data], identities, cameras, site_cameras, people_seed, shape.input_size, misalignment)
    origin = {"start": describe_start(start, init), "data": people.source}
    config = replace(config, train=replace(config.train, **origin))
    facts = {
        "people": people.source,
        "identities": f"{len(people.identities) - hold_out} to train on, {hold_out} held out, drawn by the seed",
        "protocol": "cross-camera: each crop against all crops of the other cameras",
        "start": config.train.start,
        "partner in mutual learning": partner,
        "settings": asdict(config),
    }
    if test_misalignment is not None:
        if not isinstance(people, SimulatedPeople):
            raise DataError("--test-misalignment is for --data simulated; crops on disk are as they are")
        facts["misalignment of the people held out"] = test_misalignment

    def split(seed: int) -> tuple[PeopleDataset, PeopleDataset]:
        training, held_out = people.hold_out(hold_out, seed)
        return training, held_out if test_misalignment is None else held_out.misaligned(test_misalignment)

    device = choose_device(device)
    rows = run(
        split,
        facts,
        config,
        seeds,
        output,
        partner=partner,
        init=start,
        device=device,
        workers=workers,
    )
    shown = {name: value for name, value in facts.items() if name != "settings"}
    text = markdown(rows, shown)
    write_whole(table, text)
    draw(rows, picture, f"{people.source}; {seeds} seeds")
    results.print(text, soft_wrap=True)
    notes.print(f"wrote {table}, {picture}, {runs}")
