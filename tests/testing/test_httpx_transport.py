"""httpx and httpx2 over `HTTPXTransport`: requests, streams, failures, the lifespan."""

import asyncio
import functools
import queue
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from types import ModuleType
from typing import Any

import httpx
import httpx2
import pytest

from httpkit import App, ConfigurationError, Limits, Request
from httpkit.testing import HTTPXTransport

Connect = Callable[..., Any]


def in_loop(test: Callable[..., Any]) -> Callable[..., None]:
    """Run a test in a loop."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


@pytest.fixture(params=[httpx, httpx2], ids=["httpx", "httpx2"])
def package(request: pytest.FixtureRequest) -> ModuleType:
    return request.param


@pytest.fixture(params=["native", "reference"])
def connect(request: pytest.FixtureRequest, app: App, package: ModuleType) -> Connect:
    """Makes an asynchronous client of the application."""

    def make(**options: Any) -> Any:
        settings = {
            name: options.pop(name)
            for name in ("limits", "raise_server_exceptions")
            if name in options
        }
        transport = HTTPXTransport(app, http1=request.param, **settings)
        options = {"transport": transport, "base_url": "http://testserver", **options}
        return package.AsyncClient(**options)

    return make


@pytest.fixture
def client(app: App, package: ModuleType) -> Iterator[Any]:
    """A client for plain functions."""
    with package.Client(transport=HTTPXTransport(app), base_url="http://testserver") as client:
        yield client


@in_loop
async def test_a_request_and_its_answer(connect: Connect) -> None:
    async with connect() as client:
        response = await client.post("/?a=%41", json={"x": 1}, headers={"X-Token": "t"})
        assert (response.status_code, response.http_version) == (200, "HTTP/1.1")
        assert response.reason_phrase == "OK"
        echo = response.json()
        assert (echo["method"], echo["target"]) == ("POST", "/?a=%41")
        assert echo["url"] == "http://testserver/?a=%41"
        assert echo["body"] == '{"x":1}'
        headers = dict(echo["headers"])
        assert headers["x-token"] == "t"
        assert headers["content-length"] == "7"
        assert headers["host"] == "testserver"
        assert (await client.get("https://other:8443/x")).status_code == 404
        secure = await client.get("https://other:8443/")
        assert secure.json()["url"] == "https://other:8443/"


@in_loop
async def test_head_and_answers_without_content(connect: Connect) -> None:
    async with connect() as client:
        head = await client.head("/numbers")
        assert (head.status_code, head.content) == (200, b"")
        empty = await client.get("/empty")
        assert (empty.status_code, empty.content) == (204, b"")


@in_loop
async def test_cookies_and_redirects_are_those_of_httpx(connect: Connect) -> None:
    async with connect(follow_redirects=True) as client:
        response = await client.get("/login")
        assert [each.status_code for each in response.history] == [303]
        assert response.json()["cookies"] == {"session": "s1"}
        assert (await client.post("/redirect/307", content=b"again")).json()["body"] == "again"
        with pytest.raises(Exception, match=r"[Rr]edirect"):
            await client.get("/loop")


@in_loop
async def test_forms_and_files(connect: Connect) -> None:
    async with connect() as client:
        response = await client.post("/form", data={"a": "1"}, files={"f": ("x.txt", b"text")})
        assert response.json() == {
            "fields": [["a", "1"]],
            "files": {"f": ["x.txt", "text/plain", "text"]},
        }


@in_loop
async def test_bodies_are_streamed_in_both_directions(connect: Connect) -> None:
    """The answer to a piece is read before the next piece is sent."""
    echoed: asyncio.Queue[bytes] = asyncio.Queue()

    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b"one", b"two", b"three"):
            yield piece
            assert await echoed.get() == piece.upper()

    async with connect() as client:
        async with client.stream("POST", "/duplex", content=pieces()) as response:
            assert response.headers["transfer-encoding"] == "chunked"
            received = []
            async for piece in response.aiter_bytes():
                received.append(piece)
                echoed.put_nowait(piece)
        assert received == [b"ONE", b"TWO", b"THREE"]


@in_loop
async def test_an_answer_that_is_not_read_to_its_end_is_given_up(
    connect: Connect, app: App
) -> None:
    async with connect() as client:
        async with client.stream("GET", "/endless") as response:
            lines = response.aiter_lines()
            assert [await anext(lines), await anext(lines)] == ["line 0", "line 1"]
        assert (await client.get("/")).status_code == 200
    assert app.state.events == ["entered", "stream ended", "left"]


@in_loop
async def test_many_requests_at_once(connect: Connect, app: App) -> None:
    client = connect()
    answers = await asyncio.gather(*[client.get(f"/?n={n}") for n in range(20)])
    assert [each.json()["target"] for each in answers] == [f"/?n={n}" for n in range(20)]
    assert app.state.events == ["entered"]
    await client.aclose()
    assert app.state.events == ["entered", "left"]


@in_loop
async def test_background_calls_have_ended_when_the_answer_is_there(
    connect: Connect, app: App
) -> None:
    async with connect() as client:
        await client.get("/background")
        assert app.state.events == ["entered", "first", "background"]


@in_loop
async def test_what_the_application_raises_is_raised(connect: Connect) -> None:
    async with connect() as client:
        for path in ("/fail", "/fail/stream", "/fail/background"):
            with pytest.raises(ZeroDivisionError):
                await client.get(path)
        assert (await client.get("/fail/expected")).status_code == 503


@in_loop
async def test_or_what_a_client_would_see(connect: Connect, package: ModuleType) -> None:
    async with connect(raise_server_exceptions=False) as client:
        assert (await client.get("/fail")).status_code == 500
        with pytest.raises(package.RemoteProtocolError, match="cut short"):
            await client.get("/fail/stream")
        assert (await client.get("/fail/background")).text == "ok"


@in_loop
async def test_a_timeout_cancels_the_handler(
    connect: Connect, package: ModuleType, app: App
) -> None:
    async with connect(timeout=0.2) as client:
        with pytest.raises(package.ReadTimeout):
            await client.get("/hang")
        assert (await client.get("/", timeout=None)).status_code == 200
    assert app.state.events == ["entered", "hang cancelled", "left"]


@in_loop
async def test_a_timeout_of_the_application_is_its_own(package: ModuleType) -> None:
    app = App()

    @app.get("/whole")
    async def late(request: Request) -> None:
        raise TimeoutError("the database")

    @app.get("/stream")
    async def broken(request: Request) -> AsyncIterator[str]:
        yield "begun"
        raise TimeoutError("the database")

    transport = HTTPXTransport(app)
    async with package.AsyncClient(transport=transport, base_url="http://x") as client:
        for path in ("/whole", "/stream"):
            with pytest.raises(TimeoutError, match="the database"):
                await client.get(path)


@in_loop
async def test_a_request_that_is_none(connect: Connect, package: ModuleType) -> None:
    async with connect() as client:
        with pytest.raises(package.LocalProtocolError, match="cannot send"):
            await client.request("BAD METHOD", "/")


@in_loop
async def test_what_fails_in_a_body_of_the_test(connect: Connect) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"begun"
        raise KeyError("in the test")

    async with connect() as client:
        with pytest.raises(KeyError, match="in the test"):
            await client.post("/body", content=broken())


@in_loop
async def test_limits_are_those_of_the_server(connect: Connect) -> None:
    async with connect(limits=Limits(max_body=3)) as client:
        assert (await client.post("/body", content=b"four")).status_code == 413


@in_loop
async def test_a_transport_may_be_opened_again(app: App, package: ModuleType) -> None:
    transport = HTTPXTransport(app)
    for _ in range(2):
        async with package.AsyncClient(transport=transport, base_url="http://x") as client:
            assert (await client.get("/context")).text == "set by the lifespan"
        assert app.state.events == ["entered", "left"]
    await transport.aclose()


@in_loop
async def test_a_lifespan_that_fails(package: ModuleType) -> None:
    async def lifespan(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    with pytest.raises(Exception, match="no database"):
        async with package.AsyncClient(transport=HTTPXTransport(lifespan)):
            pass


# --- plain functions -----------------------------------------------------------------------------


def test_plain_functions(client: Any, app: App) -> None:
    assert client.post("/body", content=b"whole").content == b"whole"
    assert client.get("/context").text == "set by the lifespan"
    client.get("/background")
    assert app.state.events == ["entered", "first", "background"]
    with pytest.raises(ZeroDivisionError):
        client.get("/fail")


def test_an_iterable_may_wait_for_the_answer(client: Any) -> None:
    """It is iterated in a thread of its own, so that it holds up neither the loop nor the test."""
    allowed: queue.Queue[None] = queue.Queue()
    threads = set()

    def pieces() -> Iterator[bytes]:
        for piece in (b"one", b"two"):
            threads.add(threading.current_thread())
            yield piece
            allowed.get(timeout=10)

    with client.stream("POST", "/duplex", content=pieces()) as response:
        received = []
        for piece in response.iter_bytes():
            received.append(piece)
            allowed.put(None)
    assert received == [b"ONE", b"TWO"]
    assert threading.current_thread() not in threads


def test_an_answer_that_is_given_up(client: Any, app: App) -> None:
    with client.stream("GET", "/endless") as response:
        assert next(response.iter_lines()) == "line 0"
    client.close()
    assert app.state.events == ["entered", "stream ended", "left"]


def test_without_entering(app: App, package: ModuleType) -> None:
    client = package.Client(transport=HTTPXTransport(app), base_url="http://x")
    assert client.get("/empty").status_code == 204
    client.close()
    assert app.state.events == ["entered", "left"]
    HTTPXTransport(app).close()


# --- other applications --------------------------------------------------------------------------


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["path"].encode()})


def wsgi(environ: Any, start_response: Any) -> Any:
    start_response("200 OK", [])
    return [environ["PATH_INFO"].encode()]


@pytest.mark.parametrize("application", [asgi, wsgi])
@in_loop
async def test_asgi_and_wsgi(application: Any, package: ModuleType) -> None:
    transport = HTTPXTransport(application)
    async with package.AsyncClient(transport=transport, base_url="http://x") as client:
        assert (await client.get("/a/b")).text == "/a/b"


def test_what_is_no_application() -> None:
    with pytest.raises(ConfigurationError, match="3 is no httpkit App, nor an ASGI or WSGI"):
        HTTPXTransport(3)
