"""RFC 9110 §12: negotiation, and the grammar of lists and parameters in §5.6."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from httpkit.semantics import negotiation
from httpkit.semantics.negotiation import (
    MAX_MEMBERS,
    Preference,
    parse_preferences,
    preferred_language,
    preferred_media_type,
    preferred_token,
    refuses_token,
)
from httpkit.semantics.parameters import parse_parameters, split_list

from .conftest import fuzz

HTML, JSON, TEXT = "text/html", "application/json", "text/plain"


# --- RFC 9110 §5.6.1: lists ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "members"),
    [
        ("", []),
        (" , ,\t,", []),
        ("a", ["a"]),
        ("a,b , c", ["a", "b", "c"]),
        ('a;x="1,2", b', ['a;x="1,2"', "b"]),
        (r'a;x="\",", b', [r'a;x="\","', "b"]),
        ('a;x="unclosed, b', ['a;x="unclosed, b']),
        ('a;x="ends in a backslash\\', ['a;x="ends in a backslash\\']),
        ('"a""b",c', ['"a""b"', "c"]),
    ],
)
def test_rfc9110_5_6_1_list_members(field, members):
    assert list(split_list(field)) == members


@fuzz
@given(st.text())
def test_a_list_loses_nothing_but_commas_and_whitespace(field):
    members = "".join(split_list(field))
    strip = str.maketrans("", "", ", \t")
    assert members.translate(strip) == field.translate(strip)


# --- RFC 9110 §5.6.6: parameters -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("", ("", {})),
        (" a/b ", ("a/b", {})),
        ("a/b;c=d", ("a/b", {"c": "d"})),
        ("a/b ; C=d\t;e=F", ("a/b", {"c": "d", "e": "F"})),
        ('a/b;c="d;,e"', ("a/b", {"c": "d;,e"})),
        (r'a/b;c="\"\\\x"', ("a/b", {"c": '"\\x'})),
        ('a/b;c=""', ("a/b", {"c": ""})),
        ("a/b;", ("a/b", {})),
        ("a/b;;;c=d;", ("a/b", {"c": "d"})),
        (";c=d", ("", {"c": "d"})),
    ],
)
def test_rfc9110_5_6_6_parameters(text, parsed):
    assert parse_parameters(text) == parsed


@pytest.mark.parametrize(
    "text",
    [
        "a/b;c",
        "a/b;c=",
        "a/b;=d",
        "a/b;c =d",
        "a/b;c= d",
        "a/b;c=d e",
        'a/b;c="d',
        'a/b;c="d\\',
        'a/b;c="d"e',
        "a/b;c=d;c=e",
        "a/b;c=d;C=d",
        "a/b;c=(d)",
    ],
)
def test_rfc9110_5_6_6_malformed_or_ambiguous_parameters_are_refused(text):
    assert parse_parameters(text) is None


TOKENS = st.from_regex(r"[a-z0-9!#$%&'*+.^_`|~-]{1,8}", fullmatch=True)


@fuzz
@given(TOKENS, st.dictionaries(TOKENS, st.text(st.characters(codec="latin-1"))))
def test_parameters_round_trip_as_quoted_strings(value, parameters):
    text = value + "".join(
        '; {}="{}"'.format(name, content.replace("\\", "\\\\").replace('"', '\\"'))
        for name, content in parameters.items()
    )
    assert parse_parameters(text) == (value, parameters)


@fuzz
@given(st.text())
def test_parameters_never_raise(text):
    parse_parameters(text)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "hostile",
    [
        'a/b;c="' + "\\" * 200_000,
        'a/b;c="' + '\\"' * 200_000,
        "a/b;" + "c" * 400_000,
        "a/b" + ";" * 400_000,
        "a/b" + "; " * 200_000 + "=",
        "a/b;c=" + "!" * 400_000 + " x",
        'a/b;c="' + "x;" * 200_000,
    ],
)
def test_cve_2024_24762_parameters_take_linear_time(hostile):
    # Each of these takes ages with a pattern that backtracks; the timeout is the only clock.
    parse_parameters(hostile)
    list(split_list(hostile))


# --- RFC 9110 §12.4.2: weights -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weight", "quality"),
    [
        ("0", 0.0),
        ("0.", 0.0),
        ("0.000", 0.0),
        ("0.5", 0.5),
        ("0.123", 0.123),
        ("1", 1.0),
        ("1.", 1.0),
        ("1.000", 1.0),
        (".2", 0.2),
        ("0.33333", 0.333),
        ("1.0000000", 1.0),
        ("0." + "9" * 10_000, 0.999),
    ],
)
def test_rfc9110_12_4_2_weights(weight, quality):
    assert parse_preferences(f"a;q={weight}") == [Preference("a", {}, quality)]


@pytest.mark.parametrize("weight", ["2", "1.5", "1.001", "-1", "x", "0,5", "01", "1e0", "nan", ""])
def test_rfc9110_12_4_2_a_malformed_weight_drops_its_member(weight):
    members = [p.value for p in parse_preferences(f'a;q="{weight}", b')]
    assert members == ["b"]


def test_parameters_before_the_weight_count_and_those_after_it_do_not():
    assert parse_preferences("A/B;Level=ONE;q=0.5;ext=2") == [
        Preference("a/b", {"level": "one"}, 0.5)
    ]


def test_malformed_members_are_ignored():
    assert [p.value for p in parse_preferences(";q=1, a;b c, d/e, f;=, ")] == ["d/e"]


def test_the_number_of_members_is_bounded():
    assert len(parse_preferences("a," * 10_000)) == MAX_MEMBERS


@fuzz
@given(st.text())
def test_preferences_never_raise_and_are_in_range(field):
    for preference in parse_preferences(field):
        assert 0.0 <= preference.quality <= 1.0
        assert preference.value


# --- RFC 9110 §12.5.1: Accept --------------------------------------------------------------------

RFC_EXAMPLE = (
    "text/*;q=0.3, text/plain;q=0.7, text/plain;format=flowed, "
    "text/plain;format=fixed;q=0.4, */*;q=0.5"
)


@pytest.mark.parametrize(
    ("offer", "quality"),
    [
        ("text/plain;format=flowed", 1.0),
        ("text/plain", 0.7),
        ("text/html", 0.3),
        ("image/jpeg", 0.5),
        ("text/plain;format=fixed", 0.4),
        ("text/html;level=3", 0.3),
    ],
)
def test_rfc9110_12_5_1_table_of_precedence(offer, quality):
    # The offer is chosen over a rival of a slightly lower quality, not over one slightly higher.
    rival = "x/rival"
    for rival_quality, winner in ((quality - 0.01, offer), (min(1, quality + 0.01), rival)):
        field = f"{RFC_EXAMPLE}, {rival};q={rival_quality:.2f}"
        if quality < 1 or winner == offer:
            assert preferred_media_type(field, [rival, offer]) == winner


@pytest.mark.parametrize(
    ("accept", "offers", "chosen"),
    [
        # no preference: the server's favorite
        (None, [HTML, JSON], HTML),
        ("*/*", [HTML, JSON], HTML),
        ("*/*;q=0.1", [HTML, JSON], HTML),
        ("", [HTML, JSON], HTML),
        ("nonsense, also/", [HTML, JSON], HTML),
        ("*", [HTML], HTML),
        ("*/html", [HTML], HTML),
        # nothing on offer
        (None, [], None),
        ("*/*", [], None),
        ("", [], None),
        ("text/html", [], None),
        # quality, then specificity, then the order of the offers
        ("text/html;q=0.5, application/json", [HTML, JSON], JSON),
        ("application/json, */*", [HTML, JSON], JSON),
        ("application/*, */*", [HTML, JSON], JSON),
        ("text/html, application/json", [JSON, HTML], JSON),
        ("text/html,application/xml;q=0.9,*/*;q=0.8", [JSON, HTML], HTML),
        ("TEXT/HTML", [JSON, "Text/Html"], "Text/Html"),
        # exclusion
        ("text/html;q=0", [HTML], None),
        ("text/html;q=0, */*", [HTML, JSON], JSON),
        ("text/*;q=0, text/html", [TEXT, HTML], HTML),
        ("*/*;q=0", [HTML, JSON], None),
        ("image/png", [HTML, JSON], None),
        # a repeated member counts with its best quality
        ("text/html;q=0.1, text/html;q=0.9, application/json;q=0.5", [JSON, HTML], HTML),
        # parameters of a range must be in the offer; the other way round they need not
        ("text/html;level=1", [HTML], None),
        ("text/html;level=1", ["text/html;level=2", "text/html; Level=1"], "text/html; Level=1"),
        ("text/html", ["text/html; charset=utf-8"], "text/html; charset=utf-8"),
        # §12.5.2: charsets are not negotiated, but one that is offered has to match
        ("application/json;charset=utf-8", [JSON], JSON),
        ("text/html;charset=latin1", ["text/html;charset=utf-8"], None),
        ("text/html;charset=UTF-8", ["text/html;charset=utf-8"], "text/html;charset=utf-8"),
        # older Java: a bare * and weights without a zero
        ("text/html, image/gif, *; q=.2, */*; q=.2", [JSON], JSON),
    ],
)
def test_rfc9110_12_5_1_preferred_media_type(accept, offers, chosen):
    assert preferred_media_type(accept, offers) == chosen


@pytest.mark.parametrize("offer", ["", "text", "*/*", "text/*", "text/html;x", "a/b/c"])
def test_an_offer_that_is_no_media_type_is_a_mistake_of_the_application(offer):
    with pytest.raises(ValueError, match="not a media type"):
        preferred_media_type("text/html", [offer])


@fuzz
@given(st.text(), st.lists(st.sampled_from([HTML, JSON, TEXT, "image/png"]), unique=True))
def test_any_accept_gives_an_offer_or_none(accept, offers):
    assert preferred_media_type(accept, offers) in {*offers, None}


# --- RFC 9110 §12.5.3: Accept-Encoding, §12.5.4: Accept-Language ---------------------------------


@pytest.mark.parametrize(
    ("field", "offers", "chosen"),
    [
        (None, ["br", "gzip"], "br"),
        (None, [], None),
        ("", ["br", "gzip"], None),
        ("gzip, br", ["br", "gzip"], "br"),
        ("gzip;q=1.0, br;q=0.5", ["br", "gzip"], "gzip"),
        ("GZIP", ["gzip"], "gzip"),
        ("gzip, *", ["br", "gzip"], "gzip"),
        ("*", ["br", "gzip"], "br"),
        ("*;q=0, gzip", ["br", "gzip"], "gzip"),
        ("gzip;q=0, *", ["gzip", "br"], "br"),
        ("identity;q=0", ["identity"], None),
        ("deflate", ["br", "gzip"], None),
    ],
)
def test_rfc9110_12_5_3_preferred_token(field, offers, chosen):
    assert preferred_token(field, offers) == chosen


@pytest.mark.parametrize(
    ("field", "offers", "chosen"),
    [
        (None, ["de", "en"], "de"),
        (None, [], None),
        ("", ["de"], None),
        ("en", ["de", "en-GB"], "en-GB"),  # RFC 4647 §3.3.1
        ("en-US, de;q=0.9", ["de", "en"], "en"),  # RFC 4647 §3.4
        ("de-CH-1996", ["en", "de"], "de"),
        ("EN-gb", ["en-US", "en-GB"], "en-GB"),
        ("en-GB, en;q=0.8", ["en-US", "en-GB"], "en-GB"),
        ("e", ["en"], None),
        ("english", ["en"], None),
        ("*", ["de", "en"], "de"),
        ("fr, *;q=0.1", ["de", "en"], "de"),
        ("en;q=0, *", ["en-GB", "de"], "de"),
        ("en-US;q=0, en", ["en-US", "en"], "en"),
        ("en-US;q=0, *", ["en"], "en"),
        ("ja", ["de", "en"], None),
    ],
)
def test_rfc9110_12_5_4_preferred_language(field, offers, chosen):
    assert preferred_language(field, offers) == chosen


def test_a_choice_does_at_most_members_times_offers_comparisons(monkeypatch):
    calls = 0
    specificity = negotiation._token_specificity

    def counted(preference, offer):
        nonlocal calls
        calls += 1
        return specificity(preference, offer)

    monkeypatch.setattr(negotiation, "_token_specificity", counted)
    preferred_token("a," * 30_000, ["x", "y", "z"])
    assert calls == 3 * MAX_MEMBERS


@pytest.mark.parametrize(
    ("field", "refused"),
    [
        ("", False),
        ("gzip", False),
        ("identity;q=0", True),
        ("IDENTITY;q=0.000", True),
        ("*;q=0, gzip", True),
        ("*;q=0, identity;q=0.1", False),
        ("*, identity;q=0", True),
        ("identity;q=0, identity", False),
        ("identity;q=x", False),
    ],
)
def test_rfc9110_12_5_3_what_a_client_takes_in_no_case(field, refused):
    assert refuses_token(field, "identity") is refused
