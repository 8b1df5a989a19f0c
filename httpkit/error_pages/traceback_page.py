"""The traceback page of debug mode: frames, source lines, locals and the request.

Shows internals by design: `App(debug=True)` is for a developer's own machine. Everything in it is
escaped, since messages and locals carry what clients sent. Text for clients that are no browsers.
"""

import linecache
import reprlib
import traceback
from collections.abc import Iterator
from html import escape
from types import FrameType

from httpkit.error_pages.pages import HTML_HEADERS, TEXT_HEADERS, wants_html
from httpkit.request import Request
from httpkit.response import Response

__all__ = ["traceback_page"]

#: Source lines shown before and after the one that failed.
_CONTEXT = 3
#: Frames shown of one exception: a recursion of a thousand says no more than its ends.
_FRAMES_AT_START, _FRAMES_AT_END = 10, 30
#: Exceptions shown of one chain, groups included.
_EXCEPTIONS = 20

_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title>
<style>
body{{font:.9rem/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}}
h1{{font-size:1.3rem;overflow-wrap:anywhere}} h2{{font-size:1.1rem;overflow-wrap:anywhere}}
pre,td,th{{font:.8rem/1.4 ui-monospace,monospace}} pre{{background:#8882;padding:.5rem;margin:0;
overflow-x:auto}} mark{{background:#fc06;color:inherit}} details{{margin:.5rem 0}}
td,th{{text-align:left;vertical-align:top;padding:0 1rem 0 0;overflow-wrap:anywhere}}
summary{{cursor:pointer;overflow-wrap:anywhere}}
</style></head>
<body>
<h1>{title}</h1>
<p>{summary} (request {request_id}). This page is shown because the app runs with debug=True.</p>
{exceptions}
<h2>Request</h2>
<table>{fields}</table>
</body>
</html>
"""

_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = _repr.maxlong = 200
_repr.maxdict = _repr.maxlist = _repr.maxtuple = _repr.maxset = 20


def traceback_page(request: Request, error: BaseException) -> Response:
    """Answer 500 with everything there is to know about an exception."""
    if not wants_html(request):
        text = "".join(traceback.format_exception(error))
        summary = f"{_summary(request)} (request {request.id})\n\n"
        response = Response((summary + text).encode("utf-8", "backslashreplace"), 500)
        response.raw_headers = TEXT_HEADERS
        return response
    page = _PAGE.format(
        title=escape(_describe(error)),
        summary=escape(_summary(request)),
        request_id=escape(request.id),
        exceptions="".join(_exception(*entry) for entry in _chain(error)),
        fields="".join(_row(name, value) for name, value in request.headers.pairs()),
    )
    response = Response(page.encode("utf-8", "backslashreplace"), 500)
    response.raw_headers = HTML_HEADERS
    return response


def _summary(request: Request) -> str:
    return f"{request.method} {request.target.decode('latin-1')}"


def _describe(error: BaseException) -> str:
    return "".join(traceback.format_exception_only(error)).strip()


def _chain(error: BaseException) -> Iterator[tuple[str, BaseException]]:
    """The exception, what it came from, and the members of groups, each with its relation."""
    seen: set[int] = set()
    waiting: list[tuple[str, BaseException]] = [("", error)]
    while waiting and len(seen) < _EXCEPTIONS:
        relation, current = waiting.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield relation, current
        if current.__cause__ is not None:
            waiting.append(("Caused by", current.__cause__))
        elif current.__context__ is not None and not current.__suppress_context__:
            waiting.append(("Raised while handling", current.__context__))
        if isinstance(current, BaseExceptionGroup):
            waiting += [("In this group", member) for member in current.exceptions]


def _exception(relation: str, error: BaseException) -> str:
    heading = f"{relation}: {_describe(error)}" if relation else "Traceback, innermost call last"
    frames = list(traceback.walk_tb(error.__traceback__))
    omitted = len(frames) - _FRAMES_AT_START - _FRAMES_AT_END
    parts = [f"<h2>{escape(heading)}</h2>"]
    for index, (frame, line) in enumerate(frames):
        if omitted > 0 and index == _FRAMES_AT_START:
            parts.append(f"<p>{omitted} frames are left out.</p>")
        if omitted <= 0 or not _FRAMES_AT_START <= index < _FRAMES_AT_START + omitted:
            parts.append(_frame(frame, line, last=index == len(frames) - 1))
    return "".join(parts)


def _frame(frame: FrameType, line: int, *, last: bool) -> str:
    code = frame.f_code
    place = f"{code.co_filename}:{line} in {code.co_qualname}"
    rows = "".join(_row(name, _repr.repr(value)) for name, value in frame.f_locals.items())
    table = f"<details><summary>Locals</summary><table>{rows}</table></details>" if rows else ""
    return (
        f"<details{' open' if last else ''}><summary>{escape(place)}</summary>"
        f"{_source(code.co_filename, line, frame.f_globals)}{table}</details>"
    )


def _source(filename: str, line: int, module: dict[str, object]) -> str:
    lines = linecache.getlines(filename, module)
    if not lines:
        return ""
    first = max(1, line - _CONTEXT)
    shown = []
    for number, text in enumerate(lines[first - 1 : line + _CONTEXT], first):
        row = escape(f"{number:5d}  {text.rstrip()}")
        shown.append(f"<mark>{row}</mark>" if number == line else row)
    return "<pre>" + "\n".join(shown) + "</pre>"


def _row(name: str, value: str) -> str:
    return f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>"
