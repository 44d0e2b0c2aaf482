"""`reid align`: the path in the picture is the one that is priced, and the picture shows it."""

import cv2
import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner

from sdk.canvas import SHARPNESS, Canvas, text_width
from sdk.distances import local_distance
from sdk.errors import DataError
from sdk.preprocess import to_batch
from sdk.simulation.crops import draw_crop
from training.alignment import Alignment, align_crops, draw_alignment
from training.alignment.picture import BODY, FARTHEST, PATH, colour_of
from training.checkpoint import load_checkpoint
from training.commands import register
from training.start import SHIPPED

SIZE = (128, 64)


@pytest.fixture(scope="module")
def crops() -> tuple[np.ndarray, np.ndarray]:
    return draw_crop(5, 0, 0, 0, SIZE, 0.0), draw_crop(5, 0, 1, 0, SIZE, 1.0)


@pytest.fixture(scope="module")
def model():
    return load_checkpoint(SHIPPED).build_model()


def shifted() -> Alignment:
    """B is A, one stripe lower: d(i, i + 1) is 0 and everything else far."""
    element = np.full((8, 8), 0.6, np.float32)
    element[np.arange(7), np.arange(1, 8)] = 0.0
    return Alignment(element, 0.25)


def test_the_measures_are_those_of_the_network(model, crops):
    alignment = align_crops(model, *crops)
    with torch.inference_mode():
        outputs = model(torch.from_numpy(to_batch(crops, SIZE)))
    stripes, embedding = outputs.stripes.numpy(), outputs.embedding.numpy()
    assert alignment.element.shape == (8, 8)
    assert alignment.local == pytest.approx(local_distance(stripes[:1], stripes[1:])[0, 0], abs=1e-5)
    assert alignment.local_step == pytest.approx(alignment.local / 15)
    assert alignment.cosine == pytest.approx(1 - embedding[0] @ embedding[1], abs=1e-6)
    assert alignment.element.max() <= FARTHEST + 1e-4


def test_a_crop_is_at_no_distance_from_itself(model, crops):
    alignment = align_crops(model, crops[0], crops[0])
    assert alignment.straight_step == pytest.approx(0, abs=2e-3)  # the root of a rounding error
    assert alignment.cosine == pytest.approx(0, abs=1e-6)


def test_alignment_follows_a_shift_that_comparing_in_place_cannot():
    alignment = shifted()
    assert {(i, i + 1) for i in range(7)} < {tuple(cell) for cell in alignment.path.tolist()}
    assert alignment.local_step < 0.6 * alignment.straight_step


def test_near_is_dark_and_far_is_light():
    brightness = colour_of(np.linspace(0, FARTHEST, 20)).astype(int).sum(-1)
    assert (np.diff(brightness) > 0).all()
    assert (colour_of(2.0) == colour_of(FARTHEST)).all()


def test_the_path_is_outlined_in_the_matrix(crops):
    """Of every cell on the path some side is drawn in the path's colour; cells away from it have none."""
    alignment = shifted()
    picture = draw_alignment(alignment, *crops, ("a", "b"), SIZE).astype(int)
    marked = np.abs(picture - np.array(PATH)).max(-1) < 40
    rows, columns = np.nonzero(marked)
    left, top, cell = columns.min() + 2, rows.min() + 2, BODY / 8
    path = {tuple(cell) for cell in alignment.path.tolist()}
    touching = {(i + di, j + dj) for i, j in path for di in (-1, 0, 1) for dj in (-1, 0, 1)}
    for i, j in np.ndindex(8, 8):
        square = marked[round(top + i * cell) : round(top + (i + 1) * cell)][
            :, round(left + j * cell) : round(left + (j + 1) * cell)
        ]
        if (i, j) in path:
            assert square.sum() > cell, (i, j)
        elif (i, j) not in touching:
            assert not square.any(), (i, j)


def test_a_line_joins_the_stripes_of_a_near_pair(crops):
    """Between the crops the dark lines run from stripe i of A down to stripe i + 1 of B."""
    alignment = shifted()
    picture = draw_alignment(alignment, *crops, ("a", "b"), SIZE).astype(int)
    near = tuple(map(int, colour_of(0.0)))
    gap = picture[:, 64 + 256 + 10 : 64 + 256 + 210]
    dark = np.abs(gap - np.array(near)).max(-1) < 40
    leaving, arriving = (np.flatnonzero(dark[:, x]) for x in (0, 199))
    assert len(leaving)
    assert arriving.mean() - leaving.mean() == pytest.approx(BODY / 8 * 199 / 220, abs=3)


@pytest.mark.parametrize("stripes", [4, 7, 16])
def test_any_number_of_stripes_is_drawn(stripes, crops):
    element = np.random.default_rng(0).uniform(0, FARTHEST, (stripes, stripes)).astype(np.float32)
    picture = draw_alignment(Alignment(element, 0.5), *crops, ("a", "b"), (stripes * 16, stripes * 8))
    assert picture.dtype == np.uint8
    border = np.concatenate(
        [picture[:8].ravel(), picture[-8:].ravel(), picture[:, :8].ravel(), picture[:, -8:].ravel()]
    )
    assert (border == 255).all()  # nothing runs over the edge


def test_a_long_name_is_cut_to_its_room():
    canvas = Canvas(40, 300)
    canvas.text(10, 20, "a very long name of a file " * 5, 11, room=200)
    columns = np.flatnonzero((canvas.finished() < 200).any((0, 2)))
    assert 150 < columns.max() <= 212
    assert text_width("abc", 11) < text_width("abcd", 11)
    assert canvas.image.shape == (40 * SHARPNESS, 300 * SHARPNESS, 3)


@pytest.fixture
def files(tmp_path, crops):
    for name, crop in zip("ab", crops, strict=True):
        cv2.imwrite(str(tmp_path / f"{name}.png"), crop)
    return tmp_path


def command(*arguments):
    app = typer.Typer()
    register(app)
    return CliRunner().invoke(app, ["align", *map(str, arguments)])


def test_the_command_writes_the_picture(files):
    result = command(files / "a.png", files / "b.png", "-o", files / "out.png")
    assert result.exit_code == 0, result.output
    assert cv2.imread(str(files / "out.png")).shape[0] == 706


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a.png", "b.png", "-o", "out.gif"), ".png or .jpg"),
        (("a.png", "nobody.png", "-o", "out.png"), "nobody.png"),
        (("a.png", "b.png", "-o", "out.png", "--model", "model.onnx"), "no local branch"),
        (("a.png", "b.png", "-o", "a.png/out.png"), "cannot be written"),
    ],
)
def test_what_cannot_be_drawn_is_said(files, monkeypatch, arguments, message):
    monkeypatch.chdir(files)
    result = command(*arguments)
    assert isinstance(result.exception, DataError)
    assert message in str(result.exception)


def test_a_model_without_a_trained_local_branch_is_refused(files, small_run):
    from training.checkpoint import save_checkpoint

    checkpoint = load_checkpoint(small_run / "model.pt")
    untrained = checkpoint.config.to_dict()
    untrained["train"]["local_weight"] = 0.0
    checkpoint.config = type(checkpoint.config).from_dict(untrained)
    save_checkpoint(checkpoint, files / "global.pt")
    result = command(files / "a.png", files / "b.png", "-o", files / "out.png", "--model", files / "global.pt")
    assert "not trained" in str(result.exception)
