"""Requests of a test client: from httpx's vocabulary to a target, fields and a body.

Owns the encoding of query, JSON, forms and uploads. Everything here is checked as little as
possible: a test may want to send what no good client would.
"""

import os
import secrets
from collections.abc import AsyncIterable, Iterable, Mapping
from typing import IO, Any
from urllib.parse import quote, urlencode, urljoin, urlsplit

import msgspec

from httpkit.headers import HeaderFields, RawHeaders, encode_fields
from httpkit.semantics.media_types import guess_media_type
from httpkit.urls import URL, has_empty_query

__all__ = ["Body", "Content", "FileContent", "Files", "Form", "Params", "PreparedRequest"]

Content = str | bytes | Iterable[bytes] | AsyncIterable[bytes]
#: A body ready to be sent.
Body = bytes | Iterable[bytes] | AsyncIterable[bytes]
Params = Mapping[str, Any] | Iterable[tuple[str, Any]] | str
Form = Mapping[str, Any] | Iterable[tuple[str, Any]]
#: What is in a file: bytes, text or a binary file.
FileData = str | bytes | IO[bytes]
#: That; or a tuple of file name (`None` for a part without), that, and perhaps a media type and
#: further fields of the part.
FileContent = (
    FileData
    | tuple[str | None, FileData]
    | tuple[str | None, FileData, str | None]
    | tuple[str | None, FileData, str | None, Mapping[str, str]]
)
Files = Mapping[str, FileContent] | Iterable[tuple[str, FileContent]]

#: Characters that need no encoding in a target; the percent sign: what is encoded stays as it is.
_TARGET_SAFE = "/?!$&'()*+,;=:@~%[]"
#: RFC 9110 §8.6: these should have a Content-Length even if there is no content.
_WITH_BODY = frozenset({"PATCH", "POST", "PUT"})


class PreparedRequest:
    """One request as it will be sent.

    Attributes:
        method: in upper case.
        url: absolute.
        headers: fields as sent, except for the framing.
        body: bytes or an iterable of bytes.
    """

    __slots__ = ("body", "headers", "method", "url")

    def __init__(self, method: str, url: URL, headers: RawHeaders, body: Body = b"") -> None:
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body

    @property
    def target(self) -> bytes:
        """The request target in origin form, or `*`."""
        if self.url.path == "/*" and self.method == "OPTIONS":
            return b"*"
        url = self.url
        query = f"?{url.query}" if url.query or url.empty_query else ""
        return f"{url.path}{query}".encode()

    def header(self, name: bytes) -> bytes | None:
        """The first value of a field."""
        return next((value for key, value in self.headers if key == name), None)

    def __repr__(self) -> str:
        return f"<{self.method} {self.url}>"


def build_request(
    method: str,
    url: URL,
    headers: HeaderFields | None = None,
    *,
    content: Content | None = None,
    data: Form | None = None,
    files: Files | None = None,
    json: Any = ...,
) -> PreparedRequest:
    """Encode the body and the fields that describe it.

    Raises:
        TypeError: more than one kind of body, or a form that is none.
    """
    given = [content is not None, data is not None or files is not None, json is not ...]
    if sum(given) > 1:
        raise TypeError("give one of content, json, or data and files")
    if isinstance(data, str | bytes):
        raise TypeError("data is a form, as in data={'name': 'ada'}; give a body as content")
    fields = encode_fields(headers)
    body: Body = b""
    media_type = ""
    if content is not None:
        body = content.encode() if isinstance(content, str) else content
    elif json is not ...:
        body, media_type = msgspec.json.encode(json), "application/json"
    elif files:
        body, media_type = encode_multipart(data or (), files)
    elif data is not None:
        body = _encode_pairs(data).encode()
        media_type = "application/x-www-form-urlencoded"
    names = {name for name, _ in fields}
    if media_type and b"content-type" not in names:
        fields.append((b"content-type", media_type.encode()))
    if b"content-length" not in names and b"transfer-encoding" not in names:
        if not isinstance(body, bytes):
            fields.append((b"transfer-encoding", b"chunked"))
        elif body or media_type or method.upper() in _WITH_BODY:
            fields.append((b"content-length", b"%d" % len(body)))
    if b"host" not in names:
        fields.insert(0, (b"host", url.authority.encode()))
    return PreparedRequest(method.upper(), url, fields, body)


def resolve_url(base: str, reference: str, *params: Params | None) -> URL:
    """An absolute URL from a reference, with more query parameters; unsafe characters encoded.

    An absolute path is sent as it stands, dot segments included.
    """
    empty_query = has_empty_query(reference)
    if reference[:1] == "/" and reference[:2] != "//":
        root = urlsplit(base)
        reference = f"{root.scheme}://{root.netloc}{reference}"
    elif "://" not in reference:
        reference = urljoin(base, reference)
    split = urlsplit(reference)
    queries = [quote(split.query, safe=_TARGET_SAFE)]
    queries += [each if isinstance(each, str) else _encode_pairs(each) for each in params if each]
    query = "&".join(filter(None, queries))
    path = quote(split.path, safe=_TARGET_SAFE) or "/"
    return URL(split.scheme, split.netloc, path, query, empty_query=empty_query)


def encode_multipart(data: Form, files: Files) -> tuple[bytes, str]:
    """A multipart/form-data body (RFC 7578) and its media type."""
    boundary = secrets.token_hex(16)
    parts: list[bytes] = []
    for name, value in _pairs(data):
        values = value if isinstance(value, list | tuple) else [value]
        parts += [_part(boundary, f'name="{_quote(name)}"', "", _encode(v)) for v in values]
    for name, file in _pairs(files):
        parts.append(_file_part(boundary, name, file))
    parts.append(f"--{boundary}--\r\n".encode())
    return b"".join(parts), f"multipart/form-data; boundary={boundary}"


def _part(boundary: str, parameters: str, more: str, content: bytes) -> bytes:
    head = f"--{boundary}\r\nContent-Disposition: form-data; {parameters}\r\n{more}\r\n"
    return head.encode() + content + b"\r\n"


def _file_part(boundary: str, name: str, file: FileContent) -> bytes:
    filename: str | None
    media_type: str | None = None
    more: Mapping[str, str] = {}
    if isinstance(file, tuple):
        filename, content = file[0], file[1]
        media_type = file[2] if len(file) > 2 else None
        more = file[3] if len(file) > 3 else {}
    else:
        content = file
        filename = os.path.basename(str(getattr(file, "name", name)))
    if not isinstance(content, str | bytes):
        content = content.read()
    parameters = f'name="{_quote(name)}"'
    if filename is not None:
        parameters += f'; filename="{_quote(filename)}"'
        media_type = media_type or guess_media_type(filename)
    fields = {"Content-Type": media_type} if media_type else {}
    lines = "".join(f"{key}: {value}\r\n" for key, value in (fields | dict(more)).items())
    return _part(
        boundary, parameters, lines, content.encode() if isinstance(content, str) else content
    )


def _quote(text: str) -> str:
    """As browsers do it (WHATWG HTML, multipart/form-data encoding algorithm)."""
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def _encode_pairs(values: Any) -> str:
    """As a query or a form; each item of a list is a pair of its own."""
    return urlencode(
        [
            (name, _encode(each))
            for name, value in _pairs(values)
            for each in (value if isinstance(value, list | tuple) else [value])
        ]
    )


def _encode(value: Any) -> bytes:
    """As httpx has it: JSON's words for booleans, nothing for `None`."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, bool):
        return b"true" if value else b"false"
    return b"" if value is None else str(value).encode()


def _pairs(values: Any) -> list[tuple[str, Any]]:
    return list(values.items() if isinstance(values, Mapping) else values)
