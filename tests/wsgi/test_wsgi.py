"""Hosted WSGI applications, as PEP 3333 wants them."""

import bz2
import gzip
import io
import lzma
import sys
import tempfile
import threading
from typing import Any
from wsgiref.validate import validator

import h11
import pytest

from httpkit.wsgi import WSGIApplication
from tests.server.wire import chunked, make_request

PLAIN = [("Content-Type", "text/plain")]


class Recorder:
    """Wraps an application; notes its environs, its threads and what it raised."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.environs: list[dict[str, Any]] = []
        self.threads: list[Any] = []
        self.errors: list[BaseException] = []

    def __call__(self, environ, start_response):
        self.environs.append(environ)
        self.threads.append(threading.current_thread())
        try:
            return self.app(environ, start_response)
        except BaseException as error:
            self.errors.append(error)
            raise


@pytest.fixture
def host(live):
    def start(app: Any, *, threads: int = 4, root_path: str = "", **options: Any):
        recorder = Recorder(app)
        hosted = WSGIApplication(recorder, threads=threads, root_path=root_path)
        return live(hosted, **options), recorder

    return start


def hello(environ, start_response):
    start_response("200 OK", PLAIN)
    return [b"hello"]


def test_the_environ(host) -> None:
    server, recorder = host(hello, root_path="/ä/")
    client = server.connect()
    client.get(
        "/a%20b/%C3%A9?x=%20",
        "X-One: 1",
        "X-One: 2",
        "X_One: evil",
        "Proxy: evil",
        "Cookie: a=1",
        "Cookie: b=2",
    )
    environ = recorder.environs[0]
    assert environ["REQUEST_METHOD"] == "GET"
    assert environ["SCRIPT_NAME"] == "/ä".encode().decode("latin-1")
    assert environ["PATH_INFO"] == "/a b/é".encode().decode("latin-1")
    assert environ["QUERY_STRING"] == "x=%20"
    assert environ["REQUEST_URI"] == "/%C3%A4/a%20b/%C3%A9?x=%20"  # begins where SCRIPT_NAME does
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.1"
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("127.0.0.1", str(server.address[1]))
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("127.0.0.1", str(client.port))
    # A field with an underscore would have the same variable as the one with a hyphen.
    assert environ["HTTP_X_ONE"] == "1,2"
    assert environ["HTTP_COOKIE"] == "a=1; b=2"
    assert "HTTP_PROXY" not in environ  # CVE-2016-5385
    assert "CONTENT_LENGTH" not in environ
    assert environ["wsgi.url_scheme"] == "http"
    assert environ["wsgi.errors"] is sys.stderr
    assert environ["wsgi.multithread"] is True
    assert type(environ) is dict


def test_a_target_that_names_the_host_replaces_the_field(host) -> None:
    """RFC 9112 §3.2.2: an origin server ignores the Host that was received then."""
    server, recorder = host(hello)
    server.connect().get("http://other.example:8/p")
    assert recorder.environs[0]["HTTP_HOST"] == "other.example:8"


def test_wsgiref_finds_nothing_wrong(live) -> None:
    """Its validator checks both sides of the protocol."""

    def app(environ, start_response):
        data = environ["wsgi.input"].read(3)
        start_response("200 OK", PLAIN)
        return [data, b"!"]

    server = live(WSGIApplication(validator(app)))
    client = server.connect()
    client.send(make_request("/x?y", "Content-Length: 3", method="POST") + b"abc")
    assert client.receive().body == b"abc!"
    assert client.get().body == b"!"


def test_small_answers_have_their_length(host) -> None:
    server, _ = host(hello)
    client = server.connect()
    for _ in range(3):
        answer = client.get()
        assert (answer.status, answer.body, answer["content-length"]) == (200, b"hello", "5")
    assert client.get(method="HEAD")["content-length"] == "5"


def test_pieces_go_out_before_the_next_one_is_asked_for(host) -> None:
    """PEP 3333: servers must not delay the transmission of any block."""
    released, closed = threading.Event(), []

    class Pieces:
        def __iter__(self):
            yield b""
            yield b"a"
            released.wait(10)
            yield b"b"

        def close(self):
            closed.append(threading.current_thread())

    def app(environ, start_response):
        start_response("200 OK", PLAIN)
        return Pieces()

    server, recorder = host(app)
    client = server.connect()
    client.send(make_request())
    assert client.receive_until(b"1\r\na\r\n")
    released.set()
    assert client.receive_until(b"0\r\n\r\n") == b"1\r\nb\r\n0\r\n\r\n"
    server.until(lambda: closed)
    assert closed == recorder.threads  # one thread from the first line to close()


def test_write(host) -> None:
    def app(environ, start_response):
        write = start_response("200 OK", PLAIN)
        write(b"a")
        write(b"b")
        return [b"c"]

    server, _ = host(app)
    assert server.connect().get().body == b"abc"


def test_an_empty_iterator(host) -> None:
    def app(environ, start_response):
        start_response("204 No Content", [])
        return iter(())

    server, _ = host(app)
    assert server.connect().get().status == 204


def test_start_response_may_be_called_by_the_iterator(host) -> None:
    def app(environ, start_response):
        start_response("200", [("X-A", " 1 ")])
        yield b"late"

    server, _ = host(app)
    answer = server.connect().get()
    assert (answer.body, answer["x-a"]) == (b"late", "1")


def test_a_slow_client_holds_its_thread(host) -> None:
    given = []

    def app(environ, start_response):
        start_response("200 OK", PLAIN)
        for number in range(100):
            given.append(number)
            yield b"x" * 65_536

    server, _ = host(app)
    client = server.connect(receive_buffer=4096)
    client.send(make_request())
    connection = server.the_connection()
    server.until(lambda: connection._writing_paused)
    assert len(given) < 100
    assert len(client.receive().body) == 100 * 65_536


def test_a_client_that_goes_away_ends_the_iteration(host, caplog) -> None:
    closed = threading.Event()

    def app(environ, start_response):
        start_response("200 OK", PLAIN)
        try:
            while True:
                yield b"x" * 65_536
        finally:
            closed.set()

    server, _ = host(app)
    server.leave_while_full()
    assert closed.wait(10)
    server.until(lambda: server.server.counters.requests_in_flight == 0)
    assert "failed" not in caplog.text


def test_an_error_of_close_is_logged(host, caplog) -> None:
    """Nobody else hears of it: the answer is out."""

    class Pieces:
        def __iter__(self):
            yield b"a"

        def close(self):
            server.until(lambda: server.server.counters.requests_in_flight == 0)
            raise LookupError("a transaction that was not there")

    def app(environ, start_response):
        start_response("200 OK", PLAIN)
        return Pieces()

    server, _ = host(app)
    assert server.connect().get().body == b"a"
    server.until(lambda: "LookupError: a transaction" in caplog.text)


# --- bodies --------------------------------------------------------------------------------


def read_by(how: str):
    def app(environ, start_response):
        file = environ["wsgi.input"]
        data = b"".join(
            {
                "read": lambda: [file.read()],
                "pieces": lambda: iter(lambda: file.read(3), b""),
                "lines": lambda: iter(file.readline, b""),
                "readlines": file.readlines,
                "iterate": lambda: file,
            }[how]()
        )
        assert file.read() == b""
        start_response("200 OK", PLAIN)
        return [data]

    return app


@pytest.mark.parametrize("how", ["read", "pieces", "lines", "readlines", "iterate"])
def test_bodies(host, how) -> None:
    server, recorder = host(read_by(how))
    client = server.connect()
    data = b"line one\nline two\nthe rest"
    client.send(make_request("/", f"Content-Length: {len(data)}", method="POST") + data)
    assert client.receive().body == data
    assert recorder.environs[0]["CONTENT_LENGTH"] == str(len(data))
    client.send(
        make_request("/", "Transfer-Encoding: chunked", method="POST")
        + chunked(data[:10], data[10:])
    )
    assert client.receive().body == data
    assert recorder.environs[1]["wsgi.input_terminated"] is True


def test_a_body_that_comes_in_pieces(host) -> None:
    server, recorder = host(read_by("read"))
    client = server.connect()
    client.send(make_request("/", "Content-Length: 6", method="POST") + b"abc")
    server.until(lambda: recorder.environs)
    assert isinstance(recorder.environs[0]["wsgi.input"], io.BufferedReader)
    client.send(b"def")
    assert client.receive().body == b"abcdef"


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_that_is_too_large(host, announced) -> None:
    server, _ = host(read_by("read"), max_body=10)
    client = server.connect()
    if announced:
        client.send(make_request("/", "Content-Length: 20", method="POST") + b"x" * 20)
    else:
        client.send(
            make_request("/", "Transfer-Encoding: chunked", method="POST")
            + chunked(b"x" * 8, b"y" * 8)
        )
    assert client.receive().status == 413


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("pieces", [False, True])
def test_a_body_that_is_too_large_is_refused_for_the_application(
    host, caplog, announced, pieces
) -> None:
    """RFC 9110 §15.5.14: frameworks catch what reading raises and would answer 500."""
    caught = []

    def app(environ, start_response):
        try:
            environ["wsgi.input"].read()
        except OSError as error:
            caught.append(str(error))
        start_response("500 Internal Server Error", PLAIN)
        answer = [b"the application's ", b"own answer"]
        return iter(answer) if pieces else answer

    server, recorder = host(app, max_body=10)
    client = server.connect()
    framing = "Content-Length: 20" if announced else "Transfer-Encoding: chunked"
    client.send(make_request("/", framing, method="POST"))
    if not announced:
        server.until(lambda: recorder.environs)
        client.send(chunked(b"x" * 8, b"y" * 8))
    assert client.receive().status == 413
    server.until(lambda: caught)
    server.until(lambda: not server.server.application._apart._tasks)
    assert caught == ["The body is larger than 10 bytes."]
    assert "failed" not in caplog.text


def test_a_body_that_turns_out_too_large_within_the_answer(host) -> None:
    """An answer that is on its way cannot become another one: it is cut short."""

    def app(environ, start_response):
        write = start_response("200 OK", PLAIN)
        write(b"begun")
        return [environ["wsgi.input"].read()]

    server, recorder = host(app, max_body=10)
    client = server.connect()
    client.send(make_request("/", "Transfer-Encoding: chunked", method="POST"))
    client.send(chunked(b"x" * 8, b"y" * 8)[:-5])
    with pytest.raises(h11.RemoteProtocolError):
        client.receive()
    assert isinstance(recorder.errors[0], OSError)


@pytest.mark.parametrize("late", [False, True])
def test_a_client_that_goes_away_within_its_body(host, caplog, late) -> None:
    """Files that cannot be read raise an OSError; Django, for one, counts on that."""
    go_on, caught = threading.Event(), []

    def app(environ, start_response):
        assert go_on.wait(10)
        try:
            environ["wsgi.input"].read()
        except Exception as error:
            caught.append(error)
            raise

    server, recorder = host(app)
    client = server.connect()
    client.send(make_request("/", "Content-Length: 6", method="POST") + b"abc")
    server.until(lambda: recorder.environs)
    if not late:
        go_on.set()
    client.reset()
    server.until(lambda: server.server.counters.requests_in_flight == 0)
    go_on.set()
    server.until(lambda: caught)
    assert isinstance(caught[0], OSError)
    assert "failed" not in caplog.text


# --- mistakes ------------------------------------------------------------------------------


def starting(*arguments: Any, body: Any = (b"x",)):
    def app(environ, start_response):
        start_response(*arguments)
        return body

    return app


@pytest.mark.parametrize(
    "app",
    [
        lambda environ, start_response: [b"no head"],
        lambda environ, start_response: iter([b"no head"]),
        lambda environ, start_response: 1 / 0,
        starting("nothing", []),
        starting("2000 OK", []),
        starting("99", []),
        starting("200 OK", [("a b", "x")]),
        starting("200 OK", [("a", "x\r\ny: z")]),
        starting("200 OK", [("a", "\u20ac")]),
        starting("200 OK", [("content-length", "5")]),
        starting("200 OK", [], body=["text"]),
        starting("200 OK", [], body={"text": 1}.keys()),
        starting("200 OK", [], body=None),
    ],
)
def test_mistakes_are_answered_500(host, app, caplog) -> None:
    server, _ = host(app)
    client = server.connect()
    for _ in range(2):
        answer = client.get()
        assert answer.status == 500
        assert b"request id" in answer.body


def test_a_system_exit_is_the_failure_of_one_request(host, caplog) -> None:
    """Threads of other servers survive sys.exit(), too: views call argparse, or commands."""

    def app(environ, start_response):
        raise SystemExit(3)

    server, _ = host(app)
    client = server.connect()
    for _ in range(2):
        assert client.get().status == 500
    assert "SystemExit: 3" in caplog.text


def test_start_response_twice(host) -> None:
    def twice(environ, start_response):
        start_response("200 OK", PLAIN)
        start_response("200 OK", PLAIN)
        return [b"x"]

    server, _ = host(twice)
    assert server.connect().get().status == 500


def test_start_response_again_with_an_error(host) -> None:
    def app(environ, start_response):
        start_response("200 OK", PLAIN)
        try:
            1 / 0  # noqa: B018
        except ZeroDivisionError:
            start_response("503 Busy", PLAIN, sys.exc_info())
        return [b"busy"]

    server, _ = host(app)
    answer = server.connect().get()
    assert (answer.status, answer.body) == (503, b"busy")


def test_an_error_within_the_answer_cuts_it_short(host, caplog) -> None:
    def app(environ, start_response):
        write = start_response("200 OK", PLAIN)
        write(b"a")
        try:
            1 / 0  # noqa: B018
        except ZeroDivisionError:
            start_response("500 Oops", [], sys.exc_info())
        return []

    server, recorder = host(app)
    client = server.connect()
    client.send(make_request())
    with pytest.raises(h11.RemoteProtocolError):
        client.receive()
    assert isinstance(recorder.errors[0], ZeroDivisionError)


# --- files ---------------------------------------------------------------------------------


@pytest.mark.parametrize("real", [True, False])
@pytest.mark.parametrize("position", [0, 4])
def test_the_file_wrapper(host, tmp_path, real, position) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content" * 100_000)
    opened = []

    def app(environ, start_response):
        file = path.open("rb") if real else io.BytesIO(path.read_bytes())
        file.seek(position)
        opened.append(file)
        start_response("200 OK", PLAIN)
        return environ["wsgi.file_wrapper"](file, 8192)

    server, _ = host(app)
    client = server.connect()
    for _ in range(2):
        answer = client.get()
        assert answer.body == path.read_bytes()[position:]
        assert (answer.get("content-length") is not None) == real
    server.until(lambda: all(file.closed for file in opened))


@pytest.mark.parametrize("real", [True, False])
@pytest.mark.parametrize("size", [0, 5, 8])
def test_the_file_wrapper_ends_with_the_content_length(host, tmp_path, real, size) -> None:
    """PEP 3333: "until the end is reached, or until Content-Length bytes have been written"."""
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")

    def app(environ, start_response):
        file = path.open("rb") if real else io.BytesIO(path.read_bytes())
        file.seek(2)
        start_response("206 Partial Content", [("Content-Length", str(size))])
        return environ["wsgi.file_wrapper"](file, 4)

    server, _ = host(app)
    client = server.connect()
    for _ in range(2):
        answer = client.get()
        assert answer.body == b"23456789"[:size]
        assert answer["content-length"] == str(size)


@pytest.mark.parametrize("module", [gzip, bz2, lzma])
def test_the_file_wrapper_sends_what_is_read(host, tmp_path, module) -> None:
    """Files that decode have a descriptor, too: that of the file they read."""
    path = tmp_path / "file"
    path.write_bytes(module.compress(b"content"))

    def app(environ, start_response):
        start_response("200 OK", PLAIN)
        return environ["wsgi.file_wrapper"](module.open(path, "rb"))

    server, _ = host(app)
    assert server.connect().get().body == b"content"


@pytest.mark.parametrize("layer", ["raw", "temporary", "of a framework"])
def test_the_file_wrapper_knows_files_in_other_clothes(host, tmp_path, layer) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")

    class File:
        """As Django has it."""

        def __init__(self, file) -> None:
            self.file = file
            self.read, self.fileno, self.tell = file.read, file.fileno, file.tell

    def app(environ, start_response):
        start_response("200 OK", PLAIN)
        if layer == "raw":
            file = path.open("rb", buffering=0)
        elif layer == "temporary":
            file = tempfile.NamedTemporaryFile()  # noqa: SIM115 - the server closes it
            file.write(b"content")
            file.seek(0)
        else:
            file = File(path.open("rb"))
        files.append(file)
        return environ["wsgi.file_wrapper"](file)

    files = []
    server, _ = host(app)
    answer = server.connect().get()
    assert (answer.body, answer["content-length"]) == (b"content", "7")
    getattr(files[0], "file", files[0]).close()


def test_a_wrapper_of_something_that_cannot_be_closed(host) -> None:
    class Reads:
        data = b"once"

        def read(self, size: int) -> bytes:
            data, self.data = self.data, b""
            return data

    def app(environ, start_response):
        start_response("200 OK", PLAIN)
        return environ["wsgi.file_wrapper"](Reads())

    server, _ = host(app)
    assert server.connect().get().body == b"once"


# --- threads -------------------------------------------------------------------------------


def test_as_many_threads_as_there_may_be(host) -> None:
    barrier = threading.Barrier(3)

    def app(environ, start_response):
        barrier.wait(10)
        start_response("200 OK", PLAIN)
        return [b"together"]

    server, _ = host(app, threads=3)
    clients = [server.connect() for _ in range(3)]
    for client in clients:
        client.send(make_request())
    assert [client.receive().body for client in clients] == [b"together"] * 3


def test_the_client_that_a_proxy_names_has_an_address_and_no_port(host) -> None:
    server, recorder = host(hello, proxy_headers=True)
    server.connect().get("/", "X-Forwarded-For: 203.0.113.7", "X-Forwarded-Proto: https")
    environ = recorder.environs[0]
    assert environ["REMOTE_ADDR"] == "203.0.113.7"
    assert "REMOTE_PORT" not in environ
    assert environ["wsgi.url_scheme"] == "https"


@pytest.mark.parametrize(("scheme", "port"), [("http", "80"), ("https", "443")])
def test_a_unix_socket(host, tmp_path, scheme, port) -> None:
    """PEP 3333: SERVER_PORT is never empty; where there is none it is that of the scheme."""
    path = str(tmp_path / "socket")
    server, recorder = host(hello, unix=path, proxy_headers=True)
    server.connect().get("/", f"X-Forwarded-Proto: {scheme}")
    environ = recorder.environs[0]
    assert environ["REMOTE_ADDR"] == ""
    assert "REMOTE_PORT" not in environ
    assert environ["wsgi.url_scheme"] == scheme
    assert environ["SERVER_PORT"] == port
    assert environ["SERVER_NAME"] == environ["HTTP_HOST"].partition(":")[0]
