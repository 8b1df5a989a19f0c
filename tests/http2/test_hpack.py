"""Header compression (RFC 7541): what a decoder must refuse, and what it must carry on with."""

import pytest

from httpkit.response import Response

from . import frames
from .client import HTTP2Client
from .expect import Answered, Expectation, found_by_library
from .frames import Code, literal

COMPRESSION = found_by_library(Code.COMPRESSION_ERROR)

#: `:method: GET`, `:scheme: http`, `:path: /` of the static table (RFC 7541 Appendix A).
STATIC = b"\x82\x86\x84"
#: The same with `:authority: a`, which is not indexed.
GET = STATIC + b"\x01\x01a"
SERVED = ("GET /",)


def size_update(size: int) -> bytes:
    """A dynamic table size update (§6.3)."""
    if size < 31:
        return bytes([0x20 | size])
    rest, octets = size - 31, bytearray([0x3F])
    while rest >= 128:
        octets.append(rest % 128 | 128)
        rest //= 128
    return bytes([*octets, rest])


# name: (section, block on stream 3, what is seen)
BLOCKS: dict[str, tuple[str, bytes, Expectation]] = {
    # --- §2.3.3, §6.1 indices
    "index 0": ("6.1", GET + b"\x80", COMPRESSION),
    "index beyond an empty dynamic table": ("2.3.3", GET + b"\xbe", COMPRESSION),
    "index far beyond": ("2.3.3", GET + b"\xff\xff\x07", COMPRESSION),
    "index beyond one entry": ("2.3.3", GET + literal(b"x", b"y") + b"\xbf", COMPRESSION),
    "name index beyond the tables": ("6.2.1", GET + b"\x7f\x00\x01a", COMPRESSION),
    "name index beyond the tables, not indexed": ("6.2.2", GET + b"\x0f\x80\x01\x01a", COMPRESSION),
    "index of an entry of the same block": (
        "2.3.2",
        GET + literal(b"x", b"y") + b"\xbe",
        Answered(),
    ),
    # --- §4.1, §4.2, §6.3 size of the table
    "size update above the limit": ("6.3", size_update(4097) + GET, COMPRESSION),
    "size update far above the limit": ("6.3", size_update(2**30) + GET, COMPRESSION),
    "size update to the limit": ("6.3", size_update(4096) + GET, Answered()),
    "size update to nothing": ("6.3", size_update(0) + GET, Answered()),
    "two size updates": ("4.2", size_update(0) + size_update(4096) + GET, Answered()),
    "size update at the end": ("4.2", GET + size_update(0), COMPRESSION),
    "size update behind the first field": ("4.2", GET[:1] + size_update(0) + GET[1:], COMPRESSION),
    "an entry that is evicted by a size update": (
        "4.3",
        size_update(0) + GET + literal(b"x", b"y") + b"\xbe",
        COMPRESSION,
    ),
    "an entry larger than the table empties it": (
        "4.4",
        size_update(64) + GET + literal(b"x", b"y") + literal(b"x", b"y" * 60) + b"\xbe",
        COMPRESSION,
    ),
    # --- §5.1 integers
    "an integer without end": ("5.1", GET + b"\xff" + b"\x80" * 16 + b"\x01", COMPRESSION),
    "an integer of 64 bits": ("5.1", GET + b"\xff" + b"\xff" * 9 + b"\x01", COMPRESSION),
    "an integer that is cut short": ("5.1", GET + b"\xff\x80", COMPRESSION),
    "a length of 32 bits": ("5.1", GET + b"\x00\x01x\x7f\xff\xff\xff\xff\x0f", COMPRESSION),
    # --- §5.2 strings
    "a name that is cut short": ("5.2", GET + b"\x00\x05abc", COMPRESSION),
    "a value that is cut short": ("5.2", GET + b"\x00\x01x\x05abc", COMPRESSION),
    "a literal without a value": ("6.2.2", GET + b"\x00\x01x", COMPRESSION),
    "a literal that ends behind its first octet": ("6.2.1", GET + b"\x40", COMPRESSION),
    "Huffman, all ones as padding": ("5.2", GET + b"\x00\x01x\x81\x1f", Answered()),
    "Huffman, padding of zeros": ("5.2", GET + b"\x00\x01x\x81\x18", COMPRESSION),
    "Huffman, padding of a whole octet": ("5.2", GET + b"\x00\x01x\x82\x1f\xff", COMPRESSION),
    "Huffman, nothing but padding": ("5.2", GET + b"\x00\x01x\x81\xff", COMPRESSION),
    "Huffman, EOS": ("5.2", GET + b"\x00\x01x\x84\xff\xff\xff\xff", COMPRESSION),
    "Huffman, EOS behind a symbol": (
        "5.2",
        GET + b"\x00\x01x\x85\x1f\xff\xff\xff\xff",
        COMPRESSION,
    ),
    "Huffman, empty": ("5.2", GET + b"\x00\x01x\x80", Answered()),
    "Huffman in the name, padding of zeros": ("5.2", GET + b"\x00\x81\x18\x01a", COMPRESSION),
    # --- §6.2 kinds of literals
    "a literal that is indexed": ("6.2.1", GET + literal(b"x", b"y"), Answered()),
    "a literal that is not indexed": ("6.2.2", GET + b"\x00\x01x\x01y", Answered()),
    "a literal that is never indexed": ("6.2.3", GET + b"\x10\x01x\x01y", Answered()),
}


@pytest.mark.parametrize("name", [f"{section}: {name}" for name, (section, *_) in BLOCKS.items()])
def test_block(run_case, name: str) -> None:
    """RFC 9113 §4.3: a decoding error ends the connection: the tables differ from then on."""
    _, block, expected = BLOCKS[name.partition(": ")[2]]
    run_case(frames.headers(block), expected, SERVED if isinstance(expected, Answered) else ())


@pytest.mark.parametrize("name", ["2.3.3: index far beyond", "5.2: Huffman, EOS"])
def test_block_of_trailers(run_case, name: str) -> None:
    """The same decoder reads trailers."""
    _, block, _ = BLOCKS[name.partition(": ")[2]]
    trailers = frames.headers(block.removeprefix(GET))
    run_case(frames.post("/wait") + trailers, COMPRESSION)


@pytest.mark.parametrize("at", range(1, 12))
def test_a_block_may_be_cut_anywhere(connect, at: int) -> None:
    """RFC 9113 §4.3: fragments end where they like."""
    client = connect(lambda request: Response(request.headers["x"]))
    block = GET + literal(b"x", b"value")
    client.send(
        frames.headers(block[:at], stream=1, flags=frames.END_STREAM)
        + frames.continuation(block[at:], stream=1)
    )
    assert client.answer(1).body == b"value"


def test_the_table_lives_as_long_as_the_connection(connect) -> None:
    """§2.2: an entry of one request is used by the next."""
    client = connect(lambda request: Response(request.headers["x"]))
    client.send(frames.headers(GET + literal(b"x", b"one"), stream=1))
    client.send(frames.headers(GET + literal(b"x", b"three"), stream=3))
    client.send(frames.headers(GET + b"\xbf", stream=5))
    client.send(frames.headers(GET + b"\xbe", stream=7))
    bodies = [client.answer(number).body for number in (1, 3, 5, 7)]
    assert bodies == [b"one", b"three", b"one", b"three"]


def test_the_oldest_entries_are_evicted(connect) -> None:
    """§4.4"""
    client = connect(lambda request: Response(request.headers["x"]))
    # Each entry takes 32 + 1 + 5 octets; two of them fit.
    block = size_update(80) + GET + b"".join(literal(b"x", b"value") for _ in range(2))
    client.send(frames.headers(GET + literal(b"x", b"first"), stream=1))
    client.send(frames.headers(block + b"\xbf", stream=3))
    assert client.answer(3).status == 200
    client.send(frames.headers(GET + b"\xc0", stream=5))
    client.until_end()
    assert client.error == Code.COMPRESSION_ERROR


@pytest.mark.parametrize(
    "refused",
    [
        frames.headers(GET + b"\x00\x01X\x01y" + literal(b"x", b"kept"), stream=1),
        frames.headers(GET + literal(b"x", b"kept") + b"\x00\x0aconnection\x01y", stream=1),
        frames.post("/", stream=1)
        + frames.reset(stream=1)
        + frames.post("/", stream=3)
        + frames.headers(literal(b":path", b"/x") + literal(b"x", b"kept"), stream=3),
    ],
    ids=["upper case", "connection-specific", "trailers"],
)
def test_a_malformed_request_fills_the_table_all_the_same(connect, refused: bytes) -> None:
    """RFC 9113 §4.3: every block changes the state of the decoder, whatever becomes of its stream.

    A decoder that stops at the first bad field lets one client mix up the fields of its requests.
    """
    client = connect(lambda request: Response(request.headers["x"]))
    client.send(refused)
    client.send(frames.headers(GET + b"\xbe", stream=5))
    answer = client.answer(5)
    assert (answer.status, answer.body) == (200, b"kept"), client.error


def test_a_refused_stream_fills_the_table_all_the_same(live) -> None:
    from .conftest import answer_or_wait

    server = live(answer_or_wait, max_concurrent_streams=1)
    client = HTTP2Client(server.connect())
    client.send(frames.request("/wait", stream=1))
    client.send(frames.headers(GET + literal(b"x", b"kept"), stream=3))
    assert client.answer(3).reset == Code.REFUSED_STREAM
    client.send(frames.reset(stream=1))
    server.until(lambda: not server.server.counters.requests_in_flight)
    client.send(frames.headers(GET + b"\xbe", stream=5))
    assert client.answer(5).status == 200


@pytest.mark.parametrize("size", [0, 50, 4096, 65_536, 2**32 - 1])
def test_the_server_heeds_the_size_of_the_client_s_table(connect, size: int) -> None:
    """RFC 9113 §6.5.2 and §4.3.1: an encoder signals a smaller table before it uses it."""
    client = connect(
        lambda request: Response("a", headers={"x-a": "value", "x-b": request.path}),
        frames.PREFACE + frames.settings((frames.HEADER_TABLE_SIZE, size)),
    )
    client.decoder.max_allowed_table_size = size
    for i in range(5):
        answer = client.get(f"/{i}")
        assert (answer["x-a"], answer["x-b"]) == ("value", f"/{i}")
    # However much the client offers: the table is this side's memory.
    assert client.decoder.header_table_size <= min(size, 65_536)


def test_a_table_that_shrinks_meanwhile(connect) -> None:
    client = connect(lambda request: Response("a", headers={"x-a": "value"}))
    assert client.get()["x-a"] == "value"
    client.send(frames.settings((frames.HEADER_TABLE_SIZE, 0)))
    assert client.fence()
    client.decoder.max_allowed_table_size = 0
    assert client.get()["x-a"] == "value"
    client.send(frames.settings((frames.HEADER_TABLE_SIZE, 4096)))
    assert client.fence()
    client.decoder.max_allowed_table_size = 4096
    assert [client.get()["x-a"] for _ in range(3)] == ["value"] * 3
