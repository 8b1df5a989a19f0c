"""Clients that other people wrote."""

import http.client
import shutil
import subprocess

import httpx
import pytest

from tests.echoing import describe, url_of


@pytest.fixture
def server(live):
    return live(describe)


# --- in Python -----------------------------------------------------------------------------------


def test_http_client(server) -> None:
    connection = http.client.HTTPConnection(*server.address, timeout=10)
    try:
        for body in (None, b"abc", iter([b"one", b"two"])):
            connection.request("POST", "/path", body)
            answer = connection.getresponse()
            expected = {None: b"POST /path 1.1", b"abc": b"abc"}.get(body, b"onetwo")
            assert (answer.status, answer.read()) == (200, expected)
        connection.request("HEAD", "/path")
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b"")
    finally:
        connection.close()
    assert server.server.counters.connections_opened == 1


def test_httpx(server) -> None:
    with httpx.Client(base_url=url_of(server), trust_env=False) as client:
        assert client.get("/a").text == "GET /a 1.1"
        assert client.post("/", content=b"abc").text == "abc"
        assert client.post("/", content=iter([b"one", b"two"])).text == "onetwo"
        assert client.head("/").headers["x-length"] == "0"
        assert client.options("/b").text == "OPTIONS /b 1.1"
        with client.stream("GET", "/") as answer:
            assert b"".join(answer.iter_bytes()) == b"GET / 1.1"
    assert server.server.counters.connections_opened == 1


# --- Debian packages -----------------------------------------------------------------------------


def run(*command: str, data: bytes = b"") -> str:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    result = subprocess.run(command, input=data, capture_output=True, timeout=50, check=False)
    assert result.returncode == 0, result.stderr.decode()
    return (result.stdout + result.stderr).decode()


@pytest.mark.system
def test_curl_keeps_the_connection(server) -> None:
    output = run("curl", "-sv", url_of(server, "/1"), url_of(server, "/2"))
    assert "GET /1 1.1" in output
    assert "GET /2 1.1" in output
    assert server.server.counters.connections_opened == 1


@pytest.mark.system
def test_curl_with_http_1_0(server) -> None:
    output = run("curl", "-sv", "--http1.0", url_of(server, "/1"), url_of(server, "/2"))
    assert "GET /2 1.0" in output
    assert server.server.counters.connections_opened == 2


@pytest.mark.system
def test_curl_uploads(server) -> None:
    data = b"a" * 2_000_000  # curl expects 100-continue from a megabyte on
    output = run("curl", "-sv", "-o", "/dev/null", "--data-binary", "@-", url_of(server), data=data)
    assert "100 Continue" in output
    assert "< x-length: 2000000" in output


@pytest.mark.system
def test_curl_uploads_in_chunks(server) -> None:
    output = run("curl", "-sv", "-o", "/dev/null", "-T", "-", url_of(server), data=b"a" * 300_000)
    assert "> Transfer-Encoding: chunked" in output
    assert "< x-length: 300000" in output


@pytest.mark.system
def test_curl_asks_for_the_head(server) -> None:
    assert "HTTP/1.1 200 OK" in run("curl", "-sI", url_of(server))


@pytest.mark.system
def test_curl_offers_http_2(server) -> None:
    """An upgrade to h2c is ignored."""
    assert "GET / 1.1" in run("curl", "-sv", "--http2", url_of(server))


@pytest.mark.system
def test_wrk(server) -> None:
    output = run("wrk", "-t1", "-c10", "-d1s", url_of(server))
    assert "Socket errors" not in output
    assert "Non-2xx" not in output
    assert server.server.counters.requests_begun > 10


@pytest.mark.system
@pytest.mark.parametrize("options", [[], ["-k"]])
def test_ab(server, options) -> None:
    output = run("ab", *options, "-q", "-n", "200", "-c", "10", url_of(server))
    assert "Complete requests:      200" in output
    assert "Failed requests:        0" in output
    assert "Non-2xx" not in output


@pytest.mark.system
def test_h2load(server) -> None:
    output = run("h2load", "--h1", "-n", "200", "-c", "10", "-m", "5", url_of(server))
    assert "200 succeeded, 0 failed, 0 errored" in output
