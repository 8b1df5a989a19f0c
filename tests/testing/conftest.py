"""One application that does everything a client may meet, and a client for each road to it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from contextvars import ContextVar
from typing import Any

import pytest

from httpkit import App, HTTPError, Request, Response, Upgrade
from httpkit.testing import Client

#: What the lifespan has set; handlers see it, as on a server.
setting: ContextVar[str] = ContextVar("setting", default="unset")

Connect = Callable[..., Client]


class Pieces:
    """The least that can be a body."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = list(pieces)

    def __aiter__(self) -> "Pieces":
        return self

    async def __anext__(self) -> bytes:
        if not self.pieces:
            raise StopAsyncIteration
        return self.pieces.pop(0)


@asynccontextmanager
async def lifespan(app: App) -> AsyncIterator[None]:
    """Holds a task group, which only the task that entered it may leave."""
    setting.set("set by the lifespan")
    app.state.events = ["entered"]
    async with asyncio.TaskGroup():
        yield
    app.state.events.append("left")


def make_app() -> App:
    """A fresh application."""
    app = App(lifespan=lifespan)
    _add_answers(app)
    _add_streams(app)
    _add_upgrade(app)
    _add_redirects(app)
    _add_failures(app)
    return app


def _add_answers(app: App) -> None:
    @app.route("/", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
    async def echo(request: Request) -> dict[str, Any]:
        """What arrived."""
        return {
            "method": request.method,
            "url": str(request.url),
            "target": request.target.decode(),
            "headers": request.headers.pairs(),
            "cookies": request.cookies,
            "body": (await request.body()).decode("latin-1"),
            "client": request.client and request.client.host,
        }

    @app.post("/body")
    async def body(request: Request) -> Response:
        return Response(await request.body())

    @app.post("/form")
    async def form(request: Request) -> dict[str, Any]:
        form = await request.form()
        files = {
            name: [file.filename, file.content_type, (await file.read()).decode()]
            for name, file in form.files.items()
        }
        return {"fields": form.pairs, "files": files}

    @app.get("/context")
    def context(request: Request) -> str:
        return setting.get()

    @app.get("/latin")
    def latin(request: Request) -> Response:
        return Response("é".encode("latin-1"), media_type="text/plain; charset=iso-8859-1")

    @app.get("/hints")
    async def hints(request: Request) -> Response:
        await request.early_hints("</a.css>; rel=preload")
        return Response("x", trailers={"x-checksum": "1"})

    @app.get("/background")
    async def background(request: Request) -> Response:
        async def later() -> None:
            await asyncio.sleep(0)
            app.state.events.append("background")

        response = Response("ok")
        response.add_background(app.state.events.append, "first")
        response.add_background(later)
        return response

    @app.get("/empty")
    def empty(request: Request) -> None:
        return None


def _add_streams(app: App) -> None:
    @app.get("/endless")
    async def endless(request: Request) -> AsyncIterator[str]:
        number = 0
        try:
            while True:
                yield f"line {number}\r\n"
                number += 1
        finally:
            app.state.events.append("stream ended")

    @app.get("/numbers")
    async def numbers(request: Request) -> AsyncIterator[str]:
        yield "1\n"
        yield "2\n"

    @app.get("/characters")
    async def characters(request: Request) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            for byte in "aé€".encode():
                yield bytes([byte])

        return Response(pieces(), media_type="text/plain")

    @app.get("/cut")
    def cut(request: Request) -> Response:
        """An iterable that is no generator, and half a character at its end."""
        return Response(Pieces([b"line\n", b"", b"\xe2\x82"]), media_type="text/plain")

    @app.post("/duplex")
    async def duplex(request: Request) -> AsyncIterator[bytes]:
        async for piece in request.stream():
            yield piece.upper()

    @app.get("/file")
    async def file(request: Request) -> Response:
        return Response.file(__file__)


def _add_upgrade(app: App) -> None:
    @app.get("/upgrade")
    async def upgrade(request: Request) -> Response:
        async def shout(stream: Any) -> None:
            await stream.send(b"")
            await stream.send(b"hello")
            while data := await stream.receive():
                if data == b"bye":
                    return
                await stream.send(data.upper())

        return Upgrade("shout", shout, {"x-greeting": "1"})


def _add_redirects(app: App) -> None:
    @app.route("/redirect/{status:int}", methods=["GET", "POST", "HEAD"])
    def redirect(request: Request, status: int) -> Response:
        return Response.redirect(request.query.get("to", "/"), status)

    @app.get("/choice/{status:int}")
    def choice(request: Request, status: int) -> Response:
        return Response(b"", status, {"location": "/"})

    @app.get("/loop")
    def loop(request: Request) -> Response:
        return Response.redirect("/loop")

    @app.get("/login")
    def login(request: Request) -> Response:
        response = Response.redirect("/")
        response.set_cookie("session", "s1")
        response.set_cookie("locked", "1", secure=True)
        response.set_cookie("deep", "1", path="/deep")
        return response

    @app.get("/logout")
    def logout(request: Request) -> str:
        raise HTTPError(401, headers={"set-cookie": "session=; Max-Age=0; Path=/"})


def _add_failures(app: App) -> None:
    @app.get("/hang")
    async def hang(request: Request) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            app.state.events.append("hang cancelled")

    @app.get("/fail")
    async def fail(request: Request) -> None:
        raise ZeroDivisionError("in the handler")

    @app.get("/fail/expected")
    async def expected(request: Request) -> None:
        raise HTTPError(503, "Come back later.")

    @app.get("/fail/stream")
    async def fail_stream(request: Request) -> AsyncIterator[str]:
        yield "begun"
        raise ZeroDivisionError("in the body")

    @app.get("/fail/background")
    async def fail_background(request: Request) -> Response:
        def broken() -> None:
            raise ZeroDivisionError("in the background")

        response = Response("ok")
        response.add_background(broken)
        return response


@pytest.fixture
def app() -> App:
    return make_app()


@pytest.fixture(params=["native", "reference", "direct"])
def road(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Options of a client: over either engine, or straight to the application."""
    return {"wire": False} if request.param == "direct" else {"http1": request.param}


@pytest.fixture
def connect(app: App, road: dict[str, Any]) -> Iterator[Connect]:
    """Make clients of the application; closed at the end of the test."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(Client(app, **(road | options)))


@pytest.fixture
def client(connect: Connect) -> Client:
    return connect()
