"""The subcommands of this room: `reid match`, `reid simulate`, `reid track`, `reid demo`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from sdk.terminal import notes, results

simulate = typer.Typer(help="Draw people and scenes with known identities.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add this room's subcommands to `reid`."""
    app.command()(match)
    app.command()(track)
    app.command()(demo)
    app.add_typer(simulate, name="simulate")


Model = Annotated[Path | None, typer.Option(help="A model of `reid convert`. Default: the one that ships.")]
Threshold = Annotated[
    float | None, typer.Option(help="Cosine distance up to which people match. Default: the model's.")
]


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


def match(
    queries: Annotated[list[Path], typer.Argument(help="Images of one person each.")],
    gallery: Annotated[Path, typer.Option(help="Folder <root>/<identity>/<camera>_<anything>.png|jpg.")],
    model: Model = None,
    threshold: Threshold = None,
    top_k: Annotated[int, typer.Option(help="Candidates to list.")] = 3,
) -> None:
    """Say who of a folder's people is in each image."""
    from sdk.folder import read_folder, read_image
    from sdk.reidentifier import ReIdentifier

    reid = ReIdentifier(model, threshold=threshold)
    crops = [read_image(path) for path in queries]
    for sample in read_folder(gallery):
        reid.enroll([read_image(sample.path)], identity=sample.identity, camera=sample.camera)
    table = Table("image", "identity", "distance", "candidates")
    for path, found in zip(queries, reid.match(crops, top_k=top_k), strict=True):
        candidates = ", ".join(f"{c.identity} {c.distance:.3f}" for c in found.candidates)
        table.add_row(str(path), found.identity or "[dim]unknown[/]", f"{found.distance:.3f}", candidates)
    results.print(table)


def track(
    videos: Annotated[list[Path], typer.Argument(help="One video file a camera.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for videos, tracks.jsonl and MOT text.")],
    model: Model = None,
    detector: Annotated[str, typer.Option(help="hog, or motion for fixed cameras.")] = "hog",
    threshold: Threshold = None,
) -> None:
    """Track people over several videos and say who was seen where and when."""
    from sdk.reidentifier import ReIdentifier
    from sdk.tracking import MultiCameraTracker
    from sdk.video.run import track_videos
    from sdk.video.sources import VideoFiles
    from sdk.video.summary import sightings_table

    source = VideoFiles(videos)
    tracker = MultiCameraTracker(ReIdentifier(model, threshold=threshold), detector, frame_rate=source.tick_rate)
    results.print(sightings_table(track_videos(source, tracker, output, source.frame_rates, source.ticks)))
    notes.print(f"wrote annotated videos, tracks.jsonl and MOTChallenge text to {output}")


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for videos and records.")] = Path("out/demo"),
    cameras: Annotated[int, typer.Option(help="How many cameras.")] = 3,
    people: Annotated[int, typer.Option(help="How many people come.")] = 6,
    seconds: Annotated[float, typer.Option(help="How long.")] = 45.0,
    seed: Annotated[int, typer.Option(help="Draws the people and the cameras.")] = 0,
    detector: Annotated[
        str, typer.Option(help="simulated: the truth with a good detector's faults; motion or hog: from the frames.")
    ] = "simulated",
    model: Model = None,
    threshold: Threshold = None,
) -> None:
    """Draw a site, track it with the model that ships, and hold what was found against the truth."""
    from sdk.demo import run_demo, truth_table
    from sdk.reidentifier import ReIdentifier
    from sdk.simulation.site import Site
    from sdk.video.summary import sightings_table

    site = Site(seed, cameras, people, seconds)
    notes.print(f"drawing {people} people in {cameras} cameras, {seconds:.0f} seconds; detector: {detector}")
    sightings, comparison = run_demo(site, ReIdentifier(model, threshold=threshold), output, detector)
    results.print(sightings_table(sightings))
    results.print(truth_table(comparison))
    notes.print(f"wrote annotated videos, tracks.jsonl and MOTChallenge text to {output}")
