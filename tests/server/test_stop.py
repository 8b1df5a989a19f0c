"""Stopping: what is told to whom, in which order, and how long anybody waits for it."""

import asyncio
import contextlib
from contextlib import asynccontextmanager

import pytest

from httpkit.protocol.engine import Deadline
from httpkit.response import Response, Upgrade
from httpkit.server.embedded import serve

from .live import Script, run
from .wire import PATIENCE, eventually, make_request, refuses

# --- graceful ------------------------------------------------------------------------------------


def test_idle_connections_are_closed_at_once(live) -> None:
    server = live()
    used, fresh = server.connect(), server.connect()
    used.get()
    server.until(lambda: server.server.counters.connections_open == 2)
    server.begin_stop().result(PATIENCE)
    used.expect_end()
    fresh.expect_end()
    assert refuses(server.address)
    assert server.application.events == ["freeze", "enter", "leave"]


def test_first_requests_may_be_waited_for(live) -> None:
    """A client that has connected may have sent its request already: it is answered."""
    server = live()
    fresh = server.connect()
    server.until(server.connection)
    stopped = asyncio.run_coroutine_threadsafe(server.server.stop(first_requests=30), server.loop)
    server.until(lambda: server.server.stopping)
    assert refuses(server.address)
    assert fresh.get().status == 200
    fresh.expect_end()
    stopped.result(PATIENCE)


def test_but_not_for_long(live) -> None:
    server = live()
    fresh = server.connect()
    server.until(server.connection)
    asyncio.run_coroutine_threadsafe(server.server.stop(first_requests=0.01), server.loop)
    fresh.expect_end()


def test_a_running_request_is_answered(live) -> None:
    async def handler(request):
        await released.wait()
        return Response(str(request.shutting_down))

    released = asyncio.Event()
    server = live(handler)
    client = server.connect()
    client.request()
    server.until(lambda: server.requests)
    stopped = server.begin_stop()
    eventually(lambda: refuses(server.address), "closed listeners")
    assert not stopped.done()
    assert server.application.events == ["freeze", "enter"]
    server.call(released.set)
    answer = client.receive()
    assert (answer.body, answer.closes) == (b"True", True)
    client.expect_end()
    client.close()
    stopped.result(PATIENCE)
    assert server.application.events == ["freeze", "enter", "leave"]


def test_a_stream_may_end_in_its_own_time(live) -> None:
    async def handler(request):
        async def body():
            while not request.shutting_down:
                yield "tick\n"
                await asyncio.sleep(0.001)
            yield "bye\n"

        return Response(body())

    server = live(handler)
    client = server.connect()
    client.request()
    client.receive_until(b"tick")
    stopped = server.begin_stop()
    # Its head said nothing of an end, which comes behind the last chunk nevertheless.
    assert client.receive_rest().endswith(b"bye\n\r\n0\r\n\r\n")
    client.close()
    stopped.result(PATIENCE)


def test_pipelined_requests_that_are_here_get_one_answer(live) -> None:
    async def handler(request):
        await released.wait()
        return Response("done")

    released = asyncio.Event()
    server = live(handler)
    client = server.connect()
    client.send(make_request() * 3)
    server.until(lambda: server.requests)
    stopped = server.begin_stop()
    server.call(released.set)
    assert client.receive().closes
    client.expect_end()
    client.close()
    stopped.result(PATIENCE)
    assert len(server.requests) == 1


def test_a_half_sent_request_is_answered(live) -> None:
    server = live()
    client = server.connect()
    client.send(make_request()[:20])
    server.until_receiving(Deadline.HEAD)
    stopped = server.begin_stop()
    client.send(make_request()[20:])
    answer = client.receive()
    assert (answer.status, answer.closes) == (200, True)
    client.close()
    stopped.result(PATIENCE)


def test_an_unread_body_does_not_hold_up_the_stop(live) -> None:
    server = live()
    client = server.connect()
    client.request("/", "Content-Length: 10", method="POST")
    assert not client.receive().closes
    server.until_receiving(Deadline.BODY)
    stopped = server.begin_stop()
    client.expect_end()
    client.close()
    stopped.result(PATIENCE)


def test_a_connection_that_is_just_being_opened(live) -> None:
    """It was accepted, so its end is waited for, too."""

    async def connect_accepted_socket(factory, sock):
        opening.set()
        await released.wait()
        return await original(factory, sock)

    opening, released = asyncio.Event(), asyncio.Event()
    server = live()
    original = server.loop.connect_accepted_socket
    server.loop.connect_accepted_socket = connect_accepted_socket
    client = server.connect()
    server.until(opening.is_set)
    stopped = server.begin_stop()
    assert server.application.events == ["freeze", "enter"]
    server.call(released.set)
    client.expect_end()
    stopped.result(PATIENCE)
    assert server.server.counters.connections_opened == 1


# --- the hard way --------------------------------------------------------------------------------


def test_what_takes_too_long_is_aborted(live, caplog) -> None:
    async def handler(request):
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            server.application.events.append("cancelled")

    server = live(handler, shutdown_timeout=0.05)
    client = server.connect()
    client.request()
    server.until(lambda: server.requests)
    server.begin_stop().result(PATIENCE)
    with contextlib.suppress(ConnectionResetError):
        client.expect_end()
    assert server.application.events == ["freeze", "enter", "cancelled", "leave"]
    assert "after 0.05 s 1 connections were still open, aborted" in caplog.text


def test_a_session_that_does_not_end_is_aborted(live) -> None:
    async def session(stream):
        try:
            await asyncio.Event().wait()
        finally:
            server.application.events.append("cancelled")

    server = live(lambda request: Upgrade("echo", session), shutdown_timeout=0.05)
    client = server.connect()
    client.request("/", "Connection: upgrade", "Upgrade: echo")
    client.receive_until(b"\r\n\r\n")
    server.begin_stop().result(PATIENCE)
    assert server.application.events == ["freeze", "enter", "cancelled", "leave"]


def test_a_handler_that_ignores_its_cancellation_is_left_behind(live, caplog, monkeypatch) -> None:
    monkeypatch.setattr("httpkit.server.server._CLEANUP", 0.05)

    async def handler(request):
        while not released.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await released.wait()
        return Response("late")

    released = asyncio.Event()
    server = live(handler, shutdown_timeout=0.05)
    client = server.connect()
    client.request()
    server.until(lambda: server.requests)
    server.begin_stop().result(PATIENCE)
    assert "1 requests ignore their cancellation" in caplog.text
    assert server.application.events[-1] == "leave"
    server.call(released.set)
    server.until(lambda: server.server.counters.requests_in_flight == 0)


# --- background calls ----------------------------------------------------------------------------


def test_background_calls_run_after_the_answer(live, caplog) -> None:
    async def slow():
        await released.wait()
        events.append("slow")

    def handler(request):
        response = Response("answer", background=slow)
        response.add_background(events.append, "plain")
        response.add_background(lambda: 1 / 0)
        response.add_background(events.append, "last")
        return response

    events: list[str] = []
    released = asyncio.Event()
    server = live(handler)
    client = server.connect()
    assert client.get().body == b"answer"
    assert events == []
    server.call(released.set)
    server.until(lambda: len(events) == 3)
    assert events == ["slow", "plain", "last"]
    assert caplog.text.count("a background call failed") == 1
    assert "ZeroDivisionError" in caplog.text


def test_a_background_call_that_waits_for_what_is_cancelled_fails_alone(live, caplog) -> None:
    async def waits():
        task = asyncio.create_task(asyncio.sleep(60))
        task.cancel()
        await task

    def handler(request):
        response = Response("answer", background=waits)
        response.add_background(events.append, "next")
        return response

    events: list[str] = []
    server = live(handler)
    server.connect().get()
    server.until(lambda: events == ["next"])
    assert caplog.text.count("a background call failed") == 1
    assert "CancelledError" in caplog.text


def test_a_stop_waits_for_background_calls(live) -> None:
    async def background():
        await released.wait()
        server.application.events.append("background")

    released = asyncio.Event()
    server = live(lambda request: Response("answer", background=background))
    client = server.connect()
    client.get()
    stopped = server.begin_stop()
    client.expect_end()
    assert not stopped.done()
    server.call(released.set)
    stopped.result(PATIENCE)
    assert server.application.events == ["freeze", "enter", "background", "leave"]


def test_background_calls_are_cancelled_in_the_end(live) -> None:
    async def background():
        try:
            await asyncio.Event().wait()
        finally:
            server.application.events.append("cancelled")

    def handler(request):
        response = Response("a", background=background)
        response.add_background(server.application.events.append, "next")
        return response

    server = live(handler, shutdown_timeout=0.05)
    server.connect().get()
    server.begin_stop().result(PATIENCE)
    assert server.application.events == ["freeze", "enter", "cancelled", "leave"]


# --- stop, called in every way -------------------------------------------------------------------


def test_whoever_stops_waits_for_the_end(live) -> None:
    async def handler(request):
        await released.wait()
        return Response("done", headers={"connection": "close"})

    released = asyncio.Event()
    server = live(handler)
    client = server.connect()
    client.request()
    server.until(lambda: server.requests)
    first, second = server.begin_stop(), server.begin_stop()
    for _ in range(10):
        server.call(lambda: None)
    assert not first.done()
    assert not second.done()
    server.call(released.set)
    client.receive()
    client.close()
    second.result(PATIENCE)
    assert server.application.events[-1] == "leave"
    first.result(PATIENCE)
    server.begin_stop().result(PATIENCE)
    assert server.application.events == ["freeze", "enter", "leave"]


def test_a_cancelled_stop_stops_at_once(live) -> None:
    async def handler(request):
        try:
            await asyncio.Event().wait()
        finally:
            server.application.events.append("cancelled")

    async def stop_and_cancel():
        task = asyncio.create_task(server.server.stop())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    server = live(handler, shutdown_timeout=1000)
    client = server.connect()
    client.request()
    server.until(lambda: server.requests)
    server.wait(stop_and_cancel())
    assert server.application.events == ["freeze", "enter", "cancelled", "leave"]
    assert refuses(server.address)


def test_an_error_of_the_lifespan_comes_out_of_stop(loop) -> None:
    class Application(Script):
        @asynccontextmanager
        async def lifespan(self):
            yield
            raise ValueError("broken lifespan")

    async def main() -> None:
        server = serve(Application(), port=0, access_log=False)
        await server.start()
        with pytest.raises(ValueError, match="broken lifespan"):
            await server.stop()
        await server.stop()
        assert refuses(server.addresses[0])

    run(main(), loop)
