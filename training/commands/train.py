"""`reid train`."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from sdk.errors import DataError
from sdk.output import check_output
from sdk.terminal import notes
from training.commands.options import (
    SETTINGS,
    AnyCounts,
    Cameras,
    Identities,
    Misalignment,
    NewCameras,
    PeopleSeed,
    SiteCameras,
    Split,
    SplitSeed,
    StartShare,
    Street,
    TrainingData,
    choose_device,
    named_files,
    open_people,
    print_evaluations,
    require_torch,
)

HELD_OUT_SHARE = 0.2
"""Of the identities, where --hold-out is not given: enough to calibrate the threshold on."""

NETWORK, RUNNING = "Network", "Running"

# Written out, because `training.backbones`, which has them, needs torch; tests/test_backbones.py compares.
BACKBONES = (
    "resnet18, resnet34, resnet50, resnet18_ibn_a, resnet18_ibn_b, resnet34_ibn_a, resnet34_ibn_b, resnet50_ibn_a, "
    "resnet50_ibn_b, resnet50-xception, osnet_x0_25, osnet_x0_5, osnet_x0_75, osnet_x1_0, osnet_ibn_x1_0, "
    "osnet_ain_x0_25, osnet_ain_x0_5, osnet_ain_x0_75, osnet_ain_x1_0, mobilenetv2"
)


def train(
    data: TrainingData,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the run: last.pt, model.pt.")],
    hold_out: Annotated[
        int | None, typer.Option(help="Identities kept from training, to evaluate on. Default: a fifth.")
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="YAML file of settings, or: edge, edge-again, edge-from-nothing, market1501-edge, market1501-paper, "
            "mutual-paper."
        ),
    ] = None,
    backbone: Annotated[
        str | None,
        typer.Option(help=f"{BACKBONES}, or timm/NAME. Default: of what the run starts from.", rich_help_panel=NETWORK),
    ] = None,
    width: Annotated[
        int | None,
        typer.Option(
            help="Channels of the first stage; a ResNet's original has 64, MobileNetV2's 32. Default: 32.",
            rich_help_panel=NETWORK,
        ),
    ] = None,
    height: Annotated[
        int | None,
        typer.Option(help="Of the resized crops, px; the width is half of it. Default: 128.", rich_help_panel=NETWORK),
    ] = None,
    last_stride: Annotated[
        int | None, typer.Option(help="Stride of the last stage, 1 or 2. Default: 1.", rich_help_panel=NETWORK)
    ] = None,
    pooling: Annotated[
        str | None,
        typer.Option(help="Of the global branch: average, or gem, whose exponent is learned.", rich_help_panel=NETWORK),
    ] = None,
    partner: Annotated[
        list[str] | None,
        typer.Option(
            help="Backbone of a network that learns along (mutual learning); repeat for more.", rich_help_panel=NETWORK
        ),
    ] = None,
    init: Annotated[
        Path | None,
        typer.Option(
            help="Checkpoint to start from, or another project's weights for the backbone, trained on people; or "
            "default: the shipped weights, as if the network has their shape.",
            rich_help_panel=NETWORK,
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            help="File of weights for the backbone: torchvision's or torchreid's, such as those of ImageNet.",
            rich_help_panel=NETWORK,
        ),
    ] = None,
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="Start from random weights.", rich_help_panel=NETWORK)
    ] = False,
    epochs: Annotated[
        int | None,
        typer.Option(help="Passes over the data. Default: 40; 120 from random weights.", rich_help_panel=SETTINGS),
    ] = None,
    batch_identities: Annotated[
        int | None, typer.Option(help="P of the P×K batch. Default: 8.", rich_help_panel=SETTINGS)
    ] = None,
    batch_images: Annotated[
        int | None, typer.Option(help="K of the P×K batch. Default: 4.", rich_help_panel=SETTINGS)
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            help="Of AdamW, at its highest. Default: 0.0005; 0.002 from random weights.", rich_help_panel=SETTINGS
        ),
    ] = None,
    local_weight: Annotated[
        float | None,
        typer.Option(help="Weight of the aligned local loss; 0 switches it off. Default: 1.", rich_help_panel=SETTINGS),
    ] = None,
    clip: Annotated[
        float | None,
        typer.Option(help="Largest norm of a step's gradient. Default: 0, not clipped.", rich_help_panel=SETTINGS),
    ] = None,
    start_share: StartShare = None,
    precision: Annotated[
        str | None, typer.Option(help="float32, bf16 or fp16. Default: float32.", rich_help_panel=SETTINGS)
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Draws the held-out people, the weights, the batches. Default: 0.", rich_help_panel=SETTINGS),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="cpu, cuda, cuda:1, … Default: cuda if there is one.", rich_help_panel=RUNNING),
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes that read and augment images.", rich_help_panel=RUNNING)] = 0,
    evaluate_every: Annotated[
        int,
        typer.Option(
            help="Epochs between evaluations on the people held out, for best.pt. 0: only at the end.",
            rich_help_panel=RUNNING,
        ),
    ] = 0,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="The same as --log tensorboard.", rich_help_panel=RUNNING)
    ] = False,
    log: Annotated[
        list[str] | None,
        typer.Option(
            help="Where losses and figures go: tensorboard (OUTPUT/tensorboard), wandb, mlflow; repeat for more.",
            rich_help_panel=RUNNING,
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on where the run in OUTPUT stopped.", rich_help_panel=RUNNING),
    ] = False,
    identities: Identities = 1500,
    cameras: Cameras = 16,
    site_cameras: SiteCameras = 64,
    new_cameras: NewCameras = False,
    street: Street = 0.0,
    people_seed: PeopleSeed = 1711,
    misalignment: Misalignment = 0.25,
    split: Split = None,
    split_seed: SplitSeed = None,
    any_counts: AnyCounts = False,
) -> None:
    """Train AlignedReID on people's crops; evaluate it on people held out.

    On several GPUs: torchrun --nproc-per-node 4 --no-python reid train …
    """
    require_torch()
    from training.backbones import has_own_width
    from training.config import RunConfig, TrainConfig
    from training.parallel import join_processes, leave_processes
    from training.recipe import read_recipe, settle
    from training.start import FINE_TUNING, FROM_PUBLISHED, choose_start, default_shape, describe_start, is_published
    from training.trainer import BEST, FINAL, LAST, evaluate_checkpoint
    from training.trainer import train as run

    device = choose_device(device)  # before anything that takes long
    for name in (LAST, BEST, FINAL):
        check_output(output / name, named_files(*data, recipe, init, weights))
    settings = read_recipe(recipe) if recipe else {}
    chosen = {
        "model": {
            "backbone": backbone,
            "width": width,
            "last_stride": last_stride,
            "pooling": pooling,
            "input_size": (height, height // 2) if height else None,
        },
        "train": {
            "epochs": epochs,
            "identities_per_batch": batch_identities,
            "images_per_identity": batch_images,
            "learning_rate": learning_rate,
            "local_weight": local_weight,
            "partners": tuple(partner) if partner else None,
            "clip": clip,
            "start_share": start_share,
            "precision": precision,
            "seed": seed,
        },
    }
    if weights is not None and init is not None:
        raise DataError(f"--weights {weights} and --init {init} contradict each other; leave one away")
    published = is_published(init)
    if published and not from_scratch:
        weights, init = init, None
    named = settings.get("model", {}).keys() | {name for name, value in chosen["model"].items() if value is not None}
    default = RunConfig(default_shape(named, init, from_scratch or weights is not None))
    shape = settle(default, settings, {"model": chosen["model"]}).model
    if width is not None and has_own_width(shape.backbone):
        raise DataError(f"--width {width}: {shape.backbone} has a width of its own; leave --width away")
    start = choose_start(shape, init, from_scratch or weights is not None)
    defaults = FROM_PUBLISHED if published else TrainConfig() if start is None else FINE_TUNING
    config = settle(replace(default, train=defaults), settings, chosen)
    size = config.model.input_size
    drawn = (identities, cameras, site_cameras, people_seed, size, misalignment)
    drawing = {"new_cameras": new_cameras, "street": street}
    people = open_people(data, *drawn, split, split_seed=split_seed, any_counts=any_counts, **drawing)
    origin = {"start": describe_start(start, init, weights), "data": people.source}
    config = settle(config, {}, {"train": origin})
    if hold_out is None:
        hold_out = max(2, round(HELD_OUT_SHARE * len(people.identities)))
    training, held_out = people.hold_out(hold_out, config.train.seed)
    processes, device = join_processes(device)
    notes.quiet = not processes.is_first
    notes.print(
        f"{len(training.identities)} identities, {len(training)} crops to train on; {len(held_out.identities)} held out"
    )
    notes.print(f"starting from {config.train.start}")
    checkpoint = run(
        training,
        output,
        config,
        held_out,
        device=device,
        workers=workers,
        resume=resume,
        init=start,
        backbone_weights=weights,
        evaluate_every=evaluate_every,
        tensorboard=tensorboard,
        log_to=log or (),
        processes=processes,
    )
    leave_processes(processes)
    if checkpoint.evaluation and processes.is_first:
        before = {} if start is None else {"before": evaluate_checkpoint(start, held_out, device)}
        print_evaluations(before | {"after": checkpoint.evaluation})
    notes.print(f"wrote {output / FINAL}")
