"""Precisions, engines, re-scoring and other projects' models: what `reid convert` makes of a model."""

from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper

from converters.authors import Authors
from converters.calibrated import write_calibrated
from converters.convert import ConvertOptions, choose_target, convert
from converters.onnx_export import export_module
from converters.precision import check_range, count_half, prove_half, to_half
from converters.projects import find_backbone, prove_project
from converters.quantize import calibrate, insert, quantize
from converters.rescore_export import build_rescoring, for_plugin, rescore_graph
from converters.sources import open_source
from converters.threshold import transfer_threshold
from converters.uint8_input import cast_first
from converters.verify import MIN_COSINE, Crops, compare_features, compare_ranking, read_crops
from sdk import ReIdentifier
from sdk.calibration import CameraStatistics
from sdk.distances import local_distance_gathered
from sdk.engines import DEFAULT_MODEL, Metadata, load_engine, read_metadata
from sdk.engines.builder import BuildOptions, build_engine, build_plan
from sdk.engines.onnx import open_session
from sdk.engines.plan import find_metadata
from sdk.engines.plugin import CANDIDATES, DISTANCE, GALLERY, QUERY
from sdk.engines.seal import SEAL_KEY
from sdk.engines.versions import import_library
from sdk.errors import DataError, EngineError
from sdk.preprocess import to_batch
from tests.foreign_definitions import definition, fill, noise_crop
from tests.test_backbones import FROZEN
from training.backbones import BACKBONES, ResNet, XceptionBottleneck, build_backbone, feature_layer
from training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from training.config import ModelConfig, RunConfig
from training.model import AlignedReID
from training.start import SHIPPED


@pytest.fixture(scope="module")
def rtx():
    pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX has no package for this platform")
    return import_library("tensorrt_rtx")


@pytest.fixture(scope="module")
def crops(drawn_people) -> Crops:
    return read_crops(drawn_people, limit=48)


@pytest.fixture(scope="module")
def small_stripes(small_run, crops, tmp_path_factory) -> Path:
    """The small run with stripes, in FP32."""
    path = tmp_path_factory.mktemp("stripes") / "small.onnx"
    convert(small_run / "model.pt", path, crops, ConvertOptions(rescore=True))
    return path


@pytest.fixture(scope="module")
def small_int8(small_stripes, crops, tmp_path_factory) -> Path:
    """The same on 8-bit numbers."""
    path = tmp_path_factory.mktemp("int8") / "small.onnx"
    convert(small_stripes, path, crops, ConvertOptions("int8", tuple(crops.images)))
    return path


@pytest.fixture
def graph(small_stripes) -> onnx.ModelProto:
    return onnx.load(small_stripes)


def types(graph) -> set[int]:
    return {tensor.data_type for tensor in graph.initializer}


def test_an_fp16_engine_is_made_of_the_shipped_model(rtx, crops, tmp_path):
    options = ConvertOptions("fp16", rescore=True, target="rtx", build=BuildOptions(max_batch=16))
    done = convert(SHIPPED, tmp_path / "model.engine", each(crops, 3), options)
    names = ["model.engine", "model.onnx", "model.rescore.engine", "model.rescore.onnx"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names == sorted(file.name for file in done.files)
    assert done.agreement.cosine.min() >= MIN_COSINE["fp16"]
    metadata = read_metadata(tmp_path / "model.engine")
    assert metadata == done.metadata
    assert (metadata.precision, metadata.max_batch) == ("fp16", 16)
    assert {"sm_86", "sm_89", "sm_120"} <= set(metadata.target.split(","))
    assert (metadata.stripes, metadata.stripe_dim) == (8, 128)
    assert metadata.precision_report["weights"] > 0.999
    assert metadata.precision_report["nodes"] == 1
    half = (tmp_path / "model.onnx").stat().st_size
    whole = sum(4 * tensor.numel() for tensor in load_checkpoint(SHIPPED).build_model().state_dict().values())
    assert half < 0.51 * whole
    features = ReIdentifier(tmp_path / "model.onnx", threshold=0.5).embed(crops.images[:3])
    assert features.stripes.shape == (3, 8, 128)
    assert features.stripes.dtype == np.float16
    assert features.embedding.dtype == np.float32
    rescoring = (tmp_path / "model.rescore.engine").read_bytes()
    assert Metadata.from_json(find_metadata(rescoring), "rescore").stripes == 8


def test_a_resnet50_becomes_an_engine_in_every_precision(rtx, crops, tmp_path):
    torch.manual_seed(0)
    config = RunConfig(ModelConfig("resnet50", width=8, input_size=(64, 32)))
    save_checkpoint(Checkpoint(config, [], 0, AlignedReID(config.model).state_dict()), tmp_path / "r50.pt")
    source = tmp_path / "r50.pt"
    for precision in ("fp32", "fp16", "int8"):
        calibration = tuple(crops.images) if precision == "int8" else None
        done = convert(
            source, tmp_path / f"{precision}.engine", crops, ConvertOptions(precision, calibration, target="rtx")
        )
        assert done.agreement.cosine.min() >= MIN_COSINE[precision]
        metadata = read_metadata(tmp_path / f"{precision}.engine")
        assert (metadata.precision, metadata.backbone, metadata.embedding_dim) == (precision, "resnet50", 256)
        source = tmp_path / "fp32.onnx"
    assert metadata.precision_report["int8_layers"] > 26
    assert TensorProto.INT8 in types(onnx.load(tmp_path / "int8.onnx").graph)


def test_a_partner_of_mutual_learning_converts_alike(tmp_path, crops, monkeypatch):
    """A run hands on any of its networks as the same kind of checkpoint, whatever its backbone."""
    shallow = partial(ResNet, XceptionBottleneck, (1, 1, 1, 1))  # fast to export
    monkeypatch.setitem(BACKBONES, "resnet50-xception", shallow)
    config = RunConfig(ModelConfig("resnet50-xception", width=8, input_size=(64, 32)))
    model = AlignedReID(config.model, 3)
    save_checkpoint(Checkpoint(config, ["a", "b", "c"], 1, model.state_dict()), tmp_path / "partner.pt")
    done = convert(tmp_path / "partner.pt", tmp_path / "partner.onnx", crops, ConvertOptions("fp16", rescore=True))
    assert (done.metadata.backbone, done.metadata.stripes) == ("resnet50-xception", model.num_stripes)


def test_half_is_counted_in_the_graph_and_its_absence_is_an_error(graph):
    half = to_half(graph)
    onnx.checker.check_model(half, full_check=True)
    report = prove_half(half)
    assert report.weights > 0.98
    assert report.nodes == 1
    assert report.tensors > 0.7
    assert count_half(graph).nodes == 0
    with pytest.raises(EngineError, match=r"not half-precision: 0\.0% of the weights"):
        prove_half(graph)
    one_back = onnx.ModelProto.FromString(half.SerializeToString())
    weight = max(one_back.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    as_float = numpy_helper.from_array(numpy_helper.to_array(weight).astype(np.float32), weight.name)
    weight.CopyFrom(as_float)
    with pytest.raises(EngineError, match="not half-precision"):
        prove_half(one_back)


def test_what_does_not_fit_into_half_is_refused(graph):
    weight = next(tensor for tensor in graph.graph.initializer if tensor.name.endswith("layer1.0.conv1.weight"))
    values = numpy_helper.to_array(weight).copy()
    values[0, 0, 0, 0] = 1e6
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    with pytest.raises(EngineError, match=r"layer1\.0\.conv1\.weight is beyond FP16"):
        to_half(graph)
    with pytest.raises(EngineError, match="the activation b reaches 40000"):
        check_range({"a": 5.0, "b": 4e4}, ["a", "b"])
    with pytest.raises(EngineError, match="the activation a reaches nan"):
        check_range({"a": np.nan}, ["a"])
    assert check_range({"a": 5.0, "b": 4e4}, ["a"]) == 5


def test_int8_leaves_out_the_layers_that_bear_it_worst(graph, monkeypatch):
    """One layer whose weights are spoiled is found by measurement."""
    from converters import quantize as module

    batch = np.random.default_rng(0).integers(0, 256, (32, 64, 32, 3), np.uint8)
    (spoiled,) = [t.name for t in graph.graph.initializer if t.name.endswith("layer2.0.conv1.weight")]
    real = module._quantise_weight

    def coarse(weight, axis):
        values, scale = real(weight, axis)
        return ((values // 64) * 64, scale) if weight.shape == (16, 8, 3, 3) else (values, scale)

    monkeypatch.setattr(module, "_quantise_weight", coarse)
    done = quantize(graph, batch)
    assert spoiled in done.left_out
    assert len(done.left_out) <= 3
    assert done.mean_cosine >= module.MEAN_COSINE
    monkeypatch.setattr(
        module, "_quantise_weight", lambda weight, axis: (real(weight, axis)[0] * 0, real(weight, axis)[1])
    )
    with pytest.raises(EngineError, match="changes this model too much"):
        quantize(graph, batch)


def test_scales_are_found_on_enough_crops_only(graph):
    batch = np.random.default_rng(0).integers(0, 256, (32, 64, 32, 3), np.uint8)
    assert 0 < calibrate(graph, ["relu"], batch)["relu"] < 1
    with pytest.raises(DataError, match="5 calibration crops; INT8 needs at least 32"):
        quantize(graph, batch[:5])
    first = next(node for node in graph.graph.node if node.op_type == "Conv")
    first.input[0] = "absent"
    with pytest.raises(EngineError, match="has no activation absent"):
        insert(graph, [first.input[1]], {"absent": 1.0})


def stripes_of(rng, count: int, stripes: int) -> np.ndarray:
    values = np.maximum(rng.normal(size=(count, stripes, 128)), 0)
    return (values / np.linalg.norm(values, axis=2, keepdims=True)).astype(np.float16)


@pytest.mark.parametrize("stripes", [1, 2, 7, 8, 16])
def test_the_rescoring_graph_is_the_local_distance(stripes):
    rng = np.random.default_rng(stripes)
    graph = rescore_graph(Metadata("resnet18", (128, 64), 256, "fp32", stripes=stripes, stripe_dim=128))
    onnx.checker.check_model(graph, full_check=True)
    assert [(node.domain, node.op_type) for node in graph.graph.node] == [("reid", "AlignedLocalDistance")]
    query, gallery = stripes_of(rng, 5, stripes), stripes_of(rng, 40, stripes)
    candidates = rng.integers(-1, 40, (5, 9)).astype(np.int32)
    candidates[0, 0] = -1
    inputs = {QUERY: query, GALLERY: gallery, CANDIDATES: candidates}
    distance = open_session(graph.SerializeToString()).run([DISTANCE], inputs)[0]
    expected = local_distance_gathered(query, gallery, candidates)
    assert np.isinf(distance[candidates < 0]).all()
    np.testing.assert_allclose(distance, expected, rtol=1e-6, atol=2e-6)


def test_with_the_plugin_there_is_no_body_that_could_be_taken_for_it():
    graph = rescore_graph(Metadata("resnet18", (128, 64), 256, "fp32", stripes=8, stripe_dim=128))
    (node,) = for_plugin(graph).graph.node
    assert not for_plugin(graph).functions
    found = {attribute.name: attribute.s for attribute in node.attribute}
    assert found == {"plugin_namespace": b"reid", "plugin_version": b"1"}
    assert len(graph.functions) == 1, "the original keeps its body"


def test_the_threshold_moves_with_the_distances():
    rng = np.random.default_rng(0)
    before = rng.normal(size=(200, 32))
    before /= np.linalg.norm(before, axis=1, keepdims=True)
    common = np.ones(32) / np.sqrt(32)
    after = before + 0.2 * common  # everybody becomes more alike: distances shrink
    after /= np.linalg.norm(after, axis=1, keepdims=True)
    threshold = {"value": 0.7, "tracklet_value": 0.8, "false_match_rate": 0.01}
    moved = transfer_threshold(threshold, "int8", before, after)
    upper = np.triu_indices(200, 1)
    distances = [(1 - features @ features.T)[upper] for features in (before, after)]
    for key in ("value", "tracklet_value"):
        kept, unmoved, now = (
            (distance <= limit).mean()
            for distance, limit in zip(
                (distances[0], distances[1], distances[1]), (threshold[key], threshold[key], moved[key]), strict=True
            )
        )
        assert unmoved - kept > 0.01, "unmoved it would be wrong"
        assert abs(now - kept) < (unmoved - kept) / 3
    assert (moved["precision"], moved["fp32_value"], moved["false_match_rate"]) == ("int8", 0.7, 0.01)
    assert transfer_threshold(threshold, "int8", before[:5], after[:5]) == {**threshold, "precision": "fp32"}
    assert transfer_threshold(None, "int8", before, after) is None


def test_an_onnx_file_of_ours_goes_on_to_other_precisions_and_engines(rtx, small_stripes, crops, tmp_path):
    done = convert(small_stripes, tmp_path / "half.onnx", crops, ConvertOptions("fp16", rescore=True))
    before, after = read_metadata(small_stripes).threshold, done.metadata.threshold
    assert (after["fp32_value"], after["precision"]) == (before["value"], "fp16")
    assert after["value"] == pytest.approx(before["value"], abs=0.01)
    assert after["value"] != before["value"]
    convert(tmp_path / "half.onnx", tmp_path / "half.engine", crops, ConvertOptions(target="rtx"))
    assert read_metadata(tmp_path / "half.engine").precision == "fp16"
    assert read_metadata(tmp_path / "half.engine").threshold == after
    with pytest.raises(DataError, match="is fp16 already"):
        convert(tmp_path / "half.onnx", tmp_path / "other.onnx", crops, ConvertOptions("int8", tuple(crops.images)))
    copy = tmp_path / "same.onnx"
    copy.write_bytes(small_stripes.read_bytes())
    with pytest.raises(DataError, match="would be overwritten by its fp16 version"):
        convert(copy, tmp_path / "same.engine", crops, ConvertOptions("fp16", target="rtx"))
    with pytest.raises(DataError, match="leave the flags for other projects' models away"):
        convert(small_stripes, tmp_path / "x.onnx", crops, ConvertOptions(authors=Authors(color="rgb")))


def test_a_model_that_is_calibrated_per_camera_converts_as_its_network_does(rtx, small_onnx, crops, tmp_path):
    embedding = load_engine(small_onnx).run(to_batch(crops.images, (64, 32)))[0]
    names = np.unique(crops.cameras)
    groups = [embedding[crops.cameras == name] for name in names]
    mean, deviation = (np.stack([part(rows, axis=0) for rows in groups]) for part in (np.mean, np.std))
    statistics = CameraStatistics(tuple(names), mean, deviation + 0.01)
    source = tmp_path / "site.onnx"
    write_calibrated(small_onnx, source, {"value": 0.9}, statistics)
    done = convert(source, tmp_path / "half.engine", crops, ConvertOptions("fp16", target="rtx"))
    assert done.agreement.cosine.min() >= MIN_COSINE["fp16"]
    names = ["half.engine", "half.engine.json", "half.onnx"]
    assert [file.name for file in done.files] == names
    metadata = read_metadata(tmp_path / "half.engine")
    assert metadata.cameras == read_metadata(tmp_path / "half.onnx").cameras == statistics.to_dict()
    statistics = CameraStatistics.from_dict(metadata.cameras)
    # The threshold is one of features without their cameras, and moves with those.
    half = load_engine(tmp_path / "half.onnx").run(to_batch(crops.images, (64, 32)))[0]
    both = (statistics.normalise(features, crops.cameras) for features in (embedding, half))
    assert metadata.threshold["value"] == pytest.approx(
        transfer_threshold({"value": 0.9}, "fp16", *both)["value"], abs=1e-6
    )


def test_what_was_just_built_may_run_its_own_code(rtx, small_onnx, crops, tmp_path, monkeypatch):
    """Or an engine that is version-compatible could not be compared with its original, where there is a GPU."""
    import converters.convert as module
    from sdk.engines.gpu import Gpu

    opened = {}

    def load(path, host_code=False):
        opened[path.suffix] = host_code
        return load_engine(path.with_suffix(".onnx"))

    monkeypatch.setattr(module, "load_engine", load)
    monkeypatch.setattr(module, "find_gpu", lambda: Gpu("RTX 4090", 89, "13.0"))
    convert(small_onnx, tmp_path / "model.engine", crops, ConvertOptions(target="rtx"))
    assert opened[".engine"] is True


@pytest.mark.parametrize("max_batch", [1, 3, 64])
def test_every_precision_and_the_rescoring_build_with_every_batch(rtx, small_stripes, small_int8, max_batch):
    options = BuildOptions(max_batch=max_batch)
    for source, graph in (
        (small_stripes, None),
        (small_stripes, to_half(onnx.load(small_stripes))),
        (small_int8, None),
    ):
        content = None if graph is None else graph.SerializeToString()
        assert build_engine(source, rtx, options, content)[1].max_batch == max_batch
    metadata = read_metadata(small_stripes)
    plan = build_rescoring(rescore_graph(metadata), rtx, replace(options, version_compatible=True))
    found = Metadata.from_json(find_metadata(plan), "rescore")
    assert (found.max_batch, found.stripes, found.version_compatible) == (max_batch, metadata.stripes, False)


def test_sizes_that_contradict_each_other_are_no_profile(rtx, small_onnx):
    profile = {"crops": tuple((batch, 64, 32, 3) for batch in (1, 8, 4))}
    with pytest.raises(EngineError, match=r"'crops' cannot be from \(1, 64, 32, 3\) to \(4, 64, 32, 3\)"):
        build_plan(small_onnx.read_bytes(), profile, rtx, BuildOptions(), lambda target: target)


def readers(proto) -> list[str]:
    """The kinds of the nodes that read the input."""
    return [node.op_type for node in proto.graph.node if "crops" in node.input]


def test_only_a_cast_reads_the_uint8_input(small_stripes, foreign_onnx, crops, tmp_path):
    convert(foreign_onnx, tmp_path / "theirs.onnx", crops, ConvertOptions(authors=Authors(color="rgb")))
    for path in (DEFAULT_MODEL, small_stripes, tmp_path / "theirs.onnx"):
        assert set(readers(onnx.load(path))) == {"Cast"}, path


def test_the_input_of_a_file_of_an_earlier_release_is_mended(rtx, small_onnx, crops, tmp_path):
    proto, source = onnx.load(small_onnx), tmp_path / "earlier.onnx"
    shape = next(node for node in proto.graph.node if node.op_type == "Shape")
    assert not cast_first(proto)
    shape.input[0] = "crops"
    (sealed,) = (entry for entry in proto.metadata_props if entry.key == SEAL_KEY)
    proto.metadata_props.remove(sealed)  # that release knew none
    onnx.save(proto, source)
    convert(source, tmp_path / "later.onnx", crops)
    assert readers(onnx.load(tmp_path / "later.onnx")) == ["Cast"]
    batch = to_batch(crops.images, (64, 32))
    np.testing.assert_array_equal(load_engine(tmp_path / "later.onnx").run(batch)[0], load_engine(source).run(batch)[0])
    before = source.read_bytes()
    convert(source, tmp_path / "earlier.engine", crops, ConvertOptions(target="rtx"))  # beside the file it is of
    assert source.read_bytes() == before
    assert read_metadata(tmp_path / "earlier.engine").onnx_sha256 == sha256(before).hexdigest()


def test_int8_on_the_way_to_an_engine_is_half_between_its_layers(rtx, small_int8, crops, tmp_path):
    assert TensorProto.FLOAT16 not in types(onnx.load(small_int8).graph)
    convert(small_int8, tmp_path / "model.engine", crops, ConvertOptions(target="rtx"))
    graph = to_half(onnx.load(small_int8))
    profile = {"crops": tuple((batch, 64, 32, 3) for batch in (1, 8, 64))}
    plan = build_plan(graph.SerializeToString(), profile, rtx, BuildOptions(), lambda target: target)
    assert plan.types["int8"] > 10
    assert plan.types["half"] > plan.types["float"]


def test_the_target_is_chosen_by_name_and_by_what_is_here(monkeypatch, tmp_path):
    from converters import convert as module
    from sdk.engines.gpu import Gpu
    from sdk.engines.versions import Library
    from sdk.errors import MissingPackageError

    installed = set()

    def library(name):
        if name not in installed:
            raise MissingPackageError(name)
        capabilities = SimpleNamespace(__members__={"NONE": 0, "CURRENT": 1, "SM89": 89})
        return Library(name, SimpleNamespace(__version__="1.0", ComputeCapability=capabilities))

    monkeypatch.setattr(module, "import_library", library)
    monkeypatch.setattr(module, "find_gpu", lambda: "none")
    engine = tmp_path / "model.engine"
    path, found, (note,) = choose_target(engine, None)
    assert (path.name, found) == ("model.onnx", None)
    assert "reid convert model.onnx -o model.engine" in note
    installed |= {"tensorrt", "tensorrt_rtx"}
    assert choose_target(engine, None)[1].name == "tensorrt_rtx"
    monkeypatch.setattr(module, "find_gpu", lambda: Gpu("Orin", 87, "12.6"))
    assert choose_target(engine, None)[1].name == "tensorrt"
    assert choose_target(engine, "rtx")[1].name == "tensorrt_rtx"
    installed.remove("tensorrt")
    path, found, notes = choose_target(engine, None)
    assert (path.name, found) == ("model.onnx", None), "TensorRT-RTX would build what this GPU does not run"
    assert "is sm_87; for it take TensorRT" in notes[0]
    monkeypatch.setattr(module, "find_gpu", lambda: Gpu("RTX 4090", 89, "13.0"))
    assert choose_target(engine, None)[1].name == "tensorrt_rtx"
    assert choose_target(tmp_path / "model.onnx", None) == (tmp_path / "model.onnx", None, ())
    for name, target, message in (
        ("model.onnx", "rtx", r"--target rtx writes model\.engine"),
        ("model.engine", "onnx", r"--target onnx writes model\.onnx"),
        ("model.engine", "npu", "--target npu: unknown"),
    ):
        with pytest.raises(DataError, match=message):
            choose_target(tmp_path / name, target)


class Stem(torch.nn.Module):
    """As another project's: float input, unnormalised output."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = torch.nn.Conv2d(3, 16, 3, 2, 1)
        self.bn = torch.nn.BatchNorm2d(16)
        self.fc = torch.nn.Linear(16, 12)

    def forward(self, images):
        x = torch.relu(self.bn(self.conv(images))).mean((2, 3))
        return self.fc(x)


@pytest.fixture(scope="module")
def foreign_onnx(tmp_path_factory):
    path = tmp_path_factory.mktemp("foreign") / "theirs.onnx"
    torch.onnx.export(Stem().eval(), (torch.zeros(2, 3, 64, 32),), path, input_names=["crops"], verbose=False,
                      dynamic_shapes={"images": {0: torch.export.Dim("n", min=1)}}, dynamo=True,
                      output_names=["embedding"], external_data=False)  # fmt: skip
    return path


@pytest.mark.parametrize(
    "authors",
    [
        Authors(color="rgb"),
        Authors(color="bgr", mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4)),
        Authors(mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375), value_range=255),
    ],
)
def test_another_projects_onnx_gets_its_preprocessing_into_the_graph(foreign_onnx, authors, crops, tmp_path):
    done = convert(foreign_onnx, tmp_path / "ours.onnx", crops, ConvertOptions("fp16", authors=authors))
    assert done.agreement.cosine.min() >= MIN_COSINE["fp16"]
    embedding = ReIdentifier(tmp_path / "ours.onnx", threshold=0.5).embed(crops.images[:5]).embedding
    np.testing.assert_allclose(np.linalg.norm(embedding, axis=1), 1, atol=1e-5)
    assert done.metadata.input_size == (64, 32)
    assert str(authors.mean or (0.485, 0.456, 0.406)) in done.metadata.preprocessing
    # By hand, as their users would do it.
    from sdk.preprocess import to_batch

    images = to_batch(crops.images[:5], (64, 32)).astype(np.float64)
    images = images if authors.color == "bgr" else images[..., ::-1]
    if authors.value_range != 255:
        images = images / 255
    images = (images - (authors.mean or (0.485, 0.456, 0.406))) / (authors.std or (0.229, 0.224, 0.225))
    with torch.no_grad():
        theirs = Stem().eval()(torch.from_numpy(images.transpose(0, 3, 1, 2).astype(np.float32))).numpy()
    theirs /= np.linalg.norm(theirs, axis=1, keepdims=True)
    assert (theirs * embedding).sum(1).min() > 0.9999
    original = open_source(foreign_onnx, rescore=False, authors=authors).embed(crops.images[:5])
    np.testing.assert_allclose(original, theirs, atol=1e-4)  # at unit length too, else people would be ranked otherwise


def test_a_model_is_not_overwritten_by_what_is_made_of_it(foreign_onnx, small_run, crops, tmp_path):
    theirs, ours = tmp_path / "theirs.onnx", tmp_path / "ours.onnx"
    theirs.write_bytes(foreign_onnx.read_bytes())
    ours.symlink_to(theirs)
    for output in ("theirs.onnx", "theirs.engine", "ours.engine"):  # an engine comes with the graph beside it
        with pytest.raises(DataError, match=r"\.onnx: would be overwritten by its fp32 version; choose another name"):
            convert(theirs, tmp_path / output, crops, ConvertOptions(authors=Authors("rgb", input_size=(64, 32))))
    assert theirs.read_bytes() == foreign_onnx.read_bytes()
    assert len(list(tmp_path.iterdir())) == 2


def test_another_projects_onnx_is_not_guessed_at(foreign_onnx, crops, tmp_path):
    with pytest.raises(DataError, match="its preprocessing is unknown; say what its authors did, with --color"):
        convert(foreign_onnx, tmp_path / "ours.onnx", crops)
    with pytest.raises(DataError, match="its input is 64x32; leave --input-size away"):
        convert(
            foreign_onnx, tmp_path / "ours.onnx", crops, ConvertOptions(authors=Authors("rgb", input_size=(256, 128)))
        )
    with pytest.raises(DataError, match="no local branch"):
        convert(foreign_onnx, tmp_path / "ours.onnx", crops, ConvertOptions(rescore=True, authors=Authors("rgb")))
    assert not list(tmp_path.iterdir())


def test_a_plain_network_converts_as_flags_describe_it(crops, tmp_path):
    torch.manual_seed(1)
    weights = build_backbone("resnet18", 16, 1).state_dict()
    content = {"state_dict": {f"module.{key}": value for key, value in weights.items()}, "epoch": 3}
    content["state_dict"]["module.classifier.weight"] = torch.zeros(5, 128)
    path = tmp_path / "theirs.pth"
    torch.save(content, path)
    authors = Authors("rgb", input_size=(64, 32), backbone="resnet18", last_stride=1)
    done = convert(path, tmp_path / "ours.onnx", crops, ConvertOptions(authors=authors))
    assert done.agreement.cosine.min() >= MIN_COSINE["fp32"]
    assert (done.metadata.backbone, done.metadata.embedding_dim) == ("resnet18", 128)
    with pytest.raises(DataError, match=r"say --backbone .* --last-stride"):
        convert(path, tmp_path / "x.onnx", crops, ConvertOptions(authors=Authors("rgb")))
    with pytest.raises(DataError, match="is no plain resnet50, it misses"):
        convert(path, tmp_path / "x.onnx", crops, ConvertOptions(authors=replace(authors, backbone="resnet50")))
    with pytest.raises(DataError, match="not a checkpoint of `reid train`"):
        convert(path, tmp_path / "x.onnx", crops)


def saved_by_torchreid(path: Path, weights: dict, classes: int = 4) -> Path:
    """As its engine writes a checkpoint."""
    length = weights["fc.0.bias"].numel()
    weights = weights | {"classifier.weight": torch.zeros(classes, length), "classifier.bias": torch.zeros(classes)}
    torch.save({"state_dict": weights, "epoch": 9, "rank1": np.float64(0.4)}, path)
    return path


@pytest.fixture(scope="module")
def torchreids_osnet(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("torchreid") / "osnet_x0_25.pth"
    return saved_by_torchreid(path, fill(build_backbone("osnet_x0_25")).state_dict())


@pytest.mark.parametrize("given", [{}, {"project": "torchreid"}, {"color": "rgb", "backbone": "osnet_x0_25"}])
def test_torchreids_osnet_is_known_by_its_weights(given, torchreids_osnet):
    """They prove what it is; `fc` is a layer of the feature there, and no classifier."""
    source = open_source(torchreids_osnet, rescore=False, authors=Authors(**given))
    metadata = source.metadata
    assert (metadata.backbone, metadata.input_size, metadata.embedding_dim) == ("osnet_x0_25", (256, 128), 512)
    assert "rgb" in metadata.preprocessing
    assert any("osnet_x0_25 of torchreid" in note for note in source.notes)
    numbers = FROZEN["osnet_x0_25"][0]
    np.testing.assert_allclose(source.embed(noise_crop().numpy())[0, : len(numbers)], numbers, atol=1e-4)


def test_torchreids_osnet_gives_the_features_of_its_own_definition(torchreids_osnet, crops, tmp_path):
    few = Crops([*noise_crop().numpy(), *crops.images[:3]], ["noise", *crops.names[:3]])
    convert(torchreids_osnet, tmp_path / "ours.onnx", few)
    features = ReIdentifier(tmp_path / "ours.onnx", threshold=0.5).embed(few.images).embedding
    numbers = FROZEN["osnet_x0_25"][0]
    np.testing.assert_allclose(features[0, : len(numbers)], numbers, atol=1e-4)


def test_torchreids_definition_itself_gives_the_same_features(tmp_path):
    theirs = definition("deep-person-reid", "torchreid/models/osnet_ain.py")
    theirs = fill(theirs.osnet_ain_x0_25(num_classes=4, pretrained=False))
    torch.save(theirs.state_dict(), tmp_path / "theirs.pth")
    source = open_source(tmp_path / "theirs.pth", rescore=False, authors=Authors())
    images = (noise_crop().numpy()[..., ::-1] / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    with torch.no_grad():
        wanted = theirs(torch.from_numpy(images.transpose(0, 3, 1, 2).astype(np.float32)))
    found = source.embed(noise_crop().numpy())
    np.testing.assert_allclose(found, torch.nn.functional.normalize(wanted), atol=1e-4)


def test_a_feature_layer_of_torchreids_resnets_is_kept_too(tmp_path):
    backbone = fill(build_backbone("resnet18", 8, 1))
    backbone.fc = fill(feature_layer(64, 24))
    path = saved_by_torchreid(tmp_path / "resnet18_fc24.pth", backbone.state_dict())
    authors = Authors(project="torchreid", input_size=(64, 32))
    source = open_source(path, rescore=False, authors=authors)
    assert (source.metadata.backbone, source.metadata.embedding_dim) == ("resnet18", 24)
    crop = noise_crop(64, 32).numpy()
    images = torch.from_numpy(authors.apply(crop).transpose(0, 3, 1, 2).copy())
    with torch.no_grad():
        wanted = torch.nn.functional.normalize(backbone.fc(backbone(images).mean((2, 3))))
    np.testing.assert_allclose(source.embed(crop), wanted, atol=1e-4)
    odd = backbone.state_dict()
    del odd["fc.1.running_mean"]  # not a feature layer as it is known
    saved_by_torchreid(tmp_path / "odd.pth", odd)
    with pytest.raises(DataError, match=r"misses fc\.1\.running_mean"):
        open_source(tmp_path / "odd.pth", rescore=False, authors=authors)


@pytest.mark.parametrize("name", list(BACKBONES))
def test_a_backbone_is_found_by_the_names_of_its_weights(name):
    with torch.device("meta"):
        weights = build_backbone(name, width=16).state_dict()
    assert find_backbone(weights) == name
    assert prove_project(weights) == ("torchreid" if "osnet" in name else None)


def test_of_no_known_network_is_said_so(crops, tmp_path):
    weights = build_backbone("resnet18", 8).state_dict()
    deeper = {key.replace("layer3.1.", f"layer3.{place}."): value for key, value in weights.items() for place in (1, 2)}
    torch.save(deeper, tmp_path / "deeper.pth")
    with pytest.raises(DataError, match=r"no network that is known here \(resnet18, "):
        convert(tmp_path / "deeper.pth", tmp_path / "x.onnx", crops, ConvertOptions(authors=Authors("rgb")))
    with pytest.raises(DataError, match="not a checkpoint of `reid train`"):
        convert(tmp_path / "deeper.pth", tmp_path / "x.onnx", crops)


def test_instance_normalisation_and_a_generalised_mean_go_into_every_precision(crops, tmp_path):
    torch.manual_seed(0)
    shape = ModelConfig("resnet18_ibn_a", width=8, input_size=(64, 32), pooling="gem")
    model = AlignedReID(shape)
    model.pool.p.data.fill_(2.5)
    save_checkpoint(Checkpoint(RunConfig(shape), [], 0, model.state_dict()), tmp_path / "ibn.pt")
    convert(tmp_path / "ibn.pt", tmp_path / "fp32.onnx", crops, ConvertOptions(rescore=True))
    for precision in ("fp16", "int8"):
        options = ConvertOptions(precision, tuple(crops.images) if precision == "int8" else None, rescore=True)
        done = convert(tmp_path / "fp32.onnx", tmp_path / f"{precision}.onnx", crops, options)
        assert done.agreement.cosine.min() >= MIN_COSINE[precision]
        assert done.metadata.stripes == 8 // 2


class Twice(torch.nn.Module):
    """One layer at two places, as OSNet's gates are."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.shared = torch.nn.Conv2d(3, 8, 3), torch.nn.Conv2d(8, 8, 1)

    def forward(self, crops):
        x = torch.relu(self.first(crops.float().permute(0, 3, 1, 2) / 255))
        return torch.nn.functional.normalize(self.shared(torch.relu(self.shared(x))).mean((2, 3)))


def test_a_layer_at_several_places_is_quantised_at_all_of_them():
    batch = np.random.default_rng(0).integers(0, 256, (32, 16, 8, 3), np.uint8)
    quantized = quantize(export_module(Twice().eval(), (16, 8), ["embedding"]), batch)
    assert len(quantized.layers) == 2
    behind = [node.op_type for node in quantized.proto.graph.node if node.op_type == "QuantizeLinear"]
    assert len(behind) == 3, "what is read at each of the three places"


def test_a_loss_in_rank_1_is_measured_where_there_are_labels(crops):
    rng = np.random.default_rng(0)
    identities = {name: i for i, name in enumerate(sorted(set(crops.identities)))}
    clear = np.eye(len(identities))[[identities[name] for name in crops.identities]] + 0.01
    ranking = compare_ranking(compare_features(clear, rng.normal(size=clear.shape)), crops)
    assert ranking.rank1[0] == 1
    assert ranking.loss > 0.2
    from converters.verify import check

    with pytest.raises(EngineError, match=r"rank-1 falls from 1\.0000"):
        check(compare_features(clear, clear), ranking, "int8", "model.onnx")
    assert compare_ranking(compare_features(clear, clear), replace(crops, identities=None)) is None


@pytest.fixture(scope="module")
def real_crops(real_people) -> Crops:
    return read_crops(real_people)


def each(crops: Crops, step: int) -> Crops:
    """Every so-many-th crop: of each of the 44 people in both cameras."""
    return Crops(*(part[::step] for part in (crops.images, crops.names, crops.identities, crops.cameras)))


def test_fp16_on_real_people(real_crops, tmp_path):
    assert len(real_crops) == 704
    done = convert(SHIPPED, tmp_path / "model.onnx", each(real_crops, 2), ConvertOptions("fp16"))
    assert done.agreement.cosine.min() >= 0.9995
    assert abs(done.ranking.loss) <= 0.003
    assert done.ranking.queries == 352


def test_int8_on_real_people(real_crops, tmp_path):
    options = ConvertOptions("int8", tuple(real_crops.images[::8]))
    done = convert(SHIPPED, tmp_path / "model.onnx", each(real_crops, 4), options)
    assert done.ranking.loss <= 0.015
    assert load_engine(tmp_path / "model.onnx").metadata.precision_report["int8_layers"] >= 10
