"""Conditional answers: validators for every answer, and 304 for clients that have it already.

Owns what becomes of an answer that a handler has given anyway; who knows its validators earlier
asks `Request.check` and spares the work. The rules are those of `httpkit.semantics.conditional`.
"""

import hashlib
import time
from collections.abc import Callable

from httpkit.body import FileBody
from httpkit.errors import HTTPError
from httpkit.request import Request
from httpkit.response import Response
from httpkit.semantics.conditional import ETag, Outcome, Validators, evaluate_preconditions
from httpkit.semantics.dates import format_http_date, parse_http_date
from httpkit.types import Next

__all__ = ["REPRESENTATION_FIELDS", "Conditional", "answer_conditionally", "with_validators"]

#: Fields about the representation besides its validators, which a 304 leaves out (RFC 9110
#: §15.4.5). All others stay: a 304 may set a cookie, and what security policies and CORS say holds
#: for it, too.
REPRESENTATION_FIELDS = frozenset(
    b"accept-ranges content-digest content-disposition content-encoding content-language "
    b"content-length content-md5 content-range content-type digest repr-digest trailer".split()
)
#: What tells two representations with the same bytes apart.
_DISTINGUISHING = (b"content-encoding", b"content-language", b"content-type")


class Conditional:
    """Middleware: `ETag` and `Last-Modified`, 304 and 412 (RFC 9110 §8.8, §13).

    A 200 to GET or HEAD gets a strong `ETag` of its body unless it has one. A file gets
    `Last-Modified`, and no tag, since that would mean to read it first. What the handler told
    `request.check` comes before both. Streams pass as they are.

    Args:
        clock: gives the Unix time, for dates with years of two digits.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock

    async def __call__(self, request: Request, next: Next) -> Response:
        """Answer, with validators and by the preconditions of the request."""
        response = await next(request)
        if response.status != 200 or request.method not in ("GET", "HEAD"):
            return response
        if not isinstance(response.body, bytes | FileBody):
            return response
        return answer_conditionally(request, with_validators(request, response), self._clock())


def answer_conditionally(request: Request, response: Response, now: float) -> Response:
    """A 200 to GET or HEAD, or what the preconditions of the request make of it.

    Raises:
        HTTPError: 412.
    """
    headers = request.headers
    outcome = evaluate_preconditions(
        request.method, headers, read_validators(response, now), now=now
    )
    if outcome is Outcome.PROCEED:
        return response
    if isinstance(response.body, FileBody):
        response.body.close()
    if outcome is Outcome.FAILED:
        raise HTTPError(412)
    return _make_not_modified(response)


def read_validators(response: Response, now: float | None = None) -> Validators:
    """What the fields of an answer say; what cannot be read is not there."""
    etag = modified = None
    for name, value in response.raw_headers:
        if name == b"etag":
            etag = ETag.parse(value.decode("latin-1"))
        elif name == b"last-modified":
            modified = parse_http_date(value.decode("latin-1"), now=now)
    return Validators(etag, modified)


def _body_etag(response: Response) -> ETag | None:
    """A strong tag of a body of bytes, and of what else makes a representation.

    `None` for other bodies, and for an empty one: it may be that of a handler for HEAD.
    """
    body = response.body
    if not isinstance(body, bytes) or not body:
        return None
    digest = hashlib.blake2b(body, digest_size=16)
    for field in response.raw_headers:
        if field[0] in _DISTINGUISHING:
            digest.update(b"\n%b:%b" % field)
    return ETag(digest.hexdigest())


def with_validators(request: Request, response: Response) -> Response:
    """A copy that has the validators that can be known; the answer itself if it has them."""
    known = request.validators or Validators()
    names = {name for name, _ in response.raw_headers}
    missing: dict[str, str] = {}
    if b"etag" not in names:
        etag = known.etag or _body_etag(response)
        if etag is not None:
            missing["etag"] = str(etag)
    if b"last-modified" not in names:
        modified = known.last_modified
        if modified is None and isinstance(response.body, FileBody):
            modified = response.body.mtime
        if modified is not None:
            missing["last-modified"] = format_http_date(modified)
    if not missing:
        return response
    response = response.copy()
    response.headers.update(missing)
    return response


def _make_not_modified(response: Response) -> Response:
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
