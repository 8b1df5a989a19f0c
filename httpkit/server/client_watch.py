"""Whether the client of a WebSocket is late with what it owes, judged by the reaper's visits.

Called by `server/websocket.py`. A deadline counts when it is passed on two visits in a row, so that
a client is not blamed for a loop that was late: what it had sent meanwhile has been read between
the two.
"""

from enum import Enum, auto

from httpkit.limits import WebSocketLimits

__all__ = ["ClientWatch", "Wait"]


class Wait(Enum):
    """What the client owes."""

    NOTHING = auto()
    SIGN_OF_LIFE = auto()
    PONG = auto()
    CLOSE = auto()


class ClientWatch:
    """Remembers since when the client owes the same thing.

    Args:
        limits: how long what may take.
    """

    __slots__ = ("_allowed", "_mark", "_seen", "_since", "_suspected")

    def __init__(self, limits: WebSocketLimits) -> None:
        self._allowed = {
            Wait.NOTHING: None,
            Wait.SIGN_OF_LIFE: limits.ping_interval,
            Wait.PONG: limits.ping_timeout,
            Wait.CLOSE: limits.close_timeout,
        }
        self._mark: tuple[Wait, int] | None = None
        self._since = 0.0
        self._seen: float | None = None
        self._suspected = False

    def elapsed(self, now: float) -> float:
        """Seconds since this was asked last."""
        before, self._seen = self._seen, now
        return 0.0 if before is None else now - before

    def is_late(self, wait: Wait, progress: int, now: float) -> bool:
        """Whether the client has owed this for too long.

        A sign of life is only asked for, so it is late at once; `progress` changes with everything
        that comes from the client.
        """
        mark = (wait, progress)
        if mark != self._mark:
            self._mark = mark
            self._since = now
            self._suspected = False
            return False
        allowed = self._allowed[wait]
        if allowed is None or now - self._since <= allowed:
            return False
        late = self._suspected or wait is Wait.SIGN_OF_LIFE
        self._suspected = True
        return late
