"""The server of one process: listens, makes exchanges, stops gracefully.

Theory of operation of a stop:

1. `stop` closes the listeners and tells every connection to end: idle ones now, others after
   their answer. `request.shutting_down` is true from here on.
2. When the last connection is closed, or `shutdown_timeout` is over and the rest is aborted (their
   handlers are cancelled), background calls are awaited and the lifespan ends.
3. Whoever calls `stop` while another call of it is at work, or while `start` is, waits for it.
"""

import asyncio
import itertools
import logging
import secrets
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from httpkit.errors import ProtocolError
from httpkit.limits import Limits
from httpkit.protocol.engine import Deadline, Engine
from httpkit.protocol.events import RequestReceived
from httpkit.request import Request
from httpkit.server.access_log import AccessLog, open_access_log
from httpkit.server.background import BackgroundTasks
from httpkit.server.body_reader import BodyReader, WholeBody
from httpkit.server.config import Config
from httpkit.server.counters import Counters
from httpkit.server.engines import Engines, http_date
from httpkit.server.exchange import Exchange
from httpkit.server.listening import Listening, open_listeners
from httpkit.server.proxies import Proxies
from httpkit.server.second_hand import SecondHand
from httpkit.server.secure_call import secure_call
from httpkit.server.tls_port import TLSPort, with_certificate
from httpkit.transport.acceptor import Acceptor
from httpkit.transport.connection import Connection
from httpkit.transport.deadlines import Reaper, Watched, reaper_interval
from httpkit.transport.handshake import Handshake
from httpkit.transport.tap import TappedConnection
from httpkit.transport.tasks import TaskStarter
from httpkit.types import Address, Application, Tap
from httpkit.waiting import NextTurn

__all__ = ["Server"]

logger = logging.getLogger("httpkit")

#: Seconds that cancelled handlers get to clean up.
_CLEANUP = 1.0
#: Seconds between two looks for first requests.
_LOOK = 0.02


class Server:
    """One process's server; implements `contracts.ConnectionOwner`.

    An async context manager: enters listening, leaves with a graceful stop. It installs no signal
    handlers, so it can be embedded in any running loop.

    Args:
        application: what is served.
        config: checked options.
        tap: is shown every byte of every connection.

    Attributes:
        addresses: what it listens on, once started.
        schemes: `http` or `https` for each of them.
        counters: what happened so far.
        background: tasks that no connection knows any more; a stop waits for them.
        stopping: a graceful stop has begun.
        clock: monotonic seconds, for every deadline and the access log; replaced before `start`,
            if at all.
        tap: that of connections to come; `None` again once it has failed.
    """

    loop: asyncio.AbstractEventLoop
    starter: TaskStarter
    next_turn: NextTurn

    def __init__(self, application: Application, config: Config, *, tap: Tap | None = None) -> None:
        self.application = application
        self.call = secure_call(application.handle, config, lambda: self._tls_port_number)
        #: Whether handlers are cancelled when their client goes away.
        self.cancel_on_disconnect: bool = getattr(application, "cancel_on_disconnect", True)
        self.config = config
        self.limits: Limits = config.limits
        self.max_body = config.limits.max_body
        self.max_in_flight = config.limits.max_requests_in_flight
        self.counters = Counters()
        self.addresses: list[Address] = []
        self.schemes: list[str] = []
        self.stopping = False
        self.access_log: AccessLog | None = None
        # Not loop.time: uvloop's stands still within a turn of the loop.
        self.clock: Callable[[], float] = time.monotonic
        self.tap = tap
        #: Tells the request ids of this process from those of others.
        self.instance = secrets.token_hex(2)
        self._engines = Engines(config)
        self._proxies: Proxies | None = None
        if config.proxy_headers:
            self._proxies = Proxies(config.forwarded_allow_ips, config.forwarded_field)
        self._numbers = itertools.count(1)
        self._connections: set[Connection] = set()
        self._stack = AsyncExitStack()
        self._acceptor: Acceptor | None = None
        self._listening: Listening | None = None
        self._tls: TLSPort | None = None
        #: A stop has told every connection to end; what is opened still ends too.
        self._ending = False
        self._idle = asyncio.Event()
        self.background = BackgroundTasks(self._idle.set)
        self._starting: asyncio.Event | None = None
        self._stopped = asyncio.Event()

    @property
    def engines(self) -> dict[str, str]:
        """The engines in use by protocol: `{"HTTP/1.1": "native", "HTTP/2": "reference"}`."""
        return self._engines.names

    @property
    def debug(self) -> bool:
        """Whether the application shows tracebacks to clients."""
        return bool(getattr(self.application, "debug", False))

    # --- start and stop ----------------------------------------------------------------------

    async def start(self, *, listen: bool = True, listening: Listening | None = None) -> None:
        """Check the application, bind, enter its lifespan, accept.

        Args:
            listen: open the configured address; without, only `make_connection` makes connections.
            listening: sockets to accept from instead; the server closes them and binds nothing.

        Raises:
            ConfigurationError: a mistake in the application, or an address that cannot be used.
            RuntimeError: it has been started or stopped before.
            Exception: whatever the lifespan raises.
        """
        if self._starting is not None or self.stopping:
            raise RuntimeError("a Server can be started once; make another one")
        self.application.on_freeze()
        self.loop = asyncio.get_running_loop()
        self.starter = TaskStarter(self.loop)
        self.next_turn = NextTurn(self.loop)
        self._starting = asyncio.Event()
        try:
            if listen:
                self._open_tls()
                self._listen(open_listeners(self.config) if listening is None else listening)
            self.access_log = open_access_log(self.config, self.clock)
            if self.access_log is not None:
                self._stack.callback(self.access_log.close)
            await self._stack.enter_async_context(self.application.lifespan())
            reaper = Reaper(
                self.loop,
                reaper_interval(self.limits),
                self.clock,
                self.watched,
                self._tick,
            )
            reaper.start()
            self._stack.callback(reaper.stop)
            second_hand = SecondHand(self.loop, self._engines.tick)
            second_hand.start()
            self._stack.callback(second_hand.stop)
        except BaseException:
            await self._stack.aclose()
            raise
        finally:
            self._starting.set()
        if self._acceptor is not None:
            self._acceptor.resume()  # after a stop that has begun meanwhile there is nothing to

    def _open_tls(self) -> None:
        if not self.config.serves_tls:
            return
        self._tls = TLSPort(
            with_certificate(self.config),
            self._engines.protocols,
            clock=self.clock,
            counters=self.counters,
            make_connection=self.make_connection,
            date=http_date,
            left=self._made_room,
        )
        self._stack.push_async_callback(self._tls.close)

    def _listen(self, listening: Listening) -> None:
        self._listening = listening
        self.schemes = listening.schemes or [self.config.main_scheme] * len(listening.sockets)
        kinds: dict[str, Callable[[], asyncio.Protocol]] = {"http": self.make_connection}
        if self._tls is not None:
            kinds["https"] = self._tls.handshakes.make
        self._acceptor = Acceptor(
            self.loop,
            {
                each: kinds[scheme]
                for each, scheme in zip(listening.sockets, self.schemes, strict=True)
            },
            self._room,
            batch=listening.accept_batch,
        )
        self._stack.push_async_callback(self._close_listeners)
        self.addresses = listening.addresses

    async def _close_listeners(self) -> None:
        if self._listening is not None:
            self._listening.unlink()
        if self._acceptor is not None:
            await self._acceptor.wait_closed()

    async def stop(self, *, first_requests: float = 0.0) -> None:
        """Stop gracefully; returns when everything is closed. Further calls only wait for that.

        Cancelled, it stops at once.

        Args:
            first_requests: seconds that connections which were just accepted get for their first
                request. With 0 they are closed as idle ones are; their clients may have sent it
                already, and a successor that listens on the same sockets would have answered it.
        """
        if self.stopping:
            await self._stopped.wait()
            return
        self.stopping = True
        try:
            begin_shutdown = getattr(self.application, "begin_shutdown", None)
            if begin_shutdown is not None:
                begin_shutdown()
            await self._close_listeners()
            if self._starting is not None:
                await self._starting.wait()
            await self._wait_for_first_requests(first_requests)
            self._ending = True
            for handshake in self._handshakes():
                handshake.give_up("the server stops")
            for connection in list(self._connections):
                connection.begin_shutdown()
            await self._drain()
        except asyncio.CancelledError:
            self.abort()
            await self._wait_idle(_CLEANUP)
            raise
        finally:
            try:
                await self._stack.aclose()
            finally:
                self._stopped.set()

    async def _wait_for_first_requests(self, seconds: float) -> None:
        """Nothing tells of a first request, since that is the hot path: look now and then."""
        while seconds > 0 and (
            self._handshakes()
            or any(each.engine.deadline_kind is Deadline.FIRST for each in self._connections)
        ):
            seconds -= _LOOK
            await asyncio.sleep(_LOOK)

    async def _drain(self) -> None:
        """Wait for connections and background calls, abort what takes too long."""
        deadline = self.limits.shutdown_timeout
        if await self._wait_idle(deadline):
            return
        logger.warning(
            "after %g s %d connections were still open, aborted", deadline, len(self._connections)
        )
        self.abort()
        # Handlers see their cancellation and clean up before the lifespan ends; one that
        # swallows it is left behind.
        if not await self._wait_idle(_CLEANUP):
            logger.error("%d requests ignore their cancellation", self.counters.requests_in_flight)

    async def _wait_idle(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                while self._connections or self.background or self.counters.requests_in_flight:
                    self._idle.clear()
                    await self._idle.wait()
        except TimeoutError:
            return False
        return True

    def abort(self) -> None:
        """Cancel everything that runs, now."""
        for connection in list(self._connections):
            connection.abort()
        self.background.cancel()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    # --- connections -------------------------------------------------------------------------

    def make_connection(self, scheme: str = "http", protocol: str = "") -> Connection:
        """A protocol for one more transport: an accepted socket, or one in memory.

        Args:
            scheme: `https` behind TLS.
            protocol: what ALPN has chosen; without, the first bytes decide.
        """
        kind = Connection if self.tap is None else TappedConnection
        name = f"{self.instance}-{next(self._numbers):x}"
        return kind(self, self.make_engine(protocol), name, scheme)

    def make_engine(self, protocol: str) -> Engine:
        """An engine for a protocol as ALPN names it: `http/1.1`, `h2`, or empty if nobody knows."""
        return self._engines.make(protocol)

    def make_stream(self, connection: Connection, event: RequestReceived) -> Exchange:
        """An exchange for a new request."""
        head = event.head
        exchange = Exchange(self, connection, event.stream_id, self.clock())
        if self._proxies is not None:
            local = connection.local  # our own side tells what kind of socket it is
            head, exchange.origin = self._proxies.resolve(
                head,
                connection.peer,
                connection.scheme,
                unix=local is not None and not local.port,
            )
        exchange.request = Request(
            exchange,
            head,
            head.method,
            head.target,
            head.scheme or connection.scheme,
            self.max_body,
        )
        if event.content:
            exchange.body = WholeBody(event.content, len(event.content))
        elif not event.end_stream:
            exchange.body = BodyReader(self.loop, event.content_length)
        return exchange

    def _room(self) -> int:
        return self.limits.max_connections - len(self._connections) - len(self._handshakes())

    def _handshakes(self) -> list[Handshake]:
        return [] if self._tls is None else list(self._tls.handshakes)

    @property
    def _tls_port_number(self) -> int:
        """Where redirects lead."""
        ports = zip(self.schemes, self.addresses, strict=True)
        return next((address.port for scheme, address in ports if scheme == "https"), 443)

    def watched(self) -> list[Watched]:
        """Whatever has deadlines: connections, and handshakes on their way to be one."""
        return [*self._connections, *self._handshakes()]

    @property
    def bytes_sent(self) -> int:
        """Bytes written to all connections since the start, before TLS; for any thread."""
        return self.counters.bytes_sent + sum(each.bytes_sent for each in list(self._connections))

    def begin_reload(self) -> None:
        """Do what `reload_certificates` does, without waiting for it."""
        if self._tls is not None:
            self._tls.begin_reload()

    async def reload_certificates(self) -> bool:
        """Read certificates, keys and revocation lists anew, as happens when the files change.

        Connections that are open keep what they began with.

        Returns:
            Whether they can be used; if not, the log says why, and the old ones stay. `False`
            without TLS, too.
        """
        return self._tls is not None and await asyncio.shield(self._tls.begin_reload())

    def connection_opened(self, connection: Connection) -> None:
        """Count it; a stop that has begun meanwhile ends it."""
        self.counters.connections_opened += 1
        self.counters.connections_open += 1
        self._connections.add(connection)
        if self._ending:
            connection.begin_shutdown()

    def connection_closed(self, connection: Connection) -> None:
        """Forget it; there is room for another."""
        self.counters.connections_open -= 1
        self.counters.bytes_sent += connection.bytes_sent
        self._connections.discard(connection)
        self._made_room()

    def _made_room(self) -> None:
        if self._acceptor is not None and not self.stopping:
            self._acceptor.make_room()
        self._idle.set()

    def connection_refused(
        self, connection: Connection, error: ProtocolError, status: int | None
    ) -> None:
        """The engine has refused input; the reason goes to the log."""
        self.counters.requests_refused += 1
        logger.info(
            "connection %s from %s refused%s: %s",
            connection.name,
            connection.peer,
            f" with {status}" if status else "",
            error,
        )

    def exchange_finished(self) -> None:
        """Called while stopping: there may be nothing left to wait for."""
        self._idle.set()

    def _tick(self) -> None:
        """Once in an interval of the reaper, at least once a second."""
        if self._tls is not None:
            self._tls.tick()
        if self.access_log is not None:
            self.access_log.flush()
