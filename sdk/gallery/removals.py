"""In a gallery's file: exemplars that the shared store must still be told to delete, each with a checksum."""

import sqlite3
from collections.abc import Iterable

from sdk.gallery.records import Checksum, Cipher, bears_seal


class RemovalList:
    """Uids of 16 bytes."""

    def __init__(self, connection: sqlite3.Connection, seal: Checksum | Cipher):
        self._connection, self._seal = connection, seal

    def create(self) -> None:
        self._connection.execute("CREATE TABLE removal (uid BLOB PRIMARY KEY, seal) WITHOUT ROWID")

    def upgrade(self) -> None:
        """From schema 1, whose uids had no seals."""
        uids = [uid for (uid,) in self._connection.execute("SELECT uid FROM removal")]
        self._connection.execute("ALTER TABLE removal ADD COLUMN seal")
        self._connection.execute("DELETE FROM removal")
        self.put(uid for uid in uids if isinstance(uid, bytes))

    def put(self, uids: Iterable[bytes]) -> None:
        rows = [(uid, self._seal.seal(b"removal" + uid, b"")) for uid in uids]
        self._connection.executemany("INSERT OR IGNORE INTO removal VALUES (?, ?)", rows)

    def clear(self, uids: Iterable[bytes]) -> None:
        self._connection.executemany("DELETE FROM removal WHERE uid = ?", [(uid,) for uid in uids])

    def read(self, schema: int, problems: list[str]) -> list[bytes]:
        """All that are whole; how many are not is told in `problems`."""
        found, damaged = [], 0
        try:
            for uid, seal in self._connection.execute(f"SELECT uid, {'seal' if schema >= 2 else 'NULL'} FROM removal"):
                if (
                    isinstance(uid, bytes)
                    and len(uid) == 16
                    and (schema < 2 or bears_seal(self._seal, b"removal" + uid, seal))
                ):
                    found.append(uid)
                else:
                    damaged += 1
        except sqlite3.DatabaseError as error:
            problems.append(f"what the store must delete cannot be read ({error})")
        if damaged:
            problems.append(f"{damaged} deletions that the store was to be told of are damaged")
        return found
