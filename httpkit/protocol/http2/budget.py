"""The abuse budget: how much of what costs this side more than the peer a connection may do.

One budget for everything (RFC 9113 §10.5), since an attacker would mix: resets by either side
(CVE-2023-44487, CVE-2025-8671), pings, settings, empty frames, window updates, priorities, frames
of unknown types. It refills with time, and with useful work: answers that are complete, pieces of
them, and octets that were sent. Who spends more than that is told to calm down, and disconnected.

Engines have no clock; whoever owns the connection tells them that time has passed.
"""

__all__ = ["CAPACITY", "COST", "EARNED_BY_ANSWER", "EARNED_BY_PIECE", "REFILL", "SENT_SHIFT"]

#: What a connection has at first, and at most: 100 resets, 1 000 pings, 10 000 window updates.
CAPACITY = 10_000
#: Each second gives so much: ten resets, a hundred pings.
REFILL = 1_000.0
#: A complete answer makes up for a reset.
EARNED_BY_ANSWER = 100
#: A piece of one makes up for what clients say to it that measure their bandwidth: grpc-go sends a
#: PING and up to two window updates for each message it gets. It is what an application writes that
#: counts, not frames: a peer cuts those as small as it likes, by its windows (CVE-2019-9511).
EARNED_BY_PIECE = 12
#: Each KiB sent makes up for one window update.
SENT_SHIFT = 10


class COST:
    """What things cost."""

    RESET = 100
    SETTINGS = 50
    PING = 10
    #: DATA without content that does not end the stream.
    EMPTY_DATA = 10
    #: A continuation; there are hard limits beside this.
    CONTINUATION = 10
    #: A field section on a stream that was reset here: an honest peer has one for each on its way.
    DROPPED_HEADERS = 10
    PRIORITY = 5
    UNKNOWN = 5
    WINDOW_UPDATE = 1
