"""`RedisLink`: a connection to Redis that hears what is published, and comes back when it is lost.

Theory of operation:

1. Commands are written by one task and answers are read by another, so nobody waits for Redis to
   say that a subscription ends.
2. A subscription holds when Redis has confirmed it. `subscribe` gives a future for that; one that
   is taken back and made again counts from the last time.
3. The control channel stands behind all others when the link is made, so that its confirmation is
   that of all. Then `connected` is called, for whatever was missed; what comes before it is through
   is handed on after it.
4. A link that is silent is asked for a sign of life (PING), and given up if there is none.
5. Between two attempts it waits, longer each time.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeout

__all__ = ["RedisLink", "end_tasks"]

logger = logging.getLogger("httpkit")

#: Seconds before the second attempt; twice as many before each further one, up to `_LONGEST_DELAY`.
_FIRST_DELAY = 0.1
_LONGEST_DELAY = 5.0
#: Seconds of silence before a PING, and then before the end.
_SILENCE = 10.0


async def end_tasks(tasks: Iterable["asyncio.Task[None]"], again: float) -> None:
    """Cancel tasks until they have ended, and forget what they raise.

    A cancellation may get lost on its way through the client: `asyncio.wait_for`, which it uses,
    drops one that comes together with a result (before Python 3.12).

    Args:
        tasks: that shall end.
        again: seconds after which they are cancelled again. One that ends others gives them less.
    """
    while waiting := [task for task in tasks if not task.done()]:
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting, timeout=again)
    for task in tasks:
        if not task.cancelled():
            task.exception()


class RedisLink:
    """Subscribes to channels of Redis.

    Args:
        client: makes the connection; it does not decode answers.
        control: a channel of its own.
        received: called with the channel and the data of each message.
        connected: called when all subscriptions hold, after each loss.

    Attributes:
        is_up: the link hears what is published.
        tried: set when the first attempt has succeeded or failed.
    """

    def __init__(
        self,
        client: Redis,
        control: str,
        received: Callable[[str, bytes], object],
        connected: Callable[[], Awaitable[object]],
    ) -> None:
        self.is_up = False
        self.tried = asyncio.Event()
        self._client = client
        self._control = control
        self._received = received
        self._on_connected = connected
        self._channels: dict[str, None] = {}
        #: Confirmations that are still to come, and who waits for the last one.
        self._outstanding: dict[str, int] = {}
        self._waiting: dict[str, dict[asyncio.Future[None], None]] = {}
        #: What is to be written: a command and its channel. `None` while there is no connection.
        self._commands: asyncio.Queue[tuple[str, str]] | None = None
        self._said = False

    def subscribe(self, channel: str) -> "asyncio.Future[None]":
        """Hear a channel; done when that holds."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        known = channel in self._channels
        self._channels[channel] = None
        if self._commands is not None and not known:
            self._outstanding[channel] = self._outstanding.get(channel, 0) + 1
            self._commands.put_nowait(("subscribe", channel))
        if self._commands is None or channel in self._outstanding:
            self._waiting.setdefault(channel, {})[future] = None
            # While Redis is away they come and go, and nothing confirms what nobody wants any more.
            future.add_done_callback(partial(self._waits_no_more, channel))
        else:
            future.set_result(None)
        return future

    def _waits_no_more(self, channel: str, future: "asyncio.Future[None]") -> None:
        waiting = self._waiting.get(channel, {})
        waiting.pop(future, None)
        if not waiting:
            self._waiting.pop(channel, None)

    def unsubscribe(self, channel: str) -> None:
        """Hear it no more."""
        self._channels.pop(channel, None)
        if self._commands is not None:
            self._commands.put_nowait(("unsubscribe", channel))

    async def run(self) -> None:
        """Connect, again and again, until it is cancelled."""
        delay = _FIRST_DELAY
        while True:
            pubsub = self._client.pubsub()
            attempt = asyncio.create_task(self._serve(pubsub))
            try:
                await asyncio.wait([attempt])
                attempt.result()
            except (RedisError, OSError) as error:
                self._note(error)
            except Exception:
                logger.exception("channels: the link to Redis has failed; trying again")
            finally:
                if self.is_up:
                    delay = _FIRST_DELAY
                self.is_up, self._commands = False, None
                self.tried.set()
                await end_tasks([attempt], 0.3)
                with suppress(RedisError, OSError):
                    await pubsub.aclose()  # type: ignore[no-untyped-call]
            # Those that have lost it together need not come back together.
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311
            delay = min(2 * delay, _LONGEST_DELAY)

    def _note(self, error: Exception) -> None:
        """Say it once for each time that Redis goes away."""
        if not self._said:
            self._said = True
            logger.warning("channels: Redis does not answer: %s; trying again", error)

    async def _serve(self, pubsub: PubSub) -> None:
        channels = list(self._channels)
        self._outstanding = dict.fromkeys([*channels, self._control], 1)
        commands: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        self._commands = commands
        holds = asyncio.Event()
        early: list[tuple[str, bytes]] = []
        await pubsub.subscribe(*channels, self._control)
        tasks = [
            asyncio.create_task(each)
            for each in (
                self._write(pubsub, commands),
                self._read(pubsub, commands, holds, early),
                self._greet(holds, early),
            )
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        finally:
            await end_tasks(tasks, 0.05)

    async def _write(self, pubsub: PubSub, commands: "asyncio.Queue[tuple[str, str]]") -> None:
        while True:
            command, channel = await commands.get()
            if command == "subscribe":
                await pubsub.subscribe(channel)
            elif command == "unsubscribe":
                await pubsub.unsubscribe(channel)
            else:
                await pubsub.ping()

    async def _read(
        self,
        pubsub: PubSub,
        commands: "asyncio.Queue[tuple[str, str]]",
        holds: asyncio.Event,
        early: list[tuple[str, bytes]],
    ) -> None:
        silent = False
        while True:
            message: dict[str, Any] | None = await pubsub.get_message(timeout=_SILENCE)
            if message is None:
                if silent:
                    raise RedisTimeout("it is silent")
                silent = True
                commands.put_nowait(("ping", ""))
                continue
            silent = False
            if message["type"] == "message":
                channel, data = message["channel"].decode(), message["data"]
                if self.is_up:
                    self._received(channel, data)
                else:
                    early.append((channel, data))
            elif message["type"] == "subscribe":
                channel = message["channel"].decode()
                self._confirm(channel)
                if channel == self._control:
                    holds.set()

    async def _greet(self, holds: asyncio.Event, early: list[tuple[str, bytes]]) -> None:
        """Once every subscription holds, let the others know, and hand on what came meanwhile."""
        await holds.wait()
        await self._on_connected()
        self.is_up = True
        for channel, data in early:
            self._received(channel, data)
        self.tried.set()
        if self._said:
            self._said = False
            logger.warning("channels: Redis answers again")

    def _confirm(self, channel: str) -> None:
        self._outstanding[channel] -= 1
        if not self._outstanding[channel]:
            del self._outstanding[channel]
            for future in self._waiting.pop(channel, ()):
                if not future.done():
                    future.set_result(None)
