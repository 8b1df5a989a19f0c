"""Records as bytes: whole, byte by byte, split anywhere, with more behind them."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from httpkit.channels import records
from httpkit.channels.records import (
    AskPast,
    Hello,
    Joined,
    Left,
    Past,
    Published,
    RecordReader,
    serialize_record,
)
from tests.app.conftest import fuzz

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
NUMBER = st.integers(0, 2**63)
JSON = st.none() | st.integers(-100, 100) | st.lists(TEXT, max_size=3)
PUBLISHED = st.builds(Published, NUMBER, TEXT, TEXT | st.binary(max_size=20), st.booleans())
JOINED = st.builds(Joined, TEXT, NUMBER, TEXT, JSON)
RECORDS = st.one_of(
    PUBLISHED,
    JOINED,
    st.builds(Left, NUMBER),
    st.builds(Hello, TEXT, st.booleans(), st.lists(JOINED, max_size=3)),
    st.builds(AskPast, NUMBER),
    st.builds(
        Past,
        st.lists(PUBLISHED, max_size=3),
        st.none() | NUMBER,
        NUMBER,
        st.dictionaries(TEXT, NUMBER, max_size=2),
    ),
)


@fuzz
@given(st.lists(RECORDS, max_size=6), st.lists(st.integers(0, 400)))
def test_records_survive_any_split(sent, cuts):
    data = b"".join(map(serialize_record, sent))
    cuts = sorted({0, len(data), *[cut for cut in cuts if cut < len(data)]})
    reader = RecordReader()
    found = []
    for start, end in itertools.pairwise(cuts):
        found += reader.receive_data(data[start:end])
    assert found == sent
    assert not reader._buffer


def test_byte_by_byte_and_with_more_behind():
    reader = RecordReader()
    data = serialize_record(Left(7))
    assert [reader.receive_data(bytes((byte,))) for byte in data][-1] == [Left(7)]
    assert reader.receive_data(data + data[:3]) == [Left(7)]
    assert reader.receive_data(data[3:]) == [Left(7)]


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\xff\xff\xff\xff",
        b"\0\0\0\0",
        b"\0\0\0\1\xc1",
        b"\0\0\0\4\x92\xa1mx",
        b"\0\0\0\3\x92\xa1z",
        b"\0\0\0\3\x92\xa1l\xc0",
    ],
)
def test_bytes_that_are_no_records(data):
    with pytest.raises(ValueError):
        RecordReader().receive_data(data)


def test_what_no_receiver_takes_is_not_made(monkeypatch):
    monkeypatch.setattr(records, "MAX_RECORD", 100)
    with pytest.raises(ValueError, match="too many for other workers"):
        serialize_record(Published(1, "a", "x" * 100, keep=True))
