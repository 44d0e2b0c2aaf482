"""What a shared gallery keeps in Milvus, and every call that is made to it.

Two collections, `<name>_people` and `<name>_exemplars`. A person's row says what the name is, when it was last changed,
and whether the person is gone (forgotten, or merged into another): such a row stays, without the name, so that a site
that was away hears of it. Deletes are eventually consistent in Milvus, so every read asks for strong consistency.
"""

import base64
import json
import logging
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from sdk.confidential import Confidential, why
from sdk.errors import missing_package
from sdk.gallery.address import Address

TIMEOUT = 10.0
"""Seconds for one call."""
PAGE = 16_000
"""Rows of one answer; Milvus gives 16 384 at most."""
SENT = 500
"""Rows of one request: an exemplar has several KB."""
NO_TIME = -1e300
"""Instead of NaN, which not every version of Milvus takes."""
META = "meta"
"""The row of `<name>_people` that says whose features these are."""


@dataclass(frozen=True)
class RemotePerson:
    uid: bytes
    name: str
    changed: float
    gone: bool = False
    into: bytes = b""
    """Whom the person was merged into; empty: into nobody."""


@dataclass(frozen=True)
class RemoteExemplar:
    uid: bytes
    person: bytes
    camera: str | None
    time: float
    added: float
    quality: float
    embedding: np.ndarray
    stripes: np.ndarray | None


class MilvusStore:
    """A connection. Every method raises `StoreAway` if the store does not answer."""

    def __init__(self, address: Address):
        try:
            import pymilvus
        except ImportError as error:
            raise missing_package("pymilvus", "milvus", "a shared gallery") from error
        self._pymilvus = pymilvus
        # It writes a traceback for each call that fails; what failed is told once, in our own words.
        logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
        self._address = address
        self._client = None
        self._people, self._exemplars = f"{address.name}_people", f"{address.name}_exemplars"

    def connect(self) -> None:
        self.close()

        def open_client():
            self._client = self._pymilvus.MilvusClient(**self._address.connection(), timeout=TIMEOUT)
            for collection in (self._people, self._exemplars):
                if self._client.has_collection(collection, timeout=TIMEOUT):
                    self._client.load_collection(collection, timeout=TIMEOUT)

        self._told(open_client)

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            try:
                client.close()
            except Exception:
                return  # it is gone already

    def meta(self) -> dict | None:
        """{"model", "dim", "stripes", "store"} of the gallery; None: nobody has made it yet. "store" is another one
        when it has been made anew."""
        if not self._told(lambda: self._client.has_collection(self._people, timeout=TIMEOUT)):
            return None
        rows = self._query(self._people, f'uid == "{META}"', ["name"])
        return json.loads(rows[0]["name"]) if rows else None

    def create(self, model: str | None, dim: int, stripes: tuple[int, int] | None) -> None:
        """Make the collections; harmless where another site has just done it."""
        types = self._pymilvus.DataType
        texts = {"max_length": 1024}
        people = [
            ("uid", types.VARCHAR, {"is_primary": True, "max_length": 32}),
            ("name", types.VARCHAR, texts),
            ("changed", types.DOUBLE, {}),
            ("gone", types.BOOL, {}),
            ("merged_into", types.VARCHAR, {"max_length": 32}),
            ("pushed", types.DOUBLE, {}),
            ("nothing", types.FLOAT_VECTOR, {"dim": 2}),  # Milvus wants a vector in every collection
        ]
        exemplars = [
            ("uid", types.VARCHAR, {"is_primary": True, "max_length": 32}),
            ("person", types.VARCHAR, {"max_length": 32}),
            ("camera", types.VARCHAR, texts),
            ("seen", types.DOUBLE, {}),
            ("added", types.DOUBLE, {}),
            ("quality", types.FLOAT, {}),
            ("pushed", types.DOUBLE, {}),
            ("stripes", types.VARCHAR, {"max_length": 65535}),
            ("embedding", types.FLOAT_VECTOR, {"dim": dim}),
        ]

        def make():
            for collection, fields, vector in (
                (self._exemplars, exemplars, "embedding"),
                (self._people, people, "nothing"),
            ):
                if self._client.has_collection(collection, timeout=TIMEOUT):
                    continue
                schema = self._client.create_schema(auto_id=False, enable_dynamic_field=False)
                for name, kind, options in fields:
                    schema.add_field(name, kind, **options)
                index = self._client.prepare_index_params()
                index.add_index(vector, index_type="FLAT", metric_type="IP")
                self._client.create_collection(
                    collection, schema=schema, index_params=index, consistency_level="Strong", timeout=TIMEOUT
                )
            shape = "" if stripes is None else f"{stripes[0]}x{stripes[1]}"
            facts = {"model": model, "dim": dim, "stripes": shape, "store": uuid.uuid4().hex}
            text = json.dumps(facts)
            self._client.upsert(self._people, [_person_row(META, text, 0.0, False, "")], timeout=TIMEOUT)

        self._told(make)

    def people(self, since: float) -> list[tuple[RemotePerson, float]]:
        """Those that were sent since then, and when."""
        fields = ["uid", "name", "changed", "gone", "merged_into", "pushed"]
        return [
            (
                RemotePerson(
                    bytes.fromhex(row["uid"]),
                    row["name"],
                    row["changed"],
                    bool(row["gone"]),
                    bytes.fromhex(row["merged_into"]),
                ),
                row["pushed"],
            )
            for row in self._pages(self._people, since, fields)
            if row["uid"] != META
        ]

    def exemplar_uids(self, since: float) -> list[tuple[bytes, bytes, float]]:
        """(uid, person, when sent) of those that were sent since then."""
        rows = self._pages(self._exemplars, since, ["uid", "person", "pushed"])
        return [(bytes.fromhex(row["uid"]), bytes.fromhex(row["person"]), row["pushed"]) for row in rows]

    def exemplars(self, uids: Iterable[bytes], stripes: tuple[int, int] | None) -> Iterator[RemoteExemplar]:
        uids = [uid.hex() for uid in uids]
        for start in range(0, len(uids), SENT):
            listed = json.dumps(uids[start : start + SENT])
            fields = ["uid", "person", "camera", "seen", "added", "quality", "stripes", "embedding"]
            for row in self._query(self._exemplars, f"uid in {listed}", fields):
                content = base64.b85decode(row["stripes"])
                yield RemoteExemplar(
                    bytes.fromhex(row["uid"]),
                    bytes.fromhex(row["person"]),
                    json.loads(row["camera"]),
                    np.nan if row["seen"] <= NO_TIME else row["seen"],
                    row["added"],
                    row["quality"],
                    np.array(row["embedding"], np.float32),
                    np.frombuffer(content, "<f2").reshape(stripes) if stripes and content else None,
                )

    def put_people(self, people: Iterable[RemotePerson]) -> None:
        rows = [_person_row(p.uid.hex(), p.name, p.changed, p.gone, p.into.hex()) for p in people]
        self._upsert(self._people, rows)

    def put_exemplars(self, exemplars: Iterable[RemoteExemplar]) -> None:
        now = time.time()
        rows = [
            {
                "uid": e.uid.hex(),
                "person": e.person.hex(),
                "camera": json.dumps(e.camera, ensure_ascii=False),
                "seen": NO_TIME if np.isnan(e.time) else float(e.time),
                "added": float(e.added),
                "quality": float(e.quality),
                "pushed": now,
                "stripes": "" if e.stripes is None else base64.b85encode(e.stripes.astype("<f2").tobytes()).decode(),
                "embedding": e.embedding.tolist(),
            }
            for e in exemplars
        ]
        self._upsert(self._exemplars, rows)

    def delete(self, uids: Iterable[bytes]) -> None:
        """Delete exemplars."""
        uids = [uid.hex() for uid in uids]
        for start in range(0, len(uids), SENT):
            part = uids[start : start + SENT]
            self._told(lambda part=part: self._client.delete(self._exemplars, ids=part, timeout=TIMEOUT))

    def delete_person(self, uid: bytes) -> None:
        """Delete a person's exemplars, whoever sent them."""
        self._told(lambda: self._client.delete(self._exemplars, filter=f'person == "{uid.hex()}"', timeout=TIMEOUT))

    def _upsert(self, collection: str, rows: list[dict]) -> None:
        for start in range(0, len(rows), SENT):
            part = rows[start : start + SENT]
            self._told(lambda part=part: self._client.upsert(collection, part, timeout=TIMEOUT))

    def _query(self, collection: str, condition: str, fields: list[str]) -> list[dict]:
        return self._told(
            lambda: self._client.query(
                collection,
                filter=condition,
                output_fields=fields,
                limit=PAGE,
                consistency_level="Strong",
                timeout=TIMEOUT,
            )
        )

    def _pages(self, collection: str, since: float, fields: list[str], prefix: str = "") -> Iterator[dict]:
        """All rows that were sent since then; where one answer cannot hold them, by the digits that uids begin with."""
        condition = f"pushed >= {since!r}"
        if prefix:
            condition += f' and uid like "{prefix}%"'
        rows = self._query(collection, condition, fields)
        if len(rows) < PAGE:
            yield from rows
        else:
            for digit in "0123456789abcdef":
                yield from self._pages(collection, since, fields, prefix + digit)

    def _told(self, run):
        try:
            return run()
        except Exception as error:  # gRPC's and pymilvus's have no useful base class in common
            # Without the cause, whose text may quote what was sent to log in.
            token = self._address.token
            password = Confidential(token.reveal().partition(":")[2])
            raise StoreAway(password.hidden_in(token.hidden_in(why(error)))[:200]) from None


class StoreAway(Exception):
    """The store does not answer, or refuses."""


def _person_row(uid: str, name: str, changed: float, gone: bool, into: str) -> dict:
    return {
        "uid": uid,
        "name": name,
        "changed": float(changed),
        "gone": gone,
        "merged_into": into,
        "pushed": time.time(),
        "nothing": [0.0, 0.0],
    }
