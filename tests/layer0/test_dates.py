"""RFC 9110 §5.6.7: dates."""

import locale
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from httpkit.semantics.dates import format_http_date, parse_http_date

from .conftest import fuzz

EXAMPLE = 784111777.0
NOW = datetime(2026, 6, 15, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    "text",
    [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        " Sun, 06 Nov 1994 08:49:37 GMT\t",
        "Mon, 06 Nov 1994 08:49:37 GMT",  # the wrong day: not for the recipient to check
    ],
)
def test_the_three_formats(text):
    assert parse_http_date(text) == EXAMPLE
    assert parse_http_date(text, now=NOW) == EXAMPLE


def test_imf_fixdate_is_what_is_written():
    assert format_http_date(EXAMPLE) == "Sun, 06 Nov 1994 08:49:37 GMT"
    assert format_http_date(0) == "Thu, 01 Jan 1970 00:00:00 GMT"


@fuzz
@given(st.integers(min_value=-62_135_596_800, max_value=253_402_300_799))
def test_round_trip(timestamp):
    assert parse_http_date(format_http_date(timestamp)) == timestamp


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "-1",
        "1994-11-06T08:49:37Z",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 94 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 +0100",
        "sun, 06 nov 1994 08:49:37 gmt",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun,06 Nov 1994 08:49:37 GMT",
        "Xxx, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Foo 1994 08:49:37 GMT",
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:00 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 0\u0666 Nov 1994 08:49:37 GMT",
        "Sunday, 31-Feb-94 08:49:37 GMT",
        "Sunday, 06-Nov-1994 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994",
        "Sun Nov 31 08:49:37 1994",
    ],
)
def test_anything_else_is_no_date(text):
    assert parse_http_date(text) is None
    assert parse_http_date(text, now=NOW) is None


@fuzz
@given(st.text())
def test_no_text_raises(text):
    parse_http_date(text, now=NOW)


def test_a_leap_second_is_the_second_before_it():
    before = parse_http_date("Sat, 31 Dec 2016 23:59:59 GMT")
    assert parse_http_date("Sat, 31 Dec 2016 23:59:60 GMT") == before


def test_asctime_has_days_of_two_digits():
    assert parse_http_date("Wed Nov 16 08:49:37 1994") == EXAMPLE + 10 * 86_400


@pytest.mark.parametrize(
    ("text", "year"),
    [
        ("Monday, 15-Jun-26 00:00:00 GMT", 2026),
        ("Monday, 15-Jun-76 00:00:00 GMT", 2076),  # in 50 years to the second: not more than 50
        ("Monday, 15-Jun-76 00:00:01 GMT", 1976),
        ("Monday, 15-Jun-77 00:00:00 GMT", 1977),
        ("Monday, 01-Jan-76 00:00:00 GMT", 2076),
        ("Monday, 15-Jun-00 00:00:00 GMT", 2000),
    ],
)
def test_two_digit_years_lie_at_most_50_years_ahead(text, year):
    moment = datetime.fromtimestamp(parse_http_date(text, now=NOW), UTC)
    assert moment.year == year


@pytest.mark.parametrize(
    ("digits", "year"), [("68", 2068), ("69", 1969), ("99", 1999), ("00", 2000)]
)
def test_two_digit_years_without_a_clock_are_those_of_posix(digits, year):
    timestamp = parse_http_date(f"Monday, 15-Jun-{digits} 00:00:00 GMT")
    assert datetime.fromtimestamp(timestamp, UTC).year == year


def test_a_leap_day_that_the_century_lacks_is_no_date():
    assert parse_http_date("Monday, 29-Feb-27 00:00:00 GMT", now=NOW) is None


def test_the_locale_of_the_process_plays_no_part(monkeypatch):
    # strptime reads names in the locale; here it would be an error to ask for one at all.
    def refuse(*args):
        raise AssertionError("asked for a locale")

    monkeypatch.setattr(locale, "getlocale", refuse)
    assert parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT") == EXAMPLE
