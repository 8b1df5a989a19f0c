"""Composition of middleware around an endpoint, once, when the app is frozen.

Owns the link between two layers: one coroutine for each middleware and none without. Called by
`httpkit.routing.endpoint`.

Two promises hold for every layer. An `HTTPError`, or an exception with a registered handler, that
is raised further inside arrives as the Response it stands for, so that a middleware that adds
headers sees it; only unexpected exceptions pass as exceptions, to the outermost layer.
`asyncio.CancelledError` and other exceptions that are no `Exception` are never caught.

A middleware that often has its answer without waiting may have a method `answer_at_once(request)`
besides: a plain function that gives a Response, or `None` if the request has to go its ordinary
way. Where it is the outermost layer, such an answer takes no coroutine at all.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from httpkit.request import Request
from httpkit.response import Response
from httpkit.types import Middleware, Next

__all__ = ["Endpoint", "Layer", "Responder", "compose"]

#: What a request is handed to once its route is known.
Endpoint = Callable[[Request], Response | Awaitable[Response]]

#: Turns an exception into its answer; `None` means: not mine, raise it on.
Responder = Callable[[Request, Exception], Response | Awaitable[Response] | None]


class Layer(NamedTuple):
    """One middleware, and what answers the exceptions that it raises itself."""

    middleware: Middleware
    respond: Responder


def compose(layers: Sequence[Layer], endpoint: Next) -> Endpoint:
    """Wrap an endpoint; the first layer becomes the outermost.

    Args:
        layers: at least one.
        endpoint: what is inside.
    """
    for layer in reversed(layers):
        endpoint = _link(layer.middleware, layer.respond, endpoint)
    at_once = getattr(layers[0].middleware, "answer_at_once", None)
    return endpoint if at_once is None else _immediate(at_once, layers[0].respond, endpoint)


def _immediate(
    answer_at_once: Callable[[Request], Response | None], respond: Responder, link: Next
) -> Endpoint:
    def endpoint(request: Request) -> Response | Awaitable[Response]:
        try:
            response = answer_at_once(request)
        except Exception as error:
            answer = respond(request, error)
            if answer is None:
                raise
            return answer
        return link(request) if response is None else response

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
