"""Which exemplars of an identity are kept when there are more than its share: varied ones, of good quality."""

import numpy as np


def surplus(embedding: np.ndarray, quality: np.ndarray, keep: int) -> np.ndarray:
    """The places of the exemplars to drop so that `keep` remain: int64, sorted.

    embedding: float32 `[N, D]` of unit length, oldest first; quality: `[N]`. One after the other, of the two that are
    most alike the poorer goes, of two equally good ones the older: what looks different from all others stays, however
    poor, because nothing else shows that side of the person.
    """
    number = len(embedding)
    if number <= keep:
        return np.empty(0, np.int64)
    # Not a product of BLAS: it starts threads even for so few, and waits for them on a busy machine.
    alike = np.einsum("id,jd->ij", embedding, embedding)
    np.fill_diagonal(alike, -np.inf)
    dropped = []
    for _ in range(number - keep):
        first, second = sorted(divmod(int(np.argmax(alike)), number))
        worse = first if quality[first] <= quality[second] else second
        dropped.append(worse)
        alike[worse, :] = alike[:, worse] = -np.inf
    return np.sort(np.array(dropped, np.int64))
