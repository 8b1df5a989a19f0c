"""Files as answers, by sendfile(2) and piece by piece: what arrives, and what goes wrong."""

import asyncio
import contextlib
import errno
import os
import socket
import threading

import pytest

from httpkit.app import App
from httpkit.body import FileBody
from httpkit.response import Response, open_file
from httpkit.static import lookup
from httpkit.transport import connection as transport_connection
from httpkit.transport import passage


@pytest.fixture(params=["sendfile", "pieces"])
def road(request, monkeypatch) -> str:
    """How the bytes of large files go."""
    if request.param == "pieces":
        monkeypatch.setattr(transport_connection, "_HAS_SENDFILE", False)
    return request.param


def stalled(connection) -> bool:
    """Whether the client reads no more of a file."""
    way = connection._passage
    return bool(connection.blocked) or (way is not None and way.waiting)


def test_a_file(live, road, tmp_path) -> None:
    content = os.urandom(1_000_000)
    path = tmp_path / "data.bin"
    path.write_bytes(content)
    client = live(lambda request: Response.file(path)).connect()
    for _ in range(2):
        answer = client.get()
        assert (answer["content-length"], answer.body == content) == ("1000000", True)
    answer = client.get(method="HEAD")
    assert (answer["content-length"], answer.body) == ("1000000", b"")


def test_an_empty_file(live, tmp_path) -> None:
    (tmp_path / "empty").touch()
    client = live(lambda request: Response.file(tmp_path / "empty")).connect()
    assert client.get()["content-length"] == "0"
    assert client.get().body == b""


def test_a_file_that_is_not_in_memory(live, tmp_path, monkeypatch) -> None:
    """Whatever needs the disk is read in a thread."""
    threads: set[str] = set()

    def read(self, size):
        threads.add(threading.current_thread().name)
        return original(self, size)

    original = FileBody.read
    monkeypatch.setattr(FileBody, "read", read)
    monkeypatch.setattr(FileBody, "is_cached", lambda self, size: False)
    monkeypatch.setattr(transport_connection, "_HAS_SENDFILE", False)
    path = tmp_path / "data"
    path.write_bytes(b"a" * 600_000)
    server = live(lambda request: Response.file(path))
    assert len(server.connect().get().body) == 600_000
    assert threads
    assert "server" not in threads


def test_a_file_that_shrinks(live, road, tmp_path, caplog) -> None:
    """The client must see that something is missing."""
    path = tmp_path / "data"
    path.write_bytes(b"a" * 1_000_000)

    async def handler(request):
        response = open_file(Response.file(path))
        path.write_bytes(b"b" * 1000)
        return response

    client = live(handler).connect()
    client.request()
    head = client.receive_until(b"\r\n\r\n")
    assert b"content-length: 1000000\r\n" in head
    assert b"a" not in client.receive_rest()
    assert "the file has changed while it was sent" in caplog.text


def test_a_file_that_shrinks_while_it_is_sent(live, road, tmp_path, caplog) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"a" * 30_000_000)
    server = live(lambda request: Response.file(path))
    client = server.connect(receive_buffer=65_536)
    client.request()
    connection = server.the_connection()
    server.until(lambda: stalled(connection))
    os.truncate(path, 0)
    client.receive_until(b"\r\n\r\n")
    assert len(client.receive_rest()) < 30_000_000
    assert "the file has changed while it was sent" in caplog.text


def test_descriptors_of_files_are_given_back(live, road, tmp_path) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"a" * 30_000_000)
    bodies = []

    def handler(request):
        response = open_file(Response.file(path))
        bodies.append(response.body)
        return response

    server = live(handler)
    client = server.connect(receive_buffer=65_536)
    client.request()
    connection = server.the_connection()
    server.until(lambda: stalled(connection))
    client.reset()
    server.until(lambda: bodies[0].fd == -1)
    server.connect().get(method="HEAD")
    server.until(lambda: bodies[1].fd == -1)


@pytest.mark.parametrize("with_app", [True, False])
def test_opening_a_file_on_a_slow_disk_holds_nobody_up(live, tmp_path, monkeypatch, with_app):
    """Opening and asking for the size may take as long as reading: both happen in a thread."""
    (tmp_path / "slow").write_bytes(b"slow")
    reached, go_on = threading.Event(), threading.Event()
    threads: set[str] = set()
    take = FileBody._take

    def wait(self, *args):
        threads.add(threading.current_thread().name)
        reached.set()
        assert go_on.wait(10)
        take(self, *args)

    monkeypatch.setattr(FileBody, "_take", wait)
    app = App()
    app.get("/slow")(lambda request: Response.file(tmp_path / "slow"))
    app.get("/quick")(lambda request: "quick")

    def answer(request):
        return Response.file(tmp_path / "slow") if request.path == "/slow" else Response("quick")

    server = live(app if with_app else answer)
    slow, quick = server.connect(), server.connect()
    slow.request("/slow")
    assert reached.wait(10)
    for _ in range(3):
        assert quick.get("/quick").body == b"quick"
    go_on.set()
    assert slow.receive().body == b"slow"
    assert "server" not in threads


def test_static_files_on_a_slow_disk_hold_nobody_up(live, tmp_path, monkeypatch):
    (tmp_path / "slow.css").write_bytes(b"slow")
    reached, go_on = threading.Event(), threading.Event()
    threads: set[str] = set()
    walk = lookup._open_below

    def wait(*args):
        threads.add(threading.current_thread().name)
        reached.set()
        assert go_on.wait(10)
        return walk(*args)

    monkeypatch.setattr(lookup, "_open_below", wait)
    app = App()
    app.static("/static", tmp_path)
    app.get("/quick")(lambda request: "quick")
    server = live(app)
    slow, quick = server.connect(), server.connect()
    slow.request("/static/slow.css")
    assert reached.wait(10)
    for _ in range(3):
        assert quick.get("/quick").body == b"quick"
    for target in ("/static/../secret", "/static/..%2fsecret", "/static/%c0%ae%c0%ae/x"):
        assert quick.get(target).status == 404
    go_on.set()
    assert slow.receive().body == b"slow"
    assert "server" not in threads


def test_a_missing_file_that_only_the_server_opens_is_404(live, tmp_path):
    client = live(lambda request: Response.file(tmp_path / "nope")).connect()
    for method in ("GET", "HEAD"):
        answer = client.get(method=method)
        assert (answer.status, answer.body) == (404, b"404 Not Found\n" * (method == "GET"))


def test_a_client_that_leaves_before_its_file_is_open(live, tmp_path, monkeypatch):
    (tmp_path / "slow").write_bytes(b"slow")
    reached, go_on = threading.Event(), threading.Event()
    take = FileBody._take

    def opened():
        info = (tmp_path / "slow").stat()
        found = []
        for descriptor in os.listdir("/dev/fd"):
            with contextlib.suppress(OSError):  # the one that listed them
                found.append(os.path.samestat(os.fstat(int(descriptor)), info))
        return any(found)

    def wait(self, *args):
        reached.set()
        assert go_on.wait(10)
        take(self, *args)

    monkeypatch.setattr(FileBody, "_take", wait)
    app = App()
    app.get("/")(lambda request: Response.file(tmp_path / "slow"))
    server = live(app)
    client = server.connect()
    client.request()
    assert reached.wait(10)
    client.reset()
    server.until(lambda: server.connection() is None)
    assert opened()
    go_on.set()
    server.until(lambda: not opened(), "a closed descriptor")


def test_a_file_that_changes_while_it_is_sent_has_no_end(live, road, tmp_path, caplog) -> None:
    """The length would be right, but the bytes are of two files."""
    path = tmp_path / "data"
    path.write_bytes(b"a" * 30_000_000)
    server = live(lambda request: Response.file(path))
    client = server.connect(receive_buffer=65_536)
    client.request()
    connection = server.the_connection()
    server.until(lambda: stalled(connection))
    path.write_bytes(b"b" * 30_000_000)
    client.receive_until(b"\r\n\r\n")
    assert len(client.receive_rest()) < 30_000_000
    assert "the file has changed while it was sent" in caplog.text


def test_a_file_that_changes_while_the_socket_is_full(tmp_path) -> None:
    """What is left may be less than one call writes: nothing would look at the file again."""
    path = tmp_path / "data"
    path.write_bytes(b"a" * 1000)
    os.utime(path, (1_700_000_000, 1_700_000_000))

    async def main() -> int:
        near, far = socket.socketpair()
        with near, far:
            near.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    near.send(bytes(65_536))
            way = passage.Passage(asyncio.get_running_loop(), near)
            writing = asyncio.create_task(way.write(FileBody(path)))
            await asyncio.sleep(0)  # its first step
            assert way.waiting
            path.write_bytes(b"b" * 1000)
            far.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    far.recv(65_536)
            written = await writing
            way.close()
            return written

    assert asyncio.run(main()) == 0


def test_what_comes_after_a_file(live, road, tmp_path) -> None:
    """Pipelined: head and body of each answer in order, whatever road the bytes took."""
    content = os.urandom(3_000_000)
    (tmp_path / "data").write_bytes(content)
    path = tmp_path / "data"
    server = live(lambda r: Response.file(path) if r.path == "/f" else Response("small"))
    client = server.connect()
    for target in ("/f", "/s", "/f", "/s"):
        client.request(target)
    for size in (3_000_000, 5, 3_000_000, 5):
        body = client.receive().body
        assert body == (content if size > 5 else b"small")
    connection = server.the_connection()
    assert server.call(lambda: connection.bytes_sent) > 6_000_000
    assert connection._passage is None  # its descriptor is given back


def test_a_file_when_no_descriptor_is_left(live, tmp_path, monkeypatch) -> None:
    def fail(descriptor):
        raise OSError(errno.EMFILE, "Too many open files")

    content = os.urandom(1_000_000)
    (tmp_path / "data").write_bytes(content)
    monkeypatch.setattr(passage.os, "dup", fail)
    server = live(lambda request: Response.file(tmp_path / "data"))
    assert server.connect().get().body == content


def test_the_head_of_a_file_that_is_open_already_comes_first(live, road, tmp_path) -> None:
    """The answer begins within a batch, which is written at its end."""
    content = os.urandom(3_000_000)
    path = tmp_path / "data"
    path.write_bytes(content)
    os.utime(path, (1_700_000_000, 1_700_000_000))
    app = App()
    app.static("/", tmp_path)
    client = live(app).connect()
    for _ in range(5):
        assert client.get("/data").body == content
    for _ in range(3):
        client.request("/data")
    for _ in range(3):
        assert client.receive().body == content


def test_a_file_that_is_not_in_memory_by_sendfile(live, tmp_path, monkeypatch) -> None:
    """The disk is waited for by a thread, and the loop only sends what is there."""
    threads: set[str] = set()
    warm = FileBody.warm

    def note(self, size):
        threads.add(threading.current_thread().name)
        warm(self, size)

    monkeypatch.setattr(FileBody, "warm", note)
    monkeypatch.setattr(FileBody, "is_cached", lambda self, size: False)
    content = os.urandom(3_000_000)
    (tmp_path / "data").write_bytes(content)
    server = live(lambda request: Response.file(tmp_path / "data"))
    assert server.connect().get().body == content
    assert threads
    assert "server" not in threads


def test_a_stalled_reader_of_a_file_is_cut_off(live, road, tmp_path) -> None:
    path = tmp_path / "data"
    path.write_bytes(b"a" * 30_000_000)
    server = live(lambda request: Response.file(path), write_stall=60)
    client = server.connect(receive_buffer=65_536)
    client.request()
    connection = server.the_connection()
    server.until(lambda: stalled(connection))
    server.pass_time(59)
    taken = server.call(lambda: connection.bytes_sent)
    client.receive_exactly(10_000_000)
    server.until(lambda: connection.bytes_sent > taken and stalled(connection))
    server.pass_time(59)
    assert server.call(server.connection) is not None
    # While the kernels pass on what was written, that is progress.
    server.pass_time_until(lambda: server.connection() is None, 61, "the end of the reader")
    client.expect_reset()


def test_a_client_that_leaves_while_the_head_waits_in_the_transport(live, tmp_path, caplog):
    """Before there is a passage: the socket is full of an answer before."""
    path = tmp_path / "data"
    path.write_bytes(b"a" * 1_000_000)
    large = b"b" * 12_000_000
    server = live(lambda r: Response.file(path) if r.path == "/f" else Response(large))
    client = server.connect(receive_buffer=65_536)
    client.request("/")
    client.request("/f")
    connection = server.the_connection()
    server.until(lambda: connection._drained is not None)
    assert server.requests == ["GET /", "GET /f"]
    client.reset()
    server.until(lambda: server.connection() is None)
    assert "failed" not in caplog.text


def test_a_tap_sees_files(live, tmp_path) -> None:
    (tmp_path / "data").write_bytes(b"a" * 1_000_000)
    seen = []
    server = live(
        lambda request: Response.file(tmp_path / "data"),
        tap=lambda name, direction, data, now: seen.append((direction, len(data))),
    )
    assert len(server.connect().get().body) == 1_000_000
    assert sum(size for direction, size in seen if direction == "sent") > 1_000_000


def forbid_passages(monkeypatch) -> None:
    """Whatever needs one, or a copy of the file, is an error."""

    def fail(*_):
        raise AssertionError("this file fits into the buffer of the socket")

    for owner, name in ((passage.os, "dup"), (passage.os, "pread")):
        monkeypatch.setattr(owner, name, lambda *args: b"" if args[1:2] == (0,) else fail())


@pytest.mark.skipif(not hasattr(os, "sendfile"), reason="there is no sendfile(2) here")
def test_what_the_socket_takes_at_once_is_sent_at_once(live, tmp_path, monkeypatch) -> None:
    """In order with the answers around it, from the same batch and behind the same head."""
    forbid_passages(monkeypatch)
    content = os.urandom(100_000)
    path = tmp_path / "data"
    path.write_bytes(content)
    server = live(lambda r: Response.file(path) if r.path == "/f" else Response("small"))
    client = server.connect()
    for target in ("/s", "/f", "/s", "/f"):
        client.request(target)
    for expected in (b"small", content, b"small", content):
        assert client.receive().body == expected
    connection = server.the_connection()
    received = client.get("/f", method="HEAD")
    assert (received["content-length"], received.body) == ("100000", b"")
    assert 200_010 < server.call(lambda: connection.bytes_sent) < 202_000


@pytest.mark.parametrize("taken", [0, 10])
def test_a_head_that_the_socket_does_not_take_whole(live, tmp_path, monkeypatch, taken) -> None:
    write = os.write

    def write_little(descriptor, data):
        if not data.startswith(b"HTTP/"):
            return write(descriptor, data)
        if not taken:
            raise BlockingIOError
        return write(descriptor, data[:taken])

    monkeypatch.setattr(transport_connection.os, "write", write_little)
    content = os.urandom(100_000)
    path = tmp_path / "data"
    path.write_bytes(content)
    client = live(lambda request: Response.file(path)).connect()
    for _ in range(2):
        assert client.get().body == content


def test_a_client_that_has_left_is_no_error(live, tmp_path, monkeypatch, caplog) -> None:
    """A write learns of it before the loop does; the application has done nothing wrong."""

    def fail(*_):
        raise BrokenPipeError

    monkeypatch.setattr(passage.os, "sendfile", fail)
    path = tmp_path / "data"
    path.write_bytes(b"a" * 1_000_000)
    server = live(lambda request: Response.file(path))
    client = server.connect()
    client.request()
    assert client.receive_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200")
    server.until(lambda: server.connection() is None)
    assert caplog.text == ""


def test_a_disk_that_fails_is_no_client_that_has_left(live, tmp_path, monkeypatch, caplog) -> None:
    def fail(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(passage.os, "sendfile", fail)
    path = tmp_path / "data"
    path.write_bytes(b"a" * 1_000_000)
    client = live(lambda request: Response.file(path)).connect()
    client.request()
    assert b"content-length: 1000000\r\n" in client.receive_until(b"\r\n\r\n")
    assert client.receive_rest() == b""
    assert "Input/output error" in caplog.text
