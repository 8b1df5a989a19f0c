"""The cookies that a client keeps (RFC 6265bis §5)."""

from collections.abc import Sequence

import pytest

from httpkit.headers import Headers
from httpkit.testing import Client, Cookies
from httpkit.testing.cookies import parse_cookie_date
from httpkit.testing.messages import resolve_url
from httpkit.urls import URL


def url(text: str) -> URL:
    return resolve_url(text, text)


def store(jar: Cookies, at: str, *lines: str) -> None:
    jar.store(url(at), Headers([(b"set-cookie", line.encode()) for line in lines]))


def sent(lines: str | Sequence[str], at: str, to: str) -> str | None:
    """What a request to `to` carries after `at` has set cookies."""
    jar = Cookies()
    store(jar, at, *([lines] if isinstance(lines, str) else lines))
    return jar.header(url(to))


HERE = "http://example.com/"
SECURE = "https://example.com/"


@pytest.mark.parametrize(
    ("line", "at", "to", "expected"),
    [
        # §5.1.3 and §5.7: a cookie without a domain belongs to its host alone
        ("a=1", HERE, HERE, "a=1"),
        ("a=1", HERE, "http://sub.example.com/", None),
        ("a=1", HERE, "http://EXAMPLE.com:8080/", "a=1"),
        ("a=1; Domain=example.com", HERE, "http://sub.example.com/", "a=1"),
        ("a=1; Domain=.Example.com", "http://www.example.com/", "http://x.y.example.com/", "a=1"),
        ("a=1; Domain=example.com", HERE, "http://badexample.com/", None),
        ("a=1; Domain=sub.example.com", HERE, "http://sub.example.com/", None),
        ("a=1; Domain=other.com", HERE, "http://other.com/", None),
        ("a=1; Domain=", HERE, "http://sub.example.com/", None),
        # a public suffix, and a host that is one
        ("a=1; Domain=com", HERE, "http://other.com/", None),
        ("a=1; Domain=testserver", "http://testserver/", "http://testserver/", "a=1"),
        ("a=1; Domain=testserver", "http://testserver/", "http://x.testserver/", None),
        # addresses have no subdomains
        ("a=1; Domain=0.0.1", "http://127.0.0.1/", "http://127.0.0.1/", None),
        ("a=1; Domain=127.0.0.1", "http://127.0.0.1/", "http://127.0.0.1:81/", "a=1"),
        ("a=1", "http://[::1]:80/", "http://[::1]:81/", "a=1"),
        # §5.1.4
        ("a=1; Path=/x", HERE, f"{HERE}x", "a=1"),
        ("a=1; Path=/x", HERE, f"{HERE}x/y", "a=1"),
        ("a=1; Path=/x/", HERE, f"{HERE}x/y", "a=1"),
        ("a=1; Path=/x", HERE, f"{HERE}xy", None),
        ("a=1; Path=/x", HERE, HERE, None),
        ("a=1", f"{HERE}x/y", f"{HERE}x/z", "a=1"),
        ("a=1", f"{HERE}x/y", f"{HERE}z", None),
        ("a=1; Path=x", f"{HERE}y/z", f"{HERE}y/", "a=1"),
        ("a=1; Path=/x; Path=/y", HERE, f"{HERE}y", "a=1"),
        # §5.7, step 15: only https sets secure cookies
        ("a=1; Secure", SECURE, SECURE, "a=1"),
        ("a=1; Secure", SECURE, HERE, None),
        ("a=1; secure=no", HERE, SECURE, None),
        # §4.1.3, prefixes in any case
        ("__Secure-a=1; Secure", SECURE, SECURE, "__Secure-a=1"),
        ("__secure-a=1", SECURE, SECURE, None),
        ("__Host-a=1; Secure; Path=/", SECURE, SECURE, "__Host-a=1"),
        ("__Host-a=1; Secure; Path=/x", SECURE, f"{SECURE}x", None),
        ("__Host-a=1; Secure", SECURE, SECURE, None),
        ("__Host-a=1; Secure; Path=/; Domain=example.com", SECURE, SECURE, None),
        ("__Host-a=1; Path=/", SECURE, SECURE, None),
        ("=__Secure-a=1; Secure", SECURE, SECURE, None),
        # §5.6, the grammar
        ('a="b c"', HERE, HERE, 'a="b c"'),
        (" a = 1 ;x", HERE, HERE, "a=1"),
        ("a=b=c", HERE, HERE, "a=b=c"),
        ("nameless", HERE, HERE, "nameless"),
        ("=nameless", HERE, HERE, "nameless"),
        ("a=", HERE, HERE, "a="),
        ("", HERE, HERE, None),
        ("=", HERE, HERE, None),
        ("a=1\x01", HERE, HERE, None),
        ("a=" + "1" * 4095, HERE, HERE, "a=" + "1" * 4095),
        ("a=" + "1" * 4096, HERE, HERE, None),
        ("a=1; Path=/" + "x" * 1024, HERE, HERE, "a=1"),
        ("a=1; Max-Age=1x", HERE, HERE, "a=1"),
        ("a=1; Expires=never", HERE, HERE, "a=1"),
        ("a=1; Max-Age=-1", HERE, HERE, None),
        (f"a=1; Max-Age={'9' * 400}", HERE, HERE, "a=1"),  # §5.5
        (f"a=1; Max-Age=-{'9' * 400}", HERE, HERE, None),
        ("a=1; Max-Age=9; Expires=Thu, 01 Jan 1970 00:00:00 GMT", HERE, HERE, "a=1"),
        ("a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT", HERE, HERE, None),
    ],
)
def test_what_is_sent_where(line: str, at: str, to: str, expected: str | None) -> None:
    assert sent(line, at, to) == expected


def test_the_order() -> None:
    """§5.8.3: longer paths first, then older cookies; overwriting does not make one younger."""
    lines = ["a=1", "b=2", "c=3; Path=/x", "a=4", "d=5; Path=/x"]
    assert sent(lines, HERE, f"{HERE}x") == "c=3; d=5; a=4; b=2"


def test_the_same_name_at_several_places() -> None:
    """§5.7, step 22: name, domain, host-only flag and path make the identity."""
    lines = ["a=1", "a=2; Domain=example.com", "a=3; Path=/x"]
    assert sent(lines, HERE, f"{HERE}x") == "a=3; a=1; a=2"


def test_http_does_not_touch_the_cookies_of_https() -> None:
    """§5.7, step 16."""
    jar = Cookies()
    store(jar, SECURE, "a=1; Secure; Domain=example.com", "b=1; Secure; Path=/x")
    store(jar, HERE, "a=2", "b=2")
    store(jar, "http://sub.example.com/", "a=3")
    assert jar.header(url(f"{SECURE}x")) == "b=1; a=1; b=2"
    assert jar.header(url("https://sub.example.com/")) == "a=1"
    store(jar, SECURE, "a=4; Domain=example.com")
    assert jar.header(url(HERE)) == "a=4; b=2"


def test_cookies_end_with_their_time() -> None:
    now = 1_000_000_000.0
    jar = Cookies(clock=lambda: now)
    store(jar, HERE, "a=1; Max-Age=10", "b=2; Expires=Sun, 09 Sep 2001 01:47:00 GMT", "c=3")
    assert jar.header(url(HERE)) == "a=1; b=2; c=3"
    now += 10
    assert jar == {"b": "2", "c": "3"}
    now += 10
    assert jar.header(url(HERE)) == "c=3"
    assert "b" not in jar
    store(jar, HERE, "c=; Max-Age=0")
    assert dict(jar) == {}
    assert len(jar) == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 784_111_777),
        ("Sun Nov  6 08:49:37 1994", 784_111_777),
        ("1994 6 november 8:49:37", 784_111_777),
        ("06 Nov 69 00:00:00", 3_150_921_600),
        ("06 Nov 1994", None),
        ("08:49:37 1994", None),
        ("31 Feb 1994 08:49:37", None),
        ("06 Nov 1600 08:49:37", None),
        ("06 Nov 1994 24:00:00", None),
        ("", None),
    ],
)
def test_dates(text: str, expected: float | None) -> None:
    """§5.1.1."""
    assert parse_cookie_date(text) == expected


# --- as a mapping --------------------------------------------------------------------------------


def test_cookies_that_a_test_sets_go_everywhere_until_an_answer_sets_them() -> None:
    jar = Cookies({"a": "1", "b": "2"})
    assert jar.header(url("http://other/x")) == "a=1; b=2"
    store(jar, HERE, "a=3")
    assert jar.header(url(HERE)) == "b=2; a=3"
    assert jar.header(url("http://other/")) == "b=2"
    jar["a"] = "4"
    assert jar.header(url("http://other/")) == "b=2; a=4"
    store(jar, HERE, "a=; Max-Age=0")
    assert jar == {"b": "2"}


def test_a_mapping_of_cookies() -> None:
    cookies = Cookies({"a": "1", "b": "2"})
    assert dict(cookies) == {"a": "1", "b": "2"}
    assert len(cookies) == 2
    assert repr(cookies) == "Cookies({'a': '1', 'b': '2'})"
    del cookies["a"]
    with pytest.raises(KeyError):
        cookies["a"]
    with pytest.raises(KeyError):
        del cookies["a"]


def test_the_clock_of_a_client(client: Client) -> None:
    now = 0.0
    client.cookies.clock = lambda: now
    client.get("/login")
    assert client.cookies == {"session": "s1", "deep": "1"}
