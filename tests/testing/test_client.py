"""Both clients over every road: the answers are the same."""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from httpkit import App, Limits, RemoteProtocolError, Request, Response
from httpkit.testing import AsyncClient, Client, UnexpectedStatusError

from .conftest import Connect


def test_get(client: Client) -> None:
    response = client.get("/")
    assert response.status_code == response.status == 200
    assert response.reason_phrase == "OK"
    assert response.is_success
    assert not response.is_error
    assert not response.is_redirect
    assert response.http_version == "1.1"
    assert response.headers["Content-Type"] == "application/json"
    assert response.url == "http://testserver/"
    assert response.request.method == "GET"
    assert response.json()["method"] == "GET"
    assert response.raise_for_status() is response
    assert repr(response) == "<Response 200 GET http://testserver/>"


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_methods(client: Client, method: str) -> None:
    assert getattr(client, method)("/").json()["method"] == method.upper()


def test_head_and_options(client: Client) -> None:
    response = client.head("/context")
    assert response.content == b""
    assert response.headers["content-length"] == str(len("set by the lifespan"))
    assert client.options("/").headers["allow"].startswith("DELETE, GET, HEAD")
    assert client.options("*").status_code == 204


def test_no_content(client: Client) -> None:
    response = client.get("/empty")
    assert response.status_code == 204
    assert response.content == b""
    assert "content-length" not in response.headers


def test_the_lifespan(app: App, road: dict[str, Any]) -> None:
    with Client(app, **road) as client:
        assert app.state.events == ["entered"]
        assert client.get("/context").text == "set by the lifespan"
    assert app.state.events == ["entered", "left"]


def test_text_minds_the_charset(client: Client) -> None:
    assert client.get("/latin").text == "é"


def test_json_into_a_type(client: Client) -> None:
    class Echo(msgspec.Struct):
        method: str

    assert client.get("/").json(Echo) == Echo("GET")
    with pytest.raises(msgspec.ValidationError):
        client.get("/").json(list)


def test_errors_of_the_application_are_answers(client: Client) -> None:
    response = client.get("/nowhere")
    assert response.status_code == 404
    assert response.is_error
    with pytest.raises(UnexpectedStatusError, match="GET http://testserver/nowhere"):
        response.raise_for_status()
    assert client.get("/fail/expected").status_code == 503


def test_informational_responses_and_trailers(client: Client) -> None:
    response = client.get("/hints")
    (hint,) = response.informational
    assert hint.status == 103
    assert hint.headers["link"] == "</a.css>; rel=preload"
    assert response.trailers["x-checksum"] == "1"


def test_background_calls_are_awaited(client: Client, app: App) -> None:
    for _ in range(2):
        assert client.get("/background").text == "ok"
    assert app.state.events == ["entered", *["first", "background"] * 2]


def test_background_calls_run_when_the_answer_is_cut_short(road: dict[str, Any]) -> None:
    app = App()
    events: list[str] = []

    @app.get("/{name}")
    async def answer(request: Request, name: str) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"begun"
            if name == "fails":
                raise ZeroDivisionError
            await asyncio.Event().wait()

        response = Response(pieces())
        response.add_background(events.append, name)
        return response

    with Client(app, **road, raise_server_exceptions=False) as client:
        with pytest.raises(RemoteProtocolError):
            client.get("/fails")
        with client.stream("GET", "/left") as response:
            assert next(response.iter_bytes()) == b"begun"
    assert events == ["fails", "left"]


def test_a_hosted_application_is_awaited_that_goes_on_after_its_answer() -> None:
    """So run the background tasks of Starlette and FastAPI."""
    seen = []

    async def hosted(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            raise RuntimeError
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x"})
        for _ in range(10):
            await asyncio.sleep(0)
        seen.append(scope["path"])
        if scope["path"] == "/fail":
            raise LookupError("too late")

    with Client(hosted) as client:
        assert client.get("/").text == "x"
        assert seen == ["/"]
        with pytest.raises(LookupError, match="too late"):
            client.get("/fail")


def test_files(client: Client) -> None:
    response = client.get("/file")
    assert response.content.startswith(b'"""One application')
    assert response.headers["content-length"] == str(len(response.content))
    assert client.head("/file").headers["content-length"] == str(len(response.content))


# --- bodies of requests --------------------------------------------------------------------


async def pieces() -> AsyncIterator[bytes]:
    yield b"one "
    await asyncio.sleep(0)
    yield b""
    yield b"two"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"bytes", b"bytes"),
        ("text é", "text é".encode()),
        ([b"one ", b"two"], b"one two"),
        (iter([b"one"]), b"one"),
        ([], b""),
        (b"x" * 1_000_000, b"x" * 1_000_000),
        ([b"x" * 300_000] * 3, b"x" * 900_000),
    ],
    ids=["bytes", "text", "list", "iterator", "nothing", "large", "large pieces"],
)
def test_content(client: Client, content: Any, expected: bytes) -> None:
    if not isinstance(content, str | bytes | list):
        content = iter([b"one"])  # an iterator can be sent once only
    assert client.post("/body", content=content).content == expected


def test_an_async_iterable_as_content(client: Client) -> None:
    assert client.post("/body", content=pieces()).text == "one two"


@pytest.mark.parametrize("content", [b"", b"body", [b"bo", b"dy"]])
def test_expect_continue(client: Client, content: Any) -> None:
    response = client.post("/body", content=content, headers={"expect": "100-continue"})
    assert response.content == (content if isinstance(content, bytes) else b"body")


def test_expect_continue_of_a_handler_that_reads_nothing(client: Client) -> None:
    response = client.post("/nowhere", content=b"x" * 100, headers={"expect": "100-continue"})
    assert response.status_code == 404
    assert client.get("/").status_code == 200


def test_an_answer_before_the_end_of_the_body(client: Client) -> None:
    endless = (b"x" * 65_536 for _ in iter(int, 1))
    assert client.post("/nowhere", content=endless).status_code in (404, 413)
    assert client.get("/").status_code == 200


def test_a_body_beyond_the_limit(connect: Connect) -> None:
    client = connect(limits=Limits(max_body=10))
    assert client.post("/body", content=b"x" * 10).status_code == 200
    assert client.post("/body", content=b"x" * 11).status_code == 413
    assert client.post("/body", content=[b"x" * 6] * 2).status_code == 413


def test_a_body_that_fails_is_the_failure_of_the_test(client: Client) -> None:
    def broken() -> Any:
        yield b"begun"
        raise KeyError("of the test")

    with pytest.raises(KeyError, match="of the test"):
        client.post("/body", content=broken())
    assert client.get("/").status_code == 200


# --- answers that are read as they come ----------------------------------------------------


def test_stream_lines(client: Client, app: App) -> None:
    with client.stream("GET", "/endless") as response:
        assert response.status_code == 200
        lines = response.iter_lines()
        assert [next(lines) for _ in range(3)] == ["line 0", "line 1", "line 2"]
    client.get("/")
    assert app.state.events == ["entered", "stream ended"]


def test_pieces_stay_as_they_were_yielded(road: dict[str, Any]) -> None:
    """On every road: a buffer may be used again, and a view need not be of one piece."""
    app = App()

    @app.get("/buffer")
    async def buffer(request: Request) -> AsyncIterator[bytearray | memoryview]:
        again = bytearray(1)
        for letter in b"abc":
            again[0] = letter
            yield again
        yield memoryview(b"d-e-f")[::2]

    with Client(app, **road) as client:
        assert client.get("/buffer").content == b"abcdef"


def test_stream_bytes_and_text(client: Client) -> None:
    with client.stream("GET", "/characters") as response:
        assert b"".join(response.iter_bytes()).decode() == "aé€"
        assert list(response.iter_bytes()) == []
    with client.stream("GET", "/characters") as response:
        assert list(response.iter_text()) == ["a", "é", "€"]
    with client.stream("GET", "/characters") as response:
        assert list(response.iter_lines()) == ["aé€"]
    with client.stream("GET", "/cut") as response:
        assert list(response.iter_text()) == ["line\n", "\ufffd"]
    with client.stream("GET", "/numbers") as response:
        assert list(response.iter_lines()) == ["1", "2"]
    with client.stream("GET", "/hints") as response:
        assert response.read() == b"x"
        assert response.trailers["x-checksum"] == "1"


def test_what_is_left_open_is_closed_with_the_client(app: App, road: dict[str, Any]) -> None:
    with Client(app, **road) as client:
        stream = client.stream("GET", "/endless")
        response = stream.__enter__()
        assert next(response.iter_lines()) == "line 0"
    assert app.state.events == ["entered", "stream ended", "left"]


def test_upgrade(client: Client) -> None:
    with client.upgrade("/upgrade", "shout") as stream:
        assert stream.status_code == 101
        assert stream.headers["x-greeting"] == "1"
        assert stream.headers["upgrade"] == "shout"
        assert stream.receive() == b"hello"
        stream.send(b"abc")
        assert stream.receive() == b"ABC"
        stream.send(b"bye")
        assert stream.receive() == b""
    with client.upgrade("/upgrade", "shout") as stream:
        assert stream.receive() == b"hello"
    assert client.get("/").status_code == 200


def test_an_upgrade_that_is_refused(client: Client) -> None:
    with (
        pytest.raises(UnexpectedStatusError, match="404, not 101"),
        client.upgrade("/nowhere", "shout"),
    ):
        pass


# --- failures ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("/fail", "in the handler"),
        ("/fail/stream", "in the body"),
        ("/fail/background", "in the background"),
    ],
)
def test_unexpected_exceptions_are_raised_in_the_test(
    client: Client, path: str, where: str
) -> None:
    with pytest.raises(ZeroDivisionError, match=where):
        client.get(path)
    assert client.get("/").status_code == 200


def test_they_are_raised_by_streams_too(client: Client) -> None:
    with pytest.raises(ZeroDivisionError, match="handler"), client.stream("GET", "/fail"):
        pass
    with client.stream("GET", "/fail/stream") as response:
        pieces = response.iter_text()
        assert next(pieces) == "begun"
        with pytest.raises(ZeroDivisionError, match="body"):
            next(pieces)


def test_or_become_what_a_client_would_see(connect: Connect) -> None:
    client = connect(raise_server_exceptions=False)
    response = client.get("/fail")
    assert response.status_code == 500
    assert "ZeroDivisionError" not in response.text
    with pytest.raises(RemoteProtocolError, match="cut short"):
        client.get("/fail/stream")
    assert client.get("/fail/background").text == "ok"


def test_a_handler_for_unexpected_exceptions(road: dict[str, Any]) -> None:
    app = App()

    @app.exception_handler(Exception)
    def apologize(request: Request, error: Exception) -> str:
        return "sorry"

    @app.get("/")
    def fail(request: Request) -> None:
        raise LookupError

    with Client(app, raise_server_exceptions=False, **road) as client:
        assert client.get("/").text == "sorry"
    with Client(app, **road) as client, pytest.raises(LookupError):
        client.get("/")


def test_a_lifespan_that_fails(road: dict[str, Any]) -> None:
    def broken(app: App) -> Any:
        raise OSError("no database")

    with pytest.raises(OSError, match="no database"), Client(App(lifespan=broken), **road):
        pass


def test_a_lifespan_that_fails_at_the_end(road: dict[str, Any]) -> None:
    from contextlib import asynccontextmanager

    @asynccontextmanager
    async def lifespan(app: App) -> AsyncIterator[None]:
        yield
        raise OSError("the database is gone")

    with pytest.raises(OSError, match="gone"), Client(App(lifespan=lifespan), **road):
        pass


def test_a_client_has_to_be_entered(app: App, road: dict[str, Any]) -> None:
    with pytest.raises(RuntimeError, match="enter the client first: with Client"):
        Client(app, **road).get("/")
    with pytest.raises(RuntimeError, match="enter the client first: async with"):
        asyncio.run(AsyncClient(app, **road).get("/"))


# --- AsyncClient ---------------------------------------------------------------------------


def run(app: App, road: dict[str, Any], test: Any) -> None:
    async def main() -> None:
        async with AsyncClient(app, **road) as client:
            await test(client)

    asyncio.run(main())


def test_the_async_client(app: App, road: dict[str, Any]) -> None:
    async def test(client: AsyncClient) -> None:
        for method in ("get", "post", "put", "patch", "delete"):
            response = await getattr(client, method)("/")
            assert response.json()["method"] == method.upper()
        assert (await client.head("/")).content == b""
        assert (await client.options("/")).status_code == 204
        async with client.stream("GET", "/endless") as stream:
            lines = stream.aiter_lines()
            assert await anext(lines) == "line 0"
            await lines.aclose()
        async with client.stream("GET", "/characters") as stream:
            assert [text async for text in stream.aiter_text()] == ["a", "é", "€"]
        async with client.upgrade("/upgrade", "shout") as raw:
            assert await raw.receive() == b"hello"

    run(app, road, test)


def test_many_at_once(app: App, road: dict[str, Any]) -> None:
    async def test(client: AsyncClient) -> None:
        responses = await asyncio.gather(
            *(client.post("/body", content=str(number)) for number in range(50))
        )
        assert [response.text for response in responses] == [str(n) for n in range(50)]

    run(app, road, test)


def test_both_directions_at_once(app: App, road: dict[str, Any]) -> None:
    async def test(client: AsyncClient) -> None:
        questions: asyncio.Queue[bytes] = asyncio.Queue()

        async def ask() -> AsyncIterator[bytes]:
            while question := await questions.get():
                yield question

        questions.put_nowait(b"a")
        async with client.stream("POST", "/duplex", content=ask()) as stream:
            answers = stream.aiter_bytes()
            assert await anext(answers) == b"A"
            questions.put_nowait(b"b")
            assert await anext(answers) == b"B"
            questions.put_nowait(b"")
            assert [piece async for piece in answers] == []

    run(app, road, test)


@pytest.mark.parametrize("error", [SystemExit(3), asyncio.CancelledError()])
@pytest.mark.parametrize("waits", [False, True])
def test_what_would_end_a_task_fails_one_request(
    road: dict[str, Any], error: BaseException, waits: bool
) -> None:
    app = App()

    @app.get("/handler")
    async def handler(request: Request) -> None:
        if waits:
            await asyncio.sleep(0)
        raise error

    @app.get("/body")
    async def body(request: Request) -> AsyncIterator[str]:
        yield "begun"
        if waits:
            await asyncio.sleep(0)
        raise error

    @app.get("/")
    async def works(request: Request) -> str:
        return "works"

    with Client(app, **road, timeout=10) as client:
        assert client.get("/handler").status_code == 500
        with client.stream("GET", "/body") as response:
            for _ in range(2):
                with pytest.raises(RemoteProtocolError):
                    response.read()
        assert client.get("/").text == "works"


def test_a_request_that_is_cancelled(app: App, road: dict[str, Any]) -> None:
    started, cancelled = asyncio.Event(), asyncio.Event()

    @app.get("/forever")
    async def forever(request: Request) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async def test(client: AsyncClient) -> None:
        task = asyncio.create_task(client.get("/forever"))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await cancelled.wait()
        assert (await client.get("/")).status_code == 200

    run(app, road, test)


def test_no_descriptor_is_left(app: App, road: dict[str, Any]) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with Client(app, **road) as client:
        client.get("/file")
        client.head("/file")
        with client.stream("GET", "/file"):
            pass
    assert len(os.listdir("/proc/self/fd")) <= before
