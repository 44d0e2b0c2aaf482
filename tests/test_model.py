"""The network: shapes, torchvision's weight names, preprocessing inside."""

import sys
from types import SimpleNamespace

import pytest
import torch

from sdk.errors import DataError, MissingPackageError
from training.backbones import build_backbone, load_weights
from training.config import ModelConfig
from training.model import AlignedReID

# Shapes published with torchvision's weights; a file of ImageNet weights must fit without renaming.
TORCHVISION = {
    "resnet18": {
        "conv1.weight": (64, 3, 7, 7),
        "bn1.running_var": (64,),
        "layer1.1.conv2.weight": (64, 64, 3, 3),
        "layer2.0.downsample.0.weight": (128, 64, 1, 1),
        "layer2.0.downsample.1.bias": (128,),
        "layer4.1.bn2.weight": (512,),
    },
    "resnet50": {
        "layer1.0.conv3.weight": (256, 64, 1, 1),
        "layer1.0.downsample.0.weight": (256, 64, 1, 1),
        "layer3.5.conv2.weight": (256, 256, 3, 3),
        "layer4.2.bn3.running_mean": (2048,),
    },
}
PARAMETERS_WITHOUT_FC = {"resnet18": 11_689_512 - 513_000, "resnet50": 25_557_032 - 2_049_000}


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_backbones_have_torchvisions_names_and_sizes(name):
    backbone = build_backbone(name)
    state = backbone.state_dict()
    for key, shape in TORCHVISION[name].items():
        assert tuple(state[key].shape) == shape
    assert sum(p.numel() for p in backbone.parameters()) == PARAMETERS_WITHOUT_FC[name]


def test_resnet_x_has_resnet50s_shape_with_its_3x3_convolutions_in_two():
    plain, separable = build_backbone("resnet50", width=16), build_backbone("resnet50-xception", width=16)
    images = torch.zeros(1, 3, 64, 64)
    assert separable.eval()(images).shape == plain.eval()(images).shape
    depthwise, pointwise = separable.layer2[0].conv2
    assert (depthwise.groups, depthwise.kernel_size, depthwise.stride) == (32, (3, 3), (2, 2))
    assert (pointwise.kernel_size, pointwise.stride) == ((1, 1), (1, 1))
    assert sum(p.numel() for p in separable.parameters()) < 0.7 * sum(p.numel() for p in plain.parameters())


def test_published_weights_are_loaded_and_every_other_key_is_told(tmp_path):
    source = build_backbone("resnet50", width=8)
    published = source.state_dict() | {"fc.weight": torch.zeros(10, 256), "fc.bias": torch.zeros(10)}
    torch.save(published, tmp_path / "resnet50.pth")
    backbone = build_backbone("resnet50", width=8)
    assert load_weights(backbone, tmp_path / "resnet50.pth") == (["fc.weight", "fc.bias"], [])
    assert torch.equal(backbone.layer3[1].conv2.weight, source.layer3[1].conv2.weight)

    separable = build_backbone("resnet50-xception", width=8)
    unused, missing = load_weights(separable, tmp_path / "resnet50.pth")
    assert len(unused) == 2 + 16, "the head, and the 3×3 convolution of each of the 16 blocks"
    assert len(missing) == 2 * 16
    assert torch.equal(separable.layer4[2].conv3.weight, source.layer4[2].conv3.weight)


def test_weights_that_cannot_serve_are_named(tmp_path):
    backbone = build_backbone("resnet18", width=8)
    with pytest.raises(DataError, match="no such file"):
        load_weights(backbone, tmp_path / "none.pth")
    (tmp_path / "text.pth").write_text("weights")
    with pytest.raises(DataError, match="not a readable file"):
        load_weights(backbone, tmp_path / "text.pth")
    torch.save({"epoch": 3, "state_dict": {}}, tmp_path / "wrapped.pth")
    with pytest.raises(DataError, match="state_dict"):
        load_weights(backbone, tmp_path / "wrapped.pth")
    torch.save(build_backbone("resnet18", width=16).state_dict(), tmp_path / "wide.pth")
    with pytest.raises(DataError, match="none of its"):
        load_weights(backbone, tmp_path / "wide.pth")


def test_a_backbone_of_timm_needs_timm(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(MissingPackageError, match=r"\[timm\]"):
        build_backbone("timm/convnext_tiny")


def test_a_backbone_of_timm_is_asked_for_its_feature_map(monkeypatch):
    """timm itself needs torchvision; this stands in for its `create_model`."""
    asked = {}

    def create_model(name, **options):
        asked.update(options, name=name)
        network = torch.nn.Conv2d(3, 24, 4, stride=16)
        network.num_features = 24
        return network

    monkeypatch.setitem(sys.modules, "timm", SimpleNamespace(create_model=create_model))
    model = AlignedReID(ModelConfig(backbone="timm/some_net", last_stride=1), num_identities=2)
    assert asked == {"name": "some_net", "pretrained": False, "num_classes": 0, "global_pool": "", "output_stride": 16}
    assert model(torch.zeros(2, 128, 64, 3, dtype=torch.uint8)).stripes.shape == (2, 8, 128)

    monkeypatch.setitem(sys.modules, "timm", SimpleNamespace(create_model=lambda *_, **__: _Tokens()))
    with pytest.raises(ValueError, match="convolutional"):
        AlignedReID(ModelConfig(backbone="timm/vit"))


class _Tokens(torch.nn.Module):
    """As a vision transformer's, features without rows."""

    num_features = 24

    def forward(self, images):
        return torch.zeros(len(images), 9, 24)


def test_an_unknown_backbone_names_the_known():
    with pytest.raises(ValueError, match="resnet18, resnet50"):
        build_backbone("vgg")


@pytest.mark.parametrize(
    ("size", "last_stride", "stripes"), [((128, 64), 1, 8), ((256, 128), 2, 8), ((224, 224), 2, 7), ((256, 128), 1, 16)]
)
def test_stripes_are_the_rows_of_the_feature_map(size, last_stride, stripes):
    model = AlignedReID(ModelConfig(width=8, last_stride=last_stride, input_size=size), num_identities=5).eval()
    outputs = model(torch.randint(0, 256, (2, *size, 3), dtype=torch.uint8))
    assert model.num_stripes == stripes
    assert outputs.stripes.shape == (2, stripes, 128)
    assert outputs.embedding.shape == outputs.pooled.shape == (2, model.embedding_dim) == (2, 64)
    assert outputs.logits.shape == (2, 5)
    torch.testing.assert_close(outputs.embedding.norm(dim=1), torch.ones(2))


def test_preprocessing_is_the_conventional_one():
    crop = torch.zeros(1, 128, 64, 3, dtype=torch.uint8)
    crop[..., 0] = 255  # blue in BGR
    image = AlignedReID(ModelConfig(width=8)).preprocess(crop)[0]
    expected = torch.tensor([(0 - 0.485) / 0.229, (0 - 0.456) / 0.224, (1 - 0.406) / 0.225])
    torch.testing.assert_close(image[:, 0, 0], expected, atol=1e-5, rtol=0)


def test_a_change_at_the_feet_moves_the_lowest_stripe_most():
    torch.manual_seed(0)
    model = AlignedReID(ModelConfig(width=8)).eval()
    crop = torch.randint(0, 256, (1, 128, 64, 3), dtype=torch.uint8)
    changed = crop.clone()
    changed[:, 120:] = 255 - changed[:, 120:]
    moved = (model(crop).stripes - model(changed).stripes).norm(dim=2)[0]
    assert moved[4:].sum() > moved[:4].sum()
