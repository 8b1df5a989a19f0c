"""Workers of one server: newcomers, the dead, the slow, and what does not belong there."""

import asyncio
import errno
import os
import socket
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import islice

import pytest

from httpkit import ConfigurationError
from httpkit.channels import Member, MemoryChannels, links, mesh, sequencer
from httpkit.channels.records import (
    AskPast,
    Hello,
    Joined,
    Published,
    RecordReader,
    serialize_record,
)
from httpkit.types import WorkerPlace

from .conftest import data_of, read, run, until, using


@pytest.fixture(params=["asyncio", "uvloop"], autouse=True)
def loop(request):
    with using(request.param):
        yield


def sockets(workers):
    return [name for name in os.listdir(workers.directory) if name != "numbers"]


class Stranger:
    """A worker that is played by the test: it listens, connects, and does what it is told."""

    def __init__(self, workers, name="9-00000000", listens=True):
        self.name = name
        self.path = os.path.join(workers.directory, name)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        if listens:
            self.listener.listen()
        self.sockets = [self.listener]

    def connect(self, workers, settled=True, joins=(), more=b""):
        """Link to every worker that is there."""
        for name in sockets(workers):
            if name != self.name:
                link = socket.socket(socket.AF_UNIX)
                link.connect(os.path.join(workers.directory, name))
                link.sendall(serialize_record(Hello(self.name, settled, list(joins))) + more)
                self.sockets.append(link)
        return self.sockets[1]

    def die(self):
        for each in self.sockets:
            each.close()


@asynccontextmanager
async def starting(channels, place):
    """A worker on its way; what is awaited within is done when it is there. Left at the end."""
    manager = channels.lifespan(place)
    task = asyncio.ensure_future(manager.__aenter__())
    yield task
    await task
    await manager.__aexit__(None, None, None)


async def names(channels, topic="a"):
    return [each.name for each in await channels.members(topic)]


@asynccontextmanager
async def two_workers(workers):
    """The channels of both, and what the first hears of a topic."""
    one, two = MemoryChannels(), MemoryChannels()
    async with (
        one.lifespan(workers.place(1)),
        two.lifespan(workers.place(2)),
        one.subscribe("a") as events,
    ):
        yield one, two, events


# --- beginning and end ---------------------------------------------------------------------------


def test_a_newcomer_knows_what_was_published_and_who_is_there(workers):
    async def main():
        one, two, three = (MemoryChannels(history=3) for _ in range(3))
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(one.lifespan(workers.place(1)))
            await stack.enter_async_context(two.lifespan(workers.place(2)))
            await stack.enter_async_context(one.join("a", "ann", {"x": 1}))
            messages = [await each.publish("a", "x") for each in (one, two, one, two, one)]
            await one.publish("b", b"\xff")
            await stack.enter_async_context(three.lifespan(workers.place(3)))
            assert [each.id for each in await three.history("a")] == [
                each.id for each in messages[2:]
            ]
            assert [each.data for each in await three.history("b")] == [b"\xff"]
            assert await three.members("a") == [Member("ann", {"x": 1})]
            for after, complete in ((messages[0], False), (messages[1], True)):
                async with three.subscribe("a", after=after.id) as events:
                    assert events.complete is complete
                    assert len(events.take()) == 3
            async with three.subscribe("a") as events:
                await two.publish("a", "new")
                assert await data_of(events, 1) == ["new"]

    run(main())


def test_a_long_past_comes_in_pieces(workers, monkeypatch):
    monkeypatch.setattr(mesh, "_PAST_BYTES", 100)

    async def main():
        one, two = MemoryChannels(), MemoryChannels()
        async with one.lifespan(workers.place(1)):
            for number in range(50):
                await one.publish(f"topic {number % 3}", "x" * 20)
            async with two.lifespan(workers.place(2)):
                assert two._history.all()[-1].id == one._history.all()[-1].id
                assert len(two._history.all()) == 50

    run(main())


def test_a_past_that_is_longer_than_what_may_wait(workers, monkeypatch):
    """What is published while it is being told is not left out either."""
    monkeypatch.setattr(mesh, "_PAST_BYTES", 100_000)
    monkeypatch.setattr(links, "MAX_WAITING", 200_000)
    send_all = links.Link.send_all
    one, two = MemoryChannels(), MemoryChannels()

    async def send_all_and_publish(link, records):
        records = iter(records)
        await send_all(link, islice(records, 10))
        await one.publish("a", "meanwhile")
        await send_all(link, records)

    monkeypatch.setattr(links.Link, "send_all", send_all_and_publish)

    async def main():
        async with one.lifespan(workers.place(1)), one.subscribe("a") as events:
            for _ in range(90):
                await one.publish("a", "x" * 50_000)
            async with two.lifespan(workers.place(2)):
                await until(lambda: len(two._history.all()) == 91)
                assert [each.id for each in await two.history("a", 91)] == [
                    each.id for each in events.take()
                ]

    run(main())


def test_all_at_once(workers):
    async def main():
        channels = [MemoryChannels() for _ in range(5)]
        async with AsyncExitStack() as stack:
            await asyncio.gather(
                *[
                    stack.enter_async_context(each.lifespan(workers.place(number)))
                    for number, each in enumerate(channels, 1)
                ]
            )
            feeds = [await stack.enter_async_context(each.subscribe("a")) for each in channels]
            for each in channels:
                await each.publish("a", "x")
            orders = [[message.id for message in await read(feed, 5)] for feed in feeds]
            assert all(order == orders[0] for order in orders)
            assert len(sockets(workers)) == 5
        assert sockets(workers) == []
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(main())


def test_ids_of_before_are_not_those_of_now(workers):
    """A process that was not a worker yet, or is none any more."""

    async def main():
        channels = MemoryChannels()
        first = await channels.publish("a", "before")
        async with channels.lifespan(workers.place(1)):
            async with channels.subscribe("a", after=first.id) as events:
                assert not events.complete
                assert events.take() == []
            within = await channels.publish("a", "within")
        after = await channels.publish("a", "after")
        assert len({first.id, within.id, after.id}) == 3

    run(main())


def test_a_successor_goes_on_where_the_others_are(workers):
    """Rolling restart: each is replaced while the rest holds what is kept."""

    async def main():
        old, new = MemoryChannels(), MemoryChannels()
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(old.lifespan(workers.place(1)))
            message = await old.publish("a", "kept")
            await stack.enter_async_context(new.lifespan(workers.place(1)))
            await old.publish("a", "while both were there")
            await until(lambda: len(new._history.all()) == 2)
            old.begin_shutdown()
            await old.publish("a", "at the end")
            await until(lambda: len(new._history.all()) == 3)
        assert message.id
        assert new.counters.lost == old.counters.lost == 0

    run(main())


def test_what_comes_while_a_worker_starts_is_kept_for_it(workers):
    os.makedirs(workers.directory, exist_ok=True)
    stranger = Stranger(workers)

    async def main():
        channels = MemoryChannels()
        async with starting(channels, workers.place(1)) as started:
            await until(lambda: len(sockets(workers)) > 1)
            # Its greeting, and at once what it publishes.
            first = Published(1, "a", "early", keep=True)
            stranger.connect(workers, settled=False, more=serialize_record(first))
            await started
            assert [each.data for each in await channels.history("a")] == ["early"]
            stranger.die()

    run(main())


def test_a_link_begins_with_hello_whatever_is_published_meanwhile(workers, monkeypatch):
    """Between the connection and what follows it other tasks have their turn."""
    made = links.Link.connection_made

    def connection_made(link, transport):
        made(link, transport)
        link.send(serialize_record(Published(1, "a", "x", keep=True)))

    monkeypatch.setattr(links.Link, "connection_made", connection_made)
    os.makedirs(workers.directory, exist_ok=True)
    stranger = Stranger(workers)

    async def main():
        async with starting(MemoryChannels(), workers.place(1)):
            link, _ = await asyncio.to_thread(stranger.listener.accept)
            stranger.sockets.append(link)
            reader, records = RecordReader(), []
            while len(records) < 2:
                records += reader.receive_data(await asyncio.to_thread(link.recv, 10_000))
            assert [type(each) for each in records] == [Hello, Published]
            stranger.die()

    run(main())


def test_directories_in_which_there_can_be_no_sockets(tmp_path):
    place = WorkerPlace(str(tmp_path / ("x" * 120)), 1)

    async def main():
        async with MemoryChannels().lifespan(place):
            raise AssertionError

    with pytest.raises(ConfigurationError, match="TMPDIR"):
        run(main())


# --- the dead ------------------------------------------------------------------------------------


def test_the_members_of_a_dead_worker_have_gone(workers):
    async def main():
        one = MemoryChannels()
        async with one.lifespan(workers.place(1)), one.watch("a") as changes:
            stranger = Stranger(workers)
            joins = [Joined("a", 1, "bob", None), Joined("b", 2, "bob", None)]
            stranger.connect(workers, joins=joins)
            assert [each.kind for each in await read(changes, 1)] == ["join"]
            assert await names(one) == await names(one, "b") == ["bob"]
            stranger.die()
            assert [each.kind for each in await read(changes, 1)] == ["leave"]
            assert await names(one) == await names(one, "b") == []
            await until(lambda: stranger.name not in sockets(workers))
            await until(lambda: not one._mesh._links)
            await one.publish("a", "x")
            assert one.counters.lost == 0

    run(main())


def test_what_the_dead_have_left_is_removed(workers):
    os.makedirs(workers.directory, exist_ok=True)
    Stranger(workers, listens=False).die()

    async def main():
        async with MemoryChannels().lifespan(workers.place(1)):
            assert len(sockets(workers)) == 1

    run(main())


def test_a_worker_that_cannot_be_reached_for_a_moment_is_not_dead(workers, monkeypatch):
    """No descriptor is left here, say: its socket stays, and it is linked when there is one."""

    async def main():
        async with two_workers(workers) as (one, two, events):
            loop, tried = asyncio.get_running_loop(), asyncio.Event()

            async def fail(*args):
                tried.set()
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

            present = sorted(sockets(workers))
            with monkeypatch.context() as patch:
                patch.setattr(mesh, "_RECONNECT", 0)
                patch.setattr(loop, "create_unix_connection", fail)
                two._mesh._links[one._mesh.name]._transport.abort()
                await tried.wait()
                assert sorted(sockets(workers)) == present
            await until(lambda: two._mesh._links)
            await until(lambda: two._mesh._links[one._mesh.name]._transport)
            await two.publish("a", "again")
            assert await data_of(events, 1) == ["again"]

    run(main())


def test_messages_that_too_many_wait_for_count_as_lost(workers, monkeypatch, caplog):
    monkeypatch.setattr(sequencer, "_MAX_HELD", 3)

    async def main():
        one = MemoryChannels()
        async with one.lifespan(workers.place(1)), one.subscribe("a") as events:
            one._numbers.draw()  # of a worker that dies
            for number in range(4):
                await one.publish("a", str(number))
            assert await data_of(events, 4) == ["0", "1", "2", "3"]
            assert one.counters.lost == 1

    run(main())
    assert "1 messages of other workers are lost" in caplog.text


def test_a_number_whose_worker_has_died_is_skipped(workers, monkeypatch, caplog):
    monkeypatch.setattr(mesh, "_PATIENCE", 0.02)

    async def main():
        async with two_workers(workers) as (one, two, events):
            two._numbers.draw()  # and then it dies
            sent = await one.publish("a", "held back")
            assert events.take() == []
            await two.publish("a", "too")
            assert await data_of(events, 2) == ["held back", "too"]
            assert one.counters.lost == 1
            assert events.last_id > sent.id
            two._mesh.send(Published(1, "a", "too late", keep=True))
            await two.publish("a", "in time")
            assert await data_of(events, 1) == ["in time"]

    run(main())
    assert "1 messages of other workers are lost" in caplog.text


def test_a_newcomer_does_not_wait_for_a_number_that_nobody_has(workers, monkeypatch):
    monkeypatch.setattr(mesh, "_PATIENCE", 0.02)

    async def main():
        one, two = MemoryChannels(), MemoryChannels()
        async with one.lifespan(workers.place(1)):
            await one.publish("a", "x")
            one._numbers.draw()
            async with two.lifespan(workers.place(2)):
                assert [each.data for each in await two.history("a")] == ["x"]
                assert two._mesh.position == one._mesh.position == 2

    run(main())


# --- those that do not do their part -------------------------------------------------------------


def test_a_worker_that_does_not_greet_does_not_hold_up_a_start(workers, monkeypatch, caplog):
    monkeypatch.setattr(mesh, "_START_TIMEOUT", 0.05)
    os.makedirs(workers.directory, exist_ok=True)
    stranger = Stranger(workers)

    async def main():
        async with MemoryChannels().lifespan(workers.place(1)):
            pass

    run(main())
    stranger.die()
    assert "no answer of workers 9-00000000" in caplog.text


@pytest.mark.parametrize("dies", [False, True])
def test_a_worker_that_does_not_tell_of_the_past(workers, monkeypatch, caplog, dies):
    monkeypatch.setattr(mesh, "_START_TIMEOUT", 5.0 if dies else 0.5)
    os.makedirs(workers.directory, exist_ok=True)
    stranger = Stranger(workers)

    async def main():
        async with starting(MemoryChannels(), workers.place(1)) as started:
            await until(lambda: len(sockets(workers)) > 1)
            stranger.connect(workers)
            if dies:
                link, _ = await asyncio.to_thread(stranger.listener.accept)
                stranger.sockets.append(link)
                await asyncio.to_thread(until_contains, link, serialize_record(AskPast(0)))
                stranger.die()
            await started
            stranger.die()

    run(main())
    assert "no worker has told" in caplog.text


def until_contains(link, wanted):
    data = b""
    while wanted not in data:
        data += link.recv(1000)


def test_the_past_comes_from_another_if_one_does_not_tell(workers, monkeypatch):
    monkeypatch.setattr(mesh, "_START_TIMEOUT", 0.2)

    async def main():
        one, two = MemoryChannels(), MemoryChannels()
        async with one.lifespan(workers.place(1)):
            await one.publish("a", "x")
            stranger = Stranger(workers, "0-00000000")
            stranger.connect(workers)
            async with starting(two, workers.place(2)) as started:
                await until(lambda: len(sockets(workers)) == 3)
                stranger.connect(workers)
                await started
                assert [each.data for each in await two.history("a")] == ["x"]
                stranger.die()

    run(main())


def test_a_slow_worker_costs_itself_messages_and_nobody_else(workers, monkeypatch):
    monkeypatch.setattr(links, "MAX_WAITING", 100_000)

    async def main():
        one, two = MemoryChannels(), MemoryChannels()
        async with one.lifespan(workers.place(1)), two.lifespan(workers.place(2)):
            stranger = Stranger(workers)
            stranger.connect(workers)
            await until(lambda: all(stranger.name in each._mesh._links for each in (one, two)))
            async with two.subscribe("a", queue=100) as events:
                for _ in range(100):
                    await one.publish("a", "x" * 10_000)
                    await anext(events)
                assert events.lost == two.counters.lost == 0
            assert one.counters.lost > 0
            link = one._mesh._links[stranger.name]
            # Members cannot be left out: there the link is given up, with all that waits.
            assert link._transport.get_write_buffer_size() > 50_000
            async with AsyncExitStack() as stack:
                for number in range(2000):
                    await stack.enter_async_context(one.join("a", f"name {number}", "x" * 50))
                    if one._mesh._links.get(stranger.name) is not link:
                        break
                    await asyncio.sleep(0)
                assert link._transport is None
            stranger.die()

    run(main())


def test_a_worker_that_reads_misses_nothing_of_what_is_published_at_once(workers, monkeypatch):
    monkeypatch.setattr(links, "MAX_WAITING", 100_000)

    async def main():
        async with two_workers(workers) as (one, two, events):
            for number in range(100):
                await two.publish("a", f"{number} " + "x" * 50_000)
            await asyncio.gather(*[two.publish("a", "y" * 50_000) for _ in range(100)])
            # A member cannot be left out, and takes no message along.
            await two.publish("a", "z" * 1_000_000)
            async with two.join("a", "ann"):
                sizes = [len(each) for each in await data_of(events, 201)]
                assert sizes[-1] == 1_000_000
                assert await names(one) == ["ann"]
            assert one.counters.lost == two.counters.lost == 0

    run(main())


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        serialize_record(AskPast(1)),
        serialize_record(Hello("../../etc", True, [])),
    ],
)
def test_what_is_no_worker_is_cut_off(workers, caplog, data):
    async def main():
        one = MemoryChannels()
        async with one.lifespan(workers.place(1)):
            [name] = sockets(workers)
            path = os.path.join(workers.directory, name)
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(data)
            assert await reader.read() == b""
            writer.close()
            await one.publish("a", "x")
            assert len(await one.history("a")) == 1

    run(main())
    assert "is broken" in caplog.text


def test_a_link_that_is_made_anew_replaces_the_old_one(workers):
    async def main():
        one = MemoryChannels()
        async with one.lifespan(workers.place(1)):
            stranger = Stranger(workers)
            stranger.connect(workers, joins=[Joined("a", 1, "ann", None)])
            await until(lambda: one._presence.members("a"))
            stranger.connect(workers, joins=[Joined("a", 2, "bob", None)])
            await until(lambda: one._presence.members("a") == [Member("bob")])
            stranger.sockets[1].close()  # the old one: nothing happens by that
            accepted = one._mesh._accepted
            await until(lambda: len(accepted) == 1)
            assert await names(one) == ["bob"]
            stranger.die()

    run(main())
