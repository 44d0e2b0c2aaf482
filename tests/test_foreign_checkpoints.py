"""Checkpoints of other projects: the authors' features, or a refusal that names the reason."""

import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from converters.authors import PROJECTS, Authors
from converters.foreign_checkpoint import assemble, recognise
from converters.sources import open_source
from sdk.errors import DataError
from tests.foreign_vectors import SIZE, VECTORS, crops, products, weights_by_formula
from training.backbones import build_backbone

NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def norm(name: str, length: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.{part}": (() if part == NORM[-1] else (length,)) for part in NORM}


def shapes(backbone: str, prefix: str = "", width: int = 64, **more: dict) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a checkpoint: the backbone's, behind a prefix, and others."""
    with torch.device("meta"):
        state = build_backbone(backbone, width).state_dict()
    return {prefix + name: tuple(tensor.shape) for name, tensor in state.items()} | more


def numbered(name: str) -> str:
    """As the parts of a network that was put into a sequence are called."""
    part, _, rest = name.partition(".")
    return f"base.{('conv1', 'bn1', 'relu', 'maxpool', 'layer1', 'layer2', 'layer3', 'layer4').index(part)}.{rest}"


HEAD = norm("heads.bottleneck.0", 512) | {"heads.weight": (5, 512)}
CLASSES = {"classifier.weight": (5, 512), "classifier.bias": (5,)}
WIDE = {"classifier.weight": (5, 2048), "classifier.bias": (5,)}
LAYER = {"fc.0.weight": (512, 2048), "fc.0.bias": (512,)} | norm("fc.1", 512)
REDUCED = {"heads.bottleneck.0.weight": (40, 512, 1, 1), "heads.pool_layer.p": (1,), "heads.weight": (5, 40)}
LOCAL = {"local_conv.weight": (128, 2048, 1, 1), "local_conv.bias": (128,)} | norm("local_bn", 128)
CASES = {
    "torchreid resnet18": (shapes("resnet18", **CLASSES), Authors()),
    "torchreid resnet50_fc512": (shapes("resnet50", **LAYER, **CLASSES), Authors()),
    "torchreid resnet50_ibn_a": (shapes("resnet50_ibn_a", **WIDE), Authors()),
    "torchreid resnet50_ibn_b": (shapes("resnet50_ibn_b", **WIDE), Authors()),
    "fast-reid resnet18": (shapes("resnet18", "backbone.", **HEAD), Authors(pooling="average")),
    "fast-reid resnet18 gem": (shapes("resnet18", "backbone.", **HEAD), Authors(pooling="gem")),
    "fast-reid resnet18 max": (shapes("resnet18", "backbone.", **HEAD), Authors(pooling="max")),
    "fast-reid resnet18_ibn_a": (
        shapes("resnet18_ibn_a", "backbone.", **REDUCED, **norm("heads.bottleneck.1", 40)), Authors(),
    ),
    "strong-baseline resnet18": (
        shapes("resnet18", "base.", **norm("bottleneck", 512), **{"classifier.weight": (5, 512)}), Authors(),
    ),
    "strong-baseline resnet50": (
        shapes("resnet50", "base.", **norm("bottleneck", 2048), **{"classifier.weight": (5, 2048)}), Authors(),
    ),
    "strong-baseline resnet50_ibn_a": (
        shapes("resnet50_ibn_a", "base.", **norm("bottleneck", 2048), **{"classifier.weight": (5, 2048)}), Authors(),
    ),
    "alignedreid reproduction": (
        shapes("resnet50", "base.", **LOCAL, **{"fc.weight": (5, 2048), "fc.bias": (5,)}), Authors(),
    ),
    "alignedreid plusplus": (
        {numbered(name): shape for name, shape in shapes("resnet50").items()}
        | norm("bn", 2048) | {"conv1.weight": (128, 2048, 1, 1), "conv1.bias": (128,)} | WIDE,
        Authors(),
    ),
}  # fmt: skip
"""What is in a checkpoint, and what must be said of it besides the project."""


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """A function that makes a file of a dictionary of weights. It is not written: large ones take long."""
    files = {}

    def save(content, name="theirs.pth"):
        files[tmp_path / name] = content
        return tmp_path / name

    monkeypatch.setattr("training.backbones.weights.read_tensors", files.__getitem__)
    return save


@pytest.mark.parametrize("name", VECTORS)
def test_the_features_are_those_of_the_authors_own_definition(name, saved):
    names, said = CASES[name]
    path = saved({"state_dict": weights_by_formula(names)})
    authors = replace(said, project=name.partition(" ")[0], input_size=SIZE)
    found = assemble(path, authors)
    images = torch.from_numpy(found.authors.apply(crops()).transpose(0, 3, 1, 2).copy())
    with torch.no_grad():
        embedding, stripes = found.module.features(images)
    expected, local = (np.array(text.split(), float) for text in VECTORS[name])
    np.testing.assert_allclose(products(embedding.numpy()), expected, atol=2e-4)
    assert found.embedding_dim == embedding.shape[1]
    assert (stripes is not None) == bool(local.size)
    if local.size:
        assert stripes.shape == (3, 4, 2048 if "plusplus" in name else 128)
        np.testing.assert_allclose(products(stripes.flatten(1).numpy()), local, atol=2e-4)


def test_no_case_is_without_vectors():
    assert CASES.keys() == VECTORS.keys()
    assert {name.partition(" ")[0] for name in CASES} == set(PROJECTS) - {"torchvision", "timm"}


SMALL = shapes("resnet18")
PLAIN = Authors(project="torchreid", input_size=SIZE)


def weights(**more) -> dict[str, torch.Tensor]:
    return weights_by_formula(SMALL | more)


@pytest.mark.parametrize(
    ("prefix", "wrapping"),
    [("module.", "module."), ("module._orig_mod.", "module., _orig_mod."), ("model.", "model.")],
)
def test_what_is_around_the_weights_is_taken_off_and_named(prefix, wrapping, saved):
    path = saved({"state_dict": {prefix + key: value for key, value in weights().items()}, "epoch": 3})
    notes = assemble(path, PLAIN).notes
    assert f"taken off what was around the weights: state_dict, {wrapping}" in notes
    with pytest.raises(DataError, match=r"has conv1\.weight twice"):
        assemble(saved(weights() | {"module.conv1.weight": torch.zeros(1)}), PLAIN)


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"classifier.add_block.0.weight": (12, 512)}, "classifier.add_block.0.weight"),
        ({"bottleneck.weight": (512,)}, "bottleneck.weight"),
        ({"heads.pool_layer.p": (1,)}, "heads.pool_layer.p"),
        ({"fc.weight": (5, 512)}, "fc.weight"),
        ({"layer1.0.se.fc.0.weight": (4, 64)}, "layer1.0.se.fc.0.weight"),
    ],
)
def test_weights_that_would_be_dropped_stop_it_by_name(more, named, saved):
    with pytest.raises(DataError, match=f"no resnet18 of torchreid, it has also {named}"):
        assemble(saved(weights(**more)), PLAIN)


def test_what_is_left_away_is_named(saved):
    notes = assemble(saved(weights(**CLASSES)), PLAIN).notes
    assert any("classifier.weight [5, 512], classifier.bias [5]" in note for note in notes)


@pytest.mark.parametrize(
    ("name", "project"),
    [
        ("fast-reid resnet18", "fast-reid"),
        ("alignedreid reproduction", "alignedreid"),
        ("alignedreid plusplus", "alignedreid"),
        ("torchreid resnet18", None),
        ("strong-baseline resnet18", None),
    ],
)
def test_a_project_is_known_only_where_its_names_prove_it(name, project, saved):
    path = saved({key: torch.zeros(shape) for key, shape in CASES[name][0].items()})
    if project:
        assert recognise(path) == project
    else:
        with pytest.raises(DataError, match=r"not a checkpoint of `reid train`; say whose it is, with --from"):
            recognise(path)
    assert recognise(saved({"a": 1})) is None
    assert recognise(saved({"unheard_of.weight": torch.zeros(2)})) is None


def test_what_no_weight_tells_is_asked_for(saved):
    path = saved(weights_by_formula(CASES["fast-reid resnet18"][0]))
    with pytest.raises(DataError, match=r"say what POOL_LAYER is .* --pooling average"):
        assemble(path, Authors(project="fast-reid"))
    path = saved(weights_by_formula(CASES["fast-reid resnet18_ibn_a"][0]))
    with pytest.raises(DataError, match=r"heads\.pool_layer\.p, so its pooling is gem"):
        assemble(path, Authors(project="fast-reid", pooling="max"))
    with pytest.raises(DataError, match="a network of torchreid pools by average"):
        assemble(saved(weights()), replace(PLAIN, pooling="max"))
    path = saved(weights_by_formula(CASES["strong-baseline resnet18"][0]))
    with pytest.raises(DataError, match="flags do not tell how they are put together"):
        assemble(path, Authors("rgb", backbone="resnet18", last_stride=1))
    with pytest.raises(DataError, match=r"resnet18_ibn_b of torchreid is not known here"):
        assemble(saved(weights_by_formula(shapes("resnet18_ibn_b"))), PLAIN)


def test_the_statistics_of_fast_reids_images_are_in_its_file(saved):
    buffers = {"pixel_mean": torch.full((1, 3, 1, 1), 127.5), "pixel_std": torch.full((1, 3, 1, 1), 127.5)}
    path = saved({"model": weights_by_formula(CASES["fast-reid resnet18"][0]) | buffers})
    said = Authors(project="fast-reid", pooling="average", input_size=SIZE)
    assert "mean (127.5, 127.5, 127.5)" in assemble(path, said).authors.describe()


@pytest.mark.parametrize("color", ["rgb", "bgr"])
@pytest.mark.parametrize("white", [None, 1, 255])
def test_a_project_and_flags_say_the_same_in_other_words(color, white):
    """Its mean is of RGB in a range of its own, and stays with its channels and in that proportion."""
    crop = crops()[2:]
    plain = PROJECTS["torchreid"].apply(crop)
    for project in ("fast-reid", "torchreid", None):
        found = Authors(color, value_range=white).or_else(PROJECTS.get(project) or Authors())
        images = found.apply(crop)
        np.testing.assert_allclose(images if color == "rgb" else images[..., ::-1], plain, atol=1e-5)


class Stem(nn.Module):
    """As timm makes a network: it pools by itself, and says what it takes."""

    def __init__(self, classes: int):
        super().__init__()
        self.conv, self.num_features = nn.Conv2d(3, 6, 3), 6
        self.head = nn.Sequential() if not classes else nn.Sequential(nn.Linear(6, classes))
        self.pretrained_cfg = {
            "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25), "input_size": (3, 32, 16), "classifier": "head.0",
        }  # fmt: skip

    def forward(self, images):
        return self.head(self.conv(images).mean((2, 3)))


def test_timm_itself_builds_and_describes_its_models(saved, monkeypatch):
    """timm needs torchvision; this stands in for its `create_model`."""
    made = SimpleNamespace(create_model=lambda name, pretrained, num_classes: Stem(num_classes))
    monkeypatch.setitem(sys.modules, "timm", made)
    theirs = Stem(4)
    path = saved(theirs.state_dict())
    found = assemble(path, Authors(project="timm", backbone="timm/some_net"))
    assert (found.name, found.embedding_dim, found.authors.input_size) == ("timm/some_net", 6, (32, 16))
    assert any("head.0.weight [4, 6]" in note for note in found.notes)
    images = torch.from_numpy(found.authors.apply(np.full((1, 32, 16, 3), 90, np.uint8)).transpose(0, 3, 1, 2).copy())
    torch.testing.assert_close(images, torch.full_like(images, (90 / 255 - 0.5) / 0.25))
    theirs.head = nn.Identity()
    with torch.no_grad():
        torch.testing.assert_close(found.module.features(images)[0], nn.functional.normalize(theirs(images)))
    with pytest.raises(DataError, match="which of timm's models it is; say --backbone timm/NAME"):
        assemble(path, Authors(project="timm"))
    path = saved(Stem(0).state_dict() | {"extra.weight": torch.zeros(1)})
    with pytest.raises(DataError, match=r"is no some_net of timm, it has also extra\.weight"):
        assemble(path, Authors(project="timm", backbone="some_net"))


def test_the_papers_reproduction_comes_in_with_its_stripes(tmp_path):
    """Whole: as its training writes it, converted, and read by the SDK."""
    from converters.convert import ConvertOptions, convert
    from converters.verify import Crops
    from sdk import ReIdentifier

    names = shapes("resnet18", "base.", 8, **norm("local_bn", 16), **{"local_conv.weight": (16, 64, 1, 1)})
    names |= {"local_conv.bias": (16,), "fc.weight": (5, 64), "fc.bias": (5,)}
    path = tmp_path / "ckpt.pth"
    torch.save({"state_dicts": [weights_by_formula(names), {"state": {}}], "ep": 3, "scores": 0.5}, path)
    images = list(crops())
    options = ConvertOptions(rescore=True, authors=Authors(input_size=SIZE))
    done = convert(path, tmp_path / "ours.onnx", Crops(images, ["a", "b", "c"]), options)
    assert (done.metadata.stripes, done.metadata.stripe_dim) == (4, 16)
    assert sorted(file.name for file in done.files) == ["ours.onnx", "ours.rescore.onnx"]
    found = ReIdentifier(tmp_path / "ours.onnx", threshold=0.5, rescore=True).embed(images)
    module = assemble(path, Authors(input_size=SIZE)).module
    with torch.no_grad():
        embedding, stripes = module(torch.from_numpy(crops()))
    np.testing.assert_allclose(found.embedding, embedding, atol=1e-4)
    np.testing.assert_allclose(found.stripes.astype(np.float32), stripes.float(), atol=2e-3)
    source = open_source(path, rescore=False, authors=Authors())
    assert any("--rescore" in note for note in source.notes)
    assert source.metadata.stripes == 0
