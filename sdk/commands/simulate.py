"""`reid simulate`."""

from pathlib import Path
from typing import Annotated

import typer

from sdk.terminal import notes

simulate = typer.Typer(help="Draw people and scenes with known identities.", no_args_is_help=True)


@simulate.command("people")
def simulate_people(
    output: Annotated[
        Path, typer.Option("--output", "--out", "-o", help="A new folder, or one where the same was interrupted.")
    ],
    identities: Annotated[int, typer.Option(help="How many people.")] = 100,
    cameras: Annotated[int, typer.Option(help="How many cameras see each.")] = 2,
    site_cameras: Annotated[
        int | None, typer.Option(help="How many cameras there are to choose those from. Default: the same.")
    ] = None,
    views: Annotated[int, typer.Option(help="Crops of each person in each camera.")] = 8,
    seed: Annotated[int, typer.Option(help="The same seed draws the same people.")] = 0,
    height: Annotated[int, typer.Option(help="Height of the crops, px; the width is half of it.")] = 128,
    misalignment: Annotated[
        float, typer.Option(help="How far off the boxes are and how often something is in front: 0 never, 1 severe.")
    ] = 0.25,
) -> None:
    """Draw crops of people who do not exist: <OUTPUT>/<identity>/<camera>_<view>.png."""
    from sdk.simulation.population import Population, write_people

    population = Population(identities, cameras, site_cameras, views, seed, (height, height // 2), misalignment)
    write_people(output, population)
    notes.print(f"wrote {len(population)} crops of {identities} people to {output}")


@simulate.command("site")
def simulate_site(
    output: Annotated[Path, typer.Option("--output", "--out", "-o", help="A new or empty folder.")],
    cameras: Annotated[int, typer.Option(help="How many cameras.")] = 4,
    people: Annotated[int, typer.Option(help="How many people come.")] = 30,
    minutes: Annotated[float, typer.Option(help="How long.")] = 2.0,
    frame_rate: Annotated[float, typer.Option(help="Frames a second.")] = 10.0,
    height: Annotated[int, typer.Option(help="Of the frames, px; the width is 4/3 of it.")] = 480,
    seed: Annotated[int, typer.Option(help="The same seed draws the same site.")] = 0,
) -> None:
    """Draw videos of a site with the truth about them: boxes, tracks, identities, visibility, a floor plan."""
    from sdk.simulation.site import Site, write_site

    site = Site(seed, cameras, people, 60 * minutes, frame_rate, (height, height * 4 // 3))
    write_site(output, site)
    notes.print(f"wrote {cameras} videos, the truth about them and the floor plan to {output}")
