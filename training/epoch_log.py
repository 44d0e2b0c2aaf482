"""A line an epoch, for a log: what is left when there is no terminal to show a progress bar on."""

import time
from collections import defaultdict

from sdk.terminal import notes


class EpochLog:
    """Notes the batches of an epoch and prints a line at its end, unless standard error is a terminal."""

    def __init__(self, epochs: int, first_epoch: int = 0):
        """epochs: of the whole run; first_epoch: the first, from 0, that is trained now."""
        self._epochs, self._first = epochs, first_epoch
        self._sums: dict[str, float] = defaultdict(float)
        self._batches: dict[str, int] = defaultdict(int)
        self._started = self._last = time.monotonic()

    def add(self, terms: dict[str, float]) -> None:
        """A batch: its loss by term."""
        for name, value in terms.items():
            self._sums[name] += value
            self._batches[name] += 1

    def end(self, epoch: int, rate: float, held_out: dict[str, float] | None = None) -> None:
        """Epoch `epoch`, from 0, is over: print its mean loss by term, the last learning rate, the time that it took
        and that is left, and the figures on the people held out where they were measured."""
        now = time.monotonic()
        own, each = now - self._last, (now - self._started) / (epoch + 1 - self._first)
        self._last = now
        terms = " ".join(f"{name} {self._sums[name] / count:.3f}" for name, count in self._batches.items())
        line = [f"epoch {epoch + 1}/{self._epochs}", f"loss {terms}", f"rate {rate:.2g}", f"{duration(own)} for it"]
        if left := self._epochs - epoch - 1:
            line.append(f"{duration(left * each)} left")
        if held_out is not None:
            line.append("held out " + " ".join(f"{name} {held_out[name]:.3f}" for name in ("rank1", "mAP")))
        if not notes.is_terminal:
            notes.print(", ".join(line), soft_wrap=True)
        self._sums.clear()
        self._batches.clear()


def duration(seconds: float) -> str:
    """In words: "40 s", "12 min", "3 h 5 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
