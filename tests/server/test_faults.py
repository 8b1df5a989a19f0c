"""What a hostile or unlucky world does to a server process, for real and for long."""

import contextlib
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from httpkit.types import Address

from .wire import Client, eventually, make_request

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

APPLICATION = """
from httpkit import App, Response

app = App()

@app.get("/")
async def index(request):
    return "Hello"

@app.post("/upload")
async def upload(request):
    return str(len(await request.body()))

@app.get("/download")
async def download(request):
    async def chunks():
        for _ in range(1000):
            yield b"x" * 10_000
    return Response(chunks())
"""


class Served:
    """A server process."""

    def __init__(self, process: Any, address: Address) -> None:
        self.process = process
        self.address = address

    @property
    def resident(self) -> int:
        """Its resident memory in bytes."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("the process has ended")

    @property
    def descriptors(self) -> int:
        """How many it has open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def connect(self) -> Client:
        return Client(self.address)


@pytest.fixture
def serve(start_httpkit: Any, tmp_path: Path) -> Callable[..., Served]:
    """Start `httpkit run` with the application above."""
    (tmp_path / "faulty.py").write_text(APPLICATION)

    def start(*arguments: str, **options: Any) -> Served:
        process = start_httpkit(
            *("run", "faulty:app", "--app-dir", str(tmp_path), "--port", "0"),
            *("--no-access-log", *arguments),
            **options,
        )
        host, _, port = process.wait_for_url().removeprefix("http://").rpartition(":")
        return Served(process, Address(host, int(port)))

    return start


# --- descriptors ---------------------------------------------------------------------------------


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_more_clients_than_descriptors(serve, loop) -> None:
    """Those that do not fit wait in the kernel's queue and are served later; one line says so."""
    limit = 64
    served = serve(
        *("--loop", loop),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit)),
    )
    clients = [served.connect() for _ in range(3 * limit)]
    for client in clients:
        client.request()
    served.process.wait_for(lambda: "accepting paused" in served.process.errors, "the pause")
    waiting = list(clients)
    while waiting:  # whoever is served makes room for others
        ready = [client for client in waiting if answered(client)]
        for client in ready:
            assert client.receive().body == b"Hello"
            client.close()
            waiting.remove(client)
        assert len(ready) < limit
    eventually(lambda: served.descriptors < limit // 2, "descriptors that come back")
    with served.connect() as client:
        assert client.get().status == 200
    assert served.process.stop() == 0
    assert served.process.errors.count("accepting paused: Too many open files") == 1
    assert "Traceback" not in served.process.errors


def answered(client: Client) -> bool:
    """Whether an answer has begun to come."""
    client.socket.settimeout(0.01)
    try:
        client.leftover += client.socket.recv(1)
    except TimeoutError:
        return False
    finally:
        client.socket.settimeout(10)
    return True


# --- slow peers ----------------------------------------------------------------------------------

SLOW_PEERS = 1_000
REQUESTS = 3_000
#: A busy machine may spoil a measurement, not each of so many.
TRIES = 6


@contextlib.contextmanager
def slow_peers(served: Served) -> Iterator[None]:
    """A process with a thousand connections that drip."""
    program = Path(__file__).with_name("dripping.py")
    dripping = subprocess.Popen(
        [sys.executable, program, str(served.address.port), str(SLOW_PEERS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert dripping.stdout is not None
        assert dripping.stdout.readline() == b"ready\n"
        yield
        assert dripping.poll() is None
    finally:
        dripping.kill()
        dripping.communicate()


def p99(served: Served) -> float:
    """The latency in seconds that 99 of 100 requests of one client stay below."""
    request = make_request()
    times = []
    with served.connect() as client:
        for _ in range(REQUESTS):
            began = time.perf_counter()
            client.send(request)
            client.receive_until(b"Hello")
            times.append(time.perf_counter() - began)
    return sorted(times)[REQUESTS * 99 // 100]


def test_slow_peers_do_not_slow_down_others(serve) -> None:
    """Slowloris, R.U.D.Y. and slow reads, a thousand at once: CVE-2007-6750 and its kind."""
    served = serve()
    wait_for = served.process.wait_for
    ratios = []
    for _ in range(TRIES):
        quiet = p99(served)
        with slow_peers(served):
            wait_for(lambda: served.descriptors > SLOW_PEERS * 9 // 10, "slow peers")
            ratios.append(p99(served) / quiet)
            assert served.descriptors > SLOW_PEERS * 9 // 10
        if ratios[-1] < 2:
            break
        wait_for(lambda: served.descriptors < SLOW_PEERS // 10, "the end of the slow peers")
    assert min(ratios) < 2, ratios
    assert served.process.stop() == 0
    assert "Traceback" not in served.process.errors


# --- a long life ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("parser", "number"), [("native", 1_000_000), ("reference", 100_000)])
def test_a_million_requests_on_one_connection(serve, parser, number) -> None:
    """A byte that is kept for each request would be found."""
    batch = 200
    served = serve("--http1", parser)
    with served.connect() as client:
        size = len(exchange(client, make_request()))

        def send(number: int) -> int:
            for _ in range(number // batch):
                client.send(make_request() * batch)
                assert client.receive_exactly(size * batch).endswith(b"\r\n\r\nHello")
            return served.resident

        before = send(number // 10)
        after = send(number)
    assert after - before < number
    assert served.process.stop() == 0


def exchange(client: Client, request: bytes) -> bytes:
    client.send(request)
    return client.receive_until(b"Hello")
