"""Every limit and deadline on what a peer controls: name, default, precedent and reason.

Counts and sizes are in bytes unless the name says otherwise, times in seconds. `None` switches a
limit off where its type allows it. Body limits have an override for each route; no limit or
deadline of a body applies to an accepted upgrade.
"""

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from httpkit.errors import ConfigurationError

__all__ = ["FormLimits", "Limits", "WebSocketLimits", "field_types"]

Count = Annotated[int, Meta(ge=1)]
Size = Annotated[int, Meta(ge=0)]
#: Finite: a limit that may be switched off says so by its type.
Seconds = Annotated[float, Meta(gt=0, le=31_536_000)]


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits of one server; see the comment at each field for where the default comes from.

    Raises:
        ConfigurationError: a value outside the range of its field.
    """

    def __post_init__(self) -> None:
        _check_ranges(self)

    # --- connections -------------------------------------------------------------------------
    max_connections: Count = 10_000
    """Open connections for each process. Further ones wait in the listen backlog: a client that
    waits is better off than one that is refused (nginx: worker_connections)."""

    max_requests_in_flight: Count | None = None
    """Requests that run at once; one more is answered 503 with Retry-After (uvicorn:
    --limit-concurrency, off by default as well, since handlers differ too much for one number)."""

    max_requests_per_connection: Count | None = None
    """After so many requests a connection is closed in an orderly way (nginx:
    keepalive_requests); off by default as in hyper, a connection does not age here."""

    pipeline_depth: Count = 64
    """Pipelined requests answered in one turn of the loop, with one write; the rest waits a turn,
    so that one peer cannot occupy the loop (h2o: the same idea; wrk and browsers need 16)."""

    input_buffer: Size = 65_536
    """Bytes read ahead while a handler runs: pipelined requests, and the way to notice that a
    client is gone. Beyond it reading pauses (asyncio's default high-water mark)."""

    handshake_timeout: Seconds = 10.0
    """From the first byte a client could send on a TLS port to the end of its handshake: closed.
    Absolute, as for heads (nginx: 60 between two bytes; Kestrel: 10)."""

    max_handshakes: Count = 1_000
    """TLS handshakes under way at once; one more closes the oldest. Each takes some 50 KB, and an
    honest one is through within a few round trips (HAProxy: the same idea in maxsslconn)."""

    # --- request heads -----------------------------------------------------------------------
    max_target: Size = 8_192
    """The request target: 414. RFC 9110 §4.1 recommends at least 8000 (Apache: 8190)."""

    max_header_bytes: Size = 32_768
    """The header section: 431 (nginx: 4 buffers of 8 KiB)."""

    max_headers: Count = 100
    """Header fields: 431 (Apache, hyper: 100)."""

    header_timeout: Seconds = 10.0
    """From the first byte of a head to its last: 408. Absolute, so that slow drips do not extend
    it (Slowloris; Apache mod_reqtimeout: 20 to 40, Caddy and Go advise 10)."""

    keep_alive_timeout: Seconds = 75.0
    """Idle time between requests (nginx: 75; more than the 60 of the usual load balancers, which
    must be the side that closes)."""

    # --- request bodies ----------------------------------------------------------------------
    max_body: Size | None = 16 * 1024 * 1024
    """Body of a request: 413; each route may override it (nginx: 1 MiB, Kestrel: 30 MB)."""

    body_buffer: Count = 131_072
    """Body bytes that wait for the handler; beyond it reading pauses."""

    body_grace: Seconds = 5.0
    """Time a body may take at any rate (Kestrel: 5)."""

    min_body_rate: Count | None = 240
    """Bytes a second, on average, that a body must reach after the grace: 408 (Kestrel: 240)."""

    drain_bytes: Size = 262_144
    """Unread body that is read and thrown away after an early answer, to keep the connection;
    a longer one closes it (Go: 256 KiB)."""

    # --- answers -----------------------------------------------------------------------------
    write_stall: Seconds = 60.0
    """A peer that takes no byte for so long is cut off (nginx: send_timeout 60)."""

    write_buffer: Count = 65_536
    """Bytes that wait for the socket before a handler has to wait (asyncio's default)."""

    request_timeout: Seconds | None = None
    """From the end of the head to the end of the answer, 503; off, since streams may live long."""

    half_close_timeout: Seconds = 30.0
    """How long a handler goes on for a peer that has closed its sending side, counted anew each
    time response bytes flow."""

    linger_timeout: Seconds = 5.0
    """After a refusal the socket is read on for so long, so that the peer can read the answer
    before a reset destroys it (RFC 9112 §9.6; nginx: lingering_timeout 5)."""

    # --- HTTP/2 ------------------------------------------------------------------------------
    max_concurrent_streams: Count = 100
    """Streams of one connection whose requests are not answered yet, their handlers included; one
    more is refused with REFUSED_STREAM (RFC 9113 §6.5.2 advises no less than 100)."""

    connection_window: Annotated[int, Meta(ge=65_535, le=2**31 - 1)] = 1_048_576
    """Body bytes of all streams of one connection that wait for their handlers; `body_buffer` is
    what one stream may have (Go: 1 MiB)."""

    ping_interval: Seconds | None = 30.0
    """A peer that has requests running and is silent for so long is sent a PING, one with a
    WebSocket too (grpc: off; websockets: 20). It notices what is gone without a reset."""

    ping_timeout: Seconds = 20.0
    """How long the answer to a PING may take before the connection is reset (gRPC: 20)."""

    # --- WebSocket ---------------------------------------------------------------------------
    websocket_max_message: Size | None = 16 * 1024 * 1024
    """Bytes of one message, before and after inflating: close 1009 (uvicorn: 16 MiB)."""

    websocket_max_frame: Size | None = None
    """Bytes of one frame: close 1009, before its payload is read. Off, since the limit of the
    message holds for each of its frames."""

    websocket_max_fragments: Count = 131_072
    """Frames of one message: close 1008. Each costs as much time as a message of its own (the
    conformance suites send 65 537)."""

    websocket_control_rate: Count = 200
    """Pings and Pongs a second that a client may send, and as many at once: close 1008."""

    websocket_receive_buffer: Count = 65_536
    """Bytes of messages that wait for the handler; beyond it reading pauses."""

    websocket_send_buffer: Count = 65_536
    """Bytes of messages that wait for a slow client, besides write_buffer; beyond it
    websocket_slow_client says what happens."""

    websocket_slow_client: Literal["block", "drop", "close"] = "block"
    """What sending does when the client is too slow: `block` waits for it, `drop` leaves the
    message out, `close` closes with 1013."""

    websocket_compress_from: Size = 1_024
    """Messages of so many bytes and more are compressed, if the client can read that: smaller ones
    do not get much smaller."""

    websocket_close_timeout: Seconds = 10.0
    """How long the client's Close may take after ours, and a handler after the end of its client
    (websockets: 10). Silent clients are found by ping_interval and ping_timeout."""

    # --- shutdown ----------------------------------------------------------------------------
    shutdown_timeout: Seconds = 30.0
    """What running requests get on a graceful stop before they are cancelled (gunicorn: 30)."""


class WebSocketLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What holds for one WebSocket: the fields of `Limits` that are named so, and its route's.

    `ping_interval` and `ping_timeout` are those of `Limits`; all others have the prefix
    `websocket_` there. Not checked when it is made: routes check what they override.
    """

    max_message: Size | None
    max_frame: Size | None
    max_fragments: Count
    control_rate: Count
    receive_buffer: Count
    send_buffer: Count
    slow_client: Literal["block", "drop", "close"]
    compress_from: Size
    close_timeout: Seconds
    ping_interval: Seconds | None
    ping_timeout: Seconds

    @classmethod
    def of(cls, limits: Limits, overrides: Mapping[str, Any]) -> "WebSocketLimits":
        """What a server says, but for what a route says."""
        values = {
            name: getattr(limits, name if name.startswith("ping_") else f"websocket_{name}")
            for name in cls.__struct_fields__
        }
        return cls(**{**values, **overrides})

    @classmethod
    def check_overrides(cls, overrides: Mapping[str, Any]) -> None:
        """Check what a route says.

        Raises:
            ConfigurationError: a name that is none of these, or a value outside its range.
        """
        types = field_types(cls)
        for name, value in overrides.items():
            if name not in types:
                raise ConfigurationError(f"a WebSocket has no limit {name!r}: {', '.join(types)}")
            _check_range(name, value, types[name])


class FormLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one form may cost; the body as a whole is bounded by `Limits.max_body`. Beyond: 413.

    Raises:
        ConfigurationError: a value outside the range of its field.
    """

    max_fields: Count = 1_000
    """Fields and files together (Django, Werkzeug, Starlette: 1000)."""

    max_files: Count = 100
    """Files among them (Django: 100). Each may hold `spool_size` of memory and a descriptor."""

    max_file_size: Size | None = None
    """Bytes of one file; off, since `max_body` bounds them all (multer: off, PHP: 2 MB)."""

    max_field_size: Size = 1_048_576
    """Bytes of one text value (Starlette: 1 MiB)."""

    max_text_size: Size = 4 * 1_048_576
    """Bytes of all text values, which stay in memory even where a route lifts `max_body`
    (Django: 2.5 MB, PHP: 8 MB)."""

    max_part_headers: Count = 8
    """Header fields of one part; RFC 7578 §4.8 knows three."""

    max_part_header_size: Count = 4_096
    """Bytes of one header line of a part, that is mostly of a file name."""

    spool_size: Size = 1_048_576
    """Bytes of one file that stay in memory (Starlette: 1 MiB); 0 keeps next to nothing."""

    def __post_init__(self) -> None:
        _check_ranges(self)


@cache
def field_types(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """What msgspec may convert the value of each field to, by its name.

    Kept, since every annotation is evaluated for it.
    """
    return {field.name: field.type for field in msgspec.structs.fields(struct)}


def _check_ranges(limits: msgspec.Struct) -> None:
    """Check the ranges of all fields: msgspec checks what it decodes, not a plain call."""
    for name, kind in field_types(type(limits)).items():
        _check_range(name, getattr(limits, name), kind)


def _check_range(name: str, value: object, kind: Any) -> None:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"limit {name}: {error}") from None
