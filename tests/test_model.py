"""The network: shapes, torchvision's weight names, preprocessing inside."""

import pytest
import torch

from training.backbones import build_backbone
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
