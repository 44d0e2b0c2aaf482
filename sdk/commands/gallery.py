"""`reid gallery`: look after the identities of a gallery file."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from sdk.commands.forget import Runs, forget_in
from sdk.commands.options import Model
from sdk.errors import GalleryError
from sdk.names import one_called
from sdk.terminal import Table, notes, print_json, results, track

gallery = typer.Typer(help="Look after the identities of a gallery file.", no_args_is_help=True)

File = Annotated[str, typer.Argument(metavar="FILE", help="A gallery file, or milvus://host:19530/name.")]
Identity = Annotated[str, typer.Argument(help="A name in the gallery, as `list` shows it.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document instead of a table.")]

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


@gallery.command("list")
def list_identities(file: File, as_json: Json = False) -> None:
    """List the identities."""
    with _read(file) as opened:
        _write_summaries(opened.describe(), as_json)
        if not as_json:
            index = f"{opened.max_exemplars} exemplars an identity at most"
            model = f"model {opened.model[:12]}" if opened.model else "no model known"
            notes.print(f"{len(opened.identities())} identities, {len(opened)} exemplars; {index}; {model}")


@gallery.command("show")
def show(file: File, identity: Identity, as_json: Json = False) -> None:
    """Show one identity: how many exemplars, of which cameras, since when."""
    with _read(file) as opened:
        _write_summaries(opened.describe(one_called(identity, opened.identities())), as_json)


@gallery.command("enroll")
def enroll(
    file: File,
    data: Annotated[
        Path | None, typer.Option(help="Folder <root>/<identity>/<camera>_<anything>.png|jpg|bmp|webp: all its people.")
    ] = None,
    identity: Annotated[str | None, typer.Option(help="Instead: the one person that IMAGES show.")] = None,
    images: Annotated[list[Path] | None, typer.Argument(help="Images of that person.")] = None,
    camera: Annotated[str | None, typer.Option(help="With --identity: the camera that took them.")] = None,
    model: Model = None,
    rescore: Annotated[bool, typer.Option("--rescore", help="Keep the stripes for re-scoring too.")] = False,
    store_crops: Annotated[
        bool | None,
        typer.Option("--store-crops/--no-store-crops", help="Keep the crops, for `reid gallery reembed`. Default: no."),
    ] = None,
    retention: Annotated[
        str | None, typer.Option(help="From now on, delete exemplars so long after enrolment: 30d, 12h; 0: never.")
    ] = None,
) -> None:
    """Add people from images; makes the file if it is not there."""
    from sdk.folder import Sample, read_folder, read_image
    from sdk.reidentifier import ReIdentifier

    if (data is None) == (identity is None) or (identity is not None and not images):
        raise GalleryError("say whom to enrol: either --data FOLDER, or --identity NAME and images of that person")
    samples = read_folder(data) if data else [Sample(path, identity, camera) for path in images]
    kept = None if retention is None else _seconds(retention)
    with _open(file, store_crops=store_crops, retention=kept) as opened:
        reid = ReIdentifier(model, opened, threshold=0, rescore=rescore)
        for sample in track(samples, "enrolling"):
            reid.enroll([read_image(sample.path)], identity=sample.identity, camera=sample.camera)
        people = len({sample.identity for sample in samples})
        notes.print(f"enrolled {len(samples)} crops of {people} people; {len(opened)} exemplars in all")


@gallery.command("merge")
def merge(file: File, identity: Identity, into: Annotated[str, typer.Option(help="Whose they become.")]) -> None:
    """Two names, one person: IDENTITY's exemplars become another's."""
    with _open(file) as opened:
        identity, into = (one_called(name, opened.identities()) for name in (identity, into))
        notes.print(f"{opened.merge(identity, into=into)} exemplars of '{identity}' are now of '{into}'")


@gallery.command("rename")
def rename(file: File, identity: Identity, to: Annotated[str, typer.Option(help="The new name.")]) -> None:
    """Give an identity another name."""
    with _open(file) as opened:
        identity = one_called(identity, opened.identities())
        opened.rename(identity, to)
        notes.print(f"'{identity}' is now '{to}'")


@gallery.command("forget")
def forget(file: File, identity: Identity, run: Runs = None) -> None:
    """Delete an identity and leave no byte of it in the files, nor in the features that runs have kept."""
    with open_existing(file) as opened:
        forget_in(opened, identity, run or [])


@gallery.command("prune")
def prune(
    file: File,
    older_than: Annotated[str, typer.Option(help="Age since enrolment: 30d, 12h, 90m.")],
) -> None:
    """Delete the exemplars that were enrolled long ago, and people whom none is left of."""
    with _open(file) as opened:
        notes.print(f"deleted {opened.prune(time.time() - _seconds(older_than))} exemplars; {len(opened)} are left")


@gallery.command("audit")
def audit(file: File, as_json: Json = False) -> None:
    """Show what was done to identities, by their numbers."""
    with _read(file) as opened:
        lines = opened.audit()
    if as_json:
        print_json([asdict(line) for line in lines])
        return
    table = Table("when", "action", "identity", "into", "exemplars")
    for line in lines:
        numbers = ("" if number is None else f"#{number}" for number in (line.number, line.into))
        table.add_row(_when(line.time), line.action, *numbers, str(line.exemplars))
    results.print(table)


@gallery.command("export")
def export(
    file: File, output: Annotated[Path, typer.Option("--output", "-o", help="Writes OUTPUT.npz and OUTPUT.jsonl.")]
) -> None:
    """Write everything to an .npz and a .jsonl file; of a damaged gallery, what can be read."""
    from sdk.gallery.portable import paths_of
    from sdk.output import check_output

    for path in paths_of(output):
        check_output(path, [file])
    with _read(file) as opened:
        count = opened.export(output)
        _tell_problems(opened)
    notes.print(f"wrote {count} exemplars to {' and '.join(str(path) for path in paths_of(output))}")


@gallery.command("import")
def import_(file: File, source: Annotated[Path, typer.Argument(help="What `reid gallery export` wrote.")]) -> None:
    """Add what `export` wrote; makes the file if it is not there."""
    with _open(file) as opened:
        count = opened.load(source)
        notes.print(f"read {count} exemplars; {len(opened)} in all")


@gallery.command("reembed")
def reembed(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="A gallery file that stores crops.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="The file to make.")],
    model: Model = None,
    rescore: Annotated[bool, typer.Option("--rescore", help="Keep the stripes for re-scoring too.")] = False,
) -> None:
    """Move to another model: embed the stored crops of OLD with it, into NEW."""
    from sdk.reidentifier import ReIdentifier

    if new.exists():
        raise GalleryError(f"{new}: exists already; choose a new file")
    with _read(str(old)) as source:
        people = [(name, source.crops(name)) for name in source.identities()]
        without = [name for name, crops in people if not crops]
        if without:
            raise GalleryError(
                f"{old}: no crops are stored of {len(without)} of its {len(people)} identities, '{without[0]}' among "
                "them; enrol them again from images, with --store-crops"
            )
        with _open(str(new), store_crops=True) as target:
            reid = ReIdentifier(model, target, threshold=0, rescore=rescore)
            for name, crops in track(people, "embedding"):
                for crop, camera, seen in crops:
                    reid.enroll([crop], identity=name, camera=camera, time=seen)
            target._note("reembed", len(target))
            notes.print(f"embedded {sum(len(crops) for _, crops in people)} crops of {len(people)} people into {new}")


@gallery.command("verify")
def verify(file: File, as_json: Json = False) -> None:
    """Check the file's structure and every record; exit code 1 if anything is damaged."""
    with _read(file) as opened:
        report = opened.verify()
    if as_json:
        print_json({"ok": report.ok} | asdict(report))
    else:
        for problem in report.problems:
            notes.print(problem, style="red")
        notes.print(
            f"{report.identities} identities, {report.exemplars} exemplars: {'whole' if report.ok else 'damaged'}"
        )
    if not report.ok:
        raise typer.Exit(1)


def open_existing(file: str):
    """To change it; a file that is not there is not made. Raises `GalleryError`."""
    from sdk.gallery.gallery import is_shared

    if not is_shared(file) and not Path(file).is_file():
        raise GalleryError(f"{file}: no such gallery; check the path")
    return _open(file)


def _open(file: str, **options):
    """To change it. A shared one is first brought up to what the store has; closing it sends the changes."""
    from sdk.gallery.gallery import Gallery, is_shared

    opened = Gallery(file, **options)
    if is_shared(file):
        try:
            opened.sync()
        except BaseException:
            opened.close()
            raise
    return opened


def _read(file: str):
    """Only to read: another process may be writing it."""
    from sdk.gallery.gallery import is_shared

    return _open(file) if is_shared(file) else _open(file, read_only=True)


def _tell_problems(opened) -> None:
    for problem in opened.problems:
        notes.print(problem, style="red")


def _write_summaries(summaries, as_json: bool) -> None:
    if as_json:
        print_json([asdict(summary) for summary in summaries])
        return
    table = Table("identity", "number", "exemplars", "cameras", "first enrolled", "last enrolled")
    for summary in summaries:
        table.add_row(
            summary.identity,
            f"#{summary.number}",
            str(summary.exemplars),
            ", ".join(summary.cameras),
            _when(summary.first_added),
            _when(summary.last_added),
        )
    results.print(table)


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def _seconds(age: str) -> float:
    """ "30d" → seconds."""
    number, unit = (age[:-1], age[-1:]) if age[-1:] in UNITS else (age, "s")
    try:
        seconds = float(number) * UNITS[unit]
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise GalleryError(f"'{age}' is no length of time; write it as 30d, 12h, 90m or 45s")
    return seconds
