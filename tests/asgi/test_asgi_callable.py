"""An `App` as an ASGI application: by hand, with httpx, and below Starlette."""

import asyncio
import contextlib
import inspect
from typing import Any

import httpx
import msgspec
import pytest
import starlette.applications
import starlette.routing

from httpkit import App, Request, Response, Upgrade
from httpkit.asgi import ASGICallable
from httpkit.body import FileBody
from httpkit.errors import HTTPError, LocalProtocolError


def make_app() -> App:  # noqa: C901 - one handler for each fate
    app = App()

    @app.get("/")
    async def index(request: Request) -> str:
        return "hello"

    @app.route("/empty", methods=["GET", "HEAD"])
    async def empty(request: Request) -> Response:
        return Response(b"")

    @app.get("/about")
    def about(request: Request) -> dict[str, Any]:
        return {
            "path": request.path,
            "query": request.query_string.decode(),
            "host": request.host,
            "client": request.client and str(request.client),
            "version": request.http_version,
            "scheme": request.scheme,
        }

    @app.get("/where/", name="where")
    async def where(request: Request) -> list[str]:
        return [str(request.url_for("where")), str(request.url), str(request.base_url)]

    @app.get("/items/{name}")
    async def item(request: Request, name: str) -> str:
        return name

    @app.post("/echo", max_body=10)
    async def echo(request: Request) -> bytes:
        return await request.body()

    @app.post("/form")
    async def form(request: Request) -> str:
        return (await request.form())["a"]

    @app.get("/stream")
    async def stream(request: Request) -> Any:
        for piece in ("a", b"b", ""):
            yield piece

    @app.get("/file")
    def file(request: Request) -> Response:
        return Response.file(__file__)

    @app.get("/open-file")
    def open_file(request: Request) -> Response:
        return Response(FileBody(__file__, 0, 10))

    @app.get("/fail")
    async def fail(request: Request) -> None:
        raise LookupError("inside")

    @app.get("/upgrade")
    def upgrade(request: Request) -> Response:
        async def session(stream: Any) -> None:
            raise AssertionError

        return Upgrade("x", session)

    @app.get("/hints")
    async def hints(request: Request) -> str:
        assert not request.push("/a")
        await request.early_hints("</a>")
        await request.send_informational(102)
        return f"{request.is_disconnected()} {request.shutting_down}"

    @app.get("/trailers")
    def trailers(request: Request) -> Response:
        return Response("x", trailers=lambda: {"x-sum": "1"})

    return app


class Exchange:
    """One call of an ASGI application by hand."""

    def __init__(self, app: Any, path: str = "/", *pieces: bytes, **scope: Any) -> None:
        self.app = app
        self.scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": path,
            "query_string": b"",
            "headers": [(b"Host", b"example.com")],
            **scope,
        }
        self.pieces = list(pieces)
        self.sent: list[Any] = []
        self.gone = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        if self.pieces:
            data = self.pieces.pop(0)
            return {"type": "http.request", "body": data, "more_body": bool(self.pieces)}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    async def run(self) -> Any:
        await self.app(self.scope, self.receive, self.send)
        return self

    @property
    def status(self) -> int:
        return self.sent[0]["status"]

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])

    @property
    def body(self) -> bytes:
        return b"".join(each.get("body", b"") for each in self.sent[1:])


def ask(path: str = "/", *pieces: bytes, app: Any = None, **scope: Any) -> Any:
    return asyncio.run(Exchange(app or make_app(), path, *pieces, **scope).run())


def test_servers_recognize_it() -> None:
    """uvicorn, hypercorn and granian ask whether `__call__` is a coroutine function."""
    assert inspect.iscoroutinefunction(make_app().__call__)
    assert len(inspect.signature(make_app()).parameters) == 3


def test_a_small_answer_is_two_messages() -> None:
    exchange = ask()
    assert [each["type"] for each in exchange.sent] == [
        "http.response.start",
        "http.response.body",
    ]
    assert (exchange.status, exchange.body) == (200, b"hello")
    assert exchange.headers[b"content-length"] == b"5"


def test_the_request_is_that_of_the_scope() -> None:
    exchange = ask("/about", query_string=b"x=1", client=("192.0.2.1", 5), scheme="https")
    assert httpx.Response(200, content=exchange.body).json() == {
        "path": "/about",
        "query": "x=1",
        "host": "example.com",
        "client": "192.0.2.1:5",
        "version": "1.1",
        "scheme": "https",
    }


@pytest.mark.parametrize(
    ("root", "url"),
    [("", ""), ("/mnt", "/mnt"), ("/mnt/", "/mnt"), ("/ä b", "/%C3%A4%20b"), ("/\udcff", "/%FF")],
)
@pytest.mark.parametrize("in_path", [True, False])
def test_urls_begin_where_it_is_mounted(root, url, in_path) -> None:
    """`root_path` stands in `path`, or servers leave it out (ASGI HTTP, until version 2.3)."""
    before = root.rstrip("/") if in_path else ""
    there = f"http://example.com{url}"
    answer = ask(f"{before}/where/", root_path=root)
    assert msgspec.json.decode(answer.body) == [f"{there}/where/", f"{there}/where/", f"{there}/"]
    moved = ask(f"{before}/where", root_path=root)
    assert moved.headers[b"location"].decode() == f"{url}/where/"


@pytest.mark.parametrize(
    ("scope", "body"),
    [
        ({"path": "/items/a b"}, b"a b"),
        ({"path": "/items/a b", "raw_path": b"/items/a%20b"}, b"a b"),
        ({"path": "/items/é", "raw_path": b"/items/%C3%A9?x"}, "é".encode()),
        ({"path": "/mnt/items/x", "root_path": "/mnt", "raw_path": b"/mnt/items/x"}, b"x"),
        ({"path": "/ä/items/x", "root_path": "/ä", "raw_path": b"/%C3%A4/items/x"}, b"x"),
        ({"path": "/ä/items/x", "root_path": "/ä", "raw_path": b"/other"}, b"x"),
        ({"path": "/items/x", "root_path": "/mnt"}, b"x"),
        ({"path": "/mnt", "root_path": "/mnt", "raw_path": b"/mnt"}, b"hello"),
        ({"path": "", "root_path": ""}, b"hello"),
    ],
)
def test_paths(scope, body) -> None:
    exchange = ask(**scope)
    assert (exchange.status, exchange.body) == (200, body)


def test_head_and_errors() -> None:
    head = ask(method="HEAD")
    assert (head.status, head.body, head.headers[b"content-length"]) == (200, b"", b"5")
    assert b"content-length" not in ask("/empty", method="HEAD").headers  # RFC 9110 §8.6
    assert ask("/empty").headers[b"content-length"] == b"0"
    assert ask("/nowhere").status == 404
    assert ask(method="DELETE").status == 405
    failed = ask("/fail")
    assert failed.status == 500
    assert b"inside" not in failed.body


def test_bodies_and_their_limit() -> None:
    headers = [(b"host", b"x"), (b"transfer-encoding", b"chunked")]
    options = {"method": "POST", "headers": headers}
    assert ask("/echo", b"a", b"", b"bc", **options).body == b"abc"
    assert ask("/echo", b"x" * 8, b"x" * 8, **options).status == 413


def test_a_body_that_no_field_announces() -> None:
    """What is received counts: gateways that are not HTTP make scopes without framing."""
    options = {"method": "POST", "headers": [(b"host", b"x")]}
    assert ask("/echo", b"a", b"bc", **options).body == b"abc"
    assert ask("/echo", b"x" * 20, **options).status == 413


def test_streams_and_files() -> None:
    assert ask("/stream").body == b"ab"
    with open(__file__, "rb") as file:
        content = file.read()
    whole = ask("/file")
    assert (whole.body, whole.headers[b"content-length"]) == (content, b"%d" % len(content))
    assert ask("/file", method="HEAD").body == b""
    assert ask("/open-file").body == content[:10]


def test_what_cannot_be_done_here() -> None:
    assert ask("/upgrade").status == 501
    assert ask("/hints").body == b"False False"
    sent = ask("/hints", extensions={"http.response.early_hint": {}}).sent
    assert sent[0] == {"type": "http.response.early_hint", "links": [b"</a>"]}


def test_trailers_go_where_the_server_takes_them() -> None:
    assert len(ask("/trailers").sent) == 2
    exchange = ask("/trailers", extensions={"http.response.trailers": {}})
    assert exchange.sent[0]["trailers"] is True
    assert exchange.sent[2] == {"type": "http.response.trailers", "headers": [(b"x-sum", b"1")]}


@pytest.mark.parametrize(("method", "version"), [("GET", "1.1"), ("GET", "2"), ("POST", "1.1")])
def test_a_stream_without_end_ends_with_its_client(method, version) -> None:
    """On HTTP/2 no field says that there is no body, and nobody has asked for it."""
    app = App()
    closed = []

    @app.route("/", methods=["GET", "POST"])
    async def endless(request: Request) -> Any:
        try:
            while True:
                yield "x"
                await asyncio.sleep(0)
        finally:
            closed.append(request.is_disconnected())

    async def main() -> None:
        exchange = Exchange(app, "/", b"", method=method, http_version=version)
        task = asyncio.ensure_future(exchange.run())
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(exchange.sent) > 5
        exchange.gone.set()
        await task
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
    assert closed == [True]


def test_a_stream_may_read_what_has_arrived_before_it() -> None:
    app = App()

    @app.get("/")
    async def echo(request: Request) -> Any:
        async for piece in request.stream():
            yield piece

    assert ask("/", b"a", b"b", app=app, http_version="2").body == b"ab"
    assert ask("/", b"a", app=app, http_version="2").body == b"a"
    assert ask("/", b"", app=app, http_version="2").body == b""


@pytest.mark.parametrize("length", [2, 4])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_content_length_that_is_not_true(length, stream, method) -> None:
    """RFC 9112 §6.3: the client would take the next answer for the rest of this one."""

    class Wrong:
        def on_freeze(self) -> None: ...

        def lifespan(self) -> Any:
            return contextlib.nullcontext()

        def handle(self, request: Request) -> Response:
            async def pieces() -> Any:
                yield b"ab"
                yield b"c"

            body: Any = pieces() if stream else b"abc"
            return Response(body, headers={"content-length": str(length)})

    exchange = Exchange(ASGICallable(Wrong()), method=method)
    if method == "HEAD":
        asyncio.run(exchange.run())
        assert exchange.headers[b"content-length"] == b"%d" % length
        return
    with pytest.raises(LocalProtocolError, match="Content-Length"):
        asyncio.run(exchange.run())
    assert all(message.get("more_body", True) for message in exchange.sent)
    assert len(exchange.body) <= length
    assert stream or exchange.sent == []


def test_a_content_length_of_a_stream_that_is_true() -> None:
    app = App()

    @app.get("/")
    async def index(request: Request) -> Response:
        async def pieces() -> Any:
            yield b"ab"
            yield b"c"

        return Response(pieces(), headers={"content-length": "3"})

    exchange = ask("/", app=app)
    assert (exchange.headers[b"content-length"], exchange.body) == (b"3", b"abc")


def test_a_send_that_fails_is_the_end() -> None:
    async def send(message: Any) -> None:
        raise OSError("gone")

    async def main() -> None:
        exchange = Exchange(make_app(), "/stream")
        await make_app()(exchange.scope, exchange.receive, send)

    asyncio.run(main())


def test_a_body_that_ends_early_is_a_disconnect() -> None:
    async def main() -> None:
        exchange = Exchange(make_app(), "/echo", method="POST")
        exchange.scope["headers"] = [(b"content-length", b"5")]
        exchange.gone.set()
        await exchange.run()
        assert exchange.sent == [] or exchange.status >= 400

    asyncio.run(main())


def test_background_calls_run_after_the_answer(caplog) -> None:
    app = App()
    seen = []

    async def later() -> None:
        seen.append("later")

    def broken() -> None:
        raise LookupError("broken call")

    @app.get("/")
    def index(request: Request) -> Response:
        response = Response("x", background=later)
        response.add_background(broken)
        response.add_background(seen.append, "last")
        return response

    assert ask(app=app).body == b"x"
    assert seen == ["later", "last"]
    assert "LookupError: broken call" in caplog.text


def test_applications_that_are_no_app() -> None:
    class Refusing:
        def handle(self, request: Request) -> Response:
            raise HTTPError(403, "no", {"x-why": "so"})

        def lifespan(self) -> Any:
            return contextlib.nullcontext()

        def on_freeze(self) -> None:
            pass

    exchange = ask(app=ASGICallable(Refusing()))
    assert (exchange.status, exchange.headers[b"x-why"]) == (403, b"so")


@pytest.mark.parametrize("fails", [None, "startup", "shutdown"])
def test_the_lifespan(fails) -> None:
    events = []

    @contextlib.asynccontextmanager
    async def lifespan(app: App) -> Any:
        if fails == "startup":
            raise LookupError("no database")
        events.append("enter")
        yield
        events.append("leave")
        if fails == "shutdown":
            raise LookupError("still busy")

    async def main() -> list[str]:
        messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
        sent = []

        async def receive() -> Any:
            return messages.pop(0)

        async def send(message: Any) -> None:
            sent.append(message)

        with contextlib.suppress(LookupError):
            await App(lifespan=lifespan)({"type": "lifespan"}, receive, send)
        return [each["type"].removeprefix("lifespan.") for each in sent]

    sent = asyncio.run(main())
    if fails == "startup":
        assert sent == ["startup.failed"]
        assert events == []
    else:
        assert sent == ["startup.complete", f"shutdown.{'failed' if fails else 'complete'}"]
        assert events == ["enter", "leave"]


def test_other_scopes() -> None:
    with pytest.raises(RuntimeError, match="'other' are unknown"):
        ask(type="other")


def test_with_httpx() -> None:
    async def main() -> None:
        transport = httpx.ASGITransport(make_app())
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            assert (await client.get("/items/a%20b?x=1")).text == "a b"
            assert (await client.post("/form", data={"a": "1"})).text == "1"
            assert (await client.get("/stream")).text == "ab"

    asyncio.run(main())


def test_below_starlette() -> None:
    outer = starlette.applications.Starlette(
        routes=[starlette.routing.Mount("/mnt", app=make_app())]
    )

    async def main() -> None:
        transport = httpx.ASGITransport(outer)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            assert (await client.get("/mnt/items/x")).text == "x"
            assert (await client.get("/mnt/about")).json()["path"] == "/about"
            assert (await client.get("/mnt/nowhere")).status_code == 404
            assert (await client.get("/mnt/where/")).json()[0] == "http://test/mnt/where/"
            moved = await client.get("/mnt/where", follow_redirects=True)
            assert moved.json()[1] == "http://test/mnt/where/"

    asyncio.run(main())
