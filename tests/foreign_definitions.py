"""Weights by formula, and other projects' definitions of networks where a checkout of theirs is at hand."""

import importlib
import os
import sys
import zlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

SHARED = Path(__file__).parents[2] / "shared"


def fill(module: torch.nn.Module) -> torch.nn.Module:
    """Give every weight values that depend on its name and shape alone; evaluation mode.

    `RandomState` draws the same numbers in every release of NumPy. "backbone." is no part of a name.
    """
    state = module.state_dict()
    for name, tensor in state.items():
        if not tensor.is_floating_point():
            continue
        own = name.removeprefix("backbone.")
        draws = np.random.RandomState(zlib.crc32(own.encode()))
        if tensor.ndim > 1:
            values = draws.standard_normal(tuple(tensor.shape)) * np.sqrt(2 / tensor[0].numel())
        elif own.endswith(("running_var", "weight")):
            values = draws.uniform(0.5, 1.5, tuple(tensor.shape))
        else:
            values = draws.uniform(-0.2, 0.2, tuple(tensor.shape))
        tensor.copy_(torch.from_numpy(values))
    return module.eval()


def noise_crop(height: int = 256, width: int = 128) -> torch.Tensor:
    """One crop, uint8 BGR `[1, H, W, 3]`."""
    return torch.from_numpy(np.random.RandomState(7).randint(0, 256, (1, height, width, 3)).astype(np.uint8))


def definition(project: str, file: str) -> ModuleType:
    """The module `file` of a checkout of `project`, with what it imports of its own folder.

    The checkout is the folder that an environment variable names, DEEP_PERSON_REID for deep-person-reid, or that lies
    in the checkout's neighbour `shared`. Skips where there is none.
    """
    variable = project.upper().replace("-", "_")
    path = Path(os.environ.get(variable) or SHARED / project) / file
    if not path.is_file():
        pytest.skip(f"{project} is not here: let {variable} name a folder that has {file}")
    package = ModuleType(f"theirs_{variable.lower()}")
    package.__path__ = [str(path.parent)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, package.__name__, package)
        return importlib.import_module(f"{package.__name__}.{path.stem}")
