"""What commands write to a terminal: results to standard output, notes and progress to standard error."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

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
