"""The exceptions of the SDK: each message names the thing that is wrong and the remedy.

All derive from `ReIDError`, so an application may catch one type. Those caused by an argument
are also `ValueError`s, as a Python user expects.
"""

from sdk.installing import how_to_install


class ReIDError(Exception):
    """Base class of every error that the SDK raises on purpose."""


class CropError(ReIDError, ValueError):
    """A crop, or the list of crops, cannot be used. The message names the crop's index."""


class EngineError(ReIDError):
    """An engine file cannot be loaded, or does not keep the SDK's contract."""


class GalleryError(ReIDError, ValueError):
    """An embedding does not fit the gallery, or an identity is not in it."""


class UnknownIdentityError(GalleryError):
    """Nobody of that name is in the gallery."""


class DataError(ReIDError, ValueError):
    """A dataset folder, a video or a checkpoint cannot be read or has not what is needed."""


class MissingPackageError(ReIDError, ImportError):
    """An optional package is not installed. The message names the extra to install."""


def missing_package(package: str, extra: str, purpose: str) -> MissingPackageError:
    """The error for an optional `package` that `purpose` needs and the extra `extra` installs."""
    return MissingPackageError(
        f"{purpose} needs the package '{package}', which is not installed: {how_to_install(extra)}"
    )
