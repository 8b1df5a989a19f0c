"""Content-Disposition (RFC 6266): the names of files, coming and going.

Owns what a file name from a peer is reduced to and how one is written. Called by `Response.file`,
static files and forms. The grammar of the field in form parts is the multipart parser's, as
browsers quote there by rules of their own.
"""

import os
from urllib.parse import quote

__all__ = ["clean_filename", "content_disposition"]

#: What every file system takes as a name (POSIX NAME_MAX), and an ending that is one.
_MAX_NAME = 255
_MAX_ENDING = 32

#: Control characters (C0, DEL, C1), line separators and the marks that reorder text, with which
#: `gpj.exe` looks like `exe.jpg`.
_DROPPED = dict.fromkeys(
    (
        *range(0x20),
        *range(0x7F, 0xA0),
        *(0x061C, 0x200E, 0x200F, 0x2028, 0x2029),
        *range(0x202A, 0x202F),
        *range(0x2066, 0x206A),
    )
)

#: RFC 8187 §3.2.1 attr-char, beside letters and digits.
_ATTR_CHARS = "!#$&+-.^_`|~"


def clean_filename(name: str, default: str = "upload") -> str:
    r"""Reduce what somebody calls a file to a base name (RFC 6266 §4.3, RFC 7578 §4.2).

    Directories go, whether written with `/` or `\`, and so do control characters, marks that
    reorder text and surrogates. The result has at most 255 bytes in UTF-8, keeps its ending where
    it has to be cut, and is never empty, `.` or `..`: these become `default`.
    """
    base = name.replace("\\", "/").rpartition("/")[2]
    encoded = base.translate(_DROPPED).strip().encode("utf-8", "ignore")
    if len(encoded) > _MAX_NAME:
        ending = os.path.splitext(encoded)[1]
        ending = ending if len(ending) <= _MAX_ENDING else b""
        encoded = encoded[: _MAX_NAME - len(ending)] + ending
    base = encoded.decode("utf-8", "ignore").strip()
    return default if base in ("", ".", "..") else base


def content_disposition(filename: str | None, *, inline: bool = False) -> str:
    """A `Content-Disposition` field value (RFC 6266) with an RFC 8187 name where needed.

    Args:
        filename: what a browser saves the content under, reduced by `clean_filename`; `None`
            leaves it to the browser.
        inline: show rather than save.
    """
    kind = "inline" if inline else "attachment"
    if filename is None:
        return kind
    clean = clean_filename(filename, "download")
    # RFC 6266 appendix D: some browsers decode percent escapes in the plain form, or stumble over
    # escaped quotes, so it gets neither and the extended form has the true name.
    plain = clean.encode("ascii", "replace").decode()
    plain = plain.replace("?", "_").replace("%", "_").replace('"', "_")
    value = f'{kind}; filename="{plain}"'
    if plain != clean:
        value += f"; filename*=UTF-8''{quote(clean, safe=_ATTR_CHARS)}"
    return value
