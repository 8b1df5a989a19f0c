"""From the chunks of a multipart body to heads and data of parts (RFC 2046 §5.1, RFC 7578).

The grammar is the `multipart` package's. Owned here is what stands in front of it: the boundary,
the bytes around the parts, and the checks of part headers that the package lets through but others
may read differently. Knows nothing of requests. Called by `parts.py`.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from multipart import MultipartError, ParserLimitReached, PushMultipartParser

from httpkit.errors import HTTPError
from httpkit.headers import Headers
from httpkit.limits import FormLimits

__all__ = ["Event", "MultipartParser", "PartHead", "find_boundary"]

#: RFC 2046 §5.1.1: up to 70 of these, no space at the end.
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_ESSENCE = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+/[!#$%&'*+.^_`|~0-9a-z-]+")
_QUOTED = re.compile(r'"(?:[^"\\]++|\\.)*+"')
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
#: How a part may write its parameters (RFC 2183 §2). Some escape what is in quotes, browsers do
#: not: there a backslash is one (HTML §4.10.21.8). Parameters may be empty.
_DISPOSITIONS = tuple(
    re.compile(rf'[^;"]*+(?:; *+(?:{_WORD} *+= *+(?:{_WORD}|{quoted}) *+)?)*+')
    for quoted in (_QUOTED.pattern, r'"[^"]*+"')
)
_PARAMETER_NAME = re.compile(r";\s*+(name|filename)\s*+=", re.IGNORECASE)
#: RFC 7578 §4.7: codings that change nothing are harmless relics, the others nobody decodes.
_IDENTITY_CODINGS = frozenset({"7bit", "8bit", "binary"})


class PartHead(NamedTuple):
    """The headers of a part.

    Attributes:
        name: of the control.
        filename: as sent, `None` for what is no file.
        content_type: in lower case without parameters; empty if there is none or it is malformed.
        charset: as sent.
        headers: all fields, as sent.
    """

    name: str
    filename: str | None
    content_type: str
    charset: str | None
    headers: Headers


#: A head, pieces of the data behind it, and `None` for the end of the part.
Event = PartHead | bytes | None


def find_boundary(parameters: dict[str, str]) -> bytes:
    """The boundary among the parameters of a Content-Type.

    Raises:
        HTTPError: 400 if there is none, or one that cannot be.
    """
    boundary = parameters.get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        raise HTTPError(400, "The boundary of the form is missing or malformed (RFC 2046 §5.1.1).")
    return boundary.encode("ascii")


class MultipartParser:
    """Turns the chunks of a multipart body into events.

    The strict mode of the package refuses what follows the end, as some clients send a line break
    there, and depends on the cut of the chunks before the first boundary. So this class checks
    the start itself and gives the package nothing beyond the end; both are thereby skipped without
    work (CVE-2024-53981).
    """

    def __init__(self, boundary: bytes, limits: FormLimits) -> None:
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

    def receive_data(self, chunk: bytes) -> Iterator[Event]:
        """The events of the next bytes of the body, made while they are asked for.

        They have to be asked for to the end before the next chunk is received.

        Raises:
            HTTPError: 400 for a malformed body, 413 for one beyond its limits.
        """
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
        try:
            for event in self._parser.parse(chunk):
                yield event if event is None or isinstance(event, bytes) else _check_head(event)
        except MultipartError as error:
            raise _refuse(error) from None

    def finish(self) -> None:
        """Check that the body has ended where it should.

        Raises:
            HTTPError: 400 if the closing boundary is missing.
        """
        try:
            self._parser.close()
        except MultipartError as error:
            raise _refuse(error) from None


def _refuse(error: MultipartError) -> HTTPError:
    # The package's parser keeps it, and the traceback leads to that: they would hold each other.
    error.__traceback__ = None
    if isinstance(error, ParserLimitReached):
        return HTTPError(413, f"The form is beyond a limit: {error.args[0]}.")
    return HTTPError(400, f"The form is malformed: {error.args[0]}.")


def _check_head(segment: Any) -> PartHead:
    """Refuse part headers that the package lets through but others may read differently."""
    seen = set()
    for name, value in segment.headerlist:
        if _CONTROL.search(value):
            raise HTTPError(400, "A header of a part has a control character.")
        if name in seen:
            raise HTTPError(400, f"A part has more than one {name}.")
        seen.add(name)
        if name == "Content-Disposition":
            # The package takes what it understands: a file with a broken name would be a field.
            if not any(pattern.fullmatch(value) for pattern in _DISPOSITIONS):
                raise HTTPError(400, "The Content-Disposition of a part is malformed.")
            # RFC 2183 §2. Quoted strings are taken out first: they may contain anything.
            names = [n.lower() for n in _PARAMETER_NAME.findall(_QUOTED.sub('""', value))]
            if len(names) != len(set(names)):
                raise HTTPError(400, "A part repeats its name or filename.")
        elif name == "Content-Transfer-Encoding" and value.strip().lower() not in _IDENTITY_CODINGS:
            raise HTTPError(400, "A part has a transfer encoding, which RFC 7578 §4.7 deprecates.")
    essence = segment.content_type or ""
    return PartHead(
        segment.name,
        segment.filename,
        essence if _ESSENCE.fullmatch(essence) else "",
        segment.charset,
        Headers([(name.lower().encode(), value.encode()) for name, value in segment.headerlist]),
    )
