"""ASGI and WSGI applications mounted in an `App`, inside its middleware."""

import asyncio
import contextlib
import gc
from typing import Any

import pytest

from httpkit import App, Request, Response
from httpkit.errors import ConfigurationError
from httpkit.hosting import ANY_METHOD
from httpkit.testing import Client
from tests.server.wire import make_request

from .conftest import Script, body, sending, start


async def tell(scope: Any, receive: Any, send: Any) -> None:
    """Answers with what it sees of its place."""
    text = f"{scope['method']} {scope['root_path']}|{scope['path']}|{scope['raw_path'].decode()}"
    await send(start(200, (b"content-type", b"text/plain")))
    await send(body(f"{text}|{scope['query_string'].decode()}".encode()))


def tell_wsgi(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    keys = ("REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING")
    return ["|".join(environ[key] for key in keys).encode("latin-1")]


def mounted(prefix: str, foreign: Any, **options: Any) -> App:
    app = App(**options)

    @app.middleware
    async def mark(request: Request, next: Any) -> Response:
        response = await next(request)
        response.headers["x-mark"] = request.route.pattern
        return response

    @app.get("/own")
    async def own(request: Request) -> str:
        return "own"

    app.mount(prefix, foreign)
    return app


@pytest.mark.parametrize(
    ("target", "seen"),
    [
        ("/admin/", "GET /admin|/admin/|/admin/|"),
        ("/admin/x/y?z=1", "GET /admin|/admin/x/y|/admin/x/y|z=1"),
        ("/admin/a%20b", "GET /admin|/admin/a b|/admin/a%20b|"),
        ("/admin/x/../y", "GET /admin|/admin/y|/admin/y|"),
        ("/own/../admin/y/.", "GET /admin|/admin/y/|/admin/y/|"),
        ("/%61dmin/y", "GET /admin|/admin/y|/%61dmin/y|"),
    ],
)
def test_a_mounted_application_sees_its_place(target, seen) -> None:
    with Client(mounted("/admin", tell)) as client:
        answer = client.get(target)
        assert answer.text == seen
        assert answer.headers["x-mark"] == "/admin/{path:path}"
        assert client.get("/own").text == "own"


def test_a_mounted_wsgi_application_knows_the_uri_of_the_client() -> None:
    """REQUEST_URI is no part of PEP 3333; where it is read, it begins with SCRIPT_NAME."""

    def uri(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [environ["REQUEST_URI"].encode("latin-1")]

    with Client(mounted("/admin", uri)) as client:
        assert client.get("/admin/a%20b?z=%20").text == "/admin/a%20b?z=%20"


def test_the_host_that_a_target_names_reaches_it(live) -> None:
    """RFC 9112 §3.2.2: an origin server ignores the Host that was received then."""
    script = sending(start(), body())
    server = live(mounted("/x", script))
    assert server.connect().get("http://other.example:8/x/").status == 200
    assert [value for name, value in script.scope["headers"] if name == b"host"] == [
        b"other.example:8"
    ]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PROPFIND"])
def test_every_method_reaches_it(method) -> None:
    with Client(mounted("/admin", tell)) as client:
        assert client.request(method, "/admin/").text.startswith(method)
        assert client.head("/admin/").status == 200


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the body of the request."""
    data, more = b"", True
    while more:
        message = await receive()
        assert message["type"] == "http.request"
        data, more = data + message["body"], message["more_body"]
    await send(start(200))
    await send(body(data))


def echo_wsgi(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [environ["wsgi.input"].read()]


@pytest.mark.parametrize("foreign", [echo, echo_wsgi])
@pytest.mark.parametrize("wire", [True, False])
@pytest.mark.parametrize("pieces", [[], [b"hello"], [b"hel", b"lo"]], ids=len)
def test_a_body_that_middleware_has_read_reaches_it(foreign, wire, pieces) -> None:
    app = App()
    seen = []

    @app.middleware
    async def look(request: Request, next: Any) -> Response:
        seen.append(await request.body())
        return await next(request)

    app.mount("/", foreign)
    with Client(app, wire=wire) as client:
        answer = client.post("/x", content=iter(pieces)).content
    assert answer == seen[0] == b"".join(pieces)


def test_parameters_and_the_root() -> None:
    with Client(mounted("/{tenant}/api", tell)) as client:
        assert client.get("/a%20b/api/x").text == "GET /a b/api|/a b/api/x|/a%20b/api/x|"
    with Client(mounted("/", tell)) as client:
        assert client.get("/x").text == "GET |/x|/x|"
        assert client.get("/own").text == "own"


def test_wsgi() -> None:
    with Client(mounted("/admin", tell_wsgi)) as client:
        answer = client.get("/admin/%C3%A9?x")
        assert answer.text.encode().decode() == "GET|/admin|/Ã©|x".encode("latin-1").decode()
        assert answer.headers["x-mark"] == "/admin/{path:path}"


def test_a_missing_slash_is_redirected() -> None:
    with Client(mounted("/admin", tell), follow_redirects=False) as client:
        answer = client.get("/admin")
        assert (answer.status, answer.headers["location"]) == (307, "/admin/")


def test_the_routes_show_it() -> None:
    [own, admin] = mounted("/admin", tell).routes()
    assert (own.pattern, admin.pattern) == ("/own", "/admin/{path:path}")
    assert admin.handler == f"{tell.__module__}.tell"
    assert admin.methods == ANY_METHOD


@pytest.mark.parametrize("foreign", [3, "text", Script, lambda: None, lambda x: x, object()])
def test_what_cannot_be_mounted(foreign) -> None:
    with pytest.raises(ConfigurationError, match="nor an ASGI or WSGI application"):
        App().mount("/x", foreign)


def test_lifespans_are_entered() -> None:
    events = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for kind in ("startup", "shutdown"):
            events.append((await receive())["type"])
            await send({"type": f"lifespan.{kind}.complete"})

    @contextlib.asynccontextmanager
    async def lifespan(_: App) -> Any:
        events.append("outer")
        yield
        events.append("outer")

    with Client(mounted("/x", app, lifespan=lifespan)):
        events.append("serving")
    assert events == ["outer", "lifespan.startup", "serving", "lifespan.shutdown", "outer"]


def test_streams_go_through_middleware_piece_by_piece(live) -> None:
    released = asyncio.Event()
    sent = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            raise LookupError
        await send(start(trailers=True))
        await send(body(b"a", more=True))
        sent.append("a")
        await released.wait()
        await send(body(b"b"))
        await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"1")]})
        assert await receive() == {"type": "http.disconnect"}
        sent.append("end")

    server = live(mounted("/x", app))
    client = server.connect()
    client.send(make_request("/x/"))
    assert client.receive_until(b"1\r\na\r\n")
    server.until(lambda: sent == ["a"])
    server.call(released.set)
    assert client.receive_until(b"x-sum: 1\r\n\r\n") == b"1\r\nb\r\n0\r\nx-sum: 1\r\n\r\n"
    server.until(lambda: sent == ["a", "end"])


@pytest.mark.parametrize("first", [True, False])
def test_a_client_that_goes_away(live, first) -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            raise LookupError
        seen.append((await receive())["type"])
        if first:
            await send(start())
            await send(body(b"a", more=True))
        seen.append((await receive())["type"])
        with pytest.raises(OSError, match="gone"):
            await send(start())
        seen.append("end")

    server = live(mounted("/x", app))
    client = server.connect()
    client.send(make_request("/x/"))
    server.until(lambda: seen)
    if first:
        client.receive_until(b"1\r\na\r\n")
    client.reset()
    server.until(lambda: seen[-1] == "end")
    assert seen == ["http.request", "http.disconnect", "end"]


@pytest.mark.parametrize("rest", [b"", b"def"])
def test_a_client_that_goes_away_before_its_body_is_read(live, rest) -> None:
    """ASGI HTTP: `receive` says so, and raises nothing."""
    called, go_on, seen = asyncio.Event(), asyncio.Event(), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            raise LookupError
        called.set()
        await go_on.wait()
        try:
            seen.append(await receive())
        except RuntimeError as error:
            seen.append(error)

    server = live(mounted("/x", app))
    client = server.connect()
    client.send(make_request("/x/", "Content-Length: 6", method="POST") + b"abc" + rest)
    server.until(called.is_set)
    client.reset()
    server.until(lambda: server.server.counters.requests_in_flight == 0)
    server.call(go_on.set)
    server.until(lambda: seen)
    assert seen == [{"type": "http.disconnect"}]


def test_a_stream_that_middleware_drops_ends() -> None:
    app = App()
    seen = []

    async def foreign(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            raise LookupError
        await send(start())
        try:
            while True:
                await send(body(b"x", more=True))
        except OSError:
            seen.append("gone")

    @app.middleware
    async def replace(request: Request, next: Any) -> Response:
        await next(request)
        gc.collect()
        await asyncio.sleep(0)
        return Response("other")

    app.mount("/x", foreign)
    with Client(app) as client:
        assert client.get("/x/").text == "other"
    assert seen == ["gone"]


@pytest.mark.parametrize(
    "script", [sending(), sending(start()), sending(body()), sending(start(), {"type": "no"})]
)
def test_mistakes_are_the_apps_500(script, caplog) -> None:
    with Client(mounted("/x", script), raise_server_exceptions=False) as client:
        assert client.get("/x/").status == 500
        assert client.get("/own").text == "own"


@pytest.mark.parametrize(
    "script",
    [sending(start(), body(b"a", more=True)), sending(start(), body(b"a", more=True), start())],
)
def test_mistakes_within_an_answer_cut_it_short(live, script) -> None:
    import h11

    server = live(mounted("/x", script))
    client = server.connect()
    client.send(make_request("/x/"))
    with pytest.raises(h11.RemoteProtocolError):
        client.receive()


def test_an_exception_after_the_answer_is_logged(live, caplog) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await send(start())
            await send(body(b"x"))
        raise LookupError("too late")

    server = live(mounted("/x", app))
    assert server.connect().get("/x/").body == b"x"
    server.until(lambda: "LookupError: too late" in caplog.text)


@pytest.mark.parametrize("gone", [False, True])
def test_an_exception_that_nobody_waits_for_is_logged(live, caplog, gone) -> None:
    """The answer in pieces has been read, or whoever read it has gone."""
    go_on = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            raise RuntimeError
        await send(start())
        await send(body(b"x", more=True))
        if not gone:
            await send(body())
        await go_on.wait()
        raise LookupError("too late")

    server = live(mounted("/x", app))
    client = server.connect()
    client.send(make_request("/x/"))
    if gone:
        client.receive_until(b"1\r\nx\r\n")
        client.reset()
    else:
        assert client.receive().body == b"x"
    server.until(lambda: server.server.counters.requests_in_flight == 0)
    server.call(go_on.set)
    server.until(lambda: "LookupError: too late" in caplog.text)


def test_what_still_runs_is_cancelled_at_the_end() -> None:
    cancelled = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await send(start())
            await send(body(b"x"))
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(True)
                raise

    with Client(mounted("/x", app)) as client:
        assert client.get("/x/").text == "x"
    assert cancelled == [True]
