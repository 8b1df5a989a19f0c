"""What a connection leaves behind is freed by reference counts (`tests/server/test_garbage.py`).

What h2 makes of a connection is a circle by itself, and stays one; nothing of ours is part of it.
"""

import pytest

from tests.garbage import find_garbage

from .client import HTTP2Client
from .conftest import Live


@pytest.mark.parametrize("path", ["/", "/nowhere"])
def test_a_connection_leaves_nothing_for_the_garbage_collector(live: Live, path: str) -> None:
    server = live()

    def visit() -> None:
        client = HTTP2Client(server.connect())
        client.get(path)
        client.close()
        server.until(lambda: server.connection() is None)
        server.call(lambda: None)

    left = find_garbage(visit)
    assert not left & {"HTTP2Engine", "H2Session", "Ngh2Session", "Exchange", "Request"}
