"""The live page's server: a handful of fixed addresses, no files by name, nothing from elsewhere."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sdk.errors import DataError
from sdk.serve.access import Access
from sdk.serve.pages import HEADERS, Pages
from sdk.serve.site import LiveSite
from sdk.web.addresses import is_loopback
from sdk.web.server import listen, serving

__all__ = ["is_loopback", "serve"]

HOST = "127.0.0.1"


@contextmanager
def serve(
    site: LiveSite,
    access: Access | None = None,
    host: str = HOST,
    port: int = 0,
    certificate: str | Path | None = None,
    key: str | Path | None = None,
) -> Iterator[str]:
    """Serve in threads of its own; yields the address of the page. port 0: any that is free.

    certificate and key: PEM files, for https. Raises `DataError` if the host is not this machine alone and `access`
    asks for no token, if the port cannot be had, or a certificate cannot be read.
    """
    access = access or Access()
    if access.token is None and not is_loopback(host):
        raise DataError(f"at {host} others can reach the page; give it a token: Access(token)")
    context = _context(certificate, key)
    scheme = "http" if context is None else "https"
    closing = threading.Event()
    with listen(host, port) as listener:
        port = listener.getsockname()[1]
        pages = Pages(site, access, scheme, port, closing)
        with serving(listener, pages.answer, HEADERS, context):
            try:
                shown = f"[{host}]" if ":" in host else host
                yield f"{scheme}://{shown}:{port}/"
            finally:
                closing.set()


def _context(certificate: str | Path | None, key: str | Path | None) -> ssl.SSLContext | None:
    if certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise DataError(f"{certificate}: no certificate with its key can be read from it ({error})") from error
    return context
