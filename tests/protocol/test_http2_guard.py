"""Frames that are wrong by themselves, or at that moment (RFC 9113 §3 to §6)."""

import pytest

from httpkit.protocol.engine import Close
from httpkit.protocol.http2 import PREFACE
from httpkit.protocol.http2 import frames as f
from httpkit.protocol.http2.frames import ErrorCode
from httpkit.response import Response

from .http2_driver import GET, POST, SMALL, Peer, data, number, ping, rst, settings, window

PROTOCOL, SIZE = ErrorCode.PROTOCOL_ERROR, ErrorCode.FRAME_SIZE_ERROR
CLOSED, FLOW = ErrorCode.STREAM_CLOSED, ErrorCode.FLOW_CONTROL_ERROR
CALM, COMPRESSION = ErrorCode.ENHANCE_YOUR_CALM, ErrorCode.COMPRESSION_ERROR


@pytest.fixture(params=["native", "reference"])
def session(request) -> str:
    return request.param


def frame(kind: int, stream_id: int = 0, payload: bytes = b"", flags: int = 0) -> bytes:
    return f.serialize_frame(kind, flags, stream_id, payload)


# --- the preface (§3.4) --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "octets",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        PREFACE[:-1] + b"x",
        PREFACE + ping() + bytes(9),
        PREFACE + frame(f.SETTINGS, flags=f.ACK),
        PREFACE + frame(f.HEADERS, 1, b"\x82", 5),
    ],
)
def test_a_bad_preface(session, octets) -> None:
    peer = Peer(session, greet=None).feed(octets)
    assert peer.failure == PROTOCOL
    assert peer.engine.close is Close.LINGER
    assert peer.feed(PREFACE + settings()).streams == {}


@pytest.mark.parametrize("size", [1, 5, None])
def test_the_preface_in_pieces(session, size) -> None:
    peer = Peer(session, greet=None)
    peer.feed(PREFACE + settings() + peer.headers(), size=size)
    assert list(peer.streams) == [1]
    first, second, acknowledged = peer.frames[:3]
    assert first.kind == f.SETTINGS
    assert (second.kind, second.payload) == (f.WINDOW_UPDATE, number(983_041))
    assert (acknowledged.kind, acknowledged.flags) == (f.SETTINGS, f.ACK)


# --- frames that end the connection (§4, §6) -----------------------------------------------------

FAULTS = {
    "4.2 a frame too large": (frame(f.DATA, 1, bytes(16_385)), SIZE),
    "4.2 an unknown frame too large": (frame(99, 0, bytes(16_385)), SIZE),
    "6.1 DATA on stream 0": (data(0, b"x"), PROTOCOL),
    "6.1 DATA on an idle stream": (data(9, b"x"), PROTOCOL),
    "6.1 DATA on an idle stream of this side": (data(2, b"x"), PROTOCOL),
    "6.1 too much padding": (frame(f.DATA, 1, b"\x05abc", f.PADDED), PROTOCOL),
    "6.1 no padding": (frame(f.DATA, 1, b"", f.PADDED), SIZE),
    "6.2 HEADERS on stream 0": (frame(f.HEADERS, 0, b"\x82", 5), PROTOCOL),
    "5.1.1 HEADERS on an even stream": (frame(f.HEADERS, 2, b"\x82", 5), PROTOCOL),
    "6.2 too much padding": (frame(f.HEADERS, 3, b"\x05\x82", 5 | f.PADDED), PROTOCOL),
    "6.2 padding into the priority": (
        frame(f.HEADERS, 3, b"\x02" + bytes(6), 5 | f.PADDED | f.PRIORITY_FLAG),
        PROTOCOL,
    ),
    "6.2 no room for the priority": (frame(f.HEADERS, 3, bytes(4), 5 | f.PRIORITY_FLAG), SIZE),
    "5.3.1 a stream that depends on itself": (
        frame(f.HEADERS, 3, number(3) + b"\x10\x82", 5 | f.PRIORITY_FLAG),
        PROTOCOL,
    ),
    "6.3 PRIORITY on stream 0": (frame(f.PRIORITY, 0, bytes(5)), PROTOCOL),
    "6.4 RST_STREAM on stream 0": (rst(0), PROTOCOL),
    "6.4 RST_STREAM on an idle stream": (rst(9), PROTOCOL),
    "6.4 RST_STREAM of the wrong size": (frame(f.RST_STREAM, 1, bytes(3)), SIZE),
    "6.5 SETTINGS on a stream": (frame(f.SETTINGS, 1), PROTOCOL),
    "6.5 an acknowledgement with a payload": (frame(f.SETTINGS, 0, bytes(6), f.ACK), SIZE),
    "6.5 SETTINGS of the wrong size": (frame(f.SETTINGS, 0, bytes(5)), SIZE),
    "6.5.2 ENABLE_PUSH": (settings((2, 2)), PROTOCOL),
    "6.5.2 INITIAL_WINDOW_SIZE": (settings((4, 2**31)), FLOW),
    "6.5.2 MAX_FRAME_SIZE too small": (settings((5, 16_383)), PROTOCOL),
    "6.5.2 MAX_FRAME_SIZE too large": (settings((5, 2**24)), PROTOCOL),
    "RFC 9218 2.1 NO_RFC7540_PRIORITIES": (settings((9, 2)), PROTOCOL),
    "6.6 PUSH_PROMISE": (frame(f.PUSH_PROMISE, 1, number(2), 4), PROTOCOL),
    "6.7 PING on a stream": (frame(f.PING, 1, bytes(8)), PROTOCOL),
    "6.7 PING of the wrong size": (ping(bytes(7)), SIZE),
    "6.8 GOAWAY on a stream": (frame(f.GOAWAY, 1, bytes(8)), PROTOCOL),
    "6.8 GOAWAY of the wrong size": (frame(f.GOAWAY, 0, bytes(7)), SIZE),
    "6.9 WINDOW_UPDATE of the wrong size": (frame(f.WINDOW_UPDATE, 0, bytes(3)), SIZE),
    "6.9 WINDOW_UPDATE by 0": (window(0, 0), PROTOCOL),
    "6.9 WINDOW_UPDATE on an idle stream": (window(9, 1), PROTOCOL),
    "6.9.1 the window of the connection": (window(0, 2**31 - 1), FLOW),
    "6.10 CONTINUATION alone": (frame(f.CONTINUATION, 1, b"", 4), PROTOCOL),
    "RFC 9218 7.1 PRIORITY_UPDATE on a stream": (
        frame(f.PRIORITY_UPDATE, 1, number(1)),
        PROTOCOL,
    ),
    "RFC 9218 7.1 PRIORITY_UPDATE of the wrong size": (frame(f.PRIORITY_UPDATE, 0, b"a"), SIZE),
    "RFC 9218 7.1 PRIORITY_UPDATE for nothing": (
        frame(f.PRIORITY_UPDATE, 0, number(0)),
        PROTOCOL,
    ),
    "RFC 9218 7.1 PRIORITY_UPDATE for a push that is not promised": (
        frame(f.PRIORITY_UPDATE, 0, number(2) + b"u=1"),
        PROTOCOL,
    ),
    "RFC 7541 an index out of range": (frame(f.HEADERS, 3, b"\xff\xff\x01", 5), COMPRESSION),
    "RFC 7541 index 0": (frame(f.HEADERS, 3, b"\x80", 5), COMPRESSION),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_comes_after_what_was_before_it(session, name) -> None:
    """§5.4.1; the request before it is told of, and may be answered."""
    octets, code = FAULTS[name]
    peer = Peer(session)
    before = peer.headers(POST, end=False)
    peer.note(peer.engine.receive_data(before + octets))
    assert list(peer.streams) == [1]
    assert peer.engine.has_more_input
    assert peer.terminated is None
    peer.note(peer.engine.receive_data(b""))
    peer.pump()
    assert peer.failure == code
    assert peer.terminated.error is not None
    assert peer.streams[1].reset is not None
    assert peer.engine.close is Close.LINGER
    # Nothing is taken or written any more.
    assert peer.feed(ping() + peer.headers()).frames[-1].kind == f.GOAWAY
    peer.answer(1)
    assert peer.frames[-1].kind == f.GOAWAY
    assert not peer.engine.has_more_to_send


def test_a_fault_alone_ends_at_once(session) -> None:
    peer = Peer(session).feed(ping(bytes(7)))
    assert peer.failure == SIZE
    assert peer.engine.receive_data(b"x") == []


def test_a_request_before_a_fault_may_be_answered(session) -> None:
    peer = Peer(session)
    peer.note(peer.engine.receive_data(peer.headers() + ping(bytes(7))))
    peer.answer(1)
    assert peer.answers[1].body == b"Hello"
    peer.note(peer.engine.receive_data(b""))
    peer.pump()
    assert peer.goaways == [(1, SIZE)]


def test_more_octets_after_a_fault_that_waits(session) -> None:
    peer = Peer(session)
    peer.note(peer.engine.receive_data(peer.headers() + ping(bytes(7))))
    peer.note(peer.engine.receive_data(ping()))
    peer.pump()
    assert peer.failure == SIZE


# --- field sections in pieces (§4.3, §6.10) ------------------------------------------------------


@pytest.mark.parametrize("padding", [0, 1, 255])
@pytest.mark.parametrize("size", [0, 1])
def test_a_padded_piece_that_may_be_empty(session, size, padding) -> None:
    """§6.2: padding is as long as all that stands before it, at most."""
    peer = Peer(session)
    block = peer.encoder.encode(POST)
    payload = bytes([padding]) + block[:size] + bytes(padding)
    peer.feed(frame(f.HEADERS, 1, payload, f.PADDED) + frame(f.CONTINUATION, 1, block[size:], 4))
    trailers = bytes([padding]) + bytes(padding)
    peer.feed(frame(f.HEADERS, 1, trailers, f.PADDED | f.END_STREAM | f.END_HEADERS))
    assert peer.failure is None
    assert peer.streams[1].ended


@pytest.mark.parametrize("size", [1, None])
def test_continuation(session, size) -> None:
    peer = Peer(session)
    block = peer.encoder.encode(GET)
    octets = frame(f.HEADERS, 1, block[:2], f.END_STREAM)
    octets += frame(f.CONTINUATION, 1, block[2:4]) + frame(f.CONTINUATION, 1, block[4:], 4)
    peer.feed(octets, size=size)
    assert peer.streams[1].request.head.target == b"/"
    peer.feed(peer.headers(stream_id=3))
    assert 3 in peer.streams


@pytest.mark.parametrize(
    "octets",
    [ping(), frame(f.CONTINUATION, 3, b"", 4), frame(99), frame(f.HEADERS, 1, b"", 5)],
    ids=["PING", "another stream", "unknown", "HEADERS"],
)
def test_nothing_stands_within_a_field_section(session, octets) -> None:
    peer = Peer(session).feed(frame(f.HEADERS, 1, b"\x82", f.END_STREAM) + octets)
    assert peer.failure == PROTOCOL


def test_a_field_section_without_end(session) -> None:
    """CVE-2024-27316 and its family: many small frames, or much in few."""
    peer = Peer(session).feed(frame(f.HEADERS, 1, b"\x82", 1))
    for _ in range(16):
        peer.feed(frame(f.CONTINUATION, 1, b""))
    assert peer.failure is None
    assert peer.feed(frame(f.CONTINUATION, 1, b"")).failure == CALM
    peer = Peer(session, SMALL).feed(frame(f.HEADERS, 1, bytes(1000), 1))
    assert peer.feed(frame(f.CONTINUATION, 1, bytes(200))).failure == CALM


# --- stream ids and states (§5.1) ----------------------------------------------------------------


def test_an_id_that_was_passed_over(session) -> None:
    """§5.1.1: opening 5 closes 3."""
    peer = Peer(session)
    peer.feed(peer.headers(stream_id=5))
    assert peer.feed(peer.headers(stream_id=3)).failure == PROTOCOL


def test_an_id_that_was_used(session) -> None:
    peer = Peer(session)
    peer.answer(peer.request())
    assert peer.feed(peer.headers(stream_id=1)).failure == CLOSED


def test_a_reserved_bit_is_ignored(session) -> None:
    """§4.1."""
    peer = Peer(session)
    octets = bytearray(peer.headers())
    octets[5] |= 0x80
    assert list(peer.feed(bytes(octets)).streams) == [1]


def test_data_on_a_half_closed_stream(session) -> None:
    """§5.1: a stream error; the connection goes on."""
    peer = Peer(session)
    peer.request()
    peer.feed(data(1, b"x"))
    assert peer.answers[1].reset == CLOSED
    assert peer.streams[1].reset is not None
    peer.engine.release(1)
    peer.answer(peer.request())
    assert peer.answers[3].status == 200


def test_headers_on_a_half_closed_stream(session) -> None:
    peer = Peer(session)
    peer.request()
    assert peer.feed(peer.headers(stream_id=1)).failure == CLOSED


@pytest.mark.parametrize("answered", [False, True])
@pytest.mark.parametrize("kind", ["data", "headers"])
def test_a_stream_that_the_peer_has_reset(session, answered, kind) -> None:
    """§5.1: whoever goes on after its own RST_STREAM is broken."""
    peer = Peer(session)
    peer.request(POST, end=False)
    peer.feed(rst(1))
    assert peer.streams[1].reset is not None
    assert peer.streams[1].reset.error is None
    if answered:
        peer.answer(1)
    octets = data(1, b"x") if kind == "data" else peer.headers([(b"x", b"y")], 1)
    assert peer.feed(octets).failure == CLOSED


@pytest.mark.parametrize("kind", ["data", "headers"])
def test_a_stream_that_the_peer_has_reset_in_the_same_read(session, kind) -> None:
    """§5.1: what it gets does not depend on where a read ends."""
    peer = Peer(session)
    peer.request(POST, end=False)
    octets = data(1, b"x") if kind == "data" else peer.headers([(b"x", b"y")], 1)
    assert peer.feed(rst(1) + octets).failure == CLOSED


@pytest.mark.parametrize("released", [False, True])
def test_what_was_on_its_way_when_this_side_reset_a_stream(session, released) -> None:
    """§5.1: ignored, but its field sections are decoded and its content is credited."""
    peer = Peer(session)
    peer.request(POST, end=False)
    peer.engine.send_reset(1)
    if released:
        peer.engine.release(1)
    peer.pump()
    assert peer.answers[1].reset == ErrorCode.INTERNAL_ERROR
    trailers = [(b"x-new", b"in the table")]
    peer.feed(data(1, bytes(10_000)) + peer.headers(trailers, 1) + rst(1) + window(1, 5))
    assert peer.failure is None
    peer.feed(peer.headers([*GET, *trailers]))
    assert dict(peer.streams[3].request.head.headers)[b"x-new"] == b"in the table"


def test_data_after_an_answer_and_its_end(session) -> None:
    peer = Peer(session)
    peer.answer(peer.request())
    assert peer.feed(data(1, b"x")).failure == CLOSED


def test_frames_on_closed_streams_that_are_harmless(session) -> None:
    peer = Peer(session)
    peer.answer(peer.request())
    peer.feed(rst(1) + window(1, 5) + frame(f.PRIORITY, 1, bytes(5)))
    assert peer.failure is None
    peer.answer(peer.request())
    assert peer.answers[3].ended


def test_trailers_that_do_not_end_the_stream(session) -> None:
    peer = Peer(session)
    peer.request(POST, end=False)
    assert peer.feed(peer.headers([(b"x", b"y")], 1, end=False)).failure == PROTOCOL


def test_one_stream_too_many(session) -> None:
    """§5.1.2: refused by itself, and may be tried again."""
    peer = Peer(session, SMALL)
    for _ in range(4):
        peer.request()
    peer.request()
    assert peer.answers[9].reset == ErrorCode.REFUSED_STREAM
    assert list(peer.streams) == [1, 3, 5, 7]
    peer.answer(1)
    peer.request()
    assert 11 in peer.streams
    assert peer.failure is None


@pytest.mark.parametrize(
    ("field", "code"),
    [
        ((b"content-length", b"x"), ErrorCode.PROTOCOL_ERROR),
        ((b"content-length", b"3"), ErrorCode.PROTOCOL_ERROR),
        ((b"content-length", b"0"), ErrorCode.REFUSED_STREAM),
        ((b"expect", b"tea"), ErrorCode.REFUSED_STREAM),
    ],
)
def test_one_stream_too_many_that_would_be_refused_anyway(session, field, code) -> None:
    """§8.7: what is malformed must not be tried again; what has another fault gets no answer."""
    peer = Peer(session, SMALL)
    for _ in range(4):
        peer.request()
    peer.request([*GET, field])
    assert peer.answers[9].reset == code
    assert peer.answers[9].heads == []


def test_a_handler_that_does_not_end_counts(session) -> None:
    """CVE-2023-44487: resetting a stream does not make room while its handler runs."""
    peer = Peer(session, SMALL)
    for _ in range(4):
        peer.feed(rst(peer.request()))
    peer.request()
    assert peer.answers[9].reset == ErrorCode.REFUSED_STREAM
    for stream_id in (1, 3, 5, 7):
        peer.engine.release(stream_id)
    peer.request()
    assert 11 in peer.streams


def test_priority_frames(session) -> None:
    """§6.3, and RFC 7540 §5.3.1: stream errors; all else is ignored."""
    peer = Peer(session)
    peer.feed(frame(f.PRIORITY, 9, number(1) + b"\x10"))
    peer.request()
    peer.feed(frame(f.PRIORITY, 1, bytes(4)))
    assert peer.answers[1].reset == SIZE
    peer.request()
    peer.feed(frame(f.PRIORITY, 3, number(3) + b"\x10"))
    assert peer.answers[3].reset == PROTOCOL
    assert peer.failure is None
    peer.answer(peer.request())
    peer.feed(frame(f.PRIORITY, 5, bytes(4)))  # it is closed already
    assert peer.failure is None
    # §6.4: an idle stream must not be reset.
    assert peer.feed(frame(f.PRIORITY, 99, number(99) + b"\x10")).failure == PROTOCOL


def test_unknown_frames_are_ignored(session) -> None:
    """§4.1, §5.5."""
    peer = Peer(session).feed(frame(99, 7, b"whatever", 255))
    peer.request()
    assert list(peer.streams) == [1]


def test_headers_with_padding_and_priority(session) -> None:
    peer = Peer(session)
    flags = f.END_HEADERS | f.PADDED | f.PRIORITY_FLAG
    peer.feed(peer.headers(flags=flags, prefix=b"\x03" + number(0) + b"\x10", suffix=bytes(3)))
    assert peer.streams[1].request.end_stream


def test_windows_of_streams(session) -> None:
    """§6.9, §6.9.1: stream errors."""
    peer = Peer(session)
    peer.request()
    peer.feed(window(1, 0))
    assert peer.answers[1].reset == PROTOCOL
    peer.request()
    peer.feed(window(3, 2**31 - 1))
    assert peer.answers[3].reset == FLOW
    assert peer.failure is None
    peer.request()
    peer.feed(window(5, 2**30) + window(5, 2**30 - 65_536))
    assert 5 not in peer.answers
    peer.feed(window(5, 100_000))
    assert peer.answers[5].reset == FLOW


def test_goaway_of_the_peer(session) -> None:
    """§6.8: it takes no pushes, and may go on to ask."""
    peer = Peer(session).feed(frame(f.GOAWAY, 0, bytes(8)))
    peer.request()
    assert peer.engine.send_push(1, peer.streams[1].request.head) is None
    peer.answer(1)
    assert peer.answers[1].ended


# --- the abuse budget ----------------------------------------------------------------------------

FLOODS = {
    "RST_STREAM (CVE-2023-44487)": lambda peer: (
        peer.headers(POST, end=False) + rst(peer.next_id - 2)
    ),
    "streams that are reset here (CVE-2025-8671)": lambda peer: (
        peer.headers(POST, end=False) + window(peer.next_id - 2, 0)
    ),
    "malformed requests": lambda peer: peer.headers([*GET, (b"Upper", b"")]),
    "SETTINGS": lambda peer: settings(),
    "PING": lambda peer: ping(),
    "PRIORITY": lambda peer: frame(f.PRIORITY, 1, number(3) + b"\x01"),
    "PRIORITY_UPDATE": lambda peer: frame(f.PRIORITY_UPDATE, 0, number(1) + b"u=1"),
    "unknown": lambda peer: frame(99),
    "WINDOW_UPDATE": lambda peer: window(0, 1),
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_ends_the_connection(session, name) -> None:
    peer = Peer(session)
    for _ in range(110):
        batch = b"".join(FLOODS[name](peer) for _ in range(100))
        peer.note(peer.engine.receive_data(batch))
        for stream_id in list(peer.streams):
            peer.engine.release(stream_id)
        while peer.engine.has_more_input:
            peer.note(peer.engine.receive_data(b""))
        peer.pump()
        if peer.terminated:
            break
    assert peer.failure == CALM


def test_a_flood_of_empty_data(session) -> None:
    peer = Peer(session)
    peer.request(POST, end=False)
    assert peer.feed(data(1) * 1100).failure == CALM


def test_a_flood_of_field_sections_on_a_stream_that_was_reset_here(session) -> None:
    """§5.1 has what was on its way ignored, and §10.5 what goes on and on ended."""
    peer = Peer(session)
    peer.request(POST, end=False)
    peer.engine.send_reset(1)
    peer.engine.release(1)
    peer.pump()
    trailers = peer.headers([(b"x", b"y")], 1)
    assert peer.feed(trailers * 100).failure is None
    assert peer.feed(trailers * 1000).failure == CALM


def test_the_budget_refills(session) -> None:
    peer = Peer(session)
    for _ in range(30):
        peer.feed(ping() * 100)
        peer.engine.pass_time(1.0)
    assert peer.failure is None
    peer.engine.pass_time(1e6)
    assert peer.feed(ping() * 1100).failure == CALM


def test_work_makes_up_for_resets(session) -> None:
    peer = Peer(session)
    for _ in range(300):
        peer.feed(rst(peer.request()))
        peer.engine.release(peer.next_id - 2)
        peer.answer(peer.request())
    assert peer.failure is None


def test_an_answer_in_pieces_makes_up_for_what_is_said_to_each(session) -> None:
    """grpc-go's estimate of the bandwidth: a PING and window updates for each message."""
    peer = Peer(session)
    stream_id = peer.request()
    peer.engine.send_headers(stream_id, Response(b""), None)
    for _ in range(2_000):
        peer.engine.send_data(stream_id, b"message")
        peer.feed(ping() + window(0, 7) + window(stream_id, 7))
    assert peer.failure is None


def test_a_small_window_earns_nothing(session) -> None:
    """CVE-2019-9511: the peer decides how many frames a piece becomes."""
    peer = Peer(session, greet=settings((4, 0)))
    stream_id = peer.request()
    peer.engine.send_headers(stream_id, Response(b""), None)
    peer.engine.send_data(stream_id, bytes(2_000))
    for _ in range(1_100):
        peer.feed(window(stream_id, 1) + ping())
    assert len(peer.of_kind(f.DATA)) > 500
    assert peer.failure == CALM


@pytest.mark.parametrize("bomb", ["count", "size"])
def test_a_header_bomb(session, bomb) -> None:
    """CVE-2016-6581, CVE-2026-49975: a small field section that decodes to much."""
    peer = Peer(session, SMALL)
    if bomb == "count":
        fields = [*GET, *((b"a", b"") for _ in range(100))]
    else:
        fields = [*GET, *((b"a", b"x" * 900) for _ in range(9))]
    assert peer.feed(peer.headers(fields)).failure == CALM


@pytest.mark.parametrize("block", [b"\x80", b"\xff", b"\xff" * 12, b"\0\x7f\xff\x7f", b"\x82 "])
def test_what_the_peer_reads_of_its_fault(session, block) -> None:
    """RFC 9113 §6.8: debug data are for the peer's eyes; errors of hpack show addresses."""
    peer = Peer(session).feed(frame(f.HEADERS, 1, block, 5))
    assert peer.failure == COMPRESSION
    assert b"0x" not in peer.of_kind(f.GOAWAY)[-1].payload
