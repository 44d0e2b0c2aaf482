"""Crops by frame and box: which pixels they are, what is refused, and that nothing else depends on how they came."""

import numpy as np
import pytest

from sdk.cutting import corners, cut_out
from sdk.errors import CropError
from sdk.reidentifier import ReIdentifier


@pytest.fixture(scope="module")
def frames() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {name: rng.integers(0, 256, (90, 120, 3), np.uint8) for name in ("dock", "lobby")}


BOXES = {"dock": [[-20.4, 10.2, 30.4, 200]], "lobby": [[0, 0, 120, 90], [100.5, 70.5, 109.4, 89.6]]}


@pytest.fixture(scope="module")
def reid() -> ReIdentifier:
    return ReIdentifier()


def test_the_pixels_of_a_box_are_those_in_the_frame(frames):
    shown = corners(np.array([[-20.4, 10.2, 30.4, 200], [130, 5, 140, 20]]), frames["dock"].shape)
    assert shown.tolist() == [[0, 10, 30, 90], [120, 5, 120, 20]]
    cuts = cut_out(frames, BOXES)
    assert cuts.cameras == ["dock", "lobby", "lobby"]
    expected = [frames["dock"][10:90, :30], frames["lobby"], frames["lobby"][70:90, 100:109]]
    assert len(cuts) == 3
    for crop, right in zip(cuts, expected, strict=True):
        np.testing.assert_array_equal(crop, right)
        assert np.shares_memory(crop, right)


def test_embedding_by_box_is_embedding_the_crops(reid, frames):
    expected = reid.embed([frames["dock"][10:90, :30], frames["lobby"], frames["lobby"][70:90, 100:109]])
    np.testing.assert_array_equal(reid.embed(frames, boxes=BOXES).embedding, expected.embedding)
    np.testing.assert_array_equal(reid.embed(reid.cut(frames, BOXES)).embedding, expected.embedding)
    one = reid.embed(frames["lobby"], "lobby", boxes=np.array(BOXES["lobby"]))
    np.testing.assert_allclose(one.embedding, expected.embedding[1:], atol=1e-6)


def test_cut_crops_are_crops_to_enroll_and_match(frames):
    """What one camera's frame shows is enrolled as seen by that camera."""
    reid = ReIdentifier()
    reid.enroll(reid.cut({"lobby": frames["lobby"]}, {"lobby": BOXES["lobby"][:1]}), identity="ann")
    reid.enroll(reid.cut(frames, BOXES), identity="everybody")
    whole = reid.cut(frames["lobby"], BOXES["lobby"][:1])
    found = {name: reid.match(whole, camera=name)[0] for name in ("lobby", "dock")}
    assert [candidate.identity for candidate in found["lobby"].candidates] == ["ann"]
    assert found["lobby"].distance == pytest.approx(0, abs=1e-6)
    assert found["dock"].candidates == ()
    assert len(reid.match(reid.cut(frames, BOXES))) == 3


def test_what_a_camera_adds_is_taken_away_by_the_frames_names(reid, frames, monkeypatch):
    asked = []

    class Statistics:
        def normalise(self, embedding, cameras):
            asked.append(list(cameras))
            return embedding

    monkeypatch.setattr(reid, "_cameras", Statistics())
    reid.embed(frames, boxes=BOXES)
    reid.embed(frames["lobby"], "yard", boxes=BOXES["lobby"])
    reid.embed(reid.cut(frames, BOXES), "all the same")
    assert asked == [["dock", "lobby", "lobby"], ["yard", "yard"], ["all the same"] * 3]


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ({"dock": [[0, 0, 50, 50], [10, 10, 11, 80]]}, "box 1 of camera 'dock' shows 1×70 pixels .*1 of 2 .*: 1"),
        ({"dock": [[200, 0, 250, 50]]}, "box 0 of camera 'dock' shows 0×50 pixels"),
        ({"dock": [[50, 50, 10, 10]]}, "shows 0×0 pixels"),
        ({"dock": [[np.nan, 0, 50, 50]]}, r"box 0 of camera 'dock' is \[nan, 0.0, 50.0, 50.0\]; leave it out"),
        ({"dock": [0, 0, 50, 50]}, r"boxes of camera 'dock' have shape \(4,\); pass xyxy \[N, 4\]"),
        ({"dock": ["left"]}, "the boxes of camera 'dock' are no numbers"),
        ({"roof": [[0, 0, 50, 50]]}, "camera 'roof', which has no frame; there are: dock, lobby"),
        ({"dock": []}, "there are no boxes; .* skip the call"),
        ([[0, 0, 50, 50]], "the boxes are a list; pass them by camera too"),
    ],
)
def test_a_box_that_shows_nobody_is_named(frames, boxes, message):
    with pytest.raises(CropError, match=message):
        cut_out(frames, boxes)


def test_what_is_no_frame_is_named(reid, frames):
    with pytest.raises(CropError, match=r"the frame of camera 'dock' is float64; pass uint8"):
        cut_out({"dock": np.zeros((90, 90, 3))}, {"dock": [[0, 0, 50, 50]]})
    with pytest.raises(CropError, match="the frame is a list, not a numpy array"):
        cut_out([frames["dock"]], [[0, 0, 50, 50]])
    with pytest.raises(CropError, match="their names are the cameras'; leave camera out"):
        cut_out(frames, BOXES, "dock")
    with pytest.raises(CropError, match=r"several go by camera: \{name: frame\}"):
        reid.embed(frames["dock"], ["dock"], boxes=BOXES["dock"])
    with pytest.raises(CropError, match=r"crops is a mapping; .* embed\(frames, boxes=…\)"):
        reid.embed(frames)
