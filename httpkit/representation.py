"""The selected representation (RFC 9110 §3.2): validators, 304 and 412, and parts of it.

Owns what becomes of a complete 200 when the request has conditions or asks for ranges. The rules
are those of `httpkit.semantics`; here they meet answers. Called for every file, by the middleware
for caching, and by whoever has a whole answer in hands. Time is given by the caller.
"""

import hashlib
import secrets
from collections.abc import AsyncGenerator

from httpkit.body import FileBody
from httpkit.errors import HTTPError
from httpkit.headers import Headers
from httpkit.request import Request
from httpkit.response import Response
from httpkit.semantics.conditional import (
    ETag,
    Outcome,
    Validators,
    evaluate_preconditions,
    range_applies,
)
from httpkit.semantics.dates import format_http_date, parse_http_date
from httpkit.semantics.ranges import (
    Multipart,
    Span,
    content_range,
    parse_range,
    unsatisfied_range,
)

__all__ = [
    "REPRESENTATION_FIELDS",
    "answer_conditionally",
    "answer_range",
    "cut_ranges",
    "file_etag",
    "make_not_modified",
    "modified_at",
    "read_validators",
    "represent_file",
    "with_validators",
]

#: Fields about the representation besides its validators, which a 304 leaves out (RFC 9110
#: §15.4.5). All others stay: a 304 may set a cookie, and what security policies and CORS say holds
#: for it, too.
REPRESENTATION_FIELDS = frozenset(
    b"accept-ranges content-digest content-disposition content-encoding content-language "
    b"content-length content-md5 content-range content-type digest repr-digest trailer".split()
)
#: What tells two representations with the same bytes apart.
_DISTINGUISHING = (b"content-encoding", b"content-language", b"content-type")
#: Seconds after its modification within which a file may change again without showing it: time
#: stamps have the resolution of the kernel's tick or, on some file systems, of two seconds.
_SETTLING = 2.0
#: The beginning of the year 1.
_FIRST_DATE = -62_135_596_800.0
#: Bytes of a file that one trip to a thread reads.
_CHUNK = 262_144


# --- validators ----------------------------------------------------------------------------------


def file_etag(body: FileBody, now: float, suffix: str = "") -> ETag:
    """A tag of size and time of modification; weak while the file may still be changing.

    Args:
        body: the file, or the part of it that is the whole content.
        now: Unix timestamp.
        suffix: tells codings of the same content apart.
    """
    info = body.info
    opaque = f"{info.st_size:x}-{info.st_mtime_ns:x}{suffix}"
    if body.length != info.st_size:  # an application serves a part as something of its own
        opaque += f"-{body.offset:x}-{body.length:x}"
    return ETag(opaque, now - info.st_mtime < _SETTLING)


def modified_at(body: FileBody, now: float) -> float:
    """When a file was modified, as `Last-Modified` may say it; a Unix timestamp.

    RFC 9110 §8.8.2.1: no origin server says that it was after now. File systems keep whatever they
    are told, also what was before the first date that there is.
    """
    return max(_FIRST_DATE, min(body.mtime, now))


def read_validators(response: Response, now: float | None = None) -> Validators:
    """What the fields of an answer say; what cannot be read is not there."""
    etag = modified = None
    for name, value in response.raw_headers:
        if name == b"etag":
            etag = ETag.parse(value.decode("latin-1"))
        elif name == b"last-modified":
            modified = parse_http_date(value.decode("latin-1"), now=now)
    return Validators(etag, modified)


def with_validators(request: Request, response: Response, now: float) -> Response:
    """A copy that has the validators that can be known; the answer itself if it has them.

    What the handler told `request.check` comes first. Streams have none.
    """
    known = request.validators or Validators()
    names = {name for name, _ in response.raw_headers}
    missing: dict[str, str] = {}
    if b"etag" not in names:
        etag = known.etag or _etag_of(response, now)
        if etag is not None:
            missing["etag"] = str(etag)
    if b"last-modified" not in names:
        modified = known.last_modified
        if modified is None and isinstance(response.body, FileBody):
            modified = modified_at(response.body, now)
        if modified is not None:
            missing["last-modified"] = format_http_date(modified)
    if not missing:
        return response
    response = response.copy()
    response.headers.update(missing)
    return response


def _etag_of(response: Response, now: float) -> ETag | None:
    """Of a file, or a strong tag of a body of bytes, and of what else makes a representation.

    `None` for other bodies, and for an empty one: it may be that of a handler for HEAD.
    """
    body = response.body
    if isinstance(body, FileBody):
        return file_etag(body, now)
    if not isinstance(body, bytes) or not body:
        return None
    digest = hashlib.blake2b(body, digest_size=16)
    for field in response.raw_headers:
        if field[0] in _DISTINGUISHING:
            digest.update(b"\n%b:%b" % field)
    return ETag(digest.hexdigest())


# --- conditions ----------------------------------------------------------------------------------


def answer_conditionally(
    request: Request, response: Response, now: float, validators: Validators | None = None
) -> Response:
    """A 200 to GET or HEAD, or what the preconditions of the request make of it (RFC 9110 §13).

    Args:
        request: whose preconditions count.
        response: the 200.
        now: Unix timestamp.
        validators: those of the answer, where its fields are not the last word.

    Raises:
        HTTPError: 412.
    """
    if validators is None:
        validators = read_validators(response, now)
    outcome = evaluate_preconditions(request.method, request.headers, validators, now=now)
    if outcome is Outcome.PROCEED:
        return response
    if isinstance(response.body, FileBody):
        response.body.close()
    if outcome is Outcome.FAILED:
        raise HTTPError(412)
    return make_not_modified(response)


def make_not_modified(response: Response) -> Response:
    """The 304 in the place of a 200 (RFC 9110 §15.4.5)."""
    has_tag = any(name == b"etag" for name, _ in response.raw_headers)
    answer = response.copy()
    answer.status = 304
    answer.body = b""
    answer.trailers = None
    answer.raw_headers = [
        field
        for field in response.raw_headers
        if field[0] not in REPRESENTATION_FIELDS and not (has_tag and field[0] == b"last-modified")
    ]
    return answer


# --- ranges --------------------------------------------------------------------------------------


def represent_file(request: Request, response: Response, now: float) -> Response:
    """A 200 whose body is a file, with validators, by the conditions and ranges of the request.

    Other answers come back as they are.

    Raises:
        HTTPError: 412, or 416.
    """
    if response.status != 200 or request.method not in ("GET", "HEAD"):
        return response
    response = with_validators(request, response, now)
    if not any(name == b"accept-ranges" for name, _ in response.raw_headers):
        response = response.copy()
        response.headers["accept-ranges"] = "bytes"
    response = answer_conditionally(request, response, now)
    return response if response.status == 304 else answer_range(request, response, now)


def answer_range(request: Request, response: Response, now: float) -> Response:
    """A 200, or those parts of it that the request asks for (RFC 9110 §14.2).

    Args:
        request: one whose preconditions hold.
        response: its body is bytes or a file. It is as old as its `Date` says, or made now.
        now: Unix timestamp.

    Raises:
        HTTPError: 416.
    """
    if request.method != "GET":
        return response
    fields = request.headers.getlist("range")
    if len(fields) != 1:  # none, or more than the field's grammar allows: ignored
        return response
    if "if-range" in request.headers:
        date = parse_http_date(Headers(response.raw_headers).get("date", ""), now=now)
        made = now if date is None else date
        validators = read_validators(response, now)
        if not range_applies(request.headers, validators, date=made, now=now):
            return response
    try:
        return cut_ranges(request, response, fields[0])
    except HTTPError:
        if isinstance(response.body, FileBody):
            response.body.close()
        raise


def cut_ranges(request: Request, response: Response, field: str) -> Response:
    """The parts of a 200 that a `Range` field asks for, all else decided.

    The 200 stays as it is, and its file open.

    Raises:
        HTTPError: 416.
    """
    body = response.body
    assert isinstance(body, bytes | FileBody)
    size = len(body) if isinstance(body, bytes) else body.length
    spans = parse_range(field, size)
    if spans is None:
        return response
    if not spans:
        raise HTTPError(416, headers={"content-range": unsatisfied_range(size)})
    answer = response.copy()
    answer.status = 206
    if len(spans) == 1:
        value = content_range(spans[0], size).encode()
        answer.raw_headers = [*response.raw_headers, (b"content-range", value)]
        answer.body = _cut(body, spans[0])
        return answer
    content_type = answer.headers.get("content-type", "")
    parts = Multipart(spans, size, content_type, secrets.token_hex(16))
    answer.headers["content-type"] = parts.content_type
    if isinstance(body, bytes):
        answer.body = b"".join(
            part if isinstance(part, bytes) else body[part.start : part.end] for part in parts
        )
    else:
        answer.headers["content-length"] = str(parts.length)
        answer.body = _send_parts(request, body.span(body.offset, size), parts)
    return answer


def _cut(body: bytes | FileBody, span: Span) -> bytes | FileBody:
    if isinstance(body, bytes):
        return body[span.start : span.end]
    return body.span(body.offset + span.start, span.length)


async def _send_parts(
    request: Request, body: FileBody, parts: Multipart
) -> AsyncGenerator[bytes, None]:
    """The parts of a file, framed.

    Raises:
        LocalProtocolError: the file has changed meanwhile.
    """
    try:
        for part in parts:
            if isinstance(part, bytes):
                yield part
                continue
            span = body.span(body.offset + part.start, part.length)
            while span.length > 0:
                yield await span.read_piece(_CHUNK, request.channel.run_blocking)
    finally:
        body.close()
