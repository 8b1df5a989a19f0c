"""Heads of answers as bytes, and the memo of those that are constant."""

import pytest

from httpkit.errors import InvalidHeader, LocalProtocolError
from httpkit.protocol.http1 import serialize
from httpkit.protocol.http1.serialize import (
    CLOSE,
    PLAIN,
    Preamble,
    serialize_fields,
    serialize_head,
)
from httpkit.protocol.outgoing import OutgoingFields
from httpkit.response import Response


def constant(*fields, status=200):
    response = Response(b"", status)
    response.raw_headers = tuple(fields)
    return response


def test_preamble():
    preamble = Preamble(b"today", b"me", 7.9)
    assert preamble.server == b"server: me\r\n"
    assert preamble.date == b"date: today\r\n"
    assert preamble.keep_alive == b"connection: keep-alive\r\nkeep-alive: timeout=7\r\n"
    assert Preamble(b"today", b"").server == b""


def test_a_server_name_that_would_break_messages_is_refused_at_start():
    with pytest.raises(InvalidHeader):
        Preamble(b"today", b"me\r\nX: y")


def test_serialize_head():
    preamble = Preamble(b"today", b"me")
    fields = OutgoingFields([(b"X", b"y"), (b"content-length", b"5")])
    assert serialize_head(preamble, 200, fields, CLOSE) == (
        b"HTTP/1.1 200 OK\r\ndate: today\r\nserver: me\r\nconnection: close\r\nx: y\r\n"
    )
    own = OutgoingFields([(b"date", b"d"), (b"server", b"s")])
    assert serialize_head(preamble, 299, own, PLAIN) == b"HTTP/1.1 299 \r\ndate: d\r\nserver: s\r\n"
    assert serialize_fields([]) == b""
    assert serialize_fields([(b"a", b""), (b"b", b"c")]) == b"a: \r\nb: c\r\n"


def test_constant_heads_are_made_for_each_status_and_connection():
    preamble = Preamble(b"today", b"", keep_alive=5)
    response = constant((b"x", b"y"))
    head = preamble.make_head(response, asked=False)
    assert head == b"HTTP/1.1 200 OK\r\ndate: today\r\nx: y\r\ncontent-length: "
    assert preamble.heads == {(200, ((b"x", b"y"),)): head}
    assert b"keep-alive: timeout=5\r\n" in preamble.make_head(response, asked=True)
    assert preamble.make_head(constant((b"x", b"y"), status=404), asked=False) != head
    assert len(preamble.heads) == 2
    assert len(preamble.asked_heads) == 1


@pytest.mark.parametrize("status", [204, 205, 304])
def test_answers_without_content_are_left_to_the_slow_road(status):
    preamble = Preamble(b"today")
    assert preamble.make_head(constant(status=status), asked=False) == b""


def test_a_new_date_drops_the_memo():
    preamble = Preamble(b"today")
    response = constant((b"x", b"y"))
    assert b"today" in preamble.make_head(response, asked=False)
    preamble.refresh(b"tomorrow")
    assert preamble.heads == {}
    assert b"date: tomorrow\r\n" in preamble.make_head(response, asked=False)


def test_the_memo_is_bounded(monkeypatch):
    monkeypatch.setattr(serialize, "_MAX_MEMO", 8)
    preamble = Preamble(b"today")
    for number in range(50):
        preamble.make_head(constant((b"x", b"%d" % number)), asked=False)
        assert len(preamble.heads) <= 8


def test_heads_that_depend_on_the_answer_are_left_to_the_slow_road():
    preamble = Preamble(b"today")
    for _ in range(2):
        assert preamble.make_head(constant((b"connection", b"a, close")), asked=False) == b""
        assert preamble.make_head(constant((b"content-length", b"5")), asked=False) == b""
    assert preamble.make_head(constant((b"connection", b"keep-alive")), asked=False)


def test_what_is_refused_is_not_remembered():
    preamble = Preamble(b"today")
    for _ in range(2):
        with pytest.raises(InvalidHeader):
            preamble.make_head(constant((b"x", b"a\nb")), asked=False)
        bad = constant()
        bad.status = 100
        with pytest.raises(LocalProtocolError):
            preamble.make_head(bad, asked=False)
    assert preamble.heads == {}
