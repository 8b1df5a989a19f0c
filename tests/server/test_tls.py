"""TLS through real sockets: requests, bodies, ends, and what handlers know of the session."""

import asyncio
import socket
import ssl

import pytest

from httpkit.request import Request
from httpkit.response import Response
from httpkit.tls import TLSInfo
from tests.http2 import frames
from tests.http2.client import HTTP2Client

from .certificates import Authority
from .conftest import Live
from .tls import HOST, connect, options
from .wire import PATIENCE, eventually, make_request


def test_a_request(live: Live, authority: Authority) -> None:
    server = live(lambda request: Response(str(request.url)), **options(authority))
    client = connect(server, authority.client_context())
    answer = client.get("/path?query")
    assert (answer.status, answer.body) == (200, b"https://example.com/path?query")
    assert client.get().status == 200  # the same connection
    counters = server.server.counters
    assert (counters.handshakes_begun, counters.handshakes_failed) == (1, 0)
    assert (counters.connections_opened, counters.requests_begun) == (1, 2)
    assert server.server.schemes == ["https"]


def test_pipelined_requests_are_answered_in_order(live: Live, authority: Authority) -> None:
    server = live(lambda request: Response(request.target), **options(authority))
    client = connect(server, authority.client_context())
    client.send(b"".join(make_request(f"/{n}") for n in range(40)))
    assert [client.receive().body for _ in range(40)] == [b"/%d" % n for n in range(40)]


def test_byte_by_byte(live: Live, authority: Authority) -> None:
    """Each byte is a record of its own."""
    server = live(lambda request: Response(request.target), **options(authority))
    client = connect(server, authority.client_context())
    client.send_slowly(make_request("/slow"))
    assert client.receive().body == b"/slow"


@pytest.mark.parametrize("size", [0, 1, 16_384, 16_385, 3_000_000])
def test_bodies_both_ways(live: Live, authority: Authority, size: int) -> None:
    async def echo(request: Request) -> Response:
        return Response(await request.body())

    server = live(echo, **options(authority))
    client = connect(server, authority.client_context())
    body = bytes(n * 7 % 256 for n in range(1024)) * (size // 1024 + 1)
    client.request("/", method="POST", body=body[:size])
    assert client.receive().body == body[:size]


def test_a_client_that_does_not_read_holds_up_the_handler(live: Live, authority: Authority) -> None:
    sent = []

    async def endless(request: Request) -> Response:
        async def pieces():
            for _ in range(2_000):
                sent.append(1)
                yield b"x" * 16_384

        return Response(pieces())

    server = live(endless, **options(authority, write_buffer=65_536))
    client = connect(server, authority.client_context())
    client.request()
    server.until(server.the_connection_is_full, "a full socket")
    assert len(sent) < 2_000
    assert len(client.receive().body) == 2_000 * 16_384


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_what_a_handler_knows(live: Live, authority: Authority, version: str) -> None:
    seen: list[TLSInfo | None] = []

    def note(request: Request) -> Response:
        seen.append(request.tls)
        return Response("")

    server = live(note, **options(authority))
    context = authority.client_context(alpn=["foo", "http/1.1"])
    context.maximum_version = context.minimum_version = ssl.TLSVersion[version]
    client = connect(server, context, "Example.COM")
    client.get()
    client.get()
    name, protocol, _ = client.socket.cipher()
    assert seen == [TLSInfo(version=protocol, cipher=name, alpn="http/1.1", server_name=HOST)] * 2
    assert seen[0] is seen[1]
    # AEAD with forward secrecy; TLS 1.3 has nothing else.
    assert "GCM" in name or "CHACHA20" in name
    assert protocol == "TLSv1.3" or name.startswith("ECDHE-")


@pytest.mark.parametrize(
    ("http2", "offered", "chosen", "version"),
    [
        ("auto", ["h2", "http/1.1"], "h2", "2"),
        ("auto", ["http/1.1", "h2"], "h2", "2"),
        ("auto", ["http/1.1"], "http/1.1", "1.1"),
        ("off", ["h2", "http/1.1"], "http/1.1", "1.1"),
        ("auto", ["http/1.0", "http/1.1"], "http/1.1", "1.1"),
        ("auto", ["http/1.0"], "http/1.0", "1.1"),  # as curl --http1.0
    ],
)
def test_alpn_chooses_the_protocol(
    live: Live, authority: Authority, http2: str, offered: list[str], chosen: str, version: str
) -> None:
    """RFC 7301, RFC 9113 §3.2."""
    seen = []

    def note(request: Request) -> Response:
        seen.append((request.http_version, request.tls.alpn, str(request.url)))
        return Response("")

    server = live(note, **options(authority, http2=http2))
    client = connect(server, authority.client_context(alpn=offered))
    if version == "2":
        assert HTTP2Client(client).get("/path").status == 200
    else:
        assert client.get("/path").status == 200
    assert seen == [(version, chosen, "https://example.com/path")]


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
@pytest.mark.parametrize(
    ("http2", "offered"), [("auto", ["foo"]), ("auto", ["h2c", "http/0.9"]), ("off", ["h2"])]
)
@pytest.mark.parametrize("name", [HOST, None])
def test_rfc7301_3_2_nothing_in_common(
    live: Live,
    authority: Authority,
    version: str,
    http2: str,
    offered: list[str],
    name: str | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The alert no_application_protocol; what is meant for others is not read as HTTP."""
    server = live(**options(authority, http2=http2))
    context = authority.client_context(alpn=offered)
    context.maximum_version = context.minimum_version = ssl.TLSVersion[version]
    with (
        caplog.at_level("INFO", logger="httpkit"),
        pytest.raises(ssl.SSLError, match="alert no application protocol"),
    ):
        connect(server, context, name)
    server.until(lambda: server.server.counters.handshakes_failed)
    assert "ALPN names no protocol that is spoken here" in caplog.text


def test_the_preface_of_http_2_needs_alpn(live: Live, authority: Authority) -> None:
    """RFC 9113 §3.2: prior knowledge is for plain ports."""
    server = live(**options(authority))
    client = connect(server, authority.client_context())
    client.send(frames.PREFACE)
    assert client.receive().status == 505
    client.expect_end()


def test_without_alpn_and_sni_it_is_http_1(live: Live, authority: Authority) -> None:
    seen = []

    def note(request: Request) -> Response:
        seen.append((request.http_version, request.tls))
        return Response("")

    server = live(note, **options(authority))
    client = connect(server, authority.client_context(alpn=()), None)
    client.get()
    [(version, tls)] = seen
    assert (version, tls.alpn, tls.server_name) == ("1.1", None, None)


def test_a_plain_connection_has_no_tls(live: Live) -> None:
    server = live(lambda request: Response(repr(request.tls)))
    assert server.connect().get().body == b"None"


# --- the end of a connection -------------------------------------------------------------------


@pytest.fixture
def waiting(live: Live, authority: Authority):
    """A client whose request waits for ever, and what has happened to the handler."""
    events: list[str] = []

    async def wait(request: Request) -> Response:
        events.append("begun")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            events.append("cancelled")
            raise
        raise AssertionError

    server = live(wait, **options(authority))
    client = connect(server, authority.client_context())
    client.request()
    eventually(lambda: events == ["begun"], "the handler")
    return server, client, events


def test_close_notify_cancels_what_runs(waiting) -> None:
    """There is no half-close over TLS, unlike TCP."""
    _, client, events = waiting
    client.socket = client.socket.unwrap()  # close_notify, and that of the server in return
    eventually(lambda: events == ["begun", "cancelled"], "the cancellation")
    client.expect_end()


def test_an_end_without_close_notify_cancels_what_runs(waiting) -> None:
    _, client, events = waiting
    client.half_close()
    eventually(lambda: events == ["begun", "cancelled"], "the cancellation")


def test_a_reset_cancels_what_runs(waiting) -> None:
    _, client, events = waiting
    client.reset()
    eventually(lambda: events == ["begun", "cancelled"], "the cancellation")


def test_garbage_instead_of_records_cancels_what_runs(waiting, caplog) -> None:
    caplog.set_level("INFO", "httpkit")
    server, client, events = waiting
    client.socket = socket.socket(fileno=client.socket.detach())
    client.socket.settimeout(PATIENCE)
    client.send(b"GET / HTTP/1.1\r\n\r\n")
    eventually(lambda: events == ["begun", "cancelled"], "the cancellation")
    assert client.receive_rest()[-24:-19] == b"\x17\x03\x03\x00\x13"  # an alert, encrypted
    assert "the TLS session with 127.0.0.1" in caplog.text
    server.until(lambda: server.server.counters.connections_open == 0)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_request_and_garbage_in_one_read(
    live: Live, authority: Authority, version: ssl.TLSVersion, caplog
) -> None:
    """The handler may still ask for the session, which OpenSSL has given up."""
    caplog.set_level("INFO", "httpkit")
    seen = []

    def handler(request: Request) -> Response:
        seen.append(request.tls)
        return Response("ok")

    server = live(handler, **options(authority))
    context = authority.client_context()
    context.maximum_version = version
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context.wrap_bio(incoming, outgoing, server_hostname=HOST)
    client = server.connect()
    while True:
        try:
            session.do_handshake()
            break
        except ssl.SSLWantReadError:
            client.send(outgoing.read())
            incoming.write(client.socket.recv(65_536))
    session.write(make_request("/"))
    client.send(outgoing.read() + b"\xff" * 9)
    client.receive_rest()
    server.until(lambda: server.server.counters.connections_open == 0)
    assert [info.server_name for info in seen] == [HOST]
    assert not [each for each in caplog.records if each.levelname in {"WARNING", "ERROR"}]


def test_who_ends_the_session_and_takes_no_answer_is_cut_off(
    live: Live, authority: Authority
) -> None:
    """What is written already may still be taken, but not for ever."""

    async def endless(request: Request) -> Response:
        async def pieces():
            while True:
                yield b"x" * 16_384

        return Response(pieces())

    server = live(endless, **options(authority, write_stall=20))
    client = connect(server, authority.client_context())
    client.request()
    server.until(server.the_connection_is_full, "a full socket")
    client.half_close()
    server.until(lambda: not server.connection().streams, "the cancellation")
    server.pass_time(19.9)
    assert server.server.counters.connections_open == 1
    # While the kernels pass on what was written, that is progress.
    server.pass_time_until(lambda: server.connection() is None, 20.1, "the end of the connection")


def test_the_server_says_close_notify(live: Live, authority: Authority) -> None:
    """RFC 8446 §6.1: without it a client could not tell the end from a truncation."""
    server = live(**options(authority))
    client = connect(server, authority.client_context())
    assert client.get("/", "Connection: close").closes
    client.socket.suppress_ragged_eofs = False
    assert client.socket.recv(1) == b""


def test_an_answer_cut_short_is_no_close_notify(live: Live, authority: Authority) -> None:
    """Of HTTP/1.0, where nothing else ends a body (RFC 9112 §8)."""

    async def pieces():
        yield b"x"
        raise RuntimeError

    server = live(lambda request: Response(pieces()), **options(authority))
    client = connect(server, authority.client_context())
    client.request(version="1.0")
    client.socket.suppress_ragged_eofs = False
    with pytest.raises((ssl.SSLEOFError, ConnectionResetError)):
        client.receive_rest()


def test_a_refused_request(live: Live, authority: Authority) -> None:
    server = live(**options(authority))
    client = connect(server, authority.client_context())
    client.send(b"BAD\r\n\r\n")
    assert client.receive().status == 400
    client.expect_end()


def test_a_stop_lets_a_request_end(waiting, authority: Authority) -> None:
    server, _, events = waiting
    other = connect(server, authority.client_context())
    stopped = server.begin_stop()
    other.expect_end()  # it was idle
    server.call(server.server.abort)
    stopped.result(10)
    assert events == ["begun", "cancelled"]
