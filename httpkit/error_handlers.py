"""From an exception to a Response: registered handlers first, then the built-in pages.

Owns the decision what is expected and what is a bug:

1. Expected: an `HTTPError`, what the peer caused (`RemoteProtocolError`, `ClientDisconnected` if
   this client is gone), and every exception for which a handler is registered. Answered where it
   was raised, so that middleware further out sees a Response.
2. Unexpected: everything else. Raised on through the middleware; at the outermost layer logged
   once with the request's id and answered 500, by the handler registered for `Exception` or 500
   if there is one, with a traceback instead in debug mode.
3. A handler that fails is itself unexpected. What fails while a 500 is rendered gets a plain one.

Called by endpoints and by the links between middleware; nothing here sees `CancelledError`.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from inspect import isawaitable

from httpkit.error_pages import error_page, internal_error_page, plain_error_page, traceback_page
from httpkit.errors import ClientDisconnected, HTTPError, RemoteProtocolError
from httpkit.headers import encode_fields
from httpkit.request import Request
from httpkit.response import Response, to_response
from httpkit.routing.definitions import ExceptionHandler
from httpkit.urls import split_target

__all__ = ["ErrorHandlers", "observer"]

logger = logging.getLogger("httpkit")

#: Told of every unexpected exception in its context: a test client raises them in the test.
observer: ContextVar[Callable[[BaseException], object] | None] = ContextVar(
    "observer", default=None
)

Registered = Mapping[type[Exception] | int, ExceptionHandler]


class ErrorHandlers:
    """The exception handlers that hold for one router: its own, then those around it.

    Args:
        tables: what is registered, the innermost router first.
        debug: answer unexpected exceptions with a traceback.
    """

    __slots__ = ("debug", "tables")

    def __init__(self, tables: tuple[Registered, ...], *, debug: bool) -> None:
        self.tables = tables
        self.debug = debug

    def find(self, error: Exception) -> ExceptionHandler | None:
        """The handler for an expected exception: the closest class, then its status.

        `Exception` and the status of unexpected errors are not for this: see `fail`.
        """
        kinds = type(error).__mro__
        kinds = kinds[: kinds.index(Exception)]
        for table in filter(None, self.tables):
            for kind in kinds:
                if kind is HTTPError or kind is RemoteProtocolError:
                    handler = table.get(_status_of(error)) or table.get(kind)
                else:
                    handler = table.get(kind)
                if handler is not None:
                    return handler
        return None

    def respond(self, request: Request, error: Exception) -> Response | Awaitable[Response] | None:
        """Answer an expected exception; `None` for an unexpected one."""
        handler = self.find(error)
        if handler is not None:
            return self._run(handler, request, error)
        try:
            if isinstance(error, HTTPError):
                return error_page(request, error)
            if isinstance(error, RemoteProtocolError):
                # Its message is for the log; the client gets the reason phrase.
                return error_page(request, HTTPError(error.status))
        except Exception as broken:  # noqa: BLE001 - an HTTPError that cannot be written
            return self.fail(request, broken)
        if isinstance(error, ClientDisconnected) and request.is_disconnected():
            logger.debug("request %s: the client went away", request.id)
            return plain_error_page(400)  # nobody reads it
        return None

    def conclude(self, request: Request, error: Exception) -> Response | Awaitable[Response]:
        """Answer any exception: the outermost layer."""
        answer = self.respond(request, error)
        return self.fail(request, error) if answer is None else answer

    def fail(self, request: Request, error: Exception) -> Response | Awaitable[Response]:
        """Log an unexpected exception and answer 500 (RFC 9110 §15.6.1)."""
        observe = observer.get()
        if observe is not None:
            observe(error)
        path = split_target(request.target)[0].decode("ascii", "backslashreplace")
        logger.error("%s %s failed (request %s)", request.method, path, request.id, exc_info=error)
        try:
            if self.debug:
                return traceback_page(request, error)
            for table in self.tables:
                handler = table.get(500) or table.get(Exception)
                if handler is not None:
                    return self._run_last(handler, request, error)
            return internal_error_page(request)
        except Exception as broken:  # noqa: BLE001 - the client gets an answer whatever happens
            return _give_up(request, broken)

    async def _run(self, handler: ExceptionHandler, request: Request, error: Exception) -> Response:
        try:
            return await _call(handler, request, error)
        except Exception as broken:  # noqa: BLE001 - a handler that fails is a bug as any other
            answer = self.fail(request, broken)
            return answer if isinstance(answer, Response) else await answer

    async def _run_last(
        self, handler: ExceptionHandler, request: Request, error: Exception
    ) -> Response:
        try:
            return await _call(handler, request, error)
        except Exception as broken:  # noqa: BLE001 - the client gets an answer whatever happens
            return _give_up(request, broken)


async def _call(handler: ExceptionHandler, request: Request, error: Exception) -> Response:
    """Run a handler and complete its answer with what the error demands."""
    value = handler(request, error)
    if isawaitable(value):
        value = await value
    response = to_response(value)
    if response is not value:
        response.status = _status_of(error)
    if isinstance(error, HTTPError) and error.headers:
        # Allow, WWW-Authenticate, Retry-After: the answer must have them (RFC 9110 §15.5).
        present = {name for name, _ in response.raw_headers}
        missing = [f for f in encode_fields(error.headers) if f[0] not in present]
        if missing:
            response = response.copy()  # a handler may return the same object each time
            response.raw_headers = [*response.raw_headers, *missing]
    return response


def _give_up(request: Request, broken: Exception) -> Response:
    logger.error("the answer to request %s failed as well", request.id, exc_info=broken)
    return plain_error_page(500)


def _status_of(error: Exception) -> int:
    """The status that answers an exception: its own, or 500."""
    return error.status if isinstance(error, HTTPError | RemoteProtocolError) else 500
