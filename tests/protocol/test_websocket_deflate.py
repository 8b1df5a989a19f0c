"""permessage-deflate (RFC 7692): what is inflated, how much of it, and what is compressed."""

import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wsproto.frame_protocol import Opcode

from httpkit import SharedMessage
from httpkit.errors import LocalProtocolError
from httpkit.protocol.websocket import CloseReceived, PingReceived, ProtocolFailed
from httpkit.protocol.websocket.deflate import PermessageDeflate
from httpkit.semantics.websocket import DeflateAgreement
from tests.frames import BINARY, FIRST_TEXT, LAST, MORE, PING, TEXT, close, frame, read_frames

from .test_websocket_engine import DEFLATE, failure_of, make_engine

RSV1 = 0x40


def deflated(data: bytes, bits: int = 15) -> bytes:
    compressor = zlib.compressobj(9, zlib.DEFLATED, -bits)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def inflated(data: bytes) -> bytes:
    return zlib.decompressobj(-15).decompress(data + b"\x00\x00\xff\xff")


@pytest.mark.parametrize("bits", [9, 12, 15])
@pytest.mark.parametrize("step", [100_000, 1])
def test_messages_are_inflated(bits, step) -> None:
    engine = make_engine(deflate=DEFLATE)
    text = "héllo " * 200
    data = (
        frame(TEXT | RSV1, deflated(text.encode(), bits))
        + frame(TEXT, b"plain")
        + frame(BINARY | RSV1, deflated(b"\xff" * 10_000, bits))
    )
    events = []
    for start in range(0, len(data), step):
        events += engine.receive_data(data[start : start + step])
    assert events == [text, "plain", b"\xff" * 10_000]
    assert engine._compressor._inflater is None, "an idle socket holds nothing of zlib"


def test_rfc7692_7_2_1_fragments_with_a_ping_between_them() -> None:
    payload = deflated(b"fragmented")
    engine = make_engine(deflate=DEFLATE)
    assert engine.receive_data(
        frame(FIRST_TEXT | RSV1, payload[:3])
        + frame(PING, b"?")
        + frame(MORE)
        + frame(LAST, payload[3:])
    ) == [PingReceived(b"?"), "fragmented"]


def test_rfc7692_7_2_3_examples() -> None:
    """§7.2.3.1, .2 (no context), .3 (no compression), .4 (BFINAL) and .5 (two blocks)."""
    engine = make_engine(deflate=DEFLATE)
    for payload in (
        "f248cdc9c90700",
        "000500faff48656c6c6f00",
        "f348cdc9c9070000",
        "f248050000 00ffffcac9c90700",
    ):
        assert engine.receive_data(frame(TEXT | RSV1, bytes.fromhex(payload))) == ["Hello"]
    assert engine.receive_data(frame(TEXT | RSV1, b"\x00")) == [""]


@pytest.mark.parametrize("data", [frame(LAST | RSV1), frame(PING | RSV1)])
def test_rfc7692_6_1_rsv1_stands_on_the_first_frame_only(data) -> None:
    engine = make_engine(deflate=DEFLATE)
    assert failure_of(engine, frame(FIRST_TEXT, b"a") + data) == 1002


@pytest.mark.parametrize("step", [1_000_000, 1000])
def test_a_bomb_is_cut_while_it_inflates(step) -> None:
    """261 KB of wire are 256 MiB; no piece of it may be more than the limit."""
    bomb = frame(BINARY | RSV1, deflated(bytes(256 << 20)))
    engine = make_engine(deflate=DEFLATE, max_message=100_000)
    pieces = []
    inflate = PermessageDeflate._inflate

    def watched(self, data):
        piece = inflate(self, data)
        pieces.append(piece)
        return piece

    PermessageDeflate._inflate = watched
    try:
        for start in range(0, len(bomb), step):
            events = engine.receive_data(bomb[start : start + step])
            if events:
                break
    finally:
        PermessageDeflate._inflate = inflate
    [failure] = events
    assert failure == ProtocolFailed(1009, failure.reason)
    assert sum(len(piece) for piece in pieces if isinstance(piece, bytes)) <= 100_000


def test_bombs_in_one_read_are_inflated_one_after_the_other() -> None:
    """Each is within the limit of a message, but a read of 256 KiB may bring many of them."""
    bomb = frame(BINARY | RSV1, deflated(bytes(1 << 20)))
    engine = make_engine(deflate=DEFLATE, receive_buffer=1000)
    assert engine.receive_data(bomb * 3 + frame(TEXT, b"a")) == [bytes(1 << 20)]
    assert engine.paused
    assert engine.receive_data(bomb + close()) == []  # it is kept, and not looked at
    assert [engine.resume() for _ in range(2)] == [[bytes(1 << 20)]] * 2
    assert engine.resume() == ["a", bytes(1 << 20)]
    assert engine.resume() == [CloseReceived(1000, "")]
    assert not engine.paused


def test_small_messages_and_the_last_one_hold_up_nothing() -> None:
    engine = make_engine(deflate=DEFLATE, receive_buffer=1000)
    small = frame(TEXT | RSV1, deflated(b"a" * 10))
    large = frame(TEXT | RSV1, deflated(b"b" * 1000))
    assert engine.receive_data(small * 20 + large) == ["a" * 10] * 20 + ["b" * 1000]
    assert not engine.paused
    assert engine.receive_data(frame(TEXT, b"c")) == ["c"]


def test_exactly_the_limit() -> None:
    engine = make_engine(deflate=DEFLATE, max_message=1000)
    assert engine.receive_data(frame(BINARY | RSV1, deflated(bytes(1000)))) == [bytes(1000)]
    assert failure_of(engine, frame(BINARY | RSV1, deflated(bytes(1001)))) == 1009


def test_without_a_limit() -> None:
    engine = make_engine(deflate=DEFLATE, max_message=None)
    assert engine.receive_data(frame(BINARY | RSV1, deflated(bytes(70_000)))) == [bytes(70_000)]


def test_what_is_no_deflate() -> None:
    assert failure_of(make_engine(deflate=DEFLATE), frame(TEXT | RSV1, b"\xff\xff")) == 1007
    # Only what the sender leaves out makes it wrong: a stored block of three bytes, cut.
    cut = b"\x00\x03\x00\xfc\xff"
    assert failure_of(make_engine(deflate=DEFLATE), frame(TEXT | RSV1, cut)) == 1007


def test_a_message_of_endless_streams() -> None:
    """Each `03 00` is a whole deflate stream of nothing, and a new inflater."""
    engine = make_engine(deflate=DEFLATE)
    assert engine.receive_data(frame(BINARY | RSV1, b"\x03\x00" * 50)) == [b""]
    assert failure_of(engine, frame(BINARY | RSV1, b"\x03\x00" * 65)) == 1008


def test_an_extension_is_no_offer() -> None:
    extension = PermessageDeflate(DEFLATE, None)
    assert extension.enabled()
    assert not extension.offer()
    assert Opcode.TEXT == 1


# --- sending ---------------------------------------------------------------------------------


def test_large_messages_are_compressed() -> None:
    engine = make_engine(deflate=DEFLATE, compress_from=100)
    for message in ("a" * 100, b"a" * 100):
        [(first, payload)] = read_frames(engine.send_message(message))
        assert first & RSV1
        assert inflated(payload) == b"a" * 100
    [(first, payload)] = read_frames(engine.send_message("a" * 99))
    assert (first, payload) == (TEXT, b"a" * 99)


def test_each_message_may_choose() -> None:
    engine = make_engine(deflate=DEFLATE, compress_from=100)
    [(first, _)] = read_frames(engine.send_message("a" * 1000, compress=False))
    assert first == TEXT
    [(first, payload)] = read_frames(engine.send_message("a" * 50, compress=True))
    assert first == TEXT | RSV1
    assert inflated(payload) == b"a" * 50


def test_what_would_grow_is_sent_as_it_is() -> None:
    [(first, payload)] = read_frames(make_engine(deflate=DEFLATE).send_message("ab", compress=True))
    assert (first, payload) == (TEXT, b"ab")


def test_without_an_agreement_nothing_is_compressed() -> None:
    [(first, _)] = read_frames(make_engine().send_message("a" * 5000, compress=True))
    assert first == TEXT


@pytest.mark.parametrize("bits", [9, 12])
def test_the_window_is_the_one_that_was_agreed_on(bits) -> None:
    engine = make_engine(deflate=DEFLATE._replace(window_bits=bits))
    data = b"0123456789abcdef" * 640
    [(_, payload)] = read_frames(engine.send_message(data))
    assert zlib.decompressobj(-bits).decompress(payload + b"\x00\x00\xff\xff") == data


@settings(deadline=None)
@given(st.binary(max_size=3000))
def test_what_is_compressed_can_be_inflated(data) -> None:
    engine = make_engine(deflate=DEFLATE, compress_from=0)
    [(first, payload)] = read_frames(engine.send_message(data))
    assert (inflated(payload) if first & RSV1 else payload) == data


# --- with a context --------------------------------------------------------------------------

CONTEXT = DEFLATE._replace(server_context_takeover=True, client_context_takeover=True)
TICKS = [f'{{"symbol": "HTTP", "price": {number}}}'.encode() for number in range(50)]


class Peer:
    """The other side, with zlib alone."""

    def __init__(self, bits: int = 15) -> None:
        self.compressor = zlib.compressobj(9, zlib.DEFLATED, -bits)
        self.inflater = zlib.decompressobj(-15)

    def deflate(self, data: bytes) -> bytes:
        return (self.compressor.compress(data) + self.compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]

    def inflate(self, data: bytes) -> bytes:
        return self.inflater.decompress(data + b"\x00\x00\xff\xff")


def test_rfc7692_7_2_3_2_a_message_refers_to_the_one_before() -> None:
    engine = make_engine(deflate=CONTEXT)
    for payload in ("f248cdc9c90700", "f200110000"):
        assert engine.receive_data(frame(TEXT | RSV1, bytes.fromhex(payload))) == ["Hello"]
    without = make_engine(deflate=DEFLATE)
    assert without.receive_data(frame(TEXT | RSV1, bytes.fromhex("f248cdc9c90700"))) == ["Hello"]
    assert failure_of(without, frame(TEXT | RSV1, bytes.fromhex("f200110000"))) == 1007


@pytest.mark.parametrize("bits", [8, 9, 12, 15])
@pytest.mark.parametrize("step", [100_000, 1])
def test_messages_are_inflated_in_their_context(bits, step) -> None:
    engine = make_engine(deflate=CONTEXT._replace(client_window_bits=bits))
    peer = Peer(max(9, bits))
    # What is not compressed, and control frames, are no part of it.
    data = b"".join(
        frame(BINARY | RSV1, peer.deflate(tick)) + frame(BINARY, tick) + frame(PING)
        for tick in TICKS
    )
    events = []
    for start in range(0, len(data), step):
        events += engine.receive_data(data[start : start + step])
    assert [each for each in events if isinstance(each, bytes)] == [
        tick for tick in TICKS for _ in range(2)
    ]


def test_messages_are_compressed_in_their_context() -> None:
    engine, peer = make_engine(deflate=CONTEXT, compress_from=0), Peer()
    sizes = []
    for tick in TICKS:
        [(first, payload)] = read_frames(engine.send_message(tick))
        assert first == BINARY | RSV1
        assert peer.inflate(payload) == tick
        sizes.append(len(payload))
        engine.send_message(b"not compressed", compress=False)
    assert sum(sizes[1:]) < len(sizes) * sizes[0] / 3


def test_what_was_compressed_is_sent_even_if_it_has_grown() -> None:
    """The context has it already: without it the client could not read what follows."""
    engine, peer = make_engine(deflate=CONTEXT), Peer()
    for data in (b"ab", bytes(range(256)), b"ab", b"abab" * 100):
        [(first, payload)] = read_frames(engine.send_message(data, compress=True))
        assert first == BINARY | RSV1
        assert peer.inflate(payload) == data


def test_a_context_of_one_side() -> None:
    engine = make_engine(deflate=CONTEXT._replace(client_context_takeover=False), compress_from=0)
    peer = Peer()
    for tick in TICKS:
        assert engine.receive_data(frame(BINARY | RSV1, deflated(tick))) == [tick]
        assert engine._compressor._inflater is None
        [(_, payload)] = read_frames(engine.send_message(tick))
        assert peer.inflate(payload) == tick
    engine = make_engine(deflate=CONTEXT._replace(server_context_takeover=False), compress_from=0)
    peer = Peer()
    for tick in TICKS:
        assert engine.receive_data(frame(BINARY | RSV1, peer.deflate(tick))) == [tick]
        [(_, payload)] = read_frames(engine.send_message(tick * 2))
        assert inflated(payload) == tick * 2
        assert engine._compressor._compressor is None


def test_a_limit_holds_for_each_message() -> None:
    engine, peer = make_engine(deflate=CONTEXT, max_message=1000), Peer()
    for _ in range(5):
        assert engine.receive_data(frame(BINARY | RSV1, peer.deflate(bytes(1000)))) == [bytes(1000)]
    assert failure_of(engine, frame(BINARY | RSV1, peer.deflate(bytes(1001)))) == 1009


def test_rfc7692_7_2_3_4_the_end_of_a_deflate_stream_ends_the_context() -> None:
    engine = make_engine(deflate=CONTEXT)
    for _ in range(2):
        hello = bytes.fromhex("f348cdc9c9070000")
        assert engine.receive_data(frame(TEXT | RSV1, hello)) == ["Hello"]


@settings(deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=20))
def test_any_messages_in_a_context(messages) -> None:
    engine, peer = make_engine(deflate=CONTEXT, compress_from=0), Peer()
    for data in messages:
        [(_, payload)] = read_frames(engine.send_message(data))
        assert peer.inflate(payload) == data
        assert engine.receive_data(frame(BINARY | RSV1, peer.deflate(data))) == [data]


# --- a message for many --------------------------------------------------------------------------


@pytest.mark.parametrize("data", ["häppy", b"\x00\xff", "a" * 5000, b"b" * 70_000])
def test_a_message_for_many_is_framed_once(data) -> None:
    message = SharedMessage(data)
    frames = [make_engine().send_message(message) for _ in range(3)]
    assert frames[0] == make_engine().send_message(data)
    assert frames[0] is frames[1] is frames[2]


def test_compressed_frames_are_shared_by_those_who_agreed_on_the_same() -> None:
    message = SharedMessage("a" * 5000)
    other = DeflateAgreement(15, "permessage-deflate")
    agreements = [DEFLATE, None, DEFLATE, other, None]
    frames = [make_engine(deflate=each).send_message(message) for each in agreements]
    assert frames[0] is frames[2]
    assert frames[1] is frames[4]
    for agreement, data in zip(agreements, frames, strict=True):
        assert data == make_engine(deflate=agreement).send_message("a" * 5000)
    plain = make_engine(deflate=DEFLATE).send_message(message, compress=False)
    assert plain is frames[1]
    late = make_engine(deflate=DEFLATE, compress_from=10_000).send_message(message)
    assert late is frames[1], "the limits of another route decide otherwise"
    assert make_engine(deflate=DEFLATE).send_message(message, compress=True) is frames[0]


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_the_limit_for_compression_counts_bytes_of_the_payload(size) -> None:
    for limit, compressed in ((size, size > 0), (size + 1, False)):
        engine = make_engine(deflate=DEFLATE, compress_from=limit)
        first = engine.send_message(SharedMessage(b"a" * size))[0]
        assert first == (BINARY | RSV1 if compressed else BINARY)


def test_a_message_for_many_has_a_place_in_every_context() -> None:
    engines = [make_engine(deflate=CONTEXT, compress_from=50) for _ in range(2)]
    peers = [Peer() for _ in engines]
    for number in range(10):
        message = SharedMessage(TICKS[number] * 2)
        frames = [engine.send_message(message) for engine in engines]
        for peer, data in zip(peers, frames, strict=True):
            [(_, payload)] = read_frames(data)
            assert peer.inflate(payload) == message.data
        small = SharedMessage("small")
        assert engines[0].send_message(small) is make_engine().send_message(small)


def test_a_message_for_many_is_not_sent_after_a_close_nor_if_it_cannot_be() -> None:
    message = SharedMessage("x")
    engine = make_engine()
    engine.send_message(message)
    engine.send_close(1000)
    with pytest.raises(LocalProtocolError, match="closed"):
        engine.send_message(message)
    with pytest.raises(LocalProtocolError, match="surrogate"):
        make_engine().send_message(SharedMessage("\ud800"))
