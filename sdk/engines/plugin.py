"""The operator `reid::AlignedLocalDistance`, and the TensorRT plugin that computes it in one kernel."""

import threading
from pathlib import Path

from sdk.engines.native import PLUGIN, find_library, how_to_build
from sdk.engines.plan import metadata_if_any
from sdk.engines.versions import Library
from sdk.errors import EngineError

DOMAIN, OPERATOR, PLUGIN_VERSION = "reid", "AlignedLocalDistance", "1"
QUERY, GALLERY, CANDIDATES, DISTANCE = "query_stripes", "gallery_stripes", "candidates", "distance"
"""The operator's tensors."""

MARK = "plugin"
"""Among the tools of a re-scoring plan's metadata: it was built with the plugin, of this version."""

_loading = threading.Lock()


def load_plugin(library: Library) -> bool:
    """Make the plugin known to this library, once a process; whether it knows it.

    It does not where the plugin is not built, and TensorRT-RTX takes no plugins. An engine that has it in its network
    needs this before it is built and before it is loaded. Raises `EngineError` if the plugin is there and cannot be
    loaded.
    """
    registry = library.module.get_plugin_registry() if library.takes_plugins else None
    if registry is None:
        return False
    with _loading:
        if _knows_it(registry):
            return True
        path = find_library(PLUGIN)
        if path is None:
            return False
        registry.load_library(str(path))
        if not _knows_it(registry):
            raise EngineError(f"{path}: {library.title} cannot load it; build it again on this machine")
    return True


def has_plugin(path: str | Path) -> bool:
    """Whether a re-scoring plan was built with the plugin, by its metadata. Raises `EngineError` for no plan."""
    metadata = metadata_if_any(path)
    return metadata is not None and MARK in metadata.tools


def plugin_state() -> tuple[bool, str]:
    """Whether the plugin's library is built, and where it is or how it is made, in words."""
    path = find_library(PLUGIN)
    return (True, str(path)) if path is not None else (False, how_to_build(PLUGIN))


def _knows_it(registry) -> bool:
    return registry.get_creator(OPERATOR, PLUGIN_VERSION, DOMAIN) is not None
