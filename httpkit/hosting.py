"""Applications of other frameworks: what they speak, and how they are served or mounted.

Called by the command line for the application that it serves, and by `Router.mount`.
"""

import functools
import inspect
from collections.abc import Awaitable
from typing import Any, Literal

from httpkit.asgi import ASGIApplication, LifespanChoice
from httpkit.errors import ConfigurationError
from httpkit.request import Request
from httpkit.response import Response
from httpkit.routing import Router
from httpkit.routing.definitions import SERVERS_LIMITS, RouteDefinition
from httpkit.routing.handlers import describe
from httpkit.routing.pattern import quote_segments
from httpkit.status import METHODS
from httpkit.types import Application
from httpkit.urls import quote_path, split_target
from httpkit.wsgi import WSGIApplication

__all__ = [
    "ANY_METHOD",
    "Interface",
    "RootedApplication",
    "adapt",
    "as_application",
    "find_interface",
    "make_router",
]

#: What is routed to a mounted application: it decides itself.
ANY_METHOD = tuple(name for name in METHODS.values() if name != "CONNECT")

Interface = Literal["auto", "httpkit", "asgi", "wsgi"]


def find_interface(found: object) -> Literal["httpkit", "asgi", "wsgi"] | None:
    """What an object speaks, by what it looks like; `None` if it cannot be served.

    ASGI applications are coroutine functions of three arguments, WSGI applications functions of
    two; objects count as their `__call__`. A class is an application if it makes something of three
    arguments that can be awaited, as the endpoints of Starlette are.
    """
    if isinstance(found, type):
        awaitable = hasattr(found, "__await__") and _count_arguments(found) == 3
        return "asgi" if awaitable else None
    if isinstance(found, Application):
        return "httpkit"
    if not callable(found):
        return None
    plain: Any = found
    while isinstance(plain, functools.partial):
        plain = plain.func
    call = plain if inspect.isroutine(plain) else type(plain).__call__
    count = _count_arguments(found)
    if count == 3 or (count is None and inspect.iscoroutinefunction(call)):
        return "asgi"
    return "wsgi" if count == 2 and not inspect.iscoroutinefunction(call) else None


def _count_arguments(found: Any) -> int | None:
    """How many positional arguments it needs; `None` if nobody knows."""
    try:
        parameters = inspect.signature(found).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(each.kind is each.VAR_POSITIONAL for each in parameters):
        return None
    required = [each for each in parameters if each.default is each.empty]
    return len([each for each in required if each.kind is not each.KEYWORD_ONLY])


def adapt(
    found: Any,
    interface: Literal["httpkit", "asgi", "wsgi"],
    *,
    lifespan: LifespanChoice = "auto",
    root_path: str = "",
    threads: int = 40,
) -> Application:
    """The application that the server serves.

    Args:
        found: what speaks `interface`.
        interface: as `find_interface` gives it.
        lifespan: of an ASGI application, see `ASGIApplication`.
        root_path: where a proxy has mounted it.
        threads: of a WSGI application, see `WSGIApplication`.
    """
    root_path = f"/{trimmed}" if (trimmed := root_path.strip("/")) else ""
    if interface == "asgi":
        return ASGIApplication(found, lifespan=lifespan, root_path=root_path)
    if interface == "wsgi":
        return WSGIApplication(found, threads=threads, root_path=root_path)
    assert isinstance(found, Application)
    return RootedApplication(found, root_path) if root_path else found


class RootedApplication:
    """An application of ours that a proxy has mounted; implements `types.Application`.

    Args:
        application: what answers.
        root_path: the part of the path that the proxy has cut off, without a last slash.
    """

    def __init__(self, application: Application, root_path: str) -> None:
        self.application = application
        self.on_freeze = application.on_freeze
        self.lifespan = application.lifespan
        self._handle = application.handle
        self._root_path = quote_path(root_path)

    def handle(self, request: Request, /) -> Response | Awaitable[Response]:
        """Answer a request that knows where it is."""
        request.root_path = self._root_path
        return self._handle(request)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.application, name)  # what an Application may have besides


def as_application(found: object) -> Application:
    """The application that an object is, or that is made of it with the usual options.

    Raises:
        ConfigurationError: it is none.
    """
    interface = find_interface(found)
    if interface is None:
        raise ConfigurationError(f"{found!r} is no httpkit App, nor an ASGI or WSGI application")
    return adapt(found, interface)


def make_router(found: Any) -> Router:
    """A router that hands every request to an application of another framework.

    Raises:
        ConfigurationError: it is none.
    """
    interface = find_interface(found)
    if interface is None or interface == "httpkit":
        raise ConfigurationError(
            f"{found!r} is not an httpkit Router or App, nor an ASGI or WSGI application"
        )
    hosted = adapt(found, interface)
    assert isinstance(hosted, ASGIApplication | WSGIApplication)

    async def handler(request: Request, **_: object) -> Response:
        assert request.route is not None
        root, rest = _split_prefix(request, request.route.pattern)
        root = request.root_path.encode() + root
        query = request.query_string
        below = request.with_target(rest + b"?" + query if query else rest)
        return await hosted.handle_below(below, root)

    router = Router(lifespan=lambda _: hosted.lifespan())
    router.definitions.routes.append(
        RouteDefinition(
            "/{path:path}",
            ANY_METHOD,
            handler,
            describe(found),
            None,
            (),
            SERVERS_LIMITS,
            thread=False,
        )
    )
    return router


def _split_prefix(request: Request, pattern: str) -> tuple[bytes, bytes]:
    """The path of a request as it was sent, cut where the mount ends.

    A path that had to be normalized is encoded anew: what was matched and what the application
    sees are the same.

    Args:
        request: what was matched.
        pattern: `/{path:path}` behind the prefix of the mount.
    """
    segments = request.segments
    assert segments is not None
    raw = split_target(request.target)[0]
    parts = raw.split(b"/")[1:]
    if len(parts) != len(segments) or b"/." in raw or b"%2e" in raw.lower():
        parts = [quote_segments([segment])[1:].encode() for segment in segments]
    count = pattern.count("/") - 1
    root = b"".join(b"/" + part for part in parts[:count])
    return root, b"/" + b"/".join(parts[count:])
