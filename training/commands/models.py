"""A model file, checkpoint or converted, as what the commands need of it."""

from pathlib import Path
from typing import NamedTuple

from sdk.errors import DataError
from training.commands.options import require_torch


class OpenedModel(NamedTuple):
    """What a command asks of a model."""

    extract: object
    """`training.evaluation.retrieval.FeatureExtractor`: crops to features, with stripes where the model gives them."""
    input_size: tuple[int, int]
    """Height and width, px."""
    evaluation: dict | None
    """On the people that its training held out; None if there were none."""
    local: bool = True
    """Whether its stripes, where it gives any, were trained to be aligned."""

    def embed(self, crops):
        """`training.evaluation.dataset.Embedder`: the embedding alone."""
        return self.extract(crops).embedding


def open_model(path: Path | None, device: str = "cpu") -> OpenedModel:
    """A checkpoint (.pt), on `device`, or a converted model; None: the one that ships."""
    if path is not None and path.suffix == ".pt":
        require_torch()
        from training.checkpoint import load_checkpoint
        from training.embedder import TorchEmbedder

        checkpoint = load_checkpoint(path)
        return OpenedModel(
            TorchEmbedder(checkpoint.build_model().to(device)).features,
            checkpoint.config.model.input_size,
            checkpoint.evaluation,
            checkpoint.config.train.local_weight > 0,
        )
    from sdk.engines import load_engine
    from sdk.reidentifier import ReIdentifier

    engine = load_engine(path)
    reid = ReIdentifier(engine, threshold=0)  # only its features are wanted here
    return OpenedModel(reid.embed, engine.metadata.input_size, engine.metadata.evaluation)


def held_out_people(people, model: OpenedModel, name: str, data: str):
    """Of the dataset `people`, which `--data` calls `data`, those that the training of the model `name` held out.

    Raises `DataError` if there are none.
    """
    if not model.evaluation:
        raise DataError(f"{name}: its training held nobody out; leave away --held-out")
    wanted = model.evaluation["identities"]
    if not isinstance(wanted, list):
        raise DataError(
            f"{name}: an engine does not name the people held out; give the .onnx or the checkpoint it is of"
        )
    wanted = set(wanted)
    if not wanted & set(people.identities):
        from training.data import union

        people = union([(Path(data).resolve().name, people)])  # as they are called where the training was on a union
    people = people.subset(wanted)
    if not len(people):
        raise DataError(f"{data}: none of the people that the training of {name} held out is here")
    return people
