"""Crops as other programs hold them: files, PIL's images, PyTorch's tensors. The SDK's own are uint8 BGR arrays."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeGuard

import numpy as np

from sdk.errors import CropError

COLORS = ("bgr", "rgb")


class Picture(Protocol):
    """An image of PIL, as far as it matters here, whether PIL is installed or not."""

    def convert(self, mode: str) -> Any:
        """It, in another form: "RGB"."""


class Tensor(Protocol):
    """A tensor of PyTorch, as far as it matters here, whether PyTorch is installed or not."""

    @property
    def ndim(self) -> int:
        """How many dimensions it has."""
        ...

    def __iter__(self) -> Iterator[Any]:
        """Its parts along the first of them."""
        ...

    def detach(self) -> Any:
        """It, without its gradients."""


Crop = np.ndarray | str | Path | Picture | Tensor
"""One image of somebody, as `as_crops` takes it."""
Crops = Sequence[Crop] | np.ndarray | Tensor
"""Several, or a batch of them: `[N, H, W, 3]`."""


def as_crops(images: Iterable[Crop] | np.ndarray | Tensor, color: str | None = None) -> list[np.ndarray] | np.ndarray:
    """Images of people as uint8 BGR `[H, W, 3]` arrays, which is what `ReIdentifier` and `Gallery` take.

    Each is a path of an image file, an image of PIL, a NumPy array or a tensor of PyTorch; arrays and tensors uint8,
    `[H, W, 3]` or `[3, H, W]`, and a tensor or array of a whole batch will do.

    color: the order of channels of arrays and tensors, "bgr" or "rgb". Files and PIL's images say it themselves; of
    NumPy arrays it is "bgr" (OpenCV's) where nothing is said; of tensors it has to be said. Values are from 0 to 255:
    what is scaled or normalised is refused, for that is done in the model. Raises `CropError` naming the first that
    cannot be taken, and `DataError` for a file that is no image.
    """
    if color is not None and color not in COLORS:
        raise CropError(f"color is {color!r}; say 'bgr' or 'rgb'")
    if isinstance(images, (str, Path)) or _is_pil(images):
        raise CropError("crops is one image; pass a list of crops: [crop]")
    if not isinstance(images, Iterable):
        raise CropError(f"crops is a {type(images).__name__}; pass a list of crops: [crop]")
    if _is_tensor(images) and images.ndim == 4:
        images = list(_array(images, 0, color))
    if isinstance(images, np.ndarray) and (color is None or images.ndim != 4):
        return images  # a batch as it is wanted, or what `check_crops` says is none
    return [_as_crop(image, index, color) for index, image in enumerate(images)]


def _as_crop(image: Any, index: int, color: str | None) -> Any:
    if isinstance(image, (str, Path)):
        from sdk.folder import read_image

        return read_image(image)
    if _is_pil(image):
        return _array_of_picture(image)
    if _is_tensor(image):
        image = _array(image, index, color)
    if color is None or not isinstance(image, np.ndarray) or image.ndim != 3:
        return image  # as it is: what it lacks is said by `check_crops`
    image = image.transpose(1, 2, 0) if image.shape[0] == 3 and image.shape[2] != 3 else image
    return image[..., ::-1] if color == "rgb" else image


def _array_of_picture(image: Any) -> np.ndarray:
    from PIL import ImageOps

    return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))[..., ::-1]


def _array(tensor: Any, index: int, color: str | None) -> np.ndarray:
    if color is None:
        raise CropError(
            f"crop {index}: is a tensor, which does not say its order of channels; pass "
            "as_crops(tensors, color='rgb'), or 'bgr' (from sdk import as_crops)"
        )
    array: np.ndarray = tensor.detach().cpu().numpy()
    if array.dtype != np.uint8:
        raise CropError(
            f"crop {index}: is a tensor of {array.dtype}; pass uint8 from 0 to 255, not normalised: of values from 0 "
            "to 1, (tensor * 255).round().byte()"
        )
    return array


def _is_pil(image: object) -> TypeGuard[Picture]:
    return any(base.__module__.startswith("PIL.") for base in type(image).__mro__)


def _is_tensor(image: object) -> TypeGuard[Tensor]:
    return type(image).__module__.partition(".")[0] == "torch" and hasattr(image, "detach")
