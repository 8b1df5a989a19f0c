"""An `App` under other people's servers, unchanged; and other people's applications under ours."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from benchmarks.process import free_port

APP = """
import contextlib
from httpkit import App, HTTPError, Request, Response, WebSocket

@contextlib.asynccontextmanager
async def lifespan(app):
    app.state.word = "begun"
    yield

app = App(lifespan=lifespan)

@app.get("/items/{id:int}")
async def item(request: Request, id: int):
    return {"id": id, "word": app.state.word}

@app.post("/echo")
async def echo(request: Request):
    return await request.body()

@app.get("/stream")
async def stream(request: Request):
    for number in range(10):
        yield f"{number}"

@app.get("/file")
def file(request: Request):
    return Response.file(__file__)

@app.websocket("/rooms/{room}", name="room", subprotocols=["chat"])
async def chat(ws: WebSocket, room: str):
    if room == "secret":
        raise HTTPError(401, "no entry", {"x-why": "secret"})
    await ws.accept(headers={"x-room": room})
    await ws.send(str(ws.request.url_for("room", room="other")))
    async for message in ws:
        await ws.send(message)
    app.state.closed = [ws.close_code, ws.close_reason]

@app.websocket("/closing")
async def closing(ws: WebSocket):
    await ws.accept()
    await ws.close(4000, "enough")

@app.websocket("/failing")
async def failing(ws: WebSocket):
    await ws.accept()
    raise LookupError("inside")

@app.get("/closed")
async def closed(request: Request):
    return getattr(app.state, "closed", None)
"""
COMMANDS = {
    "uvicorn": ["uvicorn", "--host", "127.0.0.1", "--port"],
    "hypercorn": ["hypercorn", "--bind"],
    "granian": ["granian", "--interface", "asgi", "--host", "127.0.0.1", "--port"],
}


@pytest.fixture
def start_server(start_process: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    """Starts one of those servers; the process, and its port."""

    def start(server: str, *options: str) -> tuple[Any, int]:
        (tmp_path / "site_app.py").write_text(APP)
        port = free_port()
        place = f"127.0.0.1:{port}" if server == "hypercorn" else str(port)
        command = [sys.executable, "-m", *COMMANDS[server], place, *options, "site_app:app"]
        process = start_process(*command, cwd=tmp_path)

        def answers() -> Any:
            try:
                return httpx.get(f"http://127.0.0.1:{port}/items/3")
            except httpx.TransportError:
                return None

        answer = process.wait_for(answers, "an answer")
        assert answer.json() == {"id": 3, "word": "begun"}
        return process, port

    return start


@pytest.mark.parametrize("server", COMMANDS)
def test_an_app_runs_unchanged(server: str, start_server: Callable[..., Any]) -> None:
    process, port = start_server(server)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        data = b"x" * 300_000
        assert client.post("/echo", content=data).content == data
        assert client.get("/stream").text == "0123456789"
        assert client.get("/file").text == APP
        head = client.head("/file")
        assert (head.content, head.headers["content-length"]) == (b"", str(len(APP)))
        assert client.get("/nowhere").status_code == 404
    process.stop()


@pytest.mark.parametrize(
    ("server", "options"),
    [
        ("uvicorn", ["--ws", "websockets"]),
        ("uvicorn", ["--ws", "websockets-sansio"]),
        ("uvicorn", ["--ws", "wsproto"]),
        ("hypercorn", []),
        ("granian", []),
    ],
)
def test_websockets_of_an_app(
    server: str, options: list[str], start_server: Callable[..., Any]
) -> None:
    process, port = start_server(server, *options)
    base = f"ws://127.0.0.1:{port}"
    with connect(f"{base}/rooms/a", subprotocols=["x", "chat"], proxy=None) as ws:
        assert ws.subprotocol == "chat"
        if server != "granian":  # it drops the fields of an accept
            assert ws.response.headers["x-room"] == "a"
        assert ws.recv() == f"http://127.0.0.1:{port}/rooms/other"
        for message in ("text", b"bytes", "", "é" * 100_000):
            ws.send(message)
            assert ws.recv() == message
        ws.close(3001, "bye")

    def closed() -> Any:
        return httpx.get(f"http://127.0.0.1:{port}/closed").json()

    # What the client has said, as far as the server tells it.
    told = {"uvicorn": [3001, "bye"], "hypercorn": [1006, ""], "granian": [3001, ""]}
    assert process.wait_for(closed, "the end of the handler") == told[server]
    for path, code in (("closing", 4000), ("failing", 1011)):
        with connect(f"{base}/{path}", proxy=None) as ws, pytest.raises(ConnectionClosed) as end:
            ws.recv()
        assert end.value.rcvd is not None
        assert end.value.rcvd.code == code
    for path, status in (("rooms/secret", 401), ("nowhere", 404)):
        with pytest.raises(InvalidStatus) as refused:
            connect(f"{base}/{path}", proxy=None)
        assert refused.value.response.status_code == status
    process.stop()


HOSTED = """
import threading
from httpkit import App, Request

async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        scope["state"]["word"] = "begun"
        await send({"type": "lifespan.startup.complete"})
        await receive()
        print("ended", flush=True)
        await send({"type": "lifespan.shutdown.complete"})
        return
    text = f"{scope['root_path']} {scope['path']} {scope['state'].get('word')}"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": text.encode()})

async def failing(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})

ours = App()

async def below(scope, receive, send):
    if scope["type"] != "http":
        raise RuntimeError
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["root_path"].encode()})

ours.mount("/mnt", below)

@ours.get("/x/", name="x")
async def x(request: Request):
    return {
        "to": str(request.url_for("x")),
        "url": str(request.url),
        "base": str(request.base_url),
        "path": request.path,
    }

def wsgi(environ, start_response):
    start_response("200 OK", [])
    return [(environ["SCRIPT_NAME"] + threading.current_thread().name).encode()]

def make():
    return asgi

def make_nothing():
    return 3

def make_badly():
    raise LookupError("no settings")

class Odd:
    def __call__(self, *arguments):
        return asgi(*arguments)

odd = Odd()
"""


@pytest.fixture
def hosted(start_httpkit: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    (tmp_path / "hosted_app.py").write_text(HOSTED)

    def start(*arguments: str) -> Any:
        return start_httpkit("run", *arguments, "--port", "0", cwd=tmp_path)

    return start


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["hosted_app:asgi"], " /x begun"),
        (["hosted_app:asgi", "--root-path", "/api"], "/api /api/x begun"),
        (["hosted_app:asgi", "--lifespan", "off"], " /x None"),
        (["hosted_app:make", "--factory"], " /x begun"),
        (["hosted_app:odd", "--interface", "asgi", "--lifespan", "on"], " /x begun"),
        (["hosted_app:asgi", "--workers", "2"], " /x begun"),
    ],
)
def test_httpkit_run_hosts_asgi(hosted: Callable[..., Any], arguments: Any, text: str) -> None:
    process = hosted(*arguments)
    assert httpx.get(f"{process.wait_for_url()}/x").text == text
    assert process.stop() == 0
    assert ("ended" in process.output) == ("off" not in arguments)


@pytest.mark.parametrize(
    ("arguments", "root"),
    [([], ""), (["--root-path", "/a b/"], "/a%20b"), (["--root-path", "x"], "/x")],
)
def test_an_app_knows_where_a_proxy_has_mounted_it(
    hosted: Callable[..., Any], arguments: list[str], root: str
) -> None:
    """The proxy cuts the prefix off; what the app sends to clients has it."""
    process = hosted("hosted_app:ours", *arguments)
    url = process.wait_for_url()
    assert httpx.get(f"{url}/x").headers["location"] == f"{root}/x/"
    assert httpx.get(f"{url}/x/").json() == {
        "to": f"{url}{root}/x/",
        "url": f"{url}{root}/x/",
        "base": f"{url}{root}/",
        "path": "/x/",
    }
    assert httpx.get(f"{url}/mnt/a").text == f"{root}/mnt".replace("%20", " ")
    assert process.stop() == 0


def test_httpkit_run_hosts_wsgi(hosted: Callable[..., Any]) -> None:
    process = hosted("hosted_app:wsgi", "--threads", "1", "--root-path", "/api")
    assert httpx.get(f"{process.wait_for_url()}/x").text == "/apihttpkit-handler_0"
    assert process.stop() == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["hosted_app:failing"], 3, "no database"),
        (["hosted_app:make"], 1, "need --factory"),
        (["hosted_app:odd"], 1, "and --interface says what"),
        (["hosted_app:make_nothing", "--factory"], 1, "of type int"),
        (["hosted_app:make_badly", "--factory"], 1, "LookupError: no settings"),
        (["hosted_app:threading.TIMEOUT_MAX", "--factory"], 1, "--factory: hosted_app:threading"),
        (["hosted_app:asgi", "--interface", "httpkit"], 1, "--interface httpkit: "),
        (["hosted_app:wsgi", "--threads", "0"], 2, "whole number from 1"),
    ],
)
def test_what_cannot_be_hosted(
    hosted: Callable[..., Any], arguments: Any, code: int, message: str
) -> None:
    process = hosted(*arguments)
    assert process.wait() == code
    assert message in process.errors
