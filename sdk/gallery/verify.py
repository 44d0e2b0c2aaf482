"""Is a gallery whole? Everything is read back, checksums and structure are checked, and compared with the memory."""

import numpy as np

from sdk.gallery.journal import Journal
from sdk.gallery.records import GONE
from sdk.gallery.results import VerifyReport

UNIT = 1e-3


def verify(gallery, journal: Journal | None) -> VerifyReport:
    """The report on an open gallery, whose lock the caller holds."""
    rows = gallery._state.rows
    problems = list(gallery.problems)
    alive = np.flatnonzero(rows.alive)
    for start in range(0, len(alive), 65536):
        which = alive[start : start + 65536]
        lengths = np.linalg.norm(rows.gather(which), axis=1)
        bad = np.count_nonzero(~(np.abs(lengths - 1) < UNIT))
        if bad:
            problems.append(f"{bad} embeddings are not of unit length")
    counted = sum(len(person.rows) for person in gallery._people.values())
    if counted != len(alive):
        problems.append(f"{len(alive)} exemplars are in memory, identities list {counted}")
    if journal is not None:
        problems += _compare(gallery, journal)
    return VerifyReport(len(alive), len(gallery._people), tuple(dict.fromkeys(problems)), gallery.traces)


def _compare(gallery, journal: Journal) -> list[str]:
    problems = [f"SQLite: {line}" for line in journal.integrity_problems()]
    again = Journal(journal.path, read_only=True, passphrase=gallery._passphrase)
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
    elif statistics != gallery.statistics() and not gallery.read_only:
        problems.append("what was learned of the site differs between file and memory")
    rows = gallery._state.rows
    by_slot = {int(rows.slot[row]): row for row in np.flatnonzero(rows.alive)}
    names = {record.number: record.name for _, record in contents.identities if not record.flags & GONE}
    differing = 0
    for slot, (person, _, _, _, _, _, _, embedding, _) in contents.exemplars:
        row = by_slot.pop(slot, None)
        same = row is not None and gallery._state.names[rows.person[row]] == names.get(person)
        differing += not (same and np.array_equal(rows.gather(np.array(row)), embedding))
    if differing:
        problems.append(f"{differing} exemplars in the file differ from those in memory")
    if by_slot:
        problems.append(f"{len(by_slot)} exemplars in memory are not in the file")
    if not gallery.read_only and len(names) != len(gallery._people):
        problems.append(f"the file has {len(names)} identities, the memory {len(gallery._people)}")
    return problems
