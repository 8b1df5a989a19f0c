"""The cases of the Autobahn test suite, run by kosoku against an echo: all strictly passed."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, nullcontext, suppress
from typing import Any

import kosoku
import pytest

from httpkit import App, DeflateOptions, serve
from tests.echoing import echo

from .certificates import Authority
from .live import run
from .tls import HOST, options

#: What the runner of the cases gets wrong itself in some of 12 and 13: they are JSON, read as text.
BROKEN_CASE = "Strings must be encoded before hashing"

# The runner leaves the files of its cases to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")

#: By what they are about; those of 9 and 12 move megabytes.
QUICK = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.7.1", "9.8.1", "10.*"]
COMPRESSION = ["12.1.4", "12.2.4", "12.3.4", "12.4.4", "13.1.4", "13.3.4", "13.5.4", "13.7.4"]


#: Some cases wait for a second or two, and others may run meanwhile.
CONCURRENCY = 10
#: How often a case is run that fails: the runner hangs up after half a second, in which a busy
#: machine may have other things to do. What is wrong is wrong each time.
ATTEMPTS = 4

#: What the usual compression leaves out, and what uses most of zlib.
CONTEXTS = DeflateOptions(
    server_context_takeover=True, client_context_takeover=True, server_max_window_bits=15
)


@asynccontextmanager
async def tls_in_front(port: int, context: ssl.SSLContext) -> AsyncIterator[int]:
    """A plain port that leads to one with TLS, which the runner of the cases does not speak."""

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        near, far = await asyncio.open_connection(
            "127.0.0.1", port, ssl=context, server_hostname=HOST
        )
        await asyncio.gather(copy(reader, far), copy(near, writer))

    async with await asyncio.start_server(relay, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def run_cases(
    cases: list[str],
    *,
    compression: bool | DeflateOptions = True,
    authority: Authority | None = None,
) -> list:
    """The results of an echo, over TLS with an authority."""
    app = App(websocket_compression=compression)
    app.websocket("/")(echo)
    tls = {} if authority is None else options(authority)
    async with serve(app, port=0, access_log=False, **tls) as server:
        port = server.addresses[0].port
        way = nullcontext(port)
        if authority is not None:
            way = tls_in_front(port, authority.client_context())
        async with way as port:
            results = await ask(port, cases, CONCURRENCY)
            for _ in range(1, ATTEMPTS):
                if again := list(failures(results.values())):
                    results |= await ask(port, again, 1)
    return list(results.values())


async def ask(port: int, cases: list[str], concurrency: int) -> dict[str, Any]:
    """The results by the number of their case."""
    try:
        results = await kosoku.run_fuzzingclient(
            f"ws://127.0.0.1:{port}/", cases=cases, concurrency=concurrency
        )
    except kosoku.FailureError as error:
        results = error.results
    return {result.case_id: result for result in results}


def failures(results: Iterable[Any]) -> dict[str, tuple[str, str, str]]:
    return {
        result.case_id: (result.behavior.value, result.behavior_close.value, result.result)
        for result in results
        if result.result != BROKEN_CASE
        and not {result.behavior.value, result.behavior_close.value} <= {"OK", "INFORMATIONAL"}
    }


def check(results: list) -> None:
    assert not failures(results)


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.timeout(180)
def test_framing_text_and_closing(loop) -> None:
    results = run(run_cases(QUICK), loop)
    assert len(results) > 240
    check(results)


@pytest.mark.parametrize("compression", [True, CONTEXTS], ids=["no contexts", "contexts"])
@pytest.mark.timeout(180)
def test_compression(compression) -> None:
    results = run(run_cases(COMPRESSION, compression=compression), "uvloop")
    assert len(results) == len(COMPRESSION)
    assert BROKEN_CASE not in {result.result for result in results}
    check(results)


@pytest.mark.timeout(180)
def test_the_same_over_tls(tmp_path) -> None:
    results = run(
        run_cases([*QUICK, COMPRESSION[-1]], compression=CONTEXTS, authority=Authority(tmp_path)),
        "uvloop",
    )
    assert len(results) > 240
    check(results)
