"""RFC 9111, RFC 5861, RFC 8246 and RFC 9211: the rules of a shared cache."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from httpkit.headers import Headers
from httpkit.semantics.cache_control import MAX_DELTA, CacheControl, parse_delta
from httpkit.semantics.cache_status import format_cache_status
from httpkit.semantics.caching import (
    Unstorable,
    Verdict,
    confirms,
    current_age,
    freshness_lifetime,
    head_confirms,
    invalidated_targets,
    judge,
    stored_field_names,
    unstorable,
    vary_names,
    vary_values,
)
from httpkit.semantics.dates import format_http_date

from .conftest import fuzz

NOW = 784_111_777.0


def at(delta):
    return format_http_date(NOW + delta)


def control(text):
    return CacheControl.parse([text])


# --- RFC 9111 §5.2: directives -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "directives"),
    [
        ([], {}),
        ([""], {}),
        (["Max-Age=60, PUBLIC"], {"max-age": "60", "public": None}),
        (["max-age=60", "no-store"], {"max-age": "60", "no-store": None}),
        (['max-age="60"'], {"max-age": "60"}),
        (['private="Set-Cookie, x"'], {"private": "Set-Cookie, x"}),
        (["max-age=1, max-age=2"], {"max-age": "1"}),
        (['no-cache="a", no-cache'], {"no-cache": None}),
        (["no-cache", 'no-cache="a"'], {"no-cache": None}),
        (['private="a"', 'private="b, c"'], {"private": "a, b, c"}),
        (['private="a", private='], {"private": None}),
        (["max-age="], {"max-age": ""}),
        (["max-age=1;2"], {"max-age": ""}),
        (["max-age = 60"], {"max-age": ""}),
        (['x="private no-store", public'], {"x": "private no-store", "public": None}),
        (["immutable, x=y"], {"immutable": None, "x": "y"}),  # RFC 8246; unknown ones are kept
    ],
)
def test_rfc9111_5_2_directives(lines, directives):
    parsed = CacheControl.parse(lines)
    assert parsed.directives == directives
    assert all(name in parsed for name in directives)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("60", 60),
        ("060", 60),
        ("00000000000060", 60),
        ("00000000000000", 0),
        ("0" * 5000 + "1", 1),
        ("2147483648", MAX_DELTA),
        ("9" * 5000, MAX_DELTA),
        ("-1", None),
        ("1.5", None),
        ("", None),
        ("²", None),
    ],
)
def test_rfc9111_1_2_2_delta_seconds(text, seconds):
    assert parse_delta(text) == seconds
    assert control(f"max-age={text}").seconds("max-age") == (seconds or 0)


def test_rfc9111_4_2_1_an_unreadable_lifetime_is_none():
    assert control("max-age").seconds("max-age") == 0
    assert control("max-age=x").seconds("max-age") == 0
    assert control("public").seconds("max-age") is None


def test_rfc9111_5_2_2_4_field_names():
    parsed = control('no-cache="Set-Cookie, X", private')
    assert parsed.field_names("no-cache") == {"set-cookie", "x"}
    assert not parsed.forbids("no-cache")
    assert parsed.forbids("private")
    assert not parsed.forbids("no-store")
    assert control('private=""').forbids("private")  # malformed: the stricter of the two


def test_directives_are_written_as_they_are_read():
    assert str(control("public, max-age=5")) == "public, max-age=5"
    assert str(CacheControl()) == ""


@fuzz
@given(st.lists(st.text(), max_size=3))
def test_no_line_raises(lines):
    parsed = CacheControl.parse(lines)
    for name in ("max-age", "no-cache"):
        assert (parsed.seconds(name) or 0) >= 0
        parsed.field_names(name)


# --- RFC 9111 §3: storing ------------------------------------------------------------------------

FRESH = ("cache-control", "max-age=60")
EXPIRES = ("expires", "Fri, 31 Dec 9999 23:59:59 GMT")
STORABLE = [
    ({}, 200, [FRESH]),
    ({}, 200, [("expires", at(60))]),
    ({}, 200, [("cache-control", "s-maxage=0")]),
    ({}, 200, [("last-modified", at(-100))]),  # §4.2.2
    ({}, 200, [("etag", '"1"')]),
    ({}, 200, [("cache-control", "public")]),
    ({}, 404, [FRESH]),
    ({}, 302, [FRESH]),
    ({}, 503, [FRESH]),
    ({}, 299, [FRESH]),
    ({}, 401, [FRESH]),
    ({}, 599, [FRESH]),
    ({}, 200, [("cache-control", "max-age=60, must-understand")]),
    ({}, 200, [("cache-control", "max-age=60, must-understand, no-store")]),  # §5.2.2.3
    ({}, 200, [FRESH, ("vary", "accept")]),
    ({}, 200, [("cache-control", "max-age=60, no-cache")]),
    ({}, 200, [("cache-control", 'max-age=60, private="x"')]),
    ({"authorization": "Basic x"}, 200, [("cache-control", "public, max-age=60")]),
    ({"authorization": "Basic x"}, 200, [("cache-control", "s-maxage=60")]),
    ({"authorization": "Basic x"}, 200, [("cache-control", "max-age=60, must-revalidate")]),
    ({"cookie": "a=b"}, 200, [FRESH]),  # for Vary to say
    ({}, 200, [("set-cookie", "a=b"), ("cache-control", 'max-age=60, private="set-cookie"')]),
    ({}, 200, [("set-cookie", "a=b"), ("cache-control", 'max-age=60, no-cache="Set-Cookie"')]),
]


@pytest.mark.parametrize(("asked", "status", "fields"), STORABLE)
def test_rfc9111_3_what_may_be_stored(asked, status, fields):
    assert unstorable("GET", Headers.of(asked), status, Headers.of(fields)) is None


@pytest.mark.parametrize(
    ("method", "asked", "status", "fields", "reason"),
    [
        ("POST", {}, 200, [FRESH], Unstorable.METHOD),
        ("HEAD", {}, 200, [FRESH], Unstorable.METHOD),
        ("GET", {}, 206, [FRESH], Unstorable.RANGE),
        ("GET", {}, 200, [FRESH, ("content-range", "bytes 0-1/2")], Unstorable.RANGE),
        ("GET", {}, 304, [FRESH], Unstorable.STATUS),
        ("GET", {}, 206, [("cache-control", "max-age=9, must-understand")], Unstorable.RANGE),
        # §5.2.2.3
        ("GET", {}, 299, [("cache-control", "max-age=9, must-understand")], Unstorable.STATUS),
        (
            "GET",
            {},
            299,
            [("cache-control", "max-age=9, must-understand, no-store")],
            Unstorable.STATUS,
        ),
        # §4.2.1: of several words the strictest counts
        (
            "GET",
            {},
            200,
            [("cache-control", 'max-age=9, private="x", private')],
            Unstorable.PRIVATE,
        ),
        ("GET", {}, 200, [("cache-control", "no-store, max-age=60")], Unstorable.NO_STORE),
        # Without commas these are no directives by the grammar; the stricter reading counts.
        ("GET", {}, 200, [EXPIRES, ("cache-control", "No-Store;")], Unstorable.NO_STORE),
        ("GET", {}, 200, [("cache-control", "max-age=60; private")], Unstorable.PRIVATE),
        ("GET", {}, 200, [("cache-control", "private; max-age=60")], Unstorable.PRIVATE),
        (
            "GET",
            {},
            200,
            [EXPIRES, ("cache-control", 'private="x", private max-age=60')],
            Unstorable.PRIVATE,
        ),
        ("GET", {"cache-control": "no-store"}, 200, [FRESH], Unstorable.NO_STORE),  # §5.2.1.5
        ("GET", {}, 200, [("cache-control", "private, max-age=60")], Unstorable.PRIVATE),
        ("GET", {"authorization": "x"}, 200, [FRESH], Unstorable.AUTHORIZATION),  # §3.5
        ("GET", {}, 200, [FRESH, ("set-cookie", "a=b")], Unstorable.SET_COOKIE),  # §7.3
        ("GET", {}, 200, [FRESH, ("vary", "accept, *")], Unstorable.VARY),  # §4.1
        ("GET", {}, 200, [], Unstorable.NO_LIFETIME),
        ("GET", {}, 500, [("etag", '"1"')], Unstorable.NO_LIFETIME),
        ("GET", {}, 302, [("cache-control", "public")], Unstorable.NO_LIFETIME),
    ],
)
def test_rfc9111_3_what_must_not_be_stored(method, asked, status, fields, reason):
    assert unstorable(method, Headers.of(asked), status, Headers.of(fields)) is reason


def test_configuration_speaks_where_the_answer_says_nothing():
    nothing = Headers()
    assert unstorable("GET", nothing, 200, nothing, default=5) is None
    assert unstorable("GET", nothing, 200, nothing, default=5, heuristic=False) is None
    assert unstorable("GET", nothing, 500, nothing, default=5) is Unstorable.NO_LIFETIME
    assert freshness_lifetime(200, nothing, date=NOW, default=5) == 5
    assert freshness_lifetime(500, nothing, date=NOW, default=5) == 0
    assert freshness_lifetime(200, Headers.of([FRESH]), date=NOW, default=5) == 60


def test_heuristics_can_be_done_without():
    tagged = Headers.of({"etag": '"1"', "last-modified": at(-100)})
    assert unstorable("GET", Headers(), 200, tagged) is None
    assert unstorable("GET", Headers(), 200, tagged, heuristic=False) is Unstorable.NO_LIFETIME


def test_rfc9111_3_1_fields_that_are_not_stored():
    fields = {"connection": "close, X-Hop", "cache-control": 'private="A", no-cache="B, c"'}
    names = stored_field_names(Headers.of(fields))
    assert {"connection", "x-hop", "proxy-authenticate", "a", "b", "c", "age"} <= names
    assert "" not in names
    assert "etag" not in stored_field_names(Headers.of({"cache-control": "private, no-cache"}))


# --- RFC 9111 §4.2: freshness --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ([("cache-control", "max-age=60")], 60),
        ([("cache-control", "max-age=60, s-maxage=10")], 10),
        ([("cache-control", "max-age=60"), ("expires", at(5))], 60),
        ([("expires", at(5))], 5),
        ([("expires", at(5)), ("date", at(-5))], 10),
        ([("expires", at(5)), ("date", "soon")], 5),
        ([("expires", at(-5))], 0),
        ([("expires", "0")], 0),  # §5.3
        ([("expires", at(5)), ("expires", at(6))], 0),
        ([("last-modified", at(-1000))], 100),
        ([("last-modified", at(1000))], 0),
        ([("last-modified", at(-100 * 86_400))], 86_400),
        ([("last-modified", "x")], 0),
        ([], 0),
    ],
)
def test_rfc9111_4_2_1_lifetime(fields, seconds):
    assert freshness_lifetime(200, Headers.of(fields), date=NOW) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("fields", "now", "age"),
    [
        ({}, NOW, 2),  # the time that it took
        ({}, NOW + 10, 12),
        ({"age": "30"}, NOW + 10, 42),
        ({"age": "30, 60"}, NOW, 32),
        ({"age": "x"}, NOW, 2),
        ({"date": at(-50)}, NOW + 10, 60),
        ({"date": at(+50)}, NOW + 10, 12),
        ({"date": at(-50), "age": "30"}, NOW, 50),
        ({}, NOW - 100, 2),  # a clock that was set back
        ({"age": "9" * 30}, NOW + 10, MAX_DELTA),
    ],
)
def test_rfc9111_4_2_3_age(fields, now, age):
    headers = Headers.of(fields)
    assert current_age(headers, requested=NOW - 2, received=NOW, now=now) == age


VERDICTS = [
    # request, response, age (of a lifetime of 60)
    ("", "", 0, Verdict.FRESH),
    ("", "", 59.9, Verdict.FRESH),
    ("", "", 60, Verdict.STALE),
    # §5.2.1.1
    ("max-age=30", "", 29, Verdict.FRESH),
    ("max-age=30", "", 30, Verdict.REVALIDATE),
    ("max-age=0", "", 0, Verdict.REVALIDATE),
    # §5.2.1.2
    ("max-stale", "", 9999, Verdict.FRESH),
    ("max-stale=10", "", 70, Verdict.FRESH),
    ("max-stale=10", "", 71, Verdict.STALE),
    ("max-stale=x", "", 61, Verdict.STALE),
    ("max-stale", "must-revalidate", 61, Verdict.STALE),
    ("max-stale", "proxy-revalidate", 61, Verdict.STALE),
    ("max-stale", "s-maxage=60", 61, Verdict.STALE),
    # §5.2.1.3
    ("min-fresh=10", "", 49, Verdict.FRESH),
    ("min-fresh=10", "", 50, Verdict.STALE),
    ("min-fresh=10", "stale-while-revalidate=99", 50, Verdict.STALE),
    # §5.2.1.4, §5.2.2.4
    ("no-cache", "", 0, Verdict.REVALIDATE),
    ("", "no-cache", 0, Verdict.REVALIDATE),
    ("", 'no-cache="x"', 0, Verdict.FRESH),
    # RFC 5861 §3
    ("", "stale-while-revalidate=30", 89, Verdict.STALE_WHILE_REVALIDATE),
    ("", "stale-while-revalidate=30", 90, Verdict.STALE),
    ("", "s-maxage=60, stale-while-revalidate=30", 61, Verdict.STALE_WHILE_REVALIDATE),
    ("", "must-revalidate, stale-while-revalidate=30", 61, Verdict.STALE),
    # RFC 5861 §4
    ("", "stale-if-error=30", 61, Verdict.STALE_IF_ERROR),
    ("", "stale-if-error=30", 90, Verdict.STALE),
    ("stale-if-error=30", "", 61, Verdict.STALE_IF_ERROR),
    ("", "stale-while-revalidate=5, stale-if-error=30", 61, Verdict.STALE_WHILE_REVALIDATE),
    ("", "stale-while-revalidate=5, stale-if-error=30", 66, Verdict.STALE_IF_ERROR),
    ("", "proxy-revalidate, stale-if-error=30", 61, Verdict.STALE),
    # RFC 8246: only clients take notice
    ("no-cache", "immutable", 0, Verdict.REVALIDATE),
]


@pytest.mark.parametrize(("request_text", "response_text", "age", "verdict"), VERDICTS)
def test_rfc9111_4_2_4_and_rfc5861_what_it_is_good_for(request_text, response_text, age, verdict):
    asked, said = control(request_text), control(response_text)
    assert judge(asked, said, age=age, lifetime=60) is verdict


# --- RFC 9111 §4.1: Vary -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ([], ()),
        ([("vary", "Accept, accept-language"), ("vary", "accept")], ("accept", "accept-language")),
        ([("vary", ", ,")], ()),
        ([("vary", "accept"), ("vary", "*")], None),
        ([("vary", "accept cookie")], None),  # a comma is missing: nobody sends such a field
        ([("vary", "accept, cookie;")], None),
    ],
)
def test_rfc9111_4_1_names(fields, names):
    assert vary_names(Headers.of(fields)) == names


@pytest.mark.parametrize(
    ("name", "one", "two", "equal"),
    [
        ("accept-encoding", "gzip, br", "br,gzip;q=1.0", True),
        ("accept-encoding", "gzip, br", "gzip, br;q=0.5", False),
        ("accept", "text/html;level=1", "text/html", False),
        ("accept-encoding", "gzip;q=0, br", "br ; Q=1,gzip;q=0.000", True),
        ("accept", "text/html,*/*;q=0.1", "Text/HTML, */*;q=0.10", True),
        ("accept-language", "de", "DE", True),
        ("accept-language", "en, de", "de,en;q=1", True),
        # One reader passes over what decides for another one.
        ("accept", "*/*", "*/*, application/json;v", False),
        ("accept", "*/*", "*/*;q=1;x=json", False),
        ("accept", "*/*;q=x", "text/html;q=y", False),
        ("accept", 'a/b;x="1 ; 2"', 'a/b;x="1;2"', False),
        ("accept", "a/b;x=A", "a/b;x=a", False),  # RFC 9110 §8.3.1
        ("accept", "a/b", "a/b;1.0", False),
        ("accept-encoding", "x," * 64 + "br", "x," * 64 + "gzip", False),
        ("x-thing", "a  b", "a b", False),  # spaces may be a part of the value
        ("x-thing", "a\xa0b", "a b", False),
        ("x-thing", "1,2", "1, 2", False),
        ("x-thing", "A", "a", False),
        ("x-thing", "", None, False),
    ],
)
def test_rfc9111_4_1_values(name, one, two, equal):
    values = [
        vary_values((name,), Headers.of({} if text is None else {name: text}))
        for text in (one, two)
    ]
    assert (values[0] == values[1]) is equal


# --- RFC 9111 §4.3: validation -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "stored", "same"),
    [
        ({"etag": '"a"'}, {"etag": '"a"'}, True),
        ({"etag": '"a"'}, {"etag": '"b"'}, False),
        ({"etag": '"a"'}, {"etag": 'W/"a"'}, False),  # a strong one is not in what is stored
        ({"etag": 'W/"a"'}, {"etag": 'W/"a"'}, True),
        ({"etag": 'W/"a"'}, {"etag": '"a"'}, True),
        ({"etag": 'W/"a"'}, {"etag": 'W/"b"'}, False),
        ({"etag": '"a"'}, {"last-modified": at(0)}, False),
        ({"etag": "a"}, {"etag": "a"}, True),
        ({"etag": "a"}, {"etag": '"a"'}, False),
        ({"last-modified": at(0)}, {"last-modified": at(0)}, True),
        ({"last-modified": at(1)}, {"last-modified": at(0)}, False),
        ({"last-modified": at(1)}, {"etag": '"a"'}, True),
        ({}, {"etag": '"a"'}, True),
    ],
)
def test_rfc9111_4_3_4_what_a_304_confirms(answer, stored, same):
    assert confirms(Headers.of(answer), Headers.of(stored)) is same


@pytest.mark.parametrize(
    ("answer", "same"),
    [
        ({"etag": '"a"'}, True),
        ({"etag": '"b"'}, False),
        ({"last-modified": at(0)}, True),
        ({"last-modified": at(1)}, False),
        ({"etag": '"a"', "content-length": "4"}, True),
        ({"etag": '"a"', "content-length": "5"}, False),
        ({"content-length": "5"}, False),
        ({"content-length": "4"}, None),
        ({}, None),
    ],
)
def test_rfc9111_4_3_5_what_a_head_says(answer, same):
    stored = Headers.of({"etag": '"a"', "last-modified": at(0)})
    assert head_confirms(Headers.of(answer), stored, 4) is same


# --- RFC 9111 §4.4: invalidation -----------------------------------------------------------------

URL = "http://example.com/notes?page=1"


@pytest.mark.parametrize(
    ("method", "status", "fields", "targets"),
    [
        ("POST", 200, {}, [URL]),
        ("PUT", 204, {}, [URL]),
        ("DELETE", 303, {}, [URL]),
        ("FOO", 200, {}, [URL]),  # what is not known may be unsafe
        ("POST", 400, {}, []),
        ("POST", 500, {}, []),
        ("GET", 200, {}, []),
        ("HEAD", 200, {}, []),
        ("OPTIONS", 200, {}, []),
        ("POST", 201, {"location": "/notes/3"}, [URL, "http://example.com/notes/3"]),
        ("POST", 201, {"location": "3"}, [URL, "http://example.com/3"]),
        ("POST", 201, {"location": "http://other.example/notes"}, [URL]),
        ("POST", 201, {"location": "https://example.com/notes"}, [URL]),
        (
            "POST",
            201,
            {"location": "http://EXAMPLE.com:80/a"},
            [URL, "http://EXAMPLE.com:80/a"],
        ),
        ("POST", 201, {"location": "http://example.com:8080/a"}, [URL]),
        ("POST", 201, {"location": "http://["}, [URL]),
        # RFC 3986 §6.2.3: an empty query is not the same as none.
        ("POST", 201, {"location": "/a?"}, [URL, "http://example.com/a?"]),
        ("POST", 201, {"location": "/a?#b"}, [URL, "http://example.com/a?"]),
        ("POST", 201, {"location": "/a#b?"}, [URL, "http://example.com/a#b?"]),
        ("POST", 201, {"location": "?"}, [URL, "http://example.com/notes?"]),
        ("PUT", 200, {"content-location": URL}, [URL]),
        (
            "POST",
            201,
            {"location": "/a", "content-location": "/b"},
            [URL, "http://example.com/a", "http://example.com/b"],
        ),
    ],
)
def test_rfc9111_4_4_what_is_invalid_then(method, status, fields, targets):
    assert invalidated_targets(method, status, URL, Headers.of(fields)) == targets


# --- RFC 9211 ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"hit": True}, "c; hit"),
        ({"hit": True, "ttl": -4}, "c; hit; ttl=-4"),
        ({"fwd": "uri-miss", "stored": True}, "c; fwd=uri-miss; stored"),
        (
            {"fwd": "stale", "fwd_status": 304, "collapsed": True, "detail": "x"},
            "c; fwd=stale; fwd-status=304; collapsed; detail=x",
        ),
    ],
)
def test_rfc9211_2_members(options, text):
    assert format_cache_status("c", **options) == text
