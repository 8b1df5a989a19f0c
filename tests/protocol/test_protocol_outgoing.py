"""The check of outgoing messages that every version of HTTP shares."""

from http import HTTPStatus

import pytest

from httpkit.errors import InvalidHeader, LocalProtocolError
from httpkit.protocol.outgoing import (
    NO_CONTENT,
    OutgoingFields,
    check_informational,
    check_status,
    check_trailers,
    has_no_body,
    keep_trailers,
)


def test_fields_are_checked_and_encoded():
    fields = OutgoingFields([("X-Y", "z"), (b"A", b"\xe9"), (b"a", b"")])
    assert fields.fields == [(b"x-y", b"z"), (b"a", b"\xe9"), (b"a", b"")]
    assert (fields.content_length, fields.close) == (None, False)
    assert (fields.has_date, fields.has_server) == (False, False)
    with pytest.raises(InvalidHeader):
        OutgoingFields([(b"x", b"a\r\nb")])


def test_fields_that_the_server_would_add():
    fields = OutgoingFields([(b"Date", b"d"), (b"Server", b"s")])
    assert (fields.has_date, fields.has_server) == (True, True)
    assert len(fields.fields) == 2


def test_content_length_is_taken_out():
    fields = OutgoingFields([(b"Content-Length", b"12"), (b"x", b"y")])
    assert fields.content_length == 12
    assert fields.fields == [(b"x", b"y")]
    for value in (b"", b"x", b"+1", b"-1", b"1 2", b"1,1", b"0x1", b"\xb2", b"9" * 19):
        with pytest.raises(LocalProtocolError):
            OutgoingFields([(b"content-length", value)])
    with pytest.raises(LocalProtocolError):
        OutgoingFields([(b"content-length", b"1"), (b"content-length", b"1")])


@pytest.mark.parametrize(
    "name",
    [b"Connection", b"Keep-Alive", b"Proxy-Connection", b"TE", b"Transfer-Encoding", b"Upgrade"],
)
def test_hop_by_hop_fields_are_dropped(name):
    fields = OutgoingFields([(name, b"chunked"), (b"x", b"y")])
    assert fields.fields == [(b"x", b"y")]
    assert not fields.close


@pytest.mark.parametrize(
    ("value", "close"),
    [
        (b"close", True),
        (b"Close", True),
        (b"a, CLOSE ,b", True),
        (b"closed", False),
        (b"not-close", False),
        (b"keep-alive", False),
        (b"", False),
    ],
)
def test_connection_close_is_heard(value, close):
    assert OutgoingFields([(b"connection", value)]).close is close
    assert OutgoingFields([(b"connection", value), (b"connection", b"x")]).close is close
    assert not OutgoingFields([(b"keep-alive", value)]).close


def test_final_statuses():
    for status in (200, 204, 304, 599, HTTPStatus.NOT_FOUND):
        check_status(status)
    for status in (0, 100, 101, 199, 600, "200", 200.0, None, True):
        with pytest.raises(LocalProtocolError):
            check_status(status)


def test_interim_statuses():
    for status in (100, 102, 103, 199, HTTPStatus.CONTINUE):
        check_informational(status)
    for status in (99, 101, 200, "100", 100.0, None, True):
        with pytest.raises(LocalProtocolError):
            check_informational(status)


def test_answers_without_content():
    assert {204, 205, 304} == NO_CONTENT
    assert has_no_body("HEAD", 200)
    assert has_no_body("GET", 204)
    assert has_no_body("GET", 205)
    assert has_no_body("POST", 304)
    assert not has_no_body("GET", 200)


def test_trailers():
    assert check_trailers([("Sum", "1"), (b"x", b"")]) == [(b"sum", b"1"), (b"x", b"")]
    assert check_trailers([]) == []
    for name in ("Content-Length", "HOST", "date", "if-match", "cookie", "Trailer", "connection"):
        with pytest.raises(LocalProtocolError):
            check_trailers([(name, "x")])
        assert keep_trailers([(name.lower().encode(), b"x"), (b"sum", b"1")]) == [(b"sum", b"1")]
    with pytest.raises(InvalidHeader):
        check_trailers([("x", "a\0")])
