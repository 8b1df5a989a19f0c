"""Uploads through a socket: threads for the disk, backpressure, cancellation."""

import asyncio
import gc
import gzip
import tempfile
import threading
import weakref
import zlib

import pytest

from httpkit import App, FormLimits, HTTPError
from httpkit.forms import form as form_module
from httpkit.response import Response
from httpkit.server.blocking import run_blocking

from .wire import make_request

BOUNDARY = "b"
TYPE = f"Content-Type: multipart/form-data; boundary={BOUNDARY}"
HEAD = b'--b\r\nContent-Disposition: form-data; name="f"; filename="x"\r\n\r\n'
END = b"\r\n--b--\r\n"
SPOOL = FormLimits(spool_size=1000)


class Gate:
    """A slow disk: whoever comes waits until it is opened."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()
        self.threads: set[str] = set()

    def pass_through(self) -> None:
        self.threads.add(threading.current_thread().name)
        self.reached.set()
        assert self.opened.wait(10)


@pytest.fixture
def gate(monkeypatch):
    gate = Gate()

    class Slow(tempfile.SpooledTemporaryFile):
        def write(self, data):
            if self.tell() + len(data) > 1000:
                gate.pass_through()
            return super().write(data)

    monkeypatch.setattr(form_module, "SpooledTemporaryFile", Slow)
    yield gate
    gate.opened.set()


async def take_form(request):
    if request.method == "GET":
        return Response("quick")
    form = await request.form(SPOOL)
    content = await form.files["f"].read()
    form.close()
    return Response(str(len(content)))


def test_cve_2025_54121_a_slow_disk_holds_nobody_else_up(live, gate):
    server = live(take_form)
    slow, quick = server.connect(), server.connect()
    slow.request("/", TYPE, method="POST", body=HEAD + b"x" * 50_000 + END)
    assert gate.reached.wait(10)
    for _ in range(3):
        assert quick.get().body == b"quick"
    gate.opened.set()
    assert slow.receive().body == b"50000"
    assert "server" not in gate.threads


def test_a_small_upload_is_read_without_a_thread(live, gate):
    client = live(take_form).connect()
    client.request("/", TYPE, method="POST", body=HEAD + b"x" * 1000 + END)
    assert client.receive().body == b"1000"
    assert not gate.reached.is_set()


def test_a_client_that_leaves_while_the_disk_is_busy(live, gate):
    """The spool is closed when the thread is through with it, and not before."""
    made = []

    async def handler(request):
        try:
            return await take_form(request)
        finally:
            made.append("ended")

    server = live(handler)
    client = server.connect()
    client.request("/", TYPE, method="POST", body=HEAD + b"x" * 50_000 + END)
    assert gate.reached.wait(10)
    client.reset()
    server.until(lambda: server.connection() is None)
    assert made == []
    gate.opened.set()
    server.until(lambda: made)


def test_parts_slow_the_client_down(live):
    """A part that nobody reads is not read from the socket either, beyond the buffers."""
    seen = []
    go_on = threading.Event()

    async def handler(request):
        async for part in request.multipart():
            async for chunk in part:
                seen.append(len(chunk))
                await asyncio.to_thread(go_on.wait, 10)
        return Response(str(sum(seen)))

    server = live(handler, max_body=None)
    client = server.connect(send_buffer=65_536)
    size = 20_000_000
    body = HEAD + b"x" * size + END
    client.send(make_request("/", TYPE, f"Content-Length: {len(body)}", method="POST"))
    sent = client.fill(body, server.reading_is_paused)
    assert sent < size
    assert len(seen) == 1
    go_on.set()
    client.send(body[sent:])
    assert client.receive().body == str(size).encode()


@pytest.mark.parametrize("early", [False, True])
def test_a_handler_need_not_read_every_part(live, early):
    async def handler(request):
        async for part in request.multipart():
            if early:
                raise HTTPError(403, f"No {part.name}.")
        return Response("skipped")

    client = live(handler).connect()
    for _ in range(2):
        client.request("/", TYPE, method="POST", body=HEAD + b"x" * 100_000 + END)
        assert client.receive().status == (403 if early else 200)


# --- run_blocking --------------------------------------------------------------------------------


def test_a_blocking_call_gives_its_value_or_its_exception():
    async def check():
        assert await run_blocking(divmod, 7, 2) == (3, 1)
        with pytest.raises(ZeroDivisionError):
            await run_blocking(divmod, 1, 0)

    asyncio.run(check())


@pytest.mark.parametrize("fails", [False, True])
def test_a_cancellation_waits_for_the_call(fails):
    started, go_on, through = threading.Event(), threading.Event(), threading.Event()

    def slow():
        started.set()
        go_on.wait(10)
        through.set()
        if fails:
            raise OSError("nobody wants to know")

    async def check():
        task = asyncio.create_task(run_blocking(slow))
        await asyncio.to_thread(started.wait, 10)
        for _ in range(2):
            task.cancel()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert not task.done()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert through.is_set()

    asyncio.run(check())


def test_what_a_cancelled_call_gave_is_not_left_to_the_garbage_collector():
    """Clients that reset at once left a file open each, until the collector came by."""
    started, go_on, given = threading.Event(), threading.Event(), []

    class OpenFile:
        pass

    def open_slowly():
        started.set()
        go_on.wait(10)
        file = OpenFile()
        given.append(weakref.ref(file))
        return file

    async def check():
        task = asyncio.create_task(run_blocking(open_slowly))
        await asyncio.to_thread(started.wait, 10)
        task.cancel()
        await asyncio.sleep(0)
        go_on.set()
        await asyncio.wait([task])
        assert task.cancelled()

    gc.disable()
    try:
        asyncio.run(check())
        assert given[0]() is None
    finally:
        gc.enable()


def test_a_call_that_an_executor_gives_up_is_cancelled():
    async def check():
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        loop.run_in_executor = lambda *args: future
        task = asyncio.create_task(run_blocking(print))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        future.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(check())


# --- bodies with a content coding ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "coding", "status"),
    [
        (gzip.compress(b"x" * 100_000), "gzip", 200),
        (zlib.compress(b"x" * 100_000), "deflate", 200),
        (gzip.compress(bytes(50_000_000)), "gzip", 413),
        (gzip.compress(b"x" * 100_000)[:-1], "gzip", 400),
        (b"x", "br", 415),
    ],
    ids=["gzip", "deflate", "bomb", "cut short", "unknown"],
)
def test_a_body_with_a_content_coding(live, body, coding, status):
    app = App()

    @app.post("/", max_body=100_000)
    async def handler(request):
        request.decode_body()
        return str(len(await request.body()))

    client = live(app).connect()
    client.request("/", f"Content-Encoding: {coding}", method="POST", body=body)
    answer = client.receive()
    assert answer.status == status
    assert answer.get("accept-encoding") == ("gzip, deflate" if status == 415 else None)
    if status == 200:
        assert answer.body == b"100000"
