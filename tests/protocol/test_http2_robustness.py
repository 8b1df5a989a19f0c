"""What happens at the edges: ends without a window, frames that cross, libraries that gave up."""

import pytest

from httpkit.limits import Limits
from httpkit.protocol.engine import Close, Deadline
from httpkit.protocol.http2 import PREFACE
from httpkit.protocol.http2 import frames as f
from httpkit.protocol.http2.budget import CAPACITY
from httpkit.protocol.http2.frames import ErrorCode
from httpkit.protocol.http2.reference import H2Session
from httpkit.response import Response

from .http2_driver import GET, POST, SMALL, Peer, data, ping, rst, settings, window


@pytest.fixture(params=["native", "reference"])
def session(request) -> str:
    return request.param


# --- an end that has no window (RFC 9113 §6.9) ---------------------------------------------------

TRAILERS = [(b"x", b"y")]


def use_up_the_window(session: str, trailers=(), octets: int = 10) -> Peer:
    """Ten octets fill the window; the end comes later and by itself."""
    peer = Peer(session, greet=settings((4, octets)))
    peer.request()
    peer.engine.send_headers(1, Response(b"", trailers=dict.fromkeys("x", "y")), None)
    peer.engine.send_data(1, bytes(octets))
    peer.pump()
    peer.engine.send_end(1, trailers)
    peer.engine.release(1)
    peer.pump()
    assert len(peer.answers[1].body) == octets
    return peer


@pytest.mark.parametrize("trailers", [(), TRAILERS], ids=["bare", "trailers"])
def test_an_end_behind_a_window_that_is_used_up(session, trailers) -> None:
    """It MAY go out without one; a library that holds it back gets to hear of the window."""
    peer = use_up_the_window(session, trailers)
    if not peer.answers[1].ended:
        assert [wait[:2] for wait in peer.engine.stream_waits()] == [(1, Deadline.WINDOW)]
        assert peer.engine.deadline_kind is Deadline.QUIET
    peer.feed(window(1, 1))
    assert peer.answers[1].ended
    assert len(peer.answers[1].heads) == 1 + bool(trailers)
    assert list(peer.engine.stream_waits()) == []
    assert peer.engine.deadline_kind is Deadline.IDLE


@pytest.mark.parametrize("stream_id", [0, 1])
def test_an_end_behind_the_window_of_the_connection(session, stream_id) -> None:
    peer = use_up_the_window(session, octets=65_535)
    peer.feed(window(stream_id, 1) + window(1 - stream_id, 1))
    assert peer.answers[1].ended
    assert peer.engine.deadline_kind is Deadline.IDLE


def test_a_shutdown_waits_for_such_an_end(session) -> None:
    peer = use_up_the_window(session)
    peer.engine.begin_shutdown()
    peer.pump()
    peer.feed(ping(flags=f.ACK))
    assert (peer.engine.close is not Close.OPEN) is peer.answers[1].ended
    peer.feed(window(1, 1))
    assert peer.answers[1].ended
    assert peer.engine.close is Close.LINGER


@pytest.mark.parametrize("by_peer", [True, False])
def test_a_stream_that_is_reset_instead(session, by_peer) -> None:
    peer = use_up_the_window(session)
    if by_peer:
        peer.feed(rst(1))
    else:
        peer.note(peer.engine.receive_timeout(1))
    peer.pump()
    assert peer.engine.deadline_kind is Deadline.IDLE
    assert list(peer.engine.stream_waits()) == []
    peer.feed(window(1, 1))
    peer.answer(peer.request())
    assert peer.answers[3].status == 200
    assert peer.failure is None


def test_other_streams_go_on_meanwhile(session) -> None:
    peer = use_up_the_window(session)
    peer.answer(peer.request(), b"12345")
    assert peer.answers[3].ended
    peer.feed(window(1, 1))
    assert peer.answers[1].ended


# --- frames that cross ---------------------------------------------------------------------------


@pytest.mark.parametrize("increment", [1, 2**31 - 1])
def test_a_window_for_a_stream_the_library_has_closed(session, increment) -> None:
    """§5.1: the answer is ready here, and not yet read by the transport."""
    peer = Peer(session)
    peer.request()
    peer.engine.send_response(1, Response(b""))
    peer.engine.release(1)
    peer.note(peer.engine.receive_data(peer.headers() + window(1, increment)))
    peer.answer(3)
    assert (peer.failure, peer.terminated) == (None, None)
    assert peer.answers[1].ended
    assert peer.answers[3].ended


def test_trailers_in_pieces_on_a_stream_that_was_reset_here(session) -> None:
    """§5.1: what was on its way is ignored, CONTINUATION included, and HPACK goes on."""
    peer = Peer(session)
    peer.request(POST, end=False)
    peer.engine.send_reset(1)
    peer.engine.release(1)
    peer.pump()
    block = peer.encoder.encode([(b"x-sum", b"y" * 50)])
    peer.feed(f.serialize_frame(f.HEADERS, f.END_STREAM, 1, block[:5]))
    assert peer.engine.deadline_kind is Deadline.HEAD
    peer.feed(f.serialize_frame(f.CONTINUATION, f.END_HEADERS, 1, block[5:]))
    peer.answer(peer.request([*GET, (b"x-sum", b"y" * 50)]))
    assert (b"x-sum", b"y" * 50) in peer.streams[3].request.head.headers
    assert peer.failure is None


@pytest.mark.parametrize("fields", [GET, POST])
def test_a_head_that_is_not_complete_is_no_late_body(session, fields) -> None:
    """RFC 9113 §6.10: its deadline is that of the connection, which nothing may be sent on else."""
    peer = Peer(session)
    block = peer.encoder.encode(fields)
    peer.feed(f.serialize_frame(f.HEADERS, 0, 1, block[:2]))
    assert list(peer.engine.stream_waits()) == []
    assert peer.engine.deadline_kind is Deadline.HEAD
    peer.feed(f.serialize_frame(f.CONTINUATION, f.END_HEADERS, 1, block[2:]))
    assert [wait[:2] for wait in peer.engine.stream_waits()] == [(1, Deadline.BODY)]
    peer.feed(f.serialize_frame(f.HEADERS, f.END_STREAM, 1))
    assert list(peer.engine.stream_waits()) == []
    assert peer.engine.deadline_kind is Deadline.HEAD
    peer.note(peer.engine.receive_timeout(0))
    peer.pump()
    assert peer.failure == ErrorCode.ENHANCE_YOUR_CALM


@pytest.mark.parametrize("told", [False, True])
def test_a_reset_between_the_pieces_of_trailers(session, told) -> None:
    """Whether a library tells of them all the same is its own affair."""
    peer = Peer(session)
    peer.request(POST, end=False)
    block = peer.encoder.encode(TRAILERS)
    peer.feed(f.serialize_frame(f.HEADERS, f.END_STREAM, 1, block[:2]))
    peer.engine.send_reset(1)
    if told:
        peer.engine.on_trailers(1, TRAILERS)
    peer.feed(f.serialize_frame(f.CONTINUATION, f.END_HEADERS, 1, block[2:]))
    assert (peer.streams[1].trailers, peer.streams[1].reset) == (None, None)
    peer.engine.release(1)
    peer.answer(peer.request())
    assert peer.answers[3].ended
    assert peer.engine.deadline_kind is Deadline.IDLE


def test_frames_on_a_stream_that_was_reset_here_get_no_answer(session) -> None:
    """§5.4.2: one RST_STREAM is enough; the connection's window is credited all the same."""
    peer = Peer(session, Limits(connection_window=65_535))
    peer.request(POST, end=False)
    peer.engine.send_reset(1)
    peer.engine.release(1)
    peer.pump()
    for _ in range(20):
        peer.feed(data(1, bytes(10_000)))
    peer.feed(peer.headers(TRAILERS, 1))
    assert [frame.code for frame in peer.of_kind(f.RST_STREAM)] == [ErrorCode.INTERNAL_ERROR]
    assert peer.failure is None
    peer.answer(peer.request())
    assert peer.answers[3].ended


def test_a_malformed_request_is_reset_while_another_is_still_coming(session) -> None:
    """§8.1.1; it does not wait for the CONTINUATION of somebody else."""
    peer = Peer(session)
    bad = peer.headers([*GET, (b"connection", b"close")])
    block = peer.encoder.encode(GET)
    peer.feed(bad + f.serialize_frame(f.HEADERS, f.END_STREAM, 3, block[:2]))
    assert list(peer.refused) == [1]
    peer.feed(f.serialize_frame(f.CONTINUATION, f.END_HEADERS, 3, block[2:]))
    assert list(peer.streams) == [3]


# --- settings that are not acknowledged yet ------------------------------------------------------


def test_content_that_was_sent_before_the_settings_arrived(session) -> None:
    """§6.9.3: until the peer has acknowledged a smaller window, the initial one counts."""
    peer = Peer(session, Limits(body_buffer=1000), greet=None)
    peer.feed(PREFACE + settings() + peer.headers(POST, end=False) + data(1, bytes(16_000)))
    assert len(peer.streams[1].body) == 16_000
    assert peer.failure is None
    assert peer.streams[1].reset is None
    peer.feed(f.serialize_frame(f.SETTINGS, f.ACK, 0))
    peer.feed(data(1, b"x"))
    assert peer.failure or peer.answers[1].reset == ErrorCode.FLOW_CONTROL_ERROR


def test_a_window_that_is_larger_than_the_initial_one(session) -> None:
    peer = Peer(session)
    peer.request(POST, end=False)
    for _ in range(8):
        peer.feed(data(1, bytes(16_384)))
    assert len(peer.streams[1].body) == 131_072
    assert peer.failure is None


def test_settings_that_nobody_knows_are_not_kept() -> None:
    """§6.5.2: ignored, and no reason to grow."""
    peer = Peer("reference")
    for at in range(0, 600, 30):
        pairs = [(0xF000 + number, number) for number in range(at, at + 30)]
        peer.feed(settings(*pairs, (4, 100 + at)))
    assert peer.failure is None
    remote = peer.engine._session._connection.remote_settings
    assert len(remote) < 10
    assert remote.initial_window_size == 670


# --- the window of the connection ----------------------------------------------------------------


def test_many_answers_behind_one_window(monkeypatch) -> None:
    """Each WINDOW_UPDATE costs what it lets go, not one look at every stream that waits."""
    peer = Peer("reference", greet=settings((4, 1_000_000)))
    for _ in range(90):
        peer.request()
    for stream_id in range(1, 180, 2):
        peer.engine.send_response(stream_id, Response(bytes(2000)))
        peer.engine.release(stream_id)
    peer.pump()
    looks = 0
    send_piece = H2Session._send_piece

    def count(self: H2Session, stream_id: int) -> bytes:
        nonlocal looks
        looks += 1
        return send_piece(self, stream_id)

    monkeypatch.setattr(H2Session, "_send_piece", count)
    updates = 0
    while not all(answer.ended for answer in peer.answers.values()):
        peer.feed(window(0, 1000))
        updates += 1
    assert updates == 115  # what 65 535 octets have left of 180 000
    assert looks < 4 * updates


# --- HPACK of this side --------------------------------------------------------------------------


def test_the_table_of_answers_is_bounded(session) -> None:
    """RFC 7541 §4.2: a peer that offers 4 GiB of table is not given it."""
    peer = Peer(session, greet=settings((1, 2**32 - 1)))
    peer._decoder.max_allowed_table_size = 2**32 - 1
    for count in range(100):
        peer.answer(peer.request(), headers={f"x-{count}": "y" * 100})
    assert peer._decoder.header_table_size <= 4096
    if session == "reference":
        assert peer.engine._session._connection.encoder.header_table_size == 4096
    assert peer.answers[199].fields[b"x-99"] == b"y" * 100


def test_a_table_that_changes_often_before_an_answer(session) -> None:
    """RFC 7541 §4.2: the smallest size and the last are told, at most two."""
    peer = Peer(session)
    peer.answer(peer.request(), headers={"x": "kept"})
    for size in (4096, 0, 100, 2000, 50, 4096, 2000, 300) * 10:
        peer.feed(settings((1, size)))
    peer.answer(peer.request(), headers={"x": "kept"})
    assert peer.answers[3].fields[b"x"] == b"kept"
    head = next(each for each in peer.of_kind(f.HEADERS) if each.stream_id == 3)
    updates = 0
    rest = head.payload
    while rest[0] & 0xE0 == 0x20:  # §6.3
        length = 1
        if rest[0] & 0x1F == 0x1F:
            length += 1 + next(at for at, octet in enumerate(rest[1:]) if octet < 0x80)
        rest = rest[length:]
        updates += 1
    assert updates <= 2
    assert peer._decoder.header_table_size <= 300


# --- a library that has given up -----------------------------------------------------------------

BROKEN_BLOCK = f.serialize_frame(f.HEADERS, 5, 3, b"\x80")


@pytest.mark.parametrize("limit", [1, 1000])
def test_a_shutdown_while_the_fault_of_a_library_is_pending(session, limit) -> None:
    """Neither GOAWAY nor PING are asked of a library that is through."""
    peer = Peer(session, Limits(max_requests_per_connection=limit))
    peer.note(peer.engine.receive_data(peer.headers() + BROKEN_BLOCK))
    peer.engine.begin_shutdown()
    peer.engine.send_response(1, Response(b"Hello"))
    peer.pump()
    peer.engine.release(1)
    peer.note(peer.engine.receive_timeout(0))
    peer.note(peer.engine.receive_data(b""))
    peer.pump()
    assert peer.failure == ErrorCode.COMPRESSION_ERROR
    assert peer.engine.close in (Close.LINGER, Close.NOW)


def ask_without_reading(peer: Peer, count: int) -> None:
    """The transport asks for nothing, since the peer takes nothing."""
    for _ in range(count):
        stream_id = peer.next_id
        peer.note(peer.engine.receive_data(peer.headers() + ping()))
        peer.engine.send_response(stream_id, Response(bytes(50_000)))
        peer.engine.release(stream_id)


WIDE = settings((4, 2**31 - 1)) + window(0, 2**30)


def test_what_is_not_read_does_not_leave_its_queue(session) -> None:
    """CVE-2019-9517; priorities are heeded as long as it is there."""
    peer = Peer(session, greet=WIDE)
    ask_without_reading(peer, 90)
    assert len(peer.pump(limit=1000)) < 100_000
    peer.pump()
    assert all(answer.ended for answer in peer.answers.values())


def test_a_fault_of_the_library_behind_what_is_not_read(session) -> None:
    peer = Peer(session, greet=WIDE)
    ask_without_reading(peer, 20)
    peer.note(peer.engine.receive_data(f.serialize_frame(f.HEADERS, 5, 99, b"\x80")))
    while peer.pump(limit=777):
        assert peer.engine.capacity(1) > 0
    peer.note(peer.engine.receive_data(ping()))
    peer.pump()
    assert peer.goaways == [(99, ErrorCode.COMPRESSION_ERROR)]
    assert peer._rest == b""


def test_many_small_fields(session) -> None:
    """CVE-2025-53020 and its family: a number of fields that costs more than their octets."""
    peer = Peer(session, SMALL)
    peer.feed(peer.headers([*GET, *((b"a", b"") for _ in range(20))]))
    assert peer.failure == ErrorCode.ENHANCE_YOUR_CALM


def test_content_for_a_stream_that_only_the_library_has_closed(session) -> None:
    peer = Peer(session)
    peer.request()
    peer.engine.send_headers(1, Response(b""), None)
    peer.engine._session.reset(1, ErrorCode.CANCEL)
    peer.engine.send_data(1, b"x")
    peer.engine.send_end(1, TRAILERS)
    peer.engine.release(1)
    peer.pump()
    assert peer.answers[1].body == b""
    assert peer.engine.deadline_kind is Deadline.IDLE


@pytest.mark.parametrize("stream_id", [0, 1])
def test_the_reserved_bit_of_an_increment_is_ignored(session, stream_id) -> None:
    """RFC 9113 §6.9."""
    peer = Peer(session, greet=settings((4, 3)))
    peer.answer(peer.request())
    peer.feed(window(stream_id, 0x8000_0005) + window(1, 5))
    assert peer.answers[1].body == b"Hello"
    assert peer.failure is None


# --- ends that meet ------------------------------------------------------------------------------


def test_the_end_of_input_during_a_shutdown(session) -> None:
    """What is asked for is answered, and GOAWAY is not sent again."""
    peer = Peer(session)
    peer.request()
    peer.engine.begin_shutdown()
    peer.pump()
    peer.feed(ping(flags=f.ACK))
    assert [last for last, _ in peer.goaways] == [f.MAX_STREAM_ID, 1]
    peer.note(peer.engine.receive_eof())
    assert peer.engine.close is Close.OPEN
    peer.answer(1)
    assert peer.answers[1].ended
    assert len(peer.goaways) == 2
    assert peer.engine.close is Close.NOW


def test_a_shutdown_after_the_end_of_input(session) -> None:
    """Nobody answers a PING any more; the request is answered all the same."""
    peer = Peer(session)
    peer.request()
    peer.note(peer.engine.receive_eof())
    peer.engine.begin_shutdown()
    peer.answer(1)
    assert peer.answers[1].ended
    assert peer.engine.close is Close.NOW


def test_the_end_of_input_within_a_request_that_is_answered(session) -> None:
    """The answer is with the library, the transport has not asked for it, and the peer is gone."""
    peer = Peer(session)
    peer.request(POST, end=False)
    peer.engine.begin_shutdown()
    peer.pump()
    peer.feed(ping(flags=f.ACK))
    peer.engine.send_response(1, Response(b""))
    peer.engine.release(1)
    peer.note(peer.engine.receive_eof())
    peer.pump()
    assert peer.engine.close is Close.NOW
    assert peer.answers[1].ended


def test_the_end_of_input_behind_a_reset_whose_handler_is_still_at_work(session) -> None:
    """What it has not read of the body is given back to a library that has written its GOAWAY."""
    peer = Peer(session)
    peer.request(POST, end=False)
    peer.feed(data(1, b"unread") + rst(1))
    peer.note(peer.engine.receive_eof())
    peer.pump()
    assert peer.engine.close is Close.OPEN
    peer.engine.release(1)
    peer.pump()
    assert peer.engine.close is Close.NOW


def test_time_that_passes_adds_nothing_to_a_full_budget(session) -> None:
    peer = Peer(session)
    before = peer.engine._budget
    peer.engine.pass_time(3600.0)
    assert peer.engine._budget <= max(before, CAPACITY)
    peer.feed(ping() * 10)
    spent = peer.engine._budget
    peer.engine.pass_time(0.05)
    assert peer.engine._budget == spent + 50
    peer.engine.pass_time(3600.0)
    assert peer.engine._budget == CAPACITY
    peer.engine.pass_time(3600.0)
    assert peer.engine._budget == CAPACITY
