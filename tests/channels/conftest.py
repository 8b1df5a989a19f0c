"""Every backend, as two processes see it, and a deadline for what has to come."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import pytest

from httpkit.channels import Channels, MemoryChannels, RedisChannels
from httpkit.transport.loop import new_event_loop
from httpkit.types import WorkerPlace

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

    with asyncio.Runner(loop_factory=lambda: new_event_loop(_loops[-1])) as runner:
        return runner.run(main())


#: What `run` uses, last.
_loops = ["asyncio"]


@contextmanager
def using(loop: str) -> Iterator[None]:
    """Let `run` use another loop."""
    _loops.append(loop)
    yield
    _loops.pop()


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


class Workers:
    """Two workers of one server, in one process here."""

    def __init__(self, directory: str) -> None:
        self.directory = directory

    @asynccontextmanager
    async def pair(self, **options: Any) -> AsyncIterator[tuple[Channels, Channels]]:
        one, two = MemoryChannels(**options), MemoryChannels(**options)
        async with one.lifespan(self.place(1)), two.lifespan(self.place(2)):
            yield one, two

    def place(self, number: int) -> WorkerPlace:
        return WorkerPlace(self.directory, number)


@pytest.fixture
def workers() -> Iterator[Workers]:
    """Sockets have short paths, shorter than those of pytest."""
    with TemporaryDirectory() as directory:
        yield Workers(directory)


class Redis:
    """Two processes of any two machines, in one process here."""

    def __init__(self, url: str) -> None:
        self.url = url
        #: Every test has keys of its own.
        self.prefix = f"test:{secrets.token_hex(4)}:"

    def make(self, **options: Any) -> RedisChannels:
        return RedisChannels(self.url, **{"prefix": self.prefix, "timeout": 10.0, **options})

    @asynccontextmanager
    async def pair(self, **options: Any) -> AsyncIterator[tuple[Channels, Channels]]:
        one, two = self.make(**options), self.make(**options)
        async with one.lifespan(), two.lifespan():
            yield one, two


@pytest.fixture
def redis(redis_socket: Path) -> Redis:
    return Redis(f"unix://{redis_socket}")


@pytest.fixture(
    params=[
        "memory",
        "workers",
        "workers on uvloop",
        pytest.param("redis", marks=pytest.mark.system),
        pytest.param("redis on uvloop", marks=pytest.mark.system),
    ]
)
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    name, _, loop = request.param.partition(" on ")
    with using(loop or "asyncio"):
        yield Memory() if name == "memory" else request.getfixturevalue(name)
