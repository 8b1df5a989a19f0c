"""Every example: in memory through the test client, and as a process of its own.

The chat and the page about caching have files of their own beside this one.
"""

import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from signal import SIGINT
from typing import Any

import pytest

from examples import hello, websocket_echo
from examples.showcase import app as showcase
from examples.showcase import notes
from httpkit.testing import Client

EXAMPLES = Path(hello.__file__).parent
#: The paths of examples that are applications.
APPLICATIONS = [
    "examples.chat.app:app",
    "examples.hello:app",
    "examples.showcase.app:app",
    "examples.websocket_echo:app",
]


def test_every_example_is_tested_here() -> None:
    found = {path.name for path in EXAMPLES.iterdir()} - {"__pycache__"}
    assert found == {"chat", "hello.py", "showcase", "websocket_echo.py"}


@pytest.fixture(params=[True, False], ids=["wire", "direct"])
def wire(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def client(wire: bool) -> Iterator[Client]:
    """The showcase, without notes."""
    notes.store.clear()
    with Client(showcase.app, wire=wire) as client:
        yield client


def test_hello(wire: bool) -> None:
    with Client(hello.app, wire=wire) as client:
        assert client.get("/").text == "Hello, world!"
        assert client.get("/users/7").json() == {"id": 7}
        assert client.get("/users/me").status_code == 404


def test_websocket_echo() -> None:
    with Client(websocket_echo.app) as client, client.websocket_connect("/echo") as ws:
        ws.send("hello")
        assert ws.receive() == "hello"


def test_the_landing_page(client: Client) -> None:
    response = client.get("/")
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["content-security-policy"] == "default-src 'self'"
    assert "$" not in response.text
    for address in ("/api/notes", "/caching/", "/chat/", "/upload", "/stream", "/slow?seconds=2"):
        assert f'href="{address}"' in response.text
    assert "async def create_note(request: Request)" in response.text


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("style.css", "text/css; charset=utf-8"),
        ("showcase.js", "text/javascript; charset=utf-8"),
        ("icon.svg", "image/svg+xml"),
    ],
)
def test_what_the_page_loads(client: Client, name: str, media_type: str) -> None:
    assert f"/static/{name}" in client.get("/").text
    response = client.get(f"/static/{name}")
    assert response.status_code == 200
    assert response.headers["content-type"] == media_type


@pytest.mark.parametrize("name", ["app.py", "..%2Fapp.py", "nothing"])
def test_nothing_else_is_served(client: Client, name: str) -> None:
    assert client.get(f"/static/{name}").status_code == 404


def test_the_chat_is_mounted(client: Client) -> None:
    page = client.get("/chat/")
    assert "<title>httpkit chat</title>" in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]  # its own, not ours
    assert client.get("/chat", follow_redirects=True).url.path == "/chat/"
    assert client.get("/chat/static/chat.js").status_code == 200
    assert client.get("/chat/rooms/lobby/events").json()["events"][0]["kind"] == "welcome"


def test_notes(client: Client) -> None:
    assert client.get("/api/notes").json() == []
    created = client.post("/api/notes", json={"text": "Buy milk"})
    assert created.status_code == 201
    note = created.json()
    assert note["text"] == "Buy milk"
    assert created.headers["location"] == f"http://testserver/api/notes/{note['id']}"
    assert client.get(created.headers["location"]).json() == note
    assert client.get("/api/notes").json() == [note]
    assert client.delete(created.headers["location"]).status_code == 204
    assert client.delete(created.headers["location"]).status_code == 404


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"text": ""}', b'{"text": 1}', b'{"text": "x", "a": 1}']
)
def test_mistakes_in_notes(client: Client, body: bytes) -> None:
    response = client.post("/api/notes", content=body, headers={"accept": "application/json"})
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["status"] == 400
    assert client.get("/api/notes").json() == []


def test_old_notes_make_room(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notes, "MAX_NOTES", 2)
    for text in "abc":
        client.post("/api/notes", json={"text": text})
    assert [note["text"] for note in client.get("/api/notes").json()] == ["b", "c"]


def test_upload(client: Client) -> None:
    assert 'action="/upload"' in client.get("/upload").text
    response = client.post(
        "/upload", data={"title": "<b>"}, files={"file": ("a.txt", b"<script>", "text/plain")}
    )
    assert response.status_code == 200
    assert "<dd>&lt;b&gt;</dd>" in response.text
    assert "a.txt" in response.text
    assert "text/plain" in response.text
    assert "8 bytes" in response.text
    assert "&lt;script&gt;" in response.text
    assert "<script>" not in response.text


def test_upload_without_a_file(client: Client) -> None:
    response = client.post("/upload", data={"title": "x"})
    assert response.status_code == 400
    assert "Choose a file first." in response.text


def test_stream(client: Client) -> None:
    with client.stream("GET", "/stream") as response:
        assert response.headers["content-type"] == "text/plain; charset=utf-8"
        lines = response.iter_lines()
        assert next(lines).endswith("line 1 of 10")
        assert next(lines).endswith("line 2 of 10")


def test_slow(client: Client) -> None:
    assert client.get("/slow?seconds=0").json() == {"slept": 0}
    for seconds in ("soon", "-1", "11", "nan", "inf"):
        assert client.get(f"/slow?seconds={seconds}").status_code == 400


@pytest.mark.parametrize("target", APPLICATIONS)
def test_as_a_process(start_httpkit: Any, target: str) -> None:
    process = start_httpkit("run", target, "--port", "0")
    with urllib.request.urlopen(process.wait_for_url(), timeout=30) as answer:
        assert answer.status == 200
    assert process.stop() == 0


def test_hello_as_a_script(start_process: Any) -> None:
    code = "import sys; sys.argv = ['hello']; from examples.hello import app; app.run(port=0)"
    process = start_process(sys.executable, "-c", code, cwd=EXAMPLES.parent)
    with urllib.request.urlopen(process.wait_for_url(), timeout=30) as answer:
        assert answer.read() == b"Hello, world!"
    assert process.stop(SIGINT) == 0
