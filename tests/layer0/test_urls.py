"""Targets, paths, queries and URLs (RFC 3986, RFC 9112 §3.2)."""

from urllib.parse import parse_qsl, quote, unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from httpkit.urls import (
    URL,
    MultiMapping,
    Query,
    decode_path,
    has_empty_query,
    origin_of,
    parse_urlencoded,
    quote_path,
    split_target,
    to_origin_form,
    unquote,
)

from .conftest import fuzz

# --- RFC 9112 §3.2: targets ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        (b"/", b"/", b""),
        (b"/a?b=c", b"/a", b"b=c"),
        (b"/a?b?c", b"/a", b"b?c"),
        (b"/?", b"/", b""),
        (b"//a/b", b"//a/b", b""),
        (b"/a?http://x/", b"/a", b"http://x/"),
        (b"http://h/a?b", b"/a", b"b"),  # §3.2.2
        (b"http://h", b"/", b""),
        (b"http://h?q", b"/", b"q"),
        (b"http://h?q=/a", b"/", b"q=/a"),
        (b"http://h:80/", b"/", b""),
        (b"HTTP://h//a", b"//a", b""),
        (b"*", b"*", b""),  # §3.2.4
        (b"@evil.example", b"/", b""),  # CVE-2026-54282: never the start of an authority
        (b"", b"/", b""),
    ],
)
def test_rfc9112_3_2_the_forms_of_a_target(target, path, query):
    assert split_target(target) == (path, query)


@pytest.mark.parametrize(
    ("target", "origin_form"),
    [
        (b"http://h/a", b"/a"),
        (b"http://h/a?", b"/a?"),  # RFC 3986 §6.2.3
        (b"http://h?", b"/?"),
        (b"http://h", b"/"),
        (b"HTTP://h:80//a?b?", b"//a?b?"),
    ],
)
def test_rfc9112_3_2_2_an_absolute_form_without_its_origin(target, origin_form):
    assert to_origin_form(target) == origin_form


@pytest.mark.parametrize(
    ("reference", "empty"),
    [
        ("/a?", True),
        ("http://h?", True),
        ("?#a", True),
        ("/a", False),
        ("/a?b", False),
        ("/a??", False),
        ("/a#?", False),
        ("", False),
    ],
)
def test_rfc3986_6_2_3_an_empty_query_is_not_none(reference, empty):
    assert has_empty_query(reference) is empty


@fuzz
@given(st.binary())
def test_a_path_begins_with_a_slash_or_is_an_asterisk(target):
    path, _ = split_target(target)
    assert path[:1] == b"/" or path == b"*"


# --- RFC 3986: paths -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "segments"),
    [
        (b"/", [""]),
        (b"/a", ["a"]),
        (b"/a/", ["a", ""]),
        (b"/a/b%20c/", ["a", "b c", ""]),
        (b"//", ["", ""]),
        (b"//a", ["", "a"]),
        (b"/a//b", ["a", "", "b"]),
        (b"/a+b", ["a+b"]),
        (b"/%C3%A9", ["é"]),
        ("/é".encode(), ["é"]),
        (b"/a%2Fb", ["a/b"]),  # decoded after the split: still one segment
        (b"/a%5Cb", ["a\\b"]),
        (b"/%252e%252e/a", ["%2e%2e", "a"]),  # decoded once
        (b"/...", ["..."]),
        (b"/..a/b..", ["..a", "b.."]),
        (b"/.hidden", [".hidden"]),
        (b"/a%0D%0Ab", ["a\r\nb"]),
        # §5.2.4: dot segments, in any spelling
        (b"/.", [""]),
        (b"/./", [""]),
        (b"/a/.", ["a", ""]),
        (b"/a/./b", ["a", "b"]),
        (b"/a/..", [""]),
        (b"/a/../", [""]),
        (b"/a/../b", ["b"]),
        (b"/a/b/../../c", ["c"]),
        (b"/a//../b", ["a", "b"]),
        (b"/a/%2e%2E/b", ["b"]),
        (b"/a/.%2e/b", ["b"]),
        (b"/a/%2e/b", ["a", "b"]),
    ],
)
def test_rfc3986_5_2_4_decoding(raw, segments):
    assert decode_path(raw) == segments


@pytest.mark.parametrize(
    "raw",
    [
        # out of the root
        b"/..",
        b"/../a",
        b"/a/../../b",
        b"/%2e%2e/a",
        b"/a/..%2f..",
        b"/..%2fetc/passwd",
        b"/..%5c..%5cwindows",
        b"/a%2f../b",
        b"/a%2f.%2fb",
        b"/..\\a",
        # NUL
        b"/a%00",
        b"/a\0b",
        b"/%00/..",
        # not UTF-8, overlong forms and surrogates among it
        b"/%ff",
        b"/\xff",
        b"/%c0%ae%c0%ae/",
        b"/%c0%af",
        b"/%ed%a0%80",
        b"/%C3",
        # no triplets
        b"/%",
        b"/100%",
        b"/%zz",
        b"/%u002e",
        b"/%4",
        b"/a%2/b",
    ],
)
def test_a_path_that_names_nothing_here(raw):
    assert decode_path(raw) is None


@fuzz
@given(st.binary().map(lambda tail: b"/" + tail))
def test_no_path_raises_and_no_dot_segment_survives(raw):
    segments = decode_path(raw)
    if segments is not None:
        assert segments
        for segment in segments:
            assert "\0" not in segment
            pieces = segment.replace("\\", "/").split("/")
            assert len(pieces) == 1 or not {".", ".."} & set(pieces)
            assert segment not in (".", "..")


@fuzz
@given(
    st.lists(
        st.one_of(
            st.sampled_from([b"/", b".", b"a", b"\\", b"\0", b"\xc3\xa9"]),
            st.binary().filter(lambda b: b"%" not in b),
        )
    ).map(lambda pieces: b"/" + b"".join(pieces))
)
def test_rfc3986_6_2_2_2_a_path_and_its_encoded_spelling_are_the_same(raw):
    encoded = b"/".join(b"".join(b"%%%02x" % byte for byte in part) for part in raw.split(b"/"))
    assert decode_path(encoded) == decode_path(raw)


@fuzz
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0./\\")), min_size=1))
def test_paths_round_trip(segments):
    raw = "/" + "/".join(quote(segment, safe="") for segment in segments)
    assert decode_path(raw.encode()) == segments


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "raw", [b"/a" * 100_000 + b"/.." * 100_000, b"/" * 200_000, b"/%41" * 100_000]
)
def test_long_paths_take_linear_time(raw):
    assert decode_path(raw) is not None


@pytest.mark.parametrize(
    ("path", "quoted"),
    [
        ("/a b/é", "/a%20b/%C3%A9"),
        ("/a?b#c%", "/a%3Fb%23c%25"),
        ("/!$&'()*+,;=:@-._~", "/!$&'()*+,;=:@-._~"),
        ("/\r\n\\", "/%0D%0A%5C"),
    ],
)
def test_rfc3986_3_3_quoting(path, quoted):
    assert quote_path(path) == quoted


@fuzz
@given(st.text(st.characters(codec="utf-8", exclude_characters="\0.\\")).map(lambda t: "/" + t))
def test_a_quoted_path_decodes_to_itself(path):
    assert "/" + "/".join(decode_path(quote_path(path).encode())) == path


ESCAPED = st.lists(
    st.one_of(
        st.sampled_from([b"%", b"=", b"%41", b"%3d", b"%0D%0A", b"\r\n", b" \n"]), st.binary()
    )
).map(b"".join)


@fuzz
@given(ESCAPED)
def test_rfc3986_2_1_triplets_are_decoded_as_urllib_does(data):
    assert unquote(data) == unquote_to_bytes(data)


@fuzz
@given(st.lists(st.one_of(st.sampled_from([b"&", b"=", b"+", b";"]), ESCAPED)).map(b"".join))
def test_urlencoded_pairs_are_those_of_urllib(data):
    text = data.decode("utf-8", "replace")
    expected = parse_qsl(text, keep_blank_values=True) if data else []
    assert parse_urlencoded(text.encode()) == expected


def test_urlencoded_text_may_be_demanded_to_be_utf_8():
    assert parse_urlencoded(b"a=%FF") == [("a", "\ufffd")]
    with pytest.raises(UnicodeDecodeError):
        parse_urlencoded(b"a=%FF", "strict")


@pytest.mark.timeout(20)
@pytest.mark.parametrize("data", [b"%41", b"%", b"=", b"%4", b"&", b"+", b"a=%41&"])
def test_long_forms_take_linear_time(data):
    parse_urlencoded(data * 100_000)


# --- queries -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "pairs"),
    [
        (b"", []),
        (b"a=1&b=2&a=3", [("a", "1"), ("b", "2"), ("a", "3")]),
        (b"a=&b&=c", [("a", ""), ("b", ""), ("", "c")]),
        (b"&&a=1&&", [("a", "1")]),
        (b"a=b=c", [("a", "b=c")]),
        (b"a=1;b=2", [("a", "1;b=2")]),  # CVE-2021-23336: only & separates
        (b"a=x+y%20z%2B", [("a", "x y z+")]),
        (b"%C3%A9=%C3%A9", [("é", "é")]),
        ("é=é".encode(), [("é", "é")]),
        (b"a=%FF", [("a", "\ufffd")]),
        (b"a=\xff", [("a", "\ufffd")]),
        (b"a=%zz%", [("a", "%zz%")]),
    ],
)
def test_query_parsing(raw, pairs):
    assert Query.parse(raw).pairs == pairs


def test_the_number_of_query_fields_is_bounded():
    assert len(Query.parse(b"&".join([b"a=1"] * 1000)).pairs) == 1000
    with pytest.raises(ValueError):
        Query.parse(b"&".join([b"a=1"] * 1001))
    with pytest.raises(ValueError):
        Query.parse(b"&" * 1000)
    with pytest.raises(ValueError):
        Query.parse(b"a&b", max_fields=1)


@fuzz
@given(st.binary(max_size=200))
def test_no_query_raises(raw):
    Query.parse(raw)


def test_a_query_is_a_mapping_to_the_last_value():
    query = Query([("a", "1"), ("b", "2"), ("a", "3")])
    assert query["a"] == "3"
    assert query.getlist("a") == ["1", "3"]
    assert query.getlist("x") == []
    assert query.get("x") is None
    assert dict(query) == {"a": "3", "b": "2"}
    assert len(query) == 2
    assert "b" in query
    assert repr(query) == "Query([('a', '1'), ('b', '2'), ('a', '3')])"
    with pytest.raises(KeyError):
        query["x"]


def test_a_multi_mapping_takes_any_value():
    assert MultiMapping([("a", 1), ("a", 2)]).getlist("a") == [1, 2]
    assert repr(MultiMapping([("a", 1)])) == "MultiMapping([('a', 1)])"


# --- RFC 3986 §3.2: URLs -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scheme", "authority", "host", "port"),
    [
        ("http", "example.org", "example.org", 80),
        ("https", "example.org", "example.org", 443),
        ("http", "Example.ORG:8080", "example.org", 8080),
        ("http", "example.org:", "example.org", 80),
        ("https", "[::1]", "::1", 443),
        ("https", "[::1]:8443", "::1", 8443),
        ("https", "[2001:DB8::1]:", "2001:db8::1", 443),
        ("http", "192.0.2.1:81", "192.0.2.1", 81),
        ("http", "", "", 80),
        # what the head guard refuses must not break a log line either
        ("http", "a:\xb2", "a", 80),
        ("http", "a:" + "9" * 5000, "a", 80),
        ("http", "a:x", "a", 80),
        ("http", "[::1", "::1", 80),
        ("http", ":80", "", 80),
    ],
)
def test_rfc3986_3_2_host_and_port(scheme, authority, host, port):
    url = URL(scheme, authority, "/")
    assert (url.host, url.port) == (host, port)


@fuzz
@given(st.text())
def test_no_authority_raises(authority):
    url = URL("http", authority, "/")
    assert url.host == url.host.lower()
    assert 0 <= url.port <= 99_999


def test_a_url_is_its_text():
    url = URL("https", "example.org", "/a%20b", "c=d")
    assert str(url) == "https://example.org/a%20b?c=d"
    assert str(URL("https", "example.org", "/")) == "https://example.org/"
    assert repr(url) == "URL('https://example.org/a%20b?c=d')"
    assert url == URL("https", "example.org", "/a%20b", "c=d")
    assert url == "https://example.org/a%20b?c=d"
    assert url != "https://example.org/"
    assert url != 5
    assert len({url, URL("https", "example.org", "/a%20b", "c=d")}) == 1


def test_rfc3986_6_2_3_an_empty_query_is_another_one_than_none():
    url = URL("https", "example.org", "/a", empty_query=True)
    assert (str(url), url.query) == ("https://example.org/a?", "")
    assert url != URL("https", "example.org", "/a")
    assert str(url.include_query(b=1)) == "https://example.org/a?b=1"


def test_include_query_adds_and_replaces():
    url = URL("http", "h", "/", "a=1&b=2&a=3")
    assert url.include_query(a="x y", c=4).query == "b=2&a=x+y&c=4"
    assert url.query == "a=1&b=2&a=3"
    assert str(URL("http", "h", "/p").include_query(é="&")) == "http://h/p?%C3%A9=%26"


@pytest.mark.parametrize(
    ("scheme", "authority", "origin"),
    [
        ("http", "Example.COM", "http://example.com"),
        ("http", "example.com:80", "http://example.com"),
        ("http", "example.com:443", "http://example.com:443"),
        ("https", "example.com:443", "https://example.com"),
        ("https", "example.com:80", "https://example.com:80"),
        ("http", "example.com:", "http://example.com"),
        ("http", "example.com:8080", "http://example.com:8080"),
        ("http", "[::1]:80", "http://[::1]"),
        ("http", "[::80]", "http://[::80]"),
    ],
)
def test_rfc9110_4_2_3_one_spelling_of_an_origin(scheme, authority, origin):
    assert origin_of(scheme, authority) == origin
