"""What a peer gets for a head that is not the one spelling of RFC 9112.

Each case is a whole head. It is fed whole, byte by byte and cut at every place, with a valid
request behind it in the same bytes: the answer must be one, say `Connection: close`, and the
second request must not be seen (request smuggling, response splitting).
"""

import pytest

from httpkit.limits import Limits
from httpkit.protocol.engine import Close, Deadline
from httpkit.status import METHODS

from .driver import DEFAULT, GET, Driver, all_splits, bytewise, fewer, read_answers, run

SMALL = Limits(max_target=64, max_header_bytes=256, max_headers=5)


def assert_refused(parser, data, status, limits=DEFAULT, *, method="GET", places=100):
    """One answer with this status, then the end, whatever the cut and whatever follows."""
    driver = run(parser, data + GET, limits)
    assert driver.streams == []
    (answer,) = read_answers(driver.output, [method], closed=True)
    assert answer.status == status
    assert answer.values(b"connection") == [b"close"]
    assert driver.terminated.error.status == driver.terminated.status == status
    assert driver.engine.close is Close.LINGER
    assert driver.engine.deadline_kind is Deadline.LINGER
    assert driver.engine.receive_data(GET) == []
    assert not driver.engine.has_more_to_send
    verdict = driver.verdict()
    for pieces in all_splits(data, GET, places=fewer(parser, places)):
        assert run(parser, pieces, limits).verdict() == verdict, pieces
    return answer


def assert_accepted(parser, data, limits=DEFAULT):
    """One request whatever the cut, and the request behind it too; gives the first."""
    driver = run(parser, data + GET, limits)
    assert [answer.status for answer in driver.answers()] == [200, 200]
    assert driver.engine.close is Close.OPEN
    assert all(stream.ended for stream in driver.streams)
    verdict = driver.verdict()
    for pieces in all_splits(data, GET, places=fewer(parser)):
        assert run(parser, pieces, limits).verdict() == verdict, pieces
    return driver.streams[0]


def cases(table):
    """Parameters with the case itself as its name."""
    return [pytest.param(case, id=repr(case)[:60]) for case in table]


# --- request line (RFC 9112 §3) ---------------------------------------------------------------

HOST = b"\r\nHost: a\r\n\r\n"

MALFORMED_LINES = [
    # RFC 9112 §3: single spaces; recipients may be lenient, and then see other requests.
    b"GET  / HTTP/1.1",
    b"GET /  HTTP/1.1",
    b"GET / HTTP/1.1 ",
    b" GET / HTTP/1.1",
    b"\tGET / HTTP/1.1",
    b"GET\t/ HTTP/1.1",
    b"GET /\tHTTP/1.1",
    b"GET\x0b/ HTTP/1.1",
    b"GET /\x0cHTTP/1.1",
    b"GET / x HTTP/1.1",
    b"GET /\xa0HTTP/1.1",
    # HTTP/0.9 and what is left of a version.
    b"GET /",
    b"GET",
    b"GET / ",
    b"GET / HTTP",
    b"GET / HTTP/",
    b"GET / HTTP/1",
    b"GET / HTTP/1.",
    b"GET / HTTP/11",
    b"GET / HTTP/1.10",
    b"GET / HTTP/1.1x",
    b"GET / HTTP/01.1",
    b"GET / http/1.1",
    b"GET / Http/1.1",
    b"GET / HTTPS/1.1",
    b"GET / HTTP /1.1",
    b"GET / HTTP/ 1.1",
    b"GET / HTTP/1.\xd9\xa1",
    b"HTTP/1.1 200 OK",
    # RFC 9110 §5.6.2: a method is a token.
    b"GE(T / HTTP/1.1",
    b"G\xc3\x89T / HTTP/1.1",
    b"/ HTTP/1.1",
    b": / HTTP/1.1",
    # Control characters, NUL, DEL, and everything beyond ASCII in the target (RFC 3986 §2).
    b"GET /\x00 HTTP/1.1",
    b"GET /\x01 HTTP/1.1",
    b"GET /\x1f HTTP/1.1",
    b"GET /\x7f HTTP/1.1",
    b"GET /\x80 HTTP/1.1",
    b"GET /\xc3\xa9 HTTP/1.1",
    # RFC 9112 §2.2: bare CR and LF.
    b"GET / HTTP/1.1\n",
    b"GET / HTTP/1.1\r",
    b"GET /\n HTTP/1.1",
    b"GET /\r HTTP/1.1",
    b"GET\n/ HTTP/1.1",
    b"GET\r/ HTTP/1.1",
    b"GET / HTTP/1.1\nX: y",
    b"GET / HTTP/1.1\rX: y",
    # RFC 9112 §3.2: targets that are not origin-form, absolute-form or *.
    b"GET a HTTP/1.1",
    b"GET ?a HTTP/1.1",
    b"GET # HTTP/1.1",
    b"GET /# HTTP/1.1",
    b"GET /a#b HTTP/1.1",
    b"GET * HTTP/1.1",
    b"HEAD * HTTP/1.0",
    b"OPTIONS ** HTTP/1.1",
    b"OPTIONS *a HTTP/1.1",
    b"GET a.example:80 HTTP/1.1",
    b"GET a.example HTTP/1.1",
    b"GET ftp://a/ HTTP/1.1",
    b"GET file:///etc/passwd HTTP/1.1",
    b"GET http: HTTP/1.1",
    b"GET http:/ HTTP/1.1",
    b"GET http:/a HTTP/1.1",
    b"GET http:// HTTP/1.1",
    b"GET http:///a HTTP/1.1",
    b"GET http://?a HTTP/1.1",
    b"GET http://a/#b HTTP/1.1",
    b"GET http://a#b HTTP/1.1",
    b"GET http://user@a/ HTTP/1.1",
    b"GET http://user:secret@a/ HTTP/1.1",
    b"GET http://a:b/ HTTP/1.1",
    b"GET http://a:65536/ HTTP/1.1",
    b"GET http://[::1/ HTTP/1.1",
    b"GET http://[g]/ HTTP/1.1",
    b"GET http://a\\@b/ HTTP/1.1",
    b"GET http://a%zz/ HTTP/1.1",
]


@pytest.mark.parametrize("line", cases(MALFORMED_LINES))
def test_malformed_request_line_is_400(parser, line):
    method = "HEAD" if line.startswith(b"HEAD ") else "GET"
    assert_refused(parser, line + HOST, 400, method=method)


@pytest.mark.parametrize(
    "line",
    cases(
        [
            b"GET / HTTP/0.9",
            b"GET / HTTP/1.2",
            b"GET / HTTP/2.0",
            b"GET / HTTP/3.0",
            b"GET / HTTP/9.9",
            b"FOO / HTTP/2.0",
            b"PRI * HTTP/2.0",
        ]
    ),
)
def test_unsupported_version_is_505(parser, line):
    assert_refused(parser, line + HOST, 505)


def test_http2_preface_is_505(parser):
    """RFC 9113 §3.4 with prior knowledge, on a port that does not speak it."""
    assert_refused(parser, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505)


@pytest.mark.parametrize(
    "line",
    cases([b"FOO / HTTP/1.1", b"get / HTTP/1.1", b"Get / HTTP/1.1", b"BREW * HTTP/1.0"]),
)
def test_unknown_method_is_501(parser, line):
    """RFC 9110 §9.1: methods are case-sensitive."""
    assert_refused(parser, line + HOST, 501)


@pytest.mark.parametrize(
    "target", cases([b"a.example:443", b"/", b"*", b"http://a/", b"a.example", b"/#"])
)
def test_connect_is_405_with_allow_whatever_its_target(parser, target):
    """RFC 9110 §9.3.6: never a tunnel. `CONNECT /` passed as an ordinary request once."""
    answer = assert_refused(parser, b"CONNECT %b HTTP/1.1" % target + HOST, 405)
    assert answer.values(b"allow") == [b""]


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_method_of_the_table_is_parsed(parser, method):
    if method == b"CONNECT":
        return
    stream = assert_accepted(parser, method + b" /" + b" HTTP/1.1" + HOST)
    assert stream.head.method == method.decode() == METHODS[method]


def test_every_visible_character_but_one_may_stand_in_a_path(parser):
    for byte in range(0x100):
        sign = bytes([byte])
        target = b"/a%bb?%b" % (sign, sign)
        if 0x21 <= byte <= 0x7E and sign != b"#":
            driver = run(parser, b"GET %b HTTP/1.1" % target + HOST)
            assert driver.streams[0].head.target == target
        else:
            assert_refused(parser, b"GET %b HTTP/1.1" % target + HOST, 400, places=0)


GOOD_TARGETS = [
    (b"GET /", b"a"),
    (b"GET //x", b"a"),
    (b"GET /?", b"a"),
    (b"GET /%2e%2e/%00", b"a"),
    (b"OPTIONS *", b"a"),
    (b"OPTIONS /", b"a"),
    (b"GET http://b", b"b"),
    (b"GET http://b/", b"b"),
    (b"GET http://b?c", b"b"),
    (b"GET http://b:/c", b"b:"),
    (b"GET http://b:65535/c", b"b:65535"),
    (b"GET HTTP://B.example:8080/c?d", b"B.example:8080"),
    (b"GET https://b/", b"b"),
    (b"GET http://[::1]:8080/", b"[::1]:8080"),
    (b"GET http://[::ffff:1.2.3.4]/", b"[::ffff:1.2.3.4]"),
    (b"GET http://b%41~_-!$&'()*+,;=/", b"b%41~_-!$&'()*+,;="),
    (b"OPTIONS http://b", b"b"),
]


@pytest.mark.parametrize(("line", "authority"), GOOD_TARGETS, ids=repr)
def test_good_targets(parser, line, authority):
    """RFC 9112 §3.2.2: an absolute-form target overrides Host."""
    stream = assert_accepted(parser, line + b" HTTP/1.1" + HOST)
    assert stream.head.target == line.split(b" ")[1]
    assert stream.head.authority == authority
    assert list(stream.head.headers) == [(b"host", b"a")]


# --- empty lines before a request (RFC 9112 §2.2) ---------------------------------------------


def test_one_empty_line_before_a_request_is_ignored(parser):
    """Byte by byte too: a CR alone was taken for the beginning of a head once."""
    assert_accepted(parser, b"\r\n" + GET)
    driver = run(parser, b"\r\n" + GET + b"\r\n" + GET + b"\r\n")
    assert len(driver.answers()) == 2


def test_an_empty_line_is_no_request_that_could_time_out(parser):
    """Some clients end a body with an empty line of their own and then stay idle."""
    for pieces in ([b"\r\n"], [b"\r", b"\n"]):
        driver = run(parser, [GET, *pieces])
        assert driver.engine.deadline_kind is Deadline.IDLE
        assert driver.eof().verdict().status is None
        assert driver.engine.close is Close.NOW
        assert len(driver.answers()) == 1


@pytest.mark.parametrize(
    "data",
    cases(
        [
            b"\r\n\r\n",
            b"\r\n\r\n\r\n",
            b"\r\r\n",
            b"\r\n\r",
            b"\n",
            b"\n\n",
            b"\r\n\n",
            b"\rG",
            b" \r\n",
            b"\r\n ",
            b"\x00",
            b"\x16\x03\x01\x02\x00",  # a TLS ClientHello
            b"\x80\x00",
        ]
    ),
)
def test_what_does_not_begin_a_request_is_400(parser, data):
    assert_refused(parser, data, 400)


@pytest.mark.parametrize(
    "data", cases([b"\n", b"\r\n\r\n", b"\r\r", b"\r\n\r", b" ", b"\x16\x03\x01", b"GET / X\r\n"])
)
def test_garbage_is_refused_without_waiting_for_the_end_of_a_head(parser, data):
    if data == b"\r\n\r":
        data += b"G"
    driver = run(parser, data)
    assert driver.terminated.status == 400


@pytest.mark.parametrize(
    "data",
    cases(
        [
            b"GET / HTTP/1.1\n",
            b"GET / HTTP/1.1\rH",
            b"GET / HTTP/1.1\r\nHost: a\n",
            b"GET / HTTP/1.1\r\nHost: a\rX",
            b"GET / HTTP/1.1\r\nHost: a\r\r",
        ]
    ),
)
def test_bare_line_ends_are_refused_without_waiting_for_the_end_of_a_head(parser, data):
    """A client that ends its lines with LF would else wait for the deadline."""
    for pieces in all_splits(data):
        assert run(parser, pieces).terminated.status == 400


# --- header fields (RFC 9112 §5) --------------------------------------------------------------

MALFORMED_FIELDS = [
    # RFC 9112 §2.2: bare LF and CR. Each has hidden a field from one server and not the other.
    b"Host: a\nX: y",
    b"X: y\nTransfer-Encoding: chunked\r\nHost: a",
    b"X: y\rTransfer-Encoding: chunked\r\nHost: a",
    b"Host: a\rX: y",
    b"Host: a\r\r\nX: y",
    b"Host: a\r",
    b"Host: a\n",
    b"Host: a\n\nX: y",
    b"Host: a\n\r",
    b"\nHost: a",
    # RFC 9112 §5.2: obs-fold.
    b"Host: a\r\n b",
    b"Host: a\r\n\tb",
    b"Host:\r\n a",
    b"Host: a\r\nX: y\r\n Transfer-Encoding: chunked",
    b"Host: a\r\nX: y\r\n ",
    # RFC 9112 §2.2: whitespace before the first field.
    b" Host: a",
    b"\tHost: a",
    b" X: y\r\nHost: a",
    # RFC 9112 §5.1: no whitespace between name and colon (CVE-2019-16276 and many others).
    b"Host : a",
    b"Host\t: a",
    b"Host: a\r\nTransfer-Encoding : chunked",
    b"Host: a\r\nContent-Length : 5",
    b"Host: a\r\nContent-Length\x0b: 5",
    b"Host: a\r\nX Y: z",
    # No name, no colon.
    b"Host: a\r\n: y",
    b"Host: a\r\nX",
    b"Host: a\r\nX y",
    b"Host: a\r\nGET / HTTP/1.1",
    b"Host a",
    # RFC 9110 §5.1: a name is a token.
    b"Host: a\r\nX(: y",
    b"Host: a\r\nX\xe9: y",
    b'Host: a\r\n"X": y',
    b"Host: a\r\n{X}: y",
    b"Host: a\r\nX/Y: z",
    b"Host: a\r\nX@Y: z",
]


@pytest.mark.parametrize("fields", cases(MALFORMED_FIELDS))
def test_malformed_field_is_400(parser, fields):
    assert_refused(parser, b"GET / HTTP/1.1\r\n%b\r\n\r\n" % fields, 400)


def test_control_characters_in_a_value_are_400(parser):
    """RFC 9110 §5.5: CR, LF and NUL must be refused; the others are as useless."""
    for byte in (*range(0x09), *range(0x0A, 0x20), 0x7F):
        head = b"GET / HTTP/1.1\r\nHost: a\r\nX: y%bz\r\n\r\n" % bytes([byte])
        assert_refused(parser, head, 400, places=0)


def test_bytes_that_are_no_token_in_a_name_are_400(parser):
    for byte in (*range(0x21), *b'"(),/;<=>?@[\\]{}', *range(0x7F, 0x100)):
        head = b"GET / HTTP/1.1\r\nHost: a\r\nX%bY: z\r\n\r\n" % bytes([byte])
        assert_refused(parser, head, 400, places=0)


def test_what_a_field_may_be(parser):
    """RFC 9110 §5.5: obs-text and inner whitespace stay, whitespace around a value goes."""
    tchars = b"!#$%&'*+-.^_`|~09azAZ"
    fields = [
        (tchars, b"y", b"y"),
        (b"Empty", b"", b""),
        (b"Blank", b" \t ", b""),
        (b"Tight", b"y", b"y"),
        (b"Wide", b" \t y\t  z \t", b"y\t  z"),
        (b"Latin", b"\x80\xff\xe9", b"\x80\xff\xe9"),
        (b"Signs", bytes(range(0x21, 0x7F)), bytes(range(0x21, 0x7F))),
        (b"Colons", b":a:b:", b":a:b:"),
        (b"Twice", b"1", b"1"),
        (b"Twice", b"2", b"2"),
    ]
    lines = b"".join(b"%b:%b\r\n" % (name, value) for name, value, _ in fields)
    stream = assert_accepted(parser, b"GET / HTTP/1.1\r\nHost:a\r\n%b\r\n" % lines)
    expected = [(name.lower(), value) for name, _, value in fields]
    assert list(stream.head.headers) == [(b"host", b"a"), *expected]


# --- Content-Length (RFC 9110 §8.6, RFC 9112 §6.3) --------------------------------------------

MALFORMED_LENGTHS = [
    b"",
    b"+5",
    b"-5",
    b"-0",
    b"5, 5",
    b"5,5",
    b"5 5",
    b"5,",
    b"5;",
    b"0x5",
    b"5_0",
    b"5.0",
    b"1e1",
    b"5L",
    b"five",
    b'"5"',
    "\N{ARABIC-INDIC DIGIT FIVE}".encode(),
    "\N{FULLWIDTH DIGIT FIVE}".encode(),
    b"\xb2",  # SUPERSCRIPT TWO in ISO-8859-1: str.isdigit is true for it
    b"\x0b5",
    b"5\x0c",
    b"5\x00",
    b"9" * 19,
    b"0" * 18 + b"5",
    b"9" * 400,
]


@pytest.mark.parametrize("value", cases(MALFORMED_LENGTHS))
def test_malformed_content_length_is_400(parser, value):
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %b\r\n\r\n" % value
    assert_refused(parser, head, 400)


@pytest.mark.parametrize(
    "fields",
    cases(
        [
            b"Content-Length: 5\r\nContent-Length: 5",
            b"Content-Length: 5\r\nContent-Length: 6",
            b"Content-Length: 5\r\nX: y\r\ncontent-length: 5",
            b"Content-Length: 0\r\nContent-Length: 0",
            b"Content-Length: 5\r\nContent-Length:",
            b"Content-Length: 5\r\nContent-Length: 5\r\nConnection: upgrade\r\nUpgrade: foo",
        ]
    ),
)
def test_repeated_content_length_is_400_even_if_equal(parser, fields):
    """h11 makes one of two equal ones, before the guard could see them."""
    assert_refused(parser, b"POST / HTTP/1.1\r\nHost: a\r\n%b\r\n\r\nhello" % fields, 400)


@pytest.mark.parametrize(("value", "length"), [(b"5", 5), (b"0005", 5), (b" \t5\t", 5)])
def test_good_content_length(parser, value, length):
    head = b"POST / HTTP/1.1\r\nHost: a\r\nCONTENT-length:%b\r\n\r\n" % value
    stream = assert_accepted(parser, head + b"x" * length)
    assert stream.received.content_length == length
    assert stream.body == b"x" * length
    assert (b"content-length", value.strip(b" \t")) in stream.head.headers


def test_a_huge_content_length_is_a_number(parser):
    driver = run(parser, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %b\r\n\r\n" % (b"9" * 18))
    assert driver.streams[0].received.content_length == 10**18 - 1
    assert not driver.streams[0].ended


# --- Transfer-Encoding (RFC 9112 §6.1, §6.3, §7) ----------------------------------------------

SMUGGLED = b"0\r\n\r\n"


@pytest.mark.parametrize(
    "fields",
    cases(
        [
            b"Content-Length: 5\r\nTransfer-Encoding: chunked",
            b"Transfer-Encoding: chunked\r\nContent-Length: 5",
            b"Transfer-Encoding: chunked\r\nContent-Length: 0",
            b"Content-Length: 5\r\nTransfer-Encoding: identity",
            b"Content-Length: 5\r\nTransfer-Encoding: gzip, chunked",
            b"Content-Length: 5\r\nTransfer-Encoding:",
            b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\nUpgrade: a\r\nConnection: upgrade",
        ]
    ),
)
def test_content_length_with_transfer_encoding_is_400(parser, fields):
    """RFC 9112 §6.1: ought to be handled as an error: CL.TE and TE.CL smuggling."""
    assert_refused(parser, b"POST / HTTP/1.1\r\nHost: a\r\n%b\r\n\r\n" % fields + SMUGGLED, 400)


@pytest.mark.parametrize("value", cases([b"chunked", b"identity", b"gzip, chunked", b""]))
def test_transfer_encoding_on_http_1_0_is_400(parser, value):
    """RFC 9112 §6.1: faulty framing, even if the coding is known."""
    head = b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: %b\r\n\r\n" % value
    assert_refused(parser, head + SMUGGLED, 400)


# The obfuscations that made front and back end disagree, CVE-2019-18277 (HAProxy) and its kin.
MALFORMED_CODINGS = [
    b"",
    b"identity",
    b"gzip",
    b"xchunked",
    b"chunkedx",
    b"x chunked",
    b"chunked x",
    b"chunk",
    b"cHuNkEd chunked",
    b"chunked, identity",
    b"chunked, gzip",
    b"chunked, chunked",
    b"gzip, chunked, chunked",
    b"chunked;q=1",
    b"chunked;",
    b"chunked,",
    b",chunked",
    b"gzip,,chunked",
    b'"chunked"',
    b"'chunked'",
    b"\x0bchunked",
    b"\x0cchunked",
    b"chunked\x0b",
    b"chunked\x00",
    b"\x00chunked",
    b"chunked\x7f",
    b"\xa0chunked",
    b"chunked\x85",
    b"\r\n chunked",
    b"chunked\r\nTransfer-Encoding: chunked",
    b"chunked\r\nTransfer-Encoding: identity",
    b"identity\r\nTransfer-Encoding: identity",
    b"\r\nTransfer-Encoding: chunked",
    b"identity\r\nConnection: upgrade\r\nUpgrade: foo",
    b"gzip\r\nConnection: Upgrade\r\nUpgrade: h2c",
]


@pytest.mark.parametrize("value", cases(MALFORMED_CODINGS))
def test_transfer_encoding_that_does_not_end_in_one_chunked_is_400(parser, value):
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: %b\r\n\r\n" % value
    assert_refused(parser, head + SMUGGLED, 400)


@pytest.mark.parametrize(
    "value",
    cases(
        [
            b"gzip, chunked",
            b"gzip,deflate\t,\tchunked",
            b"identity, chunked",
            b"gzip\r\nTransfer-Encoding: chunked",
            b"foo;a=b, chunked",
            b"gzip, chunked\r\nConnection: upgrade\r\nUpgrade: foo",
        ]
    ),
)
def test_other_codings_before_chunked_are_501(parser, value):
    """RFC 9112 §6.1: 501 for a coding that is not understood; h11 and llhttp do not agree."""
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: %b\r\n\r\n" % value
    assert_refused(parser, head + SMUGGLED, 501)


@pytest.mark.parametrize("value", [b"chunked", b"Chunked", b"CHUNKED", b" \tchunked \t"])
def test_chunked_in_any_case_with_whitespace_around(parser, value):
    head = b"POST / HTTP/1.1\r\nHost: a\r\ntransfer-ENCODING:%b\r\n\r\n" % value
    stream = assert_accepted(parser, head + b"5\r\nhello\r\n0\r\n\r\n")
    assert stream.body == b"hello"
    # As it was sent: h11 would give lower case.
    assert (b"transfer-encoding", value.strip(b" \t")) in stream.head.headers


# --- Host (RFC 9112 §3.2) ---------------------------------------------------------------------

INVALID_HOSTS = [
    b"",
    b" ",
    b":80",
    b"a b",
    b"a\tb",
    b"a, b",
    b"user@a",
    b"user:secret@a",
    b"@a",
    b"a:b",
    b"a:-1",
    b"a:+80",
    b"a: 80",
    b"a :80",
    b"a:80:80",
    b"a:65536",
    b"a:99999",
    b"a:123456",
    b"a:0x50",
    b"a/",
    b"a/b",
    b"a?b",
    b"a#b",
    b"a\\b",
    b"http://a",
    b"a%",
    b"a%4",
    b"a%zz",
    b"a<b>",
    b'"a"',
    b"a|b",
    b"a^b",
    b"a`b",
    b"a{b}",
    b"\xe9.example",
    "\N{IDEOGRAPHIC FULL STOP}".encode(),
    b"::1",
    b"[::1",
    b"::1]",
    b"[]",
    b"[:]",
    b"[::g]",
    b"[::1]]",
    b"[::1]a",
    b"[::1]:b",
    b"[1:2:3:4:5:6:7:8:9]",
    b"[1::2::3]",
    b"[127.0.0.1]",
    b"[fe80::1%25eth0]",
    b"[v1.a]",
    b"a[::1]",
]


@pytest.mark.parametrize("value", cases(INVALID_HOSTS))
def test_invalid_host_is_400(parser, value):
    """RFC 9112 §3.2, on HTTP/1.0 too."""
    assert_refused(parser, b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % value, 400)
    assert_refused(parser, b"GET / HTTP/1.0\r\nHost: %b\r\n\r\n" % value, 400, places=0)
    # An absolute target overrides Host, but does not excuse it.
    assert_refused(parser, b"GET http://b/ HTTP/1.1\r\nHost: %b\r\n\r\n" % value, 400, places=0)


@pytest.mark.parametrize(
    "fields",
    cases(
        [
            b"X: y",
            b"Host: a\r\nHost: a",
            b"Host: a\r\nHost: b",
            b"Host: a\r\nX: y\r\nhost: a",
            b"Hos: a",
            b"Host: a\r\nHost:",
        ]
    ),
)
@pytest.mark.parametrize("target", [b"/", b"http://b/", b"*"])
def test_missing_or_repeated_host_is_400(parser, fields, target):
    assert_refused(parser, b"OPTIONS %b HTTP/1.1\r\n%b\r\n\r\n" % (target, fields), 400)


def test_no_field_at_all_lacks_host(parser):
    assert_refused(parser, b"GET / HTTP/1.1\r\n\r\n", 400)


VALID_HOSTS = [
    b"a",
    b"A.Example",
    b"a:",
    b"a:0",
    b"a:65535",
    b"1.2.3.4:80",
    b"[::1]",
    b"[::1]:80",
    b"[::]",
    b"[1:2:3:4:5:6:7:8]",
    b"[::FFFF:1.2.3.4]",
    b"a_b",
    b"%41",
    b"a.",
    b"xn--nxasmq6b",
    b"a,b",
]


@pytest.mark.parametrize("value", VALID_HOSTS)
def test_valid_host(parser, value):
    stream = assert_accepted(parser, b"GET / HTTP/1.1\r\nHost:%b\r\n\r\n" % value)
    assert stream.head.authority == value


def test_http_1_0_needs_no_host(parser):
    driver = run(parser, b"GET / HTTP/1.0\r\n\r\n")
    assert driver.streams[0].head.authority == b""
    assert driver.streams[0].head.version == "1.0"
    assert [answer.status for answer in driver.answers()] == [200]


# --- Expect (RFC 9110 §10.1.1) ----------------------------------------------------------------


@pytest.mark.parametrize("value", cases([b"", b"200-ok", b"100-continue, foo", b"100-continue;a"]))
def test_other_expectations_are_417(parser, value):
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: %b\r\n\r\nhello" % value
    assert_refused(parser, head, 417)


def test_faulty_framing_comes_before_an_expectation(parser):
    head = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: x\r\nTransfer-Encoding: chunked, x\r\n\r\n"
    assert_refused(parser, head, 400)


# --- sizes (RFC 9110 §15.5.15, RFC 6585 §5) ---------------------------------------------------


def test_long_targets_are_414(parser):
    for size in (65, 66, 127, 128, 129, 500):
        line = b"GET /%b HTTP/1.1" % (b"a" * (size - 1))
        assert_refused(parser, line + HOST, 414, SMALL, places=60)
    target = b"/" + b"a" * 63
    driver = run(parser, bytewise(b"GET %b HTTP/1.1" % target + HOST), SMALL)
    assert driver.streams[0].head.target == target


def test_a_target_without_end_is_414_while_it_comes(parser):
    """Byte by byte it was 400 once, because method and spaces were not counted alike."""
    assert_refused(parser, b"GET /" + b"a" * 500, 414, SMALL, places=60)
    driver = Driver(parser, SMALL).feed(b"GET /" + b"a" * 123)
    assert driver.terminated is None
    assert driver.feed(b"a").terminated.status == 414


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"FOO /%b HTTP/1.1" % (b"a" * 100), 414),
        (b"CONNECT %b:443 HTTP/1.1" % (b"a" * 100), 414),
        (b"GET /%b HTTP/2.0" % (b"a" * 100), 414),
        (b"FOO /%b HTTP/1.1" % (b"a" * 300), 414),
        # RFC 9112 §3: a method longer than any known one is not implemented.
        (b"F" * 300 + b" / HTTP/1.1", 501),
        (b"F" * 100 + b" / HTTP/1.1", 501),
        (b"(" + b"F" * 300 + b" / HTTP/1.1", 400),
        (b"F" * 100 + b"(" + b"F" * 200 + b" / HTTP/1.1", 400),
        # What is wrong first is answered.
        (b"GET /\r%b HTTP/1.1" % (b"a" * 300), 400),
        (b"GET /\n%b HTTP/1.1" % (b"a" * 300), 400),
        (b"GET /%b\r%b HTTP/1.1" % (b"a" * 100, b"a" * 100), 400),
        (b"GET /%b\n%b HTTP/1.1" % (b"a" * 200, b"a" * 100), 414),
        (b"GET /%b\x00 HTTP/1.1" % (b"a" * 20), 400),
        # Within the room for the line, what it says is judged when it is whole.
        (b"GET /%b\x00 HTTP/1.1" % (b"a" * 80), 400),
        (b"GET /%b\x00 HTTP/1.1" % (b"a" * 180), 414),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_several_faults_in_a_long_line(parser, line, status):
    assert_refused(parser, line + HOST, status, SMALL, places=60)


def test_large_header_sections_are_431(parser):
    for size in (350, 385, 386, 1000):
        head = b"GET / HTTP/1.1\r\nHost: a\r\nX: %b\r\n\r\n" % (b"y" * size)
        assert_refused(parser, head, 431, SMALL, places=60)
        endless = b"GET / HTTP/1.1\r\nHost: a\r\nX: %b" % (b"y" * (size + 50))
        assert_refused(parser, endless, 431, SMALL, places=60)


def test_a_header_section_up_to_its_limit_is_fine(parser):
    """Whatever the length of the target: it has a limit of its own."""
    for target in (b"/", b"/" + b"a" * 63):
        assert_accepted(
            parser,
            b"GET %b HTTP/1.1\r\nHost: a\r\nX: %b\r\n\r\n" % (target, b"y" * 240),
            SMALL,
        )


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (b"X: %b\nY: z" % (b"y" * 340), 400),  # within the limit of all: the LF comes first
        (b"X: %b\nY: z" % (b"y" * 500), 431),
        (b"X: y\nY: %b" % (b"y" * 500), 400),
        (b"X: y\rY: %b" % (b"y" * 500), 400),
        (b"X y: %b" % (b"y" * 500), 431),
        (b"X: y\x00%b" % (b"y" * 500), 431),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_several_faults_in_a_large_section(parser, fields, status):
    head = b"GET / HTTP/1.1\r\nHost: a\r\n%b\r\n\r\n" % fields
    assert_refused(parser, head, status, SMALL, places=60)


def test_too_many_fields_are_431(parser):
    def head(count):
        lines = b"".join(b"X%d: y\r\n" % index for index in range(count))
        return b"GET / HTTP/1.1\r\nHost: a\r\n%b\r\n" % lines

    assert_accepted(parser, head(4), SMALL)
    assert_refused(parser, head(5), 431, SMALL)
    assert_refused(parser, head(12), 431, SMALL)


def test_a_fault_of_the_fields_and_too_many_of_them_is_one_answer_for_both_parsers(parser):
    """llhttp refuses what h11 does not and the other way round; the guard says which status."""
    many = b"".join(b"X%d: y\r\n" % index for index in range(8))
    repeated = b"Content-Length: 5\r\nContent-Length: 5\r\n"
    coding = b"Transfer-Encoding: gzip, chunked\r\n"
    for fields in (many + repeated, many + coding, repeated + many):
        assert_refused(parser, b"GET / HTTP/1.1\r\nHost: a\r\n%b\r\n" % fields, 431, SMALL)
    malformed = many + b"X (: y\r\n"
    assert_refused(parser, b"GET / HTTP/1.1\r\nHost: a\r\n%b\r\n" % malformed, 400, SMALL)


def test_default_limits(parser):
    """At least what RFC 9110 §4.1 recommends: 8000 octets of target."""
    limits = Limits()
    target = b"/" + b"a" * (limits.max_target - 1)
    assert len(run(parser, b"GET %b HTTP/1.1" % target + HOST).streams) == 1
    assert run(parser, b"GET %ba HTTP/1.1" % target + HOST).terminated.status == 414
    big = b"GET / HTTP/1.1\r\nHost: a\r\nX: %b\r\n\r\n"
    assert len(run(parser, big % (b"y" * 32_700)).streams) == 1
    assert run(parser, big % (b"y" * 32_900)).terminated.status == 431
    many = b"".join(b"X%d: y\r\n" % index for index in range(100))
    assert run(parser, b"GET / HTTP/1.1\r\nHost: a\r\n%b\r\n" % many).terminated.status == 431


# --- the answer itself ------------------------------------------------------------------------


def test_a_refused_head_request_gets_no_body(parser):
    """RFC 9110 §9.3.2: the client would take it for its next answer."""
    for head in (
        b"HEAD / HTTP/1.1\r\n\r\n",
        b"HEAD / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"HEAD / HTTP/1.1\n",
        b"HEAD http: HTTP/1.1\r\n\r\n",
        b"\r\nHEAD / HTTP/2.0\r\n\r\n",
    ):
        for pieces in all_splits(head):
            driver = run(parser, pieces)
            (answer,) = read_answers(driver.output, ["HEAD"], closed=True)
            assert answer.status in (400, 505)
            assert int(answer.values(b"content-length")[0]) > 0


def test_a_refusal_after_an_answer_is_the_last_answer(parser):
    driver = run(parser, GET + b"GET / HTTP/1.1\r\n\r\n" + GET)
    answers = driver.answers()
    assert [answer.status for answer in answers] == [200, 400]
    assert answers[0].values(b"connection") == []
    assert answers[1].values(b"connection") == [b"close"]


def test_a_refusal_says_why_in_plain_text(parser):
    driver = run(parser, b"GET / HTTP/1.1\r\n\r\n")
    (answer,) = driver.answers()
    assert answer.values(b"content-type") == [b"text/plain; charset=utf-8"]
    assert answer.body == b"400 Bad Request: The Host field is missing.\n"
    assert len(answer.values(b"date")) == 1
