"""The options that several of this room's commands share."""

from pathlib import Path
from typing import Annotated

import typer

from sdk.terminal import notes, results

Model = Annotated[Path | None, typer.Option(help="A model of `reid convert`. Default: the one that ships.")]
HostCode = Annotated[
    bool,
    typer.Option(
        "--host-code",
        help="Let an engine of --version-compatible run the code that it brings; only if you trust whoever built it.",
    ),
]
Graphs = Annotated[
    bool, typer.Option("--graphs", help="Launch an engine's work as CUDA graphs; of use where batches are small.")
]
Threshold = Annotated[
    float | None, typer.Option(help="Cosine distance up to which people match. Default: the model's.")
]

Detector = Annotated[
    str | None,
    typer.Option(
        help="yolox-nano (reid detector get yolox-nano); the file of a person detector, YOLO or DETR, .onnx or .engine;"
        " motion for fixed cameras; hog. Default: yolox-nano where it is here, else hog."
    ),
]
Rate = Annotated[float | None, typer.Option(help="Frames a second of live cameras to track. Default: 10.")]
Strict = Annotated[
    bool, typer.Option("--strict", help="Exit with 1 where events did not reach everybody who should get them.")
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace the run that the folder holds. What no run made stays.")
]

Cache = Annotated[
    Path | None,
    typer.Option(help="With a shared gallery: file that keeps it here, for starts and hours without the store."),
]

Config = Annotated[
    Path | None, typer.Option(help="YAML file of tracker settings (docs/tracking.md). Default: the tracker's own.")
]

Zones = Annotated[
    Path | None,
    typer.Option(help="YAML file of zones and lines a camera: who entered, left, crossed (docs/watching.md)."),
]

EVENTS = (
    "a file, - (standard output), http(s)://…, mqtt(s)://…, each with #kind=…&camera=…&zone=…&identity=… after it for "
    "some events alone, and picture for pictures; may be repeated."
)


def gallery_with(where: str | None, cache: Path | None):
    """What `ReIdentifier` takes as its gallery."""
    if cache is None:
        return where
    from sdk.errors import GalleryError
    from sdk.gallery import Gallery

    if where is None:
        raise GalleryError(f"--cache {cache} is for a shared gallery; name it with --gallery milvus://host:19530/name")
    return Gallery(where, cache=cache)


def note(line: str) -> None:
    """Print a line to standard error as it is."""
    notes.print(line, soft_wrap=True)


def beside(events: list[str] | None):
    """The console for what a command has to say at last: standard output, unless the events go there."""
    from sdk.event_sinks import parse_choice

    return notes if any(parse_choice(address)[0] == "-" for address in events or ()) else results


def tracker_settings(config):
    """The `TrackerConfig` of `--config`: a file, none, or the settings themselves, as `reid run` has them."""
    from sdk.tracking import TrackerConfig

    if isinstance(config, TrackerConfig):
        return config
    return TrackerConfig() if config is None else TrackerConfig.load(config)


def zones_of(zones, drawn_later: bool = False):
    """The `Zones` of `--zones`: a file, or they themselves. drawn_later: a file that is not there yet has none."""
    from sdk.zones import Zones as Shapes
    from sdk.zones import read_zones

    if isinstance(zones, Shapes):
        return zones
    return Shapes() if drawn_later and not zones.exists() else read_zones(zones)


def tell_missed(lines: list[str], strict: bool) -> None:
    """Say which events did not arrive (`missed_events`); if `strict`, end with exit code 1 where there are any."""
    for line in lines:
        note(line)
    if lines and strict:
        raise typer.Exit(1)
