"""The cases of the Autobahn test suite, run by kosoku against an echo: all strictly passed."""

import kosoku
import pytest

from httpkit import App, WebSocket, serve

from .live import run

#: What the runner of the cases gets wrong itself in some of 12 and 13: they are JSON, read as text.
BROKEN_CASE = "Strings must be encoded before hashing"

# The runner leaves the files of its cases to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")

#: By what they are about; those of 9 and 12 move megabytes.
QUICK = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.7.1", "9.8.1", "10.*"]
COMPRESSION = ["12.1.4", "12.2.4", "12.3.4", "12.4.4", "13.1.4", "13.3.4", "13.5.4", "13.7.4"]


async def run_cases(cases: list[str]) -> list:
    app = App()

    @app.websocket("/")
    async def echo(ws: WebSocket) -> None:
        await ws.accept()
        async for message in ws:
            await ws.send(message)

    async with serve(app, port=0, access_log=False) as server:
        url = f"ws://127.0.0.1:{server.addresses[0].port}/"
        try:
            return await kosoku.run_fuzzingclient(url, cases=cases)
        except kosoku.FailureError as error:
            return error.results


def check(results: list) -> None:
    failed = {
        result.case_id: (result.behavior.value, result.behavior_close.value, result.result)
        for result in results
        if result.result != BROKEN_CASE
        and not {result.behavior.value, result.behavior_close.value} <= {"OK", "INFORMATIONAL"}
    }
    assert not failed


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.timeout(180)
def test_framing_text_and_closing(loop) -> None:
    results = run(run_cases(QUICK), loop)
    assert len(results) > 240
    check(results)


@pytest.mark.timeout(180)
def test_compression() -> None:
    results = run(run_cases(COMPRESSION), "uvloop")
    assert len(results) == len(COMPRESSION)
    assert BROKEN_CASE not in {result.result for result in results}
    check(results)
