"""Damaged models of every kind give results or an error of ours, never another one. A few dozen; seeds make more."""

import contextlib
import json
import random

import numpy as np
import onnx
import pytest
import torch

from converters.authors import Authors
from converters.commands.verify import _open
from converters.convert import ConvertOptions, convert
from converters.sources import open_source
from converters.verify import Crops
from sdk.doctor import examine_model
from sdk.errors import ReIDError
from tests.test_foreign_onnx import SIZE, write
from tests.test_safetensors import written
from training.backbones import build_backbone
from training.checkpoint import Checkpoint, save_checkpoint
from training.commands.models import open_model
from training.config import ModelConfig, RunConfig
from training.model import AlignedReID

CROPS = Crops(
    [np.random.RandomState(n).randint(0, 256, (*SIZE, 3)).astype(np.uint8) for n in range(3)], ["a", "b", "c"]
)
JUNK = (None, [], {}, -1, 0, 1e300, "x", [1], True, 2**70, [[1], [2, 3]], [-5, 3], [0, 0], [10**9, 10**9])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A model of each kind, tiny."""
    folder = tmp_path_factory.mktemp("whole")
    theirs = write(folder / "theirs.onnx")
    convert(theirs, folder / "ours.onnx", CROPS, ConvertOptions(authors=Authors(project="torchreid")))
    config = RunConfig(ModelConfig("resnet18", width=2, input_size=(32, 16)))
    model = AlignedReID(config.model, 2)
    save_checkpoint(Checkpoint(config, ["a", "b"], 1, model.state_dict()), folder / "ours.pt")
    torch.save(build_backbone("resnet18", 2).state_dict(), folder / "theirs.pth")
    written(folder / "theirs.safetensors", build_backbone("resnet18", 2).state_dict())
    return folder


def other_bytes(content: bytes, rng: random.Random) -> bytes:
    content = bytearray(content)
    for _ in range(rng.choice((1, 3, 20))):
        place = rng.randrange(min(len(content), rng.choice((400, len(content)))))
        how = rng.randrange(3)
        if how == 0:
            content[place] = rng.randrange(256)
        elif how == 1:
            del content[place : place + rng.choice((1, 4, 100))]
        else:
            content[place:place] = bytes(rng.randrange(256) for _ in range(4))
    return bytes(content)


def other_facts(text: str, rng: random.Random) -> str:
    """JSON with something else at one place, which may be deep within."""
    places, facts = [], json.loads(text)
    left = [facts]
    while left:
        holder = left.pop()
        for key in list(holder) if isinstance(holder, dict) else range(len(holder)):
            places.append((holder, key))
            left += [holder[key]] if isinstance(holder[key], dict | list) else []
    holder, key = rng.choice(places)
    holder[key] = rng.choice(JUNK)
    return json.dumps(facts)


def other_graph(path, rng: random.Random) -> bytes:
    model = onnx.load(path)
    graph = model.graph
    how = rng.randrange(6)
    if how == 0:
        del graph.node[rng.randrange(len(graph.node))]
    elif how == 1:
        rng.choice(graph.node).op_type = rng.choice(("Add", "Dropout", "BatchNormalization", "Reshape", "Foo"))
    elif how == 2:
        node = rng.choice(graph.node)
        node.input[rng.randrange(len(node.input))] = rng.choice(("", "x", graph.initializer[0].name))
    elif how == 3:
        dims = graph.input[0].type.tensor_type.shape.dim
        dims[rng.randrange(4)].dim_value = rng.choice((-1, 1, 3, 7, 2**31))
    elif how == 4:
        model.opset_import[0].version = rng.choice((1, 9, 99))
    else:
        del rng.choice(graph.initializer).dims[:]
    return model.SerializeToString()


def other_weights(content: dict, rng: random.Random) -> dict:
    content = dict(content)
    weights = content["weights"] = dict(content["weights"]) if "weights" in content else content
    name = rng.choice([name for name in weights if name != "weights"])
    how = rng.randrange(5)
    if how == 0:
        del weights[name]
    elif how == 1:
        weights[name] = rng.choice((None, 3, "x", torch.zeros(0), torch.zeros(()), torch.zeros(2, 2, 2, 2, 2)))
    elif how == 2:
        weights[rng.choice(("zz", "", "fc.0.weight", 7, "classifier.x"))] = torch.zeros(3)
    elif how == 3 and "facts" in content:
        content["facts"] = other_facts(content["facts"], rng)
    elif isinstance(weights[name], torch.Tensor):
        weights[name] = weights[name].to(rng.choice((torch.int64, torch.float16, torch.complex64)))
    return {key: value for key, value in content.items() if key != "weights" or "facts" in content}


def mutated(name: str, folder, rng: random.Random, path) -> None:
    if path.suffix == ".onnx":
        if rng.random() < 0.3:
            path.write_bytes(other_bytes((folder / name).read_bytes(), rng))
        elif name == "ours.onnx" and rng.random() < 0.7:
            model = onnx.load(folder / name)
            model.metadata_props[0].value = other_facts(model.metadata_props[0].value, rng)
            path.write_bytes(model.SerializeToString())
        else:
            path.write_bytes(other_graph(folder / name, rng))
    elif path.suffix == ".safetensors" or rng.random() < 0.2:
        path.write_bytes(other_bytes((folder / name).read_bytes(), rng))
    else:
        torch.save(other_weights(torch.load(folder / name, weights_only=True), rng), path)


@pytest.mark.parametrize("name", ["theirs.onnx", "ours.onnx", "ours.pt", "theirs.pth", "theirs.safetensors"])
def test_a_damaged_model_gives_results_or_an_error_of_ours(name, whole, tmp_path):
    path = tmp_path / f"damaged{name[name.index('.') :]}"
    told = 0
    for seed in range(12 if path.suffix == ".onnx" else 6):
        rng = random.Random(f"{name} {seed}")
        mutated(name, whole, rng, path)
        authors = rng.choice((Authors(), Authors(project="torchreid"), Authors("bgr", last_stride=1)))
        uses = [
            lambda authors=authors: (
                convert(path, tmp_path / "out.onnx", CROPS, ConvertOptions(authors=authors))
                if path.suffix == ".onnx"
                else open_source(path, False, authors).embed(CROPS.images)
            ),
            lambda: _open(path, host_code=False)[0](CROPS.images),
            lambda: open_model(path).embed(CROPS.images),
            lambda: examine_model(path),
        ]
        for use in uses:
            with contextlib.suppress(ReIDError):
                use()
                continue
            told += 1
    assert told > 6
