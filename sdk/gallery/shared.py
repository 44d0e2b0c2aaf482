"""A gallery that several sites share: the local one is searched, and kept the same as the store's in the background.

What sites do at the same time is settled so that all end up the same, whoever comes first:
- Exemplars are only added and deleted, so those of two sites add up.
- The same name is the same person: of two identities that bear it, the one with the smaller uid takes the other in.
- Of two new names for one person, the one given later holds (by the sites' clocks).
- Who is forgotten is forgotten everywhere, with all that other sites have added meanwhile to that identity. A site that
  enrolled somebody of that name while it was away, and had never heard of the forgotten one, has enrolled somebody new.
"""

import logging
import threading
import time
import uuid

import numpy as np

from sdk.errors import GalleryError
from sdk.gallery import exchange
from sdk.gallery.address import Address
from sdk.gallery.milvus import MilvusStore, RemoteExemplar, RemotePerson, StoreAway

INTERVAL = 2.0
"""Seconds between two looks at the store."""
PATIENCE = 30.0
"""The longest wait after a failure, seconds; it doubles from `INTERVAL`."""
OVERLAP = 60.0
"""By how many seconds sites' clocks may differ before a change is seen only by the next full comparison."""
COMPARE = 300.0
"""Seconds between two full comparisons with the store, which also find what was deleted."""
GOODBYE = 10.0
"""Seconds for which `close` waits for what is not sent."""

log = logging.getLogger("aligned_reid.gallery")


class Sync:
    """Keeps a gallery and its store the same, in a thread of its own."""

    def __init__(self, gallery, where: str):
        """Raises `GalleryError` for a bad address or without pymilvus. A store that is away is waited for."""
        self._gallery = gallery
        address = Address.parse(where)
        self._where = address.shown
        self._store = MilvusStore(address)
        self.site = self._site_name(gallery)
        self._store_id: str | None = gallery._journal.meta.get("store") if gallery._journal else None
        self._connected = False
        self._forgotten: set[bytes] = set()
        self._seen = 0.0
        self._compared = 0.0
        self._busy = threading.Lock()
        self._wake = threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="gallery-sync", daemon=True)
        self._thread.start()

    @staticmethod
    def _site_name(gallery) -> str:
        """Four letters that no other site has, probably; remembered where there is a file."""
        journal = gallery._journal
        name = journal.meta.get("site") if journal else None
        if name is None:
            name = uuid.uuid4().hex[:6]
            if journal and not gallery.read_only:
                with journal.transaction():
                    journal.set_meta(site=name)
        return name

    def wake(self) -> None:
        """There is something to send."""
        self._wake.set()

    def close(self) -> None:
        self._closing = True
        self._wake.set()
        self._thread.join(GOODBYE)
        waiting = self.waiting()
        if waiting and not self._gallery.read_only:
            try:
                self.exchange(GOODBYE)
                waiting = self.waiting()
            except GalleryError:
                pass
        if waiting:
            where = f"kept in {self._gallery._journal.path}" if self._gallery._journal else "lost: there is no cache="
            log.error("%d changes have not reached %s; they are %s", waiting, self._where, where)
        self._store.close()

    def waiting(self) -> int:
        """How many changes the store has not heard of."""
        gallery = self._gallery
        with gallery._lock:
            people = sum(bool(person.record.flags) for person in gallery._people.values())
            return people + len(gallery._unsent) + len(gallery._removals) + len(gallery._gone)

    def _run(self) -> None:
        wait = 0.0
        while not self._closing:
            self._wake.wait(wait)
            self._wake.clear()
            if self._closing:
                return
            try:
                self.exchange(None)
                wait = INTERVAL
            except GalleryError as error:
                log.warning("%s", error)
                wait = min(PATIENCE, max(INTERVAL, 2 * wait))
                threading.Event().wait(0 if self._closing else min(wait, INTERVAL))
            except Exception:
                log.exception("%s: the exchange failed", self._where)
                wait = PATIENCE

    def exchange(self, timeout: float | None) -> None:
        """Receive and send once. Raises `GalleryError` if the store is away or holds another model's features."""
        if not self._busy.acquire(timeout=-1 if timeout is None else timeout):
            raise GalleryError(f"{self._where}: another exchange has taken longer than {timeout:g} s; try again")
        try:
            if not self._connected:
                self._store.connect()
                self._seen = self._compared = 0.0
                self._connected = True
            self._exchange()
        except StoreAway as error:
            self._connected = False
            raise GalleryError(f"{self._where}: the store does not answer ({error}); {self._meanwhile()}") from error
        finally:
            self._busy.release()

    def _meanwhile(self) -> str:
        """What a store that is away means."""
        if not len(self._gallery) and not self._gallery._journal:
            return (
                "nobody is known until it does, for this site has no cache; with cache=FILE it starts with whom it knew"
            )
        if not len(self._gallery):
            return "nobody is known until it does, for the cache is empty; `reid gallery sync` fills one elsewhere"
        return "matching goes on with what is here, and changes are sent when it is back"

    def _exchange(self) -> None:
        gallery, store = self._gallery, self._store
        meta = store.meta()
        if meta is None:
            with gallery._lock:
                layout, model = gallery._layout, gallery._model
            if layout is None:
                return  # nobody has anything yet
            store.create(model, layout.dim, layout.stripes)
            meta = store.meta()
        shape = tuple(map(int, meta["stripes"].split("x"))) if meta["stripes"] else None
        gallery.bind(meta["model"] or "", meta["dim"], shape)
        self._know_store(meta["store"])

        started = time.time()
        compare = started - self._compared >= COMPARE
        since = 0.0 if compare else self._seen - OVERLAP
        newest = self._seen
        people = {}
        for person, pushed in store.people(since):
            people[person.uid] = person
            newest = max(newest, pushed)
        self._forgotten |= {person.uid for person in people.values() if person.gone and not person.into}
        self._take_people(people)
        self._send()
        listed = store.exemplar_uids(since)
        newest = max([newest, *(pushed for _, _, pushed in listed)])
        self._take_exemplars(listed, people, shape, compare)
        self._send()  # what taking them has changed: names that met, exemplars beyond the most
        self._seen = newest
        if compare:
            self._compared = started

    def _know_store(self, store: str) -> None:
        """A store that was made anew, after a loss perhaps, has not deleted our people: it is told of all of them."""
        if store != self._store_id:
            with self._gallery._lock:
                if self._store_id is not None:
                    exchange.mark_all_unsent(self._gallery)
                journal = self._gallery._journal
                if journal and not self._gallery.read_only:
                    with journal.transaction():
                        journal.set_meta(store=store)
            self._store_id = store

    # Receiving.

    def _take_people(self, people: dict[bytes, RemotePerson]) -> None:
        """What others have done to people whom this site knows."""
        gallery = self._gallery
        for remote in people.values():
            with gallery._lock:
                number = self._number_of(remote.uid)
                if number is None:
                    continue
                local = gallery._people[number]
                if remote.gone and remote.into not in (b"", remote.uid):
                    into = self._number_of(_final(remote.into, people))
                    if into is None:
                        self._adopt(number, _final(remote.into, people), people)
                    elif into != number:
                        gallery._merge(number, into)
                elif remote.gone and remote.into == remote.uid and exchange.has_unsent(gallery, number):
                    # Elsewhere its exemplars were pruned, here there are new ones: they begin a new identity.
                    exchange.drop_sent(gallery, number)
                    exchange.reidentify(gallery, number, uuid.uuid4().bytes, time.time(), bury=False)
                elif remote.gone:
                    gallery._remove([number], "forget", tombstone=False)
                elif remote.name != local.record.name and remote.changed > local.record.clock:
                    other = gallery._number.get(remote.name)
                    if other is None:
                        gallery._rename(number, remote.name, remote.changed, unsent=0)
                    else:
                        self._unite(number, other)

    def _adopt(self, number: int, uid: bytes, people: dict[bytes, RemotePerson]) -> None:
        """A person was merged into one who is not here: from now on they are that one."""
        gallery, target = self._gallery, people.get(uid)
        if target is None or target.gone:
            return
        other = gallery._number.get(target.name)
        if other is not None and other != number:
            gallery._merge(number, other)
            return
        exchange.reidentify(gallery, number, uid, target.changed, bury=False)
        if target.name != gallery._people[number].record.name:
            gallery._rename(number, target.name, target.changed, unsent=0)

    def _unite(self, number: int, other: int) -> None:
        """Two of one name: the smaller uid takes the other in."""
        gallery = self._gallery
        first, second = sorted((number, other), key=lambda n: gallery._people[n].record.uid)
        gallery._merge(second, first)

    def _take_exemplars(self, listed, people, shape, compare: bool) -> None:
        gallery = self._gallery
        with gallery._lock:
            rows = gallery._state.rows
            here = {rows.uid[row].tobytes(): int(row) for row in np.flatnonzero(rows.alive)}
            unsent = gallery._unsent | gallery._removals
            of_person = {person.record.uid: n for n, person in gallery._people.items()}
            moved = [
                (here[uid], person)
                for uid, person, _ in listed
                if uid in here and uid not in unsent and of_person.get(person) != int(rows.person[here[uid]])
            ]
        missing = [uid for uid, _, _ in listed if uid not in here and uid not in unsent]
        for part in (missing[i : i + 2000] for i in range(0, len(missing), 2000)):
            self._add(list(self._store.exemplars(part, shape)), people)
        for row, person in moved:
            with gallery._lock:
                number = self._number_of(person)
                if number is not None and gallery._state.rows.generation == rows.generation:
                    exchange.move(gallery, row, number)
        if compare:
            gone = here.keys() - {uid for uid, _, _ in listed}
            with gallery._lock:
                exchange.drop(gallery, gone - gallery._unsent)

    def _add(self, exemplars: list[RemoteExemplar], people: dict[bytes, RemotePerson]) -> None:
        gallery = self._gallery
        unknown = {e.person for e in exemplars} - people.keys()
        with gallery._lock:
            unknown -= {person.record.uid for person in gallery._people.values()}
        if unknown:  # their row is older than what this exchange has asked for
            people |= {person.uid: person for person, _ in self._store.people(0.0)}
        with gallery._lock:
            by_person: dict[bytes, list[RemoteExemplar]] = {}
            unwanted = []
            for exemplar in exemplars:
                uid = _final(exemplar.person, people)
                if uid in self._forgotten:  # sent by a site that had not heard of it
                    unwanted.append(exemplar.uid)
                    continue
                remote = people.get(uid)
                if self._number_of(uid) is None and (remote is None or remote.gone):
                    continue  # gone meanwhile, or sent by a site whose people are still on their way
                by_person.setdefault(uid, []).append(exemplar)
            for uid, group in by_person.items():
                number = self._number_of(uid)
                if number is not None:
                    # Those that were another's, and have been merged here, are sent with the new owner.
                    sent = all(e.person == uid for e in group)
                    exchange.add_remote(gallery, gallery._people[number].record.name, group, None, sent)
                    continue
                remote = people[uid]
                other = gallery._number.get(remote.name)
                if other is None:
                    exchange.add_remote(gallery, remote.name, group, remote, sent=True)
                    continue
                # Another person of that name is here: the smaller uid takes the other in.
                exchange.add_remote(gallery, remote.name, group, None, sent=False)
                own = gallery._people[other].record
                if uid < own.uid:
                    exchange.reidentify(gallery, other, uid, remote.changed)
                else:
                    exchange.bury(gallery, uid, own.uid)
        self._store.delete(unwanted)

    def _number_of(self, uid: bytes) -> int | None:
        return self._gallery._by_uid.get(uid)

    # Sending.

    def _send(self) -> None:
        gallery, store = self._gallery, self._store
        if gallery.read_only:
            return
        with gallery._lock:
            gone = [(slot, record) for slot, record in gallery._gone.values()]
            records = [person.record for person in gallery._people.values() if person.record.flags]
            removals = set(gallery._removals)
            uids = set(gallery._unsent)
        self._forgotten |= {record.uid for _, record in gone if not record.into}
        for _, record in gone:
            store.put_people([RemotePerson(record.uid, "", record.clock, True, record.into)])
            store.delete_person(record.uid)
        store.put_people(RemotePerson(r.uid, r.name, r.clock) for r in records)
        store.delete(removals)
        for part in _parts(uids, 500):
            with gallery._lock:
                exemplars = exchange.outgoing(gallery, part)
            store.put_exemplars(exemplars)
            with gallery._lock:
                exchange.mark_sent(gallery, part, exemplars)
        with gallery._lock:
            exchange.mark_people_sent(gallery, gone, records, removals)


def _final(uid: bytes, people: dict[bytes, RemotePerson]) -> bytes:
    """Whom a person has become, over any number of mergers."""
    passed = set()
    while uid in people and people[uid].gone and people[uid].into and uid not in passed:
        passed.add(uid)
        uid = people[uid].into
    return uid


def _parts(uids: set[bytes], size: int):
    listed = sorted(uids)
    return (listed[start : start + size] for start in range(0, len(listed), size))
