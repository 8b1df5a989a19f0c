"""What attacks cost a server process in memory, with peers that never read (RFC 9113 §10.5)."""

import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from httpkit.types import Address
from tests.server.wire import Client

from . import frames
from .client import HTTP2Client
from .test_abuse import BOMBS, FLOODS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

APPLICATION = """
import asyncio
from httpkit import App

app = App()

@app.get("/")
async def index(request):
    return "Hello"

@app.get("/large")
async def large(request):
    return "a" * 1_000_000

@app.post("/count")
async def count(request):
    return str(sum([len(chunk) async for chunk in request.stream()]))

@app.get("/endless/{size:int}")
async def endless(request, size: int):
    for _ in range(size // 65_536):
        yield b"a" * 65_536

@app.route("/wait", methods=["GET", "POST"])
async def wait(request):
    await asyncio.Event().wait()
"""
PEERS = 20
LIMIT = 80_000_000


def resident(process: Any) -> int:
    """Resident memory in bytes."""
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("the process has ended")


@pytest.fixture(params=["native", "reference"])
def served(request, start_httpkit, tmp_path):
    """A server process, and its address."""
    (tmp_path / "attacked.py").write_text(APPLICATION)
    process = start_httpkit(
        *("run", "attacked:app", "--app-dir", str(tmp_path), "--port", "0"),
        *("--no-access-log", "--http2", request.param, "--max-body", "off"),
    )
    host, _, port = process.wait_for_url().removeprefix("http://").rpartition(":")
    address = Address(host, int(port))
    warm_up(address)
    return process, address


def warm_up(address: Address) -> None:
    with Client(address) as socket:
        client = HTTP2Client(socket)
        for _ in range(100):
            assert client.get().status == 200
        assert len(client.get("/large").body) == 1_000_000


def attack(address: Address, sent: bytes) -> Client:
    """Send and never read; what the server does not take is left out."""
    socket = Client(address, receive_buffer=4096)
    client = HTTP2Client(socket, credit=False, acknowledge=False)
    socket.socket.settimeout(1)
    try:
        client.send(frames.request("/wait", stream=1))
        client.send(sent)
    except TimeoutError:
        pass
    return socket


def test_floods_and_bombs(served) -> None:
    """Twenty peers for each of them, one kind after the other; what they leave is not theirs."""
    process, address = served
    before = resident(process)
    bombs = {name: frames.headers(block, stream=3) for name, block in BOMBS.items()}
    for name, sent in (FLOODS | bombs).items():
        with ExitStack() as stack:
            for _ in range(PEERS):
                stack.enter_context(attack(address, sent))
            with Client(address) as bystander:
                assert HTTP2Client(bystander).get().status == 200, name
            grown = resident(process) - before
            assert grown < LIMIT, f"{name}: {grown / 1e6:.0f} MB"


def test_answers_that_nobody_takes(served) -> None:
    """A hundred streams on each of twenty connections, a megabyte for each, windows wide open.

    What one answer holds is its application's; what waits for the socket is bounded.
    """
    process, address = served
    before = resident(process)
    wide = frames.settings((frames.INITIAL_WINDOW_SIZE, 2**31 - 1)) + frames.window_update(2**30)
    requests = b"".join(frames.request("/", stream=n) for n in range(1, 201, 2))
    with ExitStack() as stack:
        for _ in range(PEERS):
            socket = stack.enter_context(Client(address, receive_buffer=4096))
            socket.send(frames.PREFACE + wide + requests)
        with Client(address) as bystander:
            assert HTTP2Client(bystander).get().status == 200
        grown = resident(process) - before
        assert grown < LIMIT, f"{grown / 1e6:.0f} MB"


GIBIBYTE = 1 << 30


@pytest.mark.system
def test_a_gibibyte_in_both_directions(served) -> None:
    """Windows hold back what nobody takes: neither an upload nor a download is kept anywhere."""
    process, address = served
    before = resident(process)
    curl = "curl --silent --show-error --fail --http2-prior-knowledge"
    url = f"http://{address}"
    upload = f"head --bytes {GIBIBYTE} /dev/zero | {curl} --upload-file - -X POST {url}/count"
    assert run(upload) == str(GIBIBYTE)
    assert run(f"{curl} {url}/endless/{GIBIBYTE} | wc --bytes").strip() == str(GIBIBYTE)
    grown = resident(process) - before
    assert grown < 16_000_000, f"{grown / 1e6:.0f} MB"


def run(command: str) -> str:
    """The output of a pipeline of the shell."""
    done = subprocess.run(command, shell=True, check=True, capture_output=True, text=True)
    return done.stdout
