"""The entry point: embed, enrol, match, with a small converted model."""

from dataclasses import replace

import numpy as np
import pytest

from sdk import Features, Gallery, Match, ReIdentifier
from sdk.engines import Metadata, load_engine
from sdk.errors import CropError, EngineError
from sdk.folder import read_folder, read_image


@pytest.fixture(scope="module")
def people(drawn_people):
    """Crops by identity and camera."""
    crops = {}
    for sample in read_folder(drawn_people):
        crops.setdefault((sample.identity, sample.camera), []).append(read_image(sample.path))
    return crops


@pytest.fixture
def reid(small_onnx):
    return ReIdentifier(small_onnx, threshold=0.5)


def test_embed_gives_unit_vectors_that_do_not_depend_on_the_batch(reid, people):
    crops = [crop for group in people.values() for crop in group][:70]
    features = reid.embed(crops)
    assert isinstance(features, Features)
    assert len(features) == 70
    assert features.embedding.dtype == np.float32
    assert features.stripes is None
    np.testing.assert_allclose(np.linalg.norm(features.embedding, axis=1), 1, atol=1e-5)
    for i in (0, 63, 64, 69):  # 64 is the largest batch of one engine call
        np.testing.assert_allclose(reid.embed([crops[i]]).embedding[0], features.embedding[i], atol=1e-5)


def test_an_enrolled_crop_is_recognised_and_an_unlike_one_is_not(reid, people):
    (ann, camera), crops = next(iter(people.items()))
    reid.enroll(crops, identity=ann, camera=camera, time=12.5)
    (match,) = reid.match(crops[:1])
    assert isinstance(match, Match)
    assert match.identity == ann
    assert match.distance < 1e-5
    assert (match.candidates[0].camera, match.candidates[0].time) == (camera, 12.5)

    reid.threshold = -1.0  # nothing can be this near
    (match,) = reid.match(crops[:1])
    assert match.identity is None
    assert match.candidates[0].identity == ann, "an unknown still shows whom it resembles"


def test_matches_come_in_order_with_top_k_candidates(reid, people):
    first = {identity: crops for (identity, camera), crops in people.items() if camera == "00" or camera == "01"}
    for identity, crops in list(first.items())[:6]:
        reid.enroll(crops[:1], identity=identity)
    queries = [crops[0] for crops in list(first.values())[:6]]
    matches = reid.match(queries, top_k=3)
    assert [m.identity for m in matches] == list(first)[:6]
    assert all(len(m.candidates) == 3 for m in matches)
    assert all(list(m.candidates) == sorted(m.candidates, key=lambda c: c.distance) for m in matches)


def test_a_camera_narrows_the_search(reid, people):
    (ann, camera), crops = next(iter(people.items()))
    reid.enroll(crops, identity=ann, camera=camera)
    assert reid.match(crops[:1], camera=camera)[0].identity == ann
    assert reid.match(crops[:1], camera="elsewhere")[0].candidates == ()


def test_an_empty_gallery_matches_nobody(reid, people):
    (match,) = reid.match(next(iter(people.values()))[:1])
    assert match == Match(None, float("inf"), ())


def test_a_bad_crop_enrols_nobody(reid, people):
    good = next(iter(people.values()))[0]
    with pytest.raises(CropError, match="crop 1"):
        reid.enroll([good, good.astype(np.float32)], identity="ann")
    assert reid.gallery.identities() == []


def test_a_gallery_can_be_shared(small_onnx, people):
    gallery = Gallery()
    crops = next(iter(people.values()))
    ReIdentifier(small_onnx, gallery).enroll(crops, identity="ann")
    assert ReIdentifier(small_onnx, gallery).match(crops[:1])[0].identity == "ann"


def test_the_thresholds_are_the_models_unless_given(small_onnx):
    engine = load_engine(small_onnx)
    assert {"value", "tracklet_value"} <= set(engine.metadata.threshold)
    engine.metadata = replace(engine.metadata, threshold={"value": 0.2, "tracklet_value": 0.3})
    reid = ReIdentifier(engine)
    assert (reid.threshold, reid.tracklet_threshold) == (0.2, 0.3)
    reid = ReIdentifier(small_onnx, threshold=0.25)
    assert reid.threshold == reid.tracklet_threshold == 0.25


def test_a_model_without_threshold_asks_for_one(small_onnx):
    engine = load_engine(small_onnx)
    engine.metadata = Metadata("resnet18", (64, 32), 64, "fp32")
    with pytest.raises(EngineError, match="threshold="):
        ReIdentifier(engine)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.onnx", None, "no such model"),
        ("broken.onnx", b"\x08\x07truncated", "cannot load"),
        ("weights.pt", b"PK\x03\x04", "unknown kind"),
        ("model.engine", b"ftrt", "only 4 bytes of a TensorRT plan"),
    ],
)
def test_an_unusable_model_file_is_named(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(EngineError, match=message) as caught:
        load_engine(path)
    assert name in str(caught.value)


def test_a_foreign_or_newer_onnx_file_is_refused(tmp_path, small_onnx):
    import onnx

    proto = onnx.load(small_onnx)
    path = tmp_path / "other.onnx"
    onnx.helper.set_model_props(proto, {"aligned_reid": '{"schema": 99}'})
    onnx.save(proto, path)
    with pytest.raises(EngineError, match="schema 99"):
        load_engine(path)
    onnx.helper.set_model_props(proto, {"aligned_reid": '{"schema": 1}'})
    onnx.save(proto, path)
    with pytest.raises(EngineError, match="damaged"):
        load_engine(path)
    del proto.metadata_props[:]
    onnx.save(proto, path)
    with pytest.raises(EngineError, match="no AlignedReID metadata"):
        load_engine(path)
