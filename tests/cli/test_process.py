"""What `server.process` does that no test could survive, and where it refuses to run."""

import asyncio
import gc
import os
import signal
import threading
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from httpkit import App, Config, ConfigurationError, Server
from httpkit.server import process


class Ended(BaseException):
    """Instead of the end of the process."""


@pytest.fixture
def foreground(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A run whose process cannot end, with a record of what would have happened."""
    calls: list[Any] = []

    def end(code: int) -> None:
        calls.append(("exit", code))
        raise Ended

    monkeypatch.setattr(os, "_exit", end)
    monkeypatch.setattr(
        signal, "setitimer", lambda which, seconds: calls.append(("timer", seconds))
    )
    monkeypatch.setattr(signal, "signal", lambda number, action: calls.append((number, action)))
    log = SimpleNamespace(close=lambda: calls.append("log written"))
    loop = SimpleNamespace(call_soon_threadsafe=lambda call, *_: calls.append("asked to stop"))
    run = process.Foreground(SimpleNamespace(access_log=log), loop, print)  # type: ignore[arg-type]
    return SimpleNamespace(run=run, calls=calls, log=log, loop=loop)


def test_the_second_signal_writes_the_log_and_ends(foreground: Any) -> None:
    foreground.run.receive_signal(signal.SIGINT, None)
    assert foreground.calls == ["asked to stop"]
    with pytest.raises(Ended):
        foreground.run.receive_signal(signal.SIGTERM, None)
    assert foreground.calls[1:] == [
        (signal.SIGALRM, signal.SIG_DFL),
        ("timer", 1.0),
        "log written",
        ("exit", 128 + signal.SIGTERM),
    ]


def test_a_hangup_reads_certificates_anew(foreground: Any, caplog: Any) -> None:
    caplog.set_level("INFO", "httpkit")
    foreground.loop.call_soon_threadsafe = lambda call: call()
    foreground.run._server.begin_reload = lambda: foreground.calls.append("read anew")
    foreground.run.receive_hangup(signal.SIGHUP, None)
    assert foreground.calls == ["read anew"]
    assert "SIGHUP: reading certificates anew" in caplog.text


def test_a_hangup_at_the_end(foreground: Any) -> None:
    def closed(call: Any) -> None:
        raise RuntimeError("Event loop is closed")

    foreground.loop.call_soon_threadsafe = closed
    foreground.run.receive_hangup(signal.SIGHUP, None)
    assert foreground.calls == []


def test_it_ends_even_if_the_log_cannot_be_written(foreground: Any) -> None:
    foreground.log.close = lambda: 1 / 0
    foreground.run.receive_signal(signal.SIGINT, None)
    with pytest.raises(Ended):
        foreground.run.receive_signal(signal.SIGINT, None)
    assert foreground.calls[-1] == ("exit", 128 + signal.SIGINT)


def test_it_ends_without_an_access_log(foreground: Any) -> None:
    foreground.run._server.access_log = None
    foreground.run.receive_signal(signal.SIGINT, None)
    with pytest.raises(Ended):
        foreground.run.receive_signal(signal.SIGINT, None)
    assert foreground.calls[-1] == ("exit", 128 + signal.SIGINT)


def test_a_signal_before_the_start_keeps_it_from_starting() -> None:
    async def main() -> int:
        loop = asyncio.get_running_loop()
        server = Server(App(lifespan=never), Config(port=0))
        run = process.Foreground(server, loop, print)
        run.receive_signal(signal.SIGINT, None)
        await asyncio.sleep(0)
        return await run.serve()

    def never(app: App) -> Any:
        raise AssertionError

    assert asyncio.run(main()) == process.ExitCode.STOPPED


def test_a_stop_begins_once() -> None:
    """A worker may be asked by a signal and lose its supervisor as well."""

    async def main() -> None:
        reasons: list[str] = []
        run = process.Foreground(
            Server(App(), Config(port=0)),
            asyncio.get_running_loop(),
            print,
            stopping=reasons.append,
        )
        run.begin_stop("first")
        run.begin_stop("second")
        assert reasons == ["first"]

    asyncio.run(main())


def test_a_signal_after_the_end_is_ignored(foreground: Any) -> None:
    def closed(call: Any, *_: Any) -> None:
        raise RuntimeError("Event loop is closed")

    foreground.loop.call_soon_threadsafe = closed
    foreground.run.receive_signal(signal.SIGINT, None)


def test_only_in_the_main_thread() -> None:
    caught: list[BaseException] = []

    def attempt() -> None:
        try:
            process.run(App(), Config())
        except ConfigurationError as error:
            caught.append(error)

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    assert "only the main thread gets signals" in str(caught[0])


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_handlers_of_signals_are_put_back(loop: Any) -> None:
    """The caller goes on as before: `App.run` returns."""
    events: list[str] = []

    @asynccontextmanager
    async def lifespan(app: App) -> Any:
        events.append("entered")
        yield
        events.append("left" if gc.get_freeze_count() else "nothing is frozen")

    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    config = Config(port=0, loop=loop, access_log=False)
    code = process.run(
        App(lifespan=lifespan), config, lambda server: os.kill(os.getpid(), signal.SIGINT)
    )
    assert code == process.ExitCode.STOPPED == 0
    assert events == ["entered", "left"]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    assert gc.get_freeze_count() == 0
