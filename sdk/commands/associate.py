"""`reid associate`."""

from pathlib import Path
from typing import Annotated

import typer

from sdk.commands.options import Config, HostCode, Model, Threshold
from sdk.terminal import notes, results


def associate(
    run: Annotated[Path, typer.Argument(help="The folder of a run of `reid track`.")],
    model: Model = None,
    host_code: HostCode = False,
    threshold: Threshold = None,
    config: Config = None,
    video: Annotated[
        bool, typer.Option("--video/--no-video", help="Draw annotated videos again where a name changes.")
    ] = True,
) -> None:
    """Solve who is who in a recorded run once more, and write the final names into all its files.

    It takes the features that the run has kept. With another model, or where it kept none, they are made from the
    recordings that it read.
    """
    from sdk.reidentifier import ReIdentifier
    from sdk.tracking import TrackerConfig
    from sdk.video.associate import associate as solve
    from sdk.video.summary import sightings_table

    settings = TrackerConfig() if config is None else TrackerConfig.load(config)
    done = solve(run, ReIdentifier(model, threshold=threshold, host_code=host_code), settings, draw=video)
    results.print(sightings_table(done.sightings))
    notes.print(f"{done.changed} tracks have another name than before")
