"""The parsers alone: that they fail the same way if a guard ever lets too much through."""

import pytest

from httpkit.errors import ConfigurationError, RemoteProtocolError
from httpkit.protocol import http1
from httpkit.protocol.engine import Close
from httpkit.protocol.http1 import HTTP1Engine, Preamble, choose_parser
from httpkit.protocol.http1.native import HttptoolsParser
from httpkit.protocol.http1.reference import H11Parser
from httpkit.response import Response

from .driver import DATE, DEFAULT

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\n%b\r\n"
CHUNKED = HEAD % b"Transfer-Encoding: chunked\r\n"


@pytest.fixture
def library(parser):
    return choose_parser(parser)()


def test_malformed_heads(library):
    for fields in (b"X\r\n", b"X y: z\r\n", b"Content-Length: x\r\n", b"Transfer-Encoding: x\r\n"):
        with pytest.raises(RemoteProtocolError):
            type(library)().parse_head(HEAD % fields)


def test_unknown_coding_beside_an_upgrade(library):
    """llhttp does not look at the coding where it expects no body."""
    fields = b"Connection: upgrade\r\nUpgrade: a\r\nTransfer-Encoding: x\r\n"
    with pytest.raises(RemoteProtocolError):
        library.parse_head(HEAD % fields)


def test_malformed_bodies(library):
    library.parse_head(CHUNKED)
    assert library.parse_body(b"5\r\nhello\r\n") == b"hello"
    with pytest.raises(RemoteProtocolError):
        library.parse_body(b"nonsense\r\n")


def test_several_chunks_and_trailers(library):
    for _ in range(2):
        library.parse_head(CHUNKED)
        assert library.parse_body(b"5\r\nhello\r\n1;a=b\r\n!\r\n3\r\nab") == b"hello!ab"
        assert library.parse_body(b"c\r\n0\r\n") == b"c"
        assert library.parse_body(b"X: \t y \t\r\nX:z\r\n\r\n") == b""
        assert library.trailers() == [(b"x", b"y"), (b"x", b"z")]


def test_no_trailers(library):
    library.parse_head(CHUNKED)
    assert library.parse_body(b"1\r\na\r\n0\r\n\r\n") == b"a"
    assert library.trailers() == []


def test_bodies_by_length(library):
    for _ in range(2):
        library.parse_head(HEAD % b"Content-Length: 5\r\n")
        assert library.parse_body(b"he") == b"he"
        assert library.parse_body(b"llo") == b"llo"
        assert library.trailers() == []


def test_blanks_around_values_without_quadratic_work(library):
    """A long run of blanks inside a value must not be tried from each of its places."""
    value = b"a" + b" " * 1_000_000 + b"b"
    fields = library.parse_head(HEAD % (b"X: %b\r\nY: c \t \r\n" % value))
    assert fields == [(b"host", b"a"), (b"x", value), (b"y", b"c")]


def test_an_incomplete_head_is_refused_by_the_reference():
    """The guard gives whole heads only; httptools would wait in silence."""
    with pytest.raises(RemoteProtocolError, match="incomplete"):
        H11Parser().parse_head(b"GET / HTTP/1.1\r\n")


@pytest.mark.parametrize("answered", [False, True])
def test_a_body_that_only_the_parser_refuses_is_refused(answered):
    """No such bytes are known; were there any, the engine must not pass them on."""

    class Fussy(H11Parser):
        def parse_body(self, raw):
            raise RemoteProtocolError("The body is malformed.")

    engine = HTTP1Engine(Fussy(), DEFAULT, Preamble(DATE))
    engine.receive_data(CHUNKED)
    if answered:
        engine.send_response(1, Response("early"))
        engine.data_to_send()
    events = engine.receive_data(b"1\r\na\r\n")
    assert events[-1].error.status == 400
    assert events[-1].status == (None if answered else 400)
    assert engine.has_more_to_send is not answered
    assert engine.close is Close.LINGER


def test_names(library, parser):
    assert library.name == parser
    assert choose_parser(parser).name == parser


def test_choice():
    assert choose_parser("auto") is HttptoolsParser
    assert choose_parser("native") is HttptoolsParser
    assert choose_parser("reference") is H11Parser


def test_choice_without_httptools(monkeypatch):
    monkeypatch.setattr(http1, "HttptoolsParser", None)
    assert choose_parser("auto") is H11Parser
    assert choose_parser("reference") is H11Parser
    with pytest.raises(ConfigurationError, match=r"httpkit\[fast\]"):
        choose_parser("native")
