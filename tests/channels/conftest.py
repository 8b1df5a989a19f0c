"""Every backend, as two processes see it, and a deadline for what has to come."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

import pytest

from httpkit.channels import Channels, MemoryChannels

#: Generous: a busy machine with coverage on.
PATIENCE = 20.0


class Backend(Protocol):
    """Makes channels that reach each other."""

    def pair(self, **options: Any) -> AbstractAsyncContextManager[tuple[Channels, Channels]]:
        """Two of them, running; for a backend of one process, the same one twice."""
        ...


class Memory:
    @asynccontextmanager
    async def pair(self, **options: Any) -> AsyncIterator[tuple[Channels, Channels]]:
        channels = MemoryChannels(**options)
        async with channels.lifespan():
            yield channels, channels


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a test; what does not come in time has not come."""

    async def main() -> Any:
        async with asyncio.timeout(PATIENCE):
            return await coroutine

    return asyncio.run(main())


async def read(feed: Any, count: int) -> list[Any]:
    """The next items of a feed."""
    return [await anext(feed) for _ in range(count)]


async def data_of(feed: Any, count: int) -> list[str | bytes]:
    return [message.data for message in await read(feed, count)]


async def until(condition: Any) -> None:
    """Wait until something is true; it may be a coroutine function."""
    while True:
        result = condition()
        if asyncio.iscoroutine(result):
            result = await result
        if result:
            return
        await asyncio.sleep(0.005)


@pytest.fixture(params=["memory"])
def backend(request: pytest.FixtureRequest) -> Backend:
    return Memory()
