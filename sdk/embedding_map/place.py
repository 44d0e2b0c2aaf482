"""Where each embedding lies on the map: t-SNE (van der Maaten and Hinton, 2008), by scikit-learn."""

import numpy as np

from sdk.errors import DataError, missing_package

FEWEST = 4
"""Embeddings; of fewer there is nothing to lay out."""


def place(embedding: np.ndarray, perplexity: float = 30.0, seed: int = 0) -> np.ndarray:
    """Places for embeddings float `[N, D]`: float64 `[N, 2]`, x and y from 0 to 1, with one scale for both.

    perplexity: how many neighbours count, lowered where there are few embeddings. The same seed gives the same map on
    the same machine. Raises `MissingPackageError` without scikit-learn, `DataError` for fewer than `FEWEST` embeddings
    or numbers that are not finite.
    """
    number = len(embedding)
    if number < FEWEST:
        raise DataError(f"a map needs at least {FEWEST} crops; here are {number}")
    if not np.isfinite(embedding).all():
        raise DataError("some features are not finite; embed the crops again")
    if not 1 <= perplexity < float("inf"):
        raise DataError(f"--perplexity {perplexity:g}: from 1 on; 30 is usual")
    try:
        from sklearn.manifold import TSNE
    except ImportError:
        raise missing_package("scikit-learn", "map", "a map") from None
    # The first two components keep far groups apart, and make the result depend little on the seed.
    tsne = TSNE(
        perplexity=min(perplexity, (number - 1) / 3), init="pca" if embedding.shape[1] > 1 else "random",
        random_state=seed, n_jobs=1,
    )  # fmt: skip
    found = tsne.fit_transform(embedding.astype(np.float32)).astype(np.float64)
    low, high = found.min(axis=0), found.max(axis=0)
    return (found - (low + high) / 2) / max((high - low).max(), 1e-12) + 0.5
