"""Every test of the server runs over both HTTP/1.1 parsers and both event loops."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from .certificates import Authority
from .live import LiveServer

Live = Callable[..., LiveServer]


@pytest.fixture(params=["native", "reference"])
def engine(request) -> str:
    """The HTTP/1.1 parser."""
    return request.param


@pytest.fixture(params=["uvloop", "asyncio"])
def loop(request) -> str:
    """The event loop."""
    return request.param


@pytest.fixture
def live(engine: str, loop: str):
    """Starts servers: `server = live(handler, **options)`; all are stopped after the test."""
    with ExitStack() as stack:

        def start(application: Any = None, **options: Any) -> LiveServer:
            options = {"http1": engine, **options}
            return stack.enter_context(LiveServer(application, loop=loop, **options))

        yield start


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Signs certificates for servers and clients; its files are in `tmp_path`."""
    return Authority(tmp_path)
