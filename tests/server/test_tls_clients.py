"""Client certificates (mutual TLS): for a whole port, and for some of its hosts."""

import logging
import ssl
import sys

import pytest

from httpkit.request import Request
from httpkit.response import Response
from httpkit.tls import TLSInfo
from tests.http2 import frames
from tests.http2.client import HTTP2Client

from .certificates import Authority, Identity
from .conftest import Live
from .live import LiveServer
from .tls import HOST, connect, options
from .wire import Client, eventually

ADMIN = "admin.example"
PUBLIC = "public.example"


def clients(authority: Authority, **more: object) -> dict[str, object]:
    return options(authority, **{"tls_client_ca": authority.ca, **more})


def name_of(request: Request) -> Response:
    """Whether there is a certificate."""
    tls = request.tls
    return Response("nobody" if tls is None or tls.client_certificate is None else "known")


def refused(server: LiveServer, context: ssl.SSLContext) -> str:
    """The alert that ends a handshake; with TLS 1.3 it comes after the client is through."""
    with pytest.raises(ssl.SSLError) as caught:
        connect(server, context).get()
    return str(caught.value).lower()


@pytest.fixture(params=["TLSv1_2", "TLSv1_3"])
def version(request) -> ssl.TLSVersion:
    return ssl.TLSVersion[request.param]


# --- a whole port ------------------------------------------------------------------------------


def test_required(live: Live, authority: Authority, version: ssl.TLSVersion, caplog) -> None:
    caplog.set_level(logging.INFO, "httpkit")
    seen: list[TLSInfo | None] = []

    def note(request: Request) -> Response:
        seen.append(request.tls)
        return Response("")

    server = live(note, **clients(authority, tls_client_auth="required"))
    nobody, stranger = authority.client_context(), Authority(authority.directory, "other")
    known = authority.client()
    accepted = authority.client_context(known)
    wrong = authority.client_context(stranger.client())
    for context in (nobody, accepted, wrong):
        context.maximum_version = version
    assert "required" in refused(server, nobody) or "handshake failure" in refused(server, nobody)
    assert "unknown ca" in refused(server, wrong)
    assert seen == []
    assert connect(server, accepted).get().status == 200
    [tls] = seen
    assert tls is not None
    assert tls.client_certificate == known.der
    chain = (known.der, authority.root.der) if sys.version_info >= (3, 13) else None
    assert tls.client_chain == chain
    eventually(lambda: "peer did not return a certificate" in caplog.text)
    assert "the client's certificate was not accepted: " in caplog.text


def test_a_certificate_for_servers_is_none_for_clients(live: Live, authority: Authority) -> None:
    """RFC 5280 §4.2.1.12: the extended key usage."""
    server = live(**clients(authority, tls_client_auth="required"))
    assert "alert" in refused(server, authority.client_context(Identity("server", authority.root)))


def test_optional(live: Live, authority: Authority) -> None:
    server = live(name_of, **clients(authority, tls_client_auth="optional"))
    assert connect(server, authority.client_context()).get().body == b"nobody"
    known = authority.client_context(authority.client())
    assert connect(server, known).get().body == b"known"
    # Who gives one must have a valid one.
    stranger = Authority(authority.directory, "other").client()
    assert "unknown ca" in refused(server, authority.client_context(stranger))


def test_revoked(live: Live, authority: Authority, caplog) -> None:
    caplog.set_level(logging.INFO, "httpkit")
    good, bad = authority.client("good"), authority.client("bad")
    crl = authority.write("crl.pem", authority.root.crl_pem(bad))
    server = live(**clients(authority, tls_client_auth="required", tls_client_crl=crl))
    assert connect(server, authority.client_context(good)).get().status == 200
    assert "revoked" in refused(server, authority.client_context(bad))
    eventually(lambda: "not accepted: certificate revoked" in caplog.text)
    # A new list is read like any other file.
    authority.write("crl.pem", authority.root.crl_pem(bad, good))
    assert server.wait(server.server.reload_certificates())
    assert "revoked" in refused(server, authority.client_context(good))


def test_a_resumed_session_knows_its_client(live: Live, authority: Authority) -> None:
    server = live(name_of, **clients(authority, tls_client_auth="required"))
    context = authority.client_context(authority.client())
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    session = connect(server, context).socket.session
    client = connect(server, context, session=session)
    assert client.socket.session_reused
    assert client.get().body == b"known"


# --- some hosts --------------------------------------------------------------------------------


@pytest.fixture
def mixed(live: Live, authority: Authority) -> LiveServer:
    """`ADMIN` and what is below `wild.example` need a certificate, `PUBLIC` does not."""
    identity = authority.server(ADMIN, PUBLIC, "*.wild.example")
    hosts = (ADMIN.title(), "*.wild.example")
    more = {"tls_client_ca": authority.ca, "tls_client_auth_hosts": hosts}
    return live(name_of, **options(authority, identity, **more))


def get(client: Client, host: str) -> tuple[int, bytes]:
    client.send(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    answer = client.receive()
    return answer.status, answer.body


def test_the_hosts_that_need_a_certificate(mixed: LiveServer, authority: Authority) -> None:
    known = authority.client_context(authority.client())
    nobody = authority.client_context()
    for host, protected in ((ADMIN, True), (PUBLIC, False), ("a.wild.example", True)):
        expected = (403, b"This host needs a client certificate.\n") if protected else None
        client = connect(mixed, nobody, host)
        assert get(client, host) == (expected or (200, b"nobody"))
        assert get(client, f"{host.upper()}:443") == (expected or (200, b"nobody"))
        assert get(connect(mixed, known, host), host) == (200, b"known")
    assert len(mixed.requests) == 2 + 3


def test_a_wrong_authority_is_refused_on_every_host(mixed: LiveServer, authority: Authority):
    stranger = authority.client_context(Authority(authority.directory, "other").client())
    for host in (ADMIN, PUBLIC):
        with pytest.raises(ssl.SSLError, match=r"(?i)unknown ca"):
            connect(mixed, stranger, host).get()
    assert mixed.requests == []


def test_a_request_for_another_host_is_misdirected(mixed: LiveServer, authority: Authority) -> None:
    """RFC 9110 §15.5.20; CVE-2025-23419's shape, by the Host field."""
    misdirected = (421, b"This connection was made for another host.\n")
    for context in (authority.client_context(), authority.client_context(authority.client())):
        public = connect(mixed, context, PUBLIC)
        assert get(public, ADMIN) == misdirected
        assert get(public, "elsewhere.example") == misdirected
        assert get(public, PUBLIC)[0] == 200  # the connection goes on
        assert get(connect(mixed, context, ADMIN), PUBLIC) == misdirected
        unnamed = connect(mixed, context, None)
        assert get(unnamed, ADMIN) == misdirected
        assert get(unnamed, PUBLIC)[0] == 200


def test_an_absolute_target_counts_as_the_host(mixed: LiveServer, authority: Authority) -> None:
    """RFC 9112 §3.2.2: it wins over the Host field."""
    client = connect(mixed, authority.client_context(), PUBLIC)
    client.send(f"GET https://{ADMIN}/ HTTP/1.1\r\nHost: {PUBLIC}\r\n\r\n".encode())
    assert client.receive().status == 421
    assert mixed.requests == []


def test_streams_of_one_connection_are_told_apart(mixed: LiveServer, authority: Authority) -> None:
    """RFC 9113 §9.1.1: a browser may use one connection for every name in the certificate."""
    client = HTTP2Client(connect(mixed, authority.client_context(alpn=["h2"]), PUBLIC))
    hosts = {3: (PUBLIC, 200), 5: (ADMIN, 421), 7: (PUBLIC, 200)}
    for stream, (host, status) in hosts.items():
        client.send(frames.headers(frames.replaced(":authority", host), stream=stream))
        assert client.answer(stream).status == status


def test_no_session_is_resumed(mixed: LiveServer, authority: Authority) -> None:
    """CVE-2025-23419: a session of one host would open the door of another."""
    context = authority.client_context()
    public = connect(mixed, context, PUBLIC)
    assert get(public, PUBLIC)[0] == 200
    session = public.socket.session
    assert not session.has_ticket
    admin = connect(mixed, context, ADMIN, session=session)
    assert not admin.socket.session_reused
    assert get(admin, ADMIN)[0] == 403


def test_only_tls_1_3(mixed: LiveServer, authority: Authority) -> None:
    context = authority.client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError, match=r"(?i)protocol version"):
        connect(mixed, context, PUBLIC)


def test_a_plain_port_beside_has_no_certificates(live: Live, authority: Authority) -> None:
    more = {"tls_client_ca": authority.ca, "tls_client_auth_hosts": (ADMIN,), "tls_port": 0}
    server = live(name_of, **options(authority, **more))
    client = server.connect()
    assert get(client, ADMIN)[0] == 403
    assert get(client, HOST) == (200, b"nobody")
