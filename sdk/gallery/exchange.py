"""What the shared store does to a gallery: the other side of `shared.Sync`. Called with the gallery's lock.

Each function is one transaction, and is published as a change made here would be.
"""

import time as clock
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from sdk.gallery.ledger import Change, Exemplars, Ledger
from sdk.gallery.milvus import RemoteExemplar, RemotePerson
from sdk.gallery.records import GONE, UNSENT, IdentityRecord


def has_unsent(gallery: Ledger, number: int) -> bool:
    """Whether somebody has exemplars that the store has not heard of."""
    uids = gallery._state.rows.uid[np.array(gallery._people[number].rows, np.int64)]
    return any(uid.tobytes() in gallery._unsent for uid in uids)


def add_remote(gallery: Ledger, name: str, exemplars: list[RemoteExemplar], person: RemotePerson | None, sent: bool):
    """Exemplars from the store, of somebody who is here, or of a new `person`. sent: whether it has them so already."""
    by_camera: dict[str | None, list[RemoteExemplar]] = {}
    for exemplar in exemplars:
        by_camera.setdefault(exemplar.camera, []).append(exemplar)
    record = None if person is None else IdentityRecord(0, person.uid, person.changed, person.name)
    groups = []
    for camera, group in by_camera.items():
        stripes = None
        if gallery._layout.stripes:
            none = np.zeros(gallery._layout.stripes, np.float16)
            stripes = np.stack([none if e.stripes is None else e.stripes for e in group])
        groups.append(
            Exemplars(
                name,
                camera,
                np.stack([e.embedding for e in group]),
                stripes,
                np.array([e.time for e in group]),
                np.array([e.added for e in group]),
                np.array([e.quality for e in group], np.float32),
                uid=np.frombuffer(b"".join(e.uid for e in group), np.uint8).reshape(-1, 16),
                person=record,
                sent=sent,
            )
        )
    gallery._insert(groups)


def reidentify(gallery: Ledger, number: int, uid: bytes, changed: float, bury: bool = True) -> None:
    """Somebody gets another uid, and all his or her exemplars must be sent anew; with `bury` the old uid is gone."""
    person = gallery._people[number]
    old = person.record
    record = replace(old, uid=uid, clock=changed, flags=UNSENT)
    rows = np.array(person.rows, np.int64)
    with gallery._transaction():
        if gallery._journal:
            gallery._journal.replace_identity(person.slot, record)
            _rewrite(gallery, rows, sent=False)
        buried = _put_gone(gallery, old.uid, uid) if bury else {}
    person.record = record
    del gallery._by_uid[old.uid]
    gallery._by_uid[uid] = number
    gallery._unsent |= {u.tobytes() for u in gallery._state.rows.uid[rows]}
    gallery._gone |= buried


def bury(gallery: Ledger, uid: bytes, into: bytes) -> None:
    """Tell the store that one whom only others know has been merged into one of here."""
    with gallery._transaction():
        buried = _put_gone(gallery, uid, into)
    gallery._gone |= buried


def _put_gone(gallery: Ledger, uid: bytes, into: bytes) -> dict[bytes, tuple[int, IdentityRecord]]:
    record = IdentityRecord(gallery._next_number, uid, clock.time(), "", GONE | UNSENT, into)
    gallery._next_number += 1
    return {uid: (gallery._journal.put_identity(record) if gallery._journal else -1, record)}


def move(gallery: Ledger, row: int, number: int) -> None:
    """The store says that an exemplar is somebody else's: a merger, or the end of one, that happened elsewhere."""
    rows = gallery._state.rows
    source = int(rows.person[row])
    change = Change(rows)
    old, new = change.person(gallery._people, source), change.person(gallery._people, number)
    with gallery._transaction():
        if gallery._journal:
            body = gallery._body(change, rows.rows(np.array([row])), 0, new.record.number, gallery._layout, sent=True)
            gallery._journal.replace_exemplar(int(rows.slot[row]), body)
        change.rows = rows.reassign(np.array([row]), number)
        old.rows.remove(row)
        new.rows = sorted([*new.rows, row])
        if not old.rows:
            gallery._remove_record(change, source, old, tombstone=False)
    gallery._apply(change)


def drop(gallery: Ledger, uids: Iterable[bytes]) -> None:
    """Exemplars that another site has deleted."""
    uids = set(uids)
    if not uids:
        return
    rows = gallery._state.rows
    change = Change(rows)
    by_person: dict[int, list[int]] = {}
    for row in np.flatnonzero(rows.alive):
        if rows.uid[row].tobytes() in uids:
            by_person.setdefault(int(rows.person[row]), []).append(int(row))
    if not by_person:
        return
    with gallery._transaction():
        for number, which in by_person.items():
            person = change.person(gallery._people, number)
            gallery._drop_rows(change, person, np.array(which), wipe=True, retract=False)
            if not person.rows:
                gallery._remove_record(change, number, person, tombstone=False)
    gallery._apply(change)
    gallery._scrub()


def drop_sent(gallery: Ledger, number: int) -> None:
    """Somebody's exemplars that the store has had."""
    rows = gallery._state.rows.uid[np.array(gallery._people[number].rows, np.int64)]
    drop(gallery, {uid.tobytes() for uid in rows} - gallery._unsent)


def outgoing(gallery: Ledger, uids: Iterable[bytes]) -> list[RemoteExemplar]:
    """Exemplars as the store is told of them; those that are gone meanwhile are left out."""
    wanted, state = set(uids), gallery._state
    rows = state.rows
    which = [row for row in np.flatnonzero(rows.alive) if rows.uid[row].tobytes() in wanted]
    if not which:
        return []
    part = rows.rows(np.array(which))
    return [
        RemoteExemplar(
            part.uid[i].tobytes(),
            gallery._people[int(part.person[i])].record.uid,
            state.cameras[part.camera[i]],
            float(part.time[i]),
            float(part.added[i]),
            float(part.quality[i]),
            part.embedding[i],
            part.stripes[i] if part.stripes is not None and part.stripes[i].any() else None,
        )
        for i in range(len(part))
    ]


def mark_sent(gallery: Ledger, asked: Iterable[bytes], sent: list[RemoteExemplar]) -> None:
    """The store has these now. One that has changed hands meanwhile is sent again."""
    rows = gallery._state.rows
    people = {e.uid: e.person for e in sent}
    done = []
    for row in np.flatnonzero(rows.alive):
        uid = rows.uid[row].tobytes()
        if uid in people and gallery._people[int(rows.person[row])].record.uid == people[uid]:
            done.append(row)
    if gallery._journal and done:
        with gallery._transaction():
            _rewrite(gallery, np.array(done), sent=True)
    finished = {rows.uid[row].tobytes() for row in done} | (set(asked) - people.keys())
    gallery._unsent -= finished


def mark_all_unsent(gallery: Ledger) -> None:
    """The store has nothing of what is here."""
    rows = gallery._state.rows
    which = np.flatnonzero(rows.alive)
    with gallery._transaction():
        for person in gallery._people.values():
            person.record = replace(person.record, flags=UNSENT)
            if gallery._journal:
                gallery._journal.replace_identity(person.slot, person.record)
        if gallery._journal and len(which):
            _rewrite(gallery, which, sent=False)
    gallery._unsent |= {uid.tobytes() for uid in rows.uid[which]}


def mark_people_sent(gallery: Ledger, gone, records: list[IdentityRecord], removals: set[bytes]) -> None:
    """The store knows of these now."""
    with gallery._transaction():
        if gallery._journal:
            gallery._journal.erase("identity", [slot for slot, _ in gone])
            gallery._journal.clear_removals(removals)
        for record in records:
            number = gallery._by_uid.get(record.uid)
            if number is None or gallery._people[number].record != record:
                continue
            person = gallery._people[number]
            if gallery._journal:
                gallery._journal.replace_identity(person.slot, replace(record, flags=0))
            person.record = replace(record, flags=0)
    for _, record in gone:
        gallery._gone.pop(record.uid, None)
    gallery._removals -= removals


def _rewrite(gallery: Ledger, which: np.ndarray, sent: bool) -> None:
    change = Change(gallery._state.rows)
    rows = change.rows.rows(which)
    for i, slot in enumerate(rows.slot):
        number = gallery._people[int(rows.person[i])].record.number
        gallery._journal.replace_exemplar(int(slot), gallery._body(change, rows, i, number, gallery._layout, sent))
