"""What the RFCs leave open, or ask for and this server does otherwise on purpose: the one table.

Both parsers must make the same choice; `test_http1_differential.py` proves each entry.
"""

from typing import NamedTuple

__all__ = ["OPEN_CHOICES", "Choice"]


class Choice(NamedTuple):
    """One decision.

    Attributes:
        section: where the RFC says what it says.
        text: what it says, and what is done here and why.
        sample: bytes that show it.
        status: the refusal they get, or `None` if the request is served.
    """

    section: str
    text: str
    sample: bytes
    status: int | None


_HOST = b"Host: a\r\n"
_CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

OPEN_CHOICES = {
    "empty line before a request": Choice(
        "RFC 9112 §2.2",
        "SHOULD ignore at least one. Exactly one: more is nothing a client has a reason for.",
        b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        400,
    ),
    "bare LF as a line end": Choice(
        "RFC 9112 §2.2",
        "MAY be recognized. Refused: hops that do not recognize it see other messages.",
        b"GET / HTTP/1.1\nHost: a\n\n",
        400,
    ),
    "lenient request line": Choice(
        "RFC 9112 §3",
        "MAY split on whitespace of any kind. Refused, as above.",
        b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        400,
    ),
    "higher minor version": Choice(
        "RFC 9110 §6.2",
        "SHOULD be processed as 1.1. 505: there is none, and llhttp does not know one either.",
        b"GET / HTTP/1.2\r\nHost: a\r\n\r\n",
        505,
    ),
    "characters that are no URI": Choice(
        "RFC 9112 §3.2",
        "SHOULD be 400. Visible ASCII is let through, as by nearly every server: it cannot change "
        "the framing, and the path is decoded above.",
        b'GET /"<>\\^`{|} HTTP/1.1\r\nHost: a\r\n\r\n',
        None,
    ),
    "https in an absolute target": Choice(
        "RFC 9110 §7.4",
        "Whether a scheme fits the connection is known above the engine.",
        b"GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        None,
    ),
    "Host that is not the authority of the target": Choice(
        "RFC 9112 §3.2.2",
        "MUST be ignored by a server, so it is not compared; it must be valid all the same.",
        b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
        None,
    ),
    "port above 65535": Choice(
        "RFC 3986 §3.2.3",
        "The grammar has no upper end. 400: there is no such port, and code above would stumble.",
        b"GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n",
        400,
    ),
    "IPvFuture and zones": Choice(
        "RFC 3986 §3.2.2, RFC 6874",
        "In the grammar, or were. 400: nothing has used them.",
        b"GET / HTTP/1.1\r\nHost: [v1.a]\r\n\r\n",
        400,
    ),
    "obs-fold": Choice(
        "RFC 9112 §5.2",
        "400, or replaced by spaces. 400.",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n",
        400,
    ),
    "other control characters in a value": Choice(
        "RFC 9110 §5.5",
        "MAY be kept in a safe context (only CR, LF and NUL must go). 400: no context is safe.",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n",
        400,
    ),
    "equal Content-Length values": Choice(
        "RFC 9110 §8.6",
        "MAY be taken as one. 400.",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\nx",
        400,
    ),
    "Content-Length of more than 18 digits": Choice(
        "RFC 9110 §8.6",
        "MUST anticipate large numerals. 400: beyond any disk, within 64 bits.",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0000000000000000001\r\n\r\nx",
        400,
    ),
    "Content-Length beside Transfer-Encoding": Choice(
        "RFC 9112 §6.1",
        "MAY be rejected, or MUST be forwarded without the length. 400.",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        400,
    ),
    "empty elements in Transfer-Encoding": Choice(
        "RFC 9110 §5.6.1.2",
        "MUST be parsed and ignored in a reasonable number. 400: in a field that frames messages "
        "no number is reasonable, and parsers differ.",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "other transfer codings": Choice(
        "RFC 9112 §6.1",
        "SHOULD be 501 where they are not understood; 400 where chunked is not the last (§6.3).",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        501,
    ),
    "whitespace in a chunk line": Choice(
        "RFC 9112 §7.1.1",
        "BWS around `;` and `=` MUST be parsed. 400: no client sends it, and what llhttp and h11 "
        "take for whitespace differs.",
        _CHUNKED + b"1 ;a\r\nx\r\n0\r\n\r\n",
        400,
    ),
    "framing and routing in trailers": Choice(
        "RFC 9110 §6.5.1",
        "MUST NOT be generated; MAY be ignored. Content-Length, Transfer-Encoding and Host are "
        "refused, other fields that do not belong there are dropped.",
        _CHUNKED + b"0\r\nContent-Length: 5\r\n\r\n",
        400,
    ),
    "expectations": Choice(
        "RFC 9110 §10.1.1",
        "MAY be 417 where they are not met. 417.",
        b"GET / HTTP/1.1\r\nHost: a\r\nExpect: magic\r\n\r\n",
        417,
    ),
    "Expect on HTTP/1.0": Choice(
        "RFC 9110 §10.1.1",
        "100-continue MUST be ignored; any expectation is.",
        b"GET / HTTP/1.0\r\nHost: a\r\nExpect: magic\r\n\r\n",
        None,
    ),
    "keep-alive on HTTP/1.0": Choice(
        "RFC 9112 §9.3",
        "MAY persist on request. Closed: nobody needs it, proxies get it wrong (§C.2.2).",
        b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        None,
    ),
    "upgrade with a body": Choice(
        "RFC 9110 §7.8",
        "The body comes first, then the new protocol. The offer is ignored, which is always "
        "allowed.",
        b"POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: foo\r\n"
        b"Content-Length: 1\r\n\r\nx",
        None,
    ),
    "body of GET, HEAD, DELETE or TRACE": Choice(
        "RFC 9110 §9.3",
        "No defined semantics; MAY be rejected. Read like any other, so that framing never "
        "depends on the method.",
        b"TRACE / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx",
        None,
    ),
    "CONNECT": Choice(
        "RFC 9110 §9.3.6",
        "An origin server MAY accept it. 405, whatever the target.",
        b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
        405,
    ),
}
