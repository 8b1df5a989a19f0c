"""Error answers for production: nothing in them but status, detail and extensions.

Owns the three representations and the choice among them by `Accept` (RFC 9110 §12.5.1). Text is
what a client gets that asks for nothing in particular.
"""

from html import escape

from httpkit.errors import HTTPError, reason_phrase
from httpkit.headers import RawHeaders, encode_fields
from httpkit.request import Request
from httpkit.response import Response
from httpkit.semantics.negotiation import preferred_media_type

__all__ = [
    "HTML_HEADERS",
    "TEXT_HEADERS",
    "error_page",
    "internal_error_page",
    "plain_error_page",
    "wants_html",
]

_TEXT = "text/plain"
_HTML = "text/html"
_PROBLEM = "application/problem+json"
#: In the order of our preference. Whoever asks for JSON gets its problem type (RFC 9457 §3).
_OFFERS = (_TEXT, _HTML, _PROBLEM, "application/json")

# Tuples, not lists: an engine memoizes the bytes of a header section that cannot change.
_VARY = (b"vary", b"Accept")
TEXT_HEADERS = ((b"content-type", b"text/plain; charset=utf-8"), _VARY)
#: An error page needs no script, no image and no frame, whatever ends up in it.
HTML_HEADERS = (
    (b"content-type", b"text/html; charset=utf-8"),
    _VARY,
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'"),
)
_PROBLEM_HEADERS = ((b"content-type", _PROBLEM.encode()), _VARY)

_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>:root{{color-scheme:light dark}}
body{{font:1rem/1.5 system-ui,sans-serif;max-width:40rem;margin:15vh auto;padding:0 1rem}}
h1{{font-size:1.5rem}}</style></head>
<body><h1>{title}</h1>{detail}</body>
</html>
"""


def error_page(request: Request, error: HTTPError) -> Response:
    """The answer for an `HTTPError`, in the form that the client prefers.

    Raises:
        TypeError: an extension of the error cannot be written as JSON.
        InvalidHeader: a header of the error must not reach the wire.
    """
    accept = request.headers.get("accept")
    media_type = preferred_media_type(accept, _OFFERS) if accept else _TEXT
    headers: tuple[tuple[bytes, bytes], ...]
    if media_type == _HTML:
        body, headers = _html(error), HTML_HEADERS
    elif media_type is None or media_type == _TEXT:
        body, headers = _text(error), TEXT_HEADERS
    else:
        body, headers = _problem(error), _PROBLEM_HEADERS
    response = Response(body, error.status)
    response.raw_headers = headers
    if error.headers:
        own: RawHeaders = encode_fields(error.headers)
        names = {name for name, _ in own if name != b"vary"}
        response.raw_headers = [field for field in headers if field[0] not in names] + own
    return response


def internal_error_page(request: Request) -> Response:
    """The answer for an unexpected exception: the request's id and no internals."""
    detail = f"Something went wrong on the server. Request id: {request.id}"
    return error_page(request, HTTPError(500, detail, extensions={"request_id": request.id}))


def plain_error_page(status: int) -> Response:
    """The last resort: built from the status alone, so that nothing is left that could fail."""
    response = Response(f"{status} {reason_phrase(status)}\n".encode(), status)
    response.raw_headers = TEXT_HEADERS
    return response


def wants_html(request: Request) -> bool:
    """Whether the client is a browser, judged by what it accepts."""
    accept = request.headers.get("accept")
    return bool(accept) and preferred_media_type(accept, (_TEXT, _HTML)) == _HTML


def _text(error: HTTPError) -> bytes:
    title = reason_phrase(error.status)
    detail = f": {error.detail}" if error.detail and error.detail != title else ""
    return f"{error.status} {title}{detail}\n".encode()


def _html(error: HTTPError) -> bytes:
    title = reason_phrase(error.status)
    detail = f"<p>{escape(error.detail)}</p>" if error.detail and error.detail != title else ""
    return _PAGE.format(title=f"{error.status} {escape(title)}", detail=detail).encode()


def _problem(error: HTTPError) -> bytes:
    """RFC 9457 §3: an extension may name the type, title and instance, not status or detail."""
    title = reason_phrase(error.status)
    members: dict[str, object] = {"type": "about:blank", "title": title}
    members |= error.extensions or {}
    members["status"] = error.status
    members.pop("detail", None)
    if error.detail and error.detail != title:
        members["detail"] = error.detail
    body = Response.json(members).body
    assert isinstance(body, bytes)
    return body
