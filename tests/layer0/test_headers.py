"""Header fields (RFC 9110 §5): what may be sent, and the views on what came."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from httpkit.errors import InvalidHeader, LocalProtocolError
from httpkit.headers import Headers, MutableHeaders, encode_fields, encode_header

from .conftest import fuzz

TOKEN = st.from_regex(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}", fullmatch=True)
LATIN = st.text(st.characters(codec="latin-1", categories=["L", "N", "P", "S"]))


# --- RFC 9110 §5.1, §5.5: encoding ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "field"),
    [
        ("Content-Type", "text/html", (b"content-type", b"text/html")),
        (b"X-A", b"\xff", (b"x-a", b"\xff")),
        ("x", "", (b"x", b"")),
        ("x", "a\tb", (b"x", b"a\tb")),
        ("x", "caf\xe9", (b"x", b"caf\xe9")),
        ("!#$%&'*+-.^_`|~9", "x", (b"!#$%&'*+-.^_`|~9", b"x")),
    ],
)
def test_rfc9110_5_5_what_may_be_sent(name, value, field):
    assert encode_header(name, value) == field


CONTROLS = ["a\r\nb: c", "a\nb", "a\rb", "a\0b", "a\x7fb", "a\x1fb", "\r\n", b"a\r\nb: c", b"a\0b"]


@pytest.mark.parametrize("value", [*CONTROLS, " a", "a ", "\ta", "a\t", b" a", "€"])
def test_rfc9110_5_5_what_must_not_reach_the_wire(value):
    with pytest.raises(InvalidHeader):
        encode_header("x", value)


@pytest.mark.parametrize(
    "name", ["", " ", "a b", "a:", "a\r\n", "a\n", "\na", "é", "(a)", "a\0", b"a b", b"\xe9", "a,b"]
)
def test_rfc9110_5_1_a_name_is_a_token(name):
    with pytest.raises(InvalidHeader):
        encode_header(name, "x")


@pytest.mark.parametrize("value", [5, None, 1.5, ["a"], bytearray(b"a"), memoryview(b"a")])
def test_a_value_of_another_type_is_refused_by_name(value):
    with pytest.raises(InvalidHeader, match="x-count"):
        encode_header("x-count", value)
    with pytest.raises(InvalidHeader):
        encode_header(value, "x")


def test_an_invalid_header_is_the_fault_of_this_side():
    with pytest.raises(LocalProtocolError):
        encode_header("x", "\n")


@fuzz
@given(st.one_of(st.text(), st.binary()), st.one_of(st.text(), st.binary()))
def test_a_field_is_encoded_safely_or_refused(name, value):
    try:
        raw_name, raw_value = encode_header(name, value)
    except InvalidHeader:
        return
    assert raw_name == raw_name.lower() != b""
    assert not {0, 10, 13, 127} & set(raw_name + raw_value)


@fuzz
@given(st.lists(st.tuples(TOKEN, LATIN), max_size=6))
def test_every_byte_survives_a_round_trip(pairs):
    headers = Headers.of(pairs)
    assert headers.pairs() == [(name.lower(), value) for name, value in pairs]
    assert Headers.of(headers.pairs()) == headers


@pytest.mark.parametrize(
    ("fields", "raw"),
    [
        (None, []),
        ({}, []),
        ({"A": "1"}, [(b"a", b"1")]),
        ([("A", "1"), (b"a", b"2")], [(b"a", b"1"), (b"a", b"2")]),
        (Headers([(b"a", b"1"), (b"a", b"2")]), [(b"a", b"1"), (b"a", b"2")]),
        (((n, "1") for n in "ab"), [(b"a", b"1"), (b"b", b"1")]),
    ],
)
def test_fields_come_as_a_mapping_or_pairs(fields, raw):
    assert encode_fields(fields) == raw


def test_fields_that_are_headers_are_copied_and_checked_too():
    headers = Headers([(b"a", b"1")])
    assert encode_fields(headers) is not headers.raw
    with pytest.raises(InvalidHeader):
        encode_fields(Headers([(b"a", b"1\r\nset-cookie: x")]))


# --- RFC 9110 §5.3: reading ----------------------------------------------------------------------


@pytest.fixture
def headers():
    return Headers(
        [
            (b"accept", b"a"),
            (b"set-cookie", b"x=1"),
            (b"cookie", b"a=1"),
            (b"accept", b"b"),
            (b"set-cookie", b"y=2"),
            (b"cookie", b"b=2"),
            (b"x", b"caf\xe9"),
        ]
    )


def test_rfc9110_5_1_names_have_no_case(headers):
    assert headers["ACCEPT"] == headers["accept"]
    assert "Accept" in headers
    assert headers.getlist("ACCEPT") == ["a", "b"]


def test_rfc9110_5_3_repeated_lines_are_joined_with_a_comma(headers):
    assert headers["accept"] == "a, b"


def test_rfc9110_5_3_set_cookie_is_never_joined(headers):
    assert headers["Set-Cookie"] == "x=1"
    assert headers.getlist("set-cookie") == ["x=1", "y=2"]


def test_rfc9113_8_2_3_cookie_lines_are_joined_with_a_semicolon(headers):
    assert headers["cookie"] == "a=1; b=2"


def test_values_are_latin_1(headers):
    assert headers["x"] == "caf\xe9"


def test_a_missing_field(headers):
    assert headers.get("nope") is None
    assert headers.getlist("nope") == []
    assert "nope" not in headers
    with pytest.raises(KeyError):
        headers["nope"]


@pytest.mark.parametrize("name", ["", "€", "ÿ", "accept\n"])
def test_a_name_that_no_field_can_have(headers, name):
    assert name not in headers
    assert headers.getlist(name) == []


def test_other_types_are_not_in_headers(headers):
    assert 5 not in headers
    assert b"accept" not in headers


def test_a_mapping_of_distinct_names(headers):
    assert list(headers) == ["accept", "set-cookie", "cookie", "x"]
    assert len(headers) == 4
    assert dict(headers)["accept"] == "a, b"
    assert not Headers()


def test_equality_is_that_of_the_lines():
    assert Headers([(b"a", b"1")]) == Headers([(b"a", b"1")])
    assert Headers([(b"a", b"1")]) == MutableHeaders([(b"a", b"1")])
    assert Headers([(b"a", b"1")]) != Headers([(b"a", b"2")])
    assert Headers([(b"a", b"1")]) != {"a": "1"}
    with pytest.raises(TypeError):
        hash(Headers())


def test_any_iterable_of_pairs_will_do():
    assert Headers(((b"a", b"1"),)).raw == [(b"a", b"1")]


def test_repr():
    assert repr(Headers([(b"a", b"1")])) == "Headers([('a', '1')])"
    assert repr(MutableHeaders()) == "MutableHeaders([])"


# --- changing ------------------------------------------------------------------------------------


@pytest.fixture
def mutable():
    return MutableHeaders([(b"a", b"1"), (b"b", b"2"), (b"a", b"3")])


def test_setting_replaces_every_line_in_the_place_of_the_first(mutable):
    mutable["A"] = "9"
    assert mutable.raw == [(b"a", b"9"), (b"b", b"2")]


def test_setting_a_new_name_appends(mutable):
    mutable["c"] = "4"
    assert mutable.raw[-1] == (b"c", b"4")


def test_nothing_changes_when_a_value_is_refused(mutable):
    before = list(mutable.raw)
    for change in (
        lambda: mutable.__setitem__("a", "x\r\ny"),
        lambda: mutable.add("a", "x\r\ny"),
        lambda: mutable.setdefault("c", "x\r\ny"),
        lambda: mutable.update({"b": "ok", "a": "x\r\ny"}),
    ):
        with pytest.raises(InvalidHeader):
            change()
    assert mutable.raw == before


def test_removing(mutable):
    del mutable["A"]
    assert mutable.raw == [(b"b", b"2")]
    with pytest.raises(KeyError):
        del mutable["a"]
    mutable.discard("a")
    mutable.discard("B")
    assert mutable.raw == []


def test_adding_keeps_what_is_there(mutable):
    mutable.add("A", "4")
    assert mutable.getlist("a") == ["1", "3", "4"]


def test_setdefault(mutable):
    assert mutable.setdefault("A", "9") == "1, 3"
    assert mutable.setdefault("c", "9") == "9"
    assert mutable["c"] == "9"


def test_update_replaces_a_name_and_keeps_all_of_its_new_lines(mutable):
    mutable.update([("set-cookie", "x=1"), ("set-cookie", "y=2"), ("A", "9")])
    assert mutable.getlist("set-cookie") == ["x=1", "y=2"]
    assert mutable.getlist("a") == ["9"]
    assert mutable["b"] == "2"


def test_changes_reach_the_list_they_were_made_from():
    raw = [(b"a", b"1")]
    headers = MutableHeaders(raw)
    headers["a"] = "2"
    headers.update({"b": "3"})
    headers.discard("a")
    assert raw == [(b"b", b"3")]


@pytest.mark.parametrize(
    ("present", "names", "vary"),
    [
        (None, ("Accept",), "Accept"),
        (None, (), None),
        ("Accept", (), "Accept"),
        ("Accept", ("accept", "Cookie"), "Accept, Cookie"),
        ("Accept , Cookie,", ("Origin",), "Accept, Cookie, Origin"),
        (None, ("Origin", "origin"), "Origin"),
        ("*", ("Accept",), "*"),
        ("Accept, *", ("Cookie",), "Accept, *"),
        ("Accept", ("*",), "Accept, *"),
    ],
)
def test_rfc9110_12_5_5_vary(present, names, vary):
    headers = MutableHeaders([] if present is None else [(b"vary", present.encode())])
    headers.add_vary(*names)
    assert headers.get("vary") == vary


def test_vary_on_several_lines_becomes_one():
    headers = MutableHeaders([(b"vary", b"a"), (b"vary", b"b")])
    headers.add_vary("c")
    assert headers.getlist("vary") == ["a, b, c"]
