"""MobileNetV2: torchvision's structure, weights under its names of today and of its first releases."""

import numpy as np
import onnxruntime
import pytest
import torch

from converters.onnx_export import export_model
from sdk.errors import DataError
from training.backbones import MobileNetV2, build_backbone, load_weights, mobilenet
from training.config import ModelConfig
from training.model import AlignedReID


def published_shapes() -> dict[str, tuple[int, ...]]:
    """Names and shapes of torchvision's `mobilenet_v2` without its classifier, by the table of the paper."""
    shapes = {}

    def put(convolution, norm, *shape):
        shapes[f"{convolution}.weight"] = shape
        shapes.update({f"{norm}.{name}": shape[:1] for name in ("weight", "bias", "running_mean", "running_var")})

    put("features.0.0", "features.0.1", 32, 3, 3, 3)
    put("features.1.conv.0.0", "features.1.conv.0.1", 32, 1, 3, 3)
    put("features.1.conv.1", "features.1.conv.2", 16, 32, 1, 1)
    outputs = [24] * 2 + [32] * 3 + [64] * 4 + [96] * 3 + [160] * 3 + [320]
    for block, (before, after) in enumerate(zip([16, *outputs], outputs, strict=False), start=2):
        name = f"features.{block}.conv"
        put(f"{name}.0.0", f"{name}.0.1", 6 * before, before, 1, 1)
        put(f"{name}.1.0", f"{name}.1.1", 6 * before, 1, 3, 3)
        put(f"{name}.2", f"{name}.3", after, 6 * before, 1, 1)
    put("features.18.0", "features.18.1", 1280, 320, 1, 1)
    return shapes


def numbered_through(weights: dict) -> dict:
    """The names of the first releases: the layers of a block numbered through, with its activations."""
    old = {}
    for key, tensor in weights.items():
        parts = key.split(".")
        if "conv" in parts:
            layer, inside, name = int(parts[1]), [int(part) for part in parts[3:-1]], parts[-1]
            filters = 1 if layer == 1 else 2  # convolutions with an activation, three layers each
            number = 3 * inside[0] + inside[1] if len(inside) == 2 else 3 * filters + inside[0] - filters
            key = f"features.{layer}.conv.{number}.{name}"
        old[key] = tensor
    return old


def test_names_and_shapes_are_torchvisions():
    backbone = build_backbone("mobilenetv2", 32)
    state = {key: tuple(tensor.shape) for key, tensor in backbone.state_dict().items() if "batches" not in key}
    assert state == published_shapes()
    assert sum(p.numel() for p in backbone.parameters()) == 3_504_872 - 1_281_000  # published, without the classifier


def test_both_generations_of_names_load_and_the_head_is_told(tmp_path):
    torch.manual_seed(0)
    source = MobileNetV2()
    head = {"classifier.1.weight": torch.zeros(10, 1280)}
    for number, published in enumerate((source.state_dict(), numbered_through(source.state_dict()))):
        torch.save(published | head, tmp_path / f"{number}.pt")
        backbone = MobileNetV2()
        assert load_weights(backbone, tmp_path / f"{number}.pt") == (list(head), [])
        for key, tensor in source.state_dict().items():
            assert torch.equal(backbone.state_dict()[key], tensor), key
    assert "features.1.conv.3.weight" in numbered_through(source.state_dict()), "the old names are others"


@pytest.mark.parametrize(("size", "last_stride", "map_size"), [((128, 64), 1, (8, 4)), ((256, 128), 2, (8, 4))])
def test_both_branches_stand_on_its_map(size, last_stride, map_size):
    config = ModelConfig("mobilenetv2", width=8, last_stride=last_stride, input_size=size)
    model = AlignedReID(config, num_identities=3).eval()
    outputs = model(torch.randint(0, 256, (2, *size, 3), dtype=torch.uint8))
    assert outputs.embedding.shape == (2, 1280)
    assert outputs.stripes.shape == (2, map_size[0], 128)


def test_frozen_output():
    """Weights by a formula, so that the figures do not hang on a generator: any change of the graph shows."""
    backbone = MobileNetV2(width=8, last_stride=1).eval()
    with torch.no_grad():
        for number, tensor in enumerate(backbone.state_dict().values()):
            if tensor.is_floating_point() and tensor.ndim > 1:
                steps = torch.arange(tensor.numel(), dtype=torch.float64) + number
                tensor.copy_((torch.sin(steps) * (16 / tensor[0].numel()) ** 0.5).view(tensor.shape))
        images = torch.cos(torch.arange(3 * 64 * 32, dtype=torch.float64) / 7).float().view(1, 3, 64, 32)
        features = backbone(images)
    assert features.shape == (1, 1280, 4, 2)
    assert features.mean().item() == pytest.approx(0.39778, abs=1e-4)
    assert features.std().item() == pytest.approx(0.68879, abs=1e-4)
    assert features[0, :4, 1, 1].tolist() == pytest.approx([0, 0.09051, 0.43961, 0], abs=1e-4)


def test_its_onnx_gives_what_the_network_gives(monkeypatch):
    shallow = [(expansion, planes, 1, stride) for expansion, planes, _, stride in mobilenet.STAGES[:2]]
    monkeypatch.setattr(mobilenet, "STAGES", shallow)  # the export takes seconds a block
    torch.manual_seed(0)
    model = AlignedReID(ModelConfig("mobilenetv2", width=8), num_identities=0).eval()
    crops = torch.randint(0, 256, (3, 128, 64, 3), dtype=torch.uint8)
    session = onnxruntime.InferenceSession(export_model(model, False).SerializeToString())
    with torch.no_grad():
        wanted = model(crops).embedding.numpy()
    assert np.allclose(session.run(["embedding"], {"crops": crops.numpy()})[0], wanted, atol=1e-5)


def test_weights_of_another_network_are_refused(tmp_path):
    torch.save(build_backbone("resnet18", 8).state_dict(), tmp_path / "resnet.pt")
    with pytest.raises(DataError, match="none of its"):
        load_weights(MobileNetV2(8), tmp_path / "resnet.pt")
