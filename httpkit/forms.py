"""Forms: `application/x-www-form-urlencoded` and `multipart/form-data` (RFC 7578).

Owns the result (`FormData`, `UploadedFile`) and everything between a request's body and it; the
grammar of parts is the `multipart` package's. Called by `Request.form`.

Refuses whatever two readers could understand differently: a preamble, part headers with control
characters, repeated names in Content-Disposition, a missing end, text that is not in its charset.
Every answer is an `HTTPError`, and reading takes time linear in the body however it is cut into
chunks.

Uploads are kept in memory up to `FormLimits.spool_size` and in a temporary file beyond it. The
file is written where its bytes arrive, so that an upload costs the event loop one write of a
chunk at a time, and once the spool.
"""

import re
import shutil
from contextlib import aclosing
from os import PathLike
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING, Any

from multipart import MultipartError, ParserLimitReached, PushMultipartParser

from httpkit.errors import HTTPError
from httpkit.headers import Headers
from httpkit.limits import FormLimits
from httpkit.semantics.disposition import clean_filename
from httpkit.semantics.media_types import find_codec, parse_media_type
from httpkit.urls import MultiMapping, Query, parse_urlencoded

if TYPE_CHECKING:
    from collections.abc import Iterable

    from httpkit.request import Request

__all__ = ["FormData", "FormLimits", "UploadedFile", "parse_form"]

_COPY_SIZE = 65_536
_DEFAULT_LIMITS = FormLimits()

#: RFC 2046 §5.1.1: up to 70 of these, no space at the end.
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_ESSENCE = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+/[!#$%&'*+.^_`|~0-9a-z-]+")
_QUOTED = re.compile(r'"(?:[^"\\]++|\\.)*+"')
_PARAMETER_NAME = re.compile(r";\s*+(name|filename)\s*+=", re.IGNORECASE)
#: RFC 7578 §4.7: codings that change nothing are harmless relics, the others nobody decodes.
_IDENTITY_CODINGS = frozenset({"7bit", "8bit", "binary"})


class UploadedFile:
    """A file that was sent with a form.

    Everything but `size` and the bytes is what the client claims. The temporary file belongs to
    this object: `close` gives it back, at the latest when the object is collected.

    Attributes:
        filename: a base name that is safe to show and to use, see `clean_filename`.
        content_type: the media type in lower case without parameters;
            `application/octet-stream` if the client gave none.
        headers: the header fields of the part, as sent.
        size: in bytes.
        file: the binary file, at its start.
    """

    __slots__ = ("content_type", "file", "filename", "headers", "size")

    def __init__(
        self,
        file: "SpooledTemporaryFile[bytes]",
        filename: str = "upload",
        content_type: str = "application/octet-stream",
        headers: Headers | None = None,
        size: int = 0,
    ) -> None:
        self.file = file
        self.filename = filename
        self.content_type = content_type
        self.headers = Headers() if headers is None else headers
        self.size = size

    async def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes from the current position, all that is left by default."""
        return self.file.read(size)

    async def save(self, path: str | PathLike[str]) -> None:
        """Write the whole content to `path`, replacing what is there.

        Args:
            path: where the caller wants it. `directory / upload.filename` stays in the directory,
                but two uploads may have the same name.

        Raises:
            OSError: the file cannot be written.
        """
        self.file.seek(0)
        with open(path, "wb") as target:  # noqa: ASYNC230  # see the module: disk is inline
            shutil.copyfileobj(self.file, target, _COPY_SIZE)
        self.file.seek(0)

    def close(self) -> None:
        """Give memory or temporary file back; further calls do nothing."""
        self.file.close()

    def __del__(self) -> None:
        if hasattr(self, "file"):
            self.file.close()

    def __repr__(self) -> str:
        return f"<UploadedFile {self.filename!r} {self.content_type} {self.size} bytes>"


class FormData(Query):
    """A form: a mapping of names to text values, as `Query`, and `files` beside it.

    `form["name"]` is the last value, `form.getlist("name")` all, `form.files["name"]` an
    `UploadedFile` with the same rules. A file control that was left empty is not in `files`.
    """

    __slots__ = ("files",)

    def __init__(
        self,
        pairs: "Iterable[tuple[str, str]]" = (),
        files: "Iterable[tuple[str, UploadedFile]]" = (),
    ) -> None:
        super().__init__(pairs)
        #: The uploads by the name of their control.
        self.files: MultiMapping[UploadedFile] = MultiMapping(files)

    def close(self) -> None:
        """Close every upload now rather than with the request."""
        for _, file in self.files.pairs:
            file.close()

    def __repr__(self) -> str:
        return f"FormData({self.pairs!r}, files={self.files.pairs!r})"


async def parse_form(request: "Request", limits: FormLimits | None = None) -> FormData:
    """Read the body of a request as a form.

    Raises:
        HTTPError: 415 for a media type that is no form, 400 for a malformed form, 413 for one
            beyond its limits.
        BodyTooLarge: the body exceeds the request's `max_body`.
    """
    limits = _DEFAULT_LIMITS if limits is None else limits
    media_type = parse_media_type(request.headers.get("content-type", ""))
    if media_type is None:
        raise HTTPError(400, "The Content-Type of the form is malformed.")
    if media_type.essence == "application/x-www-form-urlencoded":
        return _parse_urlencoded(await _read_text(request, limits), limits)
    if media_type.essence != "multipart/form-data":
        raise HTTPError(415, "The body is not a form.")
    boundary = media_type.parameters.get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        raise HTTPError(400, "The boundary of the form is missing or malformed (RFC 2046 §5.1.1).")
    reader = _MultipartReader(boundary.encode("ascii"), limits)
    try:
        async with aclosing(request.stream()) as chunks:
            async for chunk in chunks:
                reader.receive_data(chunk)
        return reader.finish()
    except BaseException as error:
        reader.close()
        if isinstance(error, ParserLimitReached):
            raise HTTPError(413, f"The form is beyond a limit: {error.args[0]}.") from None
        if isinstance(error, MultipartError):
            raise HTTPError(400, f"The form is malformed: {error.args[0]}.") from None
        raise


async def _read_text(request: "Request", limits: FormLimits) -> bytes:
    body = bytearray()
    async with aclosing(request.stream()) as chunks:
        async for chunk in chunks:
            body += chunk
            # A byte may be sent as three: %XX.
            if len(body) > 3 * limits.max_text_size:
                raise HTTPError(413, "The text of the form is too large.")
    return bytes(body)


def _parse_urlencoded(body: bytes, limits: FormLimits) -> FormData:
    """Strict about UTF-8: the media type has no charset; clients that add one mean ASCII."""
    if not body:
        return FormData()
    if body.count(b"&") >= limits.max_fields:
        raise HTTPError(413, "The form has too many fields.")
    try:
        pairs = parse_urlencoded(body, "strict")
    except UnicodeDecodeError:
        raise HTTPError(400, "The form is not valid UTF-8.") from None
    total = 0
    for name, value in pairs:
        size = len(value) if value.isascii() else len(value.encode())
        total += size + len(name)
        if size > limits.max_field_size or total > limits.max_text_size:
            raise HTTPError(413, "The text of the form is too large.")
    return FormData(pairs)


class _MultipartReader:
    """Turns the chunks of a multipart body into a `FormData`.

    The strict mode of the parser refuses what follows the end, as some clients send a line break
    there, and depends on the cut of the chunks before the first boundary. So this class checks
    the start itself and gives the parser nothing beyond the end; both are thereby skipped without
    work (CVE-2024-53981).
    """

    def __init__(self, boundary: bytes, limits: FormLimits) -> None:
        self._limits = limits
        self._parser = PushMultipartParser(
            boundary,
            max_header_size=limits.max_part_header_size,
            max_header_count=limits.max_part_headers,
            max_segment_count=limits.max_fields,
            strict=True,
        )
        self._opening = b"--" + boundary
        self._closing = b"\r\n--" + boundary + b"--"
        # Bytes before the next chunk that may be the start of the end, or of the body.
        self._head: bytes | None = b""
        self._tail = b"\r\n"
        self._closed = False
        self._fields: list[tuple[str, str]] = []
        self._files: list[tuple[str, UploadedFile]] = []
        self._text_size = 0
        # The part that is being read: one of the two is set between its headers and its end.
        self._name = ""
        self._charset = "utf-8"
        self._text = bytearray()
        self._upload: UploadedFile | None = None
        self._chosen = True

    def receive_data(self, chunk: bytes) -> None:
        """Take the next bytes of the body."""
        if self._head is not None:
            chunk = self._head + chunk
            if len(chunk) < len(self._opening) + 2:
                self._head = chunk
                return
            self._head = None
            if not chunk.startswith((self._opening, b"\r\n" + self._opening)):
                raise HTTPError(400, "The form does not begin with its boundary.")
        if self._closed:
            return
        window = self._tail + chunk
        end = window.find(self._closing)
        if end >= 0:
            self._closed = True
            chunk = window[len(self._tail) : end + len(self._closing)]
        self._tail = window[-len(self._closing) + 1 :]
        for event in self._parser.parse(chunk):
            if event is None:
                self._end_part()
            elif isinstance(event, bytes):
                self._add_data(event)
            else:
                self._begin_part(event)

    def finish(self) -> FormData:
        """The form, once the body is read.

        Raises:
            MultipartError: the closing boundary is missing.
        """
        self._parser.close()
        return FormData(self._fields, self._files)

    def close(self) -> None:
        """Give back what was read so far."""
        for _, file in self._files:
            file.close()
        if self._upload is not None:
            self._upload.close()

    def _begin_part(self, segment: Any) -> None:
        fields = _check_part_headers(segment.headerlist)
        self._name = segment.name
        if segment.filename is None:
            self._charset = "utf-8" if segment.charset is None else segment.charset
            return
        if len(self._files) >= self._limits.max_files:
            raise HTTPError(413, "The form has too many files.")
        self._chosen = segment.filename != ""
        essence = segment.content_type or ""
        self._upload = UploadedFile(
            # Closed by UploadedFile. A size of 0 means "never" to the spool.
            SpooledTemporaryFile(max_size=max(1, self._limits.spool_size)),  # noqa: SIM115
            clean_filename(segment.filename),
            essence if _ESSENCE.fullmatch(essence) else "application/octet-stream",
            fields,
        )

    def _add_data(self, data: bytes) -> None:
        if self._upload is not None:
            self._upload.file.write(data)
            self._upload.size += len(data)
            return
        self._text += data
        self._text_size += len(data)
        if (
            len(self._text) > self._limits.max_field_size
            or self._text_size > self._limits.max_text_size
        ):
            raise HTTPError(413, "The text of the form is too large.")

    def _end_part(self) -> None:
        upload, self._upload = self._upload, None
        if upload is None:
            codec = find_codec(self._charset)
            if codec is None:
                raise HTTPError(400, "The charset of a field is unknown.")
            try:
                self._fields.append((self._name, self._text.decode(codec)))
            except UnicodeDecodeError:
                raise HTTPError(400, f"A field of the form is not valid {codec}.") from None
            self._text = bytearray()
        elif self._chosen or upload.size:
            upload.file.seek(0)
            self._files.append((self._name, upload))
        else:
            upload.close()  # HTML §4.10.21.4: a control without a file sends an empty nameless one.


def _check_part_headers(headerlist: list[tuple[str, str]]) -> Headers:
    """Refuse part headers that the parser lets through but others may read differently."""
    seen = set()
    for name, value in headerlist:
        if _CONTROL.search(value):
            raise HTTPError(400, "A header of a part has a control character.")
        if name in seen:
            raise HTTPError(400, f"A part has more than one {name}.")
        seen.add(name)
        if name == "Content-Disposition":
            # RFC 2183 §2. Quoted strings are taken out first: they may contain anything.
            names = [n.lower() for n in _PARAMETER_NAME.findall(_QUOTED.sub('""', value))]
            if len(names) != len(set(names)):
                raise HTTPError(400, "A part repeats its name or filename.")
        elif name == "Content-Transfer-Encoding" and value.strip().lower() not in _IDENTITY_CODINGS:
            raise HTTPError(400, "A part has a transfer encoding, which RFC 7578 §4.7 deprecates.")
    return Headers([(name.lower().encode(), value.encode()) for name, value in headerlist])
