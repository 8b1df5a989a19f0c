"""The WebSocket engine: whole, byte by byte, split anywhere; the fast lane against wsproto."""

import importlib
import itertools
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

from httpkit.errors import LocalProtocolError
from httpkit.limits import Limits, WebSocketLimits
from httpkit.protocol.websocket import (
    HAS_FAST_MASK,
    CloseReceived,
    PingReceived,
    PongReceived,
    ProtocolFailed,
    WebSocketEngine,
    choose_mask,
    masking,
)
from httpkit.protocol.websocket.frames import HeaderGuard
from httpkit.protocol.websocket.masking import mask_by_integers
from httpkit.semantics.websocket import DeflateAgreement
from tests.frames import (
    BINARY,
    CLOSE,
    FIRST_BINARY,
    FIRST_TEXT,
    LAST,
    MORE,
    PING,
    PONG,
    TEXT,
    close,
    frame,
    masked,
    read_frames,
)

DEFLATE = DeflateAgreement(12, "permessage-deflate")


def make_engine(
    *, fast: bool = True, deflate: DeflateAgreement | None = None, **overrides
) -> WebSocketEngine:
    return WebSocketEngine(WebSocketLimits.of(Limits(), overrides), deflate, fast=fast)


@pytest.fixture(params=["fast lane", "wsproto"])
def lane(request) -> bool:
    return request.param == "fast lane"


#: What a client sends, and what it means.
STREAMS = {
    "text": (frame(TEXT, "héllo".encode()), ["héllo"]),
    "binary": (frame(BINARY, b"\xff\x00"), [b"\xff\x00"]),
    "empty": (frame(TEXT) + frame(BINARY), ["", b""]),
    "125, 126, 65535, 65536 bytes": (
        b"".join(frame(BINARY, b"a" * size) for size in (125, 126, 65_535, 65_536)),
        [b"a" * size for size in (125, 126, 65_535, 65_536)],
    ),
    "fragments": (
        frame(FIRST_TEXT, b"a") + frame(MORE, b"b") + frame(LAST, b"c") + frame(TEXT, b"d"),
        ["abc", "d"],
    ),
    "a control frame within a message": (
        frame(FIRST_BINARY, b"a") + frame(PING, b"?") + frame(LAST, b"b"),
        [PingReceived(b"?"), b"ab"],
    ),
    "a character that is cut": (
        frame(FIRST_TEXT, "é".encode()[:1]) + frame(LAST, "é".encode()[1:]),
        ["é"],
    ),
    "pong": (frame(PONG, b"x" * 125), [PongReceived(b"x" * 125)]),
    "close": (frame(TEXT, b"a") + close(1000, b"bye"), ["a", CloseReceived(1000, "bye")]),
    "RFC 6455 §11.7: the youngest code": (close(1014, b"no"), [CloseReceived(1014, "no")]),
    "close without a code": (close(None), [CloseReceived(1005, "")]),
    "nothing after a close": (close(4000) + frame(TEXT, b"a"), [CloseReceived(4000, "")]),
    "many": (frame(TEXT, b"ab") * 600, ["ab"] * 600),
}

#: What breaks the protocol, with what comes before it, and the code.
ERRORS = {
    "RFC 6455 §5.1: no mask": (frame(TEXT, b"a", key=None), 1002),
    "RFC 6455 §5.2: RSV1": (frame(TEXT | 0x40, b"a"), 1002),
    "RFC 6455 §5.2: RSV2": (frame(BINARY | 0x20), 1002),
    "RFC 6455 §5.2: RSV3 on a ping": (frame(PING | 0x10), 1002),
    "RFC 6455 §5.2: reserved opcode 3": (frame(0x83), 1002),
    "RFC 6455 §5.2: reserved control opcode 11": (frame(0x8B), 1002),
    "RFC 6455 §5.2: length in two bytes for one": (frame(TEXT, b"a", size=2), 1002),
    "RFC 6455 §5.2: length in eight bytes for two": (frame(TEXT, b"a" * 126, size=8), 1002),
    "RFC 6455 §5.2: length with the highest bit": (
        b"\x82\xff" + b"\xff" * 8 + b"key!" + b"data",
        1002,
    ),
    "RFC 6455 §5.4: a continuation of nothing": (frame(LAST, b"a"), 1002),
    "RFC 6455 §5.4: a message within a message": (frame(FIRST_TEXT, b"a") + frame(TEXT), 1002),
    "RFC 6455 §5.5: a fragmented ping": (frame(0x09, b"a"), 1002),
    "RFC 6455 §5.5: a ping of 126 bytes": (frame(PING, b"a" * 126), 1002),
    "RFC 6455 §5.5.1: a close of one byte": (frame(CLOSE, b"a"), 1002),
    "RFC 6455 §7.4.1: a code that is never sent": (close(1006), 1002),
    "RFC 6455 §7.4.2: a code that nobody uses": (close(2999), 1002),
    "RFC 6455 §8.1: text": (frame(TEXT, b"a\xff"), 1007),
    "RFC 6455 §8.1: text that ends within a character": (frame(TEXT, b"\xc3"), 1007),
    "RFC 6455 §8.1: a surrogate": (frame(TEXT, b"\xed\xa0\x80"), 1007),
    "RFC 6455 §8.1: the reason of a close": (close(1000, b"\xff"), 1007),
    "RFC 6455 §8.1: the reason of a close with the youngest code": (close(1014, b"\xff"), 1007),
}


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("step", [1_000_000, 7, 1])
def test_streams(lane, name, step) -> None:
    data, expected = STREAMS[name]
    engine = make_engine(fast=lane)
    events = []
    for start in range(0, len(data), step):
        events += engine.receive_data(data[start : start + step])
    assert events == expected


@pytest.mark.parametrize("name", ERRORS)
@pytest.mark.parametrize("step", [1_000_000, 1])
def test_errors_come_after_the_messages_before_them(lane, name, step) -> None:
    wrong, code = ERRORS[name]
    data = frame(TEXT, b"before") + frame(BINARY) + wrong + frame(TEXT, b"after")
    engine = make_engine(fast=lane)
    events = []
    for start in range(0, len(data), step):
        events += engine.receive_data(data[start : start + step])
    assert events[:2] == ["before", b""]
    *between, failure = events[2:]
    assert isinstance(failure, ProtocolFailed)
    assert failure.code == code
    assert failure.reason
    assert not between
    assert engine.ended
    assert engine.receive_data(frame(TEXT)) == []


def test_rfc6455_8_1_text_fails_at_its_first_wrong_byte(lane) -> None:
    """Within a frame whose end is not here yet."""
    engine = make_engine(fast=lane)
    data = frame(TEXT, "κόσμε".encode() + b"\xf4\x90\x80\x80" + b"a" * 50)
    good = 6 + len("κόσμε".encode()) + 1
    assert engine.receive_data(data[:good]) == []
    [failure] = engine.receive_data(data[good : good + 1])
    assert failure.code == 1007


def test_rfc3629_3_half_of_a_surrogate_is_wrong_at_its_second_byte(lane) -> None:
    """Across fragments, too, and with a control frame behind it."""
    engine = make_engine(fast=lane)
    data = frame(FIRST_TEXT, b"a\xed") + frame(MORE, b"\xa0" + b"a" * 50)
    assert engine.receive_data(data[:13]) == []
    assert failure_of(engine, data[13:15]) == 1007
    engine = make_engine(fast=lane)
    [failure] = engine.receive_data(frame(FIRST_TEXT, b"\xed\xbf") + frame(PING))
    assert failure.code == 1007
    engine = make_engine(fast=lane)  # U+D7FF is no surrogate
    assert engine.receive_data(frame(FIRST_TEXT, b"\xed\x9f") + frame(LAST, b"\xbf")) == ["\ud7ff"]


# --- the two lanes agree ---------------------------------------------------------------------

payloads = st.one_of(
    st.text(max_size=20).map(str.encode),
    st.binary(max_size=20),
    st.sampled_from([b"a" * 125, b"b" * 126, b"\xc3\xa9" * 100]),
)
frames = st.one_of(
    st.builds(
        frame,
        st.sampled_from([TEXT, BINARY, TEXT, BINARY, FIRST_TEXT, FIRST_BINARY, MORE, LAST, PING]),
        payloads,
        key=st.binary(min_size=4, max_size=4),
    ),
    st.builds(frame, st.integers(0, 255), payloads, size=st.sampled_from([0, 0, 0, 8])),
    st.builds(close, st.integers(0, 5000), payloads),
    st.binary(max_size=8),
)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(frames, max_size=12),
    st.lists(st.integers(0, 2000), max_size=6),
    st.booleans(),
    st.sampled_from([1, 30, 65_536]),
)
def test_both_lanes_and_all_splits_agree(parts, cuts, compressed, room) -> None:
    """The same events, in the same order, wherever the bytes are cut and however much waits."""
    data = b"".join(parts)
    deflate = DEFLATE if compressed else None
    whole = make_engine(fast=False, deflate=deflate, max_message=300).receive_data(data)
    engine = make_engine(deflate=deflate, max_message=300, receive_buffer=room)
    events = []
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for start, stop in itertools.pairwise(edges):
        events += engine.receive_data(data[start:stop])
    while engine.paused:
        events += engine.resume()
    assert events == whole


@settings(deadline=None)
@given(st.binary(max_size=70), st.binary(min_size=4, max_size=4))
def test_masks_agree(data, key) -> None:
    assert mask_by_integers(data, key) == masked(data, key) == choose_mask()(data, key)
    assert HAS_FAST_MASK
    assert choose_mask("integers") is mask_by_integers


def test_without_the_extra_masks_are_in_python(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "websockets.speedups", None)
    try:
        plain = importlib.reload(masking)
        assert not plain.HAS_FAST_MASK
        assert plain.choose_mask() is plain.mask_by_integers
    finally:
        monkeypatch.undo()
        importlib.reload(masking)


def test_limits_are_no_extension_to_offer() -> None:
    assert not HeaderGuard(WebSocketLimits.of(Limits(), {})).offer()


# --- limits ----------------------------------------------------------------------------------


def failure_of(engine: WebSocketEngine, data: bytes) -> int:
    *_, failure = engine.receive_data(data)
    assert isinstance(failure, ProtocolFailed)
    return failure.code


def test_a_message_too_big_is_refused_before_its_payload(lane) -> None:
    engine = make_engine(fast=lane, max_message=1000)
    assert engine.receive_data(frame(BINARY, b"a" * 1000)) == [b"a" * 1000]
    head = b"\x82\xff" + (2**40).to_bytes(8, "big") + b"key!"
    assert failure_of(engine, head) == 1009


def test_a_continuation_of_nothing_is_no_part_of_the_message_before_it(lane) -> None:
    """It breaks the protocol (§5.4), whatever its size."""
    engine = make_engine(fast=lane, max_message=300)
    data = frame(BINARY, b"a" * 200) + frame(LAST, b"a" * 200)
    assert failure_of(engine, data) == 1002


@pytest.mark.parametrize("limits", [{"max_message": 1000}, {"control_rate": 1}])
def test_a_head_that_comes_byte_by_byte_counts_once(lane, limits) -> None:
    engine = make_engine(fast=lane, **limits)
    data = frame(PING, b"?") if "control_rate" in limits else frame(BINARY, b"a" * 600)
    events = []
    for i in range(len(data)):
        events += engine.receive_data(data[i : i + 1])
    assert events == [PingReceived(b"?") if "control_rate" in limits else b"a" * 600]


def test_fragments_together_are_a_message(lane) -> None:
    engine = make_engine(fast=lane, max_message=10)
    assert engine.receive_data(frame(FIRST_BINARY, b"a" * 6) + frame(PING)) == [PingReceived(b"")]
    assert failure_of(engine, frame(LAST, b"a" * 5)[:6]) == 1009


def test_a_frame_too_big(lane) -> None:
    engine = make_engine(fast=lane, max_frame=10)
    data = frame(FIRST_BINARY, b"a" * 10) + frame(LAST, b"a" * 10)
    assert engine.receive_data(data) == [b"a" * 20]
    assert failure_of(engine, frame(BINARY, b"a" * 11)) == 1009


def test_without_a_limit(lane) -> None:
    engine = make_engine(fast=lane, max_message=None)
    assert engine.receive_data(frame(BINARY, b"a" * 70_000)) == [b"a" * 70_000]


def test_too_many_fragments(lane) -> None:
    engine = make_engine(fast=lane, max_fragments=3)
    data = frame(FIRST_TEXT) + frame(MORE) + frame(LAST)
    assert engine.receive_data(data * 2) == ["", ""]
    assert failure_of(engine, frame(FIRST_TEXT) + frame(MORE) * 3) == 1008


def test_control_frames_have_a_rate(lane) -> None:
    engine = make_engine(fast=lane, control_rate=10)
    assert len(engine.receive_data(frame(PING) * 10)) == 10
    engine.pass_time(0.5)
    assert len(engine.receive_data(frame(PONG) * 5)) == 5
    assert failure_of(engine, frame(PING)) == 1008
    engine = make_engine(fast=lane, control_rate=10)
    engine.pass_time(1000)
    assert failure_of(engine, frame(PING) * 11) == 1008
    engine = make_engine(fast=lane, control_rate=10)
    assert engine.receive_data(frame(PING) * 10 + close(1000))[10:] == [CloseReceived(1000, "")]


def test_time_that_passes_within_a_message_changes_nothing(lane) -> None:
    """wsproto's reader goes only where it stands between two messages."""
    engine = make_engine(fast=lane)
    data = (
        frame(FIRST_TEXT, b"a") + frame(PING) + frame(LAST, b"b") + frame(PING) + frame(TEXT, b"c")
    )
    events = []
    for byte in data:
        events += engine.receive_data(bytes([byte]))
        engine.pass_time(1)
    assert [event for event in events if isinstance(event, str)] == ["ab", "c"]
    assert len(events) == 4
    assert (engine._reader is None) == lane


# --- sending ---------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_messages_are_read_by_wsproto(size) -> None:
    engine = make_engine()
    client = Connection(ConnectionType.CLIENT)
    client.receive_data(
        engine.send_message("a" * size)
        + engine.send_message(b"b" * size)
        + engine.send_ping(b"?")
        + engine.send_pong(b"!")
        + engine.send_close(1001, "bye")
    )
    text, binary, *rest = client.events()
    assert text == TextMessage("a" * size)
    assert binary == BytesMessage(b"b" * size)
    assert rest == [Ping(b"?"), Pong(b"!"), CloseConnection(1001, "bye")]


def test_rfc6455_5_5_1_nothing_is_sent_after_a_close() -> None:
    engine = make_engine()
    assert list(read_frames(engine.send_close(None))) == [(CLOSE, b"")]
    assert engine.close_sent
    assert engine.send_close(1000) == engine.send_ping() == engine.send_pong(b"a") == b""
    with pytest.raises(LocalProtocolError, match="closed"):
        engine.send_message("a")


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 2000, 2999, 5000])
def test_rfc6455_7_4_codes_that_are_not_sent(code) -> None:
    with pytest.raises(LocalProtocolError, match=str(code)):
        make_engine().send_close(code)


def test_a_reason_is_cut_at_a_character() -> None:
    [(_, payload)] = read_frames(make_engine().send_close(4999, "é" * 100))
    assert payload[2:].decode() == "é" * 61


def test_what_cannot_be_sent() -> None:
    engine = make_engine()
    with pytest.raises(LocalProtocolError, match="125"):
        engine.send_ping(b"a" * 126)
    with pytest.raises(LocalProtocolError, match="surrogate"):
        engine.send_message("\ud800")


def test_a_message_in_many_pieces_takes_little_memory() -> None:
    """Joined by the hundreds: a list of 10 000 pieces would be an attack."""
    engine = make_engine()
    head, payload = frame(BINARY, b"a" * 10_000)[:8], masked(b"a" * 10_000)
    assert engine.receive_data(head) == []
    events = []
    for i in range(10_000):
        events += engine.receive_data(payload[i : i + 1])
        assert len(engine._pieces) + len(engine._joined) < 400
    assert events == [b"a" * 10_000]
