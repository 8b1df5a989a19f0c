"""Limits: defaults, ranges, and that every one of them says where it comes from."""

import inspect

import msgspec
import pytest

from httpkit.errors import ConfigurationError
from httpkit.limits import FormLimits, Limits


@pytest.mark.parametrize("limits", [Limits, FormLimits])
def test_the_defaults_are_within_their_own_ranges(limits):
    limits()


def test_rfc9110_4_1_a_target_of_8000_octets_is_taken():
    assert Limits().max_target >= 8000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_connections", 0),
        ("max_headers", None),
        ("max_target", -1),
        ("header_timeout", 0),
        ("header_timeout", None),
        ("header_timeout", float("nan")),
        ("max_body", -1),
        ("max_body", "1MB"),
        ("max_body", 1.5),
        ("min_body_rate", 0),
    ],
)
def test_a_value_out_of_range_is_refused_with_its_name(name, value):
    with pytest.raises(ConfigurationError, match=f"limit {name}: "):
        Limits(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"), [("max_fields", 0), ("max_field_size", -1), ("spool_size", None)]
)
def test_a_form_limit_out_of_range_is_refused_with_its_name(name, value):
    with pytest.raises(ConfigurationError, match=f"limit {name}: "):
        FormLimits(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [("max_body", None), ("max_body", 0), ("min_body_rate", None), ("header_timeout", 1)],
)
def test_a_value_in_range_is_kept(name, value):
    assert getattr(Limits(**{name: value}), name) == value


def test_limits_decode_and_refuse_unknown_names():
    assert msgspec.convert({"max_headers": 5}, Limits).max_headers == 5
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"max_haeders": 5}, Limits)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"max_headers": 0}, Limits)


def test_limits_do_not_change():
    with pytest.raises(AttributeError):
        Limits().max_headers = 1


@pytest.mark.parametrize("limits", [Limits, FormLimits])
def test_every_limit_is_followed_by_its_reason(limits):
    source = inspect.getsource(limits)
    for field in msgspec.structs.fields(limits):
        after = source.partition(f"\n    {field.name}: ")[2].split("\n")[1]
        assert after.lstrip().startswith('"""'), field.name
