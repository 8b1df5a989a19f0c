"""Conditional answers: `Conditional` and `Request.check` (RFC 9110 §13)."""

import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from httpkit import App, FileBody, HTTPError, Request, Response
from httpkit.middleware import Conditional, ResponseCache
from httpkit.semantics.dates import format_http_date
from tests.app.conftest import ask, ask_with, make_request

MODIFIED = 784_111_777.0
DATE = format_http_date(MODIFIED)


def app_of(answer, **options):
    app = App(middleware=[Conditional(clock=lambda: MODIFIED)])
    app.get("/", **options)(answer if callable(answer) else lambda request: answer)
    return app


def fields(response):
    return dict(response.headers.pairs())


# --- Conditional ---------------------------------------------------------------------------------


def test_an_answer_gets_a_strong_tag_of_its_body():
    app = app_of("hello")
    tag = ask(app).headers["etag"]
    assert tag.startswith('"')
    assert ask(app).headers["etag"] == tag
    assert ask(app_of("hallo")).headers["etag"] != tag


def test_rfc9110_8_8_1_equal_bytes_of_another_type_or_coding_have_another_tag():
    variants = [
        {"content-type": "text/html"},
        {"content-type": "text/plain"},
        {"content-type": "text/plain", "content-language": "de"},
        {"content-type": "text/plain", "content-encoding": "x"},
    ]
    tags = {ask(app_of(Response(b"1", headers=each))).headers["etag"] for each in variants}
    assert len(tags) == len(variants)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_rfc9110_15_4_5_a_304_has_what_it_must_have_and_no_metadata_else(method):
    given = Response(
        b"body",
        headers=[
            ("content-type", "text/plain"),
            ("content-language", "de"),
            ("content-location", "/de"),
            ("cache-control", "max-age=5"),
            ("date", DATE),
            ("etag", '"1"'),
            ("expires", DATE),
            ("last-modified", DATE),
            ("vary", "accept-language"),
            ("set-cookie", "a=b"),
        ],
    )
    response = ask(app_of(given), method, "/", ("if-none-match", 'W/"1"'))
    assert response.status == 304
    assert response.body == b""
    assert fields(response) == {
        "content-location": "/de",
        "cache-control": "max-age=5",
        "date": DATE,
        "etag": '"1"',
        "expires": DATE,
        "vary": "accept-language",
        "set-cookie": "a=b",
    }
    assert given.status == 200  # an application may keep its answer
    assert len(given.headers) == 10


def test_rfc9110_13_2_2_a_tag_counts_before_a_date():
    app = app_of(Response("x", headers={"last-modified": DATE}))
    assert ask(app, "GET", "/", ("if-modified-since", DATE)).status == 304
    other = (("if-none-match", '"other"'), ("if-modified-since", DATE))
    assert ask(app, "GET", "/", *other).status == 200


def test_without_a_tag_the_304_has_the_date():
    given = Response(b"", headers={"last-modified": DATE})
    response = ask(app_of(given), "GET", "/", ("if-modified-since", DATE))
    assert (response.status, fields(response)) == (304, {"last-modified": DATE})


def test_rfc9110_13_1_1_a_read_may_fail_too():
    assert ask(app_of("x"), "GET", "/", ("if-match", '"other"')).status == 412


def test_head_agrees_with_get():
    app = app_of("hello")
    get, head = ask(app), ask(app, "HEAD")
    assert fields(get) == fields(head)


def test_a_handler_for_head_alone_gets_no_tag_of_nothing():
    app = App(middleware=[Conditional()])
    app.head("/")(lambda request: Response(b"", headers={"content-length": "5"}))
    assert "etag" not in ask(app, "HEAD").headers


@pytest.mark.parametrize("status", [201, 203, 301, 404, 500])
def test_rfc9110_13_2_1_only_a_200_is_conditional(status):
    given = Response("x", status, {"etag": '"1"'})
    assert ask(app_of(given), "GET", "/", ("if-none-match", '"1"')).status == status


def test_other_methods_pass():
    app = App(middleware=[Conditional()])
    app.post("/")(lambda request: "done")
    response = ask(app, "POST", "/", ("if-none-match", "*"))
    assert (response.status, "etag" in response.headers) == (200, False)


def test_streams_pass_untouched():
    async def stream(request: Request) -> AsyncIterator[str]:
        yield "x"

    response = ask(app_of(stream), "GET", "/", ("if-none-match", "*"))
    assert response.status == 200
    assert "etag" not in response.headers


def test_a_file_has_the_date_of_its_change_and_a_tag_and_is_closed(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x")
    os.utime(path, (MODIFIED - 10, MODIFIED - 10))
    bodies = []

    def send(request: Request) -> Response:
        bodies.append(FileBody(path))
        return Response(bodies[-1])

    app = app_of(send)
    headers = ask(app).headers
    assert headers["etag"] == f'"1-{path.stat().st_mtime_ns:x}"'
    date = headers["last-modified"]
    assert date == format_http_date(path.stat().st_mtime)
    assert bodies[-1].fd >= 0
    assert ask(app, "GET", "/", ("if-modified-since", date)).status == 304
    assert bodies[-1].fd == -1
    assert ask(app, "GET", "/", ("if-match", '"x"')).status == 412
    assert bodies[-1].fd == -1
    os.utime(path, (MODIFIED - 1, MODIFIED - 1))
    assert ask(app).headers["etag"].startswith("W/")  # it may be changed again in the same tick


# --- Request.check -------------------------------------------------------------------------------


class Notes:
    """One note with a version, and how often it was rendered and changed."""

    def __init__(self):
        self.version = "1"
        self.exists = True
        self.rendered = 0
        self.changed = 0

    def app(self, **options):
        app = App(**options)

        @app.get("/")
        async def show(request: Request) -> Response | str:
            answer = request.check(etag=self.version, last_modified=MODIFIED)
            if answer is not None:
                return answer
            self.rendered += 1
            return "note"

        @app.put("/")
        async def change(request: Request) -> str:
            assert request.check(etag=self.version, exists=self.exists) is None
            self.changed += 1
            return "changed"

        return app


def test_a_handler_answers_304_before_it_computes_anything():
    notes = Notes()
    app = notes.app(middleware=[Conditional()])
    response = ask(app)
    assert (response.headers["etag"], response.headers["last-modified"]) == ('"1"', DATE)
    assert notes.rendered == 1
    response = ask(app, "GET", "/", ("if-none-match", response.headers["etag"]))
    assert (response.status, fields(response)) == (304, {"etag": '"1"'})
    assert notes.rendered == 1
    notes.version = "2"
    assert ask(app, "GET", "/", ("if-none-match", '"1"')).status == 200


def test_a_lost_update_is_412_and_changes_nothing():
    notes = Notes()
    app = notes.app()
    assert ask(app, "PUT", "/", ("if-match", '"0"')).status == 412
    assert ask(app, "PUT", "/", ("if-none-match", "*")).status == 412
    assert notes.changed == 0
    assert ask(app, "PUT", "/", ("if-match", '"1"')).status == 200
    notes.exists = False
    assert ask(app, "PUT", "/", ("if-none-match", "*")).status == 200
    assert ask(app, "PUT", "/", ("if-match", "*")).status == 412
    assert notes.changed == 2


def test_a_tag_is_the_checked_one_though_the_handler_got_other_fields():
    async def without_cookies(request, next):
        return await next(request.replace_headers([("accept", "*/*")]))

    app = Notes().app(middleware=[Conditional(), without_cookies])
    assert ask(app).headers["etag"] == '"1"'


def test_a_stale_answer_has_its_own_validators_and_not_those_of_the_error():
    def handler(request):
        if request.headers.get("if-none-match") is None:
            request.check(etag="1")
            return Response("old", headers={"cache-control": "max-age=0, stale-if-error=60"})
        request.check(etag="2", last_modified=MODIFIED)
        raise HTTPError(503)

    app = App(middleware=[Conditional(), ResponseCache()])
    app.get("/")(handler)
    ask(app)
    response = ask(app)
    assert (response.body, response.headers["etag"]) == (b"old", '"1"')
    assert "last-modified" not in response.headers


def test_a_change_is_no_word_about_the_answer():
    """RFC 9110 §9.3.4: the tag that was checked is that of what is no more."""
    app = Notes().app(middleware=[Conditional()])
    request = make_request("PUT")
    assert ask_with(app, request).status == 200
    assert request.validators is None


def test_dates_may_be_datetimes():
    request = make_request("GET", "/", ("if-modified-since", DATE))
    answer = request.check(last_modified=datetime.fromtimestamp(MODIFIED, UTC))
    assert (answer.status, fields(answer)) == (304, {"last-modified": DATE})
    assert request.check(last_modified=datetime.fromtimestamp(MODIFIED + 1, UTC)) is None
    with pytest.raises(ValueError, match="time zone"):
        request.check(last_modified=datetime(2026, 1, 1))  # noqa: DTZ001
    with pytest.raises(ValueError, match="entity tag"):
        request.check(etag='"')


def test_that_there_is_something_may_be_all_that_is_known():
    answer = make_request("GET", "/", ("if-none-match", "*")).check()
    assert (answer.status, fields(answer)) == (304, {})
