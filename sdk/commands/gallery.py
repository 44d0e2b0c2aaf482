"""`reid gallery`: look after the identities of a gallery file."""

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from sdk.age import age_in_seconds
from sdk.commands.forget import Runs, forget_in
from sdk.commands.options import HostCode, Model
from sdk.errors import GalleryError
from sdk.names import one_called
from sdk.terminal import Table, notes, print_json, results, track

gallery = typer.Typer(help="Look after the identities of a gallery file.", no_args_is_help=True)

File = Annotated[str, typer.Argument(metavar="FILE", help="A gallery file, or milvus://host:19530/name.")]
Identity = Annotated[str, typer.Argument(help="A name in the gallery, as `list` shows it.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document instead of a table.")]

TRACES = 3
"""Exit code of a command that has done what it says, while bytes of what was erased are still in a file."""


@gallery.command("list")
def list_identities(file: File, as_json: Json = False) -> None:
    """List the identities."""
    with _read(file) as opened:
        _write_summaries(opened.describe(), as_json)
        if not as_json:
            index = f"{opened.max_exemplars} exemplars an identity at most"
            model = f"model {opened.model[:12]}" if opened.model else "no model known"
            notes.print(f"{len(opened.identities())} identities, {len(opened)} exemplars; {index}; {model}")


@gallery.command("sync")
def sync(
    store: Annotated[str, typer.Argument(help="milvus://host:19530/name.")],
    cache: Annotated[Path, typer.Option(help="File that keeps it; made if it is not there.")],
) -> None:
    """Bring a shared gallery's cache up to date, and send what it has: also to prepare that of a box which is to start
    without a network.

    Each site needs a cache of its own: two that share a copy would give different people the same made-up names.
    """
    from sdk.gallery import Gallery

    with Gallery(store, cache=cache) as opened:
        opened.sync()
        notes.print(f"{cache}: {len(opened.identities())} identities, {len(opened)} exemplars, as the store has them")


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
    host_code: HostCode = False,
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
    kept = None if retention is None else age_in_seconds(retention, never=True)
    for sample in samples:  # before anything is changed
        read_image(sample.path)
    with _make(file) as opened:
        reid = ReIdentifier(model, opened, threshold=0, rescore=rescore, host_code=host_code)
        # Settings are kept when all has gone well: the retention of a call that fails must not have deleted anybody.
        opened.stores_crops = opened.stores_crops if store_crops is None else store_crops
        for sample in track(samples, "enrolling"):
            reid.enroll([read_image(sample.path)], identity=sample.identity, camera=sample.camera)
        people = len({sample.identity for sample in samples})
        opened.settle(store_crops=store_crops, retention=kept)
        notes.print(f"enrolled {len(samples)} crops of {people} people; {len(opened)} exemplars in all")


@gallery.command("merge")
def merge(file: File, identity: Identity, into: Annotated[str, typer.Option(help="Whose they become.")]) -> None:
    """Two names, one person: IDENTITY's exemplars become another's."""
    with open_existing(file) as opened:
        identity, into = (one_called(name, opened.identities()) for name in (identity, into))
        notes.print(f"{opened.merge(identity, into=into)} exemplars of '{identity}' are now of '{into}'")


@gallery.command("rename")
def rename(file: File, identity: Identity, to: Annotated[str, typer.Option(help="The new name.")]) -> None:
    """Give an identity another name."""
    with open_existing(file) as opened:
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
    older_than: Annotated[str, typer.Option(help="Age since enrolment: 30d, 12h, 90m, 45s.")],
) -> None:
    """Delete the exemplars that were enrolled long ago, and people whom none is left of."""
    age = age_in_seconds(older_than)
    with open_existing(file) as opened:
        _tell_clock(opened)
        notes.print(f"deleted {opened.prune(older_than=age)} exemplars; {len(opened)} are left")


@gallery.command("audit")
def audit(file: File, as_json: Json = False) -> None:
    """Show what was done to identities, by their numbers."""
    with _read(file) as opened:
        lines = opened.audit()
    if as_json:
        print_json([asdict(line) for line in lines])
        return
    table = Table("when", "action", "identity", "into", "exemplars", name="audit")
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
    with _make(file) as opened:
        count = opened.load(source)
        notes.print(f"read {count} exemplars; {len(opened)} in all")


@gallery.command("reembed")
def reembed(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="A gallery file that stores crops.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="The file to make.")],
    model: Model = None,
    host_code: HostCode = False,
    rescore: Annotated[bool, typer.Option("--rescore", help="Keep the stripes for re-scoring too.")] = False,
) -> None:
    """Move to another model: embed the stored crops of OLD with it, into NEW."""
    from sdk.gallery import arguments
    from sdk.reidentifier import ReIdentifier

    if arguments.path(new, "NEW").exists():
        raise GalleryError(f"{new}: exists already; choose a new file")
    with _read(str(old)) as source:
        people = [(name, source.crops(name)) for name in source.identities()]
        without = [name for name, crops in people if not crops]
        if without:
            raise GalleryError(
                f"{old}: no crops are stored of {len(without)} of its {len(people)} identities, '{without[0]}' among "
                "them; enrol them again from images, with --store-crops"
            )
        with _make(str(new), store_crops=True) as target:
            reid = ReIdentifier(model, target, threshold=0, rescore=rescore, host_code=host_code)
            for name, crops in track(people, "embedding"):
                for crop, camera, seen in crops:
                    reid.enroll([crop], identity=name, camera=camera, time=seen)
            target.note("reembed", len(target))
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
        _tell_traces(report.traces)
        notes.print(
            f"{report.identities} identities, {report.exemplars} exemplars: {'whole' if report.ok else 'damaged'}"
        )
    if not report.ok:
        raise typer.Exit(1)
    if report.traces:
        raise typer.Exit(TRACES)


@gallery.command("backup")
def backup(
    file: File,
    output: Annotated[Path, typer.Option("--output", "-o", help="The copy: one file, encrypted as FILE is.")],
) -> None:
    """Copy a gallery as of now, also while a tracker writes it. Put it back with `restore`."""
    from sdk.gallery.backup import backup
    from sdk.gallery.journal import passphrase_of
    from sdk.output import check_output

    check_output(output, [file])
    path = _own_file(file)
    count = backup(path, output, passphrase_of(path))
    notes.print(f"copied {count} exemplars to {output}")


@gallery.command("restore")
def restore(
    copy: Annotated[Path, typer.Argument(help="What `backup` wrote.")],
    file: Annotated[Path, typer.Argument(help="The gallery file to be.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the gallery that is there.")] = False,
) -> None:
    """Put a copy in the place of a gallery. Whom that one has forgotten since the copy was made stays forgotten."""
    from sdk.gallery.backup import restore
    from sdk.gallery.journal import passphrase_of

    done = restore(copy, file, passphrase_of(copy), overwrite)
    notes.print(f"{file}: {done.identities} identities, {done.exemplars} exemplars")
    if done.forgotten:
        notes.print(f"{done.forgotten} people had been forgotten since the copy was made, and are again")
    if done.unknown:
        notes.print("whom the gallery in its place had forgotten could not be read: look through the names")


@gallery.command("encrypt")
def encrypt(file: File) -> None:
    """Encrypt a gallery file with the passphrase in ALIGNED_REID_GALLERY_KEY."""
    _rewrite(file, None, _key("ALIGNED_REID_GALLERY_KEY"))
    notes.print(f"{file}: is encrypted; there is no way back without the passphrase")


@gallery.command("decrypt")
def decrypt(file: File) -> None:
    """Write a gallery file anew without encryption; ALIGNED_REID_GALLERY_KEY holds its passphrase."""
    _rewrite(file, _key("ALIGNED_REID_GALLERY_KEY"), None)
    notes.print(f"{file}: is not encrypted any more; unset ALIGNED_REID_GALLERY_KEY to use it")


@gallery.command("rekey")
def rekey(file: File) -> None:
    """Give an encrypted gallery file the passphrase in ALIGNED_REID_GALLERY_NEW_KEY."""
    _rewrite(file, _key("ALIGNED_REID_GALLERY_KEY"), _key("ALIGNED_REID_GALLERY_NEW_KEY"))
    notes.print(f"{file}: has the new passphrase; put it into ALIGNED_REID_GALLERY_KEY. Copies still have the old one")


@gallery.command("accept")
def accept(file: File) -> None:
    """Go on with a copy of a gallery whose log (FILE-wal) is missing: what was in it is lost then."""
    from sdk.gallery.journal import passphrase_of
    from sdk.gallery.rewrite import accept

    path = _own_file(file)
    notes.print(f"{file}: goes on with {accept(path, passphrase_of(path))} exemplars")


@gallery.command("clock")
def clock(
    file: File,
    passed: Annotated[bool, typer.Option("--passed", help="That time has passed: retention counts it now.")] = False,
    was_wrong: Annotated[bool, typer.Option("--was-wrong", help="The clock was wrong before, and was set.")] = False,
) -> None:
    """Say by how much the clock is ahead of the time that a gallery has seen pass, or what that is."""
    if passed and was_wrong:
        raise GalleryError("say one of --passed and --was-wrong")
    with open_existing(file) as opened:
        if not (passed or was_wrong):
            if not opened.clock_ahead:
                notes.print("the clock goes with the time that the gallery has seen pass")
            _tell_clock(opened)
            return
        seconds = opened.settle_clock(passed)
        notes.print(f"{seconds / 3600:.1f} hours {'are counted' if passed else 'are left out for good'}")


def _tell_clock(opened) -> None:
    if opened.clock_ahead:
        notes.print(
            f"the clock is {opened.clock_ahead / 86400:.1f} days ahead of the time that the gallery has seen pass, and "
            "ages do not count them: say what they are with reid gallery clock FILE --passed, or --was-wrong"
        )


def _rewrite(file: str, old: str | None, new: str | None) -> None:
    from sdk.gallery.rewrite import rewrite

    rewrite(_own_file(file), old, new)


def _key(variable: str) -> str:
    """Not as an option: others can read a command line."""
    from sdk.gallery.journal import passphrase_of

    found = passphrase_of("the gallery", variable=variable)
    if found is None:
        raise GalleryError(f"put the passphrase into the environment as {variable}")
    return found


def _own_file(file: str) -> Path:
    """A gallery's file, which is there. Raises `GalleryError` for a shared one."""
    from sdk.gallery import arguments
    from sdk.gallery.gallery import is_shared, shown

    if is_shared(file):
        raise GalleryError(f"{shown(file)}: is no file; name the one that you gave it as cache")
    path = arguments.path(file, "the gallery")
    if not os.path.isfile(path):
        raise GalleryError(f"{shown(file)}: no such gallery; check the path")
    if not path.stat().st_size:
        raise GalleryError(f"{shown(file)}: is empty, and no gallery; check the path")
    return path


@contextlib.contextmanager
def open_existing(file: str) -> Iterator:
    """To change it; a file that is not there is not made. Raises `GalleryError`.

    Ends the command with `TRACES` if it has left bytes of what it erased.
    """
    from sdk.gallery.gallery import is_shared

    if not is_shared(file):
        _own_file(file)
    with _open(file) as opened:
        yield opened
    if opened.traces:
        _tell_traces(opened.traces)
        raise typer.Exit(TRACES)


@contextlib.contextmanager
def _make(file: str, **options) -> Iterator:
    """To add to it; made if it is not there, and then deleted again if that fails."""
    opened = _open(file, **options)
    try:
        yield opened
    except BaseException:
        opened.discard()
        raise
    opened.close()


def _tell_traces(traces: str | None) -> None:
    if traces:
        notes.print(f"done, but {traces}", style="yellow")


def _open(file: str, **options):
    """To change it, with all that its store has, if it is shared; closing it sends the changes."""
    from sdk.gallery.opening import open_current

    return open_current(file, **options)


def _read(file: str):
    """Only to read: another process may be writing it."""
    from sdk.gallery.opening import open_to_read

    return open_to_read(file)


def _tell_problems(opened) -> None:
    for problem in opened.problems:
        notes.print(problem, style="red")


def _write_summaries(summaries, as_json: bool) -> None:
    if as_json:
        print_json([asdict(summary) for summary in summaries])
        return
    table = Table("identity", "number", "exemplars", "cameras", "first enrolled", "last enrolled", name="identities")
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
