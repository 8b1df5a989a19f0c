"""The contract with the server: what calling an app gives, and what handlers may return."""

import asyncio
import contextvars
import dataclasses
import functools
import inspect
import threading

import msgspec
import pytest

from httpkit.app import App
from httpkit.response import Response
from httpkit.types import Application

from .conftest import ask, make_request, text

variable = contextvars.ContextVar("variable", default="unset")


class Point(msgspec.Struct):
    x: int


@dataclasses.dataclass
class Pair:
    left: int
    right: int


def test_an_app_is_an_application():
    assert isinstance(App(), Application)


# --- values --------------------------------------------------------------------------------------

VALUES = [
    ("Hello", 200, "text/plain; charset=utf-8", b"Hello"),
    (b"\x00", 200, "application/octet-stream", b"\x00"),
    ({"a": 1}, 200, "application/json", b'{"a":1}'),
    ([1, 2], 200, "application/json", b"[1,2]"),
    (Pair(1, 2), 200, "application/json", b'{"left":1,"right":2}'),
    (Point(3), 200, "application/json", b'{"x":3}'),
    (None, 204, None, b""),
    (Response("x", 201), 201, "text/plain; charset=utf-8", b"x"),
]


@pytest.mark.parametrize(("value", "status", "content_type", "body"), VALUES)
@pytest.mark.parametrize("kind", ["async", "def", "thread", "middleware", "parameter"])
def test_values_become_responses(kind, value, status, content_type, body):
    async def asynchronous(request, **parameters):
        return value

    def plain(request, **parameters):
        return value

    async def middleware(request, next):
        return await next(request)

    app = App(middleware=[middleware] if kind == "middleware" else [])
    handler = asynchronous if kind in {"async", "parameter"} else plain
    app.get("/{x}" if kind == "parameter" else "/x", thread=kind == "thread")(handler)
    response = ask(app, target="/x")
    assert response.status == status
    assert response.headers.get("content-type") == content_type
    assert response.body == body


def test_a_response_is_passed_on_as_it_is():
    response = Response("x")
    app = App()
    app.get("/a")(lambda request: response)

    @app.get("/b")
    async def handler(request):
        return response

    assert ask(app, target="/a") is response
    assert ask(app, target="/b") is response


async def collect(body):
    return [chunk async for chunk in body]


@pytest.mark.parametrize("wrapped", [False, True])
def test_an_async_generator_streams(wrapped):
    async def middleware(request, next):
        return await next(request)

    app = App(middleware=[middleware] if wrapped else [])

    @app.get("/{count:int}")
    async def handler(request, count):
        for number in range(count):
            yield f"{number}"

    response = ask(app, target="/3")
    assert response.status == 200
    assert asyncio.run(collect(response.body)) == ["0", "1", "2"]


def test_a_value_that_has_no_form_is_a_500(caplog):
    app = App()
    app.get("/")(lambda request: object())
    assert ask(app).status == 500
    assert len(caplog.records) == 1


# --- what is called where ------------------------------------------------------------------------


def test_a_def_handler_needs_no_await():
    app = App()
    app.get("/s")(lambda request: "x")
    app.get("/d/{x}")(lambda request, x: x)
    app.get("/e")(lambda request: 1 / 0)
    for target in ("/s", "/s?q", "/d/1", "/e", "/nope", "/s/"):
        assert isinstance(app.handle(make_request("GET", target)), Response)
    for method in ("PUT", "OPTIONS"):
        assert isinstance(app.handle(make_request(method, "/s")), Response)


def test_an_async_handler_that_never_waits_needs_no_coroutine():
    app = App()

    @app.get("/")
    async def handler(request):
        return "x"

    answer = app.handle(make_request())
    assert isinstance(answer, Response)
    assert answer.body == b"x"


def test_an_async_handler_goes_on_in_one_coroutine():
    app = App()

    @app.get("/")
    async def handler(request):
        await asyncio.sleep(0)
        return "x"

    answer = app.handle(make_request())
    assert inspect.iscoroutine(answer)
    assert answer.send(None) is None
    with pytest.raises(StopIteration) as finished:
        answer.send(None)
    assert finished.value.value.body == b"x"


def test_what_an_async_handler_waits_for_comes_in():
    """Values, exceptions, cancellation and the end go to the handler as they come."""
    events = []
    failed = asyncio.Event()
    app = App()

    @app.get("/")
    async def handler(request):
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_exception, ValueError("late"))
        try:
            await future
        except ValueError as error:
            events.append(str(error))
            failed.set()
        try:
            await asyncio.Event().wait()
        finally:
            events.append("end")

    async def main():
        task = asyncio.ensure_future(app.handle(make_request()))
        await failed.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert events == ["late", "end"]


def test_an_async_handler_that_is_left_alone_is_closed():
    events = []
    app = App()

    @app.get("/")
    async def handler(request):
        try:
            await asyncio.sleep(0)
        finally:
            events.append("end")

    answer = app.handle(make_request())
    answer.send(None)
    answer.close()
    assert events == ["end"]


def test_a_static_hit_decodes_nothing():
    app = App()
    app.get("/a b")(lambda request: "x")
    app.on_freeze()
    request = make_request(target="/a%20b")
    assert isinstance(app.handle(request), Response)
    assert request._segments is ...
    assert request.route.pattern == "/a b"


def test_an_async_def_behind_a_decorator_is_awaited():
    def decorate(handler):
        @functools.wraps(handler)
        def wrapper(*args, **kwargs):
            return handler(*args, **kwargs)

        return wrapper

    class Hidden:
        async def __call__(self, request):
            return "object"

    app = App()
    app.get("/object")(Hidden())

    @app.get("/decorated")
    @decorate
    async def decorated(request):
        return "decorated"

    @app.get("/fails")
    @decorate
    async def fails(request):
        raise ValueError

    @app.exception_handler(ValueError)
    def handle(request, error):
        return "handled"

    assert text(ask(app, target="/object")) == "object"
    assert text(ask(app, target="/decorated")) == "decorated"
    assert text(ask(app, target="/fails")) == "handled"


def test_a_class_may_be_a_handler():
    class Page(Response):
        def __init__(self, request):
            super().__init__(request.method)

    app = App()
    app.get("/")(Page)
    assert text(ask(app)) == "GET"


# --- threads -------------------------------------------------------------------------------------


def test_thread_runs_off_the_loop_with_the_context_of_the_request():
    async def middleware(request, next):
        variable.set("from middleware")
        response = await next(request)
        assert variable.get() == "from middleware"  # what the thread sets stays there
        return response

    app = App(middleware=[middleware])

    @app.get("/{x}", thread=True)
    def handler(request, x):
        seen = variable.get()
        variable.set("from thread")
        return [seen, x, threading.current_thread() is threading.main_thread()]

    assert ask(app, target="/a").body == b'["from middleware","a",false]'


@pytest.mark.parametrize("error", [ValueError, StopIteration])
def test_exceptions_of_threads_arrive(error, caplog):
    app = App()

    @app.get("/", thread=True)
    def handler(request):
        raise error

    assert ask(app).status == 500
    assert len(caplog.records) == 1


def test_no_more_threads_than_asked_for():
    app = App(threads=2)
    running, most, workers = 0, 0, set()
    lock, full = threading.Lock(), threading.Barrier(2)

    @app.get("/", thread=True)
    def handler(request):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
            workers.add(threading.current_thread())
        full.wait(10)
        with lock:
            running -= 1

    async def serve():
        async with app.lifespan():
            answers = await asyncio.gather(*(app.handle(make_request()) for _ in range(6)))
            assert all(worker.is_alive() for worker in workers)
        return answers

    assert [response.status for response in asyncio.run(serve())] == [204] * 6
    assert most == len(workers) == 2
    assert not any(worker.is_alive() for worker in workers)


def test_the_pool_starts_again_after_the_lifespan():
    app = App()
    app.get("/", thread=True)(lambda request: "x")

    async def serve():
        for _ in range(2):
            async with app.lifespan():
                assert (await app.handle(make_request())).body == b"x"

    asyncio.run(serve())


# --- cancellation --------------------------------------------------------------------------------


@pytest.mark.parametrize("debug", [False, True])
def test_cancellation_passes_through_everything(debug, caplog):
    seen = []

    async def middleware(request, next):
        try:
            return await next(request)
        except asyncio.CancelledError:
            seen.append("middleware")
            raise

    app = App(debug=debug, middleware=[middleware])
    app.exception_handler(Exception)(lambda request, error: seen.append("handled"))

    @app.get("/")
    async def handler(request):
        try:
            started.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("handler")
            raise

    async def serve():
        global started  # noqa: PLW0603 - the handler above is older than the loop
        started = asyncio.Event()
        async with app.lifespan():
            task = asyncio.ensure_future(app.handle(make_request()))
            await started.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(serve())
    assert seen == ["handler", "middleware"]
    assert not caplog.records


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_what_is_no_exception_is_never_swallowed(error, asynchronous):
    app = App()

    def plain(request):
        raise error

    async def coroutine(request):
        raise error

    app.get("/")(coroutine if asynchronous else plain)
    with pytest.raises(error):
        app.handle(make_request()).send(None)
