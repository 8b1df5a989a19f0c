"""`App`: the outermost router, and what a server serves.

Owns the contract with the server (`httpkit.types.Application`): freezing, the lifespan, and the
first step of each request. Registration is `Router`'s, composition `httpkit.routing`'s. Imports
no server; `App.run` and `App.__call__` are the doors to it.

    app = App()

    @app.get("/users/{id:int}", name="user")
    async def user(request: Request, id: int) -> dict[str, int]:
        return {"id": id}
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from httpkit.channels import Channels, MemoryChannels
from httpkit.errors import ConfigurationError
from httpkit.request import Request, State
from httpkit.response import Response
from httpkit.routing.checks import open_lifespan
from httpkit.routing.compile import Compiled, compile_app
from httpkit.routing.definitions import HostDefinition, Lifespan
from httpkit.routing.hosts import HostPattern
from httpkit.routing.route import Route, RouteInfo
from httpkit.routing.router import Router
from httpkit.routing.websocket import Compression, check_compression
from httpkit.threads import ThreadPool
from httpkit.types import Middleware, WorkerPlace
from httpkit.watchdog import Watchdog

__all__ = ["App"]


class App(Router):
    """A web application.

    Args:
        debug: answer unexpected exceptions with a traceback, and log handlers that hold the event
            loop for more than 100 ms. Shows internals: never where strangers reach it.
        middleware: wraps every route and every 404 and 405; the first is the outermost.
        lifespan: called with the app; an async context manager that is entered before the first
            request and left after the last one. Those of routers and mounted apps are entered
            too, after this one.
        channels: other ones than `MemoryChannels()`. An app that is mounted in another, and has
            none of its own when that is frozen, shares those of the outermost.
        threads: how many handlers with `thread=True` run at once.
        redirect_slashes: answer `/users/` with a redirect (307) where only `/users` is routed,
            and the other way round. The outermost app's choice holds for mounted ones.
        websocket_compression: whether WebSocket routes of this app take permessage-deflate where a
            client offers it, or how: `DeflateOptions`. A route may say otherwise.

    Attributes:
        state: a place for what the app shares, e.g. a pool of connections made by the lifespan.
        debug: as given; read when the app is frozen. Of mounted apps the outermost one's holds.
        threads: the pool of this app.

    Raises:
        ConfigurationError: middleware that cannot be called, no threads, or a window of compression
            that zlib cannot make.
    """

    def __init__(
        self,
        *,
        debug: bool = False,
        middleware: Iterable[Middleware] = (),
        lifespan: Lifespan | None = None,
        channels: Channels | None = None,
        threads: int = 40,
        redirect_slashes: bool = True,
        websocket_compression: Compression = True,
    ) -> None:
        super().__init__(middleware=middleware, lifespan=lifespan)
        self.definitions.app = self
        self.debug = debug
        self.state = State()
        self._channels = channels
        #: Those of every app that takes part, once it is frozen.
        self._all_channels: list[Channels] = []
        self._place: WorkerPlace | None = None
        self.threads = ThreadPool(threads)
        check_compression(websocket_compression)
        self.websocket_compression = websocket_compression
        self._redirect_slashes = redirect_slashes
        self._compiled: Compiled | None = None
        self._watchdog: Watchdog | None = None
        self._asgi: Callable[[Any, Any, Any], Awaitable[None]] | None = None
        # Both are replaced by `on_freeze`: nothing is found here before.
        self._static: dict[str, dict[bytes, Route]] = {}
        self._dispatch = self._freeze_and_dispatch

    def host(self, pattern: str, router: Router, *, name: str | None = None) -> None:
        """Serve another router or app for the hosts that match.

        Matching hosts get its routes only, inside this app's middleware; all others the routes of
        this app.

        Args:
            pattern: `api.example.com`; `{tenant}.example.com` passes the label to the handlers;
                `*.example.com` does not. A wildcard stands for one label.
            router: a Router or App.
            name: puts its route names into a namespace: `url_for("name:user")`.

        Raises:
            ConfigurationError: a malformed pattern, not a Router, or the app is frozen.
        """
        self._check_open()
        HostPattern(pattern)
        if not isinstance(router, Router):
            raise ConfigurationError(f"{router!r} is not an httpkit Router or App")
        self.definitions.hosts.append(HostDefinition(pattern, router, name))

    # --- what a server needs -----------------------------------------------------------------

    def handle(self, request: Request, /) -> Response | Awaitable[Response]:
        """Answer a request: a Response, or an awaitable of one where something has to wait.

        Never raises for anything that a client or a handler does.
        """
        static = self._static.get(request.method)
        if static is not None:
            route = static.get(request.target)
            if route is not None:
                request.route = route
                return route.endpoint(request)
        return self._dispatch(request)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Be an ASGI application (version 3): other servers serve this app, and others mount it.

        Raises:
            RuntimeError: a kind of scope that is unknown here.
        """
        if self._asgi is None:
            from httpkit.asgi import ASGICallable  # noqa: PLC0415 - a door to layer 4

            self._asgi = ASGICallable(self)
        await self._asgi(scope, receive, send)

    def on_freeze(self) -> None:
        """Check and compose everything that was registered; again does nothing.

        Raises:
            ConfigurationError: a mistake in the app, with its place and what to change.
        """
        self._freeze()

    def join_workers(self, place: WorkerPlace) -> None:
        """Be told of the other workers, which channels reach; before the lifespan."""
        self._place = place

    def begin_shutdown(self) -> None:
        """A graceful stop has begun: subscriptions end, so that nobody waits for their next."""
        for channels in self._all_channels:
            channels.begin_shutdown()

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Freeze the app, enter the lifespans from the outside in, leave them in reverse."""
        compiled = self._freeze()
        async with AsyncExitStack() as stack:
            for number, channels in enumerate(self._all_channels):
                place = self._place
                if place is not None:  # each in a directory of its own
                    directory = os.path.join(place.directory, f"channels-{number}")
                    place = place._replace(directory=directory)
                await stack.enter_async_context(channels.lifespan(place))
            if self._watchdog is not None:
                self._watchdog.start()
                stack.callback(self._watchdog.close)
            for lifespan, app in compiled.lifespans:
                await stack.enter_async_context(open_lifespan(lifespan, app))
            for app in compiled.apps:
                # Left first: a handler in a thread may still need what a lifespan has opened.
                stack.push_async_callback(app.threads.close)
            yield

    def _freeze(self) -> Compiled:
        if self._compiled is None:
            watch = None
            if self.debug:
                self._watchdog = Watchdog()
                watch = self._watchdog.watch
            compiled = compile_app(self, redirect_slashes=self._redirect_slashes, watch=watch)
            self._static = compiled.static
            self._dispatch = compiled.dispatcher.dispatch
            self._all_channels = self._share_channels(compiled.apps)
            self._compiled = compiled
        return self._compiled

    def _share_channels(self, apps: list["App"]) -> list[Channels]:
        """Give mine to apps that have none; all that there are, each once, mine first."""
        found = {self.channels: None}
        for app in apps:
            if app._channels is None:  # noqa: SLF001 - another App
                app._channels = self.channels  # noqa: SLF001
            found[app.channels] = None
        return list(found)

    def _freeze_and_dispatch(self, request: Request) -> Response | Awaitable[Response]:
        self._freeze()
        return self.handle(request)

    # --- what an application asks ------------------------------------------------------------

    @property
    def channels(self) -> Channels:
        """Topics to publish to and to subscribe to, across the workers of this server."""
        if self._channels is None:
            self._channels = MemoryChannels()
        return self._channels

    def url_for(self, name: str, /, **params: Any) -> str:
        """The URL of a named route, encoded: `url_for("user", id=3)` is `/users/3`.

        A path, or `//host/path` for a route of a host. An app that is mounted elsewhere does not
        know where: its handlers use `request.url_for`. Freezes the app.

        Args:
            name: with the namespaces of `include`, `mount` and `host`: `admin:user`.
            **params: the parameters of the route; those that it lacks become the query.

        Raises:
            LookupError: no such name, or a parameter is missing.
            ValueError: a value that the route would not match.
        """
        return self._freeze().dispatcher.url_for(name, params)

    def routes(self) -> list[RouteInfo]:
        """Every route, in the order of registration. Freezes the app."""
        return list(self._freeze().routes)

    def run(self, host: str = "127.0.0.1", port: int = 8000, **options: Any) -> None:
        """Serve this app in the foreground until SIGINT or SIGTERM; return after a graceful stop.

        Neither the environment nor a configuration file is read.

        Args:
            host: address or name to listen on; `*` for all addresses.
            port: TCP port; 0 for a free one.
            **options: further fields of `Config` and `Limits` by name, as for `httpkit.serve`.
                Not `workers` and `reload`: those need `httpkit run`.

        Raises:
            SystemExit: with the exit code of the command line, where it did not end gracefully.
        """
        from httpkit.cli.run import run_app  # noqa: PLC0415 - the door to layer 4

        run_app(self, host=host, port=port, **options)
