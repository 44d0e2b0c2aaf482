"""What the builder asks of TensorRT, old and new, where no GPU is needed to tell; and its cache of timings."""

from enum import IntEnum
from types import SimpleNamespace

import pytest

from sdk.engines import builder, plugin, versions
from sdk.engines.builder import make_logger, make_monitor
from sdk.engines.gpu import Gpu
from sdk.engines.plugin import load_plugin
from sdk.engines.versions import Library, import_library
from sdk.errors import EngineError


class Capability(IntEnum):
    """TensorRT-RTX's list of GPUs."""

    NONE, CURRENT, SM75, SM86, SM120 = 0, 1, 75, 86, 120


class Config:
    """Keeps what was set in it, as a builder's config does."""

    def __init__(self):
        self.flags, self.caches, self.capabilities = [], [], {}

    def set_compute_capability(self, capability, index):
        self.capabilities[index] = int(capability)
        return True

    def set_flag(self, flag):
        self.flags.append(flag)

    def create_timing_cache(self, content):
        return None if content == b"damaged" else SimpleNamespace(serialize=lambda: content + b"+new")

    def set_timing_cache(self, cache, ignore_mismatch):
        assert not ignore_mismatch
        self.caches.append(cache)


def tensorrt(version: str, **more) -> Library:
    flags = SimpleNamespace(**({"STRONGLY_TYPED": 1} if version.startswith("10") else {}))
    module = SimpleNamespace(
        __version__=version,
        NetworkDefinitionCreationFlag=flags,
        BuilderFlag=SimpleNamespace(VERSION_COMPATIBLE="version compatible"),
        HardwareCompatibilityLevel=SimpleNamespace(AMPERE_PLUS="ampere plus"),
        **more,
    )
    return Library("tensorrt", module)


def test_types_are_taken_from_the_graph_in_every_version():
    assert tensorrt("10.3.0").network_flags() == 1 << 1
    assert tensorrt("11.1.0").network_flags() == 0, "it knows nothing else"


def test_what_a_plan_is_for(monkeypatch):
    monkeypatch.setattr(versions, "find_gpu", lambda: Gpu("Orin", 87, "12.6"))
    config = Config()
    assert tensorrt("10.3.0").make_compatible(config, hardware=False, version=False) == "sm_87"
    assert config.flags == []
    assert tensorrt("10.3.0").make_compatible(config, hardware=True, version=True) == "sm_80+"
    assert (config.flags, config.hardware_compatibility_level) == (["version compatible"], "ampere plus")
    rtx = Library("tensorrt_rtx", SimpleNamespace(__version__="1.7.1", ComputeCapability=Capability))
    assert rtx.make_compatible(config, hardware=True, version=False) == "sm_86,sm_120"
    assert (config.num_compute_capabilities, config.capabilities) == (2, {0: 86, 1: 120})
    with pytest.raises(EngineError, match="does not say which GPUs it serves; upgrade it"):
        Library("tensorrt_rtx", SimpleNamespace(__version__="1.0")).make_compatible(config, False, False)
    with pytest.raises(EngineError, match="leave --version-compatible away"):
        rtx.make_compatible(Config(), hardware=False, version=True)
    monkeypatch.setattr(versions, "find_gpu", lambda: Gpu("T4", 75, "12.6"))
    with pytest.raises(EngineError, match="this GPU is sm_75"):
        tensorrt("10.3.0").make_compatible(Config(), hardware=True, version=False)
    monkeypatch.setattr(versions, "find_gpu", lambda: "no NVIDIA driver")
    with pytest.raises(EngineError, match="on the GPU that runs them: no NVIDIA driver"):
        tensorrt("10.3.0").make_compatible(Config(), hardware=False, version=False)


def test_timings_are_kept_for_the_next_build(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for expected in (b"+new", b"+new+new"):
        cache = builder._TimingCache(tensorrt("10.3.0"), Config(), "sm_87")
        cache.save()
        (file,) = (tmp_path / "aligned-reid").iterdir()
        assert file.read_bytes() == expected
    file.write_bytes(b"damaged")
    config = Config()
    builder._TimingCache(tensorrt("10.3.0"), config, "sm_87").save()
    assert file.read_bytes() == b"+new", "begun anew"
    builder._TimingCache(tensorrt("10.16.0"), Config(), "sm_87").save()
    assert len(list((tmp_path / "aligned-reid").iterdir())) == 2, "another version has its own"
    monkeypatch.setenv("XDG_CACHE_HOME", str(file))  # no folder can be made there: told, not raised
    builder._TimingCache(tensorrt("10.3.0"), Config(), "sm_87").save()


def test_tensorrt_builds_on_a_gpu_only(monkeypatch):
    monkeypatch.setattr(builder, "find_gpu", lambda: "no NVIDIA driver")
    library = tensorrt("10.3.0", ILogger=object)
    with pytest.raises(EngineError, match=r"TensorRT 10\.3\.0 builds engines on the GPU.*no NVIDIA driver"):
        builder.build_plan(b"", {}, library, builder.BuildOptions(), lambda target: target)


def test_the_log_is_quiet_but_keeps_the_last_error(capsys):
    pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX has no package for this platform")
    trt = import_library("tensorrt_rtx").module
    for verbose in (False, True):
        logger = make_logger(trt, verbose)
        assert logger.last_error == ""
        logger.log(trt.ILogger.WARNING, "odd [weights]")
        logger.log(trt.ILogger.ERROR, "no memory\nin line 3")
        assert logger.last_error == "no memory"
    assert capsys.readouterr().err == "[warning] odd [weights]\n[error] no memory\nin line 3\n"


def test_progress_is_told_phase_by_phase():
    trt = pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX has no package for this platform")
    from rich.progress import Progress

    bar = Progress(disable=True)
    monitor = make_monitor(trt, bar)
    monitor.phase_start("Building", None, 4)
    assert monitor.step_complete("Building", 2) is True
    assert bar.tasks[0].completed == 3
    monitor.phase_finish("Building")
    assert bar.tasks == []


def test_the_plugin_is_loaded_where_it_is_built(monkeypatch):
    class Registry:
        loaded = ()

        def get_creator(self, name, version, namespace):
            return object() if self.loaded and (name, namespace) == ("AlignedLocalDistance", "reid") else None

        def load_library(self, path):
            self.loaded = (path,)

    registry = Registry()
    library = tensorrt("10.3.0", get_plugin_registry=lambda: registry)
    monkeypatch.setattr(plugin, "find_library", lambda name: None)
    assert not load_plugin(library)
    monkeypatch.setattr(plugin, "find_library", lambda name: "libaligned_reid_plugin.so")
    assert load_plugin(library)
    assert registry.loaded == ("libaligned_reid_plugin.so",)
    assert not load_plugin(tensorrt("10.3.0", get_plugin_registry=lambda: None))
