"""Middleware: order, scope, and what passes through it."""

import asyncio
import contextvars

import pytest

from httpkit.app import App
from httpkit.errors import HTTPError
from httpkit.response import Response
from httpkit.routing import Router

from .conftest import ask, make_request, text

variable = contextvars.ContextVar("variable", default="unset")


class Note:
    """Notes when it is entered and what comes back."""

    def __init__(self, name, log):
        self.name = name
        self.log = log

    async def __call__(self, request, next):
        self.log.append(self.name)
        response = await next(request)
        self.log.append(f"{self.name} {response.status}")
        return response


def test_middleware_runs_from_the_outside_in():
    log = []
    app = App(middleware=[Note("app", log)])
    app.middleware(Note("added", log))
    router = Router("/r", middleware=[Note("router", log)])
    inner = App(middleware=[Note("inner", log)])
    inner.get("/x", middleware=[Note("route", log), Note("route2", log)])(lambda request: "x")
    inner.get("/y")(lambda request: "y")
    router.mount("/m", inner)
    app.include(router)
    app.get("/")(lambda request: "/")
    names = ["app", "added", "router", "inner", "route", "route2"]
    ask(app, target="/r/m/x")
    assert log == names + [f"{name} 200" for name in reversed(names)]
    log.clear()
    ask(app, target="/r/m/y")
    assert log[:5] == [*names[:4], "inner 200"]
    log.clear()
    ask(app)
    assert log == ["app", "added", "added 200", "app 200"]


def test_middleware_is_added_to_routes_registered_before_it():
    log = []
    app = App()
    app.get("/")(lambda request: "x")
    app.add_middleware(Note("late", log))
    ask(app)
    assert log == ["late", "late 200"]


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/nope", 404),
        ("POST", "/x", 405),
        ("OPTIONS", "/x", 204),
        ("OPTIONS", "*", 204),
        ("GET", "/x/", 307),
        ("GET", "/%", 404),
    ],
)
def test_what_is_not_routed_goes_through_it_too(method, target, status):
    log = []
    app = App(middleware=[Note("app", log)])
    app.get("/x")(lambda request: "x")
    assert ask(app, method, target).status == status
    assert log == ["app", f"app {status}"]


def test_what_is_not_routed_below_a_mount_goes_through_its_middleware():
    log = []
    app, admin = App(middleware=[Note("app", log)]), App(middleware=[Note("admin", log)])
    admin.get("/x")(lambda request: "x")
    app.mount("/admin", admin)
    for method, target, status in (
        ("GET", "/admin/nope", 404),
        ("PUT", "/admin/x", 405),
        ("OPTIONS", "/admin/x", 204),
    ):
        log.clear()
        assert ask(app, method, target).status == status
        assert log == ["app", "admin", f"admin {status}", f"app {status}"]
    log.clear()
    assert ask(app, target="/nope").status == 404
    assert log == ["app", "app 404"]


def test_a_middleware_may_answer_itself():
    async def refuse(request, next):
        return Response("no", 403)

    app = App(middleware=[refuse])
    app.get("/")(lambda request: pytest.fail("not reached"))
    assert ask(app).status == 403


def test_a_middleware_sees_the_route_and_may_change_request_and_response():
    async def middleware(request, next):
        request.state.user = "ann"
        response = await next(request)
        response.headers["x-route"] = request.route.pattern
        response.headers["x-params"] = str(request.path_params)
        return response

    app = App(middleware=[middleware])
    app.get("/{x}")(lambda request, x: request.state.user)
    response = ask(app, target="/a")
    assert text(response) == "ann"
    assert response.headers["x-route"] == "/{x}"
    assert response.headers["x-params"] == "{'x': 'a'}"


def test_context_variables_reach_handlers_of_every_kind():
    async def middleware(request, next):
        token = variable.set("set")
        try:
            return await next(request)
        finally:
            variable.reset(token)

    app = App(middleware=[middleware])
    app.get("/def")(lambda request: variable.get())
    app.get("/thread", thread=True)(lambda request: variable.get())

    @app.get("/async")
    async def handler(request):
        await asyncio.sleep(0)
        return variable.get()

    for target in ("/def", "/thread", "/async"):
        assert text(ask(app, target=target)) == "set"
    assert variable.get() == "unset"


def test_background_calls_survive_it():
    async def middleware(request, next):
        response = await next(request)
        response.add_background(calls.append, "middleware")
        return response

    calls = []
    app = App(middleware=[middleware])
    app.get("/")(lambda request: Response("x", background=lambda: calls.append("handler")))
    for call in ask(app).background:
        call()
    assert calls == ["handler", "middleware"]


@pytest.mark.parametrize("value", [None, "text", {"a": 1}])
def test_a_middleware_must_return_a_response(value, caplog):
    async def forgetful(request, next):
        await next(request)
        return value

    log = []
    app = App(middleware=[Note("outer", log), forgetful])
    app.get("/")(lambda request: "x")
    assert ask(app).status == 500
    assert "forgetful returned" in caplog.text
    assert "it must return a Response" in caplog.text
    assert log == ["outer"]  # a bug passes as an exception


def test_expected_exceptions_arrive_as_responses():
    log = []

    async def authenticate(request, next):
        if request.target == b"/private":
            raise HTTPError(401, headers={"www-authenticate": "Basic"})
        return await next(request)

    app = App(middleware=[Note("outer", log), authenticate, Note("inner", log)])

    @app.get("/teapot")
    async def teapot(request):
        raise HTTPError(418)

    @app.get("/value")
    def value(request):
        raise ValueError

    app.get("/private")(lambda request: "x")
    app.exception_handler(ValueError)(lambda request, error: Response("value", 422))
    assert ask(app, target="/teapot").status == 418
    assert log == ["outer", "inner", "inner 418", "outer 418"]
    log.clear()
    assert ask(app, target="/value").status == 422
    assert log == ["outer", "inner", "inner 422", "outer 422"]
    log.clear()
    response = ask(app, target="/private")
    assert response.headers["www-authenticate"] == "Basic"
    assert log == ["outer", "outer 401"]


def test_unexpected_exceptions_pass_as_exceptions_and_are_logged_once(caplog):
    seen = []

    async def middleware(request, next):
        try:
            return await next(request)
        except ZeroDivisionError as error:
            seen.append(error)
            raise

    app = App(middleware=[middleware, middleware])
    app.get("/", middleware=[middleware])(lambda request: 1 / 0)
    assert ask(app).status == 500
    assert len(seen) == 3
    assert len(caplog.records) == 1
    assert "compose.py" in caplog.text  # the whole way is in the traceback


def test_a_middleware_may_answer_an_unexpected_exception():
    async def rescue(request, next):
        try:
            return await next(request)
        except ZeroDivisionError:
            return Response("rescued", 503)

    app = App(middleware=[rescue])
    app.get("/")(lambda request: 1 / 0)
    assert ask(app).status == 503


def test_exceptions_of_a_middleware_belong_to_its_own_router():
    async def fail(request, next):
        raise HTTPError(403)

    outer, inner = App(middleware=[fail]), App()
    outer.exception_handler(403)(lambda request, error: "outer")
    inner.exception_handler(403)(lambda request, error: "inner")
    inner.get("/x")(lambda request: "x")
    outer.mount("/inner", inner)
    assert text(ask(outer, target="/inner/x")) == "outer"


class Gate:
    """Answers some requests at once."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def answer_at_once(self, request):
        self.calls.append("at once")
        if request.path == "/teapot":
            raise HTTPError(418)
        if request.path == "/broken":
            raise ZeroDivisionError
        return Response("closed", 503) if request.path == "/closed" else None

    async def __call__(self, request, next):
        self.calls.append("call")
        return await next(request)


def test_the_outermost_middleware_may_answer_without_a_coroutine(caplog):
    gate = Gate()
    app = App(middleware=[gate])
    app.get("/{path}")(lambda request, path: path)
    answers = {path: app.handle(make_request("GET", path)) for path in ("/closed", "/teapot")}
    assert {path: response.status for path, response in answers.items()} == {
        "/closed": 503,
        "/teapot": 418,
    }
    assert gate.calls == ["at once"] * 2
    assert ask(app, target="/broken").status == 500
    assert len(caplog.records) == 1
    gate.calls.clear()
    assert ask(app, target="/open").body == b"open"
    assert gate.calls == ["at once", "call"]


def test_a_middleware_further_inside_is_called_in_its_turn():
    async def outer(request, next):
        return await next(request)

    gate = Gate()
    app = App(middleware=[outer, gate])
    app.get("/{path}")(lambda request, path: path)
    assert ask(app, target="/closed").status == 200
    assert gate.calls == ["call"]
