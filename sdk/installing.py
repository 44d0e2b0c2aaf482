"""What a user is told to install: the extra that brings a package, and what pip can do where this copy came from."""

import json
import shlex
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

NAME = "aligned-reid"

EXTRAS = {
    # module: (what pip calls it, the extra that brings it; of several the one that most commands want)
    "supervision": ("supervision", "track"),
    "trackers": ("trackers", "track"),
    "PIL": ("pillow", "track"),
    "yaml": ("pyyaml", "track"),
    "scipy": ("scipy", "track"),
    "h11": ("h11", "track"),
    "torch": ("torch", "train"),
    "matplotlib": ("matplotlib", "train"),
    "tensorboard": ("tensorboard", "tensorboard"),
    "wandb": ("wandb", "wandb"),
    "mlflow": ("mlflow-skinny", "mlflow"),
    "sklearn": ("scikit-learn", "map"),
    "timm": ("timm", "timm"),
    "onnx": ("onnx", "convert"),
    "onnxscript": ("onnxscript", "convert"),
    "pycuda": ("pycuda", "cuda"),
    "tensorrt": ("tensorrt", "tensorrt"),
    "tensorrt_rtx": ("tensorrt-rtx", "rtx"),
    "h5py": ("h5py", "datasets"),
    "faiss": ("faiss-cpu", "index"),
    "cryptography": ("cryptography", "encryption"),
    "pymilvus": ("pymilvus", "milvus"),
    "paho": ("paho-mqtt", "mqtt"),
}
"""Every module that an extra brings and a room imports (tests/test_installing.py)."""


def how_to_install(extra: str | None = None) -> str:
    """The command that installs this product, with `extra`: from a clone, a wheel or an index, as it was installed."""
    wanted = f"[{extra}]" if extra else ""
    clone = Path(__file__).resolve().parents[1]
    if (clone / "pyproject.toml").is_file():  # what runs is a clone, by an editable install or by PYTHONPATH
        return _pip("-e ", ("." if clone == Path.cwd() else str(clone)) + wanted)
    origin = _direct_url()
    url = origin.get("url", "")
    if "vcs_info" in origin:
        return _pip("", f"{NAME}{wanted} @ {origin['vcs_info']['vcs']}+{url}")
    if not url.startswith("file:"):
        return _pip("", NAME + wanted)
    place = Path(unquote(urlsplit(url).path))
    gone = not place.is_file() and not (place / "pyproject.toml").is_file()
    if not gone:
        return _pip("", str(place) + wanted)
    image = ",".join(dict.fromkeys(("track", extra or "track")))
    return f"{_pip('', str(place) + wanted)}, once that is back there (an image: build it with EXTRAS={image})"


def needed(error: ModuleNotFoundError) -> tuple[str, str] | None:
    """What pip calls the package that is not here, and the extra that brings it; None where no extra does."""
    return EXTRAS.get((error.name or "").partition(".")[0])


def _pip(options: str, what: str) -> str:
    return f"pip install {options}{shlex.quote(what)}"


def _direct_url() -> dict[str, Any]:
    """What pip has written down of the place that it installed from (PEP 610); nothing where that was an index."""
    try:
        found = json.loads(distribution(NAME).read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
