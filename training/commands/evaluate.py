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
    open_people,
    print_evaluation,
    require_torch,
)


def evaluate(
    model: Annotated[Path, typer.Argument(help="A checkpoint (.pt) or a converted model (.onnx).")],
    data: Data,
    held_out: Annotated[
        bool, typer.Option("--held-out", help="Only the people that a checkpoint's training held out.")
    ] = False,
    identities: Identities = 1500,
    cameras: Cameras = 16,
    site_cameras: SiteCameras = 64,
    people_seed: PeopleSeed = 1711,
    misalignment: Misalignment = 0.25,
) -> None:
    """Rank-1, -5, -10 and mAP: every crop a query once, against all crops of the other cameras."""
    from training.evaluation import evaluate_dataset

    if model.suffix == ".pt":
        require_torch()
        from training.checkpoint import load_checkpoint
        from training.embedder import TorchEmbedder

        checkpoint = load_checkpoint(model)
        embed, evaluation = TorchEmbedder(checkpoint.build_model()), checkpoint.evaluation
        size = checkpoint.config.model.input_size
    else:
        from sdk.engines import load_engine
        from sdk.reidentifier import ReIdentifier

        engine = load_engine(model)
        reid = ReIdentifier(engine, threshold=0)  # only its features are wanted here
        embed, evaluation = (lambda crops: reid.embed(crops).embedding), engine.metadata.evaluation
        size = engine.metadata.input_size
    people = open_people(data, identities, cameras, site_cameras, people_seed, size, misalignment)
    if held_out:
        if not evaluation:
            raise DataError(f"{model}: its training held nobody out; leave away --held-out")
        people = people.subset(evaluation["identities"])
        if not len(people):
            raise DataError(f"{data}: none of the people that the training of {model} held out is here")
    print_evaluation(evaluate_dataset(embed, people).to_dict())
