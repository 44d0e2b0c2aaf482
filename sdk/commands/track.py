"""`reid track`."""

from pathlib import Path
from typing import Annotated

import typer

from sdk.commands.options import Model, Threshold
from sdk.terminal import notes, results


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
