"""Composition of middleware around an endpoint, once, when the app is frozen.

Owns the link between two layers: one coroutine for each middleware and none without. Called by
`httpkit.routing.endpoint`.

Two promises hold for every layer. An `HTTPError`, or an exception with a registered handler, that
is raised further inside arrives as the Response it stands for, so that a middleware that adds
headers sees it; only unexpected exceptions pass as exceptions, to the outermost layer.
`asyncio.CancelledError` and other exceptions that are no `Exception` are never caught.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from httpkit.request import Request
from httpkit.response import Response
from httpkit.types import Middleware, Next

__all__ = ["Layer", "Responder", "compose"]

#: Turns an exception into its answer; `None` means: not mine, raise it on.
Responder = Callable[[Request, Exception], Response | Awaitable[Response] | None]


class Layer(NamedTuple):
    """One middleware, and what answers the exceptions that it raises itself."""

    middleware: Middleware
    respond: Responder


def compose(layers: Sequence[Layer], endpoint: Next) -> Next:
    """Wrap an endpoint; the first layer becomes the outermost."""
    for layer in reversed(layers):
        endpoint = _link(layer.middleware, layer.respond, endpoint)
    return endpoint


def _link(middleware: Middleware, respond: Responder, following: Next) -> Next:
    async def link(request: Request) -> Response:
        try:
            response = await middleware(request, following)
            if not isinstance(response, Response):
                raise TypeError(  # noqa: TRY301 - answered as any other exception of this layer
                    f"middleware {getattr(middleware, '__qualname__', middleware)!s} returned "
                    f"{type(response).__name__}: it must return a Response"
                )
        except Exception as error:
            answer = respond(request, error)
            if answer is None:
                raise
            return answer if isinstance(answer, Response) else await answer
        return response

    return link
