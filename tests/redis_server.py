"""A redis-server of our own, that tests may stop and start again."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest


class RedisServer:
    """Listens on a Unix socket only, and keeps nothing that it is not told to save.

    Args:
        directory: for its socket.
    """

    def __init__(self, directory: Path) -> None:
        self.socket = directory / "socket"
        self.url = f"unix://{self.socket}"
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, wait until it answers; skips the test where there is none."""
        program = shutil.which("redis-server")
        if program is None:
            pytest.skip("redis-server is not installed")
        options = ["--port", "0", "--unixsocket", str(self.socket), "--save", ""]
        self._process = subprocess.Popen(
            [program, *options, "--dir", str(self._directory)], stdout=subprocess.PIPE
        )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if b"ready to accept connections" in line:
                return
        raise AssertionError("redis-server has ended")

    def stop(self) -> None:
        """End it; again does nothing."""
        self._end(subprocess.Popen.terminate)

    def crash(self) -> None:
        """End it at once: what it has not saved is lost."""
        self._end(subprocess.Popen.kill)

    def _end(self, end: Callable[[subprocess.Popen[bytes]], None]) -> None:
        process, self._process = self._process, None
        if process is not None:
            end(process)
            process.communicate()
