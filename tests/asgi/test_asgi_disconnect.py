"""Clients that go away: `receive` says so, `send` raises OSError, nobody is cancelled."""

import asyncio

import pytest

from tests.server.wire import make_request

from .conftest import body, read, start


@pytest.mark.parametrize("streaming", [True, False])
def test_receive_tells_that_the_client_is_gone(host, streaming) -> None:
    seen: list[object] = []

    async def app(scope, receive, send) -> None:
        await read(receive)
        if streaming:
            await send(start())
            await send(body(b"a", more=True))
        seen.append("waits")
        # Two that wait: frameworks do that in task groups.
        seen.extend(await asyncio.gather(receive(), receive()))
        with pytest.raises(OSError, match="gone"):
            await send(body(b"b") if streaming else start())
        seen.append(await receive())

    server, script = host(app)
    client = server.connect()
    client.send(make_request())
    server.until(lambda: seen == ["waits"])
    client.reset()
    server.until(lambda: len(seen) == 4)
    assert seen[1:] == [{"type": "http.disconnect"}] * 3
    assert script.errors == []


def test_a_body_that_ends_early(host) -> None:
    seen: list[object] = []

    async def app(scope, receive, send) -> None:
        seen.append(await receive())
        seen.append(await receive())

    server, _ = host(app)
    client = server.connect()
    client.send(make_request("/", "Content-Length: 10", method="POST") + b"abc")
    server.until(lambda: seen)
    client.reset()
    server.until(lambda: len(seen) == 2)
    assert seen == [
        {"type": "http.request", "body": b"abc", "more_body": True},
        {"type": "http.disconnect"},
    ]


def test_send_raises_while_it_waits_for_room(host, caplog) -> None:
    async def app(scope, receive, send) -> None:
        await send(start())
        while True:
            await send(body(b"x" * 65_536, more=True))

    server, script = host(app)
    server.leave_while_full()
    server.until(lambda: script.errors)
    assert isinstance(script.errors[0], OSError)
    server.until(lambda: server.server.counters.requests_in_flight == 0)
    assert "failed" not in caplog.text  # it is nobody's fault


def test_an_application_goes_on_when_its_client_has_gone(host, caplog) -> None:
    released = asyncio.Event()
    seen = []

    async def app(scope, receive, send) -> None:
        seen.append("begun")
        await released.wait()
        seen.append("committed")

    server, script = host(app)
    client = server.connect()
    client.send(make_request())
    server.until(lambda: seen)
    client.reset()
    server.until(lambda: server.server.counters.connections_open == 0)
    server.call(released.set)
    server.until(lambda: server.server.counters.requests_in_flight == 0)
    assert seen == ["begun", "committed"]
    assert script.errors == []
    assert "failed" not in caplog.text


def test_a_stop_waits_for_it_and_then_cancels(host) -> None:
    seen = []

    async def app(scope, receive, send) -> None:
        seen.append("begun")
        await asyncio.Event().wait()

    server, script = host(app, shutdown_timeout=0.05)
    client = server.connect()
    client.send(make_request())
    server.until(lambda: seen)
    client.reset()
    server.until(lambda: server.server.counters.connections_open == 0)
    server.begin_stop().result(10)
    assert isinstance(script.errors[0], asyncio.CancelledError)


def test_a_mistake_after_the_client_has_gone_is_logged(host, caplog) -> None:
    released = asyncio.Event()

    async def app(scope, receive, send) -> None:
        await receive()
        await released.wait()
        raise LookupError("no such thing")

    server, script = host(app)
    client = server.connect()
    client.send(make_request())
    server.until(lambda: script.scopes)
    client.reset()
    server.until(lambda: server.server.counters.connections_open == 0)
    server.call(released.set)
    server.until(lambda: "LookupError: no such thing" in caplog.text)


class Left(Exception):
    """What a framework makes of the server's error."""


@pytest.mark.parametrize(("error", "failed"), [(Left, False), (KeyError, True)])
def test_what_a_framework_makes_of_the_error_of_send_is_no_failure(
    host, caplog, error, failed
) -> None:
    """Starlette's streams raise `ClientDisconnect` for every client that leaves one."""

    async def app(scope, receive, send) -> None:
        await send(start())
        try:
            while True:
                await send(body(b"x" * 65_536, more=True))
        except OSError:
            raise error("while it went") from None

    server, script = host(app)
    server.leave_while_full()
    server.until(lambda: server.server.counters.requests_in_flight == 0)
    assert type(script.errors[0]) is error
    assert ("failed" in caplog.text) is failed


def test_a_half_closed_client_is_not_gone(host) -> None:
    """RFC 9112 §9.6."""

    async def app(scope, receive, send) -> None:
        await asyncio.sleep(0)
        await send(start())
        await send(body(b"ok"))

    server, _ = host(app)
    client = server.connect()
    client.send(make_request())
    client.half_close()
    assert client.receive().body == b"ok"


def test_a_request_that_takes_too_long_is_cancelled(host) -> None:
    async def app(scope, receive, send) -> None:
        await asyncio.Event().wait()

    server, script = host(app, request_timeout=5)
    client = server.connect()
    client.send(make_request())
    server.until(lambda: script.scopes)
    server.pass_time(6.0)
    assert client.receive().status == 503
    assert isinstance(script.errors[0], asyncio.CancelledError)
