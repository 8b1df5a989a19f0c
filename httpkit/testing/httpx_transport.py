"""`HTTPXTransport`: httpx sends its requests to an application in memory instead of a socket.

Owns the translation between httpx's requests, answers and exceptions and those of a `Driver`;
cookies, redirects and codings are httpx's own. httpx is imported here and nowhere else, so that
`httpkit.testing` does without.

httpx2 has the same interface under its own name. What a client gets belongs to the package that its
request comes from, so both may be installed.
"""

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from functools import cache
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, Self

from httpkit.errors import LocalProtocolError, RemoteProtocolError
from httpkit.hosting import as_application
from httpkit.limits import Limits
from httpkit.protocol.http1 import HTTP1Choice
from httpkit.server.config import Config
from httpkit.testing.driver import Reply
from httpkit.testing.messages import Body, PreparedRequest
from httpkit.testing.portal import Portal
from httpkit.testing.response import receive_or_raise
from httpkit.testing.wire import WireDriver
from httpkit.urls import URL

if TYPE_CHECKING:
    import httpx
else:
    try:
        import httpx
    except ModuleNotFoundError:
        import httpx2 as httpx

__all__ = ["HTTPXTransport"]


class HTTPXTransport(httpx.AsyncBaseTransport, httpx.BaseTransport):
    """A transport for `httpx.AsyncClient` and `httpx.Client`.

        transport = HTTPXTransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            response = await client.get("/")

    Requests go the whole way, as bytes through the HTTP/1.1 engine and the server, only in memory;
    bodies are streamed in both directions. The lifespan is entered with the first request, or with
    the client, and left when the client is closed. With a plain `httpx.Client` the application runs
    in a thread of its own.

    An answer that is read to its end has its background calls behind it. Of httpx's timeouts that
    for reading counts, between two pieces of an answer; the handler is cancelled.

    Args:
        application: an App, or any ASGI or WSGI application.
        raise_server_exceptions: raise what a handler, a body or a background call raises
            unexpectedly, instead of returning the 500 that a client would see.
        http1: the engine.
        limits: of the server.

    Raises:
        ConfigurationError: no application, or a wrong option.
        httpx.ReadTimeout: the answer, or the next piece of it, has not come in time.
        httpx.RemoteProtocolError: the connection ended before the answer did.
        httpx.LocalProtocolError: a request that is none.
        Exception: what the application raised, with `raise_server_exceptions`.
    """

    def __init__(
        self,
        application: Any,
        *,
        raise_server_exceptions: bool = True,
        http1: HTTP1Choice = "auto",
        limits: Limits | None = None,
    ) -> None:
        self._application = as_application(application)
        self._config = Config.of(http1=http1, limits=limits or Limits(), access_log=False)
        self._strict = raise_server_exceptions
        self._driver: WireDriver | None = None
        self._starting = asyncio.Lock()
        self._portal: Portal | None = None
        self._opening = threading.Lock()

    # --- asynchronous ------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self._start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.aclose()

    async def handle_async_request(self, request: "httpx.Request") -> "httpx.Response":
        """Send a request; the body of the answer is read when it is asked for."""
        exchange = await self._begin(request, request.stream)
        return exchange.answer(_async_stream_of(exchange.package)(exchange))

    async def _begin(self, request: "httpx.Request", body: Any) -> "_Exchange":
        driver = await self._start()
        return await _Exchange.begin(driver, request, body, strict=self._strict)

    async def aclose(self) -> None:
        """Cancel what still runs and leave the lifespan; a further request enters it again."""
        driver, self._driver = self._driver, None
        if driver is not None:
            await driver.stop()

    async def _start(self) -> WireDriver:
        async with self._starting:  # requests may begin at once
            if self._driver is None:
                driver = WireDriver(self._application, self._config)
                await driver.start()
                self._driver = driver
            return self._driver

    # --- synchronous -------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._open()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self.close()

    def handle_request(self, request: "httpx.Request") -> "httpx.Response":
        """As `handle_async_request`, from a plain function."""
        portal = self._open()
        stream = request.stream
        assert isinstance(stream, Iterable)
        exchange = portal.call(self._begin(request, _from_thread(stream)))
        return exchange.answer(_sync_stream_of(exchange.package)(exchange, portal))

    def close(self) -> None:
        """As `aclose`, from a plain function."""
        portal, self._portal = self._portal, None
        if portal is not None:
            portal.close()

    def _open(self) -> Portal:
        with self._opening:
            if self._portal is None:
                portal = Portal(self._entered())
                portal.open()
                self._portal = portal
            return self._portal

    @asynccontextmanager
    async def _entered(self) -> AsyncIterator[None]:
        async with self:
            yield


class _Exchange:
    """One request of httpx and its answer.

    Attributes:
        package: httpx or httpx2, whichever the request is of.
    """

    def __init__(self, request: "httpx.Request", *, strict: bool) -> None:
        self.package = sys.modules[type(request).__module__.partition(".")[0]]
        self._request = request
        self._strict = strict
        self._timeout = request.extensions.get("timeout", {}).get("read")
        self._reply: Reply

    @classmethod
    async def begin(
        cls, driver: WireDriver, request: "httpx.Request", body: Any, *, strict: bool
    ) -> Self:
        """Send a request and wait for the head of its answer."""
        self = cls(request, strict=strict)
        async with self._translated():
            reply = await driver.request(_prepare(request, self._content(body)))
        self._reply = reply
        if strict and reply.status >= 500 and reply.error is not None:
            await reply.close()
            raise reply.error
        return self

    def answer(self, stream: Any) -> "httpx.Response":
        """What httpx gets."""
        reply = self._reply
        answer: httpx.Response = self.package.Response(
            reply.status,
            headers=reply.headers.raw,
            stream=stream,
            extensions={"http_version": f"HTTP/{reply.http_version}".encode()},
        )
        return answer

    def _content(self, stream: Any) -> Any:
        """The body at once, where httpx has it; else in pieces."""
        try:
            return self._request.content
        except self.package.RequestNotRead:
            return stream

    async def receive(self) -> bytes:
        """The next piece of the body; at its end background calls have been waited for."""
        reply = self._reply
        async with self._translated():
            piece = await receive_or_raise(reply, strict=self._strict)
        if not piece:
            await reply.finish()
            if self._strict and reply.error is not None:
                raise reply.error
        return piece

    async def close(self) -> None:
        """Give up what has not been received."""
        await self._reply.close()

    @asynccontextmanager
    async def _translated(self) -> AsyncIterator[None]:
        """Within httpx's timeout, and with httpx's exceptions."""
        package = self.package
        timer = asyncio.timeout(self._timeout)
        try:
            async with timer:
                yield
        except TimeoutError as error:
            if not timer.expired():  # it is the application's
                raise
            raise package.ReadTimeout("the answer takes too long", request=self._request) from error
        except RemoteProtocolError as error:
            raise package.RemoteProtocolError(str(error), request=self._request) from error
        except LocalProtocolError as error:
            raise package.LocalProtocolError(str(error), request=self._request) from error


@cache
def _async_stream_of(package: ModuleType) -> Callable[[_Exchange], Any]:
    class Stream(package.AsyncByteStream):  # type: ignore[misc, name-defined]
        """The body of an answer."""

        def __init__(self, exchange: _Exchange) -> None:
            self._exchange = exchange

        async def __aiter__(self) -> AsyncIterator[bytes]:
            while piece := await self._exchange.receive():
                yield piece

        async def aclose(self) -> None:
            await self._exchange.close()

    return Stream


@cache
def _sync_stream_of(package: ModuleType) -> Callable[[_Exchange, Portal], Any]:
    class Stream(package.SyncByteStream):  # type: ignore[misc, name-defined]
        """The body of an answer, from another thread."""

        def __init__(self, exchange: _Exchange, portal: Portal) -> None:
            self._exchange = exchange
            self._portal = portal

        def __iter__(self) -> Iterator[bytes]:
            while piece := self._portal.call(self._exchange.receive()):
                yield piece

        def close(self) -> None:
            self._portal.call(self._exchange.close())

    return Stream


def _prepare(request: "httpx.Request", body: Body) -> PreparedRequest:
    url = request.url
    path, mark, query = url.raw_path.decode("ascii").partition("?")
    headers = [(name.lower(), value) for name, value in request.headers.raw]
    target = URL(url.scheme, url.netloc.decode("ascii"), path, query, empty_query=bool(mark))
    return PreparedRequest(request.method, target, headers, body)


async def _from_thread(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    """Pieces of an iterable that may wait, and may not wait in the loop."""
    iterator = iter(pieces)
    while (piece := await asyncio.to_thread(next, iterator, None)) is not None:
        yield piece
