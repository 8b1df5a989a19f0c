"""The watchdog of debug mode, with a clock of its own."""

import asyncio
import logging
import sys
import threading

import pytest

from httpkit.app import App
from httpkit.response import Response
from httpkit.watchdog import Watchdog

from .conftest import ask, make_request, text


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def watchdog(clock):
    """A watchdog that samples when told to: its thread is not started."""
    return Watchdog(0.1, clock)


def warnings(caplog):
    return [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]


def check_from_outside(watchdog):
    """As the thread does it: what is sampled is the stack of another thread."""
    thread = threading.Thread(target=watchdog.check)
    thread.start()
    thread.join()


def run(answer):
    async def wait():
        return await answer

    return asyncio.run(wait())


def test_a_step_that_takes_long_is_logged_once_with_route_and_stack(watchdog, clock, caplog):
    def busy_handler(request):
        clock.now += 0.05
        watchdog.check()
        assert not caplog.records
        clock.now += 0.06
        check_from_outside(watchdog)
        clock.now += 1
        check_from_outside(watchdog)
        return Response("x")

    response = watchdog.watch(busy_handler)(make_request("GET", "/slow%0a"))
    assert isinstance(response, Response)
    (message,) = warnings(caplog)
    assert message.startswith(
        "GET /slow%0a has held the event loop for more than 100 ms (request r-1)"
    )
    assert "busy_handler" in message
    assert not message.endswith("\n")
    assert "pytest" not in message  # only what is below the watchdog


def test_a_stack_without_the_watchdog_is_shown_whole(watchdog, clock, caplog):
    watchdog.begin(make_request("GET", "/unrouted"))
    clock.now += 1
    check_from_outside(watchdog)
    watchdog.finish()
    (message,) = warnings(caplog)
    assert message.startswith("GET /unrouted has")
    assert "test_a_stack_without_the_watchdog_is_shown_whole" in message


def test_each_step_of_a_coroutine_is_timed_on_its_own(watchdog, clock, caplog):
    async def handler(request):
        for _ in range(3):
            clock.now += request.state.step
            watchdog.check()
            await asyncio.sleep(0)
        return Response("x")

    watched = watchdog.watch(handler)
    for step, expected in ((0.09, 0), (0.11, 3)):
        request = make_request()
        request.state.step = step
        assert run(watched(request)).body == b"x"
        assert len(warnings(caplog)) == expected


def test_nobody_is_blamed_while_nothing_runs(watchdog, clock, caplog):
    async def scenario():
        gate = asyncio.Event()

        async def handler(request):
            await gate.wait()
            return Response("x")

        task = asyncio.ensure_future(watchdog.watch(handler)(make_request()))
        await asyncio.sleep(0)
        clock.now += 100
        watchdog.check()
        gate.set()
        return await task

    assert asyncio.run(scenario()).status == 200
    assert warnings(caplog) == []


def test_a_step_that_ends_while_it_is_looked_at_is_not_logged(watchdog, clock, caplog, monkeypatch):
    def handler(request):
        clock.now += 1
        with monkeypatch.context() as patch:
            patch.setattr(sys, "_current_frames", dict)  # its thread is gone
            watchdog.check()
        return Response("x")

    watchdog.watch(handler)(make_request())
    assert warnings(caplog) == []


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError])
def test_exceptions_pass_through_it(watchdog, error):
    def plain(request):
        raise error

    async def coroutine(request):
        await asyncio.sleep(0)
        raise error

    with pytest.raises(error):
        watchdog.watch(plain)(make_request())
    with pytest.raises(error):
        run(watchdog.watch(coroutine)(make_request()))
    assert watchdog._steps == {}


def test_a_coroutine_that_is_closed_is_closed_inside(watchdog):
    closed = []

    async def handler(request):
        try:
            await asyncio.sleep(0)
        finally:
            closed.append(True)

    coroutine = watchdog.watch(handler)(make_request())
    coroutine.send(None)
    coroutine.close()
    assert closed == [True]


def test_the_thread_samples_by_itself(caplog):
    """With the real thread and clock: the handler waits for the log, not for a time."""
    logged = threading.Event()

    class Waiting(logging.Handler):
        def emit(self, record):
            logged.set()

    logger, handler = logging.getLogger("httpkit"), Waiting()
    logger.addHandler(handler)
    app = App(debug=True)

    @app.get("/items/{id:int}")
    async def blocking(request, id):
        await asyncio.sleep(0)
        assert logged.wait(30)
        return "done"

    async def serve():
        async with app.lifespan():
            return await app.handle(make_request("GET", "/items/7"))

    try:
        assert text(asyncio.run(serve())) == "done"
    finally:
        logger.removeHandler(handler)
    (message,) = warnings(caplog)
    assert message.startswith("GET /items/{id:int} has held the event loop")
    assert "assert logged.wait(30)" in message


def test_there_is_no_watchdog_without_debug():
    app = App()
    app.get("/")(lambda request: "x")
    ask(app)
    assert app._watchdog is None


def test_closing_twice_does_nothing():
    watchdog = Watchdog()
    watchdog.close()
    watchdog.start()
    watchdog.close()
    watchdog.close()
