"""Copies of a gallery's file: made while it is used, and put back in its place.

Somebody who was forgotten after a copy was made is in the copy. So what takes the place of a gallery that can still be
read first forgets whom that one has forgotten, as its audit tells by number.
"""

import contextlib
from dataclasses import dataclass
from pathlib import Path

from sdk.errors import GalleryError
from sdk.gallery import arguments
from sdk.gallery.gallery import Gallery
from sdk.gallery.journal import Journal, checked_path
from sdk.gallery.lock import Claim
from sdk.gallery.replacing import check_target, make_single, new_file, remove_beside


@dataclass(frozen=True)
class Restored:
    """What `restore` has done."""

    identities: int
    exemplars: int
    forgotten: int
    """People of the copy who had been forgotten since it was made, and were again."""
    unknown: bool
    """Whether there was a gallery in its place of which nothing tells whom it had forgotten: it was damaged, encrypted
    otherwise, or another one."""


def backup(path: Path, target: Path, passphrase: str | None = None) -> int:
    """Copy a gallery's file as of now to `target`; how many exemplars are in it. Who writes it need not wait.

    An earlier copy is replaced when the new one is whole. Raises `GalleryError` if it cannot be written, or the gallery
    is damaged; an earlier copy stays then.
    """
    check_target(target, path)
    with contextlib.closing(Journal(path, True, passphrase)) as source, new_file(target) as made:
        source.copy_to(made)
        with contextlib.closing(Journal(made, passphrase=passphrase, accept_behind=True)) as copy:
            contents = copy.load()
            copy.removals(contents.problems)
        if problems := [*source.problems, *contents.problems]:
            raise GalleryError(
                f"{path}: is damaged ({problems[0]}), and is not copied; save what can be read: reid gallery export "
                "FILE -o saved"
            )
        make_single(made)
    return len(contents.exemplars)


def restore(copy: str | Path, path: str | Path, passphrase: str | None = None, overwrite: bool = False) -> Restored:
    """Put what `backup` wrote in the place of a gallery, which nobody may be writing; `copy` stays as it is.

    overwrite: also where there is something. Raises `GalleryError` if the copy is damaged, there is something, or it is
    in use; nothing is changed then.
    """
    copy, path = arguments.path(copy, "the copy"), arguments.path(path, "the gallery")
    with Gallery(copy, read_only=True, passphrase=passphrase) as opened:
        report = opened.verify()
    if not report.ok:
        raise GalleryError(f"{copy}: is damaged ({report.problems[0]}); choose another copy")
    file, there = checked_path(path, read_only=False), path.exists()
    check_target(path, copy)
    if there and not overwrite:
        raise GalleryError(f"{path}: is there already; choose another path, or --overwrite to replace it")
    with contextlib.ExitStack() as held:
        old = _Old(held, file, path, passphrase) if there else None
        with new_file(file) as made:
            with contextlib.closing(Journal(copy, True, passphrase)) as source:
                source.copy_to(made)
            with Gallery(made, passphrase=passphrase) as new:
                known = old is not None and old.created == new.created
                forgotten = new.catch_up(old.lines if known else [], old.next_number if known else 1)
                found = Restored(len(new.identities()), len(new), forgotten, there and not known)
            if old:
                old.give_way()
    return found


class _Old:
    """The gallery that is replaced, locked, as far as it can be read."""

    def __init__(self, held: contextlib.ExitStack, file: Path, shown: Path, passphrase: str | None):
        self._file, self._journal = file, None
        self.created, self.lines, self.next_number = None, [], 1
        try:
            self._journal = Journal(shown, passphrase=passphrase, accept_behind=True)
        except GalleryError:  # damaged, or encrypted otherwise; or in use, which this says again
            held.callback(Claim(file, True, shown).release)
            return
        held.callback(self._journal.close)
        self.created = self._journal.created
        with contextlib.suppress(GalleryError):
            self.lines, self.next_number = self._journal.audit(), self._journal.progress.next_number

    def give_way(self) -> None:
        if self._journal:
            self._journal.disconnect()  # which copies its log into the file: nothing is lost if this ends here
        remove_beside(self._file)
