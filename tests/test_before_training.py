"""What would stop a run at its end stops it before it begins, by name, with the option that helps."""

import dataclasses
import shutil

import cv2
import numpy as np
import pytest
import torch

from sdk.errors import DataError
from training.backbones import build_backbone, load_weights
from training.config import ModelConfig, RunConfig, TrainConfig
from training.data import PeopleDataset, union
from training.data.checks import check_held_out, check_images
from training.data.recognition import open_folder
from training.trainer import FINAL, train

CONFIG = RunConfig(
    ModelConfig("resnet18", width=8, input_size=(64, 32)),
    TrainConfig(epochs=1, identities_per_batch=2, images_per_identity=2, warmup=0),
)


@pytest.fixture
def folder(drawn_people, tmp_path):
    """Six people, two cameras, two images in each."""
    for source in sorted(path for path in drawn_people.iterdir() if path.is_dir())[:6]:
        (tmp_path / "people" / source.name).mkdir(parents=True)
        for path in sorted(source.glob("*_0[01].png")):
            shutil.copy(path, tmp_path / "people" / source.name)
    return tmp_path / "people"


def test_files_that_are_no_images_are_named_before_the_first_epoch(folder, tmp_path):
    first, second = folder / "00000" / "00_00.png", folder / "00003" / "01_01.png"
    first.write_bytes(first.read_bytes()[:40])
    cv2.imwrite(str(second), np.zeros((5, 3, 3), np.uint8))
    training, held_out = PeopleDataset.from_folder(folder).hold_out(3, seed=0)
    with pytest.raises(DataError, match=r"2 of 24 images cannot be used: ") as error:
        train(training, tmp_path / "run", CONFIG, held_out)
    assert f"{first}: not a readable image" in str(error.value)
    assert f"{second}: 3×5 pixels, the least is 8×8" in str(error.value)
    assert not (tmp_path / "run").exists()
    people = PeopleDataset.from_folder(folder)
    with pytest.raises(DataError, match="2 of 24 images"):
        check_images(union([("site", people)]), people)


def one_camera(people, identities):
    """The people, of whom those named were seen by one camera alone."""
    return tuple(sample for sample in people.samples if sample.camera == "00" or sample.identity not in identities)


def test_people_who_cannot_be_ranked_are_told_before_the_first_epoch(folder, tmp_path):
    people = PeopleDataset.from_folder(folder)
    held_out = dataclasses.replace(people, samples=one_camera(people, people.identities))
    with pytest.raises(DataError, match=r"all of one camera \(00\).*--hold-out 0"):
        train(people, tmp_path / "run", CONFIG, held_out)
    apart = tuple(s for s in people.samples if (s.camera == "00") == (s.identity < "00003"))
    with pytest.raises(DataError, match="none of the 6 people held out is in two cameras"):
        check_held_out(dataclasses.replace(people, samples=apart))
    with pytest.raises(DataError, match="one person is held out, and a threshold needs at least two"):
        check_held_out(people.subset(["00000"]))
    check_held_out(dataclasses.replace(people, samples=one_camera(people, people.identities[1:])))


def test_the_model_is_written_before_it_is_evaluated(folder, tmp_path, monkeypatch):
    def fail(*_):
        raise DataError("no room")

    monkeypatch.setattr("training.trainer.evaluate_checkpoint", fail)
    training, held_out = PeopleDataset.from_folder(folder).hold_out(2, seed=0)
    with pytest.raises(DataError, match="no room"):
        train(training, tmp_path / "run", CONFIG, held_out)
    assert (tmp_path / "run" / FINAL).is_file()


def image(path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.zeros((16, 8, 3), np.uint8))


def test_a_folder_of_another_layout_is_recognised(tmp_path):
    market = tmp_path / "market"
    for part in ("bounding_box_train", "bounding_box_test", "query"):
        image(market / part / "0002_c1s1_000451_03.jpg")
    for root in (market, market / "bounding_box_train"):
        with pytest.raises(DataError, match=f"is of the dataset market1501; say so: --data market1501:{market}"):
            open_folder(root)
    prepared = market / "pytorch"
    for part in ("train_all", "gallery", "query"):
        image(prepared / part / "0002" / "0002_c1s1_000451_03.jpg")
    with pytest.raises(DataError, match=f"as another project prepared it; .* --data market1501:{market}"):
        open_folder(prepared)
    with pytest.raises(DataError, match=r"begin with the identity and not with the camera \(0002_c1s1"):
        open_folder(prepared / "train_all")
    image(tmp_path / "flat" / "0002_c1s1_000451_03.jpg")
    with pytest.raises(DataError, match=r"lie in no folder of a person .* --data market1501:PATH"):
        open_folder(tmp_path / "flat")
    image(tmp_path / "loose" / "ann.jpg")
    with pytest.raises(DataError, match=r"lie in no folder of a person \(ann\.jpg\); put each person's into one"):
        open_folder(tmp_path / "loose")
    with pytest.raises(DataError, match="no such folder"):
        open_folder(tmp_path / "none")
    image(tmp_path / "good" / "0002" / "c1_0002.jpg")
    image(tmp_path / "good" / "0003" / "0003_0002.jpg")
    assert open_folder(tmp_path / "good").identities == ("0002", "0003")


def test_weights_of_a_backbone_are_found_in_what_convert_takes(tmp_path):
    source = build_backbone("resnet18", 8)
    parts = ["conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"]
    numbered = {}
    for key, value in source.state_dict().items():
        part, _, rest = key.partition(".")
        numbered[f"base.{parts.index(part)}.{rest}"] = value
    numbered |= {"conv1.weight": torch.zeros(4, 64, 1, 1), "bn.weight": torch.zeros(64)}  # of another branch
    torch.save({"state_dicts": [{f"module.{key}": value for key, value in numbered.items()}, {}]}, tmp_path / "a.pth")
    backbone = build_backbone("resnet18", 8)
    assert load_weights(backbone, tmp_path / "a.pth") == (["bn.weight"], [])
    assert all(torch.equal(backbone.state_dict()[key], value) for key, value in source.state_dict().items())
