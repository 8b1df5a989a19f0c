"""The link to Redis with a Redis that is played: what no real one does on demand."""

import asyncio
import weakref
from collections import deque
from typing import Any

from httpkit.channels.redis_link import RedisLink

from .conftest import run, until


class PubSub:
    """Has everything to say at once, as after a moment in which nobody read."""

    def __init__(self, *messages: tuple[str, str, bytes | int]) -> None:
        self.messages = deque(messages)

    async def subscribe(self, *channels: str) -> None:
        pass

    async def get_message(self, timeout: float) -> dict[str, Any]:
        if not self.messages:
            await asyncio.Event().wait()
        kind, channel, data = self.messages.popleft()
        return {"type": kind, "channel": channel.encode(), "data": data}

    async def aclose(self) -> None:
        pass


class Client:
    def __init__(self, pubsub: PubSub) -> None:
        self.pubsub = lambda: pubsub


def test_what_was_missed_comes_before_what_comes_right_behind_the_confirmation():
    """Or it would seem that nothing was missed before that."""
    seen: list[object] = []

    async def connected() -> None:
        await asyncio.sleep(0)
        seen.append("what was missed")

    async def main() -> None:
        messages = ("subscribe", "control", 1), ("message", "a", b"1"), ("message", "a", b"2")
        client: Any = Client(PubSub(*messages))
        link = RedisLink(client, "control", lambda *message: seen.append(message), connected)
        running = asyncio.create_task(link.run())
        await until(lambda: len(seen) == 3)
        assert link.is_up
        running.cancel()
        await asyncio.wait([running])

    run(main())
    assert seen == ["what was missed", ("a", b"1"), ("a", b"2")]


def test_who_has_given_up_waiting_for_a_confirmation_leaves_nothing_behind():
    """While Redis is away everybody who connects waits a while, often for a topic of its own."""

    async def main() -> None:
        client: Any = Client(PubSub())
        link = RedisLink(client, "control", print, lambda: asyncio.sleep(0))
        gone = link.subscribe("user:1")
        waits = link.subscribe("room")
        link.subscribe("room").cancel()
        gone.cancel()
        link.unsubscribe("user:1")
        await asyncio.sleep(0)
        left = weakref.ref(gone)
        del gone
        assert left() is None
        assert not waits.done()

    run(main())
