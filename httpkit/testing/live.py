"""`LiveServer`: a real server on a free port, for clients that speak through sockets.

Owns a thread with a loop of its own, so that the test may block, or run a loop itself; and what a
test has to be told at the end: exceptions of the application, and requests that would not end.
"""

import asyncio
import sys
import traceback
import warnings
from functools import partial
from types import TracebackType
from typing import Any, Self, cast

from httpkit.errors import ClientDisconnected, HTTPError, RemoteProtocolError
from httpkit.hosting import as_application
from httpkit.server.config import Config
from httpkit.server.embedded import embedded_config
from httpkit.server.exchange import Exchange
from httpkit.server.server import Server
from httpkit.testing.observe import ObservedApplication, Record
from httpkit.testing.portal import Portal
from httpkit.transport.loop import new_event_loop
from httpkit.types import Address, Application, Tap

__all__ = ["LiveServer"]

#: A test that waits for requests at its end has forgotten something.
_DEFAULTS: dict[str, object] = {"port": 0, "access_log": False, "shutdown_timeout": 1.0}
#: Seconds beyond `shutdown_timeout` for handlers that clean up and for the lifespan to end.
_PATIENCE = 10.0
#: What a peer can cause, or what a handler raises as an answer: no failure of the application.
_EXPECTED = (ClientDisconnected, HTTPError, RemoteProtocolError)
#: Where a server is reached that listens on all addresses.
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - nothing listens here


class LiveServer:
    """Serves an application on a free port of 127.0.0.1 until the `with` ends.

        with LiveServer(app) as server:
            assert urllib.request.urlopen(server.url).read() == b"Hello, world!"

    It runs in a thread with a loop of its own. `async with` works as well, and waits without
    blocking the loop of the test. Mistakes in the application, the address or the options are
    raised on entering, the exception of a lifespan as it is.

    At the end the server stops gracefully. Requests that go on for `shutdown_timeout` (1 s, unless
    given by this name) are cancelled and named in a `RuntimeWarning`.

    Args:
        application: an App, or any ASGI or WSGI application.
        raise_server_exceptions: raise at the end what handlers, bodies, sessions and background
            calls have raised unexpectedly; several as an `ExceptionGroup`. If the test has failed
            already, they are added to its exception as a note.
        tap: is shown every byte; see `Tap`.
        options: as for `httpkit.serve`; there is no access log unless asked for.

    Attributes:
        server: what runs, e.g. for its `counters`.
        errors: those exceptions so far; a test that expects one takes it out.

    Raises:
        ConfigurationError: an unknown option or a wrong value; on entering, an application or
            address that cannot be used.
    """

    def __init__(
        self,
        application: Any,
        *,
        raise_server_exceptions: bool = True,
        tap: Tap | None = None,
        **options: object,
    ) -> None:
        config = embedded_config(**(_DEFAULTS | options))
        self.errors: list[BaseException] = []
        observed = ObservedApplication(as_application(application), lambda: _Failures(self.errors))
        self._server = _WatchedServer(observed, config, tap=tap)
        self._strict = raise_server_exceptions
        self._portal = Portal(
            self._server,
            name="httpkit-live-server",
            loop_factory=partial(new_event_loop, config.loop),
        )
        self._warned = False

    @property
    def server(self) -> Server:
        """See above; call it from the server's loop only, but for attributes."""
        return self._server

    @property
    def addresses(self) -> list[Address]:
        """What it listens on, once entered."""
        return self._server.addresses

    @property
    def port(self) -> int:
        """The TCP port; 0 for a Unix socket."""
        return self._address.port

    @property
    def unix(self) -> str | None:
        """The path of the Unix socket, if it is one."""
        return self._server.config.unix

    @property
    def url(self) -> str:
        """Scheme and authority, e.g. `http://127.0.0.1:49200`, of the first port.

        A Unix socket has no authority: `http://localhost`, as clients with a `uds` option need it.

        Raises:
            RuntimeError: it has not been entered.
        """
        host, port = self._address
        scheme = self._server.schemes[0]
        if not port:
            return f"{scheme}://localhost"
        return f"{scheme}://{Address(_LOOPBACK.get(host, host), port)}"

    @property
    def _address(self) -> Address:
        if not self.addresses:
            raise RuntimeError("enter the server first: with LiveServer(app) as server:")
        return self.addresses[0]

    # --- start and stop ----------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._portal.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        self._raise_errors(error)

    async def __aenter__(self) -> Self:
        self._portal.thread.start()
        await asyncio.wrap_future(self._portal.entered)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._portal.begin_close()
        await asyncio.wait([asyncio.wrap_future(self._portal.left)], timeout=self._time_to_stop)
        self._check_stopped()
        self._raise_errors(error)

    def stop(self) -> None:
        """Stop gracefully and wait for it; further calls tell the same.

        Raises:
            RuntimeError: something blocks the server's thread, or ignores its cancellation.
            Exception: what leaving the lifespan raises.
        """
        self._portal.begin_close()
        self._portal.thread.join(self._time_to_stop)
        self._check_stopped()

    @property
    def _time_to_stop(self) -> float:
        return self._server.limits.shutdown_timeout + _PATIENCE

    def _check_stopped(self) -> None:
        cancelled = ", ".join(self._server.cancelled)
        if not self._portal.left.done():
            frame = sys._current_frames().get(self._portal.thread.ident or 0)  # noqa: SLF001
            stack = "".join(traceback.format_stack(frame))
            raise RuntimeError(
                f"the server does not stop, its thread is left behind ({cancelled or 'blocked'} "
                f"ignores the end); it is in\n{stack}"
            )
        if cancelled and not self._warned:
            self._warned = True
            warnings.warn(
                f"still running {self._server.limits.shutdown_timeout:g} s after the end of the "
                f"test, cancelled: {cancelled}",
                RuntimeWarning,
                stacklevel=3,
            )
        self._portal.left.result()

    def _raise_errors(self, failure: BaseException | None) -> None:
        if not self._strict or not self.errors:
            return
        if failure is not None:
            for error in self.errors:
                shown = "".join(traceback.format_exception(error))
                failure.add_note(f"Meanwhile, in the application:\n{shown}")
        elif len(self.errors) == 1:
            raise self.errors[0]
        else:
            raise BaseExceptionGroup("the application has failed", self.errors)


class _Failures(Record):
    """Notes the failure of a request where all of them are collected."""

    __slots__ = ("_errors",)

    def __init__(self, errors: list[BaseException]) -> None:
        super().__init__()
        self._errors = errors

    def note(self, error: BaseException) -> None:
        """Keep an exception that is the application's own."""
        if self.error is None and not isinstance(error, _EXPECTED):
            self._errors.append(error)
        super().note(error)


class _WatchedServer(Server):
    """Remembers which requests a stop had to cancel."""

    def __init__(self, application: Application, config: Config, *, tap: Tap | None) -> None:
        super().__init__(application, config, tap=tap)
        self.cancelled: list[str] = []

    def abort(self) -> None:
        """Cancel everything that runs, now."""
        for connection in self._connections:
            for stream in connection.streams.values():
                request = cast("Exchange", stream).request
                self.cancelled.append(f"{request.method} {request.target.decode('latin-1')}")
        super().abort()
