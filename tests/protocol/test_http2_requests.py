"""Requests: field sections, content, trailers (RFC 9113 §8)."""

import pytest

from httpkit.errors import (
    ConnectRefused,
    ExpectationFailed,
    HeadersTooLarge,
    MethodNotImplemented,
    RemoteProtocolError,
    TargetTooLong,
    UnsupportedProtocol,
)
from httpkit.limits import Limits
from httpkit.protocol.events import ConnectionTerminated, StreamReset
from httpkit.protocol.http2 import frames as f
from httpkit.protocol.http2 import head
from httpkit.protocol.http2.frames import ErrorCode, Setting
from httpkit.protocol.http2.head import check_trailers, read_request
from httpkit.response import Response

from .http2_driver import GET, POST, SMALL, Peer, data, rst, settings

LIMITS = Limits()


@pytest.fixture(params=["native", "reference"])
def session(request) -> str:
    return request.param


def changed(**pseudo: bytes | None) -> list[tuple[bytes, bytes]]:
    """A GET with other pseudo-header fields; `None` leaves one out."""
    fields = {name.decode()[1:]: value for name, value in GET} | pseudo
    return [(b":%b" % name.encode(), value) for name, value in fields.items() if value is not None]


def with_fields(*fields: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    return [*GET, *fields]


MALFORMED = {
    "8.2.1 upper case": with_fields((b"X", b"y")),
    "8.2.1 a space in a name": with_fields((b"a b", b"y")),
    "8.2.1 an empty name": with_fields((b"", b"y")),
    "8.2.1 a control character in a name": with_fields((b"a\x01", b"y")),
    "8.2.1 a colon in a name": with_fields((b"a:b", b"y")),
    "8.2.1 NUL in a value": with_fields((b"a", b"b\0c")),
    "8.2.1 CR in a value": with_fields((b"a", b"b\rc")),
    "8.2.1 LF in a value": with_fields((b"a", b"b\nc")),
    "8.2.1 LF at the end of a value": with_fields((b"a", b"b\n"), (b"c", b"d")),
    "8.2.1 a blank before a value": with_fields((b"a", b" b")),
    "8.2.1 a tab behind a value": with_fields((b"a", b"b\t")),
    "8.2.2 connection": with_fields((b"connection", b"close")),
    "8.2.2 keep-alive": with_fields((b"keep-alive", b"timeout=5")),
    "8.2.2 proxy-connection": with_fields((b"proxy-connection", b"keep-alive")),
    "8.2.2 transfer-encoding": with_fields((b"transfer-encoding", b"chunked")),
    "8.2.2 upgrade": with_fields((b"upgrade", b"websocket")),
    "8.2.2 te": with_fields((b"te", b"gzip")),
    "8.3 an unknown pseudo-header field": with_fields((b":x", b"y")),
    "8.3 one of answers": with_fields((b":status", b"200")),
    "8.3 one after a field": [*GET[:3], (b"a", b"b"), GET[3]],
    "8.3 one twice": [*GET, GET[3]],
    "8.3.1 no method": changed(method=None),
    "8.3.1 an empty method": changed(method=b""),
    "8.3.1 a method that is no token": changed(method=b"G ET"),
    "8.3.1 no scheme": changed(scheme=None),
    "8.3.1 another scheme": changed(scheme=b"ftp"),
    "8.3.1 no path": changed(path=None),
    "8.3.1 an empty path": changed(path=b""),
    "8.3.1 a path that does not begin with a slash": changed(path=b"index"),
    "8.3.1 an absolute URL": changed(path=b"http://a/"),
    "8.3.1 * for GET": changed(path=b"*"),
    "8.3.1 a fragment": changed(path=b"/#a"),
    "8.3.1 a space in the path": changed(path=b"/a b"),
    "8.3.1 an octet beyond ASCII in the path": changed(path=b"/\xff"),
    "8.3.1 no authority": changed(authority=None),
    "8.3.1 an empty authority": changed(authority=b""),
    "8.3.1 userinfo": changed(authority=b"user@a"),
    "8.3.1 another Host": with_fields((b"host", b"b")),
    "8.3.1 another port": with_fields((b"host", b"a:443")),
    "8.3.1 Host with two ports": [*changed(authority=b"a:81"), (b"host", b"a:81:80")],
    "8.3.1 Host twice": [*changed(authority=None), (b"host", b"a"), (b"host", b"a")],
    "8.5 CONNECT with a path": changed(method=b"CONNECT"),
    "8.5 CONNECT without authority": [(b":method", b"CONNECT")],
    "RFC 8441 4 :protocol for GET": [*GET, (b":protocol", b"websocket")],
    "RFC 8441 4 no path": [
        *changed(method=b"CONNECT", path=None),
        (b":protocol", b"websocket"),
    ],
    "RFC 8441 4 an empty protocol": [*changed(method=b"CONNECT"), (b":protocol", b"")],
    "RFC 8441 4 a protocol that is no token": [
        *changed(method=b"CONNECT"),
        (b":protocol", b"web socket"),
    ],
    "RFC 9110 8.6 Content-Length": with_fields((b"content-length", b"-1")),
    "RFC 9110 8.6 Content-Length twice": with_fields(
        (b"content-length", b"0"), (b"content-length", b"0")
    ),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed(session, name) -> None:
    """§8.1.1: a stream error of type PROTOCOL_ERROR; no handler sees it, the rest goes on."""
    peer = Peer(session)
    peer.feed(peer.headers(MALFORMED[name]))
    assert peer.streams == {}
    assert peer.answers[1].reset == ErrorCode.PROTOCOL_ERROR
    assert isinstance(peer.refused[1].error, RemoteProtocolError)
    peer.request()
    assert list(peer.streams) == [3]
    assert peer.failure is None


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_without_a_library(name) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        read_request(MALFORMED[name], LIMITS)
    assert type(caught.value) is RemoteProtocolError


REFUSED = {
    "an unknown method": (changed(method=b"BREW"), MethodNotImplemented, 501),
    "a method in lower case": (changed(method=b"get"), MethodNotImplemented, 501),
    "CONNECT": ([(b":method", b"CONNECT"), (b":authority", b"a:1")], ConnectRefused, 405),
    "another protocol": (
        [*changed(method=b"CONNECT"), (b":protocol", b"connect-udp")],
        UnsupportedProtocol,
        501,
    ),
    "an expectation": (with_fields((b"expect", b"tea")), ExpectationFailed, 417),
    "a long path": (changed(path=b"/" + b"a" * 100), TargetTooLong, 414),
    "many fields": (with_fields(*[(b"a", b"")] * 11), HeadersTooLarge, 431),
    "large fields": (with_fields((b"a", b"b" * 1000)), HeadersTooLarge, 431),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_a_status(session, name) -> None:
    """Understood, and answered by the engine."""
    fields, error, status = REFUSED[name]
    peer = Peer(session, SMALL)
    peer.feed(peer.headers(fields))
    assert peer.streams == {}
    assert type(peer.refused[1].error) is error
    answer = peer.answers[1]
    assert answer.status == status
    assert answer.ended
    assert answer.reset is None
    assert answer.body.startswith(b"%d " % status)
    assert answer.fields.get(b"allow") == (b"" if status == 405 else None)
    peer.request()
    assert list(peer.streams) == [3]


def test_a_refusal_of_head_has_no_content(session) -> None:
    """RFC 9110 §9.3.2: its Content-Length is that of the answer to GET."""
    peer = Peer(session, SMALL)
    peer.feed(peer.headers(changed(method=b"HEAD", path=b"/" + b"a" * 100)))
    answer = peer.answers[1]
    assert (answer.status, answer.body, answer.ended) == (414, b"", True)
    assert int(answer.fields[b"content-length"]) > 0


@pytest.mark.parametrize(
    ("host", "authority", "scheme"),
    [
        (b"A.Example", b"a.example", b"http"),
        (b"a:80", b"a", b"http"),
        (b"a", b"a:80", b"http"),
        (b"a:", b"a", b"http"),
        (b"a:443", b"A", b"https"),
        (b"[::1]:443", b"[::1]", b"https"),
    ],
)
def test_host_and_authority_are_compared_as_uris_are(session, host, authority, scheme) -> None:
    """§8.3.1, RFC 3986 §6.2."""
    peer = Peer(session)
    peer.request([*changed(authority=authority, scheme=scheme), (b"host", host)])
    assert peer.streams[1].request.head.authority == authority


def test_a_refused_request_with_content(session) -> None:
    """§8.1: the answer first, then RST_STREAM(NO_ERROR)."""
    peer = Peer(session, SMALL)
    peer.feed(peer.headers(changed(method=b"BREW"), end=False))
    assert peer.answers[1].ended
    assert peer.answers[1].reset == ErrorCode.NO_ERROR
    assert peer.answers[1].status == 501


@pytest.mark.parametrize("then", ["content", "trailers", "malformed trailers", "reset", "the end"])
def test_nothing_is_told_of_a_refused_request_after_its_refusal(session, then) -> None:
    """Its answer waits for the end of the read, so the stream is still there."""
    peer = Peer(session, SMALL)
    octets = peer.headers(changed(method=b"BREW"), end=False)
    if then == "content":
        octets += data(1, b"x") + data(1, b"y", end=True)
    elif then == "reset":
        octets += rst(1)
    elif then != "the end":
        octets += peer.headers([(b":x" if then == "malformed trailers" else b"x", b"y")], 1)
    events = peer.engine.receive_data(octets)
    if then == "the end":
        events += peer.engine.receive_eof()
    [event, *others] = events
    assert isinstance(event, StreamReset)
    assert isinstance(event.error, MethodNotImplemented)
    assert all(isinstance(each, ConnectionTerminated) for each in others)
    assert not others or then == "the end"


def test_a_released_stream_is_not_told_of(session) -> None:
    """Content that is longer than it was to be, once the answer is complete and waits.

    nghttp2 resets the stream by itself; with h2 the answer still goes out.
    """
    peer = Peer(session, SMALL)
    peer.request([*POST, (b"content-length", b"1")], end=False)
    peer.engine.send_response(1, Response("early"))
    peer.engine.release(1)
    assert peer.engine.receive_data(data(1, b"too long")) == []
    peer.pump()
    assert peer.answers[1].reset is not None
    assert peer.failure is None


def test_a_released_stream_whose_answer_nobody_takes_times_out_in_silence(session) -> None:
    peer = Peer(session, SMALL, greet=settings((Setting.INITIAL_WINDOW_SIZE, 0)))
    peer.request(POST, end=False)
    peer.engine.send_response(1, Response("early"))
    peer.engine.release(1)
    peer.pump()
    assert {stream_id for stream_id, _, _ in peer.engine.stream_waits()} == {1}
    assert peer.engine.receive_timeout(1) == []
    peer.pump()
    assert peer.answers[1].reset == ErrorCode.CANCEL


def test_a_refused_head_request_gets_no_content(session) -> None:
    peer = Peer(session, SMALL)
    peer.feed(peer.headers(changed(method=b"HEAD", path=b"/" + b"a" * 200)))
    assert peer.answers[1].status == 414


def test_a_plain_request(session) -> None:
    peer = Peer(session)
    peer.request(changed(path=b"/a?b=%20", authority=b"example.com:80"))
    event = peer.streams[1].request
    assert event.end_stream
    assert (event.head.method, event.head.target) == ("GET", b"/a?b=%20")
    assert event.head.authority == b"example.com:80"
    assert event.head.headers == ((b"host", b"example.com:80"),)
    assert (event.head.scheme, event.head.version) == ("", "2")


def test_the_same_head_is_read_once(session) -> None:
    peer = Peer(session)
    peer.request()
    peer.request()
    assert peer.streams[1].request.head is peer.streams[3].request.head
    peer.request(changed(path=b"/other"))
    assert peer.streams[5].request.head.target == b"/other"


@pytest.mark.parametrize("authority", [None, b"a"])
def test_host(session, authority) -> None:
    """§8.3.1: in place of `:authority`, or the same."""
    peer = Peer(session)
    peer.request([*changed(authority=authority), (b"x", b"y"), (b"host", b"a")])
    assert peer.streams[1].request.head.headers == ((b"x", b"y"), (b"host", b"a"))
    assert peer.streams[1].request.head.authority == b"a"


def test_crumbs(session) -> None:
    """§8.2.3: joined, before anybody sees them."""
    peer = Peer(session)
    crumbs = [(b"cookie", b"a=b"), (b"x", b"y"), (b"cookie", b"c=d"), (b"cookie", b"e=f")]
    peer.request(with_fields(*crumbs))
    headers = peer.streams[1].request.head.headers
    assert headers == ((b"host", b"a"), (b"x", b"y"), (b"cookie", b"a=b; c=d; e=f"))
    peer.request(with_fields((b"cookie", b"a=b"), (b"x", b"y")))
    assert (b"cookie", b"a=b") in peer.streams[3].request.head.headers


def test_what_is_allowed(session) -> None:
    peer = Peer(session)
    peer.request([*changed(method=b"OPTIONS", path=b"*"), (b"te", b"trailers"), (b"a", b"")])
    assert peer.streams[1].request.head.target == b"*"
    peer.request(with_fields((b"a", b"b\tc \xff"), (b"b", b"x")))
    assert (b"a", b"b\tc \xff") in peer.streams[3].request.head.headers
    peer.request(changed(scheme=b"https"))
    assert 5 in peer.streams


def test_memory_of_names_is_bounded(monkeypatch) -> None:
    monkeypatch.setattr(head, "_known_names", set())
    for number in range(1500):
        read_request(with_fields((b"x-%d" % number, b"")), LIMITS)
    assert 0 < len(head._known_names) <= 1024
    read_request(with_fields((b"x" * 100, b"")), LIMITS)
    assert b"x" * 100 not in head._known_names


# --- content -------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 7, None])
def test_content(session, size) -> None:
    peer = Peer(session)
    octets = peer.headers([*POST, (b"content-length", b"10")], end=False)
    octets += data(1, b"hello") + data(1) + data(1, b"world", end=True)
    peer.feed(octets, size=size)
    received = peer.streams[1]
    assert (received.body, received.ended) == (b"helloworld", True)
    assert received.request.content_length == 10
    assert not received.request.end_stream


def test_content_that_comes_with_the_head_is_part_of_the_event(session) -> None:
    peer = Peer(session)
    peer.feed(peer.headers(POST, end=False) + data(1, b"hello", end=True))
    assert peer.streams[1].request.content == b"hello"


def test_padding_is_credited(session) -> None:
    """§6.9.1: it counts for the window, and nobody consumes it."""
    peer = Peer(session, SMALL)
    peer.request(POST, end=False)
    padded = f.serialize_frame(f.DATA, f.PADDED, 1, b"\x32" + b"a" * 10 + bytes(50))
    for _ in range(20):
        peer.feed(padded)
        peer.engine.consume(1, 10)
        peer.pump()
    assert peer.streams[1].body == b"a" * 200
    assert peer.failure is None


@pytest.mark.parametrize(
    "content",
    [
        data(1, b"hell", end=True),
        data(1, b"hello!"),
        data(1, b"hello") + data(1, b"!", end=True),
        data(1, end=True),
        "trailers",
    ],
)
def test_content_of_another_length_than_announced(session, content) -> None:
    """§8.1.1."""
    peer = Peer(session)
    peer.request([*POST, (b"content-length", b"5")], end=False)
    if content == "trailers":
        content = data(1, b"hell") + peer.headers([(b"x", b"y")], 1)
    peer.feed(content)
    assert peer.answers[1].reset == ErrorCode.PROTOCOL_ERROR
    assert peer.streams[1].reset is not None
    peer.engine.release(1)
    peer.request()
    assert 3 in peer.streams


def test_announced_content_that_does_not_follow(session) -> None:
    peer = Peer(session)
    peer.feed(peer.headers([*POST, (b"content-length", b"5")]))
    assert peer.answers[1].reset == ErrorCode.PROTOCOL_ERROR
    assert peer.streams == {}
    peer.feed(peer.headers([*POST, (b"content-length", b"0")]))
    assert peer.streams[3].request.end_stream


def test_an_empty_body(session) -> None:
    peer = Peer(session)
    peer.feed(peer.headers(POST, end=False) + data(1, end=True))
    assert peer.streams[1].ended
    assert peer.streams[1].body == b""


# --- trailers ------------------------------------------------------------------------------------


def test_trailers(session) -> None:
    """§8.1; what has another meaning in a head is not taken from there."""
    peer = Peer(session)
    peer.feed(peer.headers(POST, end=False) + data(1, b"hello"))
    peer.feed(peer.headers([(b"x-sum", b"1"), (b"te", b"trailers"), (b"range", b"x")], 1))
    received = peer.streams[1]
    assert (received.body, received.ended) == (b"hello", True)
    assert received.trailers == [(b"x-sum", b"1")]


@pytest.mark.parametrize(
    "field",
    [
        (b":path", b"/"),
        (b"X", b"y"),
        (b"a", b"b\0"),
        (b"connection", b"close"),
        (b"te", b"gzip"),  # §8.2.2
        (b"content-length", b"0"),  # RFC 9110 §6.5.1
        (b"host", b"a"),
    ],
)
def test_malformed_trailers(session, field) -> None:
    """§8.1, §8.2; the same for every library."""
    peer = Peer(session)
    peer.request(POST, end=False)
    peer.feed(peer.headers([field], 1))
    assert peer.answers[1].reset == ErrorCode.PROTOCOL_ERROR
    assert peer.streams[1].reset is not None
    assert peer.streams[1].trailers is None
    with pytest.raises(RemoteProtocolError):
        check_trailers([field])


def test_trailers_of_a_stream_that_is_over(session) -> None:
    peer = Peer(session)
    peer.request(POST, end=False)
    peer.feed(peer.headers([(b"x", b"y")], 1) + data(1, b"x"))
    assert peer.answers[1].reset == ErrorCode.STREAM_CLOSED


# --- extended CONNECT (RFC 8441) -----------------------------------------------------------------

CONNECT = [
    *changed(method=b"CONNECT", path=b"/chat"),
    (b":protocol", b"WebSocket"),
    (b"sec-websocket-version", b"13"),
]


def test_an_upgrade(session) -> None:
    peer = Peer(session)
    peer.request(CONNECT, end=False)
    event = peer.streams[1].request
    assert (event.head.method, event.upgrade) == ("GET", b"websocket")
    assert peer.frames[0].payload.find(b"\0\x08\0\0\0\x01") % 6 == 0  # ENABLE_CONNECT_PROTOCOL


def test_rfc8441_5_one_that_ends_with_its_head_opens_nothing(session) -> None:
    """No handler sees it, and so none fails; the same head without the end is an upgrade."""
    peer = Peer(session)
    peer.feed(peer.headers(CONNECT))
    assert peer.streams == {}
    assert peer.answers[1].reset == ErrorCode.PROTOCOL_ERROR
    peer.request(CONNECT, end=False)
    assert peer.streams[3].request.upgrade == b"websocket"
    peer.feed(peer.headers(CONNECT))
    assert peer.answers[5].reset == ErrorCode.PROTOCOL_ERROR


@pytest.mark.parametrize("accepted", [False, True])
def test_rfc9113_8_5_a_tunnel_has_no_trailers(session, accepted) -> None:
    peer = Peer(session)
    peer.request(CONNECT, end=False)
    if accepted:
        peer.engine.accept_upgrade(1, Response(b"", 200), b"websocket")
        peer.pump()
    peer.feed(peer.headers([(b"a", b"b")], 1))
    assert peer.answers[1].reset == ErrorCode.PROTOCOL_ERROR
    assert peer.failure is None


# --- 100 (Continue) ------------------------------------------------------------------------------


def test_continue(session) -> None:
    """RFC 9110 §10.1.1."""
    peer = Peer(session)
    peer.request([*POST, (b"expect", b"100-continue")], end=False)
    assert peer.engine.expects_continue(1)
    assert not peer.engine.expects_continue(3)
    assert list(peer.engine.stream_waits()) == []
    peer.engine.send_informational(1, 100, ())
    peer.pump()
    assert not peer.engine.expects_continue(1)
    assert peer.answers[1].heads == [{b":status": b"100"}]
    assert [wait[0] for wait in peer.engine.stream_waits()] == [1]


def test_content_that_does_not_wait_for_continue(session) -> None:
    peer = Peer(session)
    peer.feed(peer.headers([*POST, (b"expect", b"100-continue")], end=False) + data(1, b"x"))
    assert not peer.engine.expects_continue(1)
