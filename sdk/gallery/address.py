"""Where a shared gallery is, and what its store wants to be reached with: login, database, certificates.

What an address does not say, the environment does, for an address is read by more people than a service's environment.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sdk.confidential import Confidential, hide, take_apart
from sdk.errors import DataError, GalleryError

PLAIN, TLS = "milvus", "milvus+tls"
LITE = ".milvus.db"
"""How a file of Milvus Lite ends."""
TOKEN, TOKEN_FILE = "ALIGNED_REID_MILVUS_TOKEN", "ALIGNED_REID_MILVUS_TOKEN_FILE"
"""`user:password`, or a token; or a file with one, as systemd's credentials and Docker's secrets are."""
DATABASE = "ALIGNED_REID_MILVUS_DATABASE"
CA, CERTIFICATE, KEY = "ALIGNED_REID_MILVUS_CA", "ALIGNED_REID_MILVUS_CERTIFICATE", "ALIGNED_REID_MILVUS_KEY"
"""PEM files: whom to trust instead of the usual authorities; who this site is, where the server asks."""

HOW = (
    "write milvus://host:19530/name, milvus+tls://… for TLS, the name of letters, digits and _; ahead of the name "
    "DATABASE/, ahead of the host USER:PASSWORD@ where the store wants them"
)
_NAME = r"[A-Za-z_]\w*"


@dataclass(frozen=True)
class Address:
    """Where a shared gallery is."""

    uri: str
    name: str
    token: Confidential
    """A token, or `user:password`; may be empty."""
    shown: str
    """For messages."""
    database: str = ""
    """Empty: the store's default one."""
    ca: str = ""
    """PEM file; empty: the authorities that gRPC brings."""
    certificate: str = ""
    key: str = ""

    @classmethod
    def parse(cls, where: str, environment: Mapping[str, str] | None = None) -> "Address":
        """`milvus://[user:password@]host:port/[database/]name`, the same with `milvus+tls://`, or a file of Milvus
        Lite, whose gallery is called `gallery`.

        In user, password and token percent-encoding is read. environment: None: the process's; asked for what the
        address does not say, and not for a file. Raises `GalleryError` for what is none of these, for a file that
        cannot be read, and for certificates where there is no TLS.
        """
        if not where.startswith((f"{PLAIN}://", f"{TLS}://")):
            return cls(where, "gallery", Confidential(""), hide(where))
        try:
            url = take_apart(where)
        except DataError as error:
            raise GalleryError(str(error)) from None
        steps = re.fullmatch(rf"(?:/({_NAME}))?/({_NAME})", url.path.reveal())
        if not steps or not url.host or url.port is None or url.query or url.fragment:
            raise GalleryError(f"{url.origin}: no address of a shared gallery; {HOW}")
        environment = os.environ if environment is None else environment
        token = ":".join(part.reveal() for part in (url.user, url.password) if part is not None)
        database = steps[1] or environment.get(DATABASE, "")
        if not re.fullmatch(rf"|{_NAME}", database):
            raise GalleryError(f"{DATABASE}={database!r}: a database's name is of letters, digits and _")
        files = {name: environment.get(name, "") for name in (CA, CERTIFICATE, KEY)}
        _check_files(files, url.scheme == TLS)
        scheme = "https" if url.scheme == TLS else "http"
        return cls(
            f"{scheme}://{url.origin.partition('://')[2]}",
            steps[2],
            Confidential(token or _token(environment)),
            url.shown,
            database,
            *files.values(),
        )

    def connection(self) -> dict[str, object]:
        """What `pymilvus.MilvusClient` is called with."""
        given: dict[str, object] = {"uri": self.uri, "token": self.token.reveal()}
        if self.database:
            given["db_name"] = self.database
        if self.uri.startswith("https://"):
            given["secure"] = True
            if self.certificate:
                pems = {"ca_pem_path": self.ca, "client_pem_path": self.certificate, "client_key_path": self.key}
            else:
                pems = {"server_pem_path": self.ca}  # its name for whom to trust
            given |= {name: path for name, path in pems.items() if path}
        return given


def is_address(where: object) -> bool:
    """Whether it is the address of a shared gallery, or a file of Milvus Lite."""
    return str(where).startswith((f"{PLAIN}://", f"{TLS}://")) or str(where).endswith(LITE)


def _token(environment: Mapping[str, str]) -> str:
    if environment.get(TOKEN):
        return environment[TOKEN]
    path = environment.get(TOKEN_FILE, "")
    if not path:
        return ""
    try:
        token = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise GalleryError(f"{TOKEN_FILE}: {path} cannot be read ({reason}); put USER:PASSWORD into it") from None
    if not token:
        raise GalleryError(f"{TOKEN_FILE}: {path} is empty; put USER:PASSWORD into it")
    return token


def _check_files(files: Mapping[str, str], tls: bool) -> None:
    for name, path in files.items():
        if path and not tls:
            raise GalleryError(f"{name} is set, but the connection is not encrypted; write {TLS}://… for TLS")
        if path and not os.access(path, os.R_OK):
            raise GalleryError(f"{name}: {path} cannot be read; it is a PEM file")
    if bool(files[CERTIFICATE]) != bool(files[KEY]):
        raise GalleryError(f"{CERTIFICATE} and {KEY} belong together; set both, or none")
    if files[CERTIFICATE] and not files[CA]:
        raise GalleryError(f"{CERTIFICATE} needs {CA} as well: whom to trust")
