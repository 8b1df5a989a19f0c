"""From an exception to an answer: what is expected, what is a bug, and whose handler runs."""

import asyncio
import json

import pytest

from httpkit.app import App
from httpkit.error_handlers import observer
from httpkit.errors import (
    BodyTooLarge,
    ClientDisconnected,
    HTTPError,
    InvalidHeader,
    RemoteProtocolError,
    WebSocketClosed,
)
from httpkit.response import Response
from httpkit.routing import Router

from .conftest import BROWSER, PROBLEM, FakeChannel, ask, raising, text

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


def test_a_client_that_left_is_no_error(log, monkeypatch):
    monkeypatch.setattr(FakeChannel, "is_disconnected", lambda self: True)
    response = ask(raising(ClientDisconnected()))
    assert response.status == 400
    assert [record.levelname for record in log.records] == ["DEBUG"]


def test_another_client_that_left_is_not_the_fault_of_this_one(log):
    """A handler that writes to the WebSocket of somebody else, who is gone."""
    response = ask(raising(WebSocketClosed(1006)))
    assert response.status == 500
    assert [record.levelname for record in log.records] == ["ERROR"]


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


def test_rfc9110_15_5_6_an_answer_that_a_handler_keeps_does_not_keep_the_headers_of_an_error():
    app = App()
    app.get("/")(lambda request: "x")
    app.delete("/b")(lambda request: "x")
    kept = Response("custom", 405)
    app.exception_handler(405)(lambda request, error: kept)
    assert ask(app, "PUT").headers["allow"] == "GET, HEAD, OPTIONS"
    assert ask(app, "PUT", "/b").headers["allow"] == "DELETE, OPTIONS"
    assert "allow" not in kept.headers


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
