"""`reid evaluate`."""

from pathlib import Path
from typing import Annotated

import typer

from sdk.errors import DataError
from training.commands.options import (
    Cameras,
    Data,
    Identities,
    Misalignment,
    PeopleSeed,
    SiteCameras,
    Split,
    open_people,
    print_evaluation,
    require_torch,
)

PROTOCOL = "With --data LAYOUT:PATH"


def evaluate(
    model: Annotated[Path, typer.Argument(help="A checkpoint (.pt) or a converted model (.onnx).")],
    data: Data,
    held_out: Annotated[
        bool, typer.Option("--held-out", help="Only the people that a checkpoint's training held out.")
    ] = False,
    rescore: Annotated[
        bool,
        typer.Option("--rescore", help="Add the aligned local distance to that of each query's 100 nearest."),
    ] = False,
    re_rank: Annotated[
        bool, typer.Option("--re-rank", help="Re-rank by k-reciprocal neighbours.", rich_help_panel=PROTOCOL)
    ] = False,
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
            help="cuhk-sysu: images that each query is searched for in. [default: 100]", rich_help_panel=PROTOCOL
        ),
    ] = None,
    split: Split = None,
    identities: Identities = 1500,
    cameras: Cameras = 16,
    site_cameras: SiteCameras = 64,
    people_seed: PeopleSeed = 1711,
    misalignment: Misalignment = 0.25,
) -> None:
    """Rank-1, -5, -10, mAP and mINP: by a research dataset's own protocol, else across cameras.

    Across cameras every crop is a query once, against all crops of the other cameras.
    """
    from training.data import open_benchmark, parse_layout, union
    from training.evaluation import (
        cosine,
        cross_camera_test,
        evaluate_dataset,
        evaluate_retrieval,
        re_ranked,
        rescored,
    )

    if rescore and re_rank:
        raise DataError("--rescore and --re-rank contradict each other; choose one")
    layout = None if held_out else parse_layout(data)
    if layout is None and (re_rank or multi_query or gallery_size is not None):
        raise DataError("--re-rank, --multi-query and --gallery-size are for the test of a research dataset")

    extract, evaluation, size = _open_model(model)
    if layout:
        benchmark = open_benchmark(*layout, gallery_size=gallery_size, split=split)
        measure = rescored if rescore else re_ranked if re_rank else cosine
        ranking = evaluate_retrieval(extract, benchmark.test, measure=measure, multi_query=multi_query)
        print_evaluation(ranking.to_dict())
        return
    people = open_people([data], identities, cameras, site_cameras, people_seed, size, misalignment, split)
    if held_out:
        if not evaluation:
            raise DataError(f"{model}: its training held nobody out; leave away --held-out")
        wanted = evaluation["identities"]
        named = union([(Path(data).resolve().name, people)])  # as they are called where the training was on a union
        people = people.subset(wanted) if set(wanted) & set(people.identities) else named.subset(wanted)
        if not len(people):
            raise DataError(f"{data}: none of the people that the training of {model} held out is here")
    if rescore:
        print_evaluation(evaluate_retrieval(extract, cross_camera_test(people), measure=rescored).to_dict())
    else:
        print_evaluation(evaluate_dataset(lambda crops: extract(crops).embedding, people).to_dict())


def _open_model(model: Path):
    """Crops → features, the evaluation that the model carries, and its input size (height, width)."""
    if model.suffix == ".pt":
        require_torch()
        from training.checkpoint import load_checkpoint
        from training.embedder import TorchEmbedder

        checkpoint = load_checkpoint(model)
        embedder = TorchEmbedder(checkpoint.build_model())
        return embedder.features, checkpoint.evaluation, checkpoint.config.model.input_size
    from sdk.engines import load_engine
    from sdk.reidentifier import ReIdentifier

    engine = load_engine(model)
    reid = ReIdentifier(engine, threshold=0)  # only its features are wanted here
    return reid.embed, engine.metadata.evaluation, engine.metadata.input_size
