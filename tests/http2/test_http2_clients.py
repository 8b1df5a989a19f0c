"""HTTP/2 clients that other people wrote, by prior knowledge on a port without TLS."""

import asyncio
import re
import shutil
import subprocess

import httpx
import pytest

from tests.echoing import describe, url_of


@pytest.fixture
def server(live):
    return live(describe)


# --- in Python -----------------------------------------------------------------------------------


def client_of(server, **options) -> httpx.Client:
    return httpx.Client(
        base_url=url_of(server), trust_env=False, http1=False, http2=True, timeout=10, **options
    )


def test_httpx(server) -> None:
    with client_of(server) as client:
        answer = client.get("/a")
        assert (answer.text, answer.http_version) == ("GET /a 2", "HTTP/2")
        assert client.post("/", content=b"abc").text == "abc"
        assert client.post("/", content=iter([b"one", b"two"])).text == "onetwo"
        assert client.head("/").headers["x-length"] == "0"
        assert client.options("/b").text == "OPTIONS /b 2"
        assert client.get("/hinted").status_code == 200
        assert len(client.get("/large").content) == 1_000_000
        large = b"b" * 1_000_000
        assert client.post("/", content=large).content == large
        with client.stream("GET", "/") as answer:
            assert b"".join(answer.iter_bytes()) == b"GET / 2"
    assert server.server.counters.connections_opened == 1


def test_httpx_with_many_requests_at_once(server) -> None:
    async def fetch() -> list[str]:
        async with httpx.AsyncClient(
            base_url=url_of(server), trust_env=False, http1=False, http2=True, timeout=10
        ) as client:
            answers = await asyncio.gather(*(client.get(f"/{i}") for i in range(80)))
            return [answer.text for answer in answers]

    assert asyncio.run(fetch()) == [f"GET /{i} 2" for i in range(80)]
    assert server.server.counters.connections_opened == 1


def test_httpx_that_leaves_in_the_middle(server) -> None:
    """A body that is not read to its end is reset, and the connection goes on."""
    with client_of(server) as client:
        with client.stream("GET", "/large") as answer:
            next(answer.iter_bytes())
        assert client.get("/b").text == "GET /b 2"


# --- Debian packages -----------------------------------------------------------------------------


def run(*command: str, data: bytes = b"") -> str:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    result = subprocess.run(command, input=data, capture_output=True, timeout=50, check=False)
    assert result.returncode == 0, result.stderr.decode()
    return (result.stdout + result.stderr).decode()


def curl(*arguments: str, data: bytes = b"") -> str:
    return run("curl", "-sv", "--http2-prior-knowledge", *arguments, data=data)


@pytest.mark.system
def test_curl(server) -> None:
    """One URL: curl 7.88 fails on its own when it uses such a connection again, with any server."""
    output = curl(url_of(server, "/1"))
    assert "GET /1 2" in output
    assert "< HTTP/2 200" in output


@pytest.mark.system
def test_curl_uploads(server) -> None:
    data = b"a" * 2_000_000  # more than all windows
    output = curl("-o", "/dev/null", "--data-binary", "@-", url_of(server), data=data)
    assert "< x-length: 2000000" in output


@pytest.mark.system
def test_curl_uploads_without_a_length(server) -> None:
    output = curl("-o", "/dev/null", "-T", "-", url_of(server), data=b"a" * 300_000)
    assert "< x-length: 300000" in output


@pytest.mark.system
def test_curl_asks_for_the_head(server) -> None:
    assert "HTTP/2 200" in curl("-I", url_of(server))


@pytest.mark.system
def test_curl_sees_early_hints(server) -> None:
    output = curl(url_of(server, "/hinted"))
    assert "< HTTP/2 103" in output
    assert "< link: </style.css>; rel=preload; as=style" in output


@pytest.mark.system
def test_nghttp(server) -> None:
    output = run("nghttp", "-v", url_of(server, "/1"), url_of(server, "/2"))
    assert "recv (stream_id=13) :status: 200" in output
    assert "GET /1 2" in output
    assert "GET /2 2" in output
    assert "SETTINGS_MAX_CONCURRENT_STREAMS(0x03):100" in output
    assert "recv GOAWAY" not in output


@pytest.mark.system
def test_nghttp_uploads_with_padding(server, tmp_path) -> None:
    body = tmp_path / "body"
    body.write_bytes(b"a" * 500_000)
    output = run("nghttp", "-nv", "--padding=100", "-d", str(body), url_of(server))
    assert "x-length: 500000" in output


@pytest.mark.system
@pytest.mark.parametrize("bits", ["16", "30"])
def test_nghttp_with_other_windows(server, bits: str) -> None:
    output = run("nghttp", "-ns", "-w", bits, "-W", bits, url_of(server, "/large"))
    assert re.search(r"\b200\b", output)


@pytest.mark.system
def test_h2load(server) -> None:
    """As many requests at once as are allowed, on a few connections."""
    output = run("h2load", "-n", "2000", "-c", "4", "-m", "100", url_of(server))
    assert "2000 succeeded, 0 failed, 0 errored, 0 timeout" in output
    assert "status codes: 2000 2xx" in output


@pytest.mark.system
def test_h2load_uploads(server, tmp_path) -> None:
    body = tmp_path / "body"
    body.write_bytes(b"a" * 100_000)
    output = run("h2load", "-n", "100", "-c", "2", "-m", "10", "-d", str(body), url_of(server))
    assert "100 succeeded, 0 failed, 0 errored, 0 timeout" in output
