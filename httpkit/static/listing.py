"""What a directory looks like to a browser or a program: one page, or one JSON object.

Pure: entries in, answer out. Owns the order, the markup and the links; which entries there are, and
whether a directory is listed at all, is decided by whoever calls it.

The page needs no script, no picture and no font, works on a narrow screen and in the dark, and
forbids everything else by its Content-Security-Policy: names of files are other people's texts. All
links are relative, so that they hold behind a proxy that cuts a prefix off.
"""

import base64
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from html import escape
from typing import NamedTuple
from urllib.parse import quote

from httpkit.response import Response

__all__ = ["LISTING_TYPES", "Entry", "format_size", "render_listing"]

#: What `render_listing` can make, for the negotiation by `Accept`; the first is the favorite.
LISTING_TYPES = ("text/html", "application/json")

_DIGITS = re.compile(r"([0-9]+)")
_UNITS = ("kB", "MB", "GB", "TB", "PB")


class Entry(NamedTuple):
    """One entry of a directory.

    Attributes:
        name: as the operating system gives it; bytes that are not UTF-8 as lone surrogates.
        is_directory: whether it is one, or a link to one.
        size: bytes of a file; of no meaning for a directory.
        modified: time of modification as a Unix timestamp in seconds.
    """

    name: str
    is_directory: bool
    size: int
    modified: float


def render_listing(
    path: str, entries: Sequence[Entry], media_type: str, *, root: str = "/"
) -> Response:
    """The listing of a directory: directories first, then by name, numbers by their value.

    Args:
        path: of the request, decoded, with a slash at its end.
        entries: in any order.
        media_type: one of `LISTING_TYPES`.
        root: the path of the topmost directory that is listed, with a slash at its end: nothing
            above it is linked to.

    Returns:
        200, with `Vary: Accept` and without validators. The JSON object has `path` and `entries`,
        each of which has `name`, `type` (`directory` or `file`), `size` in bytes (`null` for a
        directory) and `modified` (RFC 3339, UTC).
    """
    ordered = sorted(entries, key=_order)
    if media_type == "application/json":
        return Response.json(_to_json(path, ordered), headers=_JSON_HEADERS)
    return Response.html(_to_html(path, ordered, root), headers=_HTML_HEADERS)


def format_size(size: int) -> str:
    """A number of bytes for people, in powers of 1000 with two digits at least: `1.2 MB`."""
    if size < 1000:
        return f"{size} B"
    value, unit = size / 1000, 0
    # 999.5 would be shown as 1000.
    while value >= 999.5 and unit + 1 < len(_UNITS):
        value, unit = value / 1000, unit + 1
    return f"{value:.1f} {_UNITS[unit]}" if value < 9.95 else f"{value:.0f} {_UNITS[unit]}"


def _order(entry: Entry) -> tuple[bool, list[tuple[str, int]], str]:
    """`a2` before `a10`, and case does not matter unless nothing else differs."""
    parts = _DIGITS.split(entry.name.casefold())
    numbered = zip(parts[::2], [*parts[1::2], "0"], strict=True)
    return not entry.is_directory, [(text, int(digits)) for text, digits in numbered], entry.name


def _show(name: str) -> str:
    """A name as text that can be encoded: what was not UTF-8 is a replacement character."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _time(entry: Entry) -> datetime | None:
    """`None` for times that no calendar has: file systems keep whatever they are told."""
    try:
        return datetime.fromtimestamp(int(entry.modified), UTC)
    except (OverflowError, ValueError, OSError):
        return None


def _to_json(path: str, entries: list[Entry]) -> dict[str, object]:
    return {
        "path": _show(path),
        "entries": [
            {
                "name": _show(entry.name),
                "type": "directory" if entry.is_directory else "file",
                "size": None if entry.is_directory else entry.size,
                "modified": _time(entry),
            }
            for entry in entries
        ],
    }


# --- the page ------------------------------------------------------------------------------------

_STYLE = """
:root{color-scheme:light dark;--line:#8883;--soft:#666;--link:#0b57d0}
@media (prefers-color-scheme:dark){:root{--soft:#aaa;--link:#8ab4f8}}
body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1.5rem 1rem}
h1{font-size:1.25rem;font-weight:600;margin:0 0 1rem;overflow-wrap:anywhere}
a{color:var(--link);text-decoration:none}a:hover,a:focus{text-decoration:underline}
table{width:100%;border-collapse:collapse}
th{text-align:left;font-weight:600;font-size:.85rem;color:var(--soft)}
th,td{padding:.4rem .5rem;border-bottom:1px solid var(--line);vertical-align:top}
td:first-child{overflow-wrap:anywhere}
td.d a{font-weight:600}
.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums;color:var(--soft)}
p{color:var(--soft);font-size:.85rem}
@media (max-width:36rem){.t{display:none}}
"""

_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>{style}</style></head>
<body><main><h1>{crumbs}</h1>
<table><thead><tr><th scope="col">Name</th><th scope="col" class="n">Size</th>\
<th scope="col" class="n t">Modified (UTC)</th></tr></thead>
<tbody>
{rows}</tbody></table>
<p>{summary}</p></main></body>
</html>
"""

_POLICY = (
    "default-src 'none'; style-src 'sha256-"
    + base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    + "'; base-uri 'none'; form-action 'none'"
)
# A listing has no validators, and a stale one shows files that are gone.
_JSON_HEADERS = {
    "vary": "Accept",
    "cache-control": "no-cache",
    "x-content-type-options": "nosniff",
}
_HTML_HEADERS = {**_JSON_HEADERS, "content-security-policy": _POLICY}


def _to_html(path: str, entries: list[Entry], root: str) -> str:
    rows = [_row(entry) for entry in entries]
    if path != root:
        rows.insert(0, _PARENT)
    return _PAGE.format(
        title=escape(_show(path)),
        style=_STYLE,
        crumbs=_crumbs(path, root),
        rows="".join(rows),
        summary=_summarize(entries),
    )


_PARENT = (
    '<tr><td class="d"><a href="../" rel="up">../</a></td><td class="n"></td>'
    '<td class="n t"></td></tr>\n'
)


def _row(entry: Entry) -> str:
    slash = "/" if entry.is_directory else ""
    # The dot keeps a colon from making a scheme of the name (RFC 3986 §4.2).
    link = f"./{quote(os.fsencode(entry.name), safe='')}{slash}"
    size = "" if entry.is_directory else _exact(entry.size)
    time = _time(entry)
    modified = (
        ""
        if time is None
        else f'<time datetime="{time:%Y-%m-%dT%H:%M:%SZ}">{time:%Y-%m-%d %H:%M}</time>'
    )
    kind = ' class="d"' if entry.is_directory else ""
    return (
        f'<tr><td{kind}><a href="{link}">{escape(_show(entry.name))}{slash}</a></td>'
        f'<td class="n">{size}</td><td class="n t">{modified}</td></tr>\n'
    )


def _exact(size: int) -> str:
    """For people, with the exact number for who points at it."""
    return f'<span title="{size} bytes">{format_size(size)}</span>'


def _crumbs(path: str, root: str) -> str:
    """The path, whose parts lead to the directories above."""
    names = path.removeprefix(root).split("/")[:-1]
    parts: Iterator[tuple[int, str]] = zip(
        range(len(names), -1, -1), [root.rstrip("/"), *names], strict=True
    )
    return "".join(
        f'<a href="{"../" * above or "./"}">{escape(_show(name))}/</a>' for above, name in parts
    )


def _summarize(entries: list[Entry]) -> str:
    files = [entry for entry in entries if not entry.is_directory]
    directories = len(entries) - len(files)
    total = format_size(sum(entry.size for entry in files))
    return (
        f"{directories} {'directory' if directories == 1 else 'directories'}, "
        f"{len(files)} {'file' if len(files) == 1 else 'files'}, {total}"
    )
