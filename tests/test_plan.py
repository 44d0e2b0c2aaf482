"""A TensorRT plan is read and refused before it is deserialised; real TensorRT-RTX engines, built without a GPU."""

import hashlib
import re
import struct
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from sdk.engines import Metadata, gpu, load_engine, loading, read_metadata, versions
from sdk.engines.builder import BuildOptions, build_engine
from sdk.engines.gpu import Gpu, serves
from sdk.engines.plan import (
    HEADER,
    MOST_NAME,
    beside,
    beside_path,
    find_metadata,
    network_name,
    plan_files,
    read_header,
    read_plan_metadata,
)
from sdk.engines.versions import import_library, version_fits
from sdk.errors import CropError, EngineError, MissingPackageError
from sdk.installing import how_to_install

RTX = "tensorrt_rtx"
MODEL = Metadata(
    "resnet18", (64, 32), 64, "fp32", threshold={"value": 0.3}, target="sm_87", tools={"tensorrt": "10.3.0"}
)


def write_plan(path, metadata=MODEL, magic=b"ftrt", version=(10, 3, 0, 26), cut=0):
    """The bytes of which a plan is known by: its header and its network's name; the layers are noise."""
    noise = np.random.default_rng(0).integers(0, 256, 5000, np.uint8).tobytes()
    body = noise + network_name(metadata).encode() + noise if metadata else noise
    content = HEADER.pack(magic, HEADER.size + len(body), *version) + body
    path.write_bytes(content[: len(content) - cut])
    return path


class FakeLibrary:
    def __init__(self, version):
        self.__version__ = version


@pytest.fixture
def orin(monkeypatch):
    """As on a Jetson Orin with JetPack 6.2: TensorRT 10.3 and its GPU; what comes after the checks is not there."""
    monkeypatch.setattr(loading, "find_gpu", lambda: Gpu("Orin", 87, "12.6"))
    monkeypatch.setattr(loading, "import_library", lambda name: versions.Library(name, FakeLibrary("10.3.0")))


def test_a_plan_says_what_it_is(tmp_path):
    path = write_plan(tmp_path / "model.engine")
    header = read_header(path)
    assert (header.library, header.version) == ("tensorrt", (10, 3, 0, 26))
    assert header.size == path.stat().st_size
    assert header.title == "TensorRT 10.3.0.26"
    assert read_metadata(path) == MODEL
    assert read_header(write_plan(tmp_path / "rtx.engine", magic=b"vtrt")).library == RTX


def test_a_name_is_found_among_what_looks_like_one():
    content = b'{"aligned_reid": broken' + bytes(100) + network_name(MODEL).encode() + bytes(100)
    assert Metadata.from_json(find_metadata(content), "plan") == MODEL
    assert find_metadata(b'{"aligned_reid": {"schema": 1') is None
    assert find_metadata(b"") is None


@pytest.fixture
def per_camera():
    """Statistics of three cameras, and a prior: 20 KB of JSON."""
    values = np.random.default_rng(0).uniform(0.01, 1, (8, 256)).round(6).tolist()
    cameras = {f"döck {i}": {"mean": values[2 * i], "deviation": values[2 * i + 1]} for i in range(3)}
    return replace(MODEL, cameras=cameras, site_prior={"mean": values[6], "deviation": values[7]})


def test_what_is_too_long_for_a_name_lies_beside_the_plan(tmp_path, per_camera):
    assert len(per_camera.to_json()) > 4096
    assert len(network_name(per_camera)) <= MOST_NAME
    assert beside(MODEL) is None, "what is short is in the name"
    path = write_plan(tmp_path / "model.engine", per_camera)
    plan, other = plan_files(path, path.read_bytes(), per_camera)
    assert (plan, other.name) == (path, "model.engine.json")
    with pytest.raises(EngineError, match=r"model\.engine\.json, which holds the rest of its metadata.*copy the two"):
        read_metadata(path)
    other.write_bytes(beside(per_camera))
    assert read_metadata(path) == per_camera
    other.write_bytes(beside(per_camera).replace(b"0.5", b"0.6"))
    with pytest.raises(EngineError, match=r"model\.engine\.json is of another engine"):
        read_metadata(path)
    with pytest.raises(EngineError, match=r"too long for an engine: .* 2048 is the limit"):
        network_name(replace(per_camera, preprocessing="x" * 2000))


def test_a_file_beside_that_is_none_is_refused(tmp_path, per_camera):
    path = write_plan(tmp_path / "model.engine", per_camera)
    for rest in (b"[]", b"{", b'{"aligned_reid": {"cameras": 3}}'):
        name = network_name(per_camera).replace(hashlib.sha256(beside(per_camera)).hexdigest(), "%s")
        body = (name % hashlib.sha256(rest).hexdigest()).encode()
        path.write_bytes(HEADER.pack(b"ftrt", HEADER.size + len(body), 10, 3, 0, 26) + body)
        beside_path(path).write_bytes(rest)
        with pytest.raises(EngineError, match=r"model\.engine\.json: damaged"):
            read_metadata(path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cut": 1000}, "truncated, .* bytes are here; copy it again"),
        ({"magic": b"\x08\x08\x12\x07"}, "looks like an ONNX file: name it .onnx"),
        ({"magic": b"PK\x03\x04"}, "looks like a checkpoint"),
        ({"magic": b"nope"}, "not a TensorRT plan"),
        ({"metadata": None}, "no AlignedReID metadata"),
        ({"metadata": replace(MODEL, schema=99)}, "schema 99"),
        (
            {"version": (10, 16, 0, 1)},
            "built by TensorRT 10.16.0.1, here is TensorRT 10.3.0; build it again here: reid",
        ),
        ({"metadata": replace(MODEL, tools={"tensorrt": "11.1.0"})}, "its metadata names tensorrt 11.1.0"),
        ({"metadata": replace(MODEL, target="sm_86")}, r"built for sm_86, this GPU \(Orin\) is sm_87"),
        ({"metadata": replace(MODEL, target="cdna3")}, "target 'cdna3' is unknown"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_line(tmp_path, orin, arguments, message):
    path = write_plan(tmp_path / "model.engine", **arguments)
    with pytest.raises(EngineError, match=message) as caught:
        load_engine(path)
    assert str(caught.value).startswith(str(path)) or "target" in message
    assert "\n" not in str(caught.value)
    assert "rebuild" not in str(caught.value), "there is no ONNX file beside it"


def test_what_fits_goes_on_to_tensorrt(tmp_path, orin, monkeypatch):
    """`sdk.engines.tensorrt` is asked only now; here a stand-in shows with what."""
    import sys
    import types

    module = types.ModuleType("sdk.engines.tensorrt")
    module.TensorRTEngine = lambda path, metadata: (path, metadata)
    monkeypatch.setitem(sys.modules, "sdk.engines.tensorrt", module)
    path = write_plan(tmp_path / "model.engine")
    assert load_engine(path, sha256=hashlib.sha256(path.read_bytes()).hexdigest().upper()) == (path, MODEL)


def test_another_file_than_was_meant_is_not_opened(tmp_path, small_onnx):
    for path in (write_plan(tmp_path / "model.engine"), small_onnx):
        with pytest.raises(EngineError, match="not the file you meant, its SHA-256 is"):
            load_engine(path, sha256="0" * 64)
    assert load_engine(small_onnx, sha256=hashlib.sha256(small_onnx.read_bytes()).hexdigest())


def test_without_gpu_or_library_it_is_said(tmp_path, monkeypatch):
    path = write_plan(tmp_path / "model.engine")
    (tmp_path / "model.onnx").write_bytes(b"")
    monkeypatch.setattr(loading, "find_gpu", lambda: "no NVIDIA driver")
    monkeypatch.setattr(loading, "import_library", lambda name: versions.Library(name, FakeLibrary("10.3.0")))
    with pytest.raises(EngineError, match=r"needs an NVIDIA GPU: no NVIDIA driver; without one, run the \.onnx file$"):
        load_engine(path, rebuild=True)
    with pytest.raises(MissingPackageError, match=re.escape(how_to_install("tensorrt"))):
        import_library("tensorrt")


@pytest.mark.parametrize(
    ("plan", "installed", "compatible", "fits"),
    [
        ((10, 3, 0, 26), "10.3.0", False, True),
        ((10, 3, 0, 26), "10.3.0.30", False, True),
        ((10, 3, 0, 26), "10.4.0", False, False),
        ((10, 3, 0, 26), "10.4.0", True, True),
        ((10, 4, 0, 26), "10.3.0", True, False),
        ((10, 4, 0, 26), "11.1.0", True, True),
        ((10, 4, 0, 26), "11.1.0", False, False),
        ((11, 0, 0, 1), "10.16.0", True, False),
        ((11, 0, 0, 1), "11.1.0", True, True),
        ((10, 3, 0, 26), "12.0.0", True, False),
    ],
)
def test_versions(plan, installed, compatible, fits):
    assert version_fits(plan, installed, compatible) is fits


def test_targets():
    assert serves("sm_87", 87)
    assert not serves("sm_87", 89)
    assert serves("sm_80+", 120)
    assert not serves("sm_80+", 75)
    assert serves("sm_75, sm_86", 86)


def test_the_gpu_or_why_there_is_none():
    found = gpu.find_gpu()
    assert isinstance(found, Gpu) or "NVIDIA" in found or "CUDA" in found


@pytest.fixture(scope="module")
def rtx():
    pytest.importorskip(RTX, reason="TensorRT-RTX has no package for this platform")
    return import_library(RTX)


def test_a_real_engine_carries_its_metadata(rtx, small_onnx, tmp_path):
    content, metadata = build_engine(small_onnx, rtx, BuildOptions(max_batch=16))
    path = tmp_path / "model.engine"
    path.write_bytes(content)
    header = read_header(path)
    assert header.library == RTX
    assert version_fits(header.version, rtx.version, version_compatible=False)
    assert header.size == len(content)
    assert read_plan_metadata(path) == metadata
    of_onnx = load_engine(small_onnx).metadata
    assert metadata == replace(
        of_onnx,
        target=",".join(f"sm_{number}" for number in rtx.architectures if number >= 80),
        evaluation={**of_onnx.evaluation, "identities": 4},
        max_batch=16,
        onnx_sha256=hashlib.sha256(small_onnx.read_bytes()).hexdigest(),
        tools={**of_onnx.tools, RTX: rtx.version},
    )
    assert of_onnx.threshold == metadata.threshold != None  # noqa: E711
    if not isinstance(gpu.find_gpu(), Gpu):
        with pytest.raises(EngineError, match="needs an NVIDIA GPU"):
            load_engine(path)
    path.write_bytes(content[:-1])
    with pytest.raises(EngineError, match="truncated"):
        load_engine(path)


def test_a_real_engine_carries_metadata_that_are_longer_than_a_name(rtx, small_onnx, tmp_path):
    """Of a site with cameras of its own, and of a training that held hundreds of people out."""
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    of_onnx = load_engine(small_onnx).metadata
    size = of_onnx.embedding_dim
    cameras = {f"cam{i}": {"mean": [0.123456] * size, "deviation": [0.234567] * size} for i in range(8)}
    people = {**of_onnx.evaluation, "identities": [f"{i:05}" for i in range(400)]}
    proto, source = onnx.load(small_onnx), tmp_path / "model.onnx"
    onnx.helper.set_model_props(proto, {"aligned_reid": replace(of_onnx, cameras=cameras, evaluation=people).to_json()})
    onnx.save(proto, source)
    content, metadata = build_engine(source, rtx)
    path = tmp_path / "model.engine"
    files = plan_files(path, content, metadata)
    assert list(files) == [path, beside_path(path)]
    for file, part in files.items():
        file.write_bytes(part)
    assert read_header(path).size == path.stat().st_size, "a plan and nothing behind it, as trtexec wants it"
    assert read_metadata(path) == metadata
    assert (metadata.cameras, metadata.evaluation["identities"]) == (cameras, 400)


def test_a_name_that_the_library_does_not_keep_is_an_error(rtx, small_onnx, monkeypatch):
    from sdk.engines import builder

    monkeypatch.setattr(builder, "network_name", lambda metadata: f'{{"aligned_reid": "{"x" * 5000}"}}')
    with pytest.raises(EngineError, match="did not keep the metadata"):
        build_engine(small_onnx, rtx)


@pytest.mark.parametrize("capability", [87, 90, 100, 110])
def test_tensorrt_rtx_is_for_the_cards_of_its_own_list(rtx, small_onnx, tmp_path, monkeypatch, capability):
    """Not for a server's H100 and B200, nor for a Jetson's Orin and Thor."""
    path, gpu_here = tmp_path / "model.engine", Gpu("NVIDIA of servers", capability, "13.0")
    monkeypatch.setattr(loading, "find_gpu", lambda: gpu_here)
    path.write_bytes(build_engine(small_onnx, rtx, BuildOptions(max_batch=1))[0])
    metadata = replace(read_metadata(path), target="sm_80+")
    earlier = write_plan(tmp_path / "earlier.engine", metadata, b"vtrt", read_header(path).version)
    (tmp_path / "model.onnx").write_bytes(small_onnx.read_bytes())
    for file, rebuild in ((path, False), (earlier, False), (path, True)):
        with pytest.raises(EngineError, match=rf"this GPU .* is sm_{capability}; .* pip install .*\[tensorrt"):
            load_engine(file, rebuild=rebuild)
    for number in (86, 89, 120):
        monkeypatch.setattr(loading, "find_gpu", lambda number=number: Gpu("RTX", number, "13.0"))
        assert loading.check_plan(path).target == read_metadata(path).target


def test_a_portable_plan_is_for_the_gpus_that_its_metadata_name(rtx, small_onnx, monkeypatch):
    """TensorRT-RTX notes them in a plan's header, a bit each, in the order of its list."""
    bits = dict(zip(rtx.architectures, (1 << place for place in range(8)), strict=False))
    plans = {}
    for here in ("no NVIDIA driver", Gpu("RTX 2080", 75, "13.0")):
        monkeypatch.setattr(versions, "find_gpu", lambda here=here: here)
        content, metadata = build_engine(small_onnx, rtx, BuildOptions(max_batch=1))
        plans[metadata.target] = struct.unpack_from("<I", content, 32)[0]
    for target, mask in plans.items():
        assert mask == sum(bits[int(part.removeprefix("sm_"))] for part in target.split(","))
    assert min(plans) == "sm_75", "on a Turing card for that alone"


def test_code_for_the_processor_is_run_only_where_it_is_allowed(tmp_path, orin, monkeypatch):
    import sys
    import types

    module = types.ModuleType("sdk.engines.tensorrt")
    module.TensorRTEngine = lambda path, metadata, host_code=False: host_code
    monkeypatch.setitem(sys.modules, "sdk.engines.tensorrt", module)
    for version in ((10, 3, 0, 26), (10, 1, 0, 27)):  # an earlier one's is what it is built for
        tools = {"tensorrt": ".".join(map(str, version[:3]))}
        path = write_plan(
            tmp_path / "model.engine", replace(MODEL, version_compatible=True, tools=tools), version=version
        )
        with pytest.raises(EngineError, match=r"with --version-compatible.* host_code=True \(--host-code\)"):
            load_engine(path)
        assert load_engine(path, host_code=True)


def test_graphs_and_code_reach_the_engine_from_wherever_it_is_opened(tmp_path, orin, monkeypatch):
    import sys
    import types

    import cv2

    from sdk import ReIdentifier
    from sdk.cli import build_app

    asked = []

    def opened(path, metadata, **options):
        asked.append(options)
        raise EngineError("as far as this goes without a GPU")

    module = types.ModuleType("sdk.engines.tensorrt")
    module.TensorRTEngine = opened
    monkeypatch.setitem(sys.modules, "sdk.engines.tensorrt", module)
    path, image, both = write_plan(tmp_path / "model.engine"), tmp_path / "crop.png", ["--graphs", "--host-code"]
    cv2.imwrite(str(image), np.zeros((64, 32, 3), np.uint8))
    with pytest.raises(EngineError, match="as far as this goes"):
        ReIdentifier(path, threshold=0.3, graphs=True, host_code=True)
    for command in (
        ["embed", image, "-o", tmp_path / "features.npz"],
        ["track", image, "--output", tmp_path / "out"],
        ["serve", image],
    ):
        done = CliRunner().invoke(build_app(), [*map(str, command), "--model", str(path), *both])
        assert "as far as this goes" in done.output + str(done.exception), done.output
    assert asked == [{"graphs": True, "host_code": True}] * 4


def test_an_engine_is_built_again_from_the_file_beside_it(rtx, small_onnx, tmp_path, monkeypatch):
    import sys
    import types

    module = types.ModuleType("sdk.engines.tensorrt")  # a GPU would be needed for the real one
    module.TensorRTEngine = lambda path, metadata: metadata
    monkeypatch.setitem(sys.modules, "sdk.engines.tensorrt", module)
    monkeypatch.setattr(loading, "find_gpu", lambda: Gpu("RTX 4090", 89, "13.0"))
    beside, path = tmp_path / "model.onnx", tmp_path / "model.engine"
    beside.write_bytes(small_onnx.read_bytes())
    content, metadata = build_engine(beside, rtx, BuildOptions(max_batch=5))
    stale = bytearray(content)
    stale[24:28] = bytes((1, 0, 0, 9))
    path.write_bytes(stale)
    with pytest.raises(EngineError, match=r"built by TensorRT-RTX 1\.0\.0\.9.*or load it with rebuild=True"):
        load_engine(path)
    assert load_engine(path, rebuild=True) == metadata == read_metadata(path)
    assert load_engine(path) == metadata, "the file was replaced"
    path.write_bytes(stale)
    beside.write_bytes(small_onnx.read_bytes() + struct.pack("<B", 0))
    with pytest.raises(EngineError, match=r"was built from another model\.onnx"):
        load_engine(path, rebuild=True)
    beside.unlink()
    with pytest.raises(EngineError, match="cannot be built again"):
        load_engine(path, rebuild=True)


def test_a_graph_that_the_parser_refuses_is_named(rtx, tmp_path):
    from sdk.engines.builder import build_plan

    with pytest.raises(EngineError, match="does not parse the graph"):
        build_plan(b"\x08\x07nothing", {}, rtx, BuildOptions(), lambda target: target)


def test_batches_that_an_engine_does_not_take(small_onnx):
    engine = load_engine(small_onnx)
    good = np.zeros((4, 64, 32, 3), np.uint8)
    assert engine.run(good)[0].shape == (4, 64)
    for batch, message in (
        (good.transpose(0, 3, 1, 2), "channels first"),
        (good.astype(np.float32), "is float32; the graph scales"),
        (good[:, :32], "has shape"),
        (good[:0], "is empty"),
        (good.tolist(), "is a list"),
    ):
        with pytest.raises(CropError, match=message):
            engine.run(batch)
    engine.metadata = replace(engine.metadata, max_batch=3)
    with pytest.raises(CropError, match="a batch of 4 crops; this engine was built for at most 3"):
        engine.run(good)


def test_the_entry_point_splits_what_is_too_large_for_the_engine(small_onnx):
    from sdk import ReIdentifier

    engine = load_engine(small_onnx)
    crops = list(np.random.default_rng(0).integers(0, 256, (7, 64, 32, 3), np.uint8))
    whole = ReIdentifier(engine, threshold=0.5).embed(crops).embedding
    engine.metadata = replace(engine.metadata, max_batch=3)
    np.testing.assert_allclose(ReIdentifier(engine, threshold=0.5).embed(crops).embedding, whole, atol=1e-6)


def test_every_command_that_runs_an_engine_can_allow_its_code():
    import typer.main

    from sdk.cli import build_app

    def options(command):
        return {name for parameter in command.params for name in parameter.opts}

    def leaves(command, name=""):
        subcommands = getattr(command, "commands", None)
        if subcommands is None:
            yield name.strip(), options(command)
        else:
            for part, below in subcommands.items():
                yield from leaves(below, f"{name} {part}")

    commands = dict(leaves(typer.main.get_command(build_app())))
    no_engines = {"adapt", "align", "human"}
    models = {name for name, found in commands.items() if "--model" in found} - no_engines
    assert {"track", "serve", "search", "gallery enroll", "calibrate"} <= models
    assert {name for name, found in commands.items() if "--host-code" in found} == models | {"verify"}
