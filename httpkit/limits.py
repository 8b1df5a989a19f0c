"""Every limit and deadline on what a peer controls: name, default, precedent and reason.

Counts and sizes are in bytes unless the name says otherwise, times in seconds. `None` switches a
limit off where its type allows it. Body limits have an override for each route; no limit or
deadline of a body applies to an accepted upgrade.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from httpkit.errors import ConfigurationError

__all__ = ["FormLimits", "Limits"]

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
    """A peer that has requests running and is silent for so long is sent a PING (grpc: off; Envoy:
    configurable). It notices what is gone without a reset."""

    ping_timeout: Seconds = 20.0
    """How long the answer to a PING may take before the connection is reset (gRPC: 20)."""

    # --- shutdown ----------------------------------------------------------------------------
    shutdown_timeout: Seconds = 30.0
    """What running requests get on a graceful stop before they are cancelled (gunicorn: 30)."""


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


def _check_ranges(limits: msgspec.Struct) -> None:
    """Check the ranges of all fields: msgspec checks what it decodes, not a plain call."""
    for field in msgspec.structs.fields(limits):
        try:
            msgspec.convert(getattr(limits, field.name), field.type)
        except msgspec.ValidationError as error:
            raise ConfigurationError(f"limit {field.name}: {error}") from None
