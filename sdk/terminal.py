"""What commands write to a terminal: results to standard output, notes and progress to standard error.

Values are shown as they are, here and nowhere else: a name in square brackets is no markup, and a control character is
written out. Whoever wants colour asks for it, with `style=` or rich's `Text`.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich import table
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from sdk.names import visible

T = TypeVar("T")


class _Plain(Console):
    """A console to which a text is text."""

    def __init__(self, stderr: bool = False):
        super().__init__(stderr=stderr, markup=False, highlight=False, emoji=False)

    def render_str(self, text: str, **settings) -> Text:
        # Line breaks and tabs are those of a message; cells of a table have none.
        return super().render_str(visible(text, but="\n\t"), **settings)


results = _Plain()
"""What was asked for: tables and figures; may be piped."""

notes = _Plain(stderr=True)
"""What happens on the way."""


def print_json(value: object) -> None:
    """To standard output, for other programs; hidden characters in texts are written as JSON escapes."""
    print(visible(json.dumps(value, indent=2, ensure_ascii=False), but="\n"))


class Table(table.Table):
    """Rich's table, whose texts are shown as they are on any console."""

    def __init__(self, *headers: str | table.Column, title: str | None = None, **settings):
        super().__init__(
            *(table.Column(header=_plain(header)) if isinstance(header, str) else header for header in headers),
            title=None if title is None else _plain(title, "table.title"),
            **settings,
        )

    def add_row(self, *cells, **settings) -> None:
        super().add_row(*(_plain(cell) if isinstance(cell, str) else cell for cell in cells), **settings)


def _plain(text: str, style: str = "") -> Text:
    return Text(visible(text), style)


class _Description(ProgressColumn):
    """What is being done."""

    def render(self, task: Task) -> Text:
        return _plain(task.description)


def progress_bar() -> Progress:
    """A progress bar with description, bar, count and remaining time; vanishes when done, silent without a terminal."""
    return Progress(
        _Description(),
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
        with Progress(_Description(), *columns, console=notes, transient=True) as progress:
            bar = progress.add_task(description, total=total)
            yield lambda done: progress.update(bar, completed=done)
        return
    told = -1

    def tell(done: int) -> None:
        nonlocal told
        if (quarter := 4 * done // total) > told:
            told = quarter
            notes.print(f"{description}: {done / 1e6:.1f} of {total / 1e6:.1f} MB")

    yield tell
