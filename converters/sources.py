"""What can be converted: a checkpoint of `reid train`, an ONNX file of ours, and models of other projects."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from converters.authors import Authors
from converters.foreign import read_foreign_onnx
from converters.verify import embedder
from sdk.engines import load_engine
from sdk.engines.kinds import is_onnx
from sdk.engines.metadata import Metadata
from sdk.errors import DataError, missing_package

PACKAGES = ("aligned-reid", "torch", "onnx", "onnxscript", "onnxruntime")


@dataclass(frozen=True)
class Source:
    """A model before its conversion."""

    graph: Callable[[], object]
    """Gives the graph, an `onnx.ModelProto` whose input and outputs keep the SDK's contract."""
    metadata: Metadata
    embed: Callable[[Sequence[np.ndarray]], np.ndarray]
    """The original model's features: what the converted file is compared with."""
    original: str
    """What `embed` runs, for messages."""
    file: Path | None = None
    """The ONNX file where it is of ours: it can go into an engine as it is."""
    notes: tuple[str, ...] = ()
    """What a user should know of how it was read."""


def open_source(path: Path, rescore: bool, authors: Authors) -> Source:
    """The model in `path`; `authors` is for those of other projects.

    Raises `DataError` for one that cannot be used, saying what is missing.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such checkpoint or ONNX file; `reid train` writes a checkpoint")
    if is_onnx(path):
        require("onnxruntime")
        if _is_ours(path):
            if authors.given:
                raise DataError(
                    f"{path}: its preprocessing is in its graph; leave the flags for other projects' models away"
                )
            return _from_our_onnx(path, rescore)  # goes into an engine where onnx is not installed, on a Jetson
        require("onnx")
        found = read_foreign_onnx(path, authors)
    else:
        require("torch", "onnx", "onnxscript")
        from converters.foreign_checkpoint import read_foreign_checkpoint, recognise
        from training.checkpoint import is_checkpoint

        if not authors.given:
            project = None if is_checkpoint(path) else recognise(path)
            if project is None:
                return _from_checkpoint(path, rescore)
            authors = replace(authors, project=project)
        elif is_checkpoint(path):
            raise DataError(f"{path}: a checkpoint of `reid train`; leave the flags for other projects' models away")
        found = read_foreign_checkpoint(path, authors, rescore)
    if rescore and not found.stripes[0]:
        raise DataError(f"{path}: it has no local branch, so there are no stripes; leave --rescore away")
    more = ("its local branch gives stripes too: --rescore",) if found.has_local_branch and not rescore else ()
    stripes, stripe_dim = found.stripes
    metadata = Metadata(
        backbone=found.backbone,
        input_size=found.input_size,
        embedding_dim=found.embedding_dim,
        precision="fp32",
        stripes=stripes,
        stripe_dim=stripe_dim,
        checkpoint_sha256=_sha256(path),
        preprocessing=found.authors.describe(),
        tools=tools(),
    )
    return Source(found.graph, metadata, found.embed, path.name, notes=(*found.notes, *more))


def require(*packages: str) -> None:
    """Raise `MissingPackageError` for the first that is not installed."""
    for package in packages:
        try:
            __import__(package)
        except ImportError:
            raise missing_package(package, "convert", "converting") from None


def tools() -> dict[str, str]:
    """Versions of what writes the file, as far as it is installed."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _from_checkpoint(path: Path, rescore: bool) -> Source:
    from converters.onnx_export import export_model
    from training.checkpoint import load_checkpoint
    from training.embedder import TorchEmbedder

    checkpoint = load_checkpoint(path)
    model = checkpoint.build_model()
    evaluation = dict(checkpoint.evaluation) if checkpoint.evaluation else None
    metadata = Metadata(
        backbone=checkpoint.config.model.backbone,
        input_size=checkpoint.config.model.input_size,
        embedding_dim=model.embedding_dim,
        precision="fp32",
        stripes=model.num_stripes if rescore else 0,
        stripe_dim=checkpoint.config.model.stripe_dim if rescore else 0,
        threshold=evaluation.pop("threshold") if evaluation else None,
        evaluation=evaluation,
        checkpoint_sha256=_sha256(path),
        tools=tools(),
    )
    return Source(lambda: export_model(model, rescore), metadata, TorchEmbedder(model), "PyTorch")


def _from_our_onnx(path: Path, rescore: bool) -> Source:
    engine = load_engine(path)
    metadata = engine.metadata
    if rescore and not metadata.stripes:
        raise DataError(f"{path}: has no stripes; convert its checkpoint with --rescore")

    def graph():
        require("onnx")
        import onnx
        import onnx.checker

        from converters.uint8_input import cast_first

        try:
            proto = onnx.load(path)
            onnx.checker.check_model(proto)
        except Exception as error:  # of protobuf and of ONNX, kinds of their own
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise DataError(f"{path}: its graph is damaged ({reason}); was it copied whole?") from error
        cast_first(proto)
        return proto

    return Source(graph, metadata, embedder(engine), path.name, path)


def _is_ours(path: Path) -> bool:
    from sdk.engines.onnx import open_session, own_metadata

    return own_metadata(open_session(path, optimised=False), path) is not None


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
