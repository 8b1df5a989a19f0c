"""Multipart bodies part by part, while they arrive: `Part` and the iteration over them.

Owns the limits of `FormLimits` that concern whole parts, and the rule that a part can be read
until the next one is asked for. Nothing is kept beyond the chunk that came last: a handler that
reads slowly slows its client down. What needs a disk runs in a thread, by the channel's
`run_blocking`. Called by `Request.multipart`, and by `form.py` for whole forms.
"""

import os
import stat
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from os import PathLike
from typing import TYPE_CHECKING, BinaryIO

from httpkit.errors import HTTPError
from httpkit.forms.parser import Event, MultipartParser, PartHead, find_boundary
from httpkit.headers import Headers
from httpkit.limits import FormLimits
from httpkit.semantics.disposition import clean_filename
from httpkit.semantics.media_types import find_codec, parse_media_type
from httpkit.types import RunBlocking

if TYPE_CHECKING:
    from httpkit.request.body import RequestBody

__all__ = ["Part", "iterate_parts"]


class Part:
    """One part of a multipart body: a field or a file.

    It can be read until the next part is asked for; what is not read is skipped. Every way to read
    it takes what is left of it. Everything but the bytes is what the client claims.

    Attributes:
        name: of the control.
        filename: a base name that is safe to show and to use, see `clean_filename`; `None` for a
            field.
        content_type: the media type in lower case without parameters; if the client gave none,
            `text/plain` for a field (RFC 7578 §4.4) and `application/octet-stream` for a file.
        headers: the header fields of the part, as sent.
        size: bytes that have been read so far.
    """

    __slots__ = ("_charset", "_reader", "content_type", "filename", "headers", "name", "size")

    def __init__(self, head: PartHead, reader: "_PartReader") -> None:
        self._reader = reader
        self._charset = head.charset
        self.name = head.name
        self.filename: str | None = None
        self.content_type = head.content_type or "text/plain"
        if head.filename is not None:
            self.filename = clean_filename(head.filename)
            self.content_type = head.content_type or "application/octet-stream"
        self.headers: Headers = head.headers
        self.size = 0

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """The content in chunks as they arrive; `async for chunk in part` is the same.

        Raises:
            HTTPError: 400 for a malformed body, 413 beyond a limit.
            RuntimeError: the part has been read, or its turn is over.
        """
        while chunk := await self._reader.receive(self):
            yield chunk

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self.stream()

    async def read(self, max_size: int | None = None) -> bytes:
        """The whole content.

        Args:
            max_size: bytes that it may have; by default `FormLimits.max_field_size`. A field
                never has more than that.

        Raises:
            HTTPError: 413 for more, or as `stream`.
            RuntimeError: as `stream`.
        """
        limit = self._reader.limits.max_field_size if max_size is None else max_size
        content = bytearray()
        while chunk := await self._reader.receive(self):
            if len(content) + len(chunk) > limit:
                raise HTTPError(413, f"A part of the form is larger than {limit} bytes.")
            content += chunk
        return bytes(content)

    async def text(self) -> str:
        """The content as text in the charset that the part names, UTF-8 by default.

        Raises:
            HTTPError: 400 for bytes that are not in that charset or an unknown one, or as `read`.
            RuntimeError: as `stream`.
        """
        codec = find_codec(self._charset or "utf-8")
        if codec is None:
            raise HTTPError(400, "The charset of a field is unknown.")
        try:
            return (await self.read()).decode(codec)
        except UnicodeDecodeError:
            raise HTTPError(400, f"A field of the form is not valid {codec}.") from None

    async def save(self, path: str | PathLike[str]) -> int:
        """Write the content to `path` while it arrives, replacing what is there.

        The event loop does not wait for the disk. A part that does not come whole leaves no file.

        Args:
            path: where the caller wants it. `directory / part.filename` stays in the directory,
                but two uploads may have the same name.

        Returns:
            How many bytes were written.

        Raises:
            HTTPError: as `stream`; `FormLimits.max_file_size` is the limit to set.
            OSError: the file cannot be written.
            RuntimeError: as `stream`.
        """
        self._reader.check_turn(self)  # before anything is replaced
        run_blocking = self._reader.run_blocking
        target = _Target(path)
        try:
            await run_blocking(target.open)
            while chunk := await self._reader.receive(self):
                await run_blocking(target.write, chunk)
            await run_blocking(target.close)
        except GeneratorExit:  # the coroutine is being closed and can await nothing any more
            target.discard()
            raise
        except BaseException:
            await run_blocking(target.discard)
            raise
        return self.size

    def __repr__(self) -> str:
        kind = "field" if self.filename is None else repr(self.filename)
        return f"<Part {self.name!r} {kind} {self.content_type}>"


class _Target:
    """A file that is written, and taken away if it does not become whole. Every method blocks."""

    def __init__(self, path: str | PathLike[str]) -> None:
        self._path = path
        self._file: BinaryIO | None = None

    def open(self) -> None:
        self._file = open(self._path, "wb")  # noqa: SIM115  # closed by its own methods

    def write(self, data: bytes) -> None:
        assert self._file is not None
        self._file.write(data)

    def close(self) -> None:
        assert self._file is not None
        self._file.close()

    def discard(self) -> None:
        if self._file is None:  # what is there is not ours
            return
        regular = stat.S_ISREG(os.fstat(self._file.fileno()).st_mode)  # /dev/null has to stay
        try:
            self._file.close()  # a full disk may tell so only now, and again
        finally:
            if regular:
                os.unlink(self._path)


async def iterate_parts(
    request: "RequestBody", run_blocking: RunBlocking, limits: FormLimits
) -> AsyncGenerator[Part, None]:
    """The parts of a `multipart/form-data` body in order.

    Raises:
        HTTPError: 415 for another media type, 400 for a malformed body, 413 beyond a limit.
        BodyTooLarge: the body exceeds the request's `max_body`.
    """
    media_type = parse_media_type(request.headers.get("content-type", ""))
    if media_type is None:
        raise HTTPError(400, "The Content-Type of the form is malformed.")
    if media_type.essence != "multipart/form-data":
        # The other kinds have no names (mixed), or mean alternatives or messages.
        raise HTTPError(
            415,
            "The body is not multipart/form-data (RFC 7578), the only kind of multipart read here.",
            {"accept": "multipart/form-data"},
        )
    boundary = find_boundary(media_type.parameters)
    async with aclosing(request.stream()) as chunks:
        reader = _PartReader(chunks, boundary, run_blocking, limits)
        try:
            while (part := await reader.next_part()) is not None:
                yield part
        finally:
            reader.current = None


class _PartReader:
    """Pulls events out of a body: what `Part` and the iteration share.

    Attributes:
        current: the part whose turn it is.
        limits: of the whole form.
        run_blocking: the channel's.
    """

    def __init__(
        self,
        chunks: AsyncGenerator[bytes, None],
        boundary: bytes,
        run_blocking: RunBlocking,
        limits: FormLimits,
    ) -> None:
        self.limits = limits
        self.run_blocking = run_blocking
        self.current: Part | None = None
        self._chunks = chunks
        self._parser = MultipartParser(boundary, limits)
        self._events: Iterator[Event] = iter(())
        self._between = True  # no part has begun, or its end has been read
        self._first = b""  # data of a part that was looked at before its turn
        self._files = 0
        self._text_size = 0

    async def next_part(self) -> Part | None:
        """Skip what is left of the current part; the next one, `None` after the last."""
        while not self._between:
            assert self.current is not None
            await self.receive(self.current)
        while (head := await self._next_event()) is not None:
            assert isinstance(head, PartHead)
            self._between = False
            if head.filename == "":
                # HTML §4.10.21.4: a control without a file sends an empty nameless one.
                data = await self._next_event()
                if data is None:
                    self._between = True
                    continue
                assert isinstance(data, bytes)
                self._first = data
            if head.filename is not None:
                self._files += 1
                if self._files > self.limits.max_files:
                    raise HTTPError(413, "The form has too many files.")
            self.current = Part(head, self)
            return self.current
        self.current = None
        return None

    def check_turn(self, part: Part) -> None:
        """Refuse to read what is not there any more."""
        if self.current is not part:
            raise RuntimeError("the turn of this part is over: read it before the next one")
        if self._between:
            raise RuntimeError("this part of the form has been read already")

    async def receive(self, part: Part) -> bytes:
        """The next chunk of the current part, `b""` at its end."""
        self.check_turn(part)
        data: Event
        data, self._first = self._first, b""
        if not data:
            data = await self._next_event()
        if data is None:
            self._between = True
            return b""
        assert isinstance(data, bytes)
        part.size += len(data)
        self._check_size(part, len(data))
        return data

    def _check_size(self, part: Part, added: int) -> None:
        limits = self.limits
        if part.filename is not None:
            if limits.max_file_size is not None and part.size > limits.max_file_size:
                raise HTTPError(413, f"A file is larger than {limits.max_file_size} bytes.")
            return
        self._text_size += added
        if part.size > limits.max_field_size or self._text_size > limits.max_text_size:
            raise HTTPError(413, "The text of the form is too large.")

    async def _next_event(self) -> Event:
        """The next event of the body; at its end `None`, as at the end of a part."""
        while True:
            for event in self._events:
                return event
            chunk = await anext(self._chunks, b"")
            if not chunk:
                self._parser.finish()
                return None
            self._events = self._parser.receive_data(chunk)
