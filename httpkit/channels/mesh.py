"""`Mesh`: the workers of one server, each linked to all others by Unix sockets. No hub, no leader.

Theory of operation:

1. Each worker listens on a socket in the directory of all, whose name is its own, and connects to
   those of the others. A link has one direction: it carries what its maker publishes. Who is
   greeted by a stranger links back.
2. A socket gets its name when it listens already, so one that refuses belongs to a worker that has
   died, and is removed. Whatever else fails (no descriptor is left) is tried again.
3. A newcomer waits until every worker has linked back. What they publish from then on reaches it;
   what was published before has a number that was drawn already, so it asks one of them for what it
   keeps up to that number. Only then does it take part.
4. Members are told with the link and then one by one. When a link ends they are gone, because the
   worker is, or until it links anew.
5. Who publishes a lot waits for workers that are at it, so that none of them misses anything, but
   not for one that is blocked. Beyond `links.MAX_WAITING` bytes, messages for it are lost and
   counted; beyond that of members, which cannot be left out, the link is given up and made anew.
6. What a worker holds back since a number before it is missing it holds for `_PATIENCE`, looked at
   twice in a row, so that a worker that was busy reads first what has come meanwhile.
"""

import asyncio
import logging
import os
import re
import secrets
import socket
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from typing import Any, Protocol

from httpkit.channels.links import Incoming, Link
from httpkit.channels.presence import Join
from httpkit.channels.records import (
    AskPast,
    Hello,
    Joined,
    Left,
    Past,
    Published,
    Record,
    serialize_record,
)
from httpkit.channels.sequencer import Numbers, Sequencer
from httpkit.errors import ConfigurationError
from httpkit.types import WorkerPlace

__all__ = ["Mesh", "MeshOwner"]

logger = logging.getLogger("httpkit")

_NAME = re.compile(r"\d+-[0-9a-f]{8}")
#: Seconds after which a number that is missing is skipped.
_PATIENCE = 1.0
#: Seconds that a newcomer gives the others to greet it, and one of them to tell of the past.
_START_TIMEOUT = 5.0
#: Seconds between two attempts to link anew.
_RECONNECT = 0.1
#: Bytes of messages in one record of the past.
_PAST_BYTES = 1024 * 1024


class MeshOwner(Protocol):
    """What a mesh tells its channels."""

    def receive(self, record: Published) -> None:
        """A message whose turn it is."""
        ...

    def receive_join(self, owner: str, join: Join) -> None:
        """A member of another worker has come."""
        ...

    def receive_leave(self, owner: str, key: int) -> None:
        """The same one has gone."""
        ...

    def receive_end(self, owner: str) -> None:
        """Every member of a worker has gone."""
        ...

    def receive_lost(self, count: int) -> None:
        """So many messages will not arrive, here or there."""
        ...

    def own_joins(self) -> Iterator[Join]:
        """The members of this worker."""
        ...

    def kept(self) -> Iterator[Published]:
        """What is kept, the oldest first."""
        ...

    def floors(self) -> tuple[int, dict[str, int]]:
        """Up to where it may lack something, see `History.floors`."""
        ...

    def receive_floors(self, gone: int, floors: dict[str, int]) -> None:
        """The same of another worker, which has told what it keeps."""
        ...


class Mesh:
    """This worker among the others.

    Args:
        place: of this worker; its directory is made if it is not there.
        numbers: of all workers.
        owner: is told what comes.

    Attributes:
        name: of this worker, unique.
    """

    def __init__(self, place: WorkerPlace, numbers: Numbers, owner: MeshOwner) -> None:
        self.name = f"{place.number}-{secrets.token_hex(4)}"
        self._loop = asyncio.get_running_loop()
        self._directory = place.directory
        self._numbers = numbers
        self._owner = owner
        self._server: asyncio.Server | None = None
        #: What this worker sends on, by the name of the other.
        self._links: dict[str, Link] = {}
        #: What it receives on; by the name of the other once that has said it.
        self._incoming: dict[str, Incoming] = {}
        self._accepted: set[Incoming] = set()
        self._settled_peers: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._sequencer: Sequencer[Published] = Sequencer(0)
        #: Of what the sequencer has missed, what was told.
        self._told = 0
        #: While this worker is a newcomer: what has come live, and what it was told of the past.
        self._early: list[Published] | None = []
        #: Whom it has asked, and what that answers; `None` if it has ended instead.
        self._asking = ""
        self._past: asyncio.Queue[Past | None] = asyncio.Queue()
        self._changed = asyncio.Event()
        #: Who has asked for the past, and up to which number.
        self._asked: list[tuple[str, int]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._closing = False

    @property
    def position(self) -> int:
        """The number up to which everything has been delivered."""
        return self._sequencer.position

    # --- beginning and end -------------------------------------------------------------------

    async def open(self) -> None:
        """Link up with all others, learn what is kept.

        Raises:
            ConfigurationError: there can be no sockets in the directory.
        """
        self._server = await self._listen()
        for name in os.listdir(self._directory):
            if _NAME.fullmatch(name) and name != self.name:
                await self._connect(name)
        await self._until_greeted()
        position = await self._fetch_past(self._numbers.last())
        self._sequencer = Sequencer(position)
        early, self._early = self._early or [], None
        for record in early:
            self.deliver(record)

    async def _listen(self) -> asyncio.Server:
        path = self._path(self.name)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(f"{path}.new")
            listener.listen(128)
            os.rename(f"{path}.new", path)
        except OSError as error:
            listener.close()
            raise ConfigurationError(
                f"workers cannot reach each other by {path}: {error}; choose another directory "
                "for temporary files, with TMPDIR"
            ) from None
        listener.setblocking(False)
        return await self._loop.create_unix_server(lambda: Incoming(self), sock=listener)

    async def close(self) -> None:
        """Leave."""
        self._closing = True
        with suppress(FileNotFoundError):
            os.unlink(self._path(self.name))
        if self._server is not None:
            self._server.close()
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        for link in self._links.values():
            link.close()
        for incoming in self._accepted:
            incoming.abort()
        # What was published last is still to be written.
        waiting = {*self._tasks, *[link.lost for link in self._links.values()]}
        if waiting:
            await asyncio.wait(waiting, timeout=1.0)

    def _path(self, name: str) -> str:
        return os.path.join(self._directory, name)

    # --- links -------------------------------------------------------------------------------

    async def _connect(self, name: str) -> None:
        """Link to a worker, unless it is dead or linked already; see rule 2."""
        if name in self._links:
            return
        link = Link(self._loop, self._make_hello, lambda: self._link_lost(name, link))
        self._links[name] = link
        try:
            await self._loop.create_unix_connection(lambda: link, self._path(name))
        except OSError as error:
            del self._links[name]
            if isinstance(error, ConnectionRefusedError | FileNotFoundError):
                with suppress(FileNotFoundError):
                    os.unlink(self._path(name))
            elif not self._closing:
                logger.debug("channels: worker %s cannot be reached yet: %s", name, error)
                self._begin_link(name, _RECONNECT)

    def _make_hello(self) -> bytes:
        joins = [Joined.of(join) for join in self._owner.own_joins()]
        return serialize_record(Hello(self.name, self._early is None, joins))

    def _link_lost(self, name: str, link: Link) -> None:
        if self._links.get(name) is link:
            del self._links[name]
            self._changed.set()
            if not self._closing:
                self._begin_link(name, _RECONNECT)

    def _begin_link(self, name: str, delay: float = 0.0) -> None:
        self._begin(self._link(name, delay))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _link(self, name: str, delay: float) -> None:
        await asyncio.sleep(delay)
        await self._connect(name)

    async def catch_up(self) -> None:
        """Wait a moment for workers for which much waits; see rule 5."""
        while behind := [link for link in self._links.values() if link.is_behind]:
            await behind[0].catch_up()

    def send(self, record: Published | Joined | Left) -> None:
        """Tell all others.

        Raises:
            ValueError: it is too large.
        """
        if not self._links:
            return
        data = serialize_record(record)
        essential = not isinstance(record, Published)
        for link in list(self._links.values()):
            if not link.send(data, essential=essential):
                self._owner.receive_lost(1)

    # --- what the others say -----------------------------------------------------------------

    def accepted(self, incoming: Incoming) -> None:
        """Somebody has connected."""
        self._accepted.add(incoming)

    def ended(self, incoming: Incoming) -> None:
        """A link of another worker has ended."""
        self._accepted.discard(incoming)
        if self._incoming.get(incoming.name) is incoming:
            del self._incoming[incoming.name]
            self._settled_peers.discard(incoming.name)
            self._owner.receive_end(incoming.name)
            self._changed.set()
            if incoming.name == self._asking:
                self._past.put_nowait(None)

    def receive(self, incoming: Incoming, record: Record) -> None:
        """Take a record.

        Raises:
            ValueError: it is none that may come now.
        """
        if isinstance(record, Hello):
            self._receive_hello(incoming, record)
        elif not incoming.name:
            raise ValueError("a link begins with Hello")
        elif isinstance(record, Published):
            if self._early is None:
                self.deliver(record)
            else:
                self._early.append(record)
        elif isinstance(record, Joined):
            self._owner.receive_join(incoming.name, record.join)
        elif isinstance(record, Left):
            self._owner.receive_leave(incoming.name, record.key)
        elif isinstance(record, AskPast):
            self._sequencer.expect(record.number)
            self._asked.append((incoming.name, record.number))
            self._advance([])
        elif incoming.name == self._asking:
            self._past.put_nowait(record)

    def _receive_hello(self, incoming: Incoming, hello: Hello) -> None:
        if not _NAME.fullmatch(hello.name):
            raise ValueError(f"no worker is called {hello.name!r}")
        if self._incoming.get(hello.name) is not None:
            self._owner.receive_end(hello.name)
        incoming.name = hello.name
        self._incoming[hello.name] = incoming
        if hello.settled:
            self._settled_peers.add(hello.name)
        for joined in hello.joins:
            self._owner.receive_join(hello.name, joined.join)
        self._changed.set()
        if hello.name not in self._links and not self._closing:
            self._begin_link(hello.name)

    # --- the order of messages ---------------------------------------------------------------

    def deliver(self, record: Published) -> None:
        """Take a message, one's own included, and hand on those whose turn it is."""
        self._advance(self._sequencer.receive(record.number, record))

    def _advance(self, records: list[Published]) -> None:
        missed, self._told = self._sequencer.missed - self._told, self._sequencer.missed
        if missed:
            logger.warning("channels: %d messages of other workers are lost", missed)
            self._owner.receive_lost(missed)
        for record in records:
            self._owner.receive(record)
        if self._asked:
            self._answer_asked()
        if self._sequencer.gap_until and self._timer is None:
            self._wait_for(self._sequencer.gap_until, _PATIENCE / 2, self._wait_again)

    def _wait_for(self, number: int, seconds: float, then: Callable[[int], None]) -> None:
        self._timer = self._loop.call_later(seconds, then, number)

    def _wait_again(self, number: int) -> None:
        self._wait_for(number, _PATIENCE / 2, self._skip)

    def _skip(self, number: int) -> None:
        """What was missing when the waiting began has had its time."""
        self._timer = None
        self._advance(self._sequencer.skip(number) if number > self.position else [])

    # --- the past ----------------------------------------------------------------------------

    async def _until_greeted(self) -> None:
        """Wait until every worker that this one has linked to has linked back."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_START_TIMEOUT):
                while not self._links.keys() <= self._incoming.keys():
                    self._changed.clear()
                    await self._changed.wait()
                return
        silent = sorted(self._links.keys() - self._incoming.keys())
        logger.warning("channels: no answer of workers %s; going on without", ", ".join(silent))

    async def _fetch_past(self, last: int) -> int:
        """Ask one after the other for what is kept; the number up to which that is everything."""
        others = list(self._settled_peers)
        for name in others:
            self._asking, self._past = name, asyncio.Queue()
            if name in self._links:
                self._links[name].send(serialize_record(AskPast(last)))
                with suppress(TimeoutError):
                    async with asyncio.timeout(_START_TIMEOUT):
                        if (position := await self._receive_past()) is not None:
                            return position
        if others:
            logger.warning("channels: no worker has told what was published before")
        return last

    async def _receive_past(self) -> int | None:
        """What a worker tells; `None` if it ends meanwhile."""
        messages: list[Published] = []
        while (past := await self._past.get()) is not None:
            messages += past.messages
            if past.ends is not None:
                for record in messages:
                    self._owner.receive(record)
                self._owner.receive_floors(past.gone, past.floors)
                return past.ends
        return None

    def _answer_asked(self) -> None:
        """Tell of the past whoever has asked up to what is here now."""
        ready = [name for name, number in self._asked if number <= self.position]
        self._asked = [(name, number) for name, number in self._asked if number > self.position]
        for name in ready:
            link = self._links.get(name)
            if link is not None:
                # It is of this moment, however long it takes to tell.
                self._begin(link.send_all(map(serialize_record, self._make_past())))

    def _make_past(self) -> list[Past]:
        pieces: list[Past] = []
        messages: list[Published] = []
        size = 0
        for record in self._owner.kept():
            messages.append(record)
            size += len(record.data) + len(record.topic)
            if size > _PAST_BYTES:
                pieces.append(Past(messages))
                messages, size = [], 0
        gone, floors = self._owner.floors()
        return [*pieces, Past(messages, self.position, gone, dict(floors))]
