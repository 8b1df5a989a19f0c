"""Two libraries, one result: the same frames give the same requests, and the same verdict.

Scripts of frames, most of them good, are mutated, cut in different ways, and given to both. What
the RFC leaves open is decided before a library sees it. Two things are allowed for: nghttp2 judges
a field section before its last CONTINUATION is there, and where it ends the connection, it does not
tell which of the requests before that it has refused.
"""

from typing import Any

import msgspec
from hpack import Encoder
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from httpkit.limits import Limits
from httpkit.protocol.http2 import PREFACE
from httpkit.protocol.http2 import frames as f
from httpkit.protocol.http2.frames import ErrorCode
from httpkit.protocol.http2.reference import _split as split

from .http2_driver import GET, POST, SMALL, Peer, number

FUZZ = settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

FIELDS = [
    (b"x", b"y"),
    (b"cookie", b"a=b"),
    (b"cookie", b"c=d"),
    (b"content-length", b"5"),
    (b"content-length", b"0"),
    (b"content-length", b"x"),
    (b"host", b"a"),
    (b"host", b"b"),
    (b"te", b"trailers"),
    (b"te", b"gzip"),
    (b"connection", b"close"),
    (b"expect", b"100-continue"),
    (b"expect", b"tea"),
    (b"Upper", b"case"),
    (b"bad value", b"x"),
    (b"x", b" blank"),
    (b"x", b"nul\0"),
    (b":path", b"/twice"),
    (b":unknown", b""),
    (b"priority", b"u=1, i"),
    (b"big", b"x" * 300),
    (b"", b""),
]
REPLACED = [
    (b":method", b"HEAD"),
    (b":method", b"CONNECT"),
    (b":method", b"BREW"),
    (b":method", b"b rew"),
    (b":path", b"*"),
    (b":path", b""),
    (b":path", b"/" + b"a" * 200),
    (b":path", b"no-slash"),
    (b":scheme", b"https"),
    (b":scheme", b"ftp"),
    (b":authority", b""),
    (b":authority", b"u@a"),
    (b":authority", b"[::1]:80"),
    (b":protocol", b"websocket"),
]

streams = st.sampled_from([1, 3, 5, 7, 9, 2, 0])


@st.composite
def requests(draw: Any) -> tuple[str, Any]:
    fields = list(draw(st.sampled_from([GET, POST])))
    for name, value in draw(st.lists(st.sampled_from(REPLACED), max_size=2)):
        fields = [field for field in fields if field[0] != name]
        fields.insert(0, (name, value))
    if draw(st.booleans()):
        fields += draw(st.lists(st.sampled_from(FIELDS), max_size=3))
    return "request", (fields, draw(st.booleans()), draw(st.booleans()))


def raw(kind: Any, flags: Any, payload: Any) -> st.SearchStrategy[tuple[str, Any]]:
    return st.tuples(st.just("raw"), st.tuples(kind, flags, streams, payload))


just = st.just
steps = st.one_of(
    requests(),
    requests(),
    raw(just(f.DATA), st.sampled_from([0, 0, 1, 8]), st.binary(max_size=12)),
    raw(just(f.DATA), st.sampled_from([0, 1]), just(b"hello")),
    st.tuples(just("trailers"), st.tuples(streams, st.sampled_from([*FIELDS[:1], *FIELDS[13:18]]))),
    raw(just(f.RST_STREAM), just(0), just(number(8))),
    raw(just(f.WINDOW_UPDATE), just(0), st.sampled_from([number(0), number(5), number(2**31 - 1)])),
    raw(just(f.PRIORITY), just(0), st.sampled_from([bytes(5), bytes(4), number(1) + b"\x01"])),
    raw(just(f.PING), st.sampled_from([0, 1]), just(bytes(8))),
    raw(st.integers(0, 20), st.integers(0, 255), st.binary(max_size=12)),
)


def build(script: list[tuple[str, Any]]) -> bytes:
    """The octets of a script."""
    encoder = Encoder()
    octets = b""
    next_id = 1
    for name, value in script:
        if name == "request":
            fields, ends, huffman = value
            flags = f.END_HEADERS | (f.END_STREAM if ends else 0)
            block = encoder.encode(fields, huffman=huffman)
            octets += f.serialize_frame(f.HEADERS, flags, next_id, block)
            next_id += 2
        elif name == "trailers":
            stream_id, field = value
            block = encoder.encode([field])
            octets += f.serialize_frame(f.HEADERS, 5, stream_id, block)
        else:
            kind, flags, stream_id, payload = value
            octets += f.serialize_frame(kind, flags, stream_id, payload)
    return octets


def outcome(
    session: str, octets: bytes, cuts: list[int], answered: bool, limits: Limits = SMALL
) -> Any:
    """What an engine makes of it, in a form that can be compared."""
    peer = Peer(session, limits)
    start = 0
    for cut in [*sorted(cut % (len(octets) + 1) for cut in cuts), len(octets)]:
        if cut > start:
            peer.feed(octets[start:cut])
        start = cut
        if answered:
            for stream_id, received in list(peer.streams.items()):
                if received.ended and not received.reset:
                    peer.answer(stream_id)
    streams = {
        stream_id: (
            received.request.head.method,
            received.request.head.target,
            received.request.head.authority,
            received.request.head.headers,
            received.request.content_length,
            received.request.upgrade,
            received.body,
            received.ended,
            received.trailers,
            received.reset is not None,
        )
        for stream_id, received in peer.streams.items()
    }
    # When the connection ends, why a stream does is of no interest any more.
    refused = {
        key: None if peer.terminated else type(reset.error) for key, reset in peer.refused.items()
    }
    answers = {
        key: ([dict(head) for head in answer.heads], answer.body, answer.ended, answer.reset)
        for key, answer in peer.answers.items()
        if key not in peer.refused
        and key != peer.engine._block
        and not (key in peer.streams and peer.streams[key].reset)
    }
    return streams, refused, answers, peer.failure, peer.engine.close, peer.engine._block


def compare(octets: bytes, cuts: list[int], *, answered: bool) -> None:
    """Both libraries make the same of it."""
    reference = outcome("reference", octets, cuts, answered)
    native = outcome("native", octets, cuts, answered)
    if native != reference:
        # nghttp2 judges a field section that is not complete, h2 does not look at it: it may find
        # a fault where there would have been another, or none yet.
        assume(not reference[-1])
        assert {native[3], reference[3]} == {ErrorCode.PROTOCOL_ERROR, ErrorCode.COMPRESSION_ERROR}
        heads = [frame for frame in split(octets) if frame[3] == f.HEADERS]
        assert any(not frame[4] & f.END_HEADERS for frame in heads)


@FUZZ
@given(st.lists(steps, max_size=12), st.lists(st.integers(0, 2000), max_size=4), st.booleans())
@example([("raw", (f.HEADERS, 0, 1, b"\xbe"))], [], False)
def test_scripts(script, cuts, answered) -> None:
    compare(build(script), cuts, answered=answered)


@FUZZ
@given(
    st.lists(steps, min_size=1, max_size=6),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=3),
)
def test_octets_that_are_changed(script, changes) -> None:
    octets = bytearray(build(script))
    for position, value in changes:
        octets[position % len(octets)] = value
    compare(bytes(octets), [], answered=True)


def refused(name: bytes, value: bytes, *then: tuple[str, Any]) -> list[tuple[str, Any]]:
    """A script: a request that is answered by the engine while its content is still to come."""
    fields = [(name, value), *(field for field in GET if field[0] != name)]
    return [("request", (fields, False, False)), *then]


@FUZZ
@given(st.lists(steps, max_size=6), st.lists(st.integers(0, 2000), max_size=6))
@example(refused(b":path", b"/" + b"a" * 200, ("raw", (f.RST_STREAM, 0, 1, number(8)))), [142])
@example(refused(b":method", b"BREW", ("trailers", (1, (b"x", b"y")))), [20])
@example(refused(b":method", b"BREW", ("trailers", (1, (b":x", b"y")))), [20])
@example(refused(b":method", b"BREW", ("raw", (f.DATA, 1, 1, b"hello"))), [20])
def test_cuts_change_nothing(script, cuts) -> None:
    """With room for all streams: those of one read are counted before any of them is judged."""
    limits = msgspec.structs.replace(SMALL, max_concurrent_streams=100)
    octets = build(script)
    for session in ("native", "reference"):
        whole = outcome(session, octets, [], False, limits)
        cut = outcome(session, octets, cuts, False, limits)
        assert whole[0].keys() == cut[0].keys()
        assert whole == cut


@given(st.binary(max_size=200))
def test_anything_may_follow_the_preface(octets) -> None:
    for session in ("native", "reference"):
        peer = Peer(session, SMALL, greet=None)
        peer.feed(PREFACE + octets)
        assert peer.engine.close is not None
