"""`ASGIApplication`: somebody else's ASGI app as an `Application` that the server serves.

Owns the first step of each request. An application that ends in it, as most do, costs no task of
its own and no future: its answer is returned as that of a handler (see `cycle.py`, rule 1).
"""

import inspect
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

from httpkit.asgi.cycle import COMPLETE, Cycle
from httpkit.asgi.lifespan import Lifespan, LifespanChoice
from httpkit.asgi.messages import ASGIApp, ASGIProtocolError, ClientGone
from httpkit.asgi.scope import make_scope
from httpkit.asgi.websocket import asks_for_websocket, serve_websocket
from httpkit.request import Request, RequestHead
from httpkit.response import Response
from httpkit.server.exchange import Exchange
from httpkit.server.handoff import ApartTasks, Handoff
from httpkit.stepping import Rest
from httpkit.urls import quote_path, unquote

__all__ = ["ASGIApplication"]


class ASGIApplication:
    """An ASGI application (version 3), served; implements `types.Application`.

    It is not cancelled when its client goes away: `receive` tells it, and `send` raises `OSError`.

    Args:
        app: `async def app(scope, receive, send)`.
        lifespan: whether it has one; `auto` tries.
        root_path: where a proxy has mounted it: the part of the path that it has cut off.
    """

    cancel_on_disconnect = False

    def __init__(
        self, app: ASGIApp, *, lifespan: LifespanChoice = "auto", root_path: str = ""
    ) -> None:
        self.app = app
        self._call = app if _gives_coroutine(app) else _as_coroutine(app)
        self._lifespan = lifespan
        root_path = root_path.rstrip("/")
        self._root = (root_path, quote_path(root_path).encode())
        self._state: dict[str, Any] = {}
        self._apart = ApartTasks()

    @property
    def debug(self) -> bool:
        """Whether it says that it shows tracebacks, as those of most frameworks do."""
        return bool(getattr(self.app, "debug", False))

    def on_freeze(self) -> None:
        """There is nothing to check."""

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """That of the application."""
        async with Lifespan(self.app, self._lifespan) as lifespan:
            self._state = lifespan.state
            try:
                yield
            finally:
                await self._apart.close()

    def handle(self, request: Request, /) -> Response | Awaitable[Response]:
        """Answer a request."""
        exchange = request._channel  # noqa: SLF001 - a border may look behind the request
        if type(exchange) is not Exchange:
            return self.handle_below(request, self._root[1])
        connection = exchange.connection
        client = exchange.origin or connection.peer
        scope = make_scope(request, client, connection.local, self._root, self._state)
        head = request._head  # noqa: SLF001 - as above
        # Heads of another type are plain: they have no Upgrade.
        if type(head) is RequestHead and asks_for_websocket(head):
            return serve_websocket(self._call, request, scope)
        cycle = Cycle(request, exchange, exchange)
        coroutine: Any = self._call(scope, cycle.receive, cycle.send)
        try:
            waits_for = coroutine.send(None)
        except StopIteration:
            if cycle.state == COMPLETE:
                assert cycle.response is not None
                return cycle.response
            return _answer_of(cycle)
        except BaseException:
            _conclude(cycle, exchange)
            raise
        _conclude(cycle, exchange)
        cycle.eager = True
        return _go_on(Rest(coroutine, waits_for), cycle)

    async def handle_below(self, request: Request, raw_root: bytes) -> Response:
        """Answer a request from a task of its own, so that the answer may be wrapped.

        Args:
            request: its target does not have the root path.
            raw_root: where the application is mounted, percent-encoded.
        """
        root_path = unquote(raw_root).decode("utf-8", "replace")
        scope = make_scope(
            request, request.client, request.server, (root_path, raw_root), self._state
        )
        head = request._head  # noqa: SLF001 - a border may look behind the request
        if asks_for_websocket(head):
            return await serve_websocket(self._call, request, scope)
        handoff = Handoff()
        channel = request._channel  # noqa: SLF001 - a border may look behind the request
        cycle = Cycle(request, channel, handoff, eager=True)
        call = self._call(scope, cycle.receive, cycle.send)
        return await self._apart.answer(call, handoff, request.id)


async def _go_on(rest: Rest, cycle: Cycle) -> Response:
    await rest
    return _answer_of(cycle)


def _answer_of(cycle: Cycle) -> Response:
    """What the application has sent, if it was a whole answer.

    Raises:
        ASGIProtocolError: it was not.
    """
    if cycle.state == COMPLETE:
        assert cycle.response is not None
        return cycle.response
    if cycle.outlet.gone:
        raise ClientGone
    raise ASGIProtocolError("the application has returned before the end of its answer")


def _conclude(cycle: Cycle, exchange: Exchange) -> None:
    """Write an answer that is complete while the application is not through."""
    if cycle.state == COMPLETE and not exchange.concluded:
        assert cycle.response is not None
        exchange.conclude(cycle.response)


def _gives_coroutine(app: ASGIApp) -> bool:
    call = app if inspect.isfunction(app) or inspect.ismethod(app) else type(app).__call__
    return inspect.iscoroutinefunction(call)


def _as_coroutine(app: ASGIApp) -> ASGIApp:
    """Around an application that gives another kind of awaitable."""

    async def call(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, send)

    return call
