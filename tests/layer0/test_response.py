"""Responses: content, header fields, redirects, files, and the conversion of plain values."""

import dataclasses
import errno
import os
import socket
import time
from datetime import UTC, datetime
from enum import Enum
from http import HTTPStatus

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from httpkit import body as body_module
from httpkit.body import FileBody, UnopenedFile
from httpkit.errors import HTTPError, InvalidHeader
from httpkit.headers import Headers, encode_fields
from httpkit.response import Response, Upgrade, open_file, to_response
from httpkit.urls import URL

from .conftest import fuzz, run

TEXT = "text/plain; charset=utf-8"
BINARY = "application/octet-stream"


async def stream():
    yield b"a"
    yield "b"


class AsyncIterableOnly:
    def __aiter__(self):
        return stream()


# --- content -------------------------------------------------------------------------------------


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize(
    ("content", "body", "content_type"),
    [
        (b"", b"", None),
        (None, b"", None),
        ("", b"", TEXT),
        ("é", "é".encode(), TEXT),
        (Text("x"), b"x", TEXT),
        (b"x", b"x", BINARY),
        (bytearray(b"x"), b"x", BINARY),
        (bytearray(), b"", None),
        (memoryview(b"xyz")[::2], b"xz", BINARY),
    ],
)
def test_content_becomes_bytes_with_a_type(content, body, content_type):
    response = Response(content)
    assert response.body == body
    assert type(response.body) is bytes
    assert response.headers.get("content-type") == content_type


def test_content_that_streams(tmp_path):
    (tmp_path / "x").write_bytes(b"x")
    for content in (stream(), AsyncIterableOnly(), FileBody(tmp_path / "x")):
        response = Response(content)
        assert response.body is content
        assert response.headers["content-type"] == BINARY


@pytest.mark.parametrize("content", [5, ["a"], {"a": 1}, iter([b"a"]), object()])
def test_content_of_another_type_is_refused_with_advice(content):
    with pytest.raises(TypeError, match=r"Response\.json"):
        Response(content)


@pytest.mark.parametrize("status", [200, 204, 299, 304, 404, 599, HTTPStatus.CREATED])
def test_rfc9110_15_final_statuses(status):
    assert Response(status=status).status == status


@pytest.mark.parametrize("status", [0, 100, 101, 199, 600, 999, -200])
def test_rfc9110_15_2_interim_statuses_are_no_answer(status):
    with pytest.raises(ValueError, match="200 to 599"):
        Response(status=status)


def test_repr():
    assert repr(Response(status=404)) == "<Response 404>"


# --- header fields -------------------------------------------------------------------------------


def test_headers_are_checked_where_they_are_given():
    for headers in (
        {"x": "a\r\nset-cookie: b"},
        [("x\n", "a")],
        Headers([(b"x", b"a\0")]),
        {"x": 5},
    ):
        with pytest.raises(InvalidHeader):
            Response(headers=headers)
    with pytest.raises(InvalidHeader):
        Response(media_type="a/b\r\nx: y")


def test_repeated_lines_are_kept_by_every_constructor():
    cookies = [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]
    for response in (
        Response("x", headers=cookies),
        Response.text("x", headers=cookies),
        Response.html("x", headers=cookies),
        Response.json(1, headers=cookies),
        Response.redirect("/", headers=cookies),
    ):
        assert response.headers.getlist("set-cookie") == ["a=1", "b=2"]


@pytest.mark.parametrize(
    ("content", "headers", "media_type", "expected"),
    [
        ("x", {"x": "y"}, None, [TEXT]),
        (b"", {"x": "y"}, None, []),
        ("x", {"Content-Type": "a/b"}, None, ["a/b"]),
        ("x", None, "a/b", ["a/b"]),
        ("x", {"Content-Type": "c/d"}, "a/b", ["a/b"]),
        ("x", None, "text/css", ["text/css; charset=utf-8"]),
        ("x", None, "Text/CSS", ["Text/CSS; charset=utf-8"]),
        ("x", None, "text/css;Charset=latin-1", ["text/css;Charset=latin-1"]),
        ("x", None, "text/x-charset", ["text/x-charset; charset=utf-8"]),
        ("x", None, "application/json", ["application/json"]),
    ],
)
def test_rfc9110_8_3_there_is_one_content_type(content, headers, media_type, expected):
    response = Response(content, headers=headers, media_type=media_type)
    assert response.headers.getlist("content-type") == expected


def test_constant_headers_are_shared_until_somebody_changes_them():
    first, second = Response("a"), Response("b")
    assert first.raw_headers is second.raw_headers
    assert type(first.raw_headers) is tuple
    first.headers["content-type"] = "a/b"
    assert first.headers["content-type"] == "a/b"
    assert second.headers["content-type"] == TEXT
    assert first.headers.raw is first.headers.raw


def test_a_response_does_not_share_the_list_it_was_given():
    given_headers = Headers([(b"x", b"1")])
    response = Response(headers=given_headers)
    response.headers["x"] = "2"
    assert given_headers["x"] == "1"


def test_text_html_and_json():
    assert Response.text("a", 201).headers["content-type"] == TEXT
    assert Response.html("<p>").headers["content-type"] == "text/html; charset=utf-8"
    response = Response.json({"a": [1, None, True]}, 202, {"x": "y"})
    assert (response.status, response.body) == (202, b'{"a":[1,null,true]}')
    assert response.headers["content-type"] == "application/json"
    assert Response.json(1, headers={"Content-Type": "application/problem+json"}).headers.getlist(
        "content-type"
    ) == ["application/problem+json"]


# --- redirects (RFC 9110 §15.4, §10.2.2) ---------------------------------------------------------


@pytest.mark.parametrize(
    ("location", "encoded"),
    [
        ("/a?b=c&d=%20#e", "/a?b=c&d=%20#e"),
        ("https://example.org:8080/~x/;a=b", "https://example.org:8080/~x/;a=b"),
        ("http://[::1]/", "http://[::1]/"),
        ("/a b/é", "/a%20b/%C3%A9"),
        ("https://bücher.example/", "https://b%C3%BCcher.example/"),
        ("/a\r\nSet-Cookie: x=1", "/a%0D%0ASet-Cookie:%20x=1"),
        ("/\0\x7f\t", "/%00%7F%09"),
        ("\\\\evil.example", "%5C%5Cevil.example"),
        ('/"<>^`{|}', "/%22%3C%3E%5E%60%7B%7C%7D"),
        ("/\u2028\u0130", "/%E2%80%A8%C4%B0"),
        (" /x ", "%20/x%20"),
        ("", ""),
    ],
)
def test_rfc3986_2_a_location_is_a_uri_reference(location, encoded):
    assert Response.redirect(location).headers.getlist("location") == [encoded]


@fuzz
@given(st.text(st.characters(codec="utf-8")))
def test_cr_and_lf_never_pass(location):
    value = Response.redirect(location).headers["location"]
    assert value.isascii()
    assert not any(c <= " " or c == "\x7f" for c in value)


def test_a_location_with_half_a_character_is_refused():
    with pytest.raises(ValueError):
        Response.redirect("/\ud800")


def test_a_redirect_takes_a_url():
    url = URL("https", "example.org", "/a%20b", "c=d")
    assert Response.redirect(url).headers["location"] == "https://example.org/a%20b?c=d"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_rfc9110_15_4_statuses_that_redirect(status):
    response = Response.redirect("/", status, {"x": "y"})
    assert (response.status, response.body, response.headers["x"]) == (status, b"", "y")


@pytest.mark.parametrize("status", [200, 300, 304, 305, 306, 404])
def test_rfc9110_15_4_statuses_that_do_not(status):
    with pytest.raises(ValueError, match="does not redirect"):
        Response.redirect("/", status)


def test_a_post_is_followed_by_a_get():
    assert Response.redirect("/").status == 303


def test_the_location_of_the_headers_gives_way():
    response = Response.redirect("/a", headers={"Location": "/b"})
    assert response.headers.getlist("location") == ["/a"]


# --- files ---------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "page.html"
    path.write_bytes(b"<p>")
    return path


def test_a_file(path):
    response = open_file(Response.file(path))
    assert isinstance(response.body, FileBody)
    assert response.body.length == 3
    assert response.raw_headers == [(b"content-type", b"text/html; charset=utf-8")]


def test_a_file_is_not_looked_at_before_it_is_opened(path):
    response = Response.file(path)
    path.write_bytes(b"<p>later")
    assert open_file(response).body.length == 8


def test_an_answer_that_is_kept_can_be_opened_many_times(path):
    kept = Response.file(path)
    kept.add_background(print)
    first, second = open_file(kept), open_file(kept)
    assert first.body is not second.body
    first.headers["x"] = "1"
    first.add_background(print)
    assert "x" not in second.headers
    assert "x" not in kept.headers
    assert len(second.background) == len(kept.background) == 1
    assert open_file(Response(UnopenedFile(path))).headers["content-type"] == BINARY


@pytest.mark.parametrize(
    ("options", "content_type"),
    [
        ({"media_type": "a/b"}, "a/b"),
        ({"headers": {"Content-Type": "a/b"}}, "a/b"),
        ({"headers": {"Content-Type": "c/d"}, "media_type": "a/b"}, "a/b"),
        ({"filename": "x.png"}, "image/png"),
        ({"filename": "x.tar.gz"}, "application/gzip"),
        ({"headers": {"x": "y"}}, "text/html; charset=utf-8"),
    ],
)
def test_a_file_has_one_content_type(path, options, content_type):
    assert Response.file(path, **options).headers.getlist("content-type") == [content_type]


@pytest.mark.parametrize(
    ("options", "disposition"),
    [
        ({}, None),
        ({"filename": "a.txt"}, 'attachment; filename="a.txt"'),
        ({"filename": "a.txt", "inline": True}, 'inline; filename="a.txt"'),
        ({"inline": True}, "inline"),
    ],
)
def test_rfc6266_a_file_to_save_or_to_show(path, options, disposition):
    assert Response.file(str(path), **options).headers.get("content-disposition") == disposition


def make_fifo(path):
    os.mkfifo(path)


def make_socket(path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def make_loop(path):
    os.symlink(path, path)


def make_device(path):
    os.symlink(os.devnull, path)


@pytest.mark.parametrize("make", [os.mkdir, make_fifo, make_socket, make_loop, make_device])
def test_what_is_no_regular_file_is_404(tmp_path, make):
    path = tmp_path / "x"
    make(path)
    with pytest.raises(HTTPError) as caught:
        open_file(Response.file(path))
    assert caught.value.status == 404


@pytest.mark.parametrize("name", ["nope", "page.html/x", "a\0b", "x" * 5000, "a\ud800"])
def test_a_path_without_a_file_is_404(tmp_path, path, name):
    with pytest.raises(HTTPError) as caught:
        open_file(Response.file(f"{tmp_path}/{name}"))
    assert caught.value.status == 404


@pytest.mark.parametrize(
    ("number", "expected"),
    [(errno.EACCES, HTTPError), (errno.EIO, OSError), (errno.EMFILE, OSError)],
)
def test_a_file_that_may_not_be_read_is_404_and_a_broken_disk_is_not(monkeypatch, number, expected):
    def refuse(path):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(body_module, "FileBody", refuse)
    with pytest.raises(expected):
        open_file(Response.file("x"))


# --- cookies, background, trailers, upgrades -----------------------------------------------------


def test_cookies_are_lines_of_their_own():
    response = Response("x")
    response.set_cookie("a", "1")
    response.set_cookie("b", "2", max_age=5, secure=True, httponly=False, samesite="strict")
    assert response.headers.getlist("set-cookie") == [
        "a=1; Path=/; HttpOnly; SameSite=Lax",
        "b=2; Path=/; Max-Age=5; Secure; SameSite=Strict",
    ]
    with pytest.raises(InvalidHeader):
        response.set_cookie("a", "\r\n")


@pytest.fixture
def new_york(monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_a_deleted_cookie_ends_at_the_epoch_in_every_time_zone(new_york):
    response = Response()
    response.delete_cookie("a", path="/x", domain="example.org")
    assert response.headers["set-cookie"] == (
        "a=; Path=/x; Domain=example.org; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; "
        "HttpOnly; SameSite=Lax"
    )


def test_a_cookie_of_a_partition_can_be_deleted():
    response = Response()
    response.delete_cookie("__Host-a", secure=True, samesite="none", partitioned=True)
    assert response.headers["set-cookie"].endswith("Secure; HttpOnly; SameSite=None; Partitioned")


def test_background_calls_are_kept_in_order():
    calls = []
    response = Response("x", background=lambda: calls.append(1))
    response.add_background(calls.append, 2)
    response.add_background(lambda *, n: calls.append(n), n=3)
    for call in response.background:
        call()
    assert calls == [1, 2, 3]
    response = Response("x")
    assert response.background is None
    response.add_background(calls.append, 4)
    assert len(response.background) == 1


def test_the_result_of_a_call_is_no_background_call():
    """Refused in the handler that has the mistake: nobody sees where a background call is from."""

    async def send_mail():
        pass

    response, called = Response("x"), send_mail()
    with pytest.raises(TypeError, match="give it and its arguments, not coroutine"):
        response.add_background(called)
    with pytest.raises(TypeError, match="give it and its arguments, not coroutine"):
        Response("x", background=called)
    called.close()
    assert response.background is None


def test_trailers_are_kept():
    assert Response("x", trailers={"a": "1"}).trailers == {"a": "1"}


def test_rfc9110_7_8_an_upgrade():
    async def session(raw):
        return None

    upgrade = Upgrade("websocket", session, {"sec-websocket-accept": "x"})
    assert (upgrade.status, upgrade.protocol, upgrade.session) == (101, b"websocket", session)
    assert upgrade.headers["sec-websocket-accept"] == "x"
    assert repr(upgrade) == "<Upgrade 101>"
    with pytest.raises(InvalidHeader):
        Upgrade("a\r\nb", session)


def test_an_upgrade_may_be_subclassed():
    class Chat(Upgrade):
        pass

    assert Chat("chat", lambda raw: None).status == 101


# --- what handlers return ------------------------------------------------------------------------


@dataclasses.dataclass
class Point:
    x: int


class Struct(msgspec.Struct):
    when: datetime


class Color(Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "status", "body", "content_type"),
    [
        ("a", 200, b"a", TEXT),
        (Text("a"), 200, b"a", TEXT),
        ("", 200, b"", TEXT),
        (b"a", 200, b"a", BINARY),
        (bytearray(b"a"), 200, b"a", BINARY),
        (memoryview(b"a"), 200, b"a", BINARY),
        (None, 204, b"", None),
        ({"a": 1}, 200, b'{"a":1}', "application/json"),
        ([], 200, b"[]", "application/json"),
        ((1, 2), 200, b"[1,2]", "application/json"),
        (5, 200, b"5", "application/json"),
        (False, 200, b"false", "application/json"),
        (Point(1), 200, b'{"x":1}', "application/json"),
        (
            Struct(datetime(2026, 1, 1, tzinfo=UTC)),
            200,
            b'{"when":"2026-01-01T00:00:00Z"}',
            "application/json",
        ),
        (Color.RED, 200, b'"red"', "application/json"),
    ],
)
def test_to_response(value, status, body, content_type):
    response = to_response(value)
    assert (response.status, response.body) == (status, body)
    assert response.headers.get("content-type") == content_type
    encode_fields(response.headers)


def test_to_response_leaves_responses_and_streams_alone(path):
    response = Response("x")
    assert to_response(response) is response
    for value in (stream(), AsyncIterableOnly(), FileBody(path)):
        assert to_response(value).body is value


@pytest.mark.parametrize("value", [object(), HTTPError(404), {"a": object()}, iter([1]), Response])
def test_to_response_refuses_what_nobody_can_encode(value):
    with pytest.raises(TypeError):
        to_response(value)


def test_who_returns_what_makes_no_answer_is_told_so():
    with pytest.raises(TypeError, match="a handler has returned 'object', which makes no answer"):
        to_response(object())


def test_a_forgotten_await_is_a_type_error():
    async def handler():
        return None

    coroutine = handler()
    with pytest.raises(TypeError):
        to_response(coroutine)
    run(coroutine)
