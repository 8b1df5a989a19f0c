"""Cookies: reading `Cookie`, writing `Set-Cookie` (RFC 6265bis)."""

import re
from datetime import UTC, datetime
from typing import Literal

from httpkit.errors import InvalidHeader
from httpkit.semantics.dates import format_http_date

__all__ = ["SameSite", "parse_cookies", "serialize_cookie"]

SameSite = Literal["strict", "lax", "none"]

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*")
_ATTRIBUTE = re.compile(r"[\x20-\x3a\x3c-\x7e]*")
#: A host alone (RFC 1123 §2.1): browsers drop a cookie for a domain with a scheme or a port.
_DOMAIN = re.compile(r"[0-9A-Za-z._-]*|\[[0-9A-Fa-f:.]+\]")
#: RFC 6265bis §5.6: larger cookies are dropped by browsers, so sending one is a mistake.
_MAX_PAIR = 4096
#: RFC 6265bis §5.6: a longer attribute value is ignored by browsers.
_MAX_ATTRIBUTE = 1024


def parse_cookies(lines: list[str]) -> dict[str, str]:
    """Parse the lines of the `Cookie` field; the first of a repeated name wins.

    Lenient, since a browser sends what any host of the domain has set: a crumb without a name is
    skipped, quotes around a value are taken off (RFC 6265bis §4.1.1 counts them to the value, but
    those who write them do not mean them), anything else is left as it is. The first wins because
    browsers put the cookie with the longest path first (§5.8.3).
    """
    cookies: dict[str, str] = {}
    for line in lines:
        for crumb in line.split(";"):
            name, equals, value = crumb.partition("=")
            name, value = name.strip(" \t"), value.strip(" \t")
            if not equals or not name:
                continue
            if len(value) >= 2 and value[0] == value[-1] == '"':
                value = value[1:-1]
            cookies.setdefault(name, value)
    return cookies


def serialize_cookie(
    name: str,
    value: str = "",
    *,
    max_age: int | None = None,
    expires: datetime | None = None,
    path: str | None = "/",
    domain: str | None = None,
    secure: bool = False,
    httponly: bool = True,
    samesite: SameSite | None = "lax",
    partitioned: bool = False,
) -> str:
    """The value of a `Set-Cookie` field (RFC 6265bis §4.1.1).

    Args:
        name: a token.
        value: without whitespace, quotes, commas, semicolons and backslashes.
        max_age: lifetime in seconds; wins over `expires` in browsers.
        expires: end of life; a naive datetime is UTC.
        path: `None` leaves the choice to the browser.
        domain: `None` is this host without its subdomains.
        secure: send it over TLS only.
        httponly: hide it from scripts.
        samesite: which requests of other sites carry it.
        partitioned: keep one for each embedding site (CHIPS).

    Raises:
        InvalidHeader: a character that the grammar forbids, more than 4096 bytes, an attribute of
            more than 1024, a prefix (`__Secure-`, `__Host-`) whose promise is not kept, or
            `samesite="none"` or `partitioned` without `secure`, which browsers drop.
    """
    if not _NAME.fullmatch(name):
        raise InvalidHeader(f"cookie name {name!r} is not a token (RFC 6265bis §4.1.1)")
    if not _VALUE.fullmatch(value):
        raise InvalidHeader(
            f"value of cookie {name!r} has a character that cookies cannot carry; "
            "percent-encode or base64 it first"
        )
    if len(name) + len(value) > _MAX_PAIR:
        raise InvalidHeader(f"cookie {name!r} is larger than {_MAX_PAIR} bytes; browsers drop it")
    _check_promises(name, path, domain, secure=secure, samesite=samesite, partitioned=partitioned)
    parts = [f"{name}={value}"]
    for attribute, text, pattern in (("Path", path, _ATTRIBUTE), ("Domain", domain, _DOMAIN)):
        if text is not None:
            _check_attribute(name, attribute, text, pattern)
            parts.append(f"{attribute}={text}")
    if max_age is not None:
        parts.append(f"Max-Age={int(max_age)}")
    if expires is not None:
        moment = expires if expires.tzinfo else expires.replace(tzinfo=UTC)
        parts.append(f"Expires={format_http_date(moment.timestamp())}")
    if secure:
        parts.append("Secure")
    if httponly:
        parts.append("HttpOnly")
    if samesite is not None:
        parts.append(f"SameSite={samesite.capitalize()}")
    if partitioned:
        parts.append("Partitioned")
    return "; ".join(parts)


def _check_attribute(name: str, attribute: str, text: str, pattern: re.Pattern[str]) -> None:
    if not pattern.fullmatch(text) or len(text) > _MAX_ATTRIBUTE:
        raise InvalidHeader(f"{attribute} {text!r} of cookie {name!r} is not allowed")


def _check_promises(
    name: str,
    path: str | None,
    domain: str | None,
    *,
    secure: bool,
    samesite: str | None,
    partitioned: bool,
) -> None:
    lower = name.lower()
    if lower.startswith("__secure-") and not secure:
        raise InvalidHeader(f"cookie {name!r} needs secure=True (RFC 6265bis §4.1.3.1)")
    if lower.startswith("__host-") and not (secure and path == "/" and domain is None):
        raise InvalidHeader(
            f"cookie {name!r} needs secure=True, path='/' and no domain (RFC 6265bis §4.1.3.2)"
        )
    if (samesite == "none" or partitioned) and not secure:
        raise InvalidHeader(f"cookie {name!r}: samesite='none' and partitioned need secure=True")
    if samesite not in (None, "strict", "lax", "none"):
        raise InvalidHeader(f"samesite of cookie {name!r} must be strict, lax or none")
