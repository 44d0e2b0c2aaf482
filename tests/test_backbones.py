"""OSNet and the ResNets with IBN: what their authors' definitions compute, under the names that their weights have."""

from collections import Counter
from functools import partial

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from typer.testing import CliRunner

from sdk.cli import build_app
from sdk.errors import DataError
from tests.foreign_definitions import definition, fill, noise_crop
from training.backbones import BACKBONES, OSNETS, RESNETS, build_backbone, load_weights, read_weights
from training.checkpoint import load_checkpoint
from training.commands.train import BACKBONES as NAMES
from training.config import ModelConfig, RunConfig
from training.model import AlignedReID
from training.pooling import GeneralisedMean
from training.trainer import loss_terms

# Of weights by formula (`fill`) and one crop of noise at 256×128: the first numbers of the global feature ahead of the
# neck, at unit length, and the sums of the first stripes. They come from the definitions of torchreid (OSNet) and of
# IBN-Net (the ResNets, there with a quarter of the channels), not from ours.
FROZEN = {
    "resnet18": ([0.043694, 0.074713, 0.195232, 0.057805, 0.060734, 0.0025], [6.4042, 6.5277, 6.6483]),
    "resnet34": ([0.088146, 0.018709, 0.076008, 0.029391, 0.044729, 0.044711], [6.7719, 6.6429, 6.6577]),
    "resnet50": ([0.0354, 0.012426, 0.005071, 0.013879, 0.020661, 0.021033], [6.4729, 6.2842, 6.3119]),
    "resnet18_ibn_a": ([0.000664, 0.02017, 0.221016, 0.004675, 0.160503, 0.029745], [5.9813, 6.3025, 6.2797]),
    "resnet18_ibn_b": ([0.042434, 0.051993, 0.203932, 0.051461, 0.085774, 0.009904], [6.4533, 6.531, 6.6354]),
    "resnet34_ibn_a": ([0.062901, 0.008859, 0.086552, 0.014079, 0.094585, 0.043834], [6.6773, 6.5798, 6.433]),
    "resnet34_ibn_b": ([0.074014, 0.012386, 0.093786, 0.029911, 0.049568, 0.043027], [6.7028, 6.8011, 6.677]),
    "resnet50_ibn_a": ([0.03776, 0.00237, 0.006771, 0.00935, 0.027288, 0.041183], [6.073, 6.3719, 6.4592]),
    "resnet50_ibn_b": ([0.030504, 0.01443, 0.004422, 0.017461, 0.020238, 0.025408], [6.2085, 6.2793, 6.3846]),
    "osnet_x0_25": ([0.035748, 0.0, 0.018496, 0.0, 0.01413, 0.027002], [6.4967, 6.4488, 6.2819]),
    "osnet_x0_5": ([0.067942, 0.047172, 0.017505, 0.0097, 0.0, 0.0], [6.157, 6.3264, 6.3185]),
    "osnet_x0_75": ([0.027964, 0.022607, 0.015269, 0.0, 0.0, 0.05027], [6.1959, 6.2162, 6.301]),
    "osnet_x1_0": ([0.034274, 0.014244, 0.011793, 0.02834, 0.080537, 0.045971], [5.8392, 5.495, 5.4858]),
    "osnet_ibn_x1_0": ([0.041244, 0.01627, 0.011518, 0.01577, 0.07477, 0.047806], [5.8275, 5.544, 5.5206]),
    "osnet_ain_x0_25": ([0.069895, 0.052311, 0.017136, 0.0, 0.0, 0.136296], [6.2648, 6.3547, 6.3442]),
    "osnet_ain_x0_5": ([0.0315, 0.035713, 0.014008, 0.110952, 0.010669, 0.0], [6.2063, 6.1863, 6.1985]),
    "osnet_ain_x0_75": ([0.009173, 0.088994, 0.001129, 0.0, 0.0, 0.07983], [5.7214, 5.8014, 5.8744]),
    "osnet_ain_x1_0": ([0.031003, 0.0, 0.016185, 0.099788, 0.059902, 0.024379], [6.0652, 6.1697, 6.1913]),
}


@pytest.mark.parametrize("name", FROZEN)
def test_a_backbone_computes_what_its_authors_definition_does(name):
    model = fill(AlignedReID(ModelConfig(name, width=16, last_stride=2, input_size=(256, 128))))
    assert model.num_stripes == 8
    with torch.no_grad():
        outputs = model(noise_crop())
    pooled, stripes = FROZEN[name]
    np.testing.assert_allclose(F.normalize(outputs.pooled)[0, : len(pooled)], pooled, atol=2e-5)
    np.testing.assert_allclose(outputs.stripes[0].sum(1)[: len(stripes)], stripes, atol=2e-3)
    assert outputs.embedding.shape == (1, model.embedding_dim)


def test_no_backbone_goes_without_frozen_numbers():
    assert set(RESNETS | OSNETS) - set(FROZEN) == {"resnet50-xception"}, "which has no authors who published one"


@pytest.mark.parametrize("name", OSNETS)
def test_torchreids_own_definition_computes_the_same(name):
    theirs = definition("deep-person-reid", f"torchreid/models/osnet{'_ain' * ('ain' in name)}.py")
    theirs = fill(getattr(theirs, name)(num_classes=3, pretrained=False))
    ours = build_backbone(name).eval()
    ours.load_state_dict({key: value for key, value in theirs.state_dict().items() if "classifier" not in key})
    images = torch.from_numpy(np.random.RandomState(1).standard_normal((2, 3, 128, 64)).astype(np.float32))
    with torch.no_grad():
        features = F.normalize(ours.embed(ours(images).mean((2, 3))))
        torch.testing.assert_close(features, F.normalize(theirs(images)), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", [name for name in RESNETS if "ibn" in name])
def test_ibn_nets_own_definition_computes_the_same(name):
    theirs = fill(getattr(definition("IBN-Net", "ibnnet/resnet_ibn.py"), name)(num_classes=3))
    ours = build_backbone(name).eval()
    ours.load_state_dict({key: value for key, value in theirs.state_dict().items() if not key.startswith("fc.")})
    theirs.avgpool, theirs.fc = torch.nn.AdaptiveAvgPool2d(1), torch.nn.Identity()
    images = torch.from_numpy(np.random.RandomState(1).standard_normal((1, 3, 128, 64)).astype(np.float32))
    with torch.no_grad():
        features = F.normalize(ours(images).mean((2, 3)))
        torch.testing.assert_close(features, F.normalize(theirs(images)), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("size", "last_stride", "stripes"), [((256, 128), 2, 8), ((128, 64), 1, 8), ((256, 128), 1, 16), ((224, 224), 2, 7)]
)
def test_osnet_has_as_many_stripes_as_a_resnet(size, last_stride, stripes):
    """Its map has a row for every 16 of the image, whatever the last stride: with 2, two make a stripe."""
    model = AlignedReID(ModelConfig("osnet_x0_25", last_stride=last_stride, input_size=size)).eval()
    assert model.num_stripes == stripes
    assert model(torch.zeros(2, *size, 3, dtype=torch.uint8)).stripes.shape == (2, stripes, 128)


def test_rows_that_make_no_pairs_are_refused():
    with pytest.raises(ValueError, match=r"15 rows.*multiple of 32"):
        AlignedReID(ModelConfig("osnet_x0_25", last_stride=2, input_size=(240, 120)))


def test_torchreids_own_files_are_a_start(tmp_path):
    """As its engine saves them: data-parallel names, NumPy's rank-1, the state of optimiser and schedule beside."""
    source = fill(build_backbone("osnet_x0_25"))
    weights = source.state_dict() | {"classifier.weight": torch.zeros(9, 512), "classifier.bias": torch.zeros(9)}
    content = {
        "state_dict": {f"module.{key}": value for key, value in weights.items()},
        "epoch": 3,
        "rank1": np.float32(0.5),
        "optimizer": {
            "state": {0: {"step": 5, "exp_avg": torch.zeros(3)}},
            "param_groups": [{"lr": 1e-3, "params": [0]}],
        },
        "scheduler": {"milestones": Counter([3, 5]), "base_lrs": [0.01]},
    }
    for old in (True, False):
        torch.save(content, tmp_path / "model.pth.tar-3", _use_new_zipfile_serialization=not old)
        backbone = build_backbone("osnet_x0_25")
        unused, missing = load_weights(backbone, tmp_path / "model.pth.tar-3")
        assert (unused, missing) == (["classifier.weight", "classifier.bias"], [])
        assert torch.equal(backbone.fc[0].weight, source.fc[0].weight)


def test_a_file_that_would_run_code_is_not_read(tmp_path):
    torch.save({"state_dict": {"a": torch.zeros(1)}, "rank1": partial(print, "run")}, tmp_path / "evil.pth")
    with pytest.raises(DataError, match="running code"):
        read_weights(tmp_path / "evil.pth")


def test_the_generalised_mean_lies_between_mean_and_maximum():
    features = torch.rand(2, 5, 8, 4, requires_grad=True)
    mean, largest = features.mean((2, 3)), features.amax((2, 3))
    pool = GeneralisedMean()
    assert (pool(features) > mean).all()
    assert (pool(features) < largest).all()
    torch.testing.assert_close(GeneralisedMean(1.0)(features), mean)
    torch.testing.assert_close(GeneralisedMean(200.0)(features), largest, atol=0.03, rtol=0)
    by_hand = (features[0, 0].detach().numpy().astype(np.float64) ** 3).mean() ** (1 / 3)
    assert pool(features)[0, 0].item() == pytest.approx(by_hand, rel=1e-5)
    pool((features * 0).half()).sum().backward()  # nothing active, in half precision
    assert torch.isfinite(pool.p.grad).all()


def test_pooling_is_chosen_and_older_checkpoints_have_the_mean():
    state = AlignedReID(ModelConfig(width=8)).state_dict()
    gem = AlignedReID(ModelConfig(width=8, pooling="gem"))
    assert set(gem.state_dict()) - set(state) == {"pool.p"}
    assert any(parameter is gem.pool.p for parameter in gem.parameters())
    with pytest.raises(ValueError, match="average, gem"):
        ModelConfig(pooling="max")


SOME = ["resnet34", "resnet18_ibn_a", "resnet50_ibn_b", "osnet_x0_25", "osnet_ibn_x1_0", "osnet_ain_x0_25"]


@pytest.mark.parametrize("name", SOME)
def test_a_step_of_training_reaches_every_weight(name):
    torch.manual_seed(0)
    config = RunConfig(ModelConfig(name, width=8, input_size=(64, 32), pooling="gem"))
    model = AlignedReID(config.model, num_identities=2)
    crops = torch.from_numpy(np.random.RandomState(0).randint(0, 256, (4, 64, 32, 3)).astype(np.uint8))
    sum(loss_terms(model(crops), torch.tensor([0, 0, 1, 1]), config).values()).backward()
    wanted = {key: value for key, value in model.named_parameters() if value.requires_grad}
    assert not [key for key, value in wanted.items() if value.grad is None or not value.grad.isfinite().all()]
    assert "pool.p" in wanted
    assert any(key.startswith("backbone.fc.") for key in wanted) == name.startswith("osnet")
    dead = [key for key, value in wanted.items() if not value.grad.any()]
    assert len(dead) < 0.1 * len(wanted), "but for a gate with one unit, which may be off"


def test_weights_of_another_project_trained_on_people_are_fine_tuned(drawn_people, tmp_path):
    """`--init` takes its file too: the settings are those for a trained network, and nothing is mixed with the rest,
    which was random."""
    source = fill(build_backbone("resnet18", 8, 1))
    torch.save({"state_dict": source.state_dict(), "rank1": np.float64(0.9)}, tmp_path / "theirs.pth")
    app, runner = build_app(), CliRunner()
    line = ["train", "--data", str(drawn_people), "--hold-out", "0", "--height", "64", "--epochs", "1"]
    line += ["--init", str(tmp_path / "theirs.pth"), "--learning-rate", "1e-9"]
    result = runner.invoke(app, [*line, "-o", str(tmp_path / "run"), "--width", "8"], catch_exceptions=False)
    assert result.exit_code == 0
    checkpoint = load_checkpoint(tmp_path / "run" / "model.pt")
    assert "theirs.pth" in checkpoint.config.train.start
    assert checkpoint.config.train.local_start == 0 == checkpoint.config.train.start_share
    weight = checkpoint.weights["backbone.layer3.0.conv2.weight"]
    torch.testing.assert_close(weight, source.layer3[0].conv2.weight.detach(), atol=1e-5, rtol=0)
    with pytest.raises(DataError, match="width of its own"):
        runner.invoke(
            app,
            [*line, "-o", str(tmp_path / "other"), "--width", "8", "--backbone", "osnet_x0_25"],
            catch_exceptions=False,
        )


def test_the_command_names_every_backbone():
    assert sorted(NAMES.split(", ")) == sorted(BACKBONES)
