"""P×K batches: P identities, K images each (Hermans et al., arXiv 1703.07737)."""

from collections.abc import Iterator

import numpy as np


class PKSampler:
    """Yields batches of dataset indices; the order depends on (seed, epoch) alone, so a resumed run repeats it.

    An epoch shows every identity about as often as it has images: `len(labels) / (P · K)` batches, at least
    one. The K images of an identity are spread over its cameras as far as they go, because the pairs
    worth learning are those across cameras.
    """

    def __init__(
        self,
        labels: np.ndarray,
        cameras: np.ndarray,
        identities_per_batch: int,
        images_per_identity: int,
        seed: int,
    ):
        self.by_identity = [np.flatnonzero(labels == label) for label in range(int(labels.max()) + 1)]
        self.cameras = cameras
        self.p = min(identities_per_batch, len(self.by_identity))
        self.k = images_per_identity
        self.seed = seed
        self.epoch = 0
        self.batches = max(1, len(labels) // (self.p * self.k))

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[list[int]]:
        rng = np.random.default_rng([self.seed, self.epoch])
        queue: list[int] = []
        for _ in range(self.batches):
            while len(set(queue)) < self.p:
                queue += rng.permutation(len(self.by_identity)).tolist()
            identities = list(dict.fromkeys(queue))[: self.p]
            for identity in identities:
                queue.remove(identity)
            yield [int(i) for identity in identities for i in self._images(identity, rng)]

    def _images(self, identity: int, rng: np.random.Generator) -> list[int]:
        """K of the identity's images, a camera at a time in turn; images repeat only where they run out."""
        shuffled = rng.permutation(self.by_identity[identity])
        piles: dict[str, list[int]] = {}
        for index in shuffled:
            piles.setdefault(self.cameras[index], []).append(index)
        in_turn = [index for turn in _turns(list(piles.values())) for index in turn]
        return [in_turn[i % len(in_turn)] for i in range(self.k)]


def _turns(piles: list[list[int]]) -> Iterator[list[int]]:
    for turn in range(max(map(len, piles))):
        yield [pile[turn] for pile in piles if turn < len(pile)]
