"""`AsyncClient`: drives an application in the loop of the test.

Owns cookies, redirects and the decision which exception a test sees. How a request reaches the
application is a `Driver`'s business.
"""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self, TypedDict, Unpack

from httpkit.headers import HeaderFields, MutableHeaders, encode_fields
from httpkit.hosting import as_application
from httpkit.limits import Limits
from httpkit.protocol.http1 import HTTP1Choice
from httpkit.server.config import Config
from httpkit.testing.cookies import Cookies
from httpkit.testing.direct import DirectDriver
from httpkit.testing.driver import Driver, Reply
from httpkit.testing.messages import (
    Content,
    Files,
    Form,
    Params,
    PreparedRequest,
    build_request,
    resolve_url,
)
from httpkit.testing.response import (
    AsyncStream,
    AsyncUpgradedStream,
    Head,
    Response,
    UnexpectedStatusError,
    receive_or_raise,
)
from httpkit.testing.websocket import AsyncWebSocketConnection, handshake_fields
from httpkit.testing.wire import WireDriver
from httpkit.urls import URL

__all__ = ["AsyncClient", "ClientOptions", "RequestOptions", "TooManyRedirects"]

_MAX_REDIRECTS = 20
#: What describes a body; not sent on when a redirect drops it.
_BODY_FIELDS = {b"content-length", b"content-type", b"transfer-encoding", b"expect"}


class ClientOptions(TypedDict, total=False):
    """What both clients take; see `AsyncClient`."""

    base_url: str
    params: Params | None
    headers: HeaderFields | None
    cookies: Mapping[str, str] | None
    auth: tuple[str, str] | None
    follow_redirects: bool
    raise_server_exceptions: bool
    timeout: float | None
    wire: bool
    http1: HTTP1Choice
    limits: Limits | None


class RequestOptions(TypedDict, total=False):
    """What every request takes; see `AsyncClient.request`."""

    params: Params | None
    headers: HeaderFields | None
    cookies: Mapping[str, str] | None
    content: Content | None
    data: Form | None
    files: Files | None
    json: Any
    auth: tuple[str, str] | None
    follow_redirects: bool
    timeout: float | None


class TooManyRedirects(RuntimeError):
    """An application redirects in circles, as far as its client is willing to go."""


class AsyncClient:
    """Sends requests to an application without a network.

        async with AsyncClient(app) as client:
            response = await client.get("/")
            assert response.text == "Hello, world!"

    Entering it enters the application's lifespan. By default requests go the whole way, as bytes
    through the HTTP/1.1 engine and the server, only in memory.

    Args:
        application: an App, or any ASGI or WSGI application.
        base_url: what relative URLs are resolved against; `https` makes `request.scheme` that.
        params: added to the query of every request, before its own.
        headers: sent with every request.
        cookies: kept, with those the application sets, and sent with every request.
        auth: a user and a password (RFC 7617), unless a request says otherwise.
        follow_redirects: unless a request says otherwise.
        raise_server_exceptions: raise what a handler, a body, the session of an upgrade or a
            background call raises unexpectedly, instead of returning the 500 that a client would
            see.
        timeout: seconds until a request is given up, unless it says otherwise.
        wire: `False` calls the application directly: faster, but no engine checks or frames
            anything.
        http1: the engine behind the wire.
        limits: of the server.
    """

    def __init__(
        self,
        application: Any,
        *,
        base_url: str = "http://testserver",
        params: Params | None = None,
        headers: HeaderFields | None = None,
        cookies: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        follow_redirects: bool = False,
        raise_server_exceptions: bool = True,
        timeout: float | None = None,
        wire: bool = True,
        http1: HTTP1Choice = "auto",
        limits: Limits | None = None,
    ) -> None:
        application = as_application(application)
        config = Config.of(http1=http1, limits=limits or Limits(), access_log=False)
        self._driver: Driver = (
            WireDriver(application, config) if wire else DirectDriver(application, config.limits)
        )
        self._entered = False
        self.base_url = base_url
        self.headers = MutableHeaders([(b"accept", b"*/*"), (b"user-agent", b"httpkit.testing")])
        self.headers.update(encode_fields(headers))
        self.cookies = Cookies(cookies)
        self._params = params
        self._auth = auth
        self._follow_redirects = follow_redirects
        self._strict = raise_server_exceptions
        self._timeout = timeout

    async def __aenter__(self) -> Self:
        await self._driver.start()
        self._entered = True
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._entered = False
        await self._driver.stop()

    # --- requests ----------------------------------------------------------------------------

    async def get(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """`request` with GET."""
        return await self.request("GET", url, **options)

    async def head(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """`request` with HEAD."""
        return await self.request("HEAD", url, **options)

    async def options(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """`request` with OPTIONS."""
        return await self.request("OPTIONS", url, **options)

    async def post(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """`request` with POST."""
        return await self.request("POST", url, **options)

    async def put(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """`request` with PUT."""
        return await self.request("PUT", url, **options)

    async def patch(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """`request` with PATCH."""
        return await self.request("PATCH", url, **options)

    async def delete(self, url: str, **options: Unpack[RequestOptions]) -> Response:
        """`request` with DELETE."""
        return await self.request("DELETE", url, **options)

    async def request(self, method: str, url: str, **options: Unpack[RequestOptions]) -> Response:
        """Send a request, read the whole answer, wait for background calls.

        Args:
            method: any; sent in upper case.
            url: relative to `base_url`, or absolute: every host leads to the application.
            **options: `params` are added to the query; `headers` and `cookies` to those of the
                client; the body is one of `content` (text, bytes, or an iterable of bytes, sent
                in chunks), `json`, or `data` with `files` as a form; `auth` is a user and a
                password (RFC 7617); `follow_redirects`; `timeout` in seconds.

        Raises:
            TimeoutError: the answer is not complete in time; the handler is cancelled.
            Exception: what the application raised, with `raise_server_exceptions`.
            RemoteProtocolError: the connection ended before the answer did.
            TooManyRedirects: more than 20.
        """
        async with self._timer(options):
            request, reply, history = await self._send(method, url, options)
            return await self._read(request, reply, history)

    @asynccontextmanager
    async def stream(
        self, method: str, url: str, **options: Unpack[RequestOptions]
    ) -> AsyncIterator[AsyncStream]:
        """Send a request and read the answer as it comes; what is not read is given up at the end.

        A timeout is that of the head.

            async with client.stream("GET", "/events") as response:
                async for line in response.aiter_lines(): ...

        Raises:
            Exception: as `request`.
        """
        async with self._timer(options):
            request, reply, history = await self._send(method, url, options)
        try:
            yield AsyncStream(reply, request, history, strict=self._strict)
        finally:
            await reply.close()

    @asynccontextmanager
    async def upgrade(
        self, url: str, protocol: str, headers: HeaderFields | None = None
    ) -> AsyncIterator[AsyncUpgradedStream]:
        """Offer to upgrade to a protocol; its bytes, both ways. Leaving disconnects.

        Raises:
            UnexpectedStatusError: the application has not accepted.
            Exception: as `request`.
        """
        fields = [*encode_fields(headers), (b"connection", b"upgrade")]
        fields.append((b"upgrade", protocol.encode()))
        request, reply, _ = await self._send("GET", url, {"headers": fields})
        try:
            if reply.status != 101:
                raise UnexpectedStatusError(
                    f"{request.url} was answered {reply.status}, not 101", Head(reply, request)
                )
            yield AsyncUpgradedStream(reply, request, strict=self._strict)
        finally:
            await reply.close()

    @asynccontextmanager
    async def websocket_connect(
        self,
        url: str,
        *,
        subprotocols: Iterable[str] = (),
        headers: HeaderFields | None = None,
        cookies: Mapping[str, str] | None = None,
    ) -> AsyncIterator[AsyncWebSocketConnection]:
        """Open a WebSocket; leaving closes it with 1000.

            async with client.websocket_connect("/chat/blue") as ws:
                await ws.send("hello")
                assert await ws.receive() == "hello"

        Needs `wire`.

        Args:
            url: of the route, as for `request`.
            subprotocols: to offer, the favorite first.
            headers: as for `request`.
            cookies: as for `request`.

        Raises:
            UnexpectedStatusError: the application has refused; `response` is its answer.
            Exception: as `request`.
        """
        fields = [*encode_fields(headers), *handshake_fields(subprotocols)]
        request, reply, history = await self._send(
            "GET", url, {"headers": fields, "cookies": cookies}
        )
        if reply.status != 101:
            response = await self._read(request, reply, history)
            raise UnexpectedStatusError(
                f"{request.url} was answered {reply.status}, not 101", response
            )
        try:
            connection = AsyncWebSocketConnection(reply, request, strict=self._strict)
            yield connection
            await connection.leave()
        finally:
            await reply.close()

    # --- inside ------------------------------------------------------------------------------

    def _timer(self, options: RequestOptions) -> asyncio.Timeout:
        return asyncio.timeout(options.get("timeout", self._timeout))

    async def _send(
        self, method: str, url: str, options: RequestOptions
    ) -> tuple[PreparedRequest, Reply, list[Response]]:
        """Send a request and follow redirects; the last answer is not read yet."""
        if not self._entered:
            raise RuntimeError("enter the client first: async with AsyncClient(app) as client:")
        known = RequestOptions.__optional_keys__
        if unknown := options.keys() - known:
            raise TypeError(f"a request has no option {min(unknown)!r}: {', '.join(sorted(known))}")
        follow = options.get("follow_redirects", self._follow_redirects)
        history: list[Response] = []
        request = self._build(method, url, options)
        cookies = options.get("cookies")
        while True:
            self._add_cookies(request, cookies)
            reply = await self._driver.request(request)
            head = Head(reply, request)
            self.cookies.store(request.url, reply.headers)
            if not (follow and head.has_redirect_location):
                break
            history.append(await self._read(request, reply, history[:]))
            if len(history) > _MAX_REDIRECTS:
                raise TooManyRedirects(f"{url} redirects more than {_MAX_REDIRECTS} times")
            following = follow_redirect(request, history[-1])
            if not same_origin(following.url, request.url):
                cookies = None
            request = following
        # What fails later, in a body, is raised where it is read.
        if self._strict and reply.status >= 500 and reply.error is not None:
            await reply.close()
            raise reply.error
        return request, reply, history

    def _build(self, method: str, url: str, options: RequestOptions) -> PreparedRequest:
        headers = MutableHeaders(list(self.headers.raw))
        headers.update(options.get("headers") or ())
        auth = options.get("auth", self._auth)
        if auth is not None:
            headers["authorization"] = f"Basic {b64encode(':'.join(auth).encode()).decode()}"
        return build_request(
            method,
            resolve_url(self.base_url, url, self._params, options.get("params")),
            headers,
            content=options.get("content"),
            data=options.get("data"),
            files=options.get("files"),
            json=options.get("json", ...),
        )

    def _add_cookies(self, request: PreparedRequest, extra: Mapping[str, str] | None) -> None:
        if request.header(b"cookie") is not None:
            return
        pairs = [f"{name}={value}" for name, value in (extra or {}).items()]
        kept = self.cookies.header(request.url)
        if kept is not None:
            pairs.append(kept)
        if pairs:
            request.headers.append((b"cookie", "; ".join(pairs).encode()))

    async def _read(
        self, request: PreparedRequest, reply: Reply, history: list[Response]
    ) -> Response:
        try:
            pieces = []
            while piece := await receive_or_raise(reply, strict=self._strict):
                pieces.append(piece)
            await reply.finish()
            if self._strict and reply.error is not None:
                raise reply.error
            return Response(reply, request, b"".join(pieces), history)
        finally:
            await reply.close()


def follow_redirect(request: PreparedRequest, response: Response) -> PreparedRequest:
    """The next request (RFC 9110 §15.4): 303 makes it a GET, and so do 301 and 302 of a POST.

    Raises:
        TypeError: the body would have to be sent again, and was an iterable.
    """
    url = resolve_url(str(request.url), response.headers["location"])
    method, body = request.method, request.body
    headers = [field for field in request.headers if field[0] not in (b"host", b"cookie")]
    status = response.status_code
    if (status == 303 and method != "HEAD") or (status in (301, 302) and method == "POST"):
        method, body = "GET", b""
        headers = [field for field in headers if field[0] not in _BODY_FIELDS]
    if not isinstance(body, bytes):
        raise TypeError(f"{status} asks for the body again: give bytes instead of an iterable")
    if not same_origin(url, request.url):
        headers = [field for field in headers if field[0] != b"authorization"]
    headers.insert(0, (b"host", url.authority.encode()))
    return PreparedRequest(method, url, headers, body)


def same_origin(url: URL, other: URL) -> bool:
    """Whether two URLs have the same origin (RFC 6454 §5); credentials stay within one."""
    return (url.scheme, url.host, url.port) == (other.scheme, other.host, other.port)
