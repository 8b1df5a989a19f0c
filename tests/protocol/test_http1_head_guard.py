"""The head guard function by function: what each one raises, and what it gives."""

import pytest

from httpkit.errors import (
    ConnectRefused,
    ExpectationFailed,
    HeadersTooLarge,
    MethodNotImplemented,
    RemoteProtocolError,
    TargetTooLong,
    UnsupportedTransferCoding,
    UnsupportedVersion,
)
from httpkit.limits import Limits
from httpkit.protocol import incoming
from httpkit.protocol.http1.head import (
    check_fields,
    check_lines,
    check_partial_head,
    check_request_line,
    check_section_end,
    check_size,
    classify_fields,
    split_fields,
)

from .driver import DEFAULT

SMALL = Limits(max_target=10, max_header_bytes=16, max_headers=3)


def refusal(function, *args, **kwargs):
    """The exact class that is raised."""
    with pytest.raises(RemoteProtocolError) as caught:
        function(*args, **kwargs)
    return type(caught.value)


def test_check_request_line():
    line = b"GET /a HTTP/1.%d\r\nrest is not looked at"
    assert check_request_line(line % 1, DEFAULT) == ("GET", b"/a", b"1")
    assert check_request_line(line % 0, DEFAULT) == ("GET", b"/a", b"0")
    options = b"OPTIONS * HTTP/1.1\r\n"
    assert check_request_line(options, DEFAULT) == ("OPTIONS", b"*", b"1")
    absolute = b"GET http://a/b HTTP/1.1\r\n"
    assert check_request_line(absolute, DEFAULT) == ("GET", b"http://a/b", b"1")


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"GET / HTTP/1.1\n", RemoteProtocolError),
        (b"GET * HTTP/1.1\r\n", RemoteProtocolError),
        (b"GET a HTTP/1.1\r\n", RemoteProtocolError),
        (b"GET http://@a HTTP/1.1\r\n", RemoteProtocolError),
        (b"GET / HTTP/2.0\r\n", UnsupportedVersion),
        (b"FOO / HTTP/1.1\r\n", MethodNotImplemented),
        (b"CONNECT a:1 HTTP/1.1\r\n", ConnectRefused),
        (b"GET /1234567890 HTTP/1.1\r\n", TargetTooLong),
        (b"GET /%b" % (b"a" * 100), TargetTooLong),
        (b"G" * 100, MethodNotImplemented),
        (b" " * 100, RemoteProtocolError),
    ],
)
def test_check_request_line_refuses(line, error):
    assert refusal(check_request_line, line, SMALL) is error


def test_check_size():
    """The target has a limit of its own and does not count here."""
    check_size(b"x" * (16 + 64 + 5), b"t" * 5, SMALL)
    assert refusal(check_size, b"x" * (16 + 64 + 6), b"t" * 5, SMALL) is HeadersTooLarge
    assert refusal(check_size, b"\n" * (16 + 64 + 6), b"t" * 5, SMALL) is RemoteProtocolError


def test_check_section_end():
    check_section_end(b"a\r\nb\r\nc\r", 0, 10)
    check_section_end(b"a\nb", 2, 10)  # looked at before
    check_section_end(b"", 0, 0)
    assert refusal(check_section_end, b"a\nb", 0, 10) is RemoteProtocolError
    assert refusal(check_section_end, b"\n", 0, 10) is RemoteProtocolError
    assert refusal(check_section_end, b"a\rb", 0, 10) is RemoteProtocolError
    assert refusal(check_section_end, b"a\r\r", 0, 10) is RemoteProtocolError
    assert refusal(check_section_end, b"a" * 11, 0, 10) is HeadersTooLarge
    assert refusal(check_section_end, b"a" * 9 + b"\n" + b"a", 0, 10) is RemoteProtocolError
    assert refusal(check_section_end, b"a" * 10 + b"\n", 0, 10) is RemoteProtocolError
    assert refusal(check_section_end, b"a" * 11 + b"\n", 0, 10) is HeadersTooLarge


def test_check_lines():
    check_lines(b"a\r\nb: \tc\x80\xff\r\n\r\n")
    for bad in (b"\n", b"\r", b"a\r\r\n\n", b"\0\r\n", b"\x7f", b"\x1f", b"a\r\n b", b"a\r\n\tb"):
        assert refusal(check_lines, bad) is RemoteProtocolError


def test_check_partial_head():
    partial = check_partial_head
    assert partial(b"G", 0, DEFAULT, line_checked=False) is False
    assert partial(b"GET / HTTP/1.1\r", 14, DEFAULT, line_checked=False) is False
    assert partial(b"GET / HTTP/1.1\r\n", 15, DEFAULT, line_checked=False) is True
    assert partial(b"GET / HTTP/1.1\r\nX", 16, DEFAULT, line_checked=True) is True
    for data in (b"\r\n", b" ", b"\0", b"GET /\n", b"GET /\r\n", b"\x16\x03\x01"):
        assert refusal(partial, data, 0, DEFAULT, line_checked=False) is RemoteProtocolError
    with pytest.raises(RemoteProtocolError, match="This is TLS, and the port speaks plain HTTP"):
        partial(b"\x16", 0, DEFAULT, line_checked=False)
    # A CR was at the end of what was looked at before.
    with_cr = b"GET / HTTP/1.1\r\nX\ry"
    assert refusal(partial, with_cr, len(with_cr) - 1, DEFAULT, line_checked=True)
    assert refusal(partial, b"GET /" + b"a" * 70, 0, SMALL, line_checked=False) is TargetTooLong
    long = b"GET / HTTP/1.1\r\n" + b"a" * 90
    assert refusal(partial, long, 0, SMALL, line_checked=True) is HeadersTooLarge


def fields(*pairs):
    return [(b"host", b"a"), *pairs]


def test_check_fields_reads_the_framing():
    plain = check_fields(fields(), b"/", b"1", DEFAULT)
    assert (plain.authority, plain.content_length, plain.chunked) == (b"a", None, False)
    assert (plain.keep_alive, plain.said_keep_alive) == (True, False)
    assert (plain.expect_continue, plain.upgrade) == (False, None)

    sized = check_fields(fields((b"content-length", b"07")), b"/", b"1", DEFAULT)
    assert sized.content_length == 7
    chunked = check_fields(fields((b"transfer-encoding", b"CHUNKED")), b"/", b"1", DEFAULT)
    assert chunked.chunked
    closing = check_fields(fields((b"connection", b"Close")), b"/", b"1", DEFAULT)
    assert not closing.keep_alive
    asking = check_fields(fields((b"connection", b"a, keep-alive")), b"/", b"1", DEFAULT)
    assert asking.keep_alive
    assert asking.said_keep_alive
    expecting = check_fields(fields((b"expect", b"100-Continue")), b"/", b"1", DEFAULT)
    assert expecting.expect_continue
    offer = fields((b"connection", b"upgrade"), (b"upgrade", b"x"), (b"upgrade", b"y"))
    assert check_fields(offer, b"/", b"1", DEFAULT).upgrade == b"x,y"


def test_check_fields_of_http_1_0():
    old = check_fields([], b"/", b"0", DEFAULT)
    assert (old.authority, old.keep_alive) == (b"", False)
    asking = [(b"connection", b"keep-alive"), (b"expect", b"magic"), (b"upgrade", b"x")]
    old = check_fields(asking, b"/", b"0", DEFAULT)
    assert (old.keep_alive, old.expect_continue, old.upgrade) == (False, False, None)


def test_check_fields_takes_the_authority_of_the_target():
    assert check_fields(fields(), b"http://b:1/c", b"1", DEFAULT).authority == b"b:1"
    assert check_fields(fields(), b"*", b"1", DEFAULT).authority == b"a"
    assert check_fields([], b"http://b", b"0", DEFAULT).authority == b"b"


@pytest.mark.parametrize(
    ("pairs", "error"),
    [
        ([], RemoteProtocolError),
        ([(b"host", b"")], RemoteProtocolError),
        ([(b"host", b"a"), (b"host", b"a")], RemoteProtocolError),
        (fields((b"content-length", b"x")), RemoteProtocolError),
        (fields((b"content-length", b"1"), (b"content-length", b"1")), RemoteProtocolError),
        (fields((b"transfer-encoding", b"x")), RemoteProtocolError),
        (fields((b"transfer-encoding", b"x, chunked")), UnsupportedTransferCoding),
        (
            fields((b"transfer-encoding", b"chunked"), (b"content-length", b"1")),
            RemoteProtocolError,
        ),
        (fields((b"expect", b"x")), ExpectationFailed),
        (fields((b"a", b""), (b"b", b""), (b"c", b"")), HeadersTooLarge),
    ],
)
def test_check_fields_refuses(pairs, error):
    assert refusal(check_fields, pairs, b"/", b"1", SMALL) is error


def test_split_fields():
    raw = b"GET / HTTP/1.1\r\nHost:a\r\nX-Y: \t b: c \t\r\nnone\r\n\r\n"
    assert split_fields(raw) == [(b"host", b"a"), (b"x-y", b"b: c"), (b"none", b"")]
    assert split_fields(b"GET / HTTP/1.1\r\n\r\n") == []


@pytest.mark.parametrize(
    ("lines", "error", "text"),
    [
        (b"Host: a\r\nX", RemoteProtocolError, "malformed"),
        (b"Host: a\r\nX : y", RemoteProtocolError, "malformed"),
        (b"X: y", RemoteProtocolError, "missing"),
        (b"Host: a\r\nTransfer-Encoding: x, chunked", UnsupportedTransferCoding, "chunked"),
        (b"Host: a\r\nA: \r\nB:\r\nC:", HeadersTooLarge, "too many"),
    ],
)
def test_classify_fields(lines, error, text):
    raw = b"GET / HTTP/1.1\r\n%b\r\n\r\n" % lines
    found = classify_fields(raw, b"/", b"1", SMALL)
    assert type(found) is error
    assert text in str(found)


def test_known_authorities_are_looked_up_only_if_they_are_good(monkeypatch):
    known = set()
    monkeypatch.setattr(incoming, "_known_authorities", known)
    for host in (b"a b", b"a:x", b"[::g]", b"a:65536"):
        assert refusal(check_fields, [(b"host", host)], b"/", b"1", DEFAULT)
    assert known == set()
    check_fields(fields(), b"/", b"1", DEFAULT)
    assert known == {b"a"}
