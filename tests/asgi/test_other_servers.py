"""An `App` under other people's servers, unchanged; and other people's applications under ours."""

import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

APP = """
import contextlib
from httpkit import App, Request, Response

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
"""
COMMANDS = {
    "uvicorn": ["uvicorn", "--host", "127.0.0.1", "--port"],
    "hypercorn": ["hypercorn", "--bind"],
    "granian": ["granian", "--interface", "asgi", "--host", "127.0.0.1", "--port"],
}


@pytest.mark.parametrize("server", COMMANDS)
def test_an_app_runs_unchanged(
    server: str, start_process: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "site_app.py").write_text(APP)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    place = f"127.0.0.1:{port}" if server == "hypercorn" else str(port)
    command = [sys.executable, "-m", *COMMANDS[server], place, "site_app:app"]
    process = start_process(*command, cwd=tmp_path)

    def answers() -> Any:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/items/3")
        except httpx.TransportError:
            return None

    assert process.wait_for(answers, "an answer").json() == {"id": 3, "word": "begun"}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        data = b"x" * 300_000
        assert client.post("/echo", content=data).content == data
        assert client.get("/stream").text == "0123456789"
        assert client.get("/file").text == APP
        head = client.head("/file")
        assert (head.content, head.headers["content-length"]) == (b"", str(len(APP)))
        assert client.get("/nowhere").status_code == 404
    process.stop()


HOSTED = """
import threading

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
