"""What happens in one process, as plain integers that are incremented inline."""

__all__ = ["Counters"]


class Counters:
    """Read by drain, limits and the access log; later by metrics.

    Attributes:
        connections_opened: accepted since the start; on a TLS port, through with their handshake.
        connections_open: open now.
        handshakes_begun: TLS handshakes of which a byte has come since the start.
        handshakes_failed: of them, those that ended without a connection.
        requests_begun: heads that passed every check since the start.
        requests_in_flight: begun and not ended.
        requests_refused: answered by an engine or by a limit, never seen by the application.
    """

    __slots__ = (
        "connections_open",
        "connections_opened",
        "handshakes_begun",
        "handshakes_failed",
        "requests_begun",
        "requests_in_flight",
        "requests_refused",
    )

    def __init__(self) -> None:
        self.connections_opened = 0
        self.connections_open = 0
        self.handshakes_begun = 0
        self.handshakes_failed = 0
        self.requests_begun = 0
        self.requests_in_flight = 0
        self.requests_refused = 0
