"""`reid demo`."""

from pathlib import Path
from typing import Annotated

import typer

from sdk.commands.options import HostCode, Model, Overwrite, Threshold
from sdk.terminal import notes, results


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for videos and records.")] = Path("out/demo"),
    cameras: Annotated[int, typer.Option(help="How many cameras.")] = 3,
    people: Annotated[int, typer.Option(help="How many people come.")] = 6,
    seconds: Annotated[float, typer.Option(help="How long.")] = 45.0,
    seed: Annotated[int, typer.Option(help="Draws the people and the cameras.")] = 0,
    detector: Annotated[
        str, typer.Option(help="simulated: the truth with a good detector's faults; motion or hog: from the frames.")
    ] = "simulated",
    overwrite: Overwrite = False,
    model: Model = None,
    host_code: HostCode = False,
    threshold: Threshold = None,
) -> None:
    """Draw a site, track it with the model that ships, and hold what was found against the truth."""
    from sdk.demo import run_demo, truth_table
    from sdk.reidentifier import ReIdentifier
    from sdk.simulation.site import Site
    from sdk.video.run_folder import RunFolder
    from sdk.video.summary import sightings_table

    RunFolder.check(output, overwrite=overwrite)
    site = Site(seed, cameras, people, seconds)
    notes.print(f"drawing {people} people in {cameras} cameras, {seconds:.0f} seconds; detector: {detector}")
    sightings, comparison = run_demo(
        site, ReIdentifier(model, threshold=threshold, host_code=host_code), output, detector, overwrite
    )
    results.print(sightings_table(sightings))
    results.print(truth_table(comparison))
    notes.print(f"wrote annotated videos, tracks.jsonl and MOTChallenge text to {output}")
