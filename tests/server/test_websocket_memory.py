"""What an idle WebSocket costs a server process, ten thousand of them open (RFC 7692 §7.1.1).

The figures of docs/websocket.md come from here.
"""

import resource
import zlib
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from httpkit.types import Address
from tests.frames import TEXT, frame

from .test_websocket import Socket
from .wire import Client

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

COUNT = 10_000
APPLICATION = """
from httpkit import App, DeflateOptions

app = App()

async def echo(ws):
    await ws.accept()
    async for message in ws:
        await ws.send(message, compress=True)

app.websocket("/")(echo)
app.websocket("/contexts", compression=DeflateOptions(
    server_context_takeover=True, client_context_takeover=True
))(echo)
"""
OFFER = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
MESSAGE = b'{"kind": "message", "text": "as they come and go in a chat"}' * 40


def resident(process: Any) -> int:
    """Resident memory in bytes."""
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("the process has ended")


def open_and_use(address: Address, target: str, *, compressed: bool) -> Client:
    """A WebSocket that has sent and received a message, and is idle then."""
    client = Client(address)
    ws = Socket(client, *[OFFER] * compressed, target=target)
    first = TEXT
    data = MESSAGE
    if compressed:
        first |= 0x40
        compressor = zlib.compressobj(wbits=-15)
        data = (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]
    ws.send(frame(first, data))
    answered, _ = ws.receive()
    assert answered == first
    return client


@pytest.fixture
def many_descriptors():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    if before[1] != resource.RLIM_INFINITY and before[1] < COUNT + 100:
        pytest.skip(f"this system allows {before[1]} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (COUNT + 100, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize(
    ("target", "compressed", "limit"),
    [("/", False, 17_000), ("/", True, 18_000), ("/contexts", True, 90_000)],
    ids=["uncompressed", "no contexts", "contexts"],
)
def test_ten_thousand_idle_ones(
    start_httpkit, tmp_path, many_descriptors, record_property, target, compressed, limit
) -> None:
    (tmp_path / "site_of_idle_ones.py").write_text(APPLICATION)
    process = start_httpkit(
        *("run", "site_of_idle_ones:app", "--app-dir", str(tmp_path), "--port", "0"),
        *("--no-access-log", "--max-connections", str(COUNT + 100)),
    )
    host, _, port = process.wait_for_url().removeprefix("http://").rpartition(":")
    address = Address(host, int(port))
    with ExitStack() as stack:
        for _ in range(50):
            stack.enter_context(open_and_use(address, target, compressed=compressed))
        before = resident(process)
        for _ in range(COUNT):
            stack.enter_context(open_and_use(address, target, compressed=compressed))
        each = (resident(process) - before) / COUNT
    record_property("bytes for each", round(each))
    assert each < limit
    assert process.stop() == 0
