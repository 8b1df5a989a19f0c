"""RFC 9110 §8.8 and §13: validators and conditional requests."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from httpkit.headers import Headers
from httpkit.semantics.conditional import (
    ETag,
    Outcome,
    Validators,
    evaluate_preconditions,
    range_applies,
)
from httpkit.semantics.dates import format_http_date

from .conftest import fuzz

PROCEED, NOT_MODIFIED, FAILED = Outcome.PROCEED, Outcome.NOT_MODIFIED, Outcome.FAILED
MODIFIED = 784_111_777.0
BEFORE, THEN, AFTER = (format_http_date(MODIFIED + delta) for delta in (-1, 0, 1))
BOTH = Validators(ETag("a"), MODIFIED)
WEAK = Validators(ETag("a", weak=True), MODIFIED)
NOTHING = Validators()


def decide(method, fields, validators=BOTH, **options):
    return evaluate_preconditions(method, Headers.of(fields), validators, **options)


# --- RFC 9110 §8.8.3: entity tags ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ('"a"', ETag("a")),
        ('W/"a"', ETag("a", weak=True)),
        ('""', ETag("")),
        (' "a"\t', ETag("a")),
        ('"a,b"', ETag("a,b")),
        ('"a\\"', ETag("a\\")),  # a backslash escapes nothing
        ('"\xff!"', ETag("\xff!")),
        ('w/"a"', None),  # case-sensitive
        ("a", None),
        ('"a', None),
        ('"a b"', None),
        ('"a"b"', None),
        ('W/ "a"', None),
        ("*", None),
        ("", None),
    ],
)
def test_rfc9110_8_8_3_grammar(text, tag):
    assert ETag.parse(text) == tag
    if tag is not None:
        assert ETag.parse(str(tag)) == tag


def test_an_application_may_leave_the_quotes_out():
    assert ETag.of("v1") == ETag("v1")
    assert ETag.of('W/"v1"') == ETag("v1", weak=True)
    for text in ('v"1', "v 1", "v\n", "€"):
        with pytest.raises(ValueError, match="entity tag"):
            ETag.of(text)


@pytest.mark.parametrize(
    ("one", "two", "strong", "weak"),
    [
        ('W/"1"', 'W/"1"', False, True),
        ('W/"1"', 'W/"2"', False, False),
        ('W/"1"', '"1"', False, True),
        ('"1"', '"1"', True, True),
    ],
)
def test_rfc9110_8_8_3_2_the_table_of_comparisons(one, two, strong, weak):
    tags = ETag.of(one), ETag.of(two)
    assert tags[0].matches_strongly(tags[1]) is tags[1].matches_strongly(tags[0]) is strong
    assert tags[0].matches_weakly(tags[1]) is tags[1].matches_weakly(tags[0]) is weak


# --- RFC 9110 §13.1: each precondition -----------------------------------------------------------

IF_MATCH = [
    ('"a"', BOTH, True, PROCEED),
    ('"b"', BOTH, True, FAILED),
    ('"b", "a"', BOTH, True, PROCEED),
    (', "b" ,,\t"a",', BOTH, True, PROCEED),
    ('"b,c", "a"', BOTH, True, PROCEED),
    ('W/"a"', BOTH, True, FAILED),  # §13.1.1: the strong comparison
    ('"a"', WEAK, True, FAILED),
    ("*", BOTH, True, PROCEED),
    ("*", NOTHING, True, PROCEED),
    ("*", BOTH, False, FAILED),
    ('"a"', BOTH, False, FAILED),
    ('"a"', NOTHING, True, FAILED),
    ("a", BOTH, True, FAILED),  # malformed: nothing is changed
    ('"b" "a"', BOTH, True, FAILED),
    ('*, "a"', BOTH, True, FAILED),
    ("", BOTH, True, FAILED),
]


@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE"])
@pytest.mark.parametrize(("field", "validators", "exists", "outcome"), IF_MATCH)
def test_rfc9110_13_1_1_if_match(method, field, validators, exists, outcome):
    assert decide(method, {"if-match": field}, validators, exists=exists) is outcome


IF_NONE_MATCH = [
    ('"a"', BOTH, True, True),
    ('"b"', BOTH, True, False),
    ('"b","a"', BOTH, True, True),
    ('W/"a"', BOTH, True, True),  # §13.1.2: the weak comparison
    ('"a"', WEAK, True, True),
    ("*", NOTHING, True, True),
    ("*", BOTH, False, False),
    ('"a"', BOTH, False, False),
    ('"a"', NOTHING, True, False),
    ("a", BOTH, True, False),
    ('"a" x', BOTH, True, False),
]


@pytest.mark.parametrize(("field", "validators", "exists", "matches"), IF_NONE_MATCH)
def test_rfc9110_13_1_2_if_none_match(field, validators, exists, matches):
    fields = {"if-none-match": field}
    for method in ("GET", "HEAD"):
        expected = NOT_MODIFIED if matches else PROCEED
        assert decide(method, fields, validators, exists=exists) is expected
    for method in ("PUT", "POST", "DELETE"):
        expected = FAILED if matches else PROCEED
        assert decide(method, fields, validators, exists=exists) is expected


def test_rfc9110_13_1_2_if_none_match_in_several_lines():
    assert decide("GET", [("if-none-match", '"x"'), ("if-none-match", '"a"')]) is NOT_MODIFIED


@pytest.mark.parametrize(
    ("field", "validators", "exists", "outcome"),
    [
        (THEN, BOTH, True, NOT_MODIFIED),
        (AFTER, BOTH, True, NOT_MODIFIED),
        (BEFORE, BOTH, True, PROCEED),
        (THEN, Validators(None, MODIFIED + 0.9), True, NOT_MODIFIED),  # written without fractions
        (THEN, NOTHING, True, PROCEED),
        (THEN, BOTH, False, PROCEED),
        ("yesterday", BOTH, True, PROCEED),
        ("Sunday, 06-Nov-94 08:49:37 GMT", BOTH, True, NOT_MODIFIED),
        ("Sun Nov  6 08:49:37 1994", BOTH, True, NOT_MODIFIED),
    ],
)
def test_rfc9110_13_1_3_if_modified_since(field, validators, exists, outcome):
    fields = {"if-modified-since": field}
    for method in ("GET", "HEAD"):
        assert decide(method, fields, validators, exists=exists, now=MODIFIED) is outcome
    assert decide("PUT", fields, validators, exists=exists) is PROCEED  # only for GET and HEAD


@pytest.mark.parametrize(
    ("field", "validators", "exists", "outcome"),
    [
        (THEN, BOTH, True, PROCEED),
        (AFTER, BOTH, True, PROCEED),
        (BEFORE, BOTH, True, FAILED),
        (BEFORE, NOTHING, True, PROCEED),
        (BEFORE, BOTH, False, PROCEED),
        ("0", BOTH, True, PROCEED),
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_rfc9110_13_1_4_if_unmodified_since(method, field, validators, exists, outcome):
    fields = {"if-unmodified-since": field}
    assert decide(method, fields, validators, exists=exists) is outcome


# --- RFC 9110 §13.2 ------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["CONNECT", "OPTIONS", "TRACE"])
def test_rfc9110_13_2_1_methods_without_preconditions(method):
    assert decide(method, {"if-match": '"b"', "if-none-match": "*"}) is PROCEED


@pytest.mark.parametrize(
    ("method", "fields", "outcome"),
    [
        # Step 1 before step 2: If-Match hides If-Unmodified-Since.
        ("PUT", {"if-match": '"a"', "if-unmodified-since": BEFORE}, PROCEED),
        ("PUT", {"if-match": '"b"', "if-unmodified-since": AFTER}, FAILED),
        # Step 3 before step 4: If-None-Match hides If-Modified-Since.
        ("GET", {"if-none-match": '"b"', "if-modified-since": AFTER}, PROCEED),
        ("GET", {"if-none-match": '"a"', "if-modified-since": BEFORE}, NOT_MODIFIED),
        # Steps 1 and 2 before steps 3 and 4.
        ("GET", {"if-match": '"b"', "if-none-match": '"a"'}, FAILED),
        ("GET", {"if-match": '"a"', "if-none-match": '"a"'}, NOT_MODIFIED),
        ("GET", {"if-unmodified-since": BEFORE, "if-none-match": '"a"'}, FAILED),
        ("GET", {"if-unmodified-since": THEN, "if-modified-since": THEN}, NOT_MODIFIED),
        ("GET", {}, PROCEED),
    ],
)
def test_rfc9110_13_2_2_precedence(method, fields, outcome):
    assert decide(method, fields) is outcome


# --- RFC 9110 §13.1.5 ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "validators", "date", "applies"),
    [
        (None, NOTHING, None, True),
        ('"a"', BOTH, None, True),
        ('"b"', BOTH, None, False),
        ('W/"a"', BOTH, None, False),
        ('"a"', WEAK, None, False),
        ('"a"', NOTHING, None, False),
        (THEN, BOTH, MODIFIED + 1, True),
        (THEN, BOTH, MODIFIED + 0.5, False),  # §8.8.2.2: a weak validator yet
        (THEN, BOTH, None, False),
        (AFTER, BOTH, MODIFIED + 60, False),  # an exact match
        (BEFORE, BOTH, MODIFIED + 60, False),
        (THEN, NOTHING, MODIFIED + 60, False),
        ("*", BOTH, MODIFIED + 60, False),
    ],
)
def test_rfc9110_13_1_5_if_range(field, validators, date, applies):
    headers = Headers.of({} if field is None else {"if-range": field})
    assert range_applies(headers, validators, date=date) is applies


@fuzz
@given(
    st.lists(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters='"')))
)
def test_any_list_of_tags_lists_each_of_them(texts):
    field = ", ".join(f'"{text}"' for text in texts)
    for text in texts:
        assert decide("PUT", {"if-match": field}, Validators(ETag(text))) is PROCEED
    assert decide("PUT", {"if-match": field}, Validators(ETag("\x80"))) is FAILED
