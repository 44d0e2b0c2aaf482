"""What commands write to a terminal: results to standard output, notes and progress to standard error."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

T = TypeVar("T")

results = Console()
"""What was asked for: tables and figures; may be piped."""

notes = Console(stderr=True)
"""What happens on the way."""


def progress_bar() -> Progress:
    """A progress bar with description, bar, count and remaining time; vanishes when done, silent without a terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=notes,
        transient=True,
        disable=not notes.is_terminal,
    )


def track(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Yield from `items` under a progress bar."""
    with progress_bar() as progress:
        yield from progress.track(items, total=total, description=description)


@contextmanager
def transfer(description: str, total: int) -> Iterator[Callable[[int], None]]:
    """Yields what is to be called with the bytes that there are so far of `total`.

    It shows a bar; without a terminal a line at the beginning and after each quarter, for a log.
    """
    if notes.is_terminal:
        columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
        with Progress(TextColumn("{task.description}"), *columns, console=notes, transient=True) as progress:
            bar = progress.add_task(description, total=total)
            yield lambda done: progress.update(bar, completed=done)
        return
    told = -1

    def tell(done: int) -> None:
        nonlocal told
        if (quarter := 4 * done // total) > told:
            told = quarter
            notes.print(f"{description}: {done / 1e6:.1f} of {total / 1e6:.1f} MB", markup=False, highlight=False)

    yield tell
