"""The access log: its formats, what cannot be forged, and a writer that cannot keep up."""

import asyncio
import contextlib
import io
import json
import os
import re
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from httpkit.request import Request, RequestHead
from httpkit.response import Response
from httpkit.server.access_log import (
    _BATCH,
    AccessLog,
    Ended,
    escape,
    format_combined,
    format_common,
    format_json,
)
from httpkit.server.log_writer import DirectWriter, ThreadWriter, open_writer

from .wire import eventually, make_request

STAMP = "06/Nov/1994:08:49:37 +0000"
ENDED = Ended(784111777.25, STAMP, "192.0.2.1", 200, 5, 1.234)


def exchange(target=b"/a?b", **headers):
    """What the log asks of an exchange."""
    fields = tuple((name.replace("_", "-").encode(), v.encode()) for name, v in headers.items())
    request = Request.of(None, RequestHead("GET", target, b"", fields))
    return SimpleNamespace(
        request=request,
        request_id="ab-1-1",
        response=Response("Hello"),
        body_sent=5,
        started=0.0,
        origin=None,
        connection=SimpleNamespace(peer=None),
    )


# --- formats -------------------------------------------------------------------------------------


def test_common() -> None:
    assert format_common(exchange(), ENDED) == (
        '192.0.2.1 - - [06/Nov/1994:08:49:37 +0000] "GET /a?b HTTP/1.1" 200 5 1.2 ab-1-1\n'
    )


def test_combined() -> None:
    assert format_combined(exchange(referer="http://a/", user_agent="curl/8"), ENDED) == (
        '192.0.2.1 - - [06/Nov/1994:08:49:37 +0000] "GET /a?b HTTP/1.1" 200 5 '
        '"http://a/" "curl/8" 1.2 ab-1-1\n'
    )


def test_combined_without_headers() -> None:
    assert ' 5 "-" "-" 1.2 ab-1-1\n' in format_combined(exchange(), ENDED)


@pytest.mark.parametrize(
    ("ms", "shown"), [(0, "0.0"), (0.05, "0.1"), (99.94, "99.9"), (1e5, "100000.0")]
)
def test_milliseconds(ms, shown) -> None:
    assert f" {shown} ab-1-1" in format_common(exchange(), replace(ENDED, ms=ms))


def test_json() -> None:
    line = format_json(exchange(referer="http://a/", user_agent="curl/8"), ENDED)
    assert line.endswith("}\n")
    assert json.loads(line) == {
        "time": 784111777.25,
        "client": "192.0.2.1",
        "method": "GET",
        "target": "/a?b",
        "protocol": "HTTP/1.1",
        "status": 200,
        "bytes": 5,
        "ms": 1.234,
        "id": "ab-1-1",
        "referer": "http://a/",
        "user_agent": "curl/8",
    }


def test_json_is_ascii() -> None:
    """Some encodings lack the rest, and NEL and CSI are more than text for a reader."""
    agent = "Jörg \x85 \x9b2J \u2028"
    line = format_json(exchange(user_agent=agent), replace(ENDED, client="/run/\U0001f600"))
    assert line.isascii()
    assert len(line.splitlines()) == 1
    assert json.loads(line)["user_agent"] == agent.encode().decode("latin-1")
    assert json.loads(line)["client"] == "/run/\U0001f600"


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("plain text", "plain text"),
        ('a"b', r"a\x22b"),
        ("a\\b", r"a\x5cb"),
        ("a\r\nb", r"a\x0d\x0ab"),
        ("\x1b[31m", r"\x1b[31m"),
        ("\x7f", r"\x7f"),
        ("ä", r"\xe4"),
        ("\udcff", r"\xdcff"),
    ],
)
def test_escape(text, escaped) -> None:
    assert escape(text) == escaped


EVIL = 'a" 200 5\n192.0.2.9 - - [x] "GET /forged HTTP/1.1" 200 5 \x1b[2J\\'


@pytest.mark.parametrize("form", [format_common, format_combined, format_json])
def test_lines_cannot_be_forged(form) -> None:
    line = form(exchange(EVIL.encode(), referer=EVIL, user_agent=EVIL), replace(ENDED, client=EVIL))
    assert line.count("\n") == 1
    assert "\x1b" not in line
    if form is format_json:
        assert json.loads(line)["user_agent"] == EVIL
    else:
        quotes = 2 if form is format_common else 6
        assert line.count('"') == quotes
        assert line.split(" - - [")[0].count(" ") == 0


# --- a server's log ------------------------------------------------------------------------------


def lines_of(path) -> list[str]:
    return path.read_text().splitlines()


@pytest.fixture
def logging(live, tmp_path):
    """Starts a server with a log; `lines()` stops it and gives what was written."""
    path = tmp_path / "access.log"

    def start(handler=None, **options):
        return live(handler, access_log=True, access_log_file=str(path), **options)

    def lines(server) -> list[str]:
        server.begin_stop().result(10)
        return lines_of(path)

    return start, lines


COMMON = re.compile(
    r'127\.0\.0\.1 - - \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "(.*)" (\d+ \d+) '
    r"(\d+\.\d) [0-9a-f]{4}-[0-9a-f]+-[0-9a-f]+"
)


def test_a_line_for_every_request(logging) -> None:
    async def stream():
        yield b"12345"
        yield b"67890"

    def handler(request):
        server.clock.now += 1.5
        if request.path == "/fail":
            raise ValueError("broken")
        if request.path == "/stream":
            return Response(stream(), 201)
        return Response("Hello")

    start, lines = logging
    server = start(handler)
    client = server.connect()
    client.get("/")
    client.get("/stream")
    client.get("/fail")
    client.get("/", method="HEAD")
    client.request("/old", version="1.0")
    client.receive()
    found = [COMMON.fullmatch(line).groups() for line in lines(server)]
    assert [(request, what.split()[0]) for request, what, _ in found] == [
        ("GET / HTTP/1.1", "200"),
        ("GET /stream HTTP/1.1", "201"),
        ("GET /fail HTTP/1.1", "500"),
        ("HEAD / HTTP/1.1", "200"),
        ("GET /old HTTP/1.0", "200"),
    ]
    sizes = [what.split()[1] for _, what, _ in found]
    assert sizes[:2] == ["5", "10"]
    assert int(sizes[2]) > 20
    assert sizes[3:] == ["0", "5"]
    assert {ms for _, _, ms in found} == {"1500.0"}


def test_combined_and_json_know_the_headers(live, tmp_path) -> None:
    for style in ("combined", "json"):
        path = tmp_path / style
        server = live(access_log=True, access_log_file=str(path), access_log_format=style)
        client = server.connect()
        client.get("/", "Referer: http://a/", 'User-Agent: Evil "quote" \xe4')
        server.begin_stop().result(10)
        [line] = lines_of(path)
        if style == "combined":
            assert r' "http://a/" "Evil \x22quote\x22 \xe4" ' in line
        else:
            assert json.loads(line)["user_agent"] == 'Evil "quote" ä'
            assert abs(json.loads(line)["time"] - time.time()) < 60


def test_a_client_that_went_away(logging) -> None:
    async def handler(request):
        await asyncio.Event().wait()

    start, lines = logging
    server = start(handler)
    client = server.connect()
    client.request("/gone")
    server.until(lambda: server.requests)
    client.reset()
    server.until(lambda: server.server.counters.requests_in_flight == 0)
    [line] = lines(server)
    assert COMMON.fullmatch(line)[1] == "GET /gone HTTP/1.1"
    assert COMMON.fullmatch(line)[2] == "499 0"


def test_a_stream_that_was_cut_off_has_its_status(logging) -> None:
    async def stream():
        yield b"12345"
        await asyncio.Event().wait()

    start, lines = logging
    server = start(lambda request: Response(stream()))
    client = server.connect()
    client.request()
    client.receive_until(b"12345")
    client.reset()
    server.until(lambda: server.server.counters.requests_in_flight == 0)
    [line] = lines(server)
    assert COMMON.fullmatch(line)[2] == "200 5"


def test_a_request_that_the_engine_has_answered(logging) -> None:
    """A body that goes wrong while its handler reads: the log says what the client got."""

    async def handler(request):
        await request.body()

    start, lines = logging
    server = start(handler)
    client = server.connect()
    client.request("/", "Transfer-Encoding: chunked", method="POST")
    server.until(lambda: server.requests)
    client.send(b"nonsense\r\n")
    assert client.receive().status == 400
    client.close()
    server.until(lambda: server.server.counters.requests_in_flight == 0)
    [line] = lines(server)
    assert COMMON.fullmatch(line)[2] == "400 0"


def test_clients_of_a_unix_socket(logging, tmp_path) -> None:
    start, lines = logging
    server = start(unix=str(tmp_path / "socket"))
    server.connect().get()
    server.connect(bind=str(tmp_path / 'evil " client\n')).get()
    nameless, named = lines(server)
    assert nameless.startswith("- - - [")
    assert re.match(r"\S+/evil\\x20\\x22\\x20client\S+ - - \[", named)


def test_batches(logging, monkeypatch) -> None:
    """Lines are written when a batch is full, or by the next scan; whichever comes first."""
    monkeypatch.setattr("httpkit.server.server.reaper_interval", lambda limits: 1000.0)
    start, lines = logging
    server = start()
    client = server.connect()
    log = server.server.access_log
    path = Path(log._writer._stream.name)
    client.send(make_request() * (_BATCH - 1))
    for _ in range(_BATCH - 1):
        client.receive()
    assert server.call(lambda: len(log._lines)) == _BATCH - 1
    client.get()
    assert server.call(lambda: len(log._lines)) == 0
    eventually(lambda: len(lines_of(path)) == _BATCH, "the full batch")
    client.get()
    server.call(server.server._tick)
    eventually(lambda: len(lines_of(path)) == _BATCH + 1, "the flush")
    client.get()
    assert len(lines(server)) == _BATCH + 2  # the end of the server flushes


def test_appends(logging) -> None:
    start, lines = logging
    for i in range(1, 3):
        server = start()
        server.connect().get()
        assert len(lines(server)) == i


def test_standard_output(live, capsys) -> None:
    server = live(access_log=True)
    server.connect().get("/out")
    server.begin_stop().result(10)
    assert '"GET /out HTTP/1.1" 200 5' in capsys.readouterr().out


def test_a_program_without_standard_output(live, monkeypatch) -> None:
    monkeypatch.setattr("sys.stdout", None)
    assert live(access_log=True).server.access_log is None


def test_no_log(live, capsys) -> None:
    server = live(access_log=False)
    server.connect().get()
    server.begin_stop().result(10)
    assert capsys.readouterr().out == ""
    assert server.server.access_log is None


def test_the_date_is_renewed(logging) -> None:
    """By every scan of the reaper, whether there are lines or not."""
    start, lines = logging
    server = start()
    log = server.server.access_log
    log._wall = lambda: 784111777.0
    server.call(server.server._tick)
    server.connect().get()
    assert "/Nov/1994:" in lines(server)[0]


# --- writers that fail ---------------------------------------------------------------------------


class StuckStream(io.StringIO):
    """A pipe whose reader does not read."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = threading.Event()
        self.released = threading.Event()

    def write(self, text: str) -> int:
        self.entered.set()
        self.released.wait()
        return super().write(text)


def make_log(stream, **options) -> AccessLog:
    return AccessLog(stream, "common", lambda: 0.0, lambda: 784111777.0, **options)


def test_dates_do_not_depend_on_the_locale() -> None:
    stream = io.StringIO()
    log = make_log(stream)
    log.record(exchange())
    log.close()
    zone = time.strftime("%z", time.localtime(784111777))
    local = time.localtime(784111777)
    assert f"/Nov/1994:{local.tm_hour:02d}:49:37 {zone}]" in stream.getvalue()


def test_lines_are_dropped_and_counted_when_the_writer_is_stuck(monkeypatch, caplog) -> None:
    monkeypatch.setattr("httpkit.server.log_writer._MAX_WAITING", 2)
    stream = StuckStream()
    log = make_log(stream)

    def write(lines: int) -> None:
        for _ in range(lines):
            log.record(exchange())
        log.flush()

    write(1)
    assert stream.entered.wait(10)
    write(2)
    write(3)
    assert log.dropped == 0
    write(4)
    write(5)
    assert log.dropped == 9
    stream.released.set()
    log.close()
    assert stream.getvalue().count("\n") == 6
    assert "the access log lost 9 lines" in caplog.text


def test_a_stuck_writer_does_not_hold_up_the_end(monkeypatch) -> None:
    monkeypatch.setattr("httpkit.server.log_writer._LAST_WORDS", 0.01)
    monkeypatch.setattr("httpkit.server.log_writer._MAX_WAITING", 1)
    stream = StuckStream()
    log = make_log(stream, close_stream=True)
    for _ in range(3):
        log.record(exchange())
        log.flush()
        stream.entered.wait(10)
    log.close()
    assert log._writer._thread.is_alive()
    assert log.dropped == 1
    stream.released.set()
    # The queue was full, so the writer has not heard of the end: it waits for more, as a daemon.
    eventually(lambda: stream.getvalue().count("\n") == 2, "the last words")
    log.close()
    assert not log._writer._thread.is_alive()
    assert stream.closed


class BrokenStream(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_a_broken_pipe_is_counted(caplog) -> None:
    log = make_log(BrokenStream())
    for _ in range(3):
        log.record(exchange())
    log.close()
    assert log.dropped == 3
    assert "the access log lost 3 lines" in caplog.text


def test_a_closed_file_is_counted(tmp_path) -> None:
    stream = (tmp_path / "log").open("w")
    stream.close()
    log = make_log(stream)
    log.record(exchange())
    log.close()
    assert log.dropped == 1


def test_a_stream_of_somebody_else_stays_open() -> None:
    stream = io.StringIO()
    make_log(stream).close()
    assert not stream.closed
    own = io.StringIO()
    make_log(own, close_stream=True).close()
    assert own.closed


# --- which writer --------------------------------------------------------------------------------


def test_files_take_their_lines_at_once_and_pipes_do_not(tmp_path) -> None:
    read, write = os.pipe()
    with (
        (tmp_path / "log").open("w") as file,
        open(os.devnull, "w") as null,
        open(write, "w") as pipe,
        open("/dev/zero", "w") as device,
    ):
        kinds = {}
        for name, stream in {"file": file, "null": null, "pipe": pipe, "device": device}.items():
            writer = open_writer(stream, close_stream=False)
            kinds[name] = type(writer)
            writer.close()
    os.close(read)
    assert kinds == {
        "file": DirectWriter,
        "null": DirectWriter,
        "pipe": ThreadWriter,
        "device": ThreadWriter,
    }


def test_a_full_disk_is_counted(caplog) -> None:
    with open("/dev/full", "w") as full:
        writer = DirectWriter(full, close_stream=False)
        writer.write("one\ntwo\n")
        assert writer.dropped == 2
        with contextlib.suppress(OSError):
            full.close()


def test_a_pipe_is_written_by_a_thread() -> None:
    read, write = os.pipe()
    log = make_log(open(write, "w"), close_stream=True)  # noqa: SIM115 - the log closes it
    log.record(exchange())
    log.close()
    with open(read) as pipe:
        assert pipe.read().count("\n") == 1
