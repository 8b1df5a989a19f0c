"""How connections and waits end: shutdown, end of input, deadlines (RFC 9113 §5.4, §6.7, §6.8)."""

import pytest

from httpkit.errors import RequestTimeout
from httpkit.limits import Limits
from httpkit.protocol.engine import Close, Deadline
from httpkit.protocol.http2 import PREFACE
from httpkit.protocol.http2 import frames as f
from httpkit.protocol.http2.frames import MAX_STREAM_ID, ErrorCode
from httpkit.response import Response

from .http2_driver import GET, POST, Peer, data, ping, rst, settings, window

NO_ERROR = ErrorCode.NO_ERROR


@pytest.fixture(params=["native", "reference"])
def session(request) -> str:
    return request.param


@pytest.fixture
def peer(session) -> Peer:
    return Peer(session)


def timeout(peer: Peer, stream_id: int = 0) -> None:
    peer.note(peer.engine.receive_timeout(stream_id))
    peer.pump()


def eof(peer: Peer) -> None:
    peer.note(peer.engine.receive_eof())
    peer.pump()


# --- graceful shutdown (§6.8) --------------------------------------------------------------------


def test_a_shutdown_loses_no_request(peer) -> None:
    """Two GOAWAYs with a round trip between them."""
    peer.request()
    peer.engine.begin_shutdown()
    peer.engine.begin_shutdown()
    peer.pump()
    assert peer.goaways == [(MAX_STREAM_ID, NO_ERROR)]
    assert [frame.kind for frame in peer.frames[-2:]] == [f.GOAWAY, f.PING]
    peer.request()  # was on its way
    peer.feed(ping(flags=f.ACK))
    assert peer.goaways == [(MAX_STREAM_ID, NO_ERROR), (3, NO_ERROR)]
    peer.request()  # knows that it is not served
    assert 5 not in peer.streams
    peer.answer(1)
    assert peer.engine.close is Close.OPEN
    peer.answer(3)
    assert (peer.answers[1].ended, peer.answers[3].ended) == (True, True)
    assert peer.engine.close is Close.LINGER
    assert peer.terminated is None or peer.terminated.error is None


def test_a_shutdown_of_an_idle_connection(peer) -> None:
    peer.answer(peer.request())
    peer.engine.begin_shutdown()
    peer.pump()
    assert peer.engine.deadline_kind is Deadline.FAREWELL
    peer.feed(ping(flags=f.ACK))
    assert peer.goaways == [(MAX_STREAM_ID, NO_ERROR), (1, NO_ERROR)]
    assert peer.engine.close is Close.LINGER


def test_a_peer_that_does_not_answer_the_ping(peer) -> None:
    peer.engine.begin_shutdown()
    peer.pump()
    timeout(peer)
    assert peer.goaways == [(MAX_STREAM_ID, NO_ERROR), (0, NO_ERROR)]
    assert peer.engine.close is Close.LINGER
    timeout(peer)
    assert peer.engine.close is Close.NOW
    timeout(peer)
    assert peer.engine.close is Close.NOW


def test_an_answer_that_waits_for_a_window_holds_up_the_shutdown(session) -> None:
    peer = Peer(session, greet=settings((4, 3)))
    peer.answer(peer.request())
    peer.engine.begin_shutdown()
    peer.feed(ping(flags=f.ACK))
    assert peer.engine.close is Close.OPEN
    peer.feed(window(1, 100))
    assert peer.answers[1].body == b"Hello"
    assert peer.engine.close is Close.LINGER


def test_a_shutdown_before_the_preface(session) -> None:
    peer = Peer(session, greet=None)
    peer.engine.begin_shutdown()
    peer.pump()
    assert peer.engine.close is Close.NOW
    assert peer.feed(PREFACE + settings()).streams == {}


def test_a_shutdown_after_the_end_of_input(peer) -> None:
    peer.request()
    eof(peer)
    peer.engine.begin_shutdown()
    peer.answer(1)
    assert peer.answers[1].ended
    assert peer.engine.close is Close.NOW
    peer.engine.begin_shutdown()


def test_the_last_request_of_a_connection(session) -> None:
    """`max_requests_per_connection`."""
    peer = Peer(session, Limits(max_requests_per_connection=2))
    peer.answer(peer.request())
    assert peer.goaways == []
    peer.answer(peer.request())
    assert peer.goaways == [(MAX_STREAM_ID, NO_ERROR)]
    peer.feed(ping(flags=f.ACK))
    assert peer.engine.close is Close.LINGER


def test_pings_of_the_peer_are_answered(peer) -> None:
    """§6.7."""
    peer.feed(ping(b"12345678"))
    assert peer.frames[-1] == type(peer.frames[-1])(f.PING, f.ACK, 0, b"12345678")
    peer.feed(ping(flags=f.ACK))  # nobody asked
    assert peer.failure is None


# --- the end of input ---------------------------------------------------------------------------


def test_the_end_of_input_of_an_idle_connection(peer) -> None:
    eof(peer)
    assert peer.engine.close is Close.NOW
    assert peer.terminated.error is None
    eof(peer)
    assert peer.engine.close is Close.NOW


def test_complete_requests_are_answered_after_the_end_of_input(peer) -> None:
    peer.request()
    peer.request(POST, end=False)
    eof(peer)
    assert peer.streams[1].reset is None
    assert peer.streams[3].reset is not None
    assert peer.engine.deadline_kind is Deadline.HALF_CLOSED
    peer.engine.release(3)
    assert peer.engine.close is Close.OPEN
    peer.answer(1)
    assert peer.answers[1].ended
    assert peer.engine.close is Close.NOW


def test_nobody_waits_for_ever_after_the_end_of_input(peer) -> None:
    peer.request()
    eof(peer)
    timeout(peer)
    assert peer.streams[1].reset is not None
    assert peer.engine.close is Close.ABORT


def test_the_end_of_input_after_a_fault(peer) -> None:
    peer.feed(ping(bytes(7)))
    assert peer.engine.close is Close.LINGER
    eof(peer)
    assert peer.engine.close is Close.NOW


# --- deadlines of the connection ----------------------------------------------------------------


def test_deadlines(session) -> None:
    peer = Peer(session, greet=None)
    engine = peer.engine
    assert engine.deadline_kind is Deadline.FIRST
    peer.feed(PREFACE[:10])
    assert engine.deadline_kind is Deadline.HEAD
    peer.feed(PREFACE[10:] + settings())
    assert engine.deadline_kind is Deadline.FIRST
    headers = peer.headers(POST, end=False)
    peer.feed(headers[:5])
    assert engine.deadline_kind is Deadline.HEAD
    mark = engine.deadline_mark
    peer.feed(headers[5:7])
    assert engine.deadline_mark == mark  # drips do not extend it
    peer.feed(headers[7:])
    assert engine.deadline_kind is Deadline.QUIET
    mark = engine.deadline_mark
    peer.feed(ping())
    assert engine.deadline_mark != mark  # a sign of life
    peer.feed(data(1, bytes(50))[:20])
    assert engine.deadline_kind is Deadline.QUIET
    peer.feed(data(1, bytes(50))[20:] + data(1, end=True))
    engine.consume(1, 50)
    peer.answer(1)
    assert engine.deadline_kind is Deadline.IDLE
    assert engine.deadline_mark == 1
    assert engine.wants_input


@pytest.mark.parametrize("then", ["the end", "a fault", "the end of input"])
def test_many_small_frames_are_taken_in_turns(peer, then) -> None:
    """One read may bring 26 000 of them: others on the loop would wait for all."""
    peer.request(POST, end=False)
    octets = data(1, b"x") * 1_200
    octets += ping(b"short") if then == "a fault" else data(1, end=True)
    peer.note(peer.engine.receive_data(octets))
    assert peer.streams[1].body == b"x" * 512
    assert peer.engine.turn_is_over
    assert not peer.engine.wants_input
    assert peer.engine.deadline_kind is Deadline.QUIET
    if then == "the end of input":
        eof(peer)
    else:
        peer.note(peer.engine.receive_data(b""))
        assert peer.streams[1].body == b"x" * 1_024
        peer.feed(b"")
    assert peer.streams[1].body == b"x" * 1_200
    assert peer.streams[1].ended is (then != "a fault")
    assert peer.failure == (ErrorCode.FRAME_SIZE_ERROR if then == "a fault" else None)
    assert not peer.engine.turn_is_over


def test_a_field_section_that_does_not_end(peer) -> None:
    peer.feed(f.serialize_frame(f.HEADERS, f.END_STREAM, 1, b"\x82"))
    assert peer.engine.deadline_kind is Deadline.HEAD
    mark = peer.engine.deadline_mark
    peer.feed(f.serialize_frame(f.CONTINUATION, 0, 1, b"\x84"))
    assert peer.engine.deadline_mark == mark
    timeout(peer)
    assert peer.failure == ErrorCode.ENHANCE_YOUR_CALM


@pytest.mark.parametrize("asked", [False, True])
def test_an_idle_connection_is_closed(peer, asked) -> None:
    if asked:
        peer.answer(peer.request())
    timeout(peer)
    assert peer.goaways == [(1 if asked else 0, NO_ERROR)]
    assert peer.engine.close is Close.LINGER
    assert peer.terminated.error is None


def test_a_silent_peer_is_pinged(peer) -> None:
    peer.request()
    assert peer.engine.deadline_kind is Deadline.QUIET
    timeout(peer)
    assert peer.frames[-1].kind == f.PING
    assert peer.engine.deadline_kind is Deadline.PONG
    peer.feed(ping(flags=f.ACK))
    assert peer.engine.deadline_kind is Deadline.QUIET
    timeout(peer)
    timeout(peer)
    assert peer.streams[1].reset is not None
    assert peer.engine.close is Close.ABORT
    assert peer.engine.deadline_kind is Deadline.NONE
    timeout(peer)
    assert peer.engine.receive_data(b"x") == []


# --- deadlines of streams -----------------------------------------------------------------------


def test_a_late_body_is_answered(peer) -> None:
    peer.request(POST, end=False)
    peer.request()
    timeout(peer, 1)
    assert peer.answers[1].status == 408
    assert peer.answers[1].reset == NO_ERROR
    assert isinstance(peer.streams[1].reset.error, RequestTimeout)
    assert peer.streams[3].reset is None
    peer.engine.release(1)
    peer.answer(3)
    assert peer.answers[3].ended


def test_a_late_body_of_an_answer_that_has_begun(peer) -> None:
    peer.request(POST, end=False)
    peer.engine.send_headers(1, Response(b""), None)
    peer.pump()
    timeout(peer, 1)
    assert peer.answers[1].reset == ErrorCode.CANCEL
    assert peer.streams[1].reset is not None


def test_an_answer_that_nobody_takes(session) -> None:
    """The window of the stream stays closed: it is given up, others go on."""
    peer = Peer(session, greet=settings((4, 0)))
    peer.answer(peer.request())
    assert list(peer.engine.stream_waits()) == [(1, Deadline.WINDOW, 0)]
    timeout(peer, 1)
    assert peer.answers[1].reset == ErrorCode.CANCEL
    assert list(peer.engine.stream_waits()) == []
    assert peer.engine.deadline_kind is Deadline.IDLE


def test_a_streamed_answer_that_nobody_takes(session) -> None:
    peer = Peer(session, greet=settings((4, 10)))
    peer.request()
    peer.engine.send_headers(1, Response(b""), None)
    peer.engine.send_data(1, bytes(30))
    peer.pump()
    assert list(peer.engine.stream_waits()) == [(1, Deadline.WINDOW, 10)]
    peer.feed(window(1, 5))
    assert list(peer.engine.stream_waits()) == [(1, Deadline.WINDOW, 15)]
    timeout(peer, 1)
    assert peer.answers[1].reset == ErrorCode.CANCEL
    assert list(peer.engine.stream_waits()) == []
    timeout(peer, 1)
    peer.engine.release(1)
    timeout(peer, 1)
    assert peer.failure is None


def test_an_answer_that_is_reset_while_it_waits(session) -> None:
    peer = Peer(session, greet=settings((4, 0)))
    peer.answer(peer.request())
    peer.answer(peer.request())
    peer.feed(rst(1))
    assert list(peer.engine.stream_waits()) == [(3, Deadline.WINDOW, 0)]
    peer.feed(window(3, 10))
    assert peer.answers[3].body == b"Hello"


def test_answers_that_wait_count_as_streams(session) -> None:
    """Else a peer with closed windows could have any number of them."""
    peer = Peer(session, Limits(max_concurrent_streams=2), greet=settings((4, 0)))
    for _ in range(3):
        peer.answer(peer.request())
    assert list(peer.streams) == [1, 3]
    assert peer.answers[5].reset == ErrorCode.REFUSED_STREAM
    peer.feed(window(1, 100))
    peer.answer(peer.request())
    assert 7 in peer.streams


def test_nothing_waits_on_a_connection_that_is_over(peer) -> None:
    peer.request(POST, end=False)
    peer.feed(ping(bytes(7)))
    assert list(peer.engine.stream_waits()) == []
    assert peer.engine.capacity(1) > 0
    peer.engine.consume(1, 1)
    peer.engine.release(1)


def test_content_that_nobody_reads_is_credited(session) -> None:
    """The window of the connection stays open for others."""
    peer = Peer(session, Limits(body_buffer=65_535, connection_window=65_535))
    for _ in range(10):
        stream_id = peer.request(POST, end=False)
        peer.feed(data(stream_id, bytes(16_000)) + data(stream_id, bytes(16_000), end=True))
        peer.answer(stream_id)
    assert peer.failure is None
    assert all(peer.answers[stream_id].ended for stream_id in peer.streams)


@pytest.mark.parametrize("size", [1, 3, 8, None])
def test_however_the_octets_are_cut(session, size) -> None:
    peer = Peer(session, greet=None)
    octets = PREFACE + settings() + peer.headers(POST, end=False) + data(1, b"hello")
    octets += ping() + peer.headers(GET) + data(1, b"world", end=True) + window(0, 5)
    peer.feed(octets, size=size)
    assert peer.streams[1].body == b"helloworld"
    assert peer.streams[3].ended
    assert peer.failure is None
