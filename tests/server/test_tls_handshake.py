"""The way from an accepted socket to a TLS connection, and whatever goes wrong on it."""

import asyncio
import logging
import ssl
import struct
import sys
from unittest.mock import MagicMock

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from httpkit.request import Request
from httpkit.response import Response
from httpkit.server.config import Config
from httpkit.server.counters import Counters
from httpkit.server.tls_port import TLSPort
from httpkit.transport.deadlines import Reaper
from httpkit.transport.handshake import Handshake

from .certificates import Authority
from .conftest import Live
from .live import LiveServer
from .tls import HOST, connect, options, start_tls
from .wire import Client, eventually, make_request


@pytest.fixture
def server(live: Live, authority: Authority) -> LiveServer:
    return live(**options(authority))


def hello(context: ssl.SSLContext) -> tuple[ssl.SSLObject, ssl.MemoryBIO, ssl.MemoryBIO]:
    """A client without a socket that has written its ClientHello."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context.wrap_bio(incoming, outgoing, server_hostname=HOST)
    with pytest.raises(ssl.SSLWantReadError):
        session.do_handshake()
    return session, incoming, outgoing


def handshakes(server: LiveServer) -> int:
    return len(server.call(server.server._handshakes))


def counted(server: LiveServer) -> tuple[int, int]:
    counters = server.server.counters
    return counters.handshakes_begun, counters.handshakes_failed


def works(server: LiveServer, authority: Authority) -> bool:
    """Whether others are served as if nothing had happened."""
    with Client(server.address) as client:
        start_tls(client, authority.client_context())
        return client.get().status == 200


# --- clients that speak no TLS -----------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [make_request("/"), b"\0", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x80\x2e\x01\x03\x01" * 9],
    ids=["HTTP", "NUL", "HTTP/2", "SSLv2"],
)
def test_plain_http_gets_one_clear_answer(
    server: LiveServer, authority: Authority, data: bytes, caplog
) -> None:
    caplog.set_level(logging.INFO, "httpkit")
    client = server.connect()
    client.send(data)
    answer = client.receive()
    assert (answer.status, answer.reason, answer.closes) == (400, "Bad Request", True)
    assert answer.body == b"This port speaks TLS: use https://\n"
    assert answer["date"].endswith(" GMT")
    client.expect_end()
    assert "does not speak TLS on a TLS port" in caplog.text
    assert counted(server) == (0, 0)
    assert works(server, authority)


def test_the_answer_survives_what_comes_after_it(server: LiveServer) -> None:
    """RFC 9112 §9.6: closing with unread input would reset the connection."""
    client = server.connect()
    client.send(make_request("/", method="POST", body=b"x" * 500_000))
    assert client.receive().status == 400
    client.expect_end()


def test_a_refused_client_that_stays_is_closed(server: LiveServer) -> None:
    client = server.connect()
    client.send(make_request("/"))
    assert client.receive().status == 400
    server.pass_time(4.9)
    assert handshakes(server) == 1
    server.pass_time(0.2)
    assert handshakes(server) == 0


def test_a_connection_that_is_only_opened_and_closed_is_not_counted(
    server: LiveServer, authority: Authority, caplog
) -> None:
    caplog.set_level(logging.INFO, "httpkit")
    server.connect().close()
    server.connect().reset()
    assert works(server, authority)  # which came after both, and was accepted after both
    server.until(lambda: not server.server._handshakes())
    assert counted(server) == (1, 0)
    assert "handshake" not in caplog.text


# --- deadlines and limits ----------------------------------------------------------------------


def test_a_client_that_says_nothing_is_closed(live: Live, authority: Authority) -> None:
    server = live(**options(authority, handshake_timeout=3))
    client = server.connect()
    server.until(server.server._handshakes, "the connection")
    server.pass_time(3.0)
    client.expect_silence()
    server.pass_time(0.1)
    client.expect_end()
    assert counted(server) == (0, 0)


def test_a_handshake_that_cannot_be_looked_after_is_closed(
    live: Live, authority: Authority, monkeypatch
) -> None:
    server = live(**options(authority))
    client = server.connect()
    server.until(server.server._handshakes, "the connection")
    with monkeypatch.context() as patch:
        patch.setattr(Handshake, "check_deadlines", MagicMock(side_effect=ZeroDivisionError))
        reaper = Reaper(MagicMock(), 1.0, server.clock, server.server.watched, MagicMock())
        server.call(reaper.scan, 0.0)
    client.expect_end()
    assert works(server, authority)


def test_a_handshake_that_stops_is_closed(live: Live, authority: Authority, caplog) -> None:
    """Absolute, as for heads: bytes that drip do not extend it."""
    caplog.set_level(logging.INFO, "httpkit")
    server = live(**options(authority, handshake_timeout=3))
    client = server.connect()
    _, _, outgoing = hello(authority.client_context())
    data = outgoing.read()
    for n in range(3):
        client.send(data[n : n + 1])
        server.until(lambda: counted(server) == (1, 0), "the first byte")
        server.pass_time(0.9)
    assert handshakes(server) == 1
    server.pass_time(0.5)
    server.until(lambda: counted(server) == (1, 1))
    assert handshakes(server) == 0
    assert "it was not through after 3 s" in caplog.text
    assert works(server, authority)


def test_one_handshake_too_many_closes_the_oldest(live: Live, authority: Authority, caplog) -> None:
    caplog.set_level(logging.INFO, "httpkit")
    server = live(**options(authority, max_handshakes=2))
    held = [server.connect() for _ in range(2)]
    server.until(lambda: len(server.server._handshakes()) == 2)
    held[0].send(b"\x16")
    held[1].send(b"\x16")
    server.until(lambda: counted(server) == (2, 0))
    assert works(server, authority)
    assert counted(server) == (3, 1)
    assert "more than max_handshakes are under way" in caplog.text
    held[1].expect_silence()


def test_handshakes_take_room_from_connections(live: Live, authority: Authority) -> None:
    server = live(**options(authority, max_connections=1))
    first = server.connect()
    server.until(server.server._handshakes)
    second = server.connect()
    first.close()
    start_tls(second, authority.client_context())
    assert second.get().status == 200


# --- handshakes that fail ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda context: setattr(context, "maximum_version", ssl.TLSVersion.TLSv1_1), "protocol"),
        (
            lambda context: (
                setattr(context, "maximum_version", ssl.TLSVersion.TLSv1_2),
                context.set_ciphers("AES128-SHA:ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"),
            ),
            "no shared cipher",
        ),
    ],
    ids=["TLS 1.1", "CBC"],
)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_old_versions_and_suites_are_refused(
    server: LiveServer, authority: Authority, change, reason: str, caplog
) -> None:
    """RFC 9325 §3.1.1, §4.1: no TLS 1.1, and no suite without AEAD."""
    caplog.set_level(logging.INFO, "httpkit")
    context = authority.client_context()
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("ALL:@SECLEVEL=0")
    change(context)
    with pytest.raises(ssl.SSLError, match=r"(?i)alert"):
        connect(server, context)
    server.until(lambda: counted(server) == (1, 1))
    [line] = [each.message for each in caplog.records if "handshake" in each.message]
    assert line.startswith("the TLS handshake with 127.0.0.1:")
    assert reason in line
    assert works(server, authority)


def test_a_client_that_does_not_trust_the_server(
    server: LiveServer, authority: Authority, caplog
) -> None:
    caplog.set_level(logging.INFO, "httpkit")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(server, context)
    server.until(lambda: counted(server) == (1, 1))
    assert "unknown ca" in caplog.text


@pytest.mark.parametrize("data", [b"\x16", b"\x16\x03\x01\xff\xff" + b"\0" * 70_000, b"\x16" * 99])
def test_what_only_begins_like_tls(
    server: LiveServer, authority: Authority, data: bytes, caplog
) -> None:
    caplog.set_level(logging.INFO, "httpkit")
    client = server.connect()
    client.send(data)
    client.half_close()
    client.receive_rest()
    server.until(lambda: counted(server) == (1, 1))
    assert "failed: " in caplog.text
    assert works(server, authority)


def extension(kind: int, data: bytes) -> bytes:
    return struct.pack("!HH", kind, len(data)) + data


def hello_for(name: bytes, share: bytes = b"", group: int = 0x17) -> bytes:
    """A ClientHello of TLS 1.3, for P-256; without a key share it is to be sent again."""
    extensions = b"".join(
        (
            extension(0, struct.pack("!HBH", len(name) + 3, 0, len(name)) + name),
            extension(10, struct.pack("!HH", 2, group)),  # supported_groups
            extension(13, b"\x00\x02\x04\x03"),  # signature_algorithms
            extension(43, b"\x02\x03\x04"),  # supported_versions
            extension(51, struct.pack("!H", len(share)) + share),
        )
    )
    body = b"\3\3" + bytes(32) + b"\0" + b"\0\2\x13\1" + b"\1\0"
    body += struct.pack("!H", len(extensions)) + extensions
    message = b"\1" + len(body).to_bytes(3, "big") + body
    return b"\x16\3\1" + struct.pack("!H", len(message)) + message


def key_share() -> bytes:
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    point = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return struct.pack("!HH", 0x17, len(point)) + point


@pytest.mark.parametrize("again", [False, True], ids=["first", "after a HelloRetryRequest"])
@pytest.mark.parametrize("name", [b"caf\xe9.example", "bücher.example".encode(), b"\xff"])
def test_rfc6066_3_a_host_name_that_is_not_ascii(
    server: LiveServer, authority: Authority, name: bytes, again: bool, caplog, monkeypatch
) -> None:
    """Python's ssl would print a traceback for each."""
    caplog.set_level(logging.INFO, "httpkit")
    unraisable: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)
    client = server.connect()
    if again:
        client.send(hello_for(HOST.encode()))
        assert client.socket.recv(65_536)[:6] == b"\x16\3\3\0\x38\2"
    client.send(hello_for(name, key_share()))
    assert client.receive_rest()[-7:] == b"\x15\x03\x03\0\2\2\x70"  # unrecognized_name
    server.until(lambda: counted(server) == (1, 1))
    assert "SNI names a host in bytes that are no ASCII" in caplog.text
    assert not unraisable
    assert works(server, authority)


@pytest.mark.parametrize("again", [False, True], ids=["first", "after a HelloRetryRequest"])
@pytest.mark.parametrize(("group", "size"), [(0x0102, 512), (0x0104, 1024)])
def test_cve_2002_20001_no_key_exchange_over_large_finite_fields(
    server: LiveServer, authority: Authority, group: int, size: int, again: bool, caplog
) -> None:
    """A public key of 8192 bits is cheap to make up, and dear to use."""
    caplog.set_level(logging.INFO, "httpkit")
    client = server.connect()
    if again:
        client.send(hello_for(HOST.encode(), group=group))
        client.socket.recv(65_536)
    share = struct.pack("!HH", group, size) + b"\x7f" * size
    client.send(hello_for(HOST.encode(), share, group))
    assert client.receive_rest()[-7:] == b"\x15\x03\x03\0\2\2\x28"  # handshake_failure
    server.until(lambda: counted(server) == (1, 1))
    assert "its key is of a large finite field" in caplog.text
    assert works(server, authority)


def test_a_reset_within_a_handshake(server: LiveServer, authority: Authority) -> None:
    client = server.connect()
    client.send(b"\x16")
    server.until(lambda: counted(server) == (1, 0))
    client.reset()
    server.until(lambda: counted(server) == (1, 1))
    assert works(server, authority)


def test_the_handshake_byte_by_byte_with_a_request_behind(live: Live, authority: Authority) -> None:
    """Whatever comes with the last flight of the client belongs to the connection."""
    server = live(lambda request: Response(request.target), **options(authority))
    client = server.connect()
    session, incoming, outgoing = hello(authority.client_context())
    client.send_slowly(outgoing.read())
    while True:
        try:
            session.do_handshake()
            break
        except ssl.SSLWantReadError:
            incoming.write(client.socket.recv(1))
    session.write(make_request("/early"))
    client.send(outgoing.read())
    answer = b""
    while b"/early" not in answer:
        incoming.write(client.socket.recv(65_536))
        try:
            answer += session.read(65_536)
        except ssl.SSLWantReadError:
            continue
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


# --- after the handshake -----------------------------------------------------------------------


def test_a_stop_closes_handshakes(live: Live, authority: Authority) -> None:
    server = live(**options(authority))
    client = server.connect()
    client.send(b"\x16")
    server.until(lambda: counted(server) == (1, 0))
    server.begin_stop().result(10)
    client.expect_end()


def test_a_handshake_that_ends_during_a_stop_gets_its_answer(
    live: Live, authority: Authority
) -> None:
    """As a plain connection does whose first request is on its way when a worker is replaced."""
    server = live(**options(authority))
    client = server.connect()
    session, incoming, outgoing = hello(authority.client_context())
    client.send(outgoing.read())
    server.until(lambda: counted(server) == (1, 0))
    stopped = asyncio.run_coroutine_threadsafe(server.server.stop(first_requests=10), server.loop)
    eventually(lambda: server.server.stopping)
    while outgoing.pending == 0:
        incoming.write(client.socket.recv(65_536))
        try:
            session.do_handshake()
        except ssl.SSLWantReadError:
            continue
    session.write(make_request("/"))
    client.send(outgoing.read())
    incoming.write(client.receive_rest())
    answer = b""
    while piece := session.read(65_536):
        answer += piece
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    stopped.result(10)


def test_a_start_that_fails_leaves_no_handshake(authority: Authority) -> None:
    """Nothing is accepted before the lifespan is entered, so this is for those who embed."""
    port = TLSPort(
        Config.of(**options(authority)),
        ("http/1.1",),
        clock=lambda: 0.0,
        counters=Counters(),
        make_connection=lambda scheme, protocol: pytest.fail("there is no connection"),
        date=lambda: b"",
        left=lambda: None,
    )
    raw = MagicMock()
    port.handshakes.make().connection_made(raw)
    asyncio.run(port.close())
    raw.abort.assert_called_once()
    assert len(port.handshakes) == 0


def test_a_tap_sees_cleartext(live: Live, authority: Authority) -> None:
    seen: list[tuple[str, bytes]] = []
    server = live(lambda request: Response("secret"), **options(authority))
    server.server.tap = lambda name, direction, data, now: seen.append((direction, data))
    client = connect(server, authority.client_context())
    client.get("/")
    client.close()
    server.until(lambda: ("sent", b"") in seen)
    assert seen[0] == ("received", make_request("/"))
    assert seen[1][1].endswith(b"secret")


def test_many_clients_at_once(live: Live, authority: Authority) -> None:
    async def echo(request: Request) -> Response:
        return Response(await request.body())

    server = live(echo, **options(authority))
    context = authority.client_context()
    clients = [connect(server, context) for _ in range(20)]
    for n, client in enumerate(clients):
        client.request("/", method="POST", body=b"%d" % n * 40_000)
    for n, client in enumerate(clients):
        assert client.receive().body == b"%d" % n * 40_000
