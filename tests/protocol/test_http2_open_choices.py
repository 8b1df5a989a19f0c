"""What the RFCs leave open for HTTP/2, or where this server does otherwise: the one table.

As `open_choices.py` for HTTP/1.1. Both libraries must make the same choice.
"""

from collections.abc import Callable
from typing import NamedTuple

import pytest

from httpkit.protocol.http2 import frames as f
from httpkit.protocol.http2.frames import ErrorCode
from httpkit.request import RequestHead

from .http2_driver import GET, POST, SMALL, Peer, data, number, settings


class Choice(NamedTuple):
    """One decision.

    Attributes:
        section: where the RFC says what it says.
        text: what it says, and what is done here and why.
        sample: makes the octets that show it.
        verdict: the status of a refusal, the code of RST_STREAM or that of GOAWAY, or "served".
    """

    section: str
    text: str
    sample: Callable[[Peer], bytes]
    verdict: tuple[str, int] | str


def stream_error(code: ErrorCode) -> tuple[str, int]:
    return "stream", code


def connection_error(code: ErrorCode) -> tuple[str, int]:
    return "connection", code


def status(code: int) -> tuple[str, int]:
    return "status", code


def request(*fields: tuple[bytes, bytes], **replaced: bytes) -> Callable[[Peer], bytes]:
    """A request with more fields, or with other pseudo-header fields; an empty one is left out."""
    pseudo = [(name, replaced.get(name[1:].decode(), value)) for name, value in GET]
    return lambda peer: peer.headers([*(field for field in pseudo if field[1]), *fields])


def after_an_answer(octets: Callable[[Peer], bytes]) -> Callable[[Peer], bytes]:
    """On stream 1, that is closed in order."""

    def sample(peer: Peer) -> bytes:
        peer.answer(peer.request())
        return octets(peer)

    return sample


def in_pieces(count: int) -> Callable[[Peer], bytes]:
    """A field section in so many frames more."""

    def sample(peer: Peer) -> bytes:
        block = peer.encoder.encode(GET)
        octets = f.serialize_frame(f.HEADERS, f.END_STREAM, 1, block)
        for left in range(count - 1, -1, -1):
            octets += f.serialize_frame(f.CONTINUATION, 0 if left else f.END_HEADERS, 1)
        return octets

    return sample


def promised_and_prioritized(peer: Peer) -> bytes:
    """A push, and what the client wants with it."""
    peer.request()
    peer.engine.send_push(1, RequestHead("GET", b"/a", b"a", (), "http", "2"))
    return f.serialize_frame(f.PRIORITY_UPDATE, 0, 0, number(2) + b"u=0")


MALFORMED = stream_error(ErrorCode.PROTOCOL_ERROR)
CALM = connection_error(ErrorCode.ENHANCE_YOUR_CALM)

OPEN_CHOICES = {
    "frames on a stream that is closed in order": Choice(
        "RFC 9113 §5.1",
        "MAY be a connection error. It is: no honest peer sends more after END_STREAM.",
        after_an_answer(lambda _: data(1, b"x")),
        connection_error(ErrorCode.STREAM_CLOSED),
    ),
    "a field section on such a stream": Choice(
        "RFC 9113 §5.1",
        "As content.",
        after_an_answer(lambda peer: peer.headers(GET, 1)),
        connection_error(ErrorCode.STREAM_CLOSED),
    ),
    "more streams than allowed": Choice(
        "RFC 9113 §5.1.2",
        "PROTOCOL_ERROR or REFUSED_STREAM. The latter: it tells that a retry is safe (§8.7).",
        lambda peer: b"".join(peer.headers() for _ in range(5)),
        stream_error(ErrorCode.REFUSED_STREAM),
    ),
    "a stream that depends on itself": Choice(
        "RFC 7540 §5.3.1",
        "A stream error of a scheme that RFC 9113 §5.3 has deprecated. A connection error: the "
        "field section need not be decoded, and nobody sends this by mistake.",
        lambda _: f.serialize_frame(f.HEADERS, 5 | f.PRIORITY_FLAG, 1, number(1) + b"\x10\x82"),
        connection_error(ErrorCode.PROTOCOL_ERROR),
    ),
    "padding that is not zero": Choice(
        "RFC 9113 §6.1",
        "MAY be a connection error. Ignored: to look at it costs more than it could do.",
        lambda peer: (
            peer.headers(POST, end=False)
            + f.serialize_frame(f.DATA, f.PADDED | f.END_STREAM, 1, b"\x03xyz!")
        ),
        "served",
    ),
    "content of GET": Choice(
        "RFC 9110 §9.3.1",
        "No defined semantics; MAY be rejected. Read like any other, as in HTTP/1.1.",
        lambda peer: peer.headers(GET, end=False) + data(1, b"x", end=True),
        "served",
    ),
    "many settings in a frame": Choice(
        "RFC 9113 §10.5",
        "No number is given. More than 32 are no settings.",
        lambda _: settings(*((0xF000 + count, 0) for count in range(33))),
        CALM,
    ),
    "NO_RFC7540_PRIORITIES that changes": Choice(
        "RFC 9218 §2.1",
        "MAY be a connection error. It is, as nghttp2 has it, which takes its absence for 0.",
        lambda _: settings((9, 1)),
        connection_error(ErrorCode.PROTOCOL_ERROR),
    ),
    "NO_RFC7540_PRIORITIES that stays": Choice(
        "RFC 9218 §2.1",
        "Said again, it is no change.",
        lambda peer: settings((9, 0), (9, 0)) + settings((9, 0)) + peer.headers(),
        "served",
    ),
    "an acknowledgement of no SETTINGS": Choice(
        "RFC 9113 §6.5.3",
        "Nothing is said of it. A connection error, as nghttp2 has it: who cannot count is broken.",
        lambda _: 2 * f.serialize_frame(f.SETTINGS, f.ACK, 0),
        connection_error(ErrorCode.PROTOCOL_ERROR),
    ),
    "a field section in many frames": Choice(
        "RFC 9113 §10.5.1",
        "No number is given. Sixteen CONTINUATION frames are enough for all that fits the limits.",
        in_pieces(17),
        CALM,
    ),
    "a field section in some frames, some of them empty": Choice(
        "RFC 9113 §6.10",
        "As above; so few are let through.",
        in_pieces(16),
        "served",
    ),
    "too large a field section": Choice(
        "RFC 9113 §10.5.1",
        "MAY be 431. It is, as in HTTP/1.1; only what is twice as large ends the connection.",
        request((b"x", b"y" * 1000)),
        status(431),
    ),
    "too long a target": Choice(
        "RFC 9110 §15.5.15",
        "414, as in HTTP/1.1.",
        request(path=b"/" + b"a" * 100),
        status(414),
    ),
    "Host beside another :authority": Choice(
        "RFC 9113 §8.3.1",
        "SHOULD be malformed. It is: hops would see different hosts.",
        request((b"host", b"b")),
        MALFORMED,
    ),
    "Host instead of :authority": Choice(
        "RFC 9113 §8.3.1",
        "Clients SHOULD use :authority; gateways from HTTP/1.1 may not.",
        request((b"host", b"a"), authority=b""),
        "served",
    ),
    "neither": Choice(
        "RFC 9110 §7.2",
        "Http needs an authority, so the request is malformed.",
        request(authority=b""),
        MALFORMED,
    ),
    "user information in :authority": Choice(
        "RFC 9113 §8.3.1",
        "MUST NOT be sent. Malformed, as in HTTP/1.1.",
        request(authority=b"u@a"),
        MALFORMED,
    ),
    "other schemes": Choice(
        "RFC 9113 §8.3.1",
        "Not restricted to http and https, for the sake of proxies. Malformed: this is none.",
        request(scheme=b"ftp"),
        MALFORMED,
    ),
    "https without TLS": Choice(
        "RFC 9110 §7.4",
        "Whether a scheme fits the connection is known above the engine.",
        request(scheme=b"https"),
        "served",
    ),
    "methods that nobody knows": Choice(
        "RFC 9110 §9.1",
        "SHOULD be 501. It is; the connection goes on, as its framing does not depend on it.",
        request(method=b"BREW"),
        status(501),
    ),
    "CONNECT": Choice(
        "RFC 9113 §8.5",
        "An origin server MAY accept it. 405, as in HTTP/1.1.",
        request(method=b"CONNECT", scheme=b"", path=b""),
        status(405),
    ),
    "protocols that nobody knows": Choice(
        "RFC 9220 §3",
        "SHOULD be 501. It is.",
        lambda peer: peer.headers(
            [(b":method", b"CONNECT"), *GET[1:], (b":protocol", b"tea")], end=False
        ),
        status(501),
    ),
    "Content-Length of an extended CONNECT": Choice(
        "RFC 9110 §8.6, RFC 8441 §4",
        "The tunnel has no content of which it could be the length, 0 included. Malformed: nghttp2"
        " would count the bytes of the tunnel against it.",
        lambda peer: peer.headers(
            [
                (b":method", b"CONNECT"),
                *GET[1:],
                (b":protocol", b"websocket"),
                (b"content-length", b"0"),
            ],
            end=False,
        ),
        stream_error(ErrorCode.PROTOCOL_ERROR),
    ),
    "Host instead of :authority in an extended CONNECT": Choice(
        "RFC 8441 §4",
        ":authority as in other requests, so Host could stand for it. Malformed, as for nghttp2: no"
        " gateway makes such a request of one of HTTP/1.1.",
        lambda peer: peer.headers(
            [
                (b":method", b"CONNECT"),
                *(field for field in GET[1:] if field[0] != b":authority"),
                (b":protocol", b"websocket"),
                (b"host", b"a"),
            ],
            end=False,
        ),
        stream_error(ErrorCode.PROTOCOL_ERROR),
    ),
    "a method that nobody knows, and less content than Content-Length": Choice(
        "RFC 9113 §8.1.1",
        "A malformed request MAY be answered before it is reset. It is not, whatever else it is.",
        request((b"content-length", b"5"), method=b"BREW"),
        stream_error(ErrorCode.PROTOCOL_ERROR),
    ),
    "expectations": Choice(
        "RFC 9110 §10.1.1",
        "MAY be 417 where they are not met. 417.",
        request((b"expect", b"magic")),
        status(417),
    ),
    "framing and routing in trailers": Choice(
        "RFC 9110 §6.5.1",
        "MUST NOT be generated; MAY be ignored. Malformed, as in HTTP/1.1: nghttp2 holds them "
        "against the head.",
        lambda peer: peer.headers(POST, end=False) + peer.headers([(b"host", b"b")], 1),
        MALFORMED,
    ),
    "PRIORITY_UPDATE for a push": Choice(
        "RFC 9218 §7.1",
        "A hint, if the push was promised. Dropped: nghttp2 has no order for pushes.",
        promised_and_prioritized,
        "served",
    ),
    "PRIORITY_UPDATE for a stream that does not come": Choice(
        "RFC 9218 §7.1",
        "MAY be discarded. Kept for a while, as many as are bearable.",
        lambda peer: (
            f.serialize_frame(f.PRIORITY_UPDATE, 0, 0, number(99) + b"u=0") + peer.headers()
        ),
        "served",
    ),
}


def judge(peer: Peer) -> tuple[str, int] | str:
    """What became of the last thing that was sent."""
    if peer.failure is not None:
        return "connection", peer.failure
    for answer in peer.answers.values():
        if answer.reset:
            return "stream", answer.reset
    for refused in peer.refused.values():
        return "status", refused.error.status
    return "served" if all(stream.ended for stream in peer.streams.values()) else "waiting"


@pytest.mark.parametrize("name", OPEN_CHOICES)
@pytest.mark.parametrize("session", ["native", "reference"])
def test_open_choices(session, name) -> None:
    choice = OPEN_CHOICES[name]
    peer = Peer(session, SMALL)
    peer.feed(choice.sample(peer))
    assert judge(peer) == choice.verdict
    assert choice.section.startswith("RFC ")
    assert choice.text.endswith(".")
    if isinstance(choice.verdict, tuple) and choice.verdict[0] == "status":
        (refused,) = peer.refused
        assert peer.answers[refused].status == choice.verdict[1]
    elif choice.verdict == "served":
        assert peer.streams
