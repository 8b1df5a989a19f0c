"""A server in a thread with a loop of its own, a scripted application, and a clock to turn."""

import asyncio
import concurrent.futures
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Self, TypeVar

from httpkit.request import Request
from httpkit.response import Response
from httpkit.server.embedded import serve
from httpkit.server.server import Server
from httpkit.testing.portal import Portal
from httpkit.transport.loop import new_event_loop
from httpkit.types import Address

from .wire import PATIENCE, Client, eventually, make_request

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T], loop: str) -> T:
    """Run a coroutine on a loop of its own."""
    with asyncio.Runner(loop_factory=lambda: new_event_loop(loop)) as runner:
        return runner.run(coroutine)


class Clock:
    """Monotonic time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Script:
    """An application that is one function; notes what happens to it.

    Attributes:
        requests: `METHOD target` of every request that reached it.
        events: `freeze`, `enter`, `leave`, and whatever a test adds.
    """

    def __init__(self, handler: Callable[[Request], Any] | None = None) -> None:
        self.handler = handler or (lambda request: Response("Hello"))
        self.requests: list[str] = []
        self.events: list[str] = []

    def handle(self, request: Request) -> Any:
        self.requests.append(f"{request.method} {request.target.decode()}")
        return self.handler(request)

    def on_freeze(self) -> None:
        self.events.append("freeze")

    @asynccontextmanager
    async def lifespan(self):
        self.events.append("enter")
        yield
        self.events.append("leave")


class LiveServer:
    """Runs a server until the `with` block ends, and then looks for what is left behind.

    Args:
        application: a `Script`, a handler for one, or any application.
        loop: `uvloop` or `asyncio`.
        options: of `serve`.
    """

    def __init__(self, application: Any = None, *, loop: str = "uvloop", **options: Any) -> None:
        if application is None or (callable(application) and not hasattr(application, "lifespan")):
            application = Script(application)
        self.application = application
        self.clock = Clock()
        options = {"port": 0, "access_log": False, "shutdown_timeout": 5.0, **options}
        self.server: Server = serve(application, **options)
        self.server.clock = self.clock
        self.loop: asyncio.AbstractEventLoop
        #: What the loop would have logged: nobody handled it.
        self.unhandled: list[dict[str, Any]] = []
        self._portal = Portal(
            self._serve(), name="server", loop_factory=partial(new_event_loop, loop)
        )
        self._clients: list[Client] = []

    # --- the thread --------------------------------------------------------------------------

    @asynccontextmanager
    async def _serve(self) -> AsyncIterator[None]:
        self.loop = asyncio.get_running_loop()
        self.loop.set_exception_handler(lambda _, context: self.unhandled.append(context))
        await self.server.start()
        yield
        if not self.server.stopping:
            self.server.abort()
        await self.server.stop()
        self.left_behind = asyncio.all_tasks() - {asyncio.current_task()}

    def __enter__(self) -> Self:
        self._portal.open()
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        for client in self._clients:
            client.close()
        self._portal.begin_close()
        self._portal.left.result(PATIENCE)
        if kind is None:
            assert not self.unhandled, self.unhandled
            assert not self.left_behind, self.left_behind
            assert self.server.counters.connections_open == 0
            assert self.server.counters.requests_in_flight == 0

    # --- for tests ---------------------------------------------------------------------------

    @property
    def address(self) -> Address:
        return self.server.addresses[0]

    @property
    def requests(self) -> list[str]:
        """What reached the application."""
        return self.application.requests

    def connect(self, **options: Any) -> Client:
        """A new connection; closed at the end of the test."""
        return self.connect_to(self.address, **options)

    def connect_to(self, address: Address, **options: Any) -> Client:
        """The same, to an address of several."""
        client = Client(address, **options)
        self._clients.append(client)
        return client

    def call(self, function: Callable[..., T], *args: Any) -> T:
        """Call something in the server's thread."""
        result: concurrent.futures.Future[T] = concurrent.futures.Future()

        def step() -> None:
            try:
                result.set_result(function(*args))
            except BaseException as error:  # noqa: BLE001 - raised in the test
                result.set_exception(error)

        self.loop.call_soon_threadsafe(step)
        return result.result(PATIENCE)

    def wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Await something in the server's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(PATIENCE)

    def begin_stop(self) -> "concurrent.futures.Future[None]":
        """Stop gracefully; the future tells when that is done."""
        future = asyncio.run_coroutine_threadsafe(self.server.stop(), self.loop)
        eventually(lambda: self.server.stopping, "the stop")
        return future

    def until(self, condition: Callable[[], Any], what: str = "the server") -> None:
        """Wait until something is true, looked at in the server's thread."""
        eventually(lambda: self.call(condition), what)

    def connection(self):
        """The only open connection; `None` if there is none."""
        connections = list(self.server._connections)
        assert len(connections) < 2
        return connections[0] if connections else None

    def the_connection(self):
        """The only connection, once it is there."""
        self.until(self.connection, "a connection")
        return self.call(self.connection)

    def reading_is_paused(self) -> bool:
        """Whether the only connection takes no bytes from its socket."""
        connection = self.call(self.connection)
        return connection is not None and connection._reading_paused

    def the_connection_is_full(self) -> bool:
        """Whether the only connection waits for its socket; in the server's thread."""
        connection = self.connection()
        return connection is not None and connection._writing_paused

    def leave_while_full(self) -> None:
        """Ask for `/` with a client that reads nothing, and reset it when its socket is full."""
        client = self.connect(receive_buffer=4096)
        client.send(make_request())
        self.until(self.the_connection_is_full, "a full socket")
        client.reset()

    def until_receiving(self, kind: Any) -> None:
        """Wait until the only connection waits for `kind`."""

        def waits() -> bool:
            connection = self.connection()
            return connection is not None and connection.engine.deadline_kind is kind

        self.until(waits, f"{kind}")

    def pass_time(self, *seconds: float) -> None:
        """Let time pass in steps; the reaper scans before the first and after each."""

        def scan() -> None:
            for watched in self.server.watched():
                watched.check_deadlines(self.clock.now)

        self.call(scan)
        for step in seconds:
            self.clock.now += step
            self.call(scan)

    def pass_time_until(self, condition: Callable[[], Any], step: float, what: str) -> None:
        """Let steps of time pass until something is true.

        For deadlines that progress puts off, where the kernel alone knows when there is no more.
        """

        def passed() -> Any:
            self.pass_time(step)
            return self.call(condition)

        eventually(passed, what)
