"""What every test may use: rules about skipping and garbage, and servers as processes."""

import gc
import os
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from signal import SIGTERM, Signals
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.redis_server import RedisServer

ROOT = Path(__file__).resolve().parent.parent
#: Generous: a process that starts on a busy machine with coverage on.
_DEADLINE = 30.0

# How long an example takes says more of the machine than of what is tested.
settings.register_profile(
    "patient", parent=settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("patient")


def _in_ci() -> bool:
    return os.environ.get("CI") == "true"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a skipped test is a failed one: everything it could need is installed there."""
    report = yield
    if _in_ci() and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a module that skips itself."""
    report = yield
    if _in_ci() and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"
    return report


def pytest_collection_finish() -> None:
    """What was collected stays: garbage collections need not look through it each time."""
    gc.collect()
    gc.freeze()


class Process:
    """A command that runs in the background, with its output in files."""

    def __init__(self, command: list[str], directory: Path, **options: Any) -> None:
        self._output = directory / "stdout"
        self._errors = directory / "stderr"
        with self._output.open("wb") as out, self._errors.open("wb") as err:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, **options
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def output(self) -> str:
        """What it has written to standard output."""
        return self._output.read_text()

    @property
    def errors(self) -> str:
        """What it has written to standard error."""
        return self._errors.read_text()

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def wait_for(self, found: Callable[[], Any], what: str) -> Any:
        """Poll until something is true; the process must not end before."""
        deadline = time.monotonic() + _DEADLINE
        while time.monotonic() < deadline:
            ended = self.ended
            if result := found():
                return result
            if ended:
                break
            time.sleep(0.01)
        raise AssertionError(f"{what} has not happened\n{self.errors}\n{self.output}")

    def wait_for_url(self) -> str:
        """The address in the banner."""

        def find() -> str | None:
            words = self.errors.rpartition("\n")[0].split()  # of lines that are whole
            return next(
                (word for word in words if word.startswith(("http://", "https://", "unix:"))), None
            )

        return str(self.wait_for(find, "the banner"))

    def signal(self, number: Signals) -> None:
        self._process.send_signal(number)

    def wait(self) -> int:
        """The exit code."""
        return self._process.wait(_DEADLINE)

    def stop(self, number: Signals = SIGTERM) -> int:
        """Send a signal, wait for the end; the exit code."""
        self.signal(number)
        return self.wait()

    def kill(self) -> None:
        """End it whatever it does."""
        if not self.ended:
            self._process.kill()
            self._process.wait()


Start = Callable[..., Process]


@pytest.fixture(scope="session")
def redis_socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The path of a Redis of our own."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server.socket
    server.stop()


@pytest.fixture
def start_process(tmp_path: Path) -> Iterator[Start]:
    """Start a command; whatever is left of it at the end of the test is killed."""
    started: list[Process] = []

    def start(*command: str, **options: Any) -> Process:
        directory = tmp_path / f"process-{len(started)}"
        directory.mkdir()
        process = Process(list(command), directory, **options)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()


@pytest.fixture
def start_httpkit(start_process: Start) -> Start:
    """Start `python -m httpkit` with arguments."""

    def start(*arguments: str, **options: Any) -> Process:
        options.setdefault("cwd", ROOT)
        return start_process(sys.executable, "-m", "httpkit", *arguments, **options)

    return start
