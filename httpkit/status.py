"""Status codes and methods, as the registries of RFC 9110 name them."""

from http import HTTPStatus

__all__ = ["BODILESS", "METHODS", "REASONS", "STATUS_LINES", "status_line"]

METHODS: dict[bytes, str] = {
    name.encode(): name
    for name in (
        "GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH "
        "ACL BIND CHECKOUT COPY LINK LOCK MERGE MKACTIVITY MKCALENDAR MKCOL MOVE PROPFIND "
        "PROPPATCH QUERY REBIND REPORT SEARCH UNBIND UNLINK UNLOCK"
    ).split()
}
"""Methods this server implements, by their wire form: the part of IANA's registry that every
HTTP/1.1 engine can parse. Any other is answered 501 (RFC 9110 §9.1). CONNECT is refused by the head
guard with 405."""

BODILESS = frozenset({204, 304})
"""Answers that never have a body (RFC 9110 §6.4.1); 1xx are not answers but interim responses."""

REASONS: dict[int, str] = {
    **{status.value: status.phrase for status in HTTPStatus},
    413: "Content Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
}
"""Reason phrases. Those of RFC 9110 stand here where a Python below 3.13 has older ones."""


def status_line(status: int) -> bytes:
    """The HTTP/1.1 status line with its CRLF; an unregistered status has an empty reason."""
    line = STATUS_LINES.get(status)
    return b"HTTP/1.1 %d \r\n" % status if line is None else line


#: Prebuilt lines for every registered status.
STATUS_LINES: dict[int, bytes] = {
    status: b"HTTP/1.1 %d %s\r\n" % (status, phrase.encode()) for status, phrase in REASONS.items()
}
