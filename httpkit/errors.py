"""Every exception that httpkit raises on purpose.

The wire code is an attribute of the class: `status` for HTTP/1.1, `error_code` for HTTP/2,
`close_code` for WebSocket, so that the one place that maps an exception to the wire
(`server/exchange.py`, `Exchange.fail`) needs no table of kinds.

    HTTPKitError
    ├── ProtocolError            abstract: somebody broke a protocol
    │   ├── LocalProtocolError   we did: a bug in httpkit or in the application
    │   └── RemoteProtocolError  the peer did
    ├── HTTPError                an answer, raised by a handler
    ├── ClientDisconnected       the peer is gone and cannot be answered
    │   └── WebSocketClosed      so is a WebSocket, in an orderly way or not
    └── ConfigurationError       found at start-up, says what to change
"""

from collections.abc import Iterable, Mapping
from typing import Self

from httpkit.status import REASONS

__all__ = [
    "BodyTooLarge",
    "ClientDisconnected",
    "ConfigurationError",
    "ConnectRefused",
    "ExpectationFailed",
    "HTTPError",
    "HTTPKitError",
    "HeadersTooLarge",
    "InvalidHeader",
    "LocalProtocolError",
    "MethodNotImplemented",
    "ProtocolError",
    "RemoteProtocolError",
    "RequestTimeout",
    "TargetTooLong",
    "UnsupportedProtocol",
    "UnsupportedTransferCoding",
    "UnsupportedVersion",
    "WebSocketClosed",
]


class HTTPKitError(Exception):
    """The root of all exceptions of this package."""


class ProtocolError(HTTPKitError):
    """A protocol was broken. Raised as one of the two subclasses, never itself."""

    #: The HTTP status that answers it.
    status: int = 500
    #: The HTTP/2 error code (RFC 9113 §7).
    error_code: int = 0x2
    #: The WebSocket close code (RFC 6455 §7.4).
    close_code: int = 1011


class LocalProtocolError(ProtocolError):
    """This side would have broken the protocol: a bug of the application or of httpkit."""


class InvalidHeader(LocalProtocolError, ValueError):
    """A header name or value that must not reach the wire (RFC 9110 §5.5)."""


class RemoteProtocolError(ProtocolError):
    """The peer broke the protocol; the message says how, for the log."""

    status = 400
    error_code = 0x1
    close_code = 1002


class TargetTooLong(RemoteProtocolError):
    """The request target exceeds `Limits.max_target` (RFC 9110 §15.5.15)."""

    status = 414
    error_code = 0xB


class HeadersTooLarge(RemoteProtocolError):
    """The header section exceeds `Limits.max_header_bytes` or `max_headers` (RFC 6585 §5)."""

    status = 431
    error_code = 0xB


class BodyTooLarge(RemoteProtocolError):
    """The body exceeds the limit of its route (RFC 9110 §15.5.14)."""

    status = 413
    error_code = 0xB
    close_code = 1009

    @classmethod
    def beyond(cls, limit: int) -> Self:
        """That of a body which is larger than `limit` bytes."""
        return cls(f"The body is larger than {limit} bytes.")


class RequestTimeout(RemoteProtocolError):
    """The peer was too slow with its head or body (RFC 9110 §15.5.9)."""

    status = 408
    error_code = 0xB


class ExpectationFailed(RemoteProtocolError):
    """An expectation other than 100-continue (RFC 9110 §15.5.18)."""

    status = 417


class ConnectRefused(RemoteProtocolError):
    """CONNECT: this is an origin server, never a tunnel (RFC 9110 §9.3.6)."""

    status = 405


class MethodNotImplemented(RemoteProtocolError):
    """A method that this server does not know at all (RFC 9110 §15.6.2)."""

    status = 501


class UnsupportedTransferCoding(RemoteProtocolError):
    """A transfer coding other than chunked (RFC 9112 §6.1)."""

    status = 501


class UnsupportedProtocol(RemoteProtocolError):
    """An extended CONNECT for a protocol that is not spoken here (RFC 9220 §3)."""

    status = 501


class UnsupportedVersion(RemoteProtocolError):
    """A version of HTTP that this port does not speak (RFC 9110 §15.6.6)."""

    status = 505


class ClientDisconnected(HTTPKitError):
    """The peer went away before its request was read or its answer was written."""

    def __init__(self, reason: str = "the client has gone") -> None:
        super().__init__(reason)

    @staticmethod
    def explains(error: BaseException) -> bool:
        """Whether an error says no more than that the peer has gone, in words of whosoever.

        Frameworks make an exception of their own of ours (Starlette's `ClientDisconnect`). What
        Python raises is a mistake, even where somebody was about to handle ours.
        """
        if isinstance(error, ClientDisconnected):
            return True
        translated = isinstance(error.__context__, ClientDisconnected)
        return translated and type(error).__module__ != "builtins"


class WebSocketClosed(ClientDisconnected):
    """A WebSocket is at its end. A handler that lets it pass has done nothing wrong.

    Attributes:
        code: of the close (RFC 6455 §7.4); 1005 if it had none, 1006 if the client vanished.
        reason: as sent.
    """

    def __init__(self, code: int, reason: str = "") -> None:
        self.code = code
        self.reason = reason
        super().__init__(f"the WebSocket is closed: {code}{f' {reason}' if reason else ''}")


class ConfigurationError(HTTPKitError):
    """A mistake in a configuration or an application that was found at start-up."""


class HTTPError(HTTPKitError):
    """An answer with a status of 4xx or 5xx, raised anywhere below a handler.

    Rendered as text, HTML or problem+json (RFC 9457), by what the client accepts.

    Args:
        status: 400 to 599.
        detail: a sentence for the client; the reason phrase by default.
        headers: added to the answer.
        extensions: further members of the problem object (RFC 9457 §3.2).

    Raises:
        ValueError: another status.
        TypeError: a detail that is no text.
    """

    def __init__(
        self,
        status: int,
        detail: str | None = None,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] | None = None,
        extensions: Mapping[str, object] | None = None,
    ) -> None:
        if not isinstance(status, int) or not 400 <= status <= 599:
            raise ValueError(f"HTTPError needs a status of 400 to 599, not {status!r}")
        if detail is not None and not isinstance(detail, str):
            # RFC 9457 §3.1.4: a string. Found here, since a page could not show anything else.
            raise TypeError(
                f"detail of an HTTPError is a sentence, not {type(detail).__name__}: "
                "give members of the problem as extensions={...}"
            )
        self.status = status
        self.detail = reason_phrase(status) if detail is None else detail
        self.headers = headers
        self.extensions = extensions
        super().__init__(f"{status} {self.detail}")


def reason_phrase(status: int) -> str:
    """The reason phrase of a status, or an empty string for one that is not registered."""
    return REASONS.get(status, "")
