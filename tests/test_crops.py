"""What else may be a crop: files, PIL's images, tensors; and `reid embed`, for who only wants features."""

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from sdk import ReIdentifier, as_crops
from sdk.cli import build_app
from sdk.errors import CropError, DataError


@pytest.fixture(scope="module")
def crop(drawn_people) -> Path:
    return drawn_people / "00000" / "00_00.png"


@pytest.fixture(scope="module")
def reid(small_onnx) -> ReIdentifier:
    return ReIdentifier(small_onnx)


def test_files_and_images_of_pil_are_crops(crop, reid):
    pil = pytest.importorskip("PIL.Image")
    expected = reid.embed([cv2.imread(str(crop))]).embedding
    image = pil.open(crop)
    for given in ([crop], [str(crop)], [image], as_crops([image.convert("RGBA")]), as_crops([crop], color="rgb")):
        np.testing.assert_allclose(reid.embed(given).embedding, expected, atol=1e-6)
    for one in (crop, str(crop), image, None, 5):
        with pytest.raises(CropError, match=r"crops is (one image|a NoneType|a int); pass a list of crops: \[crop\]"):
            reid.embed(one)
    with pytest.raises(DataError, match=r"absent\.png: cannot be read"):
        reid.embed(["absent.png"])
    reid.enroll([image], identity="ann")
    assert reid.match([crop])[0].identity == "ann"


def test_a_photograph_lying_on_its_side_is_turned(tmp_path):
    pil = pytest.importorskip("PIL.Image")
    image = pil.new("RGB", (30, 20), (250, 10, 20))
    exif = pil.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "side.png", exif=exif)
    (turned,) = as_crops([pil.open(tmp_path / "side.png")])
    assert turned.shape == (30, 20, 3)
    assert turned[0, 0].tolist() == [20, 10, 250]


def test_of_tensors_the_order_of_channels_has_to_be_said(crop, reid):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    bgr = cv2.imread(str(crop))
    rgb = torch.from_numpy(bgr[..., ::-1].copy()).permute(2, 0, 1)
    for given in (rgb[None], [rgb], torch.stack([rgb, rgb]), [rgb.permute(1, 2, 0)]):
        found = as_crops(given, color="rgb")
        assert all(np.array_equal(image, bgr) for image in found)
        assert len(found) == len(given)
    np.testing.assert_array_equal(as_crops([rgb.flip(0)], color="bgr")[0], bgr)
    for given in (rgb[None], [rgb]):
        with pytest.raises(CropError, match=r"crop 0: is a tensor, .* as_crops\(tensors, color='rgb'\)"):
            reid.embed(given)
    with pytest.raises(CropError, match=r"crop 0: is a tensor of float32; pass uint8 .*\.byte\(\)"):
        as_crops([rgb / 255], color="rgb")
    with pytest.raises(CropError, match="color is 'gbr'; say 'bgr' or 'rgb'"):
        as_crops([rgb], color="gbr")


def test_arrays_stay_as_they_are_unless_they_are_said_to_be_rgb(reid):
    batch = np.random.default_rng(0).integers(0, 256, (2, 64, 32, 3), np.uint8)
    assert as_crops(batch) is batch
    for found in (as_crops(batch, color="rgb"), as_crops(list(batch), color="rgb")):
        np.testing.assert_array_equal(np.stack(found), batch[..., ::-1])
    np.testing.assert_array_equal(as_crops([batch[0].transpose(2, 0, 1)], color="bgr")[0], batch[0])
    with pytest.raises(CropError, match=r"crop 1: is a int, .*sdk\.as_crops"):
        reid.embed([batch[0], 3])


def test_the_sdk_asks_for_neither_library():
    assert not {"torch", "PIL"} & {name for name, module in vars(sys.modules["sdk.crops"]).items() if module}


@pytest.fixture
def run(small_onnx):
    app = build_app()

    def invoke(*words):
        result = CliRunner().invoke(app, ["embed", "--model", str(small_onnx), *map(str, words)])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke


def test_embed_writes_features_with_their_names(run, drawn_people, reid, tmp_path):
    run(drawn_people, "-o", tmp_path / "all.npz")
    with np.load(tmp_path / "all.npz", allow_pickle=False) as saved:
        names, embedding = saved["names"].tolist(), saved["embedding"]
        assert str(saved["model"]) == reid.engine.metadata.checkpoint_sha256
    assert names == sorted(path.relative_to(drawn_people).as_posix() for path in drawn_people.rglob("*.png"))
    assert len(names) > 64, "more than one batch"
    np.testing.assert_allclose(embedding[70:71], reid.embed([drawn_people / names[70]]).embedding, atol=1e-5)

    listed = tmp_path / "some.txt"
    listed.write_text(f"{drawn_people / names[3]}\n\n{drawn_people / names[1]}\n")
    run(listed, drawn_people / names[0], "-o", tmp_path / "other.npy")
    assert (tmp_path / "other.txt").read_text().splitlines()[1] == str(drawn_people / names[1])
    np.testing.assert_allclose(np.load(tmp_path / "other.npy"), embedding[[3, 1, 0]], atol=1e-5)
    with pytest.raises(DataError, match=r"some\.txt: is read as .*choose another path"):
        run(listed, "-o", tmp_path / "some.npy")


def test_embed_names_what_it_cannot_take_and_writes_nothing(run, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    cv2.imwrite(str(folder / "a.png"), np.zeros((64, 32, 3), np.uint8))
    cv2.imwrite(str(folder / "b.png"), np.zeros((4, 3, 3), np.uint8))
    for out, words, said in (
        ("f.npz", [folder], r"b\.png: is 3×4 pixels; .*; leave it out"),
        ("f.csv", [folder / "a.png"], r"f\.csv: features are written to \.npz"),
        ("f.npz", [tmp_path / "none"], "no such image, folder or list"),
        ("images/a.txt", [folder / "a.png"], "written to .npz"),
    ):
        with pytest.raises(DataError, match=said):
            run(*words, "-o", tmp_path / out)
    (folder / "empty").mkdir()
    with pytest.raises(DataError, match="no images in it"):
        run(folder / "empty", "-o", tmp_path / "f.npz")
    (folder / "b.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"b\.png: not a readable image"):
        run(folder, "-o", tmp_path / "f.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["images"]
