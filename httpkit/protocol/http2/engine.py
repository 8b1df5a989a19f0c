"""HTTP/2 as a state machine (RFC 9113), for both libraries; implements `protocol.engine.Engine`.

Theory of operation:

1. The input is cut into frames before a library sees it. What a frame must not be, or not now, is
   found here, so that both libraries see the same well-formed input and answers are the same.
2. A `Session` (ngh2, or h2 with hpack) does HPACK, windows and the order of output. It tells of
   field sections and content by calls; these become events in the order of the frames.
3. A stream stands in `_streams` from its HEADERS until its answer is with the session and its
   exchange has released it, so that the limit of streams bounds handlers too, whatever is reset.
4. A fault of the connection comes after the requests before it: those are begun first, then GOAWAY
   follows what they have answered.
"""

from httpkit.protocol.http2.receiving import ReceivingSide

__all__ = ["HTTP2Engine"]


class HTTP2Engine(ReceivingSide):
    """One HTTP/2 connection.

    Args:
        session: the class of the library behind it.
        limits: of the server.
        fields: what the server adds to answers, shared by its connections.
    """

    __slots__ = ()
