"""The roads themselves: the transport in memory, and applications that are no App."""

import asyncio
from collections.abc import Awaitable
from contextlib import AbstractAsyncContextManager, nullcontext
from contextvars import Context, copy_context
from pathlib import Path
from typing import Any

import pytest

from httpkit import (
    Address,
    App,
    ClientDisconnected,
    LocalProtocolError,
    Next,
    RemoteProtocolError,
    Request,
    Response,
)
from httpkit.testing import AsyncClient, Client
from httpkit.testing.memory import MemoryTransport


class Recorder(asyncio.Protocol):
    """A server's side that writes down what happens to it."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.events.append("made")

    def data_received(self, data: bytes) -> None:
        self.events.append(len(data))

    def pause_writing(self) -> None:
        self.events.append("pause")

    def resume_writing(self) -> None:
        self.events.append("resume")

    def connection_lost(self, error: Exception | None) -> None:
        self.events.append("lost")


def run_memory(test: Any) -> None:
    async def main() -> None:
        protocol = Recorder()
        peer, local = Address("127.0.0.1", 50_000), Address("127.0.0.1", 80)
        transport = MemoryTransport(protocol, copy_context(), peer, local)
        await transport.open()
        await test(transport, protocol.events)

    asyncio.run(main())


def test_addresses_and_abilities() -> None:
    async def test(transport: MemoryTransport, events: list[Any]) -> None:
        assert transport.get_extra_info("peername") == ("127.0.0.1", 50_000)
        assert transport.get_extra_info("sockname") == ("127.0.0.1", 80)
        assert transport.get_extra_info("socket") is None
        assert transport.can_write_eof()
        assert not transport.is_closing()

    run_memory(test)


def test_bytes_come_in_pieces_as_from_a_socket() -> None:
    async def test(transport: MemoryTransport, events: list[Any]) -> None:
        await transport.send(b"x" * 100_000)
        assert events == ["made", 65_536, 34_464]

    run_memory(test)


def test_the_client_waits_while_reading_is_paused() -> None:
    async def test(transport: MemoryTransport, events: list[Any]) -> None:
        transport.pause_reading()
        sending = asyncio.create_task(transport.send(b"x"))
        await asyncio.sleep(0)
        assert events == ["made"]
        transport.resume_reading()
        await sending
        assert events == ["made", 1]

    run_memory(test)


def test_the_server_is_told_when_the_client_reads_too_slowly() -> None:
    async def test(transport: MemoryTransport, events: list[Any]) -> None:
        transport.set_write_buffer_limits(high=10)
        transport.write(b"x" * 11)
        transport.write(b"x")
        assert events == ["made", "pause"]
        assert transport.get_write_buffer_size() == 12
        assert await transport.receive() == b"x" * 12
        await asyncio.sleep(0)
        assert events == ["made", "pause", "resume"]

    run_memory(test)


def test_what_is_written_before_the_end_arrives() -> None:
    async def test(transport: MemoryTransport, events: list[Any]) -> None:
        transport.write(b"last")
        transport.close()
        transport.close()
        transport.write(b"too late")
        assert await transport.receive() == b"last"
        assert await transport.receive() == b""
        await transport.send(b"nobody reads this")
        await transport.disconnect()
        assert events == ["made", "lost"]

    run_memory(test)


def test_half_close() -> None:
    async def test(transport: MemoryTransport, events: list[Any]) -> None:
        transport.write_eof()
        assert await transport.receive() == b""
        await transport.send(b"x")
        assert events == ["made", 1]

    run_memory(test)


def test_abort_forgets_what_is_written() -> None:
    async def test(transport: MemoryTransport, events: list[Any]) -> None:
        transport.write(b"gone")
        await transport.disconnect()
        assert await transport.receive() == b""
        assert events == ["made", "lost"]

    run_memory(test)


def test_a_callback_that_outlives_its_client() -> None:
    async def test(transport: MemoryTransport, events: list[Any]) -> None:
        sending = asyncio.create_task(transport.send(b"x"))
        asyncio.get_running_loop().call_soon(sending.cancel)
        with pytest.raises(asyncio.CancelledError):
            await sending
        await asyncio.sleep(0)

    run_memory(test)


def test_a_protocol_that_fails_fails_the_test() -> None:
    class Broken(Recorder):
        def data_received(self, data: bytes) -> None:
            raise LookupError

    async def main() -> None:
        nobody = Address("", 0)
        transport = MemoryTransport(Broken(), Context(), nobody, nobody)
        with pytest.raises(LookupError):
            await transport.send(b"x")

    asyncio.run(main())


# --- applications that are no App ----------------------------------------------------------


class Plain:
    """The least that can be served."""

    def handle(self, request: Request) -> Response | Awaitable[Response]:
        if request.path == "/sync":
            return Response("at once")
        if request.path == "/sync/fail":
            raise LookupError("at once")
        return self.answer(request)

    async def answer(self, request: Request) -> Response:
        if request.path == "/async/fail":
            raise LookupError("later")
        return Response("later")

    def lifespan(self) -> AbstractAsyncContextManager[object]:
        return nullcontext()

    def on_freeze(self) -> None:
        """Nothing to check."""


def test_a_plain_application(road: dict[str, Any]) -> None:
    with Client(Plain(), **road) as client:
        assert client.get("/sync").text == "at once"
        assert client.get("/async").text == "later"
        with pytest.raises(LookupError, match="at once"):
            client.get("/sync/fail")
        with pytest.raises(LookupError, match="later"):
            client.get("/async/fail")
        assert client.get("/sync").text == "at once"


@pytest.mark.parametrize("http1", ["native", "reference"])
def test_a_connection_that_ends_without_an_answer(http1: Any) -> None:
    app = App()

    @app.get("/")
    async def vanish(request: Request) -> None:
        request._channel.connection.abort()
        await asyncio.Event().wait()

    with Client(app, http1=http1) as client:
        for _ in range(2):
            with pytest.raises(RemoteProtocolError, match="There is no answer"):
                client.get("/")


def test_what_the_client_does_not_send(app: App) -> None:
    with Client(app) as client:
        with pytest.raises(LocalProtocolError, match="cannot send <A B http://testserver/>"):
            client.request("a b", "/")
        assert client.get("/").status_code == 200


@pytest.mark.parametrize("http1", ["native", "reference"])
def test_connections_are_used_again(app: App, http1: Any) -> None:
    addresses: set[Any] = set()

    @app.get("/who")
    def who(request: Request) -> None:
        addresses.add(request.client)

    async def main() -> None:
        async with AsyncClient(app, http1=http1) as client:
            for _ in range(3):
                await client.get("/who")
            assert len(addresses) == 1
            await client.get("/who", headers={"connection": "close"})
            await client.get("/who")
            assert len(addresses) == 2
            await client.get("https://testserver/who")
            assert len(addresses) == 3
            await asyncio.gather(*(client.get("/who") for _ in range(5)))
            assert len(addresses) == 7

    asyncio.run(main())


# --- the direct road -----------------------------------------------------------------------


def test_what_a_request_knows_of_the_direct_road() -> None:
    app = App()

    @app.post("/")
    async def ask(request: Request) -> dict[str, Any]:
        return {
            "id": request.id,
            "server": request.server,
            "stopping": request.shutting_down,
            "disconnected": request.is_disconnected(),
            "trailers": len(await request.trailers()),
        }

    with Client(app, wire=False) as client:
        assert client.post("/", content=b"x").json() == {
            "id": "test-1",
            "server": ["127.0.0.1", 80],
            "stopping": False,
            "disconnected": False,
            "trailers": 0,
        }


def test_an_upgrade_that_nobody_offered(app: App) -> None:
    with (
        Client(app, wire=False) as client,
        pytest.raises(LocalProtocolError, match="did not offer"),
    ):
        client.get("/upgrade")


def test_a_body_is_not_read_after_the_end() -> None:
    app = App()
    kept: list[Request] = []

    @app.post("/")
    async def keep(request: Request) -> None:
        kept.append(request)

    with Client(app, wire=False) as client:
        client.post("/", content=b"x")
        with pytest.raises(ClientDisconnected):
            client.portal.call(kept[0].body())


def test_files_that_no_endpoint_has_opened(road: dict[str, Any], tmp_path: Path) -> None:
    """Answers of middleware, and of applications that are no App: whoever sends opens them."""
    (tmp_path / "x.txt").write_bytes(b"12345")
    app = App()

    @app.middleware
    async def answer(request: Request, next: Next) -> Response:
        return Response.file(tmp_path / request.path.lstrip("/"))

    with Client(app, **road) as client:
        assert client.get("/x.txt").content == b"12345"
        missing = client.get("/nope")
        assert (missing.status_code, missing.text) == (404, "404 Not Found\n")
