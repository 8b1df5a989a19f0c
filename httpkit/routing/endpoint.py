"""Endpoints: what a request is handed to once its route is known.

Owns the hot path between the router and a handler. An endpoint is a plain function of a request
that gives a Response, or an awaitable of one where something has to be awaited:

* an `async def` handler: one coroutine around it, which converts its value and answers its
  exceptions;
* a `def` handler: no coroutine at all;
* with middleware: one coroutine more for each layer (`httpkit.middleware`).

Built by `compile.py` when the app is frozen, once for each route.
"""

from collections.abc import Awaitable, Callable
from types import EllipsisType
from typing import Any

from httpkit.middleware import Layer, Responder, compose
from httpkit.request import Request
from httpkit.response import Response, to_response
from httpkit.routing.handlers import is_asynchronous
from httpkit.threads import ThreadPool
from httpkit.types import Handler, Next

__all__ = ["Endpoint", "build_endpoint"]

Endpoint = Callable[[Request], Response | Awaitable[Response]]


def build_endpoint(
    handler: Handler,
    *,
    parameters: bool,
    threads: ThreadPool | None,
    layers: list[Layer],
    respond: Responder,
    max_body: int | EllipsisType | None,
) -> Endpoint:
    """Compose a handler with everything around it.

    Args:
        handler: called as `handler(request, **request.path_params)`.
        parameters: whether the route has any.
        threads: the pool for the handler, or `None` to run it on the loop.
        layers: middleware, the outermost first.
        respond: answers the handler's exceptions; with no layers it must answer all of them.
        max_body: set on the request before anything else sees it, unless it is `...`.
    """
    call = _with_parameters(handler) if parameters else handler
    endpoint: Endpoint
    if threads is None and not is_asynchronous(handler):
        inline = _inline(call, respond)
        endpoint = compose(layers, _awaitable(inline)) if layers else inline
    else:
        if threads is not None:
            call = _in_thread(threads, call)
        endpoint = compose(layers, _asynchronous(call, respond))
    if not isinstance(max_body, EllipsisType):
        endpoint = _with_max_body(endpoint, max_body)
    return endpoint


def _asynchronous(call: Handler, respond: Responder) -> Next:
    """For handlers that are awaited: the one coroutine of ours on the hot path."""

    async def endpoint(request: Request) -> Response:
        try:
            return to_response(await call(request))
        except Exception as error:
            answer = respond(request, error)
            if answer is None:
                raise
            return answer if isinstance(answer, Response) else await answer

    return endpoint


def _inline(call: Handler, respond: Responder) -> Endpoint:
    """For `def` handlers, and for async generators, which only make an iterator when called."""

    def endpoint(request: Request) -> Response | Awaitable[Response]:
        try:
            value = call(request)
            if type(value) is not str and hasattr(value, "__await__"):
                # A decorator may hide an `async def` behind a plain function.
                return _asynchronous(lambda _: value, respond)(request)
            return to_response(value)
        except Exception as error:
            answer = respond(request, error)
            if answer is None:
                raise
            return answer

    return endpoint


def _with_parameters(handler: Handler) -> Handler:
    def call(request: Request) -> Any:
        return handler(request, **request.path_params)

    return call


def _in_thread(threads: ThreadPool, call: Handler) -> Handler:
    def start(request: Request) -> Awaitable[Any]:
        return threads.run(call, request)

    return start


def _awaitable(endpoint: Endpoint) -> Next:
    """The endpoint as middleware needs it."""

    async def following(request: Request) -> Response:
        answer = endpoint(request)
        return answer if isinstance(answer, Response) else await answer

    return following


def _with_max_body(endpoint: Endpoint, max_body: int | None) -> Endpoint:
    def limited(request: Request) -> Response | Awaitable[Response]:
        request.max_body = max_body
        return endpoint(request)

    return limited
