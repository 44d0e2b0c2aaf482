"""MATLAB's files: variables of the format up to v7 (scipy); v7.3 is HDF5, see `training.data.cuhk03`."""

from pathlib import Path

import numpy as np

from sdk.errors import DataError, missing_package


def read_mat(path: Path, name: str) -> np.ndarray:
    """The variable `name` of a .mat file, of any shape, without axes of length 1; cells and structs as objects.

    Raises `DataError` if the file is missing, cannot be read or has no such variable.
    """
    try:
        from scipy.io import loadmat
    except ImportError:
        raise missing_package("scipy", "datasets", "reading .mat files") from None
    if not path.is_file():
        raise DataError(f"{path}: missing; the dataset is not here as it was published")
    try:
        content = loadmat(path, variable_names=[name], squeeze_me=True)
    except Exception as error:  # scipy raises many kinds here: ValueError, zlib's, NotImplementedError, …
        raise DataError(f"{path}: not a readable .mat file ({type(error).__name__}); was it copied whole?") from error
    if name not in content:
        raise DataError(f"{path}: has no variable '{name}'; is it the file as published?")
    return content[name]


def read_integers(path: Path, name: str) -> np.ndarray:
    """The variable `name` as int64: MATLAB stores whole numbers in the least type that holds them, uint8 for one."""
    values = read_mat(path, name)
    try:
        return np.asarray(values).astype(np.int64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{path}: '{name}' does not hold whole numbers; is it the file as published?") from error
