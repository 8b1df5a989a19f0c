"""From an exception to an answer: handlers, pages, and what stays between us and the log."""

import asyncio
import json
import logging

import pytest

from httpkit.app import App
from httpkit.error_handlers import observer
from httpkit.errors import (
    BodyTooLarge,
    ClientDisconnected,
    HTTPError,
    InvalidHeader,
    RemoteProtocolError,
)
from httpkit.response import Response
from httpkit.routing import Router

from .conftest import BROWSER, ask, make_request, text


def raising(error, **options):
    app = App(**options)

    @app.get("/")
    async def handler(request):
        raise error

    @app.get("/def")
    def plain(request):
        raise error

    return app


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.DEBUG, "httpkit")
    return caplog


# --- pages ---------------------------------------------------------------------------------------

PROBLEM = "application/problem+json"


@pytest.mark.parametrize("target", ["/", "/def"])
@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (None, "text/plain; charset=utf-8"),
        ("*/*", "text/plain; charset=utf-8"),
        ("", "text/plain; charset=utf-8"),
        ("image/png", "text/plain; charset=utf-8"),
        (BROWSER[1], "text/html; charset=utf-8"),
        ("application/json", PROBLEM),
        (PROBLEM, PROBLEM),
        ("application/json, text/plain;q=0.5", PROBLEM),
        ("text/plain;q=0.5, text/html;q=0.1", "text/plain; charset=utf-8"),
    ],
)
def test_the_form_of_an_error_is_what_the_client_prefers(target, accept, content_type):
    headers = [] if accept is None else [("accept", accept)]
    response = ask(raising(HTTPError(404, "No <such> page.")), "GET", target, *headers)
    assert response.status == 404
    assert response.headers["content-type"] == content_type
    assert response.headers["vary"] == "Accept"
    assert "such" in text(response)


def test_text():
    assert text(ask(raising(HTTPError(404)))) == "404 Not Found\n"
    assert text(ask(raising(HTTPError(404, "No.")))) == "404 Not Found: No.\n"
    assert text(ask(raising(HTTPError(499, "")))) == "499 \n"


def test_html_is_escaped_and_may_load_nothing():
    response = ask(raising(HTTPError(400, "<script>&")), "GET", "/", BROWSER)
    assert "<p>&lt;script&gt;&amp;</p>" in text(response)
    assert "<h1>400 Bad Request</h1>" in text(response)
    assert response.headers["content-security-policy"].startswith("default-src 'none'")
    assert "<p>" not in text(ask(raising(HTTPError(400)), "GET", "/", BROWSER))


def test_problem_has_the_members_of_rfc_9457():
    error = HTTPError(
        403,
        "Not enough credit.",
        extensions={"type": "https://example.com/credit", "balance": 30, "status": 1, "detail": 2},
    )
    response = ask(raising(error), "GET", "/", ("accept", PROBLEM))
    assert json.loads(response.body) == {
        "type": "https://example.com/credit",
        "title": "Forbidden",
        "status": 403,
        "detail": "Not enough credit.",
        "balance": 30,
    }
    response = ask(raising(HTTPError(404)), "GET", "/", ("accept", PROBLEM))
    assert json.loads(response.body) == {"type": "about:blank", "title": "Not Found", "status": 404}


def test_headers_of_an_error_are_sent_and_replace_ours():
    error = HTTPError(401, headers={"WWW-Authenticate": "Basic", "content-type": "text/x"})
    response = ask(raising(error))
    assert response.headers["www-authenticate"] == "Basic"
    assert response.headers.getlist("content-type") == ["text/x"]
    assert response.headers["vary"] == "Accept"
    response = ask(raising(HTTPError(429, headers=[("vary", "Cookie"), ("retry-after", "9")])))
    assert response.headers["vary"] == "Accept, Cookie"
    assert response.headers["retry-after"] == "9"


@pytest.mark.parametrize(
    "error",
    [
        HTTPError(400, extensions={"x": object()}),
        HTTPError(400, headers={"x": "a\r\nb"}),
    ],
)
def test_an_error_that_cannot_be_written_is_a_500(error, log):
    headers = [("accept", PROBLEM)]
    response = ask(raising(error), "GET", "/", *headers)
    assert response.status == 500
    assert json.loads(response.body)["title"] == "Internal Server Error"
    assert len(log.records) == 1


# --- what the peer caused ------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["/body", "/form"])
def test_errors_of_the_peer_answer_with_their_status(target, log):
    app = App()

    @app.post("/body")
    async def body(request):
        await request.body()

    @app.post("/form")
    async def form(request):
        async for _ in request.stream():
            pass

    response = ask(app, "POST", target, chunks=[b"x", BodyTooLarge("the inner limit is 17 bytes")])
    assert response.status == 413
    assert "17" not in text(response)
    response = ask(app, "POST", target, chunks=[RemoteProtocolError("bad chunk")])
    assert response.status == 400
    assert not log.records


def test_a_client_that_left_is_no_error(log):
    response = ask(raising(ClientDisconnected()))
    assert response.status == 400
    assert [record.levelname for record in log.records] == ["DEBUG"]


# --- unexpected exceptions -----------------------------------------------------------------------


@pytest.mark.parametrize("target", ["/", "/def"])
def test_an_unexpected_exception_is_logged_once_and_keeps_its_secrets(target, log):
    response = ask(raising(RuntimeError("the password is x")), "GET", f"{target}?token=secret")
    assert response.status == 500
    assert "r-1" in text(response)
    assert "password" not in text(response)
    assert "RuntimeError" not in text(response)
    (record,) = log.records
    assert record.name == "httpkit"
    assert record.levelname == "ERROR"
    assert record.getMessage() == f"GET {target} failed (request r-1)"
    assert "the password is x" in log.text
    assert "secret" not in record.getMessage()


def test_the_id_is_in_every_form_of_a_500():
    for accept in (BROWSER[1], PROBLEM, "text/plain"):
        response = ask(raising(KeyError("k")), "GET", "/", ("accept", accept))
        assert "r-1" in text(response)
        assert "KeyError" not in text(response)
    response = ask(raising(KeyError("k")), "GET", "/", ("accept", PROBLEM))
    assert json.loads(response.body)["request_id"] == "r-1"


def test_our_own_mistakes_are_bugs(log):
    assert ask(raising(InvalidHeader("x"))).status == 500
    assert len(log.records) == 1


def test_an_observer_is_told_of_unexpected_exceptions():
    seen = []
    token = observer.set(seen.append)
    try:
        error = RuntimeError()
        ask(raising(error))
        ask(raising(HTTPError(400)))
    finally:
        observer.reset(token)
    assert seen == [error]


# --- handlers ------------------------------------------------------------------------------------


class MissingError(LookupError):
    pass


class GoneError(HTTPError):
    def __init__(self):
        super().__init__(410)


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (MissingError(), "missing"),
        (LookupError(), "lookup"),
        (KeyError(), "lookup"),
        (GoneError(), "gone class"),
        (HTTPError(404), "status 404"),
        (HTTPError(405), "any http error"),
        (BodyTooLarge(), "status 413"),
        (RemoteProtocolError(), "any peer"),
        (ClientDisconnected(), "left"),
    ],
)
def test_the_closest_class_then_the_status_then_the_base_class(error, answer):
    app = raising(error)
    for kind, name in (
        (LookupError, "lookup"),
        (MissingError, "missing"),
        (GoneError, "gone class"),
        (410, "status 410"),
        (404, "status 404"),
        (413, "status 413"),
        (HTTPError, "any http error"),
        (RemoteProtocolError, "any peer"),
        (ClientDisconnected, "left"),
        (Exception, "anything"),
    ):
        app.exception_handler(kind)(lambda request, error, name=name: name)
    assert text(ask(app)) == answer
    assert text(ask(app, target="/def")) == answer


@pytest.mark.parametrize(
    ("error", "value", "status"),
    [
        (HTTPError(404), "text", 404),
        (HTTPError(404), None, 404),
        (HTTPError(404), {"a": 1}, 404),
        (HTTPError(404), Response("x", 200), 200),
        (BodyTooLarge(), "text", 413),
        (ValueError(), "text", 500),
        (ValueError(), Response("x", 422), 422),
    ],
)
@pytest.mark.parametrize("asynchronous", [False, True])
def test_what_is_no_response_gets_the_status_of_the_error(error, value, status, asynchronous):
    app = raising(error)

    def plain(request, caught):
        assert caught is error
        return value

    async def coroutine(request, caught):
        await asyncio.sleep(0)
        return plain(request, caught)

    app.exception_handler(type(error))(coroutine if asynchronous else plain)
    response = ask(app)
    assert response.status == status
    if isinstance(value, Response):
        assert response is value


def test_the_answer_keeps_the_headers_that_the_error_demands():
    app = App()
    app.get("/")(lambda request: "x")
    app.exception_handler(405)(lambda request, error: Response("custom", 405, {"allow": "mine"}))
    assert ask(app, "PUT").headers.getlist("allow") == ["mine"]
    app = App()
    app.get("/")(lambda request: "x")
    app.exception_handler(405)(lambda request, error: Response("custom", 405))
    assert ask(app, "PUT").headers["allow"] == "GET, HEAD, OPTIONS"


def test_handlers_of_an_inner_router_come_first():
    app, router = App(), Router("/r")

    @router.get("/{kind}")
    def handler(request, kind):
        raise {"value": ValueError, "key": KeyError}[kind]

    app.include(router)
    app.exception_handler(ValueError)(lambda request, error: "app value")
    app.exception_handler(KeyError)(lambda request, error: "app key")
    router.exception_handler(ValueError)(lambda request, error: "router value")
    assert text(ask(app, target="/r/value")) == "router value"
    assert text(ask(app, target="/r/key")) == "app key"


@pytest.mark.parametrize("kind", [Exception, 500])
@pytest.mark.parametrize("wrapped", [False, True])
def test_unexpected_exceptions_have_a_handler_of_their_own(kind, wrapped, log):
    async def middleware(request, next):
        with pytest.raises(ValueError):
            await next(request)
        return await next(request)

    error = ValueError("x")
    app = raising(error, middleware=[middleware] if wrapped else [])
    seen = []

    @app.exception_handler(kind)
    def handler(request, caught):
        seen.append(caught)
        return "sorry"

    response = ask(app)
    assert response.status == 500
    assert text(response) == "sorry"
    assert seen == [error]
    assert len(log.records) == 1  # logged, although there is a handler


def test_the_innermost_handler_for_unexpected_exceptions_answers():
    async def middleware(request, next):
        return await next(request)

    outer, inner = App(middleware=[middleware]), App(middleware=[middleware])
    outer.exception_handler(500)(lambda request, error: "outer")
    inner.exception_handler(500)(lambda request, error: "inner")
    inner.get("/x")(lambda request: 1 / 0)
    outer.get("/x")(lambda request: 1 / 0)
    outer.mount("/inner", inner)
    assert text(ask(outer, target="/inner/x")) == "inner"
    assert text(ask(outer, target="/x")) == "outer"


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_handler_that_fails_is_a_500(wrapped, log):
    async def middleware(request, next):
        response = await next(request)
        assert response.status == 500
        return response

    app = raising(HTTPError(404), middleware=[middleware] if wrapped else [])
    app.exception_handler(404)(lambda request, error: 1 / 0)
    app.exception_handler(ZeroDivisionError)(lambda request, error: pytest.fail("not for this"))
    assert ask(app).status == 500
    assert len(log.records) == 1
    assert "ZeroDivisionError" in log.text


def test_a_handler_that_fails_is_answered_by_the_one_for_unexpected_exceptions():
    app = raising(HTTPError(404))

    @app.exception_handler(404)
    def broken(request, error):
        raise ZeroDivisionError

    @app.exception_handler(500)
    async def last(request, error):
        assert isinstance(error, ZeroDivisionError)
        return "last"

    assert text(ask(app)) == "last"


def test_when_the_last_handler_fails_a_plain_500_is_left(log):
    app = raising(ValueError())
    app.exception_handler(500)(lambda request, error: 1 / 0)
    response = ask(app, "GET", "/", BROWSER)
    assert response.status == 500
    assert text(response) == "500 Internal Server Error\n"
    assert [record.levelname for record in log.records] == ["ERROR", "ERROR"]
    assert "ZeroDivisionError" in log.text


@pytest.mark.parametrize("debug", [False, True])
def test_when_rendering_fails_a_plain_500_is_left(debug, log, monkeypatch):
    app = raising(ValueError(), debug=debug)
    name = "traceback_page" if debug else "internal_error_page"
    monkeypatch.setattr(f"httpkit.error_handlers.{name}", lambda *_: 1 / 0)
    assert text(ask(app)) == "500 Internal Server Error\n"
    assert len(log.records) == 2


# --- debug mode ----------------------------------------------------------------------------------


def test_debug_mode_shows_a_traceback_to_browsers():
    app = App(debug=True)
    app.exception_handler(500)(lambda request, error: pytest.fail("the traceback comes first"))

    @app.get("/{name}")
    def handler(request, name):
        secret_local = ["<b>", name]
        return secret_local[5]

    headers = [BROWSER, ("x-evil", "<script>alert(1)</script>")]
    response = ask(app, "GET", "/<img src=x>?q=<i>", *headers)
    page = text(response)
    assert response.status == 500
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "IndexError: list index out of range" in page
    assert "test_errors.py" in page
    assert "<mark>" in page
    assert "return secret_local[5]" in page
    assert "&lt;img src=x&gt;" in page
    assert "&lt;script&gt;alert(1)" in page
    for raw in ("<img", "<script", "<b>", "<i>"):
        assert raw not in page


def test_debug_mode_gives_text_to_everybody_else():
    response = ask(raising(ValueError("why \ud800"), debug=True))
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert text(response).startswith("GET / (request r-1)\n\nTraceback (most recent call last):")
    assert text(response).endswith("ValueError: why \\ud800\n")


def test_debug_mode_does_not_change_expected_errors():
    assert text(ask(raising(HTTPError(404), debug=True))) == "404 Not Found\n"


def page_of(error):
    return text(ask(raising(error, debug=True), "GET", "/", BROWSER))


def with_cause():
    try:
        raise KeyError("first")
    except KeyError as error:
        raise ValueError from error


def with_context():
    try:
        raise KeyError("first")
    except KeyError:
        raise ValueError  # noqa: B904 - that is the point


def without_context():
    try:
        raise KeyError("first")
    except KeyError:
        raise ValueError from None


@pytest.mark.parametrize(
    ("fail", "relation"),
    [
        (with_cause, "Caused by: KeyError"),
        (with_context, "Raised while handling: KeyError"),
        (without_context, None),
    ],
)
def test_the_page_shows_where_an_exception_comes_from(fail, relation):
    app = App(debug=True)
    app.get("/")(lambda request: fail())
    page = text(ask(app, "GET", "/", BROWSER))
    relations = [text for text in ("Caused by", "Raised while handling") if f"<h2>{text}" in page]
    assert relations == ([relation.partition(":")[0]] if relation else [])
    assert relation is None or relation in page


def test_the_page_shows_the_members_of_a_group():
    shared = ValueError("member")
    page = page_of(ExceptionGroup("several", [shared, TypeError("other"), shared]))
    assert page.count("In this group: ValueError: member") == 1
    assert "In this group: TypeError: other" in page


def test_the_page_of_a_recursion_is_short():
    def recurse(depth):
        if depth:
            recurse(depth - 1)
        raise RecursionError("deep")

    app = App(debug=True)
    app.get("/")(lambda request: recurse(200))
    page = text(ask(app, "GET", "/", BROWSER))
    assert "frames are left out" in page
    assert page.count("<details") < 100


def test_the_page_survives_locals_and_sources_that_cannot_be_shown():
    class Evil:
        def __repr__(self):
            raise RuntimeError("no repr")

    def build():
        evil, long = Evil(), "x" * 100_000  # noqa: F841 - shown as locals
        exec(compile("1 / 0", "<generated>", "exec"), {})

    app = App(debug=True)
    app.get("/")(lambda request: build())
    page = text(ask(app, "GET", "/", BROWSER))
    assert "&lt;Evil instance at" in page
    assert "&lt;generated&gt;:1" in page
    assert len(page) < 60_000


def test_a_request_with_nothing_to_await_is_answered_at_once():
    app = raising(ValueError(), debug=True)
    assert isinstance(app(make_request("GET", "/def")), Response)
