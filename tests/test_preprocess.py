"""Bad crops get an error that names the crop and the remedy; good ones of any size fit the engine."""

import numpy as np
import pytest

from sdk.errors import CropError, ReIDError
from sdk.preprocess import resize, to_batch

GOOD = np.zeros((60, 30, 3), np.uint8)

BAD = {
    "none": (None, "None"),
    "a path": ("crop.png", "str"),
    "empty": (np.zeros((0, 30, 3), np.uint8), "clip the box"),
    "grey": (np.zeros((60, 30), np.uint8), "COLOR_GRAY2BGR"),
    "float": (np.zeros((60, 30, 3), np.float32), "0 to 255"),
    "four channels": (np.zeros((60, 30, 4), np.uint8), r"drop alpha"),
    "channels first": (np.zeros((3, 60, 30), np.uint8), "transpose"),
    "a batch": (np.zeros((2, 60, 30, 3), np.uint8), r"\[H, W, 3\]"),
    "tiny": (np.zeros((60, 7, 3), np.uint8), "8×8"),
}


@pytest.mark.parametrize("name", BAD)
def test_one_bad_crop_among_good_ones_is_named_with_its_remedy(name):
    crop, remedy = BAD[name]
    with pytest.raises(CropError, match=remedy) as caught:
        to_batch([GOOD, GOOD, crop, GOOD], (128, 64))
    assert str(caught.value).startswith("crop 2:")
    assert "1 of 4" in str(caught.value)


def test_all_bad_crops_are_counted():
    with pytest.raises(CropError, match=r"2 of 3 crops are unusable: 0, 2"):
        to_batch([GOOD[:0], GOOD, None], (128, 64))


def test_an_empty_list_and_a_bare_image_are_refused():
    with pytest.raises(CropError, match="empty"):
        to_batch([], (128, 64))
    for one in (GOOD, np.array(5)):
        with pytest.raises(CropError, match=r"\[crop\]"):
            to_batch(one, (128, 64))


def test_the_error_is_also_what_python_users_expect():
    assert issubclass(CropError, ValueError)
    assert issubclass(CropError, ReIDError)


def test_crops_of_any_size_become_one_batch_in_order():
    crops = [
        np.full((h, w, 3), value, np.uint8) for h, w, value in [(8, 8, 1), (300, 120, 2), (128, 64, 3), (50, 99, 4)]
    ]
    batch = to_batch(crops, (128, 64))
    assert batch.shape == (4, 128, 64, 3)
    assert batch.dtype == np.uint8
    assert [int(row.mean()) for row in batch] == [1, 2, 3, 4]


def test_a_view_of_a_frame_needs_no_copy_by_the_caller():
    frame = np.random.default_rng(0).integers(0, 256, (100, 200, 3), np.uint8)
    view = frame[10:90, 20:60]
    np.testing.assert_array_equal(to_batch([view], (64, 32)), to_batch([view.copy()], (64, 32)))


def test_shrinking_does_not_alias():
    """A fine check pattern becomes grey, not a coarser pattern."""
    checks = np.indices((256, 128)).sum(axis=0) % 2 * 255
    small = resize(np.repeat(checks[..., None], 3, axis=2).astype(np.uint8), (64, 32))
    assert small.std() < 2
