"""The cookies a client keeps, by the rules of the standard library's cookie jar."""

from collections.abc import Iterator, Mapping, MutableMapping
from email.message import Message
from http.client import HTTPResponse
from http.cookiejar import Cookie, CookieJar
from typing import cast
from urllib.request import Request as URLRequest

from httpkit.headers import Headers
from httpkit.urls import URL

__all__ = ["Cookies"]


class Cookies(MutableMapping[str, str]):
    """Cookies by name; domain, path, expiry and `Secure` are minded when they are sent.

    Setting one here makes a cookie that is sent with every request.
    """

    def __init__(self, cookies: Mapping[str, str] | None = None) -> None:
        self._jar = CookieJar()
        for name, value in (cookies or {}).items():
            self[name] = value

    def store(self, url: URL, headers: Headers) -> None:
        """Keep the cookies of an answer."""
        message = Message()
        for line in headers.getlist("set-cookie"):
            message["Set-Cookie"] = line
        # What the jar calls a response is anything with info().
        response = cast("HTTPResponse", _Response(message))
        self._jar.extract_cookies(response, URLRequest(str(url)))  # noqa: S310 - opens nothing

    def header(self, url: URL) -> str | None:
        """The value of `Cookie` for a request, or `None`."""
        request = URLRequest(str(url))  # noqa: S310 - opens nothing
        self._jar.add_cookie_header(request)
        return request.get_header("Cookie")

    def __getitem__(self, name: str) -> str:
        for cookie in self._jar:
            if cookie.name == name:
                return cookie.value or ""
        raise KeyError(name)

    def __setitem__(self, name: str, value: str) -> None:
        self._jar.set_cookie(
            Cookie(
                version=0,
                name=name,
                value=value,
                port=None,
                port_specified=False,
                domain="",
                domain_specified=False,
                domain_initial_dot=False,
                path="/",
                path_specified=True,
                secure=False,
                expires=None,
                discard=True,
                comment=None,
                comment_url=None,
                rest={},
            )
        )

    def __delitem__(self, name: str) -> None:
        found = [cookie for cookie in self._jar if cookie.name == name]
        if not found:
            raise KeyError(name)
        for cookie in found:
            self._jar.clear(cookie.domain, cookie.path, cookie.name)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(cookie.name for cookie in self._jar))

    def __len__(self) -> int:
        return len({cookie.name for cookie in self._jar})

    def __repr__(self) -> str:
        return f"Cookies({dict(self)!r})"


class _Response:
    def __init__(self, message: Message) -> None:
        self._message = message

    def info(self) -> Message:
        return self._message
