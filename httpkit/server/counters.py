"""What happens in one process, as plain integers that are incremented inline."""

__all__ = ["Counters"]


class Counters:
    """What has happened in a process; `Server.counters`. For reading only.

    Attributes:
        connections_opened: accepted since the start; on a TLS port, through with their handshake.
        connections_open: open now.
        bytes_sent: written to connections that are closed, before TLS; `Server.bytes_sent` has all.
        handshakes_begun: TLS handshakes of which a byte has come since the start.
        handshakes_failed: of them, those that ended without a connection.
        requests_begun: heads that passed every check since the start.
        requests_in_flight: begun and not ended.
        requests_refused: answered by an engine or by a limit, never seen by the application.
        websockets_opened: accepted since the start.
        websockets_open: open now.
        websockets_failed: closed since the client broke the protocol or a limit.
        websockets_closed_as_slow: closed with 1013, since the client took too little.
        websockets_closed_as_silent: cut off, since the client did not answer a Ping.
        websocket_messages_dropped: not sent, since the client took too little.
        websocket_sends_blocked: sent later, since the client took too little.
    """

    __slots__ = (
        "bytes_sent",
        "connections_open",
        "connections_opened",
        "handshakes_begun",
        "handshakes_failed",
        "requests_begun",
        "requests_in_flight",
        "requests_refused",
        "websocket_messages_dropped",
        "websocket_sends_blocked",
        "websockets_closed_as_silent",
        "websockets_closed_as_slow",
        "websockets_failed",
        "websockets_open",
        "websockets_opened",
    )

    def __init__(self) -> None:
        self.connections_opened = 0
        self.connections_open = 0
        self.bytes_sent = 0
        self.handshakes_begun = 0
        self.handshakes_failed = 0
        self.requests_begun = 0
        self.requests_in_flight = 0
        self.requests_refused = 0
        self.websockets_opened = 0
        self.websockets_open = 0
        self.websockets_failed = 0
        self.websockets_closed_as_slow = 0
        self.websockets_closed_as_silent = 0
        self.websocket_messages_dropped = 0
        self.websocket_sends_blocked = 0
