"""Checkpoints of other projects: a backbone of ours, with what its project has around it (`converters.projects`).

What a project itself leaves away at test time is left away here, by name; everything else must find its place, else
the features would be others than the authors'.
"""

import re
from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from converters.authors import FLAGS, Authors
from converters.authors import PROJECTS as NAMES
from converters.foreign import Foreign
from converters.foreign_network import POOLINGS, ForeignNetwork, PooledStripes, ProjectedStripes, build_neck
from converters.onnx_export import export_module
from converters.projects import (
    PLAIN,
    Project,
    find_backbone,
    likely_projects,
    open_project,
    prove_project,
)
from sdk.engines.contract import EMBEDDING, STRIPES
from sdk.errors import DataError, missing_package
from sdk.preprocess import to_batch
from training.backbones import BACKBONES, TIMM, Backbone, build_backbone, has_own_width, read_published
from training.backbones.weights import COUNTER, Published, backbone_names

INPUT_SIZE = (256, 128)
ELSE = "export it to ONNX with its own project and convert that file"
FIRST = {"mobilenetv2": "features.0.0.weight"}
"""The weights of the first layer, which tell the width; `conv1.weight` where nothing else is said."""
LOCAL = ("local_conv.", "local_bn.")
SHOWN = 3
"""Weights that a message names."""


def recognise(path: Path) -> str | None:
    """The project that a checkpoint is of, where its weights prove that.

    None where there are no weights. Raises `DataError` where there are some that do not prove it, with a hint.
    """
    try:
        weights = read_published(path).weights
    except DataError:
        return None
    project = prove_project(weights)
    if project is None and likely_projects(weights):
        raise DataError(f"{path}: not a checkpoint of `reid train`; {_whose(weights)}, or describe it ({FLAGS}, …)")
    return project


@dataclass(frozen=True)
class Assembled:
    """A network with its weights."""

    module: ForeignNetwork
    name: str
    """Of its backbone."""
    embedding_dim: int
    authors: Authors
    """With all that is settled."""
    notes: tuple[str, ...]


def read_foreign_checkpoint(path: Path, authors: Authors, stripes: bool = False) -> Foreign:
    """The network of another project with the weights in `path`; with `stripes`, its local branch too.

    Raises `DataError` as `assemble` does.
    """
    found = assemble(path, authors)
    module, authors, size = found.module, found.authors, found.authors.input_size
    has_stripes = module.local is not None
    module.local = module.local if stripes else None

    @torch.inference_mode()
    def features(crops):
        images = authors.apply(to_batch(crops, size)).transpose(0, 3, 1, 2)
        return module.features(torch.from_numpy(images.copy()))

    try:
        local = features([np.zeros((*size, 3), np.uint8)])[1]
    except RuntimeError as error:  # of layers that leave nothing of so small an image
        raise DataError(f"{path}: {found.name} cannot take crops of {size[0]}x{size[1]}: {error}") from error
    outputs = [EMBEDDING] if local is None else [EMBEDDING, STRIPES]
    return Foreign(
        lambda: export_module(module, size, outputs),
        found.name,
        size,
        found.embedding_dim,
        lambda crops: features(crops)[0].numpy(),
        authors,
        found.notes,
        (0, 0) if local is None else tuple(local.shape[1:]),
        has_stripes,
    )


def assemble(path: Path, authors: Authors) -> Assembled:
    """The network that a checkpoint's weights are of, with them.

    Raises `DataError` for a file that is none, for what no weights tell and nobody said, or for weights that find no
    place.
    """
    published = read_published(path)
    if authors.project == "timm":
        return _assemble_timm(path, published, authors)
    found = authors.project or prove_project(published.weights)
    if found is None and any(key.startswith(("base.", "backbone.")) for key in published.weights):
        raise DataError(
            f"{path}: of a network with more parts than a backbone, and flags do not tell how they are put together; "
            f"{_whose(published.weights)}"
        )
    project = PLAIN if found is None else open_project(found, published.weights)
    own, others = _parted(published.weights, project)
    name, network = _network(own, path, authors, project)
    own = network.own_names(own)
    if not project.prefix:
        wanted = network.state_dict()
        own, others = ({key: own[key] for key in own if (key in wanted) == here} for here in (True, False))
    authors = authors.or_else(_in_the_file(others, project)).or_else(project.preprocessing)
    authors = authors if authors.input_size else replace(authors, input_size=INPUT_SIZE)
    pooling = _pooling(others, project, authors, path)
    neck_names = {key: _place(key.removeprefix(project.neck)) for key in others if _begins(key, project.neck)}
    neck, length = build_neck({new: others[key] for key, new in neck_names.items()}, network.embedding_dim)
    module = ForeignNetwork(network, authors, pooling, neck, _local_branch(others, project, network))
    left = {key: others.pop(key) for key in list(others) if project.leaves_away(key)}
    given = {f"backbone.{key}": value for key, value in own.items()}
    given |= {f"neck.{new}": others.pop(key) for key, new in neck_names.items()}
    given |= {f"pooling.{key}": value for key, value in pooling.state_dict().items()}  # where nothing was learned
    given |= {f"pooling.{key[-1]}": others.pop(key) for key in list(others) if key and key == project.exponent}
    if project.stripes == "projected":
        given |= {
            f"local.{key}": others.pop(key) for key in list(others) if key.startswith(("local_conv.", "local_bn."))
        }
    title = f"{name} of {project.name}" if project.name else f"plain {name}"
    unknown = [key for key in others if not key or key not in (project.mean_name, project.std_name)]
    _load(module, given, unknown, path, title)
    module.eval()
    return Assembled(module, name, length, authors, _notes(path, title, authors, published, left))


def _notes(path: Path, title: str, authors: Authors, published: Published, left: dict[str, Tensor]) -> tuple[str, ...]:
    height, width = authors.input_size
    notes = [f"{path.name}: {title}: {authors.describe()}, {height}x{width}"]
    if published.wrapping:
        notes.append(f"taken off what was around the weights: {', '.join(published.wrapping)}")
    if shapes := ", ".join(f"{key} {list(value.shape)}" for key, value in left.items() if value.ndim):
        notes.append(f"left away, for it is no part of the feature at test time: {shapes}")
    return tuple(notes)


def _whose(weights: dict[str, Tensor]) -> str:
    likely = likely_projects(weights)
    return f"say whose it is, with --from {'|'.join(NAMES)} ({' and '.join(likely)} name weights so, and others do)"


def _parted(weights: dict[str, Tensor], project: Project) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The backbone's weights under its own names, and the others. Without a prefix they are not told apart yet."""
    own = {key: value for key, value in weights.items() if key.startswith(project.prefix)}
    return backbone_names(own), {key: value for key, value in weights.items() if key not in own}


def _network(weights: dict[str, Tensor], path: Path, authors: Authors, project: Project) -> tuple[str, Backbone]:
    """The backbone that the weights are of, not yet with them, and its name."""
    name = authors.backbone or find_backbone(weights)
    if name is None:
        raise DataError(f"{path}: its weights are of no network that is known here ({', '.join(BACKBONES)}); {ELSE}")
    if project.networks is not None and name not in project.networks:
        raise DataError(f"{path}: {name} of {project.name} is not known here ({', '.join(project.networks)}); {ELSE}")
    stride = authors.last_stride or project.last_stride(weights)
    if stride is None:
        raise DataError(
            f"{path}: {name} of another project, and weights tell neither its last stride nor the preprocessing; say "
            f"--backbone (here {name}), --last-stride (1 or 2) and the preprocessing: {FLAGS}, --input-size; or whose "
            f"it is: --from {'|'.join(NAMES)}"
        )
    try:
        own = {} if has_own_width(name) else {"width": len(weights[FIRST.get(name, "conv1.weight")])}
        network = build_backbone(name, last_stride=stride, **own)
    except KeyError:
        raise DataError(f"{path}: has no {FIRST.get(name, 'conv1.weight')}, so it is no {name}; {ELSE}") from None
    except (ValueError, RuntimeError, TypeError) as error:  # torch refuses layers of no width
        raise DataError(f"--backbone {name}: {error}") from error
    project.stem(network, name)
    network.fc = _feature_layers(weights, network.channels) if project.feature_layers else None
    return name, network


def _feature_layers(weights: dict[str, Tensor], inputs: int) -> nn.Sequential | None:
    """torchreid's `fc`: fully connected layers, each with batch normalisation and a rectifier; None without it.

    What does not fit, or what a layer lacks, is found when the weights are loaded.
    """
    layers = OrderedDict()
    for place in sorted(int(found[1]) for key in weights if (found := re.fullmatch(r"fc\.(\d+)\.weight", key))):
        weight = weights[f"fc.{place}.weight"]
        if weight.ndim == 2:
            layers[f"{place}"] = nn.Linear(inputs, len(weight))
            layers[f"{place + 1}"] = nn.BatchNorm1d(len(weight))
            layers[f"{place + 2}"] = nn.ReLU(inplace=True)
            inputs = len(weight)
    return nn.Sequential(layers) if layers else None


def _in_the_file(others: dict[str, Tensor], project: Project) -> Authors:
    """What the file itself says of the preprocessing, in buffers."""
    if not project.mean_name or not {project.mean_name, project.std_name} <= others.keys():
        return Authors()
    mean, std = others[project.mean_name], others[project.std_name]
    if not mean.numel() == std.numel() == 3 or not (std > 0).all():
        raise DataError(f"{project.mean_name} and {project.std_name} in the file are no statistics of three channels")
    # Of images from 0 to 255, in RGB, whatever the flags say of others.
    return Authors("rgb", tuple(mean.flatten().tolist()), tuple(std.flatten().tolist()), 255)


def _pooling(others: dict[str, Tensor], project: Project, authors: Authors, path: Path) -> nn.Module:
    """The pooling, not yet with its weight."""
    said, learned = authors.pooling, bool(project.exponent) and project.exponent in others
    if learned and said not in (None, "gem"):
        raise DataError(f"{path}: has {project.exponent}, so its pooling is gem; leave --pooling away")
    if learned:
        return POOLINGS["gem"]()
    if said is None and len(project.poolings) > 1:
        raise DataError(
            f"{path}: no weight tells how its feature map is pooled; say what POOL_LAYER is in its configuration: "
            "--pooling average (GlobalAvgPool, FastGlobalAvgPool), gem (GeneralizedMeanPooling) or max (GlobalMaxPool)"
        )
    if said is not None and project.name and said not in project.poolings:
        raise DataError(f"--pooling {said}: a network of {project.name} pools by {' or '.join(project.poolings)}")
    return POOLINGS[said or project.poolings[0]]()


def _local_branch(others: dict[str, Tensor], project: Project, network: Backbone) -> nn.Module | None:
    if project.stripes == "projected":
        return ProjectedStripes(network.channels, len(others.get("local_bn.weight", ())) or 1)
    return PooledStripes() if project.stripes == "pooled" else None


def _begins(key: str, prefix: str) -> bool:
    return bool(prefix) and key.startswith(prefix)


def _place(key: str) -> str:
    """In a sequence, of a layer that may stand alone."""
    return key if key.partition(".")[0].isdigit() else f"0.{key}"


def _load(module: ForeignNetwork, given: dict[str, Tensor], left: list[str], path: Path, title: str) -> None:
    """Load all of `given`. Raises `DataError` naming what is missing, too much (`left` too), or of another shape."""
    wanted = module.state_dict()
    problems = {
        "misses": [key for key in wanted if key not in given and not key.endswith(COUNTER)],
        "has also": [key for key in (*given, *left) if key not in wanted and not key.endswith(COUNTER)],
        "has in another shape": [key for key in wanted if key in given and given[key].shape != wanted[key].shape],
    }
    for problem, keys in problems.items():
        if keys:
            more = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
            names = ", ".join(key.removeprefix("backbone.") for key in keys[:SHOWN])
            raise DataError(f"{path}: is no {title}, it {problem} {names}{more}; {ELSE}")
    module.load_state_dict({key: value for key, value in given.items() if key in wanted}, strict=False)


def _assemble_timm(path: Path, published: Published, authors: Authors) -> Assembled:
    """A model of timm's, whose name says everything: timm itself builds it, with its own pooling and preprocessing."""
    name = (authors.backbone or "").removeprefix(TIMM)
    if not name:
        raise DataError(f"{path}: no weights tell which of timm's models it is; say --backbone {TIMM}NAME")
    try:
        import timm
    except ImportError:
        raise missing_package("timm", "timm", f"{TIMM}{name}") from None
    try:
        network = timm.create_model(name, pretrained=False, num_classes=0)
    except Exception as error:  # timm raises many kinds
        raise DataError(f"--backbone: timm cannot make '{name}': {error}") from error
    facts = network.pretrained_cfg
    said = Authors("rgb", tuple(facts["mean"]), tuple(facts["std"]), 1, tuple(facts["input_size"][1:]))
    authors = authors.or_else(said)
    classifiers = facts.get("classifier") or ()
    heads = tuple(f"{name}." for name in ([classifiers] if isinstance(classifiers, str) else classifiers))
    own, left = (
        {key: value for key, value in published.weights.items() if key.startswith(heads) == away}
        for away in (False, True)
    )
    module = ForeignNetwork(network, authors)
    title = f"{name} of timm"
    _load(module, {f"backbone.{key}": value for key, value in own.items()}, [], path, title)
    module.eval()
    return Assembled(
        module, f"{TIMM}{name}", network.num_features, authors, _notes(path, title, authors, published, left)
    )
