"""Other projects' ONNX files: right whatever their batch, output, opset and range, or refused in one line."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from converters import plausible
from converters.authors import Authors
from converters.convert import ConvertOptions, convert
from converters.foreign import read_foreign_onnx
from converters.verify import Crops, Ranking, compare_features, compare_ranking
from sdk import ReIdentifier
from sdk.engines.onnx import open_session
from sdk.errors import DataError, EngineError

SIZE = (16, 8)
DIMENSION = 12
RNG = np.random.RandomState(0)
WEIGHTS = {
    "conv": RNG.standard_normal((8, 3, 3, 3)).astype(np.float32) / 4,
    "linear": RNG.standard_normal((8, DIMENSION)).astype(np.float32),
    "scores": RNG.standard_normal((DIMENSION, 40)).astype(np.float32),
    "ones": np.ones(8, np.float32),
    "zeros": np.zeros(8, np.float32),
    "mean": np.float32([123.675, 116.28, 103.53]).reshape(1, 3, 1, 1),
    "std": np.float32([58.395, 57.12, 57.375]).reshape(1, 3, 1, 1),
    "white": np.float32([255]),
}
TORCHREID = Authors(project="torchreid")


@pytest.fixture(scope="module")
def people() -> Crops:
    """Colours that differ from top to bottom, in twelve ways, each in two cameras."""
    rng = np.random.RandomState(5)
    images, ids, cameras = [], [], []
    for person in range(12):
        top, bottom = rng.randint(0, 256, (2, 1, 1, 3))
        for camera in range(2):
            image = np.where(np.arange(SIZE[0])[:, None, None] < 8, top, bottom) + np.zeros((1, SIZE[1], 1))
            images.append(np.clip(image + rng.randint(-20, 21, image.shape), 0, 255).astype(np.uint8))
            ids.append(str(person))
            cameras.append(str(camera))
    return Crops(images, [f"{a}/{b}" for a, b in zip(ids, cameras, strict=True)], np.array(ids), np.array(cameras))


def write(path, *, batch="n", inside=(), normalise=(), reshape=None, scores=False, kind=TensorProto.FLOAT, opset=17):
    """A network as other projects export them. `inside`: (kind of node, name of its constant) ahead of everything."""
    nodes, last = [], "image"
    if kind == TensorProto.UINT8:
        nodes.append(helper.make_node("Cast", [last], ["cast"], to=TensorProto.FLOAT))
        last = "cast"
    for place, (operation, constant) in enumerate(inside):
        nodes.append(helper.make_node(operation, [last, constant], [f"inside{place}"]))
        last = f"inside{place}"
    nodes.append(helper.make_node("Conv", [last, "conv"], ["c"], strides=[2, 2]))
    last = "c"
    for node in normalise:
        nodes.append(node)
        last = node.output[0]
    nodes += [helper.make_node("Relu", [last], ["r"]), helper.make_node("GlobalAveragePool", ["r"], ["p"])]
    shape = [np.array(reshape if reshape else [0, 8], np.int64)]
    nodes += [helper.make_node("Reshape", ["p", "shape"], ["f"]), helper.make_node("MatMul", ["f", "linear"], ["out"])]
    outputs = [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)]
    if scores:
        nodes.append(helper.make_node("MatMul", ["out", "scores"], ["logits"]))
        outputs.insert(0, helper.make_tensor_value_info("logits", TensorProto.FLOAT, None))
    constants = [numpy_helper.from_array(value, name) for name, value in (WEIGHTS | {"shape": shape[0]}).items()]
    image = helper.make_tensor_value_info("image", kind, [batch, 3, *SIZE])
    graph = helper.make_graph(nodes, "theirs", [image], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.save(model, path)
    return path


def expected(people: Crops, authors: Authors, **network) -> np.ndarray:
    """Of the network with a free batch, each crop alone, its images prepared by hand."""
    images = np.stack(people.images)[..., ::-1].astype(np.float64) / 255
    images = (images - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    nodes = images.transpose(0, 3, 1, 2).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(nodes, (3, 3), axis=(2, 3))[:, :, ::2, ::2]
    maps = np.maximum(np.einsum("nchwij,ocij->nohw", windows, WEIGHTS["conv"]), 0)
    features = maps.mean((2, 3)) @ WEIGHTS["linear"]
    return features / np.linalg.norm(features, axis=1, keepdims=True)


def converted(path, people, authors, tmp_path):
    done = convert(path, tmp_path / "ours.onnx", people, ConvertOptions(authors=authors))
    embedding = ReIdentifier(tmp_path / "ours.onnx", threshold=0.5).embed(people.images).embedding
    np.testing.assert_allclose(embedding, expected(people, authors), atol=1e-4)
    return done


@pytest.mark.parametrize("batch", [1, 2, 5])
@pytest.mark.parametrize("rest", [[8], [-1]])
def test_a_fixed_batch_is_made_free(batch, rest, people, tmp_path):
    """A reshape that names the batch would fold crops into each other, or fail."""
    path = write(tmp_path / "theirs.onnx", batch=batch, reshape=[batch, *rest])
    done = converted(path, people, TORCHREID, tmp_path)
    assert any(f"exported for batches of {batch}; made free" in note for note in done.notes)


def test_a_batch_that_cannot_be_freed_is_refused(people, tmp_path):
    sum_of_all = helper.make_node("Add", ["c", "offsets"], ["a"])
    WEIGHTS_OF_TWO = numpy_helper.from_array(RNG.standard_normal((2, 8, 1, 1)).astype(np.float32), "offsets")
    path = write(tmp_path / "theirs.onnx", batch=2, normalise=[sum_of_all])
    model = onnx.load(path)
    model.graph.initializer.append(WEIGHTS_OF_TWO)
    onnx.save(model, path)
    with pytest.raises(DataError, match=r"for batches of 2 and cannot be made free .* dynamic_axes=\{'image'"):
        convert(path, tmp_path / "ours.onnx", people, ConvertOptions(authors=TORCHREID))


def test_of_several_outputs_somebody_chooses(people, tmp_path):
    path = write(tmp_path / "theirs.onnx", scores=True)
    with pytest.raises(DataError, match=r"2 outputs \(logits .*, out .*--output-name NAME"):
        read_foreign_onnx(path, TORCHREID)
    with pytest.raises(DataError, match=r"--output-name features: .* has logits"):
        read_foreign_onnx(path, Authors(project="torchreid", output_name="features"))
    converted(path, people, Authors(project="torchreid", output_name="out"), tmp_path)


@pytest.mark.parametrize(
    ("inside", "white"),
    [
        ([("Sub", "mean"), ("Div", "std")], 255),
        ([("Div", "white"), ("Sub", "mean1"), ("Div", "std1")], 255),
        ([("Sub", "mean1"), ("Div", "std1")], 1),
    ],
)
def test_a_normalisation_inside_is_found_and_not_done_twice(inside, white, people, tmp_path, monkeypatch):
    monkeypatch.setitem(WEIGHTS, "mean1", WEIGHTS["mean"] / np.float32(255))
    monkeypatch.setitem(WEIGHTS, "std1", WEIGHTS["std"] / np.float32(255))
    path = write(tmp_path / "theirs.onnx", inside=inside)
    for authors in (Authors(project="fast-reid"), Authors("rgb"), TORCHREID, Authors(value_range=white)):
        done = converted(path, people, authors, tmp_path)
        assert any("normalises its input inside (" in note for note in done.notes)
    for authors in (Authors(mean=(0.5, 0.5, 0.5)), Authors(project="fast-reid", std=(1.0, 1.0, 1.0))):
        with pytest.raises(DataError, match=r"inside .* would do it twice; leave them away"):
            read_foreign_onnx(path, authors)
    with pytest.raises(DataError, match=f"where white is {white}; leave --value-range away"):
        read_foreign_onnx(path, Authors(value_range=256 - white))


def test_a_scale_of_all_pixels_is_a_normalisation_too(tmp_path):
    path = write(tmp_path / "theirs.onnx", inside=[("Div", "white")])
    assert "values 0 to 255, mean (0, 0, 0)" in read_foreign_onnx(path, Authors("rgb")).authors.describe()


def norm(*outputs, **attributes):
    return helper.make_node("BatchNormalization", ["c", "ones", "zeros", "zeros", "ones"], list(outputs), **attributes)


def test_training_mode_is_refused(tmp_path):
    path = tmp_path / "theirs.onnx"
    for node in (norm("b", "m", "v", training_mode=1), helper.make_node("Dropout", ["c", "", "on"], ["b"])):
        write(path, normalise=[node])
        model = onnx.load(path)
        model.graph.initializer.append(numpy_helper.from_array(np.array(True), "on"))
        onnx.save(model, path)
        with pytest.raises(DataError, match=rf"in training mode \({node.op_type} b\).* after model\.eval\(\)"):
            read_foreign_onnx(path, TORCHREID)
    read_foreign_onnx(write(path, normalise=[norm("b")]), TORCHREID)


def test_other_numbers_than_float32(people, tmp_path):
    path = write(tmp_path / "theirs.onnx", inside=[("Sub", "mean"), ("Div", "std")], kind=TensorProto.UINT8)
    converted(path, people, Authors("rgb"), tmp_path)
    with pytest.raises(DataError, match="takes uint8, so it scales and normalises by itself; leave --std away"):
        read_foreign_onnx(path, Authors(std=(1.0, 1.0, 1.0)))
    model = onnx.load(write(path))
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    model.graph.node.insert(0, helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT))
    model.graph.node[1].input[0] = "float"
    onnx.save(model, path)
    with pytest.raises(DataError, match="takes float16; export it in float32, and let --fp16"):
        read_foreign_onnx(path, TORCHREID)


@pytest.mark.parametrize("opset", [9, 11])
def test_older_files_are_brought_up(opset, people, tmp_path):
    """Before version 4 of the file's form, weights had to be inputs too."""
    path = write(tmp_path / "theirs.onnx", opset=opset)
    model = onnx.load(path)
    model.ir_version = 3
    for tensor in model.graph.initializer:
        model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    onnx.save(model, path)
    converted(path, people, TORCHREID, tmp_path)


def test_more_inputs_than_an_image_are_named(tmp_path):
    path = write(tmp_path / "theirs.onnx")
    model = onnx.load(path)
    model.graph.input.append(helper.make_tensor_value_info("camera", TensorProto.INT64, [1]))
    model.graph.node.append(helper.make_node("Identity", ["camera"], ["same"]))
    model.graph.output.append(helper.make_tensor_value_info("same", TensorProto.INT64, [1]))
    onnx.save(model, path)
    with pytest.raises(DataError, match=r"one image input is needed; it has 2: image .*, camera "):
        read_foreign_onnx(path, Authors(project="torchreid", output_name="out"))


def test_crops_that_are_all_alike_are_a_doubt(people, tmp_path):
    """Images whose white is 1 where 255 was meant: it agrees with the same reading of it, and sees nothing."""
    path = write(tmp_path / "theirs.onnx")
    dark = Authors("rgb", mean=(-99.0, -99.0, -99.0), std=(1.0, 1.0, 1.0), value_range=1)
    done = convert(path, tmp_path / "ours.onnx", people, ConvertOptions(authors=dark))
    assert done.agreement.cosine.min() > 0.9999
    assert any(note.startswith("doubt: all crops look alike to it") and "--value-range" in note for note in done.notes)
    done = convert(path, tmp_path / "ours.onnx", people, ConvertOptions(authors=TORCHREID))
    assert not any("doubt" in note for note in done.notes)


def test_each_doubt_and_each_refusal():
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (16, 8, 3), np.uint8) for _ in range(24)]
    ids, cameras = np.arange(24) // 2, np.arange(24) % 2
    crops = Crops(images, [str(i) for i in range(24)], ids, cameras)

    def unit(features):
        return features / np.linalg.norm(features, axis=1, keepdims=True)

    def half(batch):  # sees the left half alone, so a mirrored crop is somebody else
        return unit(np.stack([image[:, :4].ravel() / 127.5 - 1 for image in batch]))

    def good(batch):
        return unit(np.stack([np.r_[image.mean(1).ravel(), image.std(1).ravel()] - 100 for image in batch]))

    def line(batch):  # one way to differ
        return unit(np.stack([[1, image.mean() / 10 - 12.7, 0] for image in batch]))

    assert plausible.doubts(good, crops, None, True) == ()
    for embed, said in ((half, "near to their own mirror image"), (line, "ways only")):
        (doubt,) = plausible.doubts(embed, crops, None, foreign=False)
        assert said in doubt
        assert doubt.endswith("is it trained?")
    guess = Ranking((0.1, 0.1), (0.2, 0.2), 24)
    assert plausible.rank1_by_chance(ids, cameras) == pytest.approx(1 / 12)
    assert any("hardly better than by chance" in doubt for doubt in plausible.doubts(good, crops, guess, True))
    for embed in (good, half):
        plausible.check_alone(embed, crops, "fp32", "it")
    with pytest.raises(EngineError, match="a crop alone has other features than the same one in a batch"):
        plausible.check_alone(lambda batch: unit(good(batch) - good(batch).mean(0) + 1e-3), crops, "fp32", "it")
    for features in (np.full((3, 4), np.nan), np.zeros((3, 4))):
        with pytest.raises(EngineError, match="features of 3 of 3 crops are no numbers or zero"):
            plausible.check_features(features, "it")


def test_rank_1_is_of_unit_length_on_both_sides(people):
    """Lengths that differ from crop to crop say nothing of people, and are no loss of the converted model."""
    features = expected(people, TORCHREID)
    long = features * np.random.default_rng(0).uniform(0.1, 10, (len(features), 1))
    ranking = compare_ranking(compare_features(long, features), people)
    assert ranking.rank1[0] == ranking.rank1[1] > 0.5


def test_a_graph_of_our_own_was_not_copied():
    with pytest.raises(EngineError, match="ONNX Runtime cannot load it") as found:
        open_session(b"no graph")
    assert "copied" not in str(found.value)
