"""Endpoints: what a request is handed to once its route is known.

Owns the hot path between the router and a handler. An endpoint is a plain function of a request
that gives a Response, or an awaitable of one where something has to be awaited:

* an `async def` handler: its first step is taken at once, and there is only a coroutine around
  the rest of it, if it has to wait;
* a `def` handler: no coroutine at all;
* with middleware: one coroutine around the handler, and one more for each layer
  (`httpkit.middleware.compose`).

Built by `compile.py` when the app is frozen, once for each route.
"""

import asyncio
import time
from collections.abc import Awaitable
from functools import partial
from types import EllipsisType
from typing import Any

from httpkit.body import UnopenedFile
from httpkit.middleware.compose import Endpoint, Layer, Responder, compose
from httpkit.representation import represent_file
from httpkit.request import Request
from httpkit.response import Response, open_file, to_response
from httpkit.routing.definitions import SERVERS_LIMITS, BodyLimits
from httpkit.routing.handlers import is_asynchronous
from httpkit.stepping import Rest
from httpkit.threads import ThreadPool
from httpkit.types import Handler, Next

__all__ = ["Endpoint", "build_endpoint"]


def build_endpoint(
    handler: Handler,
    *,
    parameters: bool,
    threads: ThreadPool | None,
    layers: list[Layer],
    respond: Responder,
    limits: BodyLimits,
) -> Endpoint:
    """Compose a handler with everything around it.

    Args:
        handler: called as `handler(request, **request.path_params)`.
        parameters: whether the route has any.
        threads: the pool for the handler, or `None` to run it on the loop.
        layers: middleware, the outermost first.
        respond: answers the handler's exceptions; with no layers it must answer all of them.
        limits: set on the request before anything else sees it.
    """
    call = _with_parameters(handler) if parameters else handler
    endpoint: Endpoint
    if threads is None and not layers and is_asynchronous(handler):
        endpoint = _stepping(handler, respond, parameters=parameters)
    elif threads is None and not is_asynchronous(handler):
        inline = _inline(call, respond)
        endpoint = compose(layers, _awaitable(inline)) if layers else inline
    else:
        if threads is not None:
            call = _in_thread(threads, call)
        inner = _asynchronous(call, respond)
        endpoint = compose(layers, inner) if layers else inner
    return endpoint if limits == SERVERS_LIMITS else _with_limits(endpoint, limits)


def _stepping(handler: Handler, respond: Responder, *, parameters: bool) -> Endpoint:
    """For `async def` handlers without middleware: most of them end in their first step."""

    def endpoint(request: Request) -> Response | Awaitable[Response]:
        try:
            coroutine = handler(request, **request.path_params) if parameters else handler(request)
            waits_for = coroutine.send(None)
        except StopIteration as stop:
            value = stop.value
        except Exception as error:  # noqa: BLE001 - answered, whatever it is
            return _answer(respond, request, error)
        else:
            return _go_on(Rest(coroutine, waits_for), respond, request)
        try:
            response = to_response(value)
        except Exception as error:  # noqa: BLE001 - answered, whatever it is
            return _answer(respond, request, error)
        if type(response.body) is UnopenedFile:
            return _asynchronous(partial(_open, response=response), respond)(request)
        return response

    return endpoint


async def _go_on(rest: Rest, respond: Responder, request: Request) -> Response:
    try:
        response = to_response(await rest)
        return (
            response if type(response.body) is not UnopenedFile else await _open(request, response)
        )
    except Exception as error:  # noqa: BLE001 - answered, whatever it is
        answer = _answer(respond, request, error)
        return answer if isinstance(answer, Response) else await answer


def _answer(
    respond: Responder, request: Request, error: Exception
) -> Response | Awaitable[Response]:
    """The answer to an exception, where no layer further out could give it."""
    answer = respond(request, error)
    if answer is None:
        raise error
    return answer


def _asynchronous(call: Handler, respond: Responder) -> Next:
    """For handlers that are awaited."""

    async def endpoint(request: Request) -> Response:
        try:
            response = to_response(await call(request))
            return (
                response
                if type(response.body) is not UnopenedFile
                else await _open(request, response)
            )
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
            response = to_response(value)
            if type(response.body) is UnopenedFile:
                return _asynchronous(partial(_open, response=response), respond)(request)
        except Exception as error:
            answer = respond(request, error)
            if answer is None:
                raise
            return answer
        return response

    return endpoint


async def _open(request: Request, response: Response) -> Response:
    """Open the file of an answer, off the loop; conditions and ranges are answered by it.

    Done around the handler and inside the middleware: a missing file is the handler's error, and
    whoever looks at the answer finds an open file with its size.
    """
    response = await asyncio.to_thread(open_file, response)
    return represent_file(request, response, time.time())


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


def _with_limits(endpoint: Endpoint, limits: BodyLimits) -> Endpoint:
    max_body, min_body_rate = limits

    def limited(request: Request) -> Response | Awaitable[Response]:
        if not isinstance(max_body, EllipsisType):
            request.max_body = max_body
        request.min_body_rate = min_body_rate
        return endpoint(request)

    return limited
