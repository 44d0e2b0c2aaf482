"""Addresses of shared galleries: TLS, databases, logins from the environment; what the client is called with."""

import sys
import types

import pytest

from sdk.confidential import Confidential
from sdk.errors import GalleryError
from sdk.gallery.address import Address, is_address
from sdk.gallery.gallery import shown
from sdk.gallery.milvus import MilvusStore

SECRET = "s3cret/@:%"
WRITTEN = "s3cret%2F%40%3A%25"
AREA = "ALIGNED_REID_MILVUS_"


@pytest.fixture
def pem(tmp_path):
    path = tmp_path / "ca.pem"
    path.write_text("-----BEGIN CERTIFICATE-----")
    return str(path)


@pytest.fixture
def calls(monkeypatch):
    """What the client is opened with."""
    found = []

    class Client:
        def __init__(self, **given):
            found.append(given)

        def has_collection(self, *_, **__):
            return False

    monkeypatch.setitem(sys.modules, "pymilvus", types.SimpleNamespace(MilvusClient=Client))
    return found


def connect(address):
    MilvusStore(address).connect()


def test_tls_database_and_login_reach_the_client(calls, pem):
    connect(Address.parse(f"milvus+tls://ann:{WRITTEN}@host:19530/people/site", {f"{AREA}CA": pem}))
    (given,) = calls
    assert given.pop("timeout") > 0
    assert given == {
        "uri": "https://host:19530",
        "token": f"ann:{SECRET}",
        "db_name": "people",
        "secure": True,
        "server_pem_path": pem,
    }


def test_a_site_may_have_a_certificate_of_its_own(calls, pem):
    files = {f"{AREA}{name}": pem for name in ("CA", "CERTIFICATE", "KEY")}
    connect(Address.parse("milvus+tls://host:19530/site", files))
    given = calls[0]
    assert [given[name] for name in ("ca_pem_path", "client_pem_path", "client_key_path")] == [pem] * 3
    assert "server_pem_path" not in given, "pymilvus would look at nothing else"


def test_without_tls_the_client_is_called_as_ever(calls):
    connect(Address.parse("milvus://host:19530/site", {}))
    calls[0].pop("timeout")
    assert calls == [{"uri": "http://host:19530", "token": ""}]


def test_the_environment_says_what_the_address_does_not(tmp_path):
    file = tmp_path / "token"
    file.write_text(f"ann:{SECRET}\n")
    token, database = {f"{AREA}TOKEN": f"bob:{SECRET}"}, {f"{AREA}DATABASE": "people"}
    for where, environment, said, of in (
        ("milvus://host:1/site", token | {f"{AREA}TOKEN_FILE": str(file)}, f"bob:{SECRET}", ""),
        ("milvus://host:1/site", {f"{AREA}TOKEN_FILE": str(file)} | database, f"ann:{SECRET}", "people"),
        ("milvus://eve:x@host:1/other/site", token | database, "eve:x", "other"),
        ("site.milvus.db", token | database, "", ""),
    ):
        address = Address.parse(where, environment)
        assert (address.token, address.database) == (Confidential(said), of)
        assert SECRET not in repr(address) + address.shown


def test_the_process_has_an_environment(monkeypatch):
    monkeypatch.setenv(f"{AREA}DATABASE", "people")
    assert Address.parse("milvus://host:1/site").database == "people"
    assert shown(f"milvus+tls://ann:{WRITTEN}@host:1/people/site") == "milvus+tls://host:1/people/site"


@pytest.mark.parametrize(
    ("where", "environment", "said"),
    [
        ("milvus://host:1/a/b/c", {}, "write milvus://host:19530/name, milvus"),
        ("milvus+tls://host/a", {}, "write milvus://host:19530/name, milvus"),
        ("milvus://h:1/a", {"CA": "here"}, "CA is set, but the connection is not encrypted; write milvus.tls://"),
        ("milvus+tls://h:1/a", {"CA": "nowhere"}, "CA: nowhere cannot be read; it is a PEM file"),
        ("milvus+tls://h:1/a", {"KEY": "pem"}, "CERTIFICATE and .*KEY belong together"),
        ("milvus+tls://h:1/a", {"KEY": "pem", "CERTIFICATE": "pem"}, "CERTIFICATE needs .*CA as well"),
        ("milvus://h:1/a", {"TOKEN_FILE": "nowhere"}, r"TOKEN_FILE: nowhere cannot be read \(No such file"),
        ("milvus://h:1/a", {"TOKEN_FILE": "/dev/null"}, "TOKEN_FILE: /dev/null is empty"),
        ("milvus://h:1/a", {"DATABASE": "a-b"}, "a database's name is of letters"),
    ],
)
def test_what_cannot_be_is_explained(where, environment, said, pem):
    environment = {f"{AREA}{name}": pem if value == "pem" else value for name, value in environment.items()}
    with pytest.raises(GalleryError, match=said):
        Address.parse(where, environment)


def test_what_is_shared_is_told_from_a_file():
    assert all(map(is_address, ("milvus://h:1/a", "milvus+tls://h:1/a", "x.milvus.db")))
    assert not any(map(is_address, ("site.db", "milvus", "https://h:1/a")))
