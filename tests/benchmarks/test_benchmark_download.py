"""The load of downloads: counted, thrown away, and never a number if one is wrong."""

import socket
import threading
from contextlib import contextmanager, suppress

import pytest
from benchmark_peers import make_load

from benchmarks.cases import Answer, Case
from benchmarks.endpoint import HOST, Endpoint
from benchmarks.load import GENERATORS, LoadError
from benchmarks.load.download import download_until
from benchmarks.messages import Request
from tests.ports import refusing_port

BLOCK = bytes(range(256)) * 4096
CASE = Case("d", "", lambda: [Request("GET", "/d")], Answer("", BLOCK, 3), generator="download")
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (3 * len(BLOCK))
ANSWER = HEAD + 3 * BLOCK


@contextmanager
def answering(answer):
    """Answer each request on one connection; an answer that is empty ends it."""
    requests = []

    def serve():
        with suppress(OSError):
            peer, _ = listener.accept()
            with peer:
                while request := peer.recv(1000):
                    requests.append(request)
                    if not answer:
                        return
                    peer.sendall(answer)
                    if len(answer) < len(ANSWER):
                        return

    with socket.create_server((HOST, 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield Endpoint(listener.getsockname()[1]), requests
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)
            assert not thread.is_alive()


def ticking():
    """Return a clock on which each look takes a second."""
    seconds = iter(range(1000))
    return lambda: next(seconds)


@pytest.mark.parametrize(("seconds", "downloads"), [(0.5, 1), (1, 1), (4, 4)])
def test_downloads_are_counted_until_the_time_is_over(seconds, downloads):
    with answering(ANSWER) as (endpoint, requests):
        result = download_until(make_load(CASE, endpoint, seconds=seconds), ticking())
        assert requests == [Request("GET", "/d").serialize(endpoint.authority)] * downloads
    assert (result.requests, result.requests_per_second) == (downloads, 1.0)
    assert result.growth_mib is None


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "no answer but b''"),
        (BLOCK + ANSWER, r"no answer but b'\\x00\\x01.{,800}\.\.\.$"),
        (ANSWER[:20], "no answer but b'HTTP/1.1 200 OK"),
        (ANSWER.replace(b"200", b"206", 1), "the answer is b'HTTP/1.1 206"),
        (ANSWER.replace(b"Length: 3", b"Length: 2", 1), "the length is not 3145728"),
        (ANSWER.replace(b"Content-Length", b"Content-Longth", 1), "the length is not"),
        (ANSWER[:-1], "it ends 1 bytes early"),
    ],
)
def test_anything_but_the_whole_answer_is_never_a_number(answer, reason):
    with answering(answer) as (endpoint, _), pytest.raises(LoadError, match=reason):
        download_until(make_load(CASE, endpoint), ticking())


def test_a_body_that_is_longer_than_it_says_is_an_error():
    case = Case("d", "", CASE.requests, Answer("", b"short"))
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nlonger"
    with answering(answer) as (endpoint, _), pytest.raises(LoadError, match="longer than it says"):
        download_until(make_load(case, endpoint), ticking())


def test_nobody_listening_is_an_error():
    with refusing_port() as port, pytest.raises(LoadError, match="a download failed"):
        GENERATORS["download"].run(make_load(CASE, Endpoint(port)))


def test_the_load_of_downloads_needs_no_program():
    generator = GENERATORS["download"]
    assert generator.installed
    assert generator.version().startswith("Linux ")
