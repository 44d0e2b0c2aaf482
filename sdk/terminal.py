"""What commands write to a terminal: results to standard output, notes and progress to standard error.

Values are shown as they are, here and nowhere else: a name in square brackets is no markup, and a control character is
written out. Whoever wants colour asks for it, with `style=` or rich's `Text`.
"""

import functools
import inspect
import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Annotated, TypeVar

import typer
from rich import table
from rich.console import Console, ConsoleDimensions
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

WHOLE = 100_000
"""Columns of a pipe or a file, which cut nothing."""


class _Plain(Console):
    """A console to which a text is text."""

    def __init__(self, stderr: bool = False):
        super().__init__(stderr=stderr, markup=False, highlight=False, emoji=False)

    @property
    def size(self) -> ConsoleDimensions:
        """As wide as the terminal; where there is none, lines are never broken nor cells cut."""
        return super().size if self.is_terminal else ConsoleDimensions(WHOLE, 25)

    def render_str(self, text: str, **settings) -> Text:
        # Line breaks and tabs are those of a message; cells of a table have none.
        return super().render_str(visible(text, but="\n\t"), **settings)


class _Results(_Plain):
    """Tables and figures; with `--json` one document of all tables, and the rest among the notes."""

    document: dict[str, list[dict]] | None = None

    def print(self, *objects, **settings) -> None:
        if self.document is None:
            super().print(*objects, **settings)
        elif len(objects) == 1 and isinstance(objects[0], Table):
            self.document.setdefault(objects[0].name, []).extend(objects[0].records)
        else:
            notes.print(*objects, **settings)

    @contextmanager
    def as_json(self) -> Iterator[None]:
        """What is printed until the end becomes one JSON document: each table by its name, a list of its rows."""
        self.document = {}
        try:
            yield
        finally:
            document, self.document = self.document, None
            if document:
                print_json(document)


results = _Results()
"""What was asked for; may be piped."""

notes = _Plain(stderr=True)
"""What happens on the way."""


def with_json(command: Callable) -> Callable:
    """Give a command, whose results are `Table`s, the option `--json`: one document on standard output instead.

    The document is an object with a list of rows by the name of each table. A row is an object: what its command gave
    as `record`, else the cells by the tables' heads, numbers as numbers.
    """

    @functools.wraps(command)
    def run(*arguments, as_json: bool = False, **options):
        if not as_json:
            return command(*arguments, **options)
        with results.as_json():
            return command(*arguments, **options)

    option = Annotated[bool, typer.Option("--json", help="One JSON document instead of tables.")]
    signature = inspect.signature(command)
    added = inspect.Parameter("as_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=option)
    run.__signature__ = signature.replace(parameters=[*signature.parameters.values(), added])
    run.__annotations__ = {**command.__annotations__, "as_json": option}
    return run


def print_json(value: object) -> None:
    """To standard output, for other programs; hidden characters in texts are written as JSON escapes."""
    print(visible(json.dumps(value, indent=2, ensure_ascii=False), but="\n"))


class Table(table.Table):
    """Rich's table, whose texts are shown as they are on any console, folded where they are too long for it.

    name: in the document of `--json`. `records` are its rows for other programs.
    """

    def __init__(self, *headers: str, name: str, title: str | None = None, **settings):
        super().__init__(
            *(table.Column(header=_plain(header), overflow="fold") for header in headers),
            title=None if title is None else _plain(title, "table.title"),
            **settings,
        )
        self.name = name
        self.headers = headers
        self.records: list[dict] = []

    def add_row(self, *cells: str | Text, record: dict | None = None, **settings) -> None:
        """record: the row for other programs, by full names and at full precision. Without one it is the cells by
        their heads, numbers as numbers, empty ones as null; an empty one is no row for them."""
        if record is None:
            texts = (cell.plain if isinstance(cell, Text) else cell for cell in cells)
            record = {head or "name": _value(text) for head, text in zip(self.headers, texts, strict=False)}
        if record:
            self.records.append(record)
        super().add_row(*(_plain(cell) if isinstance(cell, str) else cell for cell in cells), **settings)


def _value(cell: str) -> str | int | float | None:
    """What a cell says, for JSON: 007 is a name, not a number."""
    if re.fullmatch(r"-?(0|[1-9]\d*)", cell):
        return int(cell)
    if re.fullmatch(r"-?(0|[1-9]\d*)\.\d+", cell):
        return float(cell)
    return None if cell in ("", "–") else cell


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
