"""The records of a gallery file: each of one size, sealed with a checksum or encrypted.

Every record of a table has the same length, and an erased one is overwritten in its place with zeros. So SQLite never
moves a record from one page to another, and no stale copy of it can be left in a page's free space: what was forgotten
is in no byte of the file.
"""

import hashlib
import os
import struct
import zlib
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sdk.errors import missing_package
from sdk.names import MOST_BYTES

NAME_BYTES = MOST_BYTES
"""The longest name of an identity or a camera, in UTF-8: the size of a record, so it stays as it is."""

KEY_VARIABLE = "ALIGNED_REID_GALLERY_KEY"
"""The environment variable with the passphrase of encrypted galleries."""


class Damaged(Exception):
    """A record's checksum is wrong."""


class Checksum:
    """Seals a record with the CRC-32 of itself and its place, so that a page written to a wrong place is noticed."""

    encrypts = False

    overhead = 4

    def seal(self, place: bytes, body: bytes) -> bytes:
        return struct.pack("<I", zlib.crc32(body, zlib.crc32(place))) + body

    def open(self, place: bytes, record: bytes) -> bytes:
        if len(record) < 4 or struct.unpack_from("<I", record)[0] != zlib.crc32(record[4:], zlib.crc32(place)):
            raise Damaged
        return record[4:]


class Cipher:
    """Seals a record with AES-256-GCM; its place is authenticated too."""

    encrypts = True

    overhead = 12 + 16

    def __init__(self, passphrase: str, salt: bytes):
        """The key comes from the passphrase by scrypt (N = 2¹⁵, r = 8). Raises `MissingPackageError`."""
        try:
            from cryptography.exceptions import InvalidTag
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        except ImportError as error:
            raise missing_package("cryptography", "encryption", "an encrypted gallery") from error
        key = hashlib.scrypt(passphrase.encode(), salt=salt, n=2**15, r=8, p=1, maxmem=2**26, dklen=32)
        self._cipher, self._invalid = AESGCM(key), InvalidTag

    def seal(self, place: bytes, body: bytes) -> bytes:
        nonce = os.urandom(12)
        return nonce + self._cipher.encrypt(nonce, body, place)

    def open(self, place: bytes, record: bytes) -> bytes:
        try:
            return self._cipher.decrypt(record[:12], record[12:], place)
        except (self._invalid, ValueError) as error:
            raise Damaged from error


@dataclass(frozen=True)
class IdentityRecord:
    """An identity on disk."""

    number: int
    uid: bytes
    """16 bytes, the same at every site."""
    clock: float
    """When its name was last changed; the newest wins where sites differ."""
    name: str
    flags: int = 0
    into: bytes = b""
    """Of one that is gone: whom it was merged into; its own uid if its exemplars were pruned; empty if forgotten."""


GONE = 1
"""Flag of an identity that is forgotten: the name is empty, the uid tells other sites."""
UNSENT = 2
"""Flag of what the shared store has not heard of yet."""

_IDENTITY = struct.Struct(f"<q16sdB16sH{NAME_BYTES}s")
_NAME = struct.Struct(f"<H{NAME_BYTES}s")
_EXEMPLAR = struct.Struct("<q i d d f 16s B 3x")


def pack_identity(identity: IdentityRecord) -> bytes:
    name = identity.name.encode()
    return _IDENTITY.pack(identity.number, identity.uid, identity.clock, identity.flags, identity.into, len(name), name)


def unpack_identity(body: bytes) -> IdentityRecord:
    number, uid, clock, flags, into, length, name = _IDENTITY.unpack(body)
    return IdentityRecord(number, uid, clock, name[:length].decode(), flags, into if any(into) else b"")


def pack_name(name: str | None) -> bytes:
    """None is told from "" by a length that no name has."""
    return _NAME.pack(2**16 - 1, b"") if name is None else _NAME.pack(len(name.encode()), name.encode())


def unpack_name(body: bytes) -> str | None:
    length, name = _NAME.unpack(body)
    return None if length == 2**16 - 1 else name[:length].decode()


class ExemplarRecord(NamedTuple):
    """An exemplar on disk. Its fields are in the order of the record's bytes."""

    person: int
    """The identity's number."""
    camera: int
    """The slot of the camera's name; −1: none."""
    time: float
    added: float
    quality: float
    uid: bytes
    """16 bytes, the same at every site."""
    sent: bool
    """Whether the shared store has it as it is."""
    embedding: np.ndarray
    """float32 `[D]`."""
    stripes: np.ndarray | None
    """float16 `[S, d]`."""


@dataclass(frozen=True)
class ExemplarLayout:
    """The form of a gallery's exemplars."""

    dim: int
    stripes: tuple[int, int] | None = None

    @property
    def size(self) -> int:
        """Bytes of a record's body."""
        return _EXEMPLAR.size + 4 * self.dim + (2 * self.stripes[0] * self.stripes[1] if self.stripes else 0)

    def pack(self, exemplar: ExemplarRecord) -> bytes:
        body = _EXEMPLAR.pack(*exemplar[:-2]) + exemplar.embedding.astype("<f4", copy=False).tobytes()
        if self.stripes:
            stripes = exemplar.stripes
            body += (np.zeros(self.stripes) if stripes is None else stripes).astype("<f2", copy=False).tobytes()
        return body

    def unpack(self, body: bytes) -> ExemplarRecord:
        """What `pack` was given."""
        head = _EXEMPLAR.unpack_from(body)
        embedding = np.frombuffer(body, "<f4", self.dim, _EXEMPLAR.size)
        stripes = None
        if self.stripes:
            stripes = np.frombuffer(body, "<f2", -1, _EXEMPLAR.size + 4 * self.dim).reshape(self.stripes)
        return ExemplarRecord._make((*head, embedding, stripes))


def bears_seal(kind: "Checksum | Cipher", place: bytes, seal: object) -> bool:
    """Whether `seal` is that of the values that `place` is made of; False for anything that is no seal."""
    try:
        return isinstance(seal, bytes) and kind.open(place, seal) == b""
    except Damaged:
        return False
