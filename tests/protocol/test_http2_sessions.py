"""The two libraries behind the engine: what each does when there is nothing left to do."""

import sys

import pytest

from httpkit.errors import ConfigurationError
from httpkit.limits import Limits
from httpkit.protocol.http2 import PREFACE, choose_session
from httpkit.protocol.http2.frames import ErrorCode, serialize_frame
from httpkit.protocol.http2.session import ConnectionFault
from httpkit.request import RequestHead
from httpkit.response import Response

from .http2_driver import GET, POST, SMALL, Peer, data, rst, settings


@pytest.fixture(params=["native", "reference"])
def session(request) -> str:
    return request.param


BOMB = [*GET, *((b"a", b"") for _ in range(100))]


def test_after_a_fault_of_the_library_every_call_is_in_vain(session) -> None:
    """What was asked before it has handlers that go on for a moment."""
    peer = Peer(session, SMALL)
    octets = peer.headers() + peer.headers(POST, end=False) + data(3, b"content")
    peer.note(peer.engine.receive_data(octets + peer.headers(BOMB)))
    assert list(peer.streams) == [1, 3]
    engine = peer.engine
    peer.answer(1)
    engine.consume(3, 5)
    engine.send_headers(3, Response(b""), None)
    engine.send_data(3, b"x" * 10)
    engine.send_end(3, [(b"x", b"y")])
    engine.release(3)
    peer.note(engine.receive_data(b""))
    peer.pump()
    assert peer.failure == ErrorCode.ENHANCE_YOUR_CALM
    assert engine.capacity(3) >= 0
    engine.send_reset(3)


@pytest.mark.parametrize("ending", ["reset", "informational", "push"])
def test_more_calls_after_a_fault_of_the_library(session, ending) -> None:
    peer = Peer(session, SMALL)
    peer.note(peer.engine.receive_data(peer.headers() + peer.headers(BOMB)))
    if ending == "reset":
        peer.engine.send_reset(1)
    elif ending == "informational":
        peer.engine.send_informational(1, 103, [])
    else:
        assert peer.engine.send_push(1, RequestHead("GET", b"/", b"a", (), "http")) is None
    peer.note(peer.engine.receive_data(b""))
    peer.pump()
    assert peer.failure == ErrorCode.ENHANCE_YOUR_CALM


def test_calls_on_streams_that_the_library_has_closed(session) -> None:
    """The engine knows first, but the library may know better."""
    peer = Peer(session)
    peer.request()
    library = peer.engine._session
    library.reset(1, ErrorCode.CANCEL)
    peer.pump()
    peer.engine.send_headers(1, Response(b""), None)
    peer.engine.send_data(1, b"x")
    peer.engine.send_end(1)
    library.send_answer(1, [(b":status", b"200")], b"Hello")
    library.send_informational(1, [(b":status", b"103")])
    assert library.send_push(1, GET) is None
    library.reset(1, ErrorCode.CANCEL)
    peer.pump()
    assert peer.answers[1].heads == []
    assert peer.failure is None


def test_a_sink_that_is_told_of_streams_it_does_not_know() -> None:
    engine = Peer("native").engine
    engine.on_data(99, b"", end_stream=True)
    engine.on_trailers(99, [])
    engine.on_reset(99)
    engine.on_ping_ack()


def test_a_fault_without_a_goaway() -> None:
    """Octets that never were a preface, which the engine would not let pass."""
    library = choose_session("native")(Limits())
    with pytest.raises(ConnectionFault) as caught:
        library.receive(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", Peer("native").engine)
    assert caught.value.code == ErrorCode.PROTOCOL_ERROR


def test_a_reset_of_a_stream_that_is_reset_already(session) -> None:
    peer = Peer(session)
    peer.request(POST, end=False)
    peer.feed(rst(1) + rst(1))
    peer.engine.send_reset(1)
    peer.engine.release(1)
    assert peer.failure is None


def test_settings_that_nobody_knows(session) -> None:
    """RFC 9113 §6.5.2: ignored."""
    peer = Peer(session, greet=settings((99, 5), (1, 0), (6, 100)))
    peer.answer(peer.request())
    assert peer.answers[1].ended


def test_the_smallest_window_of_a_connection(session) -> None:
    peer = Peer(session, Limits(connection_window=65_535))
    assert [frame.kind for frame in peer.frames[:2]] == [4, 4]
    peer.answer(peer.request())
    assert peer.answers[1].ended


def test_choosing(monkeypatch) -> None:
    assert choose_session("auto").name == choose_session("native").name == "native"
    monkeypatch.setitem(sys.modules, "httpkit.protocol.http2.native", None)
    assert choose_session("auto").name == "reference"
    with pytest.raises(ConfigurationError, match=r"httpkit\[fast\]"):
        choose_session("native")


def test_the_preface_is_known_to_http1() -> None:
    """RFC 9113 §3.4: another engine takes over."""
    from httpkit.protocol.events import PrefaceReceived
    from httpkit.protocol.http1 import HTTP1Engine, Preamble, choose_parser

    for name in ("native", "reference"):
        engine = HTTP1Engine(choose_parser(name)(), Limits(), Preamble(b"now"), knows_preface=True)
        assert engine.receive_data(PREFACE[:10]) == []
        (event,) = engine.receive_data(PREFACE[10:] + serialize_frame(4, 0, 0))
        assert isinstance(event, PrefaceReceived)
        assert event.data == PREFACE + serialize_frame(4, 0, 0)
        assert not engine.has_more_to_send
        assert engine.send_push(1, RequestHead("GET", b"/")) is None
        engine.release(1)
        engine.pass_time(1.0)
