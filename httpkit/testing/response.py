"""What a test gets: `Response`, and the answers that are read as they come."""

import codecs
from collections.abc import AsyncGenerator
from typing import Any, Self, TypeVar, overload

import msgspec

from httpkit.errors import RemoteProtocolError, reason_phrase
from httpkit.headers import Headers
from httpkit.semantics.media_types import find_codec, parse_media_type
from httpkit.testing.cookies import Cookies
from httpkit.testing.driver import Informational, Reply
from httpkit.testing.messages import PreparedRequest
from httpkit.urls import URL

__all__ = [
    "AsyncStream",
    "AsyncUpgradedStream",
    "Head",
    "Response",
    "UnexpectedStatusError",
    "receive_or_raise",
]

T = TypeVar("T")
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class UnexpectedStatusError(AssertionError):
    """`raise_for_status` has found another status than 2xx, or an upgrade was refused.

    Attributes:
        response: the answer; its body is there if it was read.
        request: what was answered.
    """

    def __init__(self, message: str, response: "Head") -> None:
        super().__init__(message)
        self.response = response
        self.request = response.request


class Head:
    """What every answer has, read or not.

    Attributes:
        status_code: of the answer.
        headers: case-insensitive; `getlist` for the lines of a repeated field.
        request: what was answered, with its `method`, `url` and `headers`.
        http_version: as the server says, e.g. `1.1`.
        informational: interim responses before this one, with `status` and `headers`.
        history: the redirects that were followed, in order.
        cookies: those that this answer has set, `Secure` ones included whatever the scheme.
    """

    def __init__(
        self, reply: Reply, request: PreparedRequest, history: "list[Response] | None" = None
    ) -> None:
        self.status_code = reply.status
        self.headers = reply.headers
        self.request = request
        self.http_version = reply.http_version
        self.informational: list[Informational] = reply.informational
        self.history: list[Response] = history or []
        self.cookies = Cookies()
        url = request.url
        self.cookies.store(URL("https", url.authority, url.path), reply.headers)

    @property
    def status(self) -> int:
        """The same as `status_code`, as handlers call it."""
        return self.status_code

    @property
    def url(self) -> URL:
        """Absolute, of the request that was answered."""
        return self.request.url

    @property
    def reason_phrase(self) -> str:
        """The registered phrase of the status."""
        return reason_phrase(self.status_code)

    @property
    def is_informational(self) -> bool:
        """1xx: an accepted upgrade; interim responses are in `informational`."""
        return self.status_code <= 199

    @property
    def is_success(self) -> bool:
        """2xx."""
        return 200 <= self.status_code <= 299

    @property
    def is_redirect(self) -> bool:
        """3xx."""
        return 300 <= self.status_code <= 399

    @property
    def has_redirect_location(self) -> bool:
        """301, 302, 303, 307 or 308 with a Location: what a client can follow."""
        return self.status_code in _REDIRECTS and "location" in self.headers

    @property
    def is_client_error(self) -> bool:
        """4xx."""
        return 400 <= self.status_code <= 499

    @property
    def is_server_error(self) -> bool:
        """5xx."""
        return self.status_code >= 500

    @property
    def is_error(self) -> bool:
        """4xx or 5xx."""
        return self.status_code >= 400

    def raise_for_status(self) -> Self:
        """Return self, or fail the test.

        Raises:
            UnexpectedStatusError: another status than 2xx.
        """
        if not self.is_success:
            raise UnexpectedStatusError(f"{self.request} was answered {self.status_code}", self)
        return self

    @property
    def encoding(self) -> str:
        """How `text` decodes the body: the charset of its Content-Type, or UTF-8."""
        media_type = parse_media_type(self.headers.get("content-type", ""))
        charset = media_type.parameters.get("charset") if media_type is not None else None
        return find_codec(charset or "utf-8") or "utf-8"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.status_code} {self.request.method} {self.url}>"


class Response(Head):
    """A whole answer.

    Attributes:
        content: the body.
        trailers: fields after it (RFC 9110 §6.5).
    """

    def __init__(
        self,
        reply: Reply,
        request: PreparedRequest,
        content: bytes,
        history: "list[Response] | None" = None,
    ) -> None:
        super().__init__(reply, request, history)
        self.content = content
        self.trailers = reply.trailers

    @property
    def text(self) -> str:
        """The body as text, in the charset of its Content-Type or UTF-8."""
        return self.content.decode(self.encoding, "replace")

    @overload
    def json(self) -> Any: ...
    @overload
    def json(self, type: type[T]) -> T: ...
    def json(self, type: type[T] | None = None) -> Any:
        """The body as JSON, validated into `type` where one is given (msgspec).

        Raises:
            msgspec.DecodeError: it is not JSON, or not of that type.
        """
        if type is None:
            return msgspec.json.decode(self.content)
        return msgspec.json.decode(self.content, type=type)


class AsyncStream(Head):
    """An answer whose body is read as it comes; from `AsyncClient.stream`."""

    def __init__(
        self, reply: Reply, request: PreparedRequest, history: list[Response], *, strict: bool
    ) -> None:
        super().__init__(reply, request, history)
        self.reply = reply
        self._strict = strict

    @property
    def trailers(self) -> Headers:
        """Fields after the body, once it is read."""
        return self.reply.trailers

    async def aiter_bytes(self) -> AsyncGenerator[bytes, None]:
        """The pieces of the body as the server sends them.

        Raises:
            RemoteProtocolError: the answer is cut short.
            Exception: what the application raised, with `raise_server_exceptions`.
        """
        while piece := await receive_or_raise(self.reply, strict=self._strict):
            yield piece

    async def aiter_text(self) -> AsyncGenerator[str, None]:
        """The pieces as text; a character that is cut in two comes with the second piece."""
        decoder = codecs.getincrementaldecoder(self.encoding)("replace")
        async for piece in self.aiter_bytes():
            if text := decoder.decode(piece):
                yield text
        if text := decoder.decode(b"", final=True):
            yield text

    async def aiter_lines(self) -> AsyncGenerator[str, None]:
        """The lines as they are complete, without their ends."""
        rest = ""
        async for text in self.aiter_text():
            *lines, rest = (rest + text).split("\n")
            for line in lines:
                yield line.removesuffix("\r")
        if rest:
            yield rest

    async def aread(self) -> bytes:
        """All that is left of the body."""
        return b"".join([piece async for piece in self.aiter_bytes()])


class AsyncUpgradedStream(Head):
    """The bytes of an accepted upgrade; from `AsyncClient.upgrade`."""

    def __init__(self, reply: Reply, request: PreparedRequest, *, strict: bool) -> None:
        super().__init__(reply, request)
        self.reply = reply
        self._strict = strict

    async def send(self, data: bytes) -> None:
        """Write bytes."""
        await self.reply.send(data)

    async def receive(self) -> bytes:
        """The next bytes; `b""` once the server has closed.

        Raises:
            Exception: what the session raised, with `raise_server_exceptions`.
        """
        data = await receive_or_raise(self.reply, strict=self._strict)
        if not data and self._strict and self.reply.error is not None:
            raise self.reply.error
        return data


async def receive_or_raise(reply: Reply, *, strict: bool) -> bytes:
    """`Reply.receive`; if `strict`, what failed in the application rather than its symptom."""
    try:
        return await reply.receive()
    except RemoteProtocolError:
        if strict and reply.error is not None:
            raise reply.error from None
        raise
