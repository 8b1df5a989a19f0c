"""WebSocket routes: a handler of GET that checks the handshake and runs the user's handler.

Owns what happens until the answer is known. The user's handler runs in a task of its own from its
first line to its last, so that `asyncio.timeout` and task groups may stand around `accept`. The
route answers with whatever it decides first: the `WebSocketUpgrade` of `accept`, a Response it
returns, or an exception. That answer takes the ordinary way out, through the middleware.
"""

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict

from httpkit.error_handlers import observer
from httpkit.errors import ConfigurationError, WebSocketClosed
from httpkit.limits import WebSocketLimits
from httpkit.request import Request
from httpkit.response import Response, Upgrade, to_response
from httpkit.semantics.websocket import DeflateOptions, check_handshake, check_origin, is_token
from httpkit.types import Handler, WebSocketChannel
from httpkit.websocket import WebSocket, WebSocketUpgrade

__all__ = [
    "Compression",
    "WebSocketHandler",
    "WebSocketOptions",
    "WebSocketSettings",
    "check_compression",
    "make_settings",
]

_ORIGIN = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://[^/?#\s]+")


#: Whether permessage-deflate is taken, and how.
Compression = bool | DeflateOptions


class WebSocketOptions(TypedDict, total=False):
    """The limits that a WebSocket route may set; see `httpkit.limits.WebSocketLimits`."""

    max_message: int | None
    max_frame: int | None
    max_fragments: int
    control_rate: int
    receive_buffer: int
    send_buffer: int
    slow_client: Literal["block", "drop", "close"]
    compress_from: int
    close_timeout: float
    ping_interval: float | None
    ping_timeout: float


@dataclass(slots=True, frozen=True)
class WebSocketSettings:
    """What a WebSocket route says.

    Attributes:
        subprotocols: that it speaks, the favorite first.
        origins: in lower case, that may open it besides its own host; `*` for all.
        compression: what of permessage-deflate is taken: none, the usual or this; `None` leaves it
            to the app.
        overrides: of the server's limits.
    """

    subprotocols: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    compression: Compression | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)


def make_settings(
    pattern: str,
    subprotocols: Iterable[str],
    origins: Iterable[str],
    limits: Mapping[str, Any],
    *,
    compression: Compression | None,
) -> WebSocketSettings:
    """Check what a route says.

    Raises:
        ConfigurationError: says what to change.
    """
    WebSocketLimits.check_overrides(limits)
    if compression is not None:
        check_compression(compression)
    return WebSocketSettings(
        _check_subprotocols(pattern, subprotocols),
        _check_origins(pattern, origins),
        compression,
        dict(limits),
    )


def check_compression(compression: Compression) -> None:
    """Check what a route or an app says.

    Raises:
        ConfigurationError: says what to change.
    """
    if isinstance(compression, DeflateOptions):
        for name in ("server_max_window_bits", "client_max_window_bits"):
            bits = getattr(compression, name)
            if type(bits) is not int or not 9 <= bits <= 15:
                raise ConfigurationError(f"{name} is a number from 9 to 15, not {bits!r}")
    elif not isinstance(compression, bool):
        raise ConfigurationError(
            f"compression of WebSockets is True, False or DeflateOptions, not {compression!r}"
        )


def _deflate_options(compression: Compression) -> DeflateOptions | None:
    if isinstance(compression, DeflateOptions):
        return compression
    return DeflateOptions() if compression else None


def _check_subprotocols(pattern: str, names: Iterable[str]) -> tuple[str, ...]:
    checked = (names,) if isinstance(names, str) else tuple(names)
    for name in checked:
        if not is_token(name):
            raise ConfigurationError(f"subprotocol {name!r} of {pattern!r} is no token")
    return checked


def _check_origins(pattern: str, origins: Iterable[str]) -> tuple[str, ...]:
    checked = (origins,) if isinstance(origins, str) else tuple(origins)
    for origin in checked:
        if origin not in ("*", "null") and not _ORIGIN.fullmatch(origin):
            raise ConfigurationError(
                f'origin {origin!r} of {pattern!r}: write it as in "https://example.com"'
            )
    return tuple(origin.lower() for origin in checked)


class _Opening:
    """Takes the answer from the handler's task to the request's, and the channel back."""

    __slots__ = ("_answer", "_channel")

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self._answer: asyncio.Future[Response] | None = loop.create_future()
        self._channel: asyncio.Future[WebSocketChannel] = loop.create_future()

    async def take(self) -> Response:
        """The answer, once the handler has decided.

        Raises:
            Exception: that was its decision.
        """
        assert self._answer is not None
        try:
            return await self._answer
        finally:
            # It knows this object, by the traceback of an exception or by `open`: they would live
            # until the garbage collector finds the circle.
            self._answer = None

    def decide(self, answer: Response | BaseException) -> bool:
        """Give the answer; `False` if nobody waits for it, since the request is over."""
        future = self._answer
        if future is None or future.done():
            return False
        if isinstance(answer, Response):
            future.set_result(answer)
        else:
            future.set_exception(answer)
        return True

    def give_up(self) -> None:
        """There will be no answer; no effect where there has been one."""
        if self._answer is not None:
            self._answer.cancel()

    async def accept(self, response: Upgrade) -> WebSocketChannel:
        """See `WebSocketOpening`."""
        if not self.decide(response):
            raise WebSocketClosed(1006, "the request was answered otherwise")
        return await self._channel

    def open(self, channel: WebSocketChannel) -> None:
        """See `WebSocketOpening`."""
        if not self._channel.done():
            self._channel.set_result(channel)

    def end(self, task: "asyncio.Task[None]") -> None:
        """The handler's task is through.

        If it was cancelled before the server had it, nobody asks for that: the task would keep
        itself, by the traceback.
        """
        opened = self._channel.done() and not self._channel.cancelled()
        if task.cancelled() and not opened:
            with suppress(asyncio.CancelledError):
                task.result()


class WebSocketHandler:
    """What a route of GET calls; looks like the user's handler to whoever inspects it.

    Args:
        handler: called as `handler(ws, **parameters)`.
        settings: of the route.
    """

    def __init__(self, handler: Handler, settings: WebSocketSettings) -> None:
        self.__wrapped__: Callable[..., Any] = handler
        self.settings = settings

    async def __call__(self, request: Request, **parameters: Any) -> Response:
        """Answer a request: check it, begin the handler, wait for its decision."""
        settings = self.settings
        key = check_handshake(
            request.method, request.http_version, request.headers, request.protocol
        )
        check_origin(request.headers, request.authority, settings.origins)
        compression = settings.compression
        if compression is None:
            # The application of another framework has no route, and mounts none either.
            compression = True if request.route is None else request.app.websocket_compression
        opening = _Opening()
        begin: asyncio.Future[WebSocket] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._run(begin, opening, parameters))
        task.add_done_callback(opening.end)
        request._channel.attach(task)  # noqa: SLF001 - the request's side of the server
        ws = WebSocket(
            request,
            key,
            opening,
            task,
            subprotocols=settings.subprotocols,
            compression=_deflate_options(compression),
            overrides=settings.overrides,
        )
        begin.set_result(ws)
        return await opening.take()

    async def _run(
        self, begin: "asyncio.Future[WebSocket]", opening: _Opening, parameters: Mapping[str, Any]
    ) -> None:
        """Run the handler; then close what it has accepted, or answer what it says."""
        ws = await begin
        error: BaseException | None = None
        try:
            value = await self.__wrapped__(ws, **parameters)
            if not ws.accepted:
                opening.decide(_refusal(value))
                return
        except asyncio.CancelledError:
            opening.give_up()  # where it still waits, it is not what has been cancelled
            raise
        except (Exception, SystemExit) as raised:  # noqa: BLE001 - answered, or logged by `finish`
            if not ws.accepted and opening.decide(raised):
                return
            if _is_the_end(raised):
                raised.__traceback__ = None  # of a group it is a circle
            else:
                error = raised
                observe = observer.get()
                if observe is not None:
                    observe(raised)
        try:
            if ws.open:
                await ws.channel.finish(error)
            elif isinstance(error, SystemExit):  # out of a task it would end the process
                raise RuntimeError("a WebSocket handler has raised SystemExit") from error
            elif error is not None:
                raise error  # nobody is left to answer: asyncio logs it
        finally:
            del error  # its traceback leads here: without this they would hold each other


def _is_the_end(error: BaseException) -> bool:
    """Whether it only says that the WebSocket is closed; tasks of a group say so together."""
    if isinstance(error, BaseExceptionGroup):
        return error.split(WebSocketClosed)[1] is None
    return isinstance(error, WebSocketClosed)


def _refusal(value: object) -> Response:
    """What a handler returns that has not accepted."""
    if value is None or isinstance(value, WebSocketUpgrade):
        raise RuntimeError(
            "the WebSocket handler has neither called ws.accept() nor returned a Response"
        )
    return to_response(value)
