"""What the engine remembers of one stream, and where the two sides of it can be."""

from enum import Enum, auto

import msgspec

__all__ = [
    "ANNOUNCED",
    "BODILESS",
    "BODY",
    "DONE",
    "ENDED",
    "FINAL",
    "RAW",
    "RUNNING",
    "WAITING",
    "Send",
    "Shutdown",
    "StreamState",
]


class Send(Enum):
    """Where the answer of a stream is."""

    WAITING = auto()  # no final head yet
    BODY = auto()
    BODILESS = auto()  # HEAD, 204, 205, 304: the body is swallowed
    ENDED = auto()  # the same, and END_STREAM went out with the head
    RAW = auto()  # upgraded
    DONE = auto()


class Shutdown(Enum):
    """How far a graceful end has come (RFC 9113 §6.8)."""

    RUNNING = auto()
    #: The first GOAWAY is out: streams that were on their way are still taken.
    ANNOUNCED = auto()
    #: The second is out: no further stream is taken.
    FINAL = auto()


# On Python 3.11 looking up a member of an Enum takes longer than all else that is done with it.
WAITING, BODY, BODILESS = Send.WAITING, Send.BODY, Send.BODILESS
ENDED, RAW, DONE = Send.ENDED, Send.RAW, Send.DONE
RUNNING, ANNOUNCED, FINAL = Shutdown.RUNNING, Shutdown.ANNOUNCED, Shutdown.FINAL


class StreamState(msgspec.Struct, eq=False, gc=False):
    """One stream that the engine or an exchange still cares about.

    Attributes:
        ended: the peer has sent END_STREAM.
        pending: its field section was given to the session, which has not told of it yet.
        refused: it is one too many.
        gone: reset by either side; its exchange may not know yet.
        reset_here: it is this side that has reset it.
        announced: an event told of it, so that an exchange will release it.
        pushed: the server opened it.
        content_left: octets of content that its Content-Length still promises, or `None`.
        received: octets of content.
        unconsumed: of them, those that wait for the handler.
        granted: what WINDOW_UPDATE frames added to the initial window.
        head_request: the method is HEAD.
        continue_wanted: the client waits for 100 (Continue).
        upgrade: what it may be upgraded to.
        send: where the answer is.
        send_left: octets that its Content-Length still promises, or `None`.
        sent: octets of content given to the session.
        pushes: how many PUSH_PROMISE frames it has.
    """

    ended: bool
    pending: bool = True
    refused: bool = False
    gone: bool = False
    reset_here: bool = False
    announced: bool = False
    pushed: bool = False
    content_left: int | None = None
    received: int = 0
    unconsumed: int = 0
    granted: int = 0
    head_request: bool = False
    continue_wanted: bool = False
    upgrade: bytes | None = None
    send: Send = WAITING
    send_left: int | None = None
    sent: int = 0
    pushes: int = 0
