"""The hot path of hosted applications is a budget, counted as in tests/test_hops.py.

The common case makes no task, no future and no queue: two messages become one `Response`.
"""

import asyncio
from collections import Counter
from typing import Any

import pytest

from httpkit.asgi import ASGIApplication
from httpkit.server.config import Config
from httpkit.server.server import Server
from httpkit.transport.loop import new_event_loop
from tests.test_hops import BROWSER, GET, POST, Transport, count_calls

START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"text/plain"), (b"content-length", b"13")],
}
BODY = {"type": "http.response.body", "body": b"Hello, World!"}


async def hello(scope: Any, receive: Any, send: Any) -> None:
    await send(START)
    await send(BODY)


async def echo(scope: Any, receive: Any, send: Any) -> None:
    message = await receive()
    await send({**START, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": message["body"]})


async def waiting(scope: Any, receive: Any, send: Any) -> None:
    await send(START)
    await send(BODY)
    await asyncio.sleep(0)


async def pieces(scope: Any, receive: Any, send: Any) -> None:
    await send({**START, "headers": []})
    await send({**BODY, "more_body": True})
    await send(BODY)


#: Application, bytes, requests in them, Python calls for each; those of the application included.
BUDGETS = {
    "GET": (hello, GET, 1, 19),
    "15 headers": (hello, BROWSER, 1, 19),
    "16 pipelined": (hello, GET * 16, 16, 18),
    "POST 1 KiB": (echo, POST, 1, 29),
    "two pieces": (pieces, GET, 1, 56),
}


def measure(app: Any, data: bytes) -> tuple[Counter[str], list[bytes], int]:
    """Calls, writes and new tasks for one batch; the application is warm."""

    async def main() -> tuple[Counter[str], list[bytes], int]:
        loop = asyncio.get_running_loop()
        server = Server(
            ASGIApplication(app, lifespan="off"), Config.of(access_log=False, http1="native")
        )
        await server.start(listen=False)
        transport = Transport()
        connection = server.make_connection()
        connection.connection_made(transport)
        result: asyncio.Future[Any] = loop.create_future()

        def run() -> None:
            connection.data_received(data)
            connection.data_received(data)
            transport.writes.clear()
            before = len(asyncio.all_tasks())
            calls = count_calls(connection, data)
            result.set_result((calls, transport.writes, len(asyncio.all_tasks()) - before))

        loop.call_soon(run)
        measured = await result
        connection.connection_lost(None)
        await server.stop()
        return measured

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(main())


@pytest.mark.parametrize("name", BUDGETS)
def test_calls_stay_within_the_budget(name: str) -> None:
    app, data, requests, budget = BUDGETS[name]
    calls, _, tasks = measure(app, data)
    assert calls.total() <= budget * requests, f"{calls.total()} calls: {dict(calls)}"
    assert tasks == 0


@pytest.mark.parametrize("app", [hello, echo, waiting])
def test_a_whole_answer_is_one_write(app: Any) -> None:
    _, writes, _ = measure(app, GET)
    assert len(writes) == 1
