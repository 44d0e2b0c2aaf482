"""`reid convert`."""

from pathlib import Path
from typing import Annotated

import typer

from sdk.engines.builder import BuildOptions
from sdk.errors import DataError
from sdk.terminal import notes

ENGINE = "For an engine"
OTHERS = "For models of other projects"


def convert(
    checkpoint: Annotated[
        Path, typer.Argument(help="A checkpoint of `reid train`, an ONNX file, or another project's model.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write: model.onnx or model.engine.")],
    fp16: Annotated[bool, typer.Option("--fp16", help="Convolutions and activations in half precision.")] = False,
    int8: Annotated[bool, typer.Option("--int8", help="Convolutions on 8-bit numbers; needs --calibration.")] = False,
    calibration: Annotated[
        Path | None, typer.Option(help="Folder of crops of your cameras, some hundred, for --int8.")
    ] = None,
    rescore: Annotated[
        bool, typer.Option("--rescore", help="Stripes too, and the graph that re-scores by the local distance.")
    ] = False,
    target: Annotated[
        str | None, typer.Option(help="onnx, tensorrt or rtx. Default: by the output's name and what is installed.")
    ] = None,
    crops: Annotated[
        Path | None,
        typer.Option(help="Folder of crops to compare with the original on. Default: calibration's, or drawn people."),
    ] = None,
    worst: Annotated[Path | None, typer.Option(help="Picture (.png) to draw the crops that agree least into.")] = None,
    max_batch: Annotated[int, typer.Option(min=1, help="Most crops of one call.", rich_help_panel=ENGINE)] = 64,
    common_batch: Annotated[int, typer.Option(min=1, help="The batch to tune for.", rich_help_panel=ENGINE)] = 8,
    workspace: Annotated[
        int, typer.Option(min=1, help="Most scratch memory of a layer, MiB.", rich_help_panel=ENGINE)
    ] = 1024,
    hardware_compatible: Annotated[
        bool, typer.Option("--hardware-compatible", help="For all GPUs from Ampere on.", rich_help_panel=ENGINE)
    ] = False,
    version_compatible: Annotated[
        bool,
        typer.Option(
            "--version-compatible", help="For later TensorRTs too; load it with --host-code.", rich_help_panel=ENGINE
        ),
    ] = False,
    project: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Whose model it is: torchreid, fast-reid, strong-baseline, alignedreid, torchvision or timm. Settles "
            "what the flags below do not say.",
            rich_help_panel=OTHERS,
        ),
    ] = None,
    color: Annotated[
        str | None, typer.Option(help="rgb or bgr: the order the model wants. Default: rgb.", rich_help_panel=OTHERS)
    ] = None,
    mean: Annotated[
        str | None, typer.Option(help="As 0.485,0.456,0.406, in that order.", rich_help_panel=OTHERS)
    ] = None,
    std: Annotated[str | None, typer.Option(help="As 0.229,0.224,0.225.", rich_help_panel=OTHERS)] = None,
    value_range: Annotated[
        int | None, typer.Option(help="1 or 255: what white was to mean and std. Default: 1.", rich_help_panel=OTHERS)
    ] = None,
    input_size: Annotated[str | None, typer.Option(help="Height x width, as 256x128.", rich_help_panel=OTHERS)] = None,
    backbone: Annotated[
        str | None,
        typer.Option(
            help="Of a checkpoint: resnet50, resnet50_ibn_a, osnet_x0_25, … Default: by its weights.",
            rich_help_panel=OTHERS,
        ),
    ] = None,
    last_stride: Annotated[
        int | None, typer.Option(help="Of a checkpoint: 1 or 2, of the last stage.", rich_help_panel=OTHERS)
    ] = None,
    pooling: Annotated[
        str | None,
        typer.Option(help="Of a checkpoint whose weights do not tell: average, gem or max.", rich_help_panel=OTHERS),
    ] = None,
    output_name: Annotated[
        str | None,
        typer.Option(help="Of an ONNX file with several outputs: the feature.", rich_help_panel=OTHERS),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="All that the builder says.")] = False,
) -> None:
    """Convert a model to ONNX or to a TensorRT engine, and check it against the original, crop by crop, before it
    is written."""
    from converters.authors import POOLINGS, PROJECTS, Authors
    from converters.convert import ConvertOptions, choose_target
    from converters.convert import convert as run
    from converters.verify import read_crops, write_worst
    from sdk.engines.loading import sha256_of
    from sdk.folder import check_picture
    from sdk.output import check_output

    if fp16 and int8:
        raise DataError("--fp16 and --int8 contradict each other; --int8 leaves in FP16 what does not bear 8 bits")
    if int8 and calibration is None:
        raise DataError("--int8 needs crops of your cameras to calibrate on: --calibration FOLDER")
    if calibration is not None and not int8:
        raise DataError("--calibration is for --int8; leave it away, or compare on those crops with --crops")
    choose_target(output, target)  # before crops are read or drawn
    if not checkpoint.is_file():
        raise DataError(f"{checkpoint}: no such checkpoint or ONNX file; `reid train` writes a checkpoint")
    inputs = [checkpoint, *(folder for folder in (calibration, crops) if folder)]
    check_output(output, inputs)
    check_picture(worst, inputs)
    options = ConvertOptions(
        precision="fp16" if fp16 else "int8" if int8 else None,
        calibration=tuple(read_crops(calibration).images) if calibration else None,
        rescore=rescore,
        target=target,
        build=BuildOptions(max_batch, common_batch, workspace, hardware_compatible, version_compatible, verbose),
        authors=Authors(
            _one_of("--color", color, ("rgb", "bgr")),
            _three("--mean", mean),
            _three("--std", std),
            _one_of("--value-range", value_range, (1, 255)),
            _size(input_size),
            backbone,
            _one_of("--last-stride", last_stride, (1, 2)),
            _one_of("--from", project, tuple(PROJECTS)),
            _one_of("--pooling", pooling, POOLINGS),
            output_name,
        ),
    )
    images = read_crops(crops or calibration) if crops or calibration else drawn_crops()

    def draw(agreement):
        if worst is not None:
            write_worst(worst, agreement, images)

    done = run(checkpoint, output, images, options, draw)
    sizes = ", ".join(f"{file} ({file.stat().st_size / 1e6:.1f} MB)" for file in done.files)
    cosine = done.agreement.cosine
    notes.print(
        f"wrote {sizes}; cosine to {done.original} over {len(images)} crops: lowest {cosine.min():.7f}, mean "
        f"{cosine.mean():.7f}",
        soft_wrap=True,
    )
    if done.ranking is not None:
        ranking = done.ranking
        notes.print(
            f"rank-1 {ranking.rank1[0]:.4f} → {ranking.rank1[1]:.4f}, mAP {ranking.mean_ap[0]:.4f} → "
            f"{ranking.mean_ap[1]:.4f} over {ranking.queries} queries across cameras",
            soft_wrap=True,
        )
    for line in (*_precision(done.metadata), *done.notes):
        notes.print(line, soft_wrap=True)
    notes.print(f"SHA-256 of {done.files[0].name}: {sha256_of(done.files[0])}", soft_wrap=True)


def drawn_crops(count: int = 64):
    """People who do not exist, each once, where no crops are given."""
    from converters.verify import Crops
    from sdk.simulation.crops import draw_crop

    images = [draw_crop(seed=0, identity=i, camera=i % 4, view_index=i % 8) for i in range(count)]
    return Crops(images, [f"drawn person {i}" for i in range(count)])


def _precision(metadata) -> list[str]:
    """What the precision is, proven."""
    report = metadata.precision_report
    if not report or "weights" not in report:
        return []
    lines = [
        f"{metadata.precision}: {report['weights']:.2%} of the weights, {report['nodes']:.1%} of the convolutions and "
        f"products, {report['tensors']:.1%} of the floating-point tensors are half precision or less; largest "
        f"activation {report['largest_activation']:.1f} of 65504"
    ]
    if "int8_layers" in report:
        left_out = ", ".join(report["left_out"]) or "none"
        lines.append(
            f"int8 in {report['int8_layers']} layers, calibrated on {report['calibration_crops']} crops; left out: "
            f"{left_out}"
        )
    if metadata.threshold is not None:
        threshold = metadata.threshold
        if "fp32_value" in threshold:
            lines.append(
                f"match threshold {threshold['fp32_value']:.4f} → {threshold['value']:.4f} for {metadata.precision}"
            )
        else:
            lines.append(f"match threshold {threshold['value']:.4f}, as in FP32: too few crops to move it")
    return lines


def _three(option: str, text: str | None) -> tuple[float, float, float] | None:
    if text is None:
        return None
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) != 3 or (option == "--std" and 0 in values):
        raise DataError(f"{option} {text}: three numbers are needed, as 0.485,0.456,0.406")
    return values


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    height, _, width = text.partition("x")
    if not (height.isdigit() and width.isdigit() and int(height) and int(width)):
        raise DataError(f"--input-size {text}: height and width are needed, as 256x128")
    return int(height), int(width)


def _one_of(option: str, value, known: tuple):
    if value is not None and value not in known:
        raise DataError(f"{option} {value}: unknown; {' or '.join(map(str, known))}")
    return value
