"""`Client`: `AsyncClient` for tests that are plain functions.

The application runs in a thread of its own, in one task from start to stop, as in a server; each
call here waits for a call of the `AsyncClient` there.
"""

from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from httpkit.headers import HeaderFields, Headers, MutableHeaders
from httpkit.testing.async_client import AsyncClient, ClientOptions, RequestOptions
from httpkit.testing.cookies import Cookies
from httpkit.testing.portal import Portal
from httpkit.testing.response import AsyncStream, AsyncUpgradedStream, Head, Response
from httpkit.testing.websocket import WebSocketConnection

__all__ = ["Client", "Stream", "UpgradedStream"]

T = TypeVar("T")


class Client:
    """Sends requests to an application without a network and without `await`.

        with Client(app) as client:
            response = client.get("/")
            assert response.text == "Hello, world!"

    Args:
        application: an App, or any ASGI or WSGI application.
        **options: as for `AsyncClient`.
    """

    def __init__(self, application: Any, **options: Unpack[ClientOptions]) -> None:
        self._client = AsyncClient(application, **options)
        self._portal: Portal | None = None

    def __enter__(self) -> Self:
        self._portal = Portal(self._client)
        self._portal.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        portal, self._portal = self._portal, None
        assert portal is not None
        portal.close()

    @property
    def base_url(self) -> str:
        """What relative URLs are resolved against."""
        return self._client.base_url

    @property
    def headers(self) -> MutableHeaders:
        """Sent with every request."""
        return self._client.headers

    @property
    def cookies(self) -> Cookies:
        """Kept between requests."""
        return self._client.cookies

    @property
    def portal(self) -> Portal:
        """The way into the thread of the application.

        Raises:
            RuntimeError: the client is not entered.
        """
        if self._portal is None:
            raise RuntimeError("enter the client first: with Client(app) as client:")
        return self._portal

    def get(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """`request` with GET."""
        return self.request("GET", url, **options)

    def head(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """`request` with HEAD."""
        return self.request("HEAD", url, **options)

    def options(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """`request` with OPTIONS."""
        return self.request("OPTIONS", url, **options)

    def post(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """`request` with POST."""
        return self.request("POST", url, **options)

    def put(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """`request` with PUT."""
        return self.request("PUT", url, **options)

    def patch(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """`request` with PATCH."""
        return self.request("PATCH", url, **options)

    def delete(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """`request` with DELETE."""
        return self.request("DELETE", url, **options)

    def request(self, method: str, url: str, **options: Unpack[RequestOptions]) -> Response:
        """Send a request, read the whole answer; see `AsyncClient.request`."""
        return self.portal.call(self._client.request(method, url, **options))

    @contextmanager
    def stream(
        self, method: str, url: str, **options: Unpack[RequestOptions]
    ) -> Iterator["Stream"]:
        """Send a request and read the answer as it comes; see `AsyncClient.stream`."""
        with self._entered(self._client.stream(method, url, **options)) as stream:
            yield Stream(stream, self.portal)

    @contextmanager
    def upgrade(
        self, url: str, protocol: str, headers: HeaderFields | None = None
    ) -> Iterator["UpgradedStream"]:
        """Offer to upgrade to a protocol; see `AsyncClient.upgrade`."""
        with self._entered(self._client.upgrade(url, protocol, headers)) as stream:
            yield UpgradedStream(stream, self.portal)

    @contextmanager
    def websocket_connect(
        self,
        url: str,
        *,
        subprotocols: Iterable[str] = (),
        headers: HeaderFields | None = None,
        cookies: Mapping[str, str] | None = None,
    ) -> Iterator[WebSocketConnection]:
        """Open a WebSocket; see `AsyncClient.websocket_connect`."""
        manager = self._client.websocket_connect(
            url, subprotocols=subprotocols, headers=headers, cookies=cookies
        )
        with self._entered(manager) as connection:
            yield WebSocketConnection(connection, self.portal)

    @contextmanager
    def _entered(self, manager: AbstractAsyncContextManager[T]) -> Iterator[T]:
        """Enter and leave in the loop; the body of the `with` runs here."""
        portal = self.portal
        entered = portal.call(manager.__aenter__())
        try:
            yield entered
        finally:
            if self._portal is portal:  # else the client has closed everything already
                portal.call(manager.__aexit__(None, None, None))


class Stream(Head):
    """An answer whose body is read as it comes; from `Client.stream`."""

    def __init__(self, stream: AsyncStream, portal: Portal) -> None:
        super().__init__(stream.reply, stream.request, stream.history)
        self._stream = stream
        self._portal = portal

    @property
    def trailers(self) -> Headers:
        """Fields after the body, once it is read."""
        return self._stream.trailers

    def iter_bytes(self) -> Iterator[bytes]:
        """The pieces of the body as the server sends them; see `AsyncStream.aiter_bytes`."""
        return self._iterate(self._stream.aiter_bytes())

    def iter_text(self) -> Iterator[str]:
        """The pieces as text; a character that is cut in two comes with the second piece."""
        return self._iterate(self._stream.aiter_text())

    def iter_lines(self) -> Iterator[str]:
        """The lines as they are complete, without their ends."""
        return self._iterate(self._stream.aiter_lines())

    def read(self) -> bytes:
        """All that is left of the body."""
        return self._portal.call(self._stream.aread())

    def _iterate(self, pieces: AsyncGenerator[T, None]) -> Iterator[T]:
        async def take() -> T | None:
            return await anext(pieces, None)

        while (piece := self._portal.call(take())) is not None:
            yield piece


class UpgradedStream(Head):
    """The bytes of an accepted upgrade; from `Client.upgrade`."""

    def __init__(self, stream: AsyncUpgradedStream, portal: Portal) -> None:
        super().__init__(stream.reply, stream.request)
        self._stream = stream
        self._portal = portal

    def send(self, data: bytes) -> None:
        """Write bytes."""
        self._portal.call(self._stream.send(data))

    def receive(self) -> bytes:
        """The next bytes; `b""` once the server has closed."""
        return self._portal.call(self._stream.receive())
