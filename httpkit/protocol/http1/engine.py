"""HTTP/1.1 as a state machine (RFC 9112), for both parsers; implements `protocol.engine.Engine`.

Theory of operation:

1. One request at a time. The receiving side (`Receive`) and the sending side (`Send`) advance
   independently; the next request begins when both are through, so pipelined answers are in order.
2. Bytes reach a parser only after a guard has found where the message ends: heads whole, bodies in
   framed pieces. A parser never sees the beginning of the next message.
3. The answer decides about the connection: it says `Connection: close` if and only if the
   connection closes after it. Only what happens behind its head can still end the connection
   unannounced: a shutdown, the end of input, or an unread body that proves too long to throw away.
4. After the engine has refused anything it takes no more input, and writes no second answer.
"""

from httpkit.protocol.http1.receiving import ReceivingSide
from httpkit.protocol.http1.sending import SendingSide

__all__ = ["HTTP1Engine"]


class HTTP1Engine(ReceivingSide, SendingSide):
    """One HTTP/1.1 connection.

    Args:
        parser: the library behind it.
        limits: of the server.
        preamble: the fields the server adds, shared by its connections.
        knows_preface: a connection that begins with the preface of HTTP/2 is handed on, by
            `PrefaceReceived`; else it is refused.
    """

    __slots__ = ()
