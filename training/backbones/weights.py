"""Files of weights, as torchvision, torchreid, fast-reid and others publish them."""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from sdk.engines.kinds import explain_kind
from sdk.errors import DataError
from training.backbones.base import Backbone
from training.backbones.timm import TimmBackbone
from training.tensor_file import read_tensors

HOLDERS = ("state_dict", "state_dicts", "model_state_dict", "model", "net", "weights")
"""Under which a training run keeps the weights among other things; of a list of networks the first is taken."""
WRAPPERS = ("module.", "_orig_mod.", "model.")
"""What stands before all names and says nothing of the network: of data-parallel training, of a compiled module, of
Lightning."""
PREFIXES = ("backbone.", "base.")
"""What stands before the backbone's own names where the network has more parts: of fast-reid, of the strong
baseline."""
NUMBERED = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}
"""The parts of a ResNet that was put into a sequence, as AlignedReID++ does; the others have no weights."""
COUNTER = "num_batches_tracked"
"""How the name of a batch normalisation's counter ends; inference needs none."""


@dataclass(frozen=True)
class Published:
    """The weights in a file, by the names that their network gives them."""

    weights: dict[str, Tensor]
    wrapping: tuple[str, ...] = ()
    """What was around them: the holders, then the `WRAPPERS` that were taken off the names."""


def read_published(path: str | Path) -> Published:
    """The weights in a file, by their names in the network, without `WRAPPERS`.

    Nothing in the file is run. Raises `DataError` for a file that is missing, is of another kind, holds no dictionary
    of tensors, or names two tensors alike once what is around them is gone.
    """
    try:
        content = read_tensors(path)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file of weights") from None
    except DataError:
        raise
    except Exception as error:  # torch raises many kinds here: zip, pickle, runtime
        raise DataError(
            explain_kind(path)
            or f"{path}: not a readable file of weights, or it cannot be read without running code that is in it "
            f"({type(error).__name__}); save the network's state_dict() alone"
        ) from error
    wrapping = []
    for holder in HOLDERS:
        held = content.get(holder) if isinstance(content, dict) else None
        held = held[0] if isinstance(held, (list, tuple)) and held else held
        if isinstance(held, dict):
            content = held
            wrapping.append(holder)
    if not isinstance(content, dict) or not any(isinstance(value, Tensor) for value in content.values()):
        raise DataError(f"{path}: holds no dictionary of weights; save the network's state_dict() to it")
    weights = {}
    for key, value in content.items():
        if not isinstance(value, Tensor):
            continue
        name = str(key)
        while wrapper := next((wrapper for wrapper in WRAPPERS if name.startswith(wrapper)), None):
            name = name.removeprefix(wrapper)
            if wrapper not in wrapping:
                wrapping.append(wrapper)
        if name in weights:
            raise DataError(f"{path}: has {name} twice, of two networks; save the state_dict() of the one you mean")
        weights[name] = value
    return Published(weights, tuple(wrapping))


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """The weights in a file under the names that a backbone has for them (`backbone_names`).

    Raises `DataError` as `read_published` does.
    """
    return backbone_names(read_published(path).weights)


def backbone_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """`weights` without `PREFIXES`, and with a sequence's numbers replaced.

    What has no such prefix stays under its name, unless the backbone has one of that name.
    """
    own = {}
    for key, value in weights.items():
        name = key
        for prefix in PREFIXES:
            name = name.removeprefix(prefix)
        if name != key:
            own[_unnumbered(name)] = value
    return own | {key: value for key, value in weights.items() if key not in own and not key.startswith(PREFIXES)}


def _unnumbered(name: str) -> str:
    number, dot, rest = name.partition(".")
    return f"{NUMBERED[number]}.{rest}" if dot and number in NUMBERED else name


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
