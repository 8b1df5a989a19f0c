"""Which answer goes first (RFC 9218), seen through a window that is shut until all are ready."""

import pytest

from httpkit.response import Response

from . import frames
from .client import HTTP2Client

SHUT = frames.PREFACE + frames.settings((frames.INITIAL_WINDOW_SIZE, 2**20))
SIZE = 70_000


def sized(request):
    """An answer that fills the window of the connection, or one that waits for it."""
    urgency = {"/late": "u=6", "/soon": "u=1"}.get(request.path)
    size = 65_535 if request.path == "/first" else SIZE
    return Response(b"a" * size, headers={"priority": urgency} if urgency else {})


def competing(connect, *priorities: str | None) -> HTTP2Client:
    """Answers of `SIZE` octets that wait for the window of the connection, one for each value."""
    client = connect(sized, SHUT, credit=False)
    assert len(client.get("/first").body) == 65_535
    for value in priorities:
        client.request("/", *([("priority", value)] if value is not None else []))
    numbers = range(3, 3 + 2 * len(priorities), 2)
    client.until(lambda: all(client.stream(number).status for number in numbers))
    assert client.fence()
    return client


def open_window(client: HTTP2Client, count: int) -> list[int]:
    """Let `count` answers out; the numbers of the streams of their DATA frames, in order."""
    before = len(client.log)
    client.send(frames.window_update(count * SIZE))
    for number in range(3, 3 + 2 * count, 2):
        assert len(client.answer(number).body) == SIZE
    return [number for name, number in client.log[before:] if name == "Data"]


def runs(numbers: list[int]) -> list[int]:
    """Without repetitions: `3 3 5 5 3` is `3 5 3`."""
    return [a for a, b in zip(numbers, [*numbers[1:], 0], strict=True) if a != b]


@pytest.mark.parametrize(
    ("priorities", "order"),
    [
        (("u=7", "u=0", "u=3"), [5, 7, 3]),
        ((None, "u=2"), [5, 3]),  # the default is 3
        (("u=4", None), [5, 3]),
        (("u=9", "u=2", "garbage"), [5, 3, 7]),  # what is no priority is the default
        ((None, None, None), [3, 5, 7]),  # §10: not incremental, one after the other
        (("u=5;a=b, x=y", "u=4"), [5, 3]),
    ],
)
def test_urgency(connect, priorities, order: list[int]) -> None:
    """§4.1, §10: the most urgent first, in the order of their numbers else."""
    client = competing(connect, *priorities)
    assert runs(open_window(client, len(priorities))) == order


def test_incremental_answers_take_turns(connect) -> None:
    """§4.2, §10"""
    client = competing(connect, "i", "i")
    sequence = runs(open_window(client, 2))
    assert len(sequence) > 4
    assert set(sequence) == {3, 5}


def test_priority_update(connect) -> None:
    """§7.1: a client changes its mind."""
    client = competing(connect, "u=1", "u=2", "u=3")
    client.send(frames.priority_update(b"u=0", prioritized=7))
    client.send(frames.priority_update(b"u=7", prioritized=3))
    assert client.fence()
    assert runs(open_window(client, 3)) == [7, 5, 3]


def test_the_server_may_say_otherwise(connect) -> None:
    """§8: the Priority field of an answer."""

    client = connect(sized, SHUT, credit=False)
    client.get("/first")
    client.request("/late")
    client.request("/soon")
    client.until(lambda: client.stream(3).status and client.stream(5).status)
    assert client.fence()
    assert runs(open_window(client, 2)) == [5, 3]
