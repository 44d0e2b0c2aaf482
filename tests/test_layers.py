"""Layers that do not learn, and styles that are mixed behind the first."""

import pytest
import torch

from sdk.errors import DataError
from training.backbones import build_backbone
from training.config import ModelConfig, RunConfig, TrainConfig
from training.layers import freeze, layers_of, mix_styles, mixed_style
from training.networks import build_networks
from training.optimizer import build_optimizer
from training.parallel import ALONE


@pytest.mark.parametrize(("name", "first"), [("mobilenetv2", "features.0."), ("resnet18", "conv1.")])
def test_layers_count_from_the_image(name, first):
    backbone = build_backbone(name, 8)
    layers = layers_of(backbone)
    assert layers[0] is backbone.get_submodule(first[:-1])
    images = torch.rand(2, 3, 64, 32)
    expected = backbone.eval()(images)
    for layer in layers:
        images = layer(images)
    torch.testing.assert_close(images, expected)


def test_frozen_layers_keep_weights_and_statistics_through_a_step(tmp_path):
    torch.manual_seed(0)
    torch.save(build_backbone("mobilenetv2", 8).state_dict(), tmp_path / "weights.pt")
    config = RunConfig(ModelConfig("mobilenetv2", 8), TrainConfig(frozen=3, backbone_rate=0.5))
    with pytest.raises(DataError, match="random weights"):
        build_networks(config, 4, "cpu", ALONE)
    network = build_networks(config, 4, "cpu", ALONE, backbone_weights=tmp_path / "weights.pt")[0]
    before = {name: tensor.clone() for name, tensor in network.model.state_dict().items()}
    optimizer = build_optimizer([network.model], config.train)
    assert {group["share"] for group in optimizer.param_groups} == {0.5, 1.0}
    network.train_mode()
    network.model(torch.randint(0, 256, (4, 128, 64, 3), dtype=torch.uint8)).logits.sum().backward()
    optimizer.step()
    changed = {name for name, tensor in network.model.state_dict().items() if not torch.equal(tensor, before[name])}
    frozen = tuple(f"backbone.features.{number}." for number in range(3))
    assert not [name for name in changed if name.startswith(frozen)]
    assert {"backbone.features.3.conv.0.1.running_mean", "backbone.features.18.0.weight"} <= changed
    with pytest.raises(DataError, match="19 layers"):
        freeze(network.model.backbone, 19)


def test_a_start_from_published_weights_can_stay_a_share_of_what_is_handed_on(tmp_path):
    torch.manual_seed(0)
    published = build_backbone("mobilenetv2", 8).state_dict() | {"classifier.1.bias": torch.zeros(5)}
    del published["features.18.0.weight"]
    torch.save(published, tmp_path / "weights.pt")
    config = RunConfig(ModelConfig("mobilenetv2", 8), TrainConfig())
    network = build_networks(config, 4, "cpu", ALONE, backbone_weights=tmp_path / "weights.pt")[0]
    for tensor in network.average.values():
        if tensor.is_floating_point():
            tensor.fill_(2.0)
    handed_on = network.handed_on(0.25)
    name = "features.3.conv.2.weight"
    torch.testing.assert_close(handed_on[f"backbone.{name}"], 1.5 + 0.25 * published[name])
    assert (handed_on["backbone.features.18.0.weight"] == 2).all(), "the file had no such weights"
    assert (handed_on["local_conv.weight"] == 2).all()


def test_a_mixed_style_is_between_those_of_the_batch_and_the_content_stays():
    torch.manual_seed(0)
    features = (
        torch.randn(16, 4, 8, 4) * torch.linspace(0.5, 3, 16)[:, None, None, None]
        + torch.arange(16.0)[:, None, None, None]
    )
    mixed = mixed_style(features)
    assert mixed.mean((2, 3)).min() > features.mean((2, 3)).min() - 1e-3
    assert mixed.mean((2, 3)).max() < features.mean((2, 3)).max() + 1e-3
    assert not torch.allclose(mixed.mean((2, 3)), features.mean((2, 3)), atol=0.5)

    def content(x):
        return (x - x.mean((2, 3), keepdim=True)) / x.std((2, 3), keepdim=True)

    torch.testing.assert_close(content(mixed), content(features), atol=1e-3, rtol=1e-3)


def test_styles_are_mixed_in_training_alone():
    backbone, images = build_backbone("mobilenetv2", 8), torch.rand(4, 3, 64, 32)
    plain = backbone.eval()(images)
    mix_styles(backbone, 1.0)
    assert torch.equal(backbone.eval()(images), plain)
    backbone.train()
    for module in backbone.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    assert not torch.allclose(backbone(images), plain)
    with pytest.raises(DataError, match="ResNet and MobileNetV2"):
        mix_styles(torch.nn.Sequential(), 0.5)
