"""Applications of real frameworks, hosted and mounted: what people do with them every day.

Each framework has the same small site; each test asks all of them.
"""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from httpkit import App
from httpkit.hosting import adapt, find_interface
from httpkit.testing import LiveServer
from tests.asgi import sites

HOSTED = {
    "starlette": (sites.make_starlette, "asgi"),
    "fastapi": (sites.make_fastapi, "asgi"),
    "django-asgi": (sites.make_django_asgi, "asgi"),
    "django-wsgi": (sites.make_django_wsgi, "wsgi"),
    "quart": (sites.make_quart, "asgi"),
    "flask": (sites.make_flask, "wsgi"),
    "falcon-asgi": (sites.make_falcon_asgi, "asgi"),
    "falcon-wsgi": (sites.make_falcon_wsgi, "wsgi"),
}
MIB = 1 << 20
#: Falcon looks for its routes in `path` as a whole, in which ASGI has the root path, too.
IGNORES_ROOT_PATH = {"falcon-asgi"}
#: Django reads as many bytes as CONTENT_LENGTH says, so it finds none in a chunked body.
NEEDS_CONTENT_LENGTH = {"django-wsgi"}


@pytest.fixture(scope="module", params=["hosted", "mounted", "http2"])
def way(request) -> str:
    return request.param


@pytest.fixture(scope="module", params=HOSTED)
def framework(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def client(framework: str, way: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A client of a server with the site."""
    if way == "mounted" and framework in IGNORES_ROOT_PATH:
        way = "hosted"
    make, interface = HOSTED[framework]
    path = tmp_path_factory.mktemp("site") / "large"
    path.write_bytes(bytes(range(256)) * 4096 * 4)
    foreign = make(path)
    assert find_interface(foreign) == interface
    prefix = ""
    if way == "mounted":
        prefix = "/mnt"
        application: Any = App()
        application.mount(prefix, foreign)
    else:
        application = adapt(foreign, interface)
    with (
        LiveServer(application, max_body=64 * MIB, raise_server_exceptions=False) as server,
        httpx.Client(
            base_url=f"{server.url}{prefix}".replace("//mnt", "/mnt"),
            http1=way != "http2",
            http2=way == "http2",
            timeout=30,
        ) as client,
    ):
        client.way = way
        client.path = path
        client.foreign = foreign
        yield client


def test_json(client: Any) -> None:
    answer = client.post("/json", json={"a": [1, "é"]})
    assert answer.json() == {"got": {"a": [1, "é"]}}
    assert answer.http_version == ("HTTP/2" if client.way == "http2" else "HTTP/1.1")
    assert answer.headers["content-type"].startswith("application/json")


def test_forms(client: Any) -> None:
    assert client.post("/form", data={"name": "Zoë & co"}).text == "Zoë & co"


def test_uploads(client: Any) -> None:
    data = bytes(range(256)) * 4096 * 3
    answer = client.post("/upload", files={"file": ("a.bin", data)})
    assert answer.text == f"a.bin {len(data)}"


def test_a_streamed_request(client: Any, framework: str) -> None:
    def pieces() -> Any:
        for _ in range(50):
            yield b"x" * 10_000

    headers = {"content-length": "500000"} if framework in NEEDS_CONTENT_LENGTH else {}
    assert client.post("/size", content=pieces(), headers=headers).text == "500000"


def test_streams(client: Any) -> None:
    with client.stream("GET", "/stream") as answer:
        assert b"".join(answer.iter_bytes()) == b"".join(b"piece %d\n" % n for n in range(20))


def test_large_files(client: Any) -> None:
    answer = client.get("/file")
    assert answer.content == client.path.read_bytes()


def test_query_path_and_headers(client: Any) -> None:
    answer = client.get("/about/a%20b/é", params={"q": "ü"}, headers={"x-one": "1"})
    assert answer.json() == {"path": "a b/é", "q": "ü", "x": "1"}


def test_errors(client: Any) -> None:
    assert client.get("/nowhere").status_code == 404
    assert client.get("/fail").status_code == 500
    assert client.get("/stream").status_code == 200


def test_head(client: Any) -> None:
    answer = client.head("/hello")
    assert (answer.status_code, answer.content) == (200, b"")
    assert client.get("/hello").text == "hello"


def test_cookies(client: Any) -> None:
    answer = client.get("/cookies")
    assert answer.headers.get_list("set-cookie") != []
    assert {"a", "b"} <= set(answer.cookies)
    client.cookies.clear()


def test_the_lifespan_has_begun(client: Any, framework: str) -> None:
    if framework in ("starlette", "fastapi", "quart", "falcon-asgi"):
        assert client.get("/lifespan").text == "begun"


def test_background_tasks(client: Any, framework: str) -> None:
    if framework in ("starlette", "fastapi"):
        seen = client.foreign.state.seen = []
        assert client.get("/background").text == "answered"
        for _ in range(200):
            client.get("/hello")
            if seen:
                break
        assert seen == ["ran"]


def test_urls_know_where_they_are_mounted(client: Any, framework: str) -> None:
    if framework in ("starlette", "fastapi", "flask", "quart"):
        prefix = "/mnt" if client.way == "mounted" else ""
        assert httpx.URL(client.get("/url").text).path == f"{prefix}/hello"
