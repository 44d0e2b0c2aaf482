"""Files of weights, as torchvision, torchreid, fast-reid and others publish them."""

from pathlib import Path

from torch import Tensor

from sdk.errors import DataError
from training.backbones.base import Backbone
from training.backbones.timm import TimmBackbone
from training.tensor_file import read_tensors

HOLDERS = ("state_dict", "model", "net", "weights")
"""Under which a training run keeps the weights among other things."""
PREFIXES = ("module.", "backbone.", "base.")
"""What stands before the backbone's own names: of data-parallel training, of fast-reid, of the strong baseline."""
COUNTER = "num_batches_tracked"
"""How the name of a batch normalisation's counter ends; inference needs none."""


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """The weights in a file, by their names in the network, without `PREFIXES`.

    Nothing in the file is run. Raises `DataError` for a file that is missing or holds no dictionary of tensors.
    """
    try:
        content = read_tensors(path)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file of weights") from None
    except Exception as error:  # torch raises many kinds here: zip, pickle, runtime
        raise DataError(
            f"{path}: not a readable file of weights, or it cannot be read without running code that is in it "
            f"({type(error).__name__}); save the network's state_dict() alone"
        ) from error
    for holder in HOLDERS:
        if isinstance(content, dict) and isinstance(content.get(holder), dict):
            content = content[holder]
    if not isinstance(content, dict) or not any(isinstance(value, Tensor) for value in content.values()):
        raise DataError(f"{path}: holds no dictionary of weights; save the network's state_dict() to it")
    return {_own_name(key): value for key, value in content.items() if isinstance(value, Tensor)}


def load_weights(backbone: Backbone, path: str | Path) -> tuple[list[str], list[str]]:
    """Load published weights, such as torchvision's ImageNet ones, into `backbone`: (keys not used, keys not found).

    A key of another shape counts as not used and as not found. Raises `DataError` for a file that is missing or is no
    dictionary of tensors, or of which nothing fits.
    """
    content = backbone.own_names(read_weights(path))
    target = backbone.network if isinstance(backbone, TimmBackbone) else backbone
    wanted = target.state_dict()
    fitting = {key: value for key, value in content.items() if key in wanted and value.shape == wanted[key].shape}
    counters = [key for key in wanted if key.endswith(COUNTER)]  # fit anything
    if not fitting.keys() - counters:
        raise DataError(f"{path}: none of its {len(content)} tensors fits this backbone; is it of another network?")
    target.load_state_dict(fitting, strict=False)
    missing = [key for key in wanted if key not in fitting and key not in counters]
    return [key for key in content if key not in fitting], missing


def _own_name(key: str) -> str:
    for prefix in PREFIXES:
        key = key.removeprefix(prefix)
    return key
