"""Cookies (RFC 6265bis)."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from httpkit.cookies import parse_cookies, serialize_cookie
from httpkit.errors import InvalidHeader

from .conftest import fuzz


@pytest.mark.parametrize(
    ("lines", "cookies"),
    [
        ([], {}),
        ([""], {}),
        (["a=1"], {"a": "1"}),
        (["a=1; b=2"], {"a": "1", "b": "2"}),
        (["a=1;b=2"], {"a": "1", "b": "2"}),
        (["a=1", "b=2"], {"a": "1", "b": "2"}),  # RFC 9113 §8.2.3
        (["a=1; a=2", "a=3"], {"a": "1"}),  # §5.8.3: the longest path comes first
        (["A=1; a=2"], {"A": "1", "a": "2"}),
        (["a=b=c=="], {"a": "b=c=="}),
        (["a="], {"a": ""}),
        (["a; b=2; ;"], {"b": "2"}),
        (["=1; b=2"], {"b": "2"}),
        (["=__Host-a=1"], {}),  # a nameless cookie must not pass for a prefixed one
        ([' a \t= "1" '], {"a": "1"}),
        (['a="1; b=2'], {"a": '"1', "b": "2"}),
        (['a="'], {"a": '"'}),
        (['a=""'], {"a": ""}),
        (["a=%20"], {"a": "%20"}),
        (["\xa0a=1"], {"\xa0a": "1"}),  # only space and tab are whitespace
        (["a={\"x\": 1, 'y'}"], {"a": "{\"x\": 1, 'y'}"}),
    ],
)
def test_rfc6265bis_4_2_reading(lines, cookies):
    assert parse_cookies(lines) == cookies


@fuzz
@given(st.lists(st.text()))
def test_no_cookie_field_raises(lines):
    for name in parse_cookies(lines):
        assert name
        assert ";" not in name


NAMES = st.from_regex(r"[a-z0-9!#$%&'*+.^_`|~-]{1,12}", fullmatch=True)
VALUES = st.from_regex(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]{0,20}", fullmatch=True)


@fuzz
@given(NAMES, VALUES)
def test_round_trip(name, value):
    pair = serialize_cookie(name, value).partition(";")[0]
    assert parse_cookies([pair]) == {name: value}


@fuzz
@given(st.text(), st.text(), st.text(), st.text())
def test_a_cookie_is_one_safe_line_or_refused(name, value, path, domain):
    try:
        line = serialize_cookie(name, value, path=path, domain=domain)
    except InvalidHeader:
        return
    assert line.isascii()
    assert line.isprintable()
    assert line.count(";") == 4


def test_the_defaults_are_safe():
    assert serialize_cookie("a", "1") == "a=1; Path=/; HttpOnly; SameSite=Lax"


def test_rfc6265bis_4_1_1_every_attribute():
    line = serialize_cookie(
        "a",
        "1",
        max_age=60,
        expires=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        path="/x",
        domain="example.org",
        secure=True,
        httponly=True,
        samesite="none",
        partitioned=True,
    )
    assert line == (
        "a=1; Path=/x; Domain=example.org; Max-Age=60; Expires=Fri, 02 Jan 2026 03:04:05 GMT; "
        "Secure; HttpOnly; SameSite=None; Partitioned"
    )


def test_no_attribute_at_all():
    assert serialize_cookie("a", path=None, httponly=False, samesite=None) == "a="


@pytest.mark.parametrize(
    "expires",
    [
        datetime(2026, 1, 2, 3, 4, 5),  # noqa: DTZ001  # a naive one is the point
        datetime(2026, 1, 2, 4, 4, 5, tzinfo=timezone(timedelta(hours=1))),
    ],
)
def test_times_are_gmt_and_naive_ones_are_taken_for_it(expires):
    assert "Expires=Fri, 02 Jan 2026 03:04:05 GMT" in serialize_cookie("a", expires=expires)


@pytest.mark.parametrize("name", ["", "a b", "a=b", "a;b", "a\r\nb", "é", "a,b", '"a"'])
def test_rfc6265bis_4_1_1_a_name_is_a_token(name):
    with pytest.raises(InvalidHeader, match="token"):
        serialize_cookie(name, "1")


@pytest.mark.parametrize("value", [" ", "a b", "a;b", "a,b", '"a"', "a\\b", "a\r\nb", "a\0b", "é"])
def test_rfc6265bis_4_1_1_a_value_has_cookie_octets_only(value):
    with pytest.raises(InvalidHeader, match="percent-encode"):
        serialize_cookie("a", value)


@pytest.mark.parametrize(
    "domain", ["localhost:8000", "https://example.org", "example.org/", "ex ample", "[::1]:80"]
)
def test_rfc6265bis_4_1_2_3_a_domain_is_a_host_alone(domain):
    with pytest.raises(InvalidHeader, match="Domain"):
        serialize_cookie("a", domain=domain)


@pytest.mark.parametrize("domain", ["localhost", ".example.org", "xn--bcher-kva.de", "[::1]", ""])
def test_domains(domain):
    assert f"; Domain={domain};" in serialize_cookie("a", domain=domain)


@pytest.mark.parametrize("text", ["/a;b", "/a\r\nb", "/a\0", "/é", "/" + "a" * 1024])
@pytest.mark.parametrize("attribute", ["path", "domain"])
def test_rfc6265bis_4_1_1_attribute_values(attribute, text):
    with pytest.raises(InvalidHeader, match=attribute.capitalize()):
        serialize_cookie("a", "1", **{attribute: text})


def test_rfc6265bis_5_6_the_size_that_browsers_keep():
    assert serialize_cookie("a", "x" * 4095)
    with pytest.raises(InvalidHeader, match="4096"):
        serialize_cookie("a", "x" * 4096)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("__Secure-a", {}),
        ("__secure-a", {}),
        ("__Host-a", {}),
        ("__Host-a", {"secure": True, "path": "/x"}),
        ("__Host-a", {"secure": True, "path": None}),
        ("__HOST-a", {"secure": True, "domain": "example.org"}),
        ("a", {"samesite": "none"}),
        ("a", {"partitioned": True}),
        ("a", {"samesite": "Lax"}),
        ("a", {"samesite": "lax; Domain=x"}),
    ],
)
def test_rfc6265bis_4_1_3_what_browsers_would_drop_is_refused(name, options):
    with pytest.raises(InvalidHeader):
        serialize_cookie(name, "1", **options)


@pytest.mark.parametrize("name", ["__Secure-a", "__Host-a"])
def test_rfc6265bis_4_1_3_prefixes_whose_promise_is_kept(name):
    assert serialize_cookie(name, "1", secure=True).startswith(f"{name}=1; Path=/; Secure")
