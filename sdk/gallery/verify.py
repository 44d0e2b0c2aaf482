"""Is a gallery whole? Everything is read back, checksums and structure are checked, and compared with the memory."""

from dataclasses import dataclass

import numpy as np

from sdk.gallery.journal import Journal
from sdk.gallery.records import GONE
from sdk.gallery.results import VerifyReport
from sdk.gallery.search import State
from sdk.gallery.statistic import Statistic

UNIT = 1e-3


@dataclass(frozen=True)
class Memory:
    """What an open gallery holds in memory. Whoever makes it holds the gallery's lock until the report is there."""

    state: State
    identities: int
    listed: int
    """Exemplars that the identities list."""
    statistics: list[Statistic]
    problems: tuple[str, ...]
    """What could not be read when it was opened."""
    read_only: bool
    """The file may have gone on since it was opened."""


def verify(memory: Memory, journal: Journal | None, passphrase: str | None) -> VerifyReport:
    """The report on a gallery. journal: its file, if it has one; passphrase: of that."""
    rows = memory.state.rows
    problems = list(memory.problems)
    alive = np.flatnonzero(rows.alive)
    for start in range(0, len(alive), 65536):
        which = alive[start : start + 65536]
        lengths = np.linalg.norm(rows.gather(which), axis=1)
        bad = np.count_nonzero(~(np.abs(lengths - 1) < UNIT))
        if bad:
            problems.append(f"{bad} embeddings are not of unit length")
    if memory.listed != len(alive):
        problems.append(f"{len(alive)} exemplars are in memory, identities list {memory.listed}")
    if journal is not None:
        problems += _compare(memory, journal, passphrase)
    traces = journal.traces if journal is not None else None
    return VerifyReport(len(alive), memory.identities, tuple(dict.fromkeys(problems)), traces)


def _compare(memory: Memory, journal: Journal, passphrase: str | None) -> list[str]:
    problems = [f"SQLite: {line}" for line in journal.integrity_problems()]
    again = Journal(journal.path, read_only=True, passphrase=passphrase)
    try:
        contents = again.load()
        statistics, damage = again.statistics()
        again.audit(contents.problems)
        again.removals(contents.problems)
        problems += contents.problems
    finally:
        again.close()
    if damage:
        problems.append(f"what was learned of the site is damaged ({damage}); no person is lost by it")
    elif statistics != memory.statistics and not memory.read_only:
        problems.append("what was learned of the site differs between file and memory")
    rows = memory.state.rows
    by_slot = {int(rows.slot[row]): row for row in np.flatnonzero(rows.alive)}
    names = {record.number: record.name for _, record in contents.identities if not record.flags & GONE}
    differing = 0
    for slot, exemplar in contents.exemplars:
        row = by_slot.pop(slot, None)
        same = row is not None and memory.state.names[rows.person[row]] == names.get(exemplar.person)
        differing += not (same and np.array_equal(rows.gather(np.array(row)), exemplar.embedding))
    if differing:
        problems.append(f"{differing} exemplars in the file differ from those in memory")
    if by_slot:
        problems.append(f"{len(by_slot)} exemplars in memory are not in the file")
    if not memory.read_only and len(names) != memory.identities:
        problems.append(f"the file has {len(names)} identities, the memory {memory.identities}")
    return problems
