"""`CORS`: which pages of other origins may read answers (Fetch standard §3.2).

Owns preflights and the `Access-Control-*` fields. It protects nothing: browsers alone read these
fields, and a request that they would not let a page read has been answered all the same. Whoever
changes state by cookies needs a defence against forged requests, too.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from httpkit.errors import ConfigurationError, HTTPError
from httpkit.headers import RawHeaders, encode_header
from httpkit.request import Request
from httpkit.response import Response, Upgrade
from httpkit.types import Next

__all__ = ["CORS"]

#: Serialized origins (RFC 6454 §6.2), `*.` for one label or more in front of the host. A port that
#: is the default of its scheme is never sent.
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(\*\.)?([a-z0-9_.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
#: Methods that need no preflight are allowed like the others: who names methods means them.
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "QUERY")
#: On what the answer to a preflight depends.
_PREFLIGHT_VARY = ("Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers")
#: Header fields that a page may always send (Fetch §2.2.2). With values beyond the ordinary, as
#: `application/json`, the browser asks for them, and a preflight has to name them (Fetch §4.8).
_SAFELISTED = ("accept", "accept-language", "content-language", "content-type", "range")


class _Origins(NamedTuple):
    """Which origins are allowed."""

    everybody: bool
    exact: frozenset[str]
    #: Scheme with `://`, and what a host has to end with, its port included.
    suffixes: tuple[tuple[str, str], ...]

    def allow(self, origin: str) -> bool:
        """Whether a page of this origin may read answers."""
        if self.everybody or origin in self.exact:
            return True
        return any(
            origin.startswith(scheme)
            and origin.endswith(suffix)
            and len(origin) > len(scheme) + len(suffix)
            for scheme, suffix in self.suffixes
        )


class CORS:
    """Middleware: lets pages of other origins read the answers behind it.

        app.add_middleware(CORS("https://app.example.com", credentials=True))

    Belongs around an app or a router, not to one route: preflights come with OPTIONS, which a
    route for GET never sees. A preflight is answered here. One that asks for more than is allowed
    gets 403 and says what was missing, since a browser shows nothing but "CORS error".

    Where not everybody is allowed, every answer says `Vary: Origin`, with the field or without, so
    that a cache never gives one site the permission of another. Where everybody is, every answer
    says so, also that to an `<img>`, which a browser keeps and gives to scripts later. An answer
    that has `Access-Control-Allow-Origin` already is left alone. Unexpected exceptions become their
    500 further outside, without these fields.

    Args:
        origins: as browsers write them, `https://app.example.com` or `http://localhost:5173`;
            `https://*.example.com` for everything below a host; `*` for everybody. `null`, the
            origin of files and sandboxed frames, which anybody can have, only without credentials.
        methods: that pages may use; `*` for all.
        headers: fields that pages may send besides the safelisted ones; `*` for all.
        expose: fields of answers that pages may read besides the safelisted ones.
        credentials: answers to requests with cookies may be read. Not with `*`: any site could
            act in the name of whoever visits it.
        max_age: seconds for which browsers remember a preflight (Chromium: at most 7200).

    Raises:
        ConfigurationError: no origin, one that no browser would send, a malformed name, or
            everybody together with credentials.
    """

    def __init__(
        self,
        origins: str | Iterable[str],
        *,
        methods: str | Iterable[str] = _METHODS,
        headers: str | Iterable[str] = (),
        expose: str | Iterable[str] = (),
        credentials: bool = False,
        max_age: int = 600,
    ) -> None:
        self._origins = _read_origins(_several(origins), credentials=credentials)
        methods, headers = _several(methods), _several(headers)
        for what, names in (("methods", methods), ("headers", headers), ("expose", expose)):
            for name in _several(names):
                if not _TOKEN.fullmatch(name):
                    raise ConfigurationError(f"CORS: {what}: {name!r} is no name")
        if not isinstance(max_age, int) or max_age < 0:
            raise ConfigurationError(f"CORS: max_age is {max_age!r}: give whole seconds, 0 or more")
        self._methods = None if "*" in methods else frozenset(methods)
        given = {name.lower() for name in headers}
        headers = (*headers, *[name for name in _SAFELISTED if name not in given])
        self._headers = None if "*" in headers else given.union(_SAFELISTED)
        self._max_age = encode_header("access-control-max-age", str(max_age))
        self._allowed_methods = ", ".join(methods)
        self._allowed_headers = ", ".join(headers)
        #: What every answer that may be read has besides its origin.
        self._common: RawHeaders = []
        if credentials:
            self._common.append((b"access-control-allow-credentials", b"true"))
        if exposed := ", ".join(_several(expose)):
            self._common.append(encode_header("access-control-expose-headers", exposed))

    async def __call__(self, request: Request, next: Next) -> Response:
        """Answer a preflight, or add to the answer who may read it."""
        origin = request.headers.get("origin")
        if (
            request.method == "OPTIONS"
            and origin is not None
            and "access-control-request-method" in request.headers
        ):
            return self._answer_preflight(request, origin)
        response = await next(request)
        if isinstance(response, Upgrade):
            return response  # a WebSocket: its `origins` decide
        return self._permit(response, origin)

    def _permit(self, response: Response, origin: str | None) -> Response:
        """Add the permission, if there is one, and whether it depends on who asks.

        One for everybody does not, so the request of no page gets it, too: what has no `Vary` is
        one answer for all (Fetch, "CORS protocol and HTTP caches").
        """
        if any(name == b"access-control-allow-origin" for name, _ in response.raw_headers):
            return response
        response = response.copy()
        if not self._origins.everybody:
            response.headers.add_vary("Origin")
            if origin is None or not self._origins.allow(origin):
                return response
        response.headers.raw.extend([self._allow_origin(origin or ""), *self._common])
        return response

    def _allow_origin(self, origin: str) -> tuple[bytes, bytes]:
        """The origin itself unless everybody is allowed: one value that a cache may keep."""
        value = "*" if self._origins.everybody else origin
        return encode_header("access-control-allow-origin", value)

    def _answer_preflight(self, request: Request, origin: str) -> Response:
        """Fetch §4.8: 204 with what is allowed.

        Raises:
            HTTPError: 403, with what is missing.
        """
        method = request.headers["access-control-request-method"]
        asked = request.headers.get("access-control-request-headers", "")
        names = [name.strip() for name in asked.split(",") if name.strip()]
        if not self._origins.allow(origin):
            raise _refuse(f"Pages of the origin {origin} may not read answers from here.")
        if self._methods is not None and method not in self._methods:
            raise _refuse(f"Pages of other origins may not use the method {method}.")
        if self._headers is not None:
            for name in names:
                if name.lower() not in self._headers:
                    raise _refuse(f"Pages of other origins may not send the field {name}.")
        response = Response(None, 204)
        response.headers.add_vary(*_PREFLIGHT_VARY)
        fields = [self._allow_origin(origin), *self._common, self._max_age]
        # Names as they were asked for: `*` would be a plain name with credentials (Fetch §4.8).
        methods = method if self._methods is None else self._allowed_methods
        fields.append(encode_header("access-control-allow-methods", methods))
        allowed = ", ".join(names) if self._headers is None else self._allowed_headers
        if allowed:
            fields.append(encode_header("access-control-allow-headers", allowed))
        response.headers.raw.extend(fields)
        return response


def _refuse(detail: str) -> HTTPError:
    return HTTPError(403, detail, headers={"vary": ", ".join(_PREFLIGHT_VARY)})


def _several(values: str | Iterable[str]) -> tuple[str, ...]:
    return (values,) if isinstance(values, str) else tuple(values)


def _read_origins(origins: tuple[str, ...], *, credentials: bool) -> _Origins:
    """Check them, and sort them by kind.

    Raises:
        ConfigurationError: one that no browser sends, or that must not have credentials.
    """
    if not origins:
        raise ConfigurationError('CORS allows nobody: name origins, or write "*" for everybody')
    exact: set[str] = set()
    suffixes: list[tuple[str, str]] = []
    for origin in origins:
        if origin in ("*", "null"):
            if credentials:
                raise ConfigurationError(
                    f"CORS: {origin!r} with credentials would let any site act in the name of "
                    "whoever visits it: name the origins"
                )
            exact.add(origin)
            continue
        _check_origin(origin)
        scheme, _, host = origin.partition("://")
        if host.startswith("*."):
            suffixes.append((f"{scheme}://", host[1:]))
        else:
            exact.add(origin)
    return _Origins("*" in exact, frozenset(exact), tuple(suffixes))


def _check_origin(origin: str) -> None:
    found = _ORIGIN.fullmatch(origin)
    scheme = origin.partition(":")[0]
    if found is None or found[3] == f":{_DEFAULT_PORTS.get(scheme)}":
        raise ConfigurationError(
            f"CORS: {origin!r} is no origin as browsers write it: a scheme and a host in lower "
            "case, and a port unless it is the usual one, without a path or a slash at the end, "
            "as in https://app.example.com or http://localhost:5173"
        )
