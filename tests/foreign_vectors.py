"""What other projects' own definitions compute with weights by formula: numbers to hold our reading of them against.

`python -m tests.foreign_vectors FOLDER` computes them anew from checkouts of the projects (`CHECKOUTS`) in FOLDER,
whose code is not in this repository, and prints the dictionary below. Every weight, and every statistic of a
normalisation, depends on its name in the checkpoint and on its shape alone (`weights_by_formula`), with the spread that
training leaves; so a test makes the same checkpoint without the definition. Two crops of noise and one of smooth
colours go through the network in evaluation mode; what is kept of each feature are its products with a few fixed
directions.
"""

import importlib.util
import sys
import zlib
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

SIZE = (128, 64)
PRODUCTS = 8
CHECKOUTS = {
    "torchreid": "KaiyangZhou/deep-person-reid",
    "fast-reid": "JDAI-CV/fast-reid",
    "strong": "michuanhaohao/reid-strong-baseline",
    "reproduction": "huanghoujing/AlignedReID-Re-Production-Pytorch",
    "plusplus": "michuanhaohao/AlignedReID",
}
"""Folders, and the repositories on GitHub whose main branch was read on 2026-11-25."""

VECTORS = {
    "torchreid resnet18": (
        "-0.7646 0.2768 -1.2309 -0.5995 -1.1984 -0.2658 0.1200 -0.5747 -0.7134 0.2181 -1.2450 -0.4883 -1.0751 -0.2916 "
        "0.1347 -0.6419 -0.9206 0.4595 -1.0071 -0.6717 -1.2054 -0.2430 0.3218 -0.6472",
        "",
    ),
    "torchreid resnet50_fc512": (
        "-1.3089 0.3697 0.8729 -0.1135 0.4041 0.5582 0.8633 0.8919 -1.3036 0.3768 0.8794 -0.1075 0.3985 0.5588 0.8485 "
        "0.8829 -1.2897 0.3549 0.8926 -0.0989 0.3892 0.5547 0.8600 0.8800",
        "",
    ),
    "torchreid resnet50_ibn_a": (
        "-1.4651 -0.0150 0.4255 -1.1485 1.0168 0.4576 -0.1419 -0.6193 -1.4959 -0.0209 0.4125 -1.1624 1.0272 0.4344 "
        "-0.1392 -0.6000 -1.5243 -0.0612 0.4364 -1.1757 1.0455 0.4427 -0.1749 -0.5475",
        "",
    ),
    "torchreid resnet50_ibn_b": (
        "-1.5895 -0.2570 0.4292 -1.4262 0.9088 0.5899 -0.5307 -0.3093 -1.5671 -0.1820 0.3910 -1.4287 0.8706 0.5879 "
        "-0.5113 -0.2968 -1.5733 -0.2020 0.4042 -1.4314 0.9830 0.6016 -0.5467 -0.3073",
        "",
    ),
    "fast-reid resnet18": (
        "-1.4192 0.7993 2.1019 -0.2958 0.2144 -0.1321 0.3619 1.1360 -1.4194 0.8016 2.1318 -0.2681 0.2068 -0.1399 "
        "0.4102 1.1227 -1.3679 0.8194 1.9978 -0.2288 0.1745 -0.1513 0.4345 1.1305",
        "",
    ),
    "fast-reid resnet18 gem": (
        "-1.4827 0.9992 1.9431 -0.3866 0.1382 -0.1856 0.3901 0.9025 -1.4514 0.9762 1.9792 -0.3507 0.1368 -0.1744 "
        "0.4817 0.8992 -1.4775 1.0883 1.7980 -0.2539 0.0813 -0.1377 0.4592 0.8140",
        "",
    ),
    "fast-reid resnet18 max": (
        "-1.3784 1.1814 1.8092 -0.4349 0.1799 -0.2583 0.3531 0.8400 -1.3335 1.0954 1.8472 -0.3880 0.1158 -0.1034 "
        "0.4572 0.8316 -1.4815 1.3029 1.6142 -0.2105 0.1056 -0.0465 0.2790 0.5685",
        "",
    ),
    "fast-reid resnet18_ibn_a": (
        "-0.1263 1.1769 -1.4231 -0.8868 0.3834 1.8333 0.3189 -0.2661 -0.0964 1.1710 -1.4179 -0.8998 0.3936 1.7772 "
        "0.2740 -0.1917 -0.0078 0.9947 -1.4135 -0.7279 0.4993 1.9456 0.3345 -0.3206",
        "",
    ),
    "strong-baseline resnet18": (
        "-0.1303 1.0702 0.7999 -0.2878 -0.3107 -0.5226 1.1025 0.4346 -0.1121 1.0323 0.8296 -0.2077 -0.3122 -0.5492 "
        "1.0995 0.4230 -0.1000 1.1090 0.8478 -0.3163 -0.4443 -0.3420 1.0287 0.4400",
        "",
    ),
    "strong-baseline resnet50": (
        "0.3886 0.5475 -0.4085 -0.6968 -0.0189 1.1553 0.0597 0.0763 0.3821 0.5503 -0.4017 -0.6980 -0.0138 1.1503 "
        "0.0549 0.0840 0.3584 0.5452 -0.3730 -0.7065 0.0319 1.1697 0.0675 0.1033",
        "",
    ),
    "strong-baseline resnet50_ibn_a": (
        "0.2612 0.4845 -0.2394 -0.6499 0.0958 1.2400 -0.0205 0.2616 0.2708 0.4790 -0.2374 -0.6531 0.0940 1.2464 "
        "-0.0263 0.2651 0.3324 0.4702 -0.2640 -0.6200 0.0922 1.1540 0.0201 0.2544",
        "",
    ),
    "alignedreid reproduction": (
        "-0.2802 0.1755 -0.2302 -0.8888 0.3955 0.9661 0.5452 0.0812 -0.2772 0.1658 -0.2459 -0.9040 0.4027 0.9598 "
        "0.5148 0.0572 -0.3268 0.1754 -0.2477 -0.8978 0.4414 1.0005 0.5202 0.0196",
        "-0.9348 -0.7650 -0.6892 -0.2991 0.3355 -0.8819 1.5421 1.0984 -0.8726 -0.7856 -0.7055 -0.3117 0.3462 -0.8446 "
        "1.5130 1.0530 -0.7202 -0.7074 -0.7229 -0.2752 0.3880 -0.8076 1.5524 1.0780",
    ),
    "alignedreid plusplus": (
        "0.0391 0.5520 0.8116 -0.7356 -0.5094 1.1161 -0.5929 -1.8235 -0.0048 0.5492 0.8177 -0.7438 -0.5172 1.0991 "
        "-0.5677 -1.8168 0.1214 0.5612 0.8192 -0.7439 -0.5106 1.0772 -0.5518 -1.8542",
        "0.5418 -1.8575 1.1688 -0.4542 0.7342 0.1969 0.2331 -2.3096 0.4760 -1.8544 1.2317 -0.4088 0.6903 0.0781 "
        "0.2087 -2.2757 0.5086 -1.6800 1.3471 -0.4754 0.7933 0.3628 0.2815 -2.4754",
    ),
}  # fmt: skip
"""The feature's products, and those of the stripes one after the other, by case."""


def weights_by_formula(shapes: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    """Tensors of these shapes, whose numbers depend on name and shape alone."""
    pool = np.random.RandomState(1).standard_normal(99991).astype(np.float32)
    level = np.random.RandomState(2).uniform(0, 1, 9973).astype(np.float32)
    made = {}
    for name, shape in shapes.items():
        if name.endswith("num_batches_tracked"):
            made[name] = torch.tensor(1)
            continue
        start = zlib.crc32(name.encode()) % 9001
        if len(shape) > 1:
            values = np.resize(pool[start:], shape) * np.float32(np.sqrt(2 / np.prod(shape[1:])))
        elif name.endswith((".p",)):
            values = np.full(shape, 2.5, np.float32)
        elif name.endswith(("running_var", "weight")):
            values = 0.5 + np.resize(level[start % 5000 :], shape)
        else:
            values = 0.4 * np.resize(level[start % 5000 :], shape) - 0.2
        made[name] = torch.from_numpy(np.ascontiguousarray(values, np.float32))
    return made


def crops() -> np.ndarray:
    """uint8 BGR `[3, H, W, 3]`."""
    noise = np.random.RandomState(3).randint(0, 256, (2, *SIZE, 3))
    rows, columns = np.mgrid[0 : SIZE[0], 0 : SIZE[1]]
    smooth = np.stack((rows * 255 // SIZE[0], columns * 255 // SIZE[1], 255 - rows * 200 // SIZE[0]), -1)
    return np.concatenate((noise, smooth[None])).astype(np.uint8)


def products(features: np.ndarray) -> np.ndarray:
    """Of features `[N, D]`, made as long as 1, with fixed directions: N × `PRODUCTS` numbers."""
    features = features / np.linalg.norm(features, axis=1, keepdims=True)
    directions = np.random.RandomState(4).standard_normal((features.shape[1], PRODUCTS))
    return (features @ directions).ravel()


def _images(mean, std, white: int = 1) -> torch.Tensor:
    """The crops in RGB as a project's own code prepares them."""
    images = crops()[..., ::-1].astype(np.float64) * (white / 255)
    return torch.from_numpy(((images - mean) / std).transpose(0, 3, 1, 2).astype(np.float32))


def _module(path: Path, name: str, **stubs: ModuleType | object) -> ModuleType:
    """A file as the module `name`, while `stubs` stand in for what it imports and does not need."""
    before = {key: sys.modules.get(key) for key in stubs}
    sys.modules.update(stubs)
    try:
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    finally:
        for key, value in before.items():
            sys.modules.pop(key) if value is None else sys.modules.update({key: value})
    return module


def _stub(name: str, **content) -> ModuleType:
    module = ModuleType(name)
    vars(module).update(content, __path__=[])
    return module


@torch.no_grad()
def _computed(network: nn.Module, images: torch.Tensor, stripes=None) -> tuple[str, str]:
    state = network.state_dict()
    network.load_state_dict(weights_by_formula({name: tuple(value.shape) for name, value in state.items()}))
    found = network.eval()(images)
    feature = found[0] if isinstance(found, tuple) else found
    local = np.empty(0) if stripes is None else products(F.normalize(stripes(found), dim=2).flatten(1).numpy())
    return tuple(" ".join(f"{value:.4f}" for value in values) for values in (products(feature.numpy()), local))


IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def torchreids(folder: Path):
    theirs = _module(folder / "torchreid" / "torchreid/models/resnet.py", "theirs_torchreid")
    yield "torchreid resnet18", theirs.resnet18(5, pretrained=False), _images(*IMAGENET), None
    yield "torchreid resnet50_fc512", theirs.resnet50_fc512(5, pretrained=False), _images(*IMAGENET), None
    for form in "ab":
        own = _module(folder / "torchreid" / f"torchreid/models/resnet_ibn_{form}.py", f"theirs_ibn_{form}")
        network = getattr(own, f"resnet50_ibn_{form}")(5)
        yield f"torchreid resnet50_ibn_{form}", network, _images(*IMAGENET), None


def fast_reids(folder: Path):
    root = folder / "fast-reid" / "fastreid"
    norms = _module(root / "layers/batch_norm.py", "theirs_norms")
    pools = _module(root / "layers/pooling.py", "theirs_pooling")
    registry = _stub("registry", register=lambda: lambda build: build)
    own = _module(
        root / "modeling/backbones/resnet.py",
        "theirs_fast_reid.resnet",
        **{
            "fastreid": _stub("fastreid"),
            "fastreid.layers": _stub("layers", IBN=norms.IBN, get_norm=norms.get_norm, SELayer=None, Non_local=None),
            "fastreid.utils": _stub("utils", comm=None),
            "fastreid.utils.checkpoint": _stub(
                "checkpoint", get_missing_parameters_message=None, get_unexpected_parameters_message=None
            ),
            "theirs_fast_reid": _stub("theirs_fast_reid"),
            "theirs_fast_reid.build": _stub("build", BACKBONE_REGISTRY=registry),
        },
    )

    class Network(nn.Module):
        """As their `Baseline` and `EmbeddingHead` are put together at test time."""

        def __init__(self, ibn: bool, pooling: nn.Module, embedding: int):
            super().__init__()
            self.backbone = own.ResNet(1, "BN", ibn, False, False, own.BasicBlock, [2, 2, 2, 2], [0, 0, 0, 0])
            self.heads = nn.Module()
            self.heads.pool_layer = pooling
            layers = [nn.Conv2d(512, embedding, 1, bias=False)] if embedding else []
            self.heads.bottleneck = nn.Sequential(*layers, norms.get_norm("BN", embedding or 512, bias_freeze=True))
            self.heads.weight = nn.Parameter(torch.zeros(5, embedding or 512))

        def forward(self, images):
            return self.heads.bottleneck(self.heads.pool_layer(self.backbone(images)))[..., 0, 0]

    images = _images(*(np.array(part) * 255 for part in IMAGENET), white=255)
    yield "fast-reid resnet18", Network(False, pools.GlobalAvgPool(), 0), images, None
    yield "fast-reid resnet18 gem", Network(False, pools.GeneralizedMeanPooling(), 0), images, None
    yield "fast-reid resnet18 max", Network(False, pools.GlobalMaxPool(), 0), images, None
    yield "fast-reid resnet18_ibn_a", Network(True, pools.GeneralizedMeanPoolingP(), 40), images, None


def strong_baselines(folder: Path):
    sys.path.insert(0, str(folder / "strong"))
    from modeling.baseline import Baseline

    for name in ("resnet18", "resnet50", "resnet50_ibn_a"):
        network = Baseline(5, 1, "", "bnneck", "after", name, "self")
        yield f"strong-baseline {name}", network, _images(*IMAGENET), None


def aligned(folder: Path):
    root = folder / "reproduction" / "aligned_reid/model"
    resnet = _module(root / "resnet.py", "theirs_reproduction.resnet")
    package = _stub("theirs_reproduction", resnet=resnet)
    whole, resnet.resnet50 = resnet.resnet50, lambda pretrained: resnet.ResNet(resnet.Bottleneck, [3, 4, 6, 3])
    model = _module(
        root / "Model.py", "theirs_reproduction.Model",
        **{"theirs_reproduction": package, "theirs_reproduction.resnet": resnet},
    )  # fmt: skip
    model.init.normal, model.init.constant = nn.init.normal_, nn.init.constant_
    images = _images((0.486, 0.459, 0.408), (0.229, 0.224, 0.225))
    yield "alignedreid reproduction", model.Model(num_classes=5), images, lambda found: found[1]

    class Ended(nn.Sequential):
        """With the two parts that they cut off torchvision's network."""

        def __init__(self):
            base = whole(False)
            super().__init__(*base.children(), nn.Identity(), nn.Identity())

    pooled = _module(folder / "plusplus" / "aligned/HorizontalMaxPool2D.py", "theirs_pooled")
    stub = _stub("torchvision", models=_stub("models", resnet50=lambda pretrained: Ended()))
    own = _module(
        folder / "plusplus" / "models/ResNet.py",
        "theirs_plusplus",
        **{"torchvision": stub, "aligned": _stub("aligned"), "aligned.HorizontalMaxPool2D": pooled},
    )
    network = own.ResNet50(5, loss={"softmax", "metric"}, aligned=True)
    yield "alignedreid plusplus", network, _images(*IMAGENET), lambda found: found[1].transpose(1, 2)


def main(folder: Path) -> None:
    print("VECTORS = {")
    for project in (torchreids, fast_reids, strong_baselines, aligned):
        for name, network, images, stripes in project(folder):
            print(f'    "{name}": {_computed(network, images, stripes)},')
    print("}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
