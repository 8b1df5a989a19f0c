"""RFC 9110 §14: byte ranges."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from httpkit.semantics.ranges import (
    MAX_RANGES,
    Multipart,
    Span,
    content_range,
    parse_range,
    unsatisfied_range,
)

from .conftest import fuzz

SIZE = 10_000


@pytest.mark.parametrize(
    ("field", "spans"),
    [
        # The examples of §14.1.2.
        ("bytes=0-499", [(0, 500)]),
        ("bytes=500-999", [(500, 500)]),
        ("bytes=-500", [(9500, 500)]),
        ("bytes=9500-", [(9500, 500)]),
        ("bytes=0-0,-1", [(0, 1), (9999, 1)]),
        ("bytes= 0-999, 4500-5499, -1000", [(0, 1000), (4500, 1000), (9000, 1000)]),
        # Ends beyond the content.
        ("bytes=9999-20000", [(9999, 1)]),
        ("bytes=9000-999999999999999999", [(9000, 1000)]),
        # Units are case-insensitive; empty members do not count.
        ("Bytes=,1-1,,", [(1, 1)]),
        ("bytes=\t1-1 \t", [(1, 1)]),
        # The order of the request stays where nothing is merged.
        ("bytes=5000-5000,0-0", [(5000, 1), (0, 1)]),
    ],
)
def test_rfc9110_14_1_2_what_is_sent(field, spans):
    assert parse_range(field, SIZE) == spans


@pytest.mark.parametrize(
    "field",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes 0-1",
        "bytes=-",
        "bytes=1",
        "bytes=a-b",
        "bytes=1-0",
        "bytes=0-1,2-1",  # one wrong range spoils the field
        "bytes=0-1,x",
        "bytes=--1",
        "bytes=0 - 1",
        "bytes=+1-2",
        "bytes=\u0661-\u0662",  # digits, but not ASCII
        "bytes=1000000000000000000-",
        "seconds=0-1",
        "none",
    ],
)
def test_rfc9110_14_2_what_cannot_be_read_is_ignored(field):
    assert parse_range(field, SIZE) is None


@pytest.mark.parametrize(
    "field", ["bytes=0-", "bytes=-10000", "bytes=-20000", "bytes=0-4999,5000-"]
)
def test_rfc9110_14_2_everything_is_a_part(field):
    assert parse_range(field, SIZE) == [(0, SIZE)]


@pytest.mark.parametrize(
    "field", ["bytes=10000-", "bytes=10000-10001", "bytes=-0", "bytes=-0,20000-"]
)
def test_rfc9110_15_5_17_nothing_of_it_lies_in_the_content(field):
    assert parse_range(field, SIZE) == []
    assert unsatisfied_range(SIZE) == "bytes */10000"


def test_rfc9110_14_1_2_an_empty_content_has_an_end_but_no_beginning():
    for field in ("bytes=0-0", "bytes=0-", "bytes=-0"):
        assert parse_range(field, 0) == []
    for field in ("bytes=-5", "bytes=0-0,-5"):
        assert parse_range(field, 0) is None


def test_what_lies_outside_is_left_out():
    assert parse_range("bytes=20000-,0-0", SIZE) == [(0, 1)]


@pytest.mark.parametrize(
    ("field", "spans"),
    [
        ("bytes=0-99,50-149", [(0, 150)]),
        ("bytes=100-199,0-99", [(0, 200)]),
        ("bytes=0-0,80-80", [(0, 81)]),  # a gap of 79 bytes is cheaper than another head
        ("bytes=0-0,81-81", [(0, 1), (81, 1)]),
        ("bytes=0-999,10-20,5000-5000", [(0, 1000), (5000, 1)]),
        ("bytes=5000-5000,10-20,0-999", [(0, 1000), (5000, 1)]),
        ("bytes=0-0,0-0,0-0", [(0, 1)]),
    ],
)
def test_rfc9110_15_3_7_2_ranges_that_overlap_are_one(field, spans):
    assert parse_range(field, SIZE) == spans


def test_cve_2011_3192_a_bomb_of_ranges_is_ignored():
    many = ",".join(f"{n * 200}-{n * 200}" for n in range(MAX_RANGES))
    assert len(parse_range(f"bytes={many}", SIZE)) == MAX_RANGES
    assert parse_range(f"bytes={many},9999-9999", SIZE) is None
    assert parse_range("bytes=" + "0-," * 100_000, SIZE) is None


def test_rfc9110_14_4_content_range():
    assert content_range(Span(42, 1192), 1234) == "bytes 42-1233/1234"


@fuzz
@given(
    st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), min_size=1, max_size=MAX_RANGES),
    st.integers(0, 250),
)
def test_every_byte_that_was_asked_for_is_sent_once(ranges, size):
    ranges = [(min(each), max(each)) for each in ranges]
    spans = parse_range("bytes=" + ",".join(f"{a}-{b}" for a, b in ranges), size)
    if spans is None:
        spans = [Span(0, size)]
    sent = [byte for span in spans for byte in range(span.start, span.end)]
    assert len(sent) == len(set(sent))
    assert all(0 <= byte < size for byte in sent)
    assert {byte for a, b in ranges for byte in range(a, b + 1) if byte < size} <= set(sent)


@fuzz
@given(st.text(), st.integers(0, 1000))
def test_no_field_raises(text, size):
    for span in parse_range(f"bytes={text}", size) or []:
        assert span.length >= 1
        assert span.end <= size


def test_rfc9110_14_6_several_parts():
    content = bytes(range(256))
    parts = Multipart([Span(0, 2), Span(250, 6)], 256, "image/x; a=b", "THIS")
    body = b"".join(
        content[piece.start : piece.end] if isinstance(piece, Span) else piece for piece in parts
    )
    assert parts.content_type == "multipart/byteranges; boundary=THIS"
    assert body == (
        b"\r\n--THIS\r\nContent-Type: image/x; a=b\r\nContent-Range: bytes 0-1/256\r\n\r\n"
        b"\x00\x01"
        b"\r\n--THIS\r\nContent-Type: image/x; a=b\r\nContent-Range: bytes 250-255/256\r\n\r\n"
        b"\xfa\xfb\xfc\xfd\xfe\xff"
        b"\r\n--THIS--\r\n"
    )
    assert len(body) == parts.length


def test_rfc9110_14_6_a_content_without_a_type():
    pieces = list(Multipart([Span(0, 1)], 9, "", "B"))
    assert pieces[0] == b"\r\n--B\r\nContent-Range: bytes 0-0/9\r\n\r\n"
