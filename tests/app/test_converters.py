"""Converters: what they take, what they refuse, and that both directions agree."""

import math
import uuid

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from httpkit.routing.converters import BUILT_IN, Converter, join_path

from .conftest import fuzz

UUID = "12345678-1234-5678-9abc-def012345678"


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("str", "a/b", "a/b"),
        ("int", "42", 42),
        ("int", "-7", -7),
        ("int", "007", 7),
        ("int", "9" * 19, int("9" * 19)),
        ("float", "1", 1.0),
        ("float", "-1.5", -1.5),
        ("float", "1e-07", 1e-7),
        ("uuid", UUID, uuid.UUID(UUID)),
        ("uuid", UUID.upper(), uuid.UUID(UUID)),
        ("path", "a/b/c", "a/b/c"),
    ],
)
def test_converts(name, text, value):
    converted = BUILT_IN[name].convert(text)
    assert converted == value
    assert type(converted) is type(value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("int", ""),
        ("int", "+1"),
        ("int", "1.0"),
        ("int", " 1"),
        ("int", "1\n"),
        ("int", "1_000"),
        ("int", "\u0663"),  # ARABIC-INDIC DIGIT THREE is a digit to str.isdigit
        ("int", "²"),
        ("int", "9" * 20),
        ("int", "9" * 1_000_000),
        ("float", "inf"),
        ("float", "nan"),
        ("float", "1e400"),
        ("float", ".5"),
        ("float", "1_0.0"),
        ("float", "\u0661.5"),
        ("uuid", UUID.replace("-", "")),
        ("uuid", "{" + UUID + "}"),
        ("uuid", "urn:uuid:" + UUID),
        ("uuid", UUID + "\n"),
        ("path", "/etc/passwd"),
    ],
)
def test_refuses(name, text):
    with pytest.raises(ValueError):
        BUILT_IN[name].convert(text)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("int", True),
        ("int", 1.5),
        ("int", "1"),
        ("float", math.inf),
        ("float", math.nan),
        ("float", "x"),
        ("uuid", "not-a-uuid"),
    ],
)
def test_refuses_values(name, value):
    with pytest.raises(ValueError):
        BUILT_IN[name].to_string(value)


@given(st.integers(-(10**18), 10**18))
@fuzz
def test_integers_round_trip(value):
    converter = BUILT_IN["int"]
    assert converter.convert(converter.to_string(value)) == value


@given(st.floats(allow_nan=False, allow_infinity=False))
@example(0.00012345678901234567)  # 20 decimals: zeros and 17 digits
@example(0.00010000000000000002)
@fuzz
def test_floats_round_trip(value):
    converter = BUILT_IN["float"]
    assert converter.convert(converter.to_string(value)) == value


@given(st.uuids())
@fuzz
def test_uuids_round_trip(value):
    converter = BUILT_IN["uuid"]
    assert converter.convert(converter.to_string(value)) == value
    assert converter.to_string(str(value).upper()) == str(value)


@given(st.text())
@fuzz
def test_int_takes_nothing_but_ascii_digits(text):
    try:
        value = BUILT_IN["int"].convert(text)
    except ValueError:
        return
    assert text.isascii()
    assert value == int(text)


@pytest.mark.parametrize(
    ("segments", "joined"),
    [
        (["a"], "a"),
        (["a", "b", ""], "a/b/"),
        ([""], ""),
        (["a", "", "b"], "a//b"),
        (["a/b"], None),
        (["a", "b/c"], None),
        (["", "etc", "passwd"], None),
        (["", ""], None),
    ],
)
def test_path_joins_what_cannot_be_misread(segments, joined):
    assert join_path(segments) == joined


def test_built_in_converters_satisfy_the_contract():
    assert all(isinstance(converter, Converter) for converter in BUILT_IN.values())
