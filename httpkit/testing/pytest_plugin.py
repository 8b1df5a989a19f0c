"""The fixture `live_server` for pytest, for those who ask for it.

    # conftest.py, at the top
    pytest_plugins = ["httpkit.testing.pytest_plugin"]

It is no entry point that pytest loads by itself: pytest-django and pytest-flask have a fixture of
the same name, and nobody who has httpkit installed should find one of them replaced.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from httpkit.testing.live import LiveServer

__all__ = ["StartServer", "live_server"]

StartServer = Callable[..., LiveServer]


@pytest.fixture
def live_server() -> Iterator[StartServer]:
    """Start servers that stop after the test: `server = live_server(app, **options)`."""  # noqa: D402 - it is the way to call what it gives
    with ExitStack() as stack:
        yield lambda application, **options: stack.enter_context(LiveServer(application, **options))
