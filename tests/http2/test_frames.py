"""Each frame type, well and badly formed (RFC 9113 §4 and §6), as a table.

Every case stands behind a good request on stream 1 and goes out in one piece and byte by byte.
"""

import struct

import pytest

from httpkit.response import Response

from . import frames
from .expect import Answered, Expectation, Goes, connection, either
from .frames import COMPLETE, END_HEADERS, PADDED, PRIORITIZED, Code, frame

PROTOCOL = connection(Code.PROTOCOL_ERROR)
SIZE = connection(Code.FRAME_SIZE_ERROR)

GET = frames.block(frames.request_fields())
#: A request on stream 3 that is not answered.
WAIT = frames.request("/wait", stream=3)
UPLOAD = frames.post("/wait", stream=3)
#: A priority that depends on nothing.
WEIGHT = struct.pack("!IB", 0, 15)

# name: (section, what is sent, what is seen, what else the application sees)
CASES: dict[str, tuple[str, bytes, Expectation, tuple[str, ...]]] = {
    # --- §4.1 frame format
    "unknown type": ("4.1", frame(frames.UNKNOWN, b"grease", flags=0xFF), Goes(), ()),
    "unknown type on an idle stream": ("4.1", frame(frames.UNKNOWN, stream=3), Goes(), ()),
    "unknown type on an open stream": (
        "4.1",
        UPLOAD + frame(frames.UNKNOWN, b"x", stream=3),
        Goes(),
        (),
    ),
    "unassigned flags of PING": ("4.1", frame(frames.PING, b"a" * 8, flags=0xFE), Goes(), ()),
    "unassigned flags of HEADERS": (
        "4.1",
        frames.headers(GET, flags=COMPLETE | 0xD2),
        Answered(),
        ("GET /",),
    ),
    "reserved bit": (
        "4.1",
        frames.headers(GET, stream=0x80000003),
        Answered(),
        ("GET /",),
    ),
    "reserved bit on stream 0": ("4.1", frame(frames.PING, b"a" * 8, stream=1 << 31), Goes(), ()),
    # --- §4.2 frame size
    "DATA of 2^14 octets": (
        "4.2",
        frames.post() + frames.data(b"a" * 16_384, end=True),
        Answered(),
        ("POST /",),
    ),
    "DATA of 2^14 + 1 octets": (
        "4.2",
        UPLOAD + frames.data(b"a" * 16_385),
        either(Code.FRAME_SIZE_ERROR),
        (),
    ),
    "HEADERS of 2^14 + 1 octets": ("4.2", frames.headers(GET + b"a" * 16_385), SIZE, ()),
    "unknown type of 2^14 + 1 octets": ("4.2", frame(frames.UNKNOWN, b"a" * 16_385), SIZE, ()),
    "SETTINGS of 2^14 + 2 octets": (
        "4.2",
        frame(frames.SETTINGS, b"\0\0\0\0\0\0" * 2731),
        SIZE,
        (),
    ),
    "a length of 2^24 - 1 before its octets come": (
        "4.2",
        UPLOAD + frame(frames.DATA, stream=3, length=(1 << 24) - 1),
        either(Code.FRAME_SIZE_ERROR),
        (),
    ),
    # --- §4.3 a header block is one piece
    "CONTINUATION with the rest": (
        "4.3",
        frames.headers(GET[:7], flags=frames.END_STREAM) + frames.continuation(GET[7:]),
        Answered(),
        ("GET /",),
    ),
    "CONTINUATION three times, one empty": (
        "4.3",
        frames.headers(b"", flags=frames.END_STREAM)
        + frames.continuation(GET[:1], end=False)
        + frames.continuation(b"", end=False)
        + frames.continuation(GET[1:]),
        Answered(),
        ("GET /",),
    ),
    **{
        f"{name} inside a header block": (
            "6.10",
            frames.headers(GET[:7], flags=frames.END_STREAM) + inner,
            PROTOCOL,
            (),
        )
        for name, inner in {
            "DATA": frames.data(b"a"),
            "HEADERS of the same stream": frames.headers(GET),
            "HEADERS of another stream": frames.headers(GET, stream=5),
            "PRIORITY": frames.priority(),
            "RST_STREAM": frames.reset(),
            "SETTINGS": frames.settings(),
            "PING": frames.ping(),
            "GOAWAY": frames.goaway(),
            "WINDOW_UPDATE": frames.window_update(1),
            "PUSH_PROMISE": frame(frames.PUSH_PROMISE, b"\0\0\0\2", stream=3, flags=END_HEADERS),
            "CONTINUATION of another stream": frames.continuation(GET[7:], stream=5),
            "CONTINUATION of stream 0": frames.continuation(GET[7:], stream=0),
            "an unknown type": frame(frames.UNKNOWN, b"x"),  # §5.5
        }.items()
    },
    # --- §6.1 DATA
    "DATA on stream 0": ("6.1", frames.data(b"a", stream=0), PROTOCOL, ()),
    "padded DATA": (
        "6.1",
        frames.post() + frame(frames.DATA, b"\4abc\0\0\0\0", stream=3, flags=PADDED | 1),
        Answered(),
        ("POST /",),
    ),
    "DATA that is all padding": (
        "6.1",
        frames.post() + frame(frames.DATA, b"\4\0\0\0\0", stream=3, flags=PADDED | 1),
        Answered(),
        ("POST /",),
    ),
    "padding as long as the payload": (
        "6.1",
        UPLOAD + frame(frames.DATA, b"\4abc", stream=3, flags=PADDED),
        PROTOCOL,
        (),
    ),
    "padding longer than the payload": (
        "6.1",
        UPLOAD + frame(frames.DATA, b"\xffabc", stream=3, flags=PADDED),
        PROTOCOL,
        (),
    ),
    "no room for the pad length": (
        "6.1",
        UPLOAD + frame(frames.DATA, b"", stream=3, flags=PADDED),
        connection(Code.FRAME_SIZE_ERROR, Code.PROTOCOL_ERROR),
        (),
    ),
    # --- §6.2 HEADERS
    "HEADERS on stream 0": ("6.2", frames.headers(GET, stream=0), PROTOCOL, ()),
    "padded HEADERS with a priority": (
        "6.2",
        frames.headers(
            GET + b"\0\0\0", prefix=b"\3" + WEIGHT, flags=COMPLETE | PADDED | PRIORITIZED
        ),
        Answered(),
        ("GET /",),
    ),
    "padding longer than the block": (
        "6.2",
        frames.headers(GET, prefix=b"\xff", flags=COMPLETE | PADDED),
        PROTOCOL,
        (),
    ),
    "padding longer than what the priority leaves": (
        "6.2",
        frames.headers(b"", prefix=b"\1" + WEIGHT, flags=COMPLETE | PADDED | PRIORITIZED),
        PROTOCOL,
        (),
    ),
    "HEADERS without room for the pad length": (
        "6.2",
        frames.headers(b"", flags=COMPLETE | PADDED),
        connection(Code.FRAME_SIZE_ERROR, Code.PROTOCOL_ERROR),
        (),
    ),
    "HEADERS without room for the priority": (
        "6.2",
        frames.headers(b"\0\0\0", flags=COMPLETE | PRIORITIZED),
        connection(Code.FRAME_SIZE_ERROR, Code.PROTOCOL_ERROR),
        (),
    ),
    # --- §6.3 PRIORITY
    "PRIORITY on an idle stream": ("6.3", frames.priority(stream=9), Goes(), ()),
    "PRIORITY on a closed stream": ("6.3", frames.priority(stream=1), Goes(), ()),
    "PRIORITY on an open stream": ("6.3", WAIT + frames.priority(), Goes(), ()),
    "PRIORITY on stream 0": ("6.3", frames.priority(stream=0), PROTOCOL, ()),
    "PRIORITY of 4 octets": (
        "6.3",
        WAIT + frame(frames.PRIORITY, b"\0\0\0\0", stream=3),
        either(Code.FRAME_SIZE_ERROR),
        (),
    ),
    # --- §6.4 RST_STREAM
    "RST_STREAM with an unknown code": (
        "6.4",
        WAIT + frames.reset(0xDEADBEEF),
        Goes(),
        (),
    ),
    "RST_STREAM on stream 0": ("6.4", frames.reset(stream=0), PROTOCOL, ()),
    "RST_STREAM on an idle stream": ("6.4", frames.reset(stream=3), PROTOCOL, ()),
    "RST_STREAM of 3 octets": ("6.4", WAIT + frame(frames.RST_STREAM, b"abc", stream=3), SIZE, ()),
    "RST_STREAM of 5 octets": (
        "6.4",
        WAIT + frame(frames.RST_STREAM, b"\0\0\0\0\0", stream=3),
        SIZE,
        (),
    ),
    # --- §6.5 SETTINGS
    "SETTINGS on a stream": ("6.5", frame(frames.SETTINGS, stream=3), PROTOCOL, ()),
    "SETTINGS of 5 octets": ("6.5", frame(frames.SETTINGS, b"\0" * 5), SIZE, ()),
    "an acknowledgment with content": (
        "6.5",
        frame(frames.SETTINGS, b"\0\4\0\0\0\0", flags=frames.ACK),
        SIZE,
        (),
    ),
    "an unknown setting": ("6.5.2", frames.settings((0xF0F0, 2**32 - 1)), Goes(), ()),
    "as many settings as there may be": (
        "6.5.2",
        frames.settings(*[(0xF000 + i, i) for i in range(32)]),
        Goes(),
        (),
    ),
    "one more": (  # §10.5: each of them costs time
        "6.5.2",
        frames.settings(*[(0xF000 + i, i) for i in range(33)]),
        connection(Code.ENHANCE_YOUR_CALM),
        (),
    ),
    "a setting twice": (
        "6.5.3",
        frames.settings((frames.MAX_FRAME_SIZE, 20_000), (frames.MAX_FRAME_SIZE, 16_384)),
        Goes(),
        (),
    ),
    "every setting at its least": (
        "6.5.2",
        frames.settings(
            *((frames.HEADER_TABLE_SIZE, 0), (frames.ENABLE_PUSH, 0)),
            *((frames.MAX_CONCURRENT_STREAMS, 0), (frames.MAX_FRAME_SIZE, 16_384)),
        ),
        Goes(),
        (),
    ),
    "every setting at its most": (
        "6.5.2",
        frames.settings(
            *((frames.HEADER_TABLE_SIZE, 4096), (frames.ENABLE_PUSH, 1)),
            *((frames.MAX_CONCURRENT_STREAMS, 2**32 - 1), (frames.INITIAL_WINDOW_SIZE, 2**31 - 1)),
            *((frames.MAX_FRAME_SIZE, 2**24 - 1), (frames.MAX_HEADER_LIST_SIZE, 2**32 - 1)),
        ),
        Goes(),
        (),
    ),
    "ENABLE_PUSH of 2": ("6.5.2", frames.settings((frames.ENABLE_PUSH, 2)), PROTOCOL, ()),
    "INITIAL_WINDOW_SIZE of 2^31": (
        "6.5.2",
        frames.settings((frames.INITIAL_WINDOW_SIZE, 2**31)),
        connection(Code.FLOW_CONTROL_ERROR),
        (),
    ),
    "MAX_FRAME_SIZE below 2^14": (
        "6.5.2",
        frames.settings((frames.MAX_FRAME_SIZE, 16_383)),
        PROTOCOL,
        (),
    ),
    "MAX_FRAME_SIZE of 2^24": (
        "6.5.2",
        frames.settings((frames.MAX_FRAME_SIZE, 2**24)),
        PROTOCOL,
        (),
    ),
    "ENABLE_CONNECT_PROTOCOL of 2": (
        "RFC 8441 3",
        frames.settings((frames.ENABLE_CONNECT_PROTOCOL, 2)),
        PROTOCOL,
        (),
    ),
    "NO_RFC7540_PRIORITIES of 2": (
        "RFC 9218 2.1",
        frames.settings((frames.NO_RFC7540_PRIORITIES, 2)),
        PROTOCOL,
        (),
    ),
    # --- §6.6 PUSH_PROMISE
    "PUSH_PROMISE of a client": (
        "8.4",
        WAIT + frame(frames.PUSH_PROMISE, b"\0\0\0\2" + GET, stream=3, flags=END_HEADERS),
        PROTOCOL,
        (),
    ),
    "PUSH_PROMISE on stream 0": (
        "6.6",
        frame(frames.PUSH_PROMISE, b"\0\0\0\2" + GET, flags=END_HEADERS),
        PROTOCOL,
        (),
    ),
    # --- §6.7 PING
    "PING on a stream": ("6.7", frame(frames.PING, b"a" * 8, stream=3), PROTOCOL, ()),
    "PING of 7 octets": ("6.7", frame(frames.PING, b"a" * 7), SIZE, ()),
    "PING of 9 octets": ("6.7", frame(frames.PING, b"a" * 9), SIZE, ()),
    # --- §6.8 GOAWAY
    "GOAWAY on a stream": ("6.8", frame(frames.GOAWAY, b"\0" * 8, stream=3), PROTOCOL, ()),
    "GOAWAY of 7 octets": ("6.8", frame(frames.GOAWAY, b"\0" * 7), SIZE, ()),
    # --- §6.9 WINDOW_UPDATE
    "WINDOW_UPDATE of 3 octets": ("6.9", frame(frames.WINDOW_UPDATE, b"\0\0\1"), SIZE, ()),
    "WINDOW_UPDATE of 5 octets on a stream": (
        "6.9",
        WAIT + frame(frames.WINDOW_UPDATE, b"\0\0\0\1\0", stream=3),
        SIZE,
        (),
    ),
    "WINDOW_UPDATE with the reserved bit": ("6.9", frames.window_update(1 << 31 | 1), Goes(), ()),
    # --- §6.10 CONTINUATION
    "CONTINUATION of nothing": ("6.10", frames.continuation(GET), PROTOCOL, ()),
    "CONTINUATION on stream 0": ("6.10", frames.continuation(GET, stream=0), PROTOCOL, ()),
    "CONTINUATION after END_HEADERS": (
        "6.10",
        frames.headers(frames.request_fields("/wait"), flags=END_HEADERS)
        + frames.continuation(b""),
        PROTOCOL,
        (),
    ),
    "CONTINUATION after DATA": (
        "6.10",
        UPLOAD + frames.data(b"a") + frames.continuation(GET),
        PROTOCOL,
        (),
    ),
    # --- RFC 9218 §7.1 PRIORITY_UPDATE
    "PRIORITY_UPDATE of an idle stream": ("9218 7.1", frames.priority_update(b"u=1"), Goes(), ()),
    "PRIORITY_UPDATE of an open stream": (
        "9218 7.1",
        WAIT + frames.priority_update(b"u=7, i"),
        Goes(),
        (),
    ),
    "PRIORITY_UPDATE of a closed stream": (
        "9218 7.1",
        frames.priority_update(b"u=1", prioritized=1),
        Goes(),
        (),
    ),
    "PRIORITY_UPDATE that cannot be parsed": (
        "9218 7.1",
        frames.priority_update(b"\0,,"),
        Goes(),
        (),
    ),
    "PRIORITY_UPDATE on a stream": (
        "9218 7.1",
        frame(frames.PRIORITY_UPDATE, b"\0\0\0\3u=1", stream=3),
        PROTOCOL,
        (),
    ),
    "PRIORITY_UPDATE of stream 0": (
        "9218 7.1",
        frames.priority_update(b"u=1", prioritized=0),
        PROTOCOL,
        (),
    ),
    "PRIORITY_UPDATE of 3 octets": (
        "9218 7.1",
        frame(frames.PRIORITY_UPDATE, b"\0\0\3"),
        SIZE,
        (),
    ),
}


@pytest.mark.parametrize("name", [f"{section}: {name}" for name, (section, *_) in CASES.items()])
def test_frame(run_case, name: str) -> None:
    _, sent, expected, served = CASES[name.partition(": ")[2]]
    run_case(sent, expected, served)


def test_a_ping_is_returned_as_it_is(connect) -> None:
    """§6.7: with the same payload, and an answer to none is answered by nothing."""
    client = connect()
    client.send(
        frame(frames.PING, b"abcdefgh", flags=frames.ACK) + frames.ping(b"\0\1\2\3\4\5\6\7")
    )
    assert client.fence()
    assert client.pongs[:-1] == [b"\0\1\2\3\4\5\6\7"]


def test_every_settings_frame_is_acknowledged(connect) -> None:
    """§6.5.3"""
    client = connect()
    client.send(frames.settings((frames.MAX_FRAME_SIZE, 20_000)) + frames.settings())
    assert client.fence()
    assert client.settings_acks == 3


@pytest.mark.parametrize("size", [16_384, 20_000, (1 << 24) - 1])
def test_frames_are_no_larger_than_allowed(connect, size: int) -> None:
    """§4.2; nobody has to make them so large."""
    client = connect(lambda request: Response(b"a" * 60_000))
    client.allow_frames_of(size)
    answer = client.get()
    assert len(answer.body) == 60_000
    assert max(map(len, answer.pieces)) <= size
