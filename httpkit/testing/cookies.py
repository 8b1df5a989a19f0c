"""The cookies a client keeps, as a browser would: RFC 6265bis §5.

The standard library's jar follows older rules: it sends a host's cookies to its subdomains, refuses
`Domain=testserver`, and knows neither prefixes nor what http may not do to the cookies of https.
There is no list of public suffixes here; a name without a dot counts as one.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import NamedTuple

from httpkit.headers import Headers
from httpkit.urls import URL

__all__ = ["Cookies"]

#: §5.6: a longer pair is no cookie, a longer attribute is ignored.
_MAX_PAIR = 4096
_MAX_ATTRIBUTE = 1024
#: §5.5: no cookie lives longer than 400 days.
_MAX_AGE_SECONDS = 400 * 86_400
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_MAX_AGE = re.compile(r"-?[0-9]+", re.ASCII)
#: The domain of cookies that a test has set: they go everywhere.
_EVERYWHERE = ""

# §5.1.1, the tokens of a date in any order.
_DELIMITERS = re.compile(r"[\x09\x20-\x2f\x3b-\x40\x5b-\x60\x7b-\x7e]+")
_TIME = re.compile(r"([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?![0-9])")
_DAY = re.compile(r"([0-9]{1,2})(?![0-9])")
_YEAR = re.compile(r"([0-9]{2,4})(?![0-9])")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


class _Key(NamedTuple):
    """What makes two cookies the same one (§5.7, step 22)."""

    name: str
    domain: str
    host_only: bool
    path: str


class _Cookie(NamedTuple):
    value: str
    secure: bool = False
    expires: float | None = None


class Cookies(MutableMapping[str, str]):
    """Cookies by name; domain, path, expiry and `Secure` are minded when they are sent.

    Setting one here makes a cookie that is sent with every request, to any host, until an answer
    sets one of that name.

    Args:
        cookies: set like this from the beginning.
        clock: Unix time in seconds, for their expiry.
    """

    def __init__(
        self,
        cookies: Mapping[str, str] | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.clock = clock
        # Overwriting keeps the place, as §5.7 keeps the creation time.
        self._jar: dict[_Key, _Cookie] = {}
        for name, value in (cookies or {}).items():
            self[name] = value

    def store(self, url: URL, headers: Headers) -> None:
        """Keep the cookies that the answer to a request for `url` sets (§5.7)."""
        now = self.clock()
        for line in headers.getlist("set-cookie"):
            parsed = _parse(line, url, now)
            if parsed is not None and not self._shadows_secure(url, *parsed):
                key, cookie = parsed
                self._jar.pop(_Key(key.name, _EVERYWHERE, False, "/"), None)
                self._jar[key] = cookie
        self._drop_expired()

    def header(self, url: URL) -> str | None:
        """The value of `Cookie` for a request, or `None` (§5.8.3)."""
        self._drop_expired()
        host, path = url.host, url.path
        found = [
            (key, cookie)
            for key, cookie in self._jar.items()
            if _sent_to(key, host)
            and _path_matches(path, key.path)
            and (url.scheme == "https" or not cookie.secure)
        ]
        found.sort(key=lambda each: -len(each[0].path))  # stable: then by age
        pairs = [
            f"{key.name}={cookie.value}" if key.name else cookie.value for key, cookie in found
        ]
        return "; ".join(pairs) or None

    def _shadows_secure(self, url: URL, key: _Key, cookie: _Cookie) -> bool:
        """Whether http would hide or replace a cookie of https (§5.7, step 16)."""
        if url.scheme == "https" or cookie.secure:
            return False
        return any(
            other.secure
            and name == key.name
            and (_domain_matches(domain, key.domain) or _domain_matches(key.domain, domain))
            and _path_matches(key.path, path)
            for (name, domain, _, path), other in self._jar.items()
        )

    def _drop_expired(self) -> None:
        now = self.clock()
        for key, cookie in list(self._jar.items()):
            if cookie.expires is not None and cookie.expires <= now:
                del self._jar[key]

    # --- a mapping ---------------------------------------------------------------------------

    def __getitem__(self, name: str) -> str:
        self._drop_expired()
        for key, cookie in self._jar.items():
            if key.name == name:
                return cookie.value
        raise KeyError(name)

    def __setitem__(self, name: str, value: str) -> None:
        self._forget(name)
        self._jar[_Key(name, _EVERYWHERE, False, "/")] = _Cookie(value)

    def __delitem__(self, name: str) -> None:
        if not self._forget(name):
            raise KeyError(name)

    def _forget(self, name: str) -> bool:
        found = [key for key in self._jar if key.name == name]
        for key in found:
            del self._jar[key]
        return bool(found)

    def __iter__(self) -> Iterator[str]:
        self._drop_expired()
        return iter(dict.fromkeys(key.name for key in self._jar))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __repr__(self) -> str:
        return f"Cookies({dict(self)!r})"


# --- from a line to a cookie ---------------------------------------------------------------------


def _parse(line: str, url: URL, now: float) -> tuple[_Key, _Cookie] | None:
    """The cookie of a `Set-Cookie` line, or `None` where a browser takes none (§5.6, §5.7)."""
    if _CONTROL.search(line):
        return None
    pair, *rest = line.split(";")
    name, equals, value = pair.partition("=")
    if not equals:
        name, value = "", pair
    name, value = name.strip(" \t"), value.strip(" \t")
    if not name + value or len((name + value).encode()) > _MAX_PAIR:
        return None
    attributes = _parse_attributes(rest)
    host = url.host
    domain = attributes.get("domain", "").removeprefix(".").lower()
    if domain == host and "." not in domain:
        domain = ""  # step 9: a public suffix may have cookies of its own, for itself only
    if domain and ("." not in domain or not _domain_matches(host, domain)):
        return None
    path = attributes.get("path", "")
    if path[:1] != "/":
        path = url.path[: url.path.rfind("/")] or "/"  # §5.1.4
    secure = "secure" in attributes
    if secure and url.scheme != "https":
        return None
    prefix = (name or value).lower()
    if prefix.startswith("__secure-") and not (name and secure):
        return None
    promised = name and secure and not domain and attributes.get("path") == "/"
    if prefix.startswith("__host-") and not promised:
        return None
    key = _Key(name, domain or host, not domain, path)
    return key, _Cookie(value, secure, _expiry(attributes, now))


def _parse_attributes(parts: list[str]) -> dict[str, str]:
    """Attributes by name in lower case; the last of a name that makes sense wins."""
    attributes: dict[str, str] = {}
    for part in parts:
        name, _, value = part.partition("=")
        name, value = name.strip(" \t").lower(), value.strip(" \t")
        if len(value) > _MAX_ATTRIBUTE or (name == "max-age" and not _MAX_AGE.fullmatch(value)):
            continue
        if name == "expires" and parse_cookie_date(value) is None:
            continue
        attributes[name] = value
    return attributes


def _expiry(attributes: Mapping[str, str], now: float) -> float | None:
    """A Unix time; `None` lives as long as the client. `Max-Age` wins (§5.7, step 3)."""
    if "max-age" in attributes:
        return now + min(max(int(attributes["max-age"]), 0), _MAX_AGE_SECONDS)
    return parse_cookie_date(attributes["expires"]) if "expires" in attributes else None


def parse_cookie_date(text: str) -> float | None:
    """The Unix time of an `Expires` attribute, however it is written (§5.1.1)."""
    clock = day = month = year = None
    for token in _DELIMITERS.split(text):
        if clock is None and (found := _TIME.match(token)):
            clock = (int(found[1]), int(found[2]), int(found[3]))
        elif day is None and (found := _DAY.match(token)):
            day = int(found[1])
        elif month is None and token[:3].lower() in _MONTHS:
            month = _MONTHS.index(token[:3].lower()) + 1
        elif year is None and (found := _YEAR.match(token)):
            year = int(found[1])
    if clock is None or day is None or month is None or year is None:
        return None
    if year < 100:
        year += 1900 if year >= 70 else 2000
    if year < 1601:
        return None
    try:
        return datetime(year, month, day, *clock, tzinfo=UTC).timestamp()
    except ValueError:
        return None


# --- matching ------------------------------------------------------------------------------------


def _sent_to(key: _Key, host: str) -> bool:
    if key.domain == _EVERYWHERE:
        return True
    return key.domain == host if key.host_only else _domain_matches(host, key.domain)


def _domain_matches(host: str, domain: str) -> bool:
    """§5.1.3: the same, or a subdomain of it."""
    return host == domain or (host.endswith(f".{domain}") and not _is_address(host))


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _path_matches(path: str, base: str) -> bool:
    """§5.1.4: the same, or below it."""
    return path == base or (path.startswith(base) and (base[-1] == "/" or path[len(base)] == "/"))
