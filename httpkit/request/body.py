"""The body of a request, for handlers: whole, in chunks, as text, JSON or a form."""

from collections.abc import AsyncGenerator
from types import EllipsisType
from typing import Any, TypeVar, overload

import msgspec

from httpkit.decoding import DecodedBody, find_coding
from httpkit.errors import HTTPError
from httpkit.forms import FormData, FormLimits, Part, iterate_parts, parse_form
from httpkit.headers import Headers
from httpkit.request.parsed_head import ParsedHead
from httpkit.semantics.media_types import find_codec, parse_media_type

__all__ = ["RequestBody"]

T = TypeVar("T")

_FORM_LIMITS = FormLimits()
_CONSUMED = (
    "the body of this request has been consumed already, by stream(), form() or multipart(); "
    "body() before them keeps it"
)


class RequestBody(ParsedHead):
    """The body of a `Request`; it can be read once, and what `body` and `form` gave is kept."""

    min_body_rate: int | EllipsisType | None = ...
    _body: bytes | None = None
    _form: FormData | None = None
    #: The body is read, or is being read.
    _streamed: bool = False

    def decode_body(self, max_size: int | None = None) -> None:
        """From here on, give the body without its `Content-Encoding` (RFC 9110 §8.4).

        Without this call the body is what was sent. With it `body`, `text`, `json`, `form`,
        `multipart` and `stream` read a body that came as gzip or deflate as if it had come plain;
        one without a coding stays as it is. Inflating happens while reading, and `max_body` still
        holds for the bytes that were sent.

        Args:
            max_size: bytes that the decoded body may have (413 beyond); by default `max_body`.

        Raises:
            HTTPError: 415 with `Accept-Encoding` for another coding; while reading, 400 for a
                body that is malformed or cut short.
            RuntimeError: the body has been read.
            ValueError: `max_body` is `None` for this request and `max_size` is missing.
        """
        if self._streamed:
            raise RuntimeError("the body has to be decoded before it is read")
        if max_size is None:
            max_size = self.max_body
        if max_size is None:
            raise ValueError("this route has no max_body: give decode_body a max_size")
        if isinstance(self._channel, DecodedBody):
            self._channel.max_size = max_size
            return
        coding = find_coding(", ".join(self.headers.getlist("content-encoding")))
        if coding is not None:
            self._channel = DecodedBody(self._channel, coding, max_size).as_channel()

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """The body in chunks as they arrive; the client is slowed down to the reader's pace.

        Raises:
            BodyTooLarge: beyond `max_body`; answered 413 unless caught.
            RuntimeError: the body was consumed before.
        """
        if self._body is not None:
            if self._body:
                yield self._body
            return
        if self._streamed:
            raise RuntimeError(_CONSUMED)
        self._streamed = True
        receive = self._channel.receive_body
        while chunk := await receive():
            yield chunk

    async def body(self) -> bytes:
        """The whole body; kept, so that it can be asked for again."""
        if self._body is not None:
            return self._body
        if self._streamed:
            raise RuntimeError(_CONSUMED)
        self._streamed = True
        whole = self._channel.take_body()
        if whole is not None:
            self._body = whole
            return whole
        receive = self._channel.receive_body
        chunk = await receive()
        if chunk:
            chunks = [chunk]
            while chunk := await receive():
                chunks.append(chunk)
            chunk = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        self._body = chunk
        return chunk

    async def text(self) -> str:
        """The body as text in the charset of its Content-Type, UTF-8 by default.

        Raises:
            HTTPError: 400 for bytes that are not in that charset, 415 for a charset that is not
                among those of `httpkit.semantics.media_types` or a malformed Content-Type.
        """
        media_type = parse_media_type(self.headers.get("content-type", ""))
        if media_type is None:
            raise HTTPError(415, "The Content-Type of the body is malformed.")
        codec = find_codec(media_type.parameters.get("charset", "utf-8"))
        if codec is None:
            raise HTTPError(415, "The charset of the body is unknown.")
        try:
            return (await self.body()).decode(codec)
        except UnicodeDecodeError:
            raise HTTPError(400, f"The body is not valid {codec}.") from None

    @overload
    async def json(self) -> Any: ...
    @overload
    async def json(self, type: type[T]) -> T: ...
    async def json(self, type: type[T] | None = None) -> Any:
        """The body as JSON, validated into `type` where one is given (msgspec).

        Raises:
            HTTPError: 400 that names the field and the reason.
        """
        body = await self.body()
        try:
            return (
                msgspec.json.decode(body) if type is None else msgspec.json.decode(body, type=type)
            )
        except msgspec.ValidationError as error:
            raise HTTPError(400, f"Invalid JSON body: {error}.") from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise HTTPError(400, f"The body is not JSON: {error}.") from None

    def multipart(self, limits: FormLimits | None = None) -> AsyncGenerator[Part, None]:
        """The parts of a `multipart/form-data` body as they arrive (RFC 7578).

        A part can be read until the next one is asked for; what is not read is skipped. Nothing
        is kept beyond a chunk, and the client is slowed down to the reader's pace.

            async for part in request.multipart():
                if part.filename is not None:
                    await part.save(directory / part.filename)

        Args:
            limits: other limits than the default ones.

        Raises:
            HTTPError: while iterating; 415 for another media type, 400 for a malformed body, 413
                beyond a limit.
            RuntimeError: while iterating; the body was consumed before.
        """
        return iterate_parts(self, self._channel.run_blocking, limits or _FORM_LIMITS)

    async def form(self, limits: FormLimits | None = None) -> FormData:
        """The body as a form, urlencoded or multipart; kept, so that it can be asked for again.

        Args:
            limits: other limits than the default ones; only the first call can set them.

        Raises:
            HTTPError: 415 for another media type, 400 for a malformed form, 413 beyond a limit.
        """
        if self._form is None:
            self._form = await parse_form(self, self._channel.run_blocking, limits or _FORM_LIMITS)
        return self._form

    async def trailers(self) -> Headers:
        """The trailer fields; reads what is left of the body first (RFC 9110 §6.5)."""
        if self._body is None:
            while await self._channel.receive_body():
                pass
            self._streamed = True
        return self._channel.trailers()
