"""Starts a server, waits until it accepts connections, and always ends it."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.apps.extras import ROUTES_VARIABLE
from benchmarks.cases import Case
from benchmarks.endpoint import HOST, Endpoint
from benchmarks.files import FILES_VARIABLE
from benchmarks.machine import ROOT, pinned
from benchmarks.servers.server import Materials, Server

START_TIMEOUT = 20.0
STOP_TIMEOUT = 5.0
POLL_INTERVAL = 0.02
#: Below those that systems give to connections and for port 0 (Linux: ip_local_port_range).
_PORTS = range(20_000, 32_768)


class StartError(Exception):
    """A server did not start."""


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that accepts connections."""

    pid: int
    endpoint: Endpoint
    output: Path


def free_port() -> int:
    """Return a port that nobody listens on, and that is given to nobody who asks for any."""
    while True:
        port = random.choice(_PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind((HOST, port))
            return port


@contextmanager
def running(
    server: Server, case: Case, core: int, output: Path, materials: Materials
) -> Iterator[RunningServer]:
    """Run a server on one core, in a process group of its own that is killed at the end."""
    port = free_port()
    command = [sys.executable, "-m", *server.arguments(port, case, materials)]
    endpoint = Endpoint(port, materials.credentials.certificate if case.tls else None)
    with output.open("wb") as sink, pinned(core):
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={
                **os.environ,
                ROUTES_VARIABLE: str(case.routes),
                FILES_VARIABLE: str(materials.files),
            },
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_until_ready(process, port, output)
        yield RunningServer(process.pid, endpoint, output)
    finally:
        stop(process)


def wait_until_ready(process: subprocess.Popen[bytes], port: int, output: Path) -> None:
    """Poll until the server accepts a connection."""
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise StartError(f"it ended with {process.returncode}: {last_line(output)}")
        with suppress(OSError), socket.create_connection((HOST, port), 1.0):
            return
        time.sleep(POLL_INTERVAL)
    raise StartError(f"it did not listen within {START_TIMEOUT:.0f} s: {last_line(output)}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """End the whole process group: politely, then by force, so that nothing is left behind."""
    send_signal(process.pid, signal.SIGTERM)
    try:
        process.wait(STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        pass
    finally:
        # Also when the leader has ended (a child may not have) or Ctrl-C ends the wait.
        send_signal(process.pid, signal.SIGKILL)
        process.wait()


def send_signal(group: int, number: signal.Signals) -> None:
    """Send a signal to a process group, if there still is one."""
    with suppress(ProcessLookupError):
        os.killpg(group, number)


def last_line(output: Path) -> str:
    """Return the last line that a server wrote: most often its error."""
    lines = output.read_text(errors="replace").strip().splitlines() if output.is_file() else []
    return lines[-1] if lines else "it wrote nothing"
