"""RedisChannels beyond the contract: Redis goes away and comes back, processes die, others write.

The server is a real one, on a socket of its own.
"""

import asyncio
import signal
from pathlib import Path

import pytest
import redis.asyncio
from redis import exceptions as redis_errors

import httpkit.channels
from httpkit import ConfigurationError
from httpkit.channels import Member, redis_link
from httpkit.channels.presence import Join
from httpkit.channels.redis_presence import RedisPresence
from tests.redis_server import RedisServer

from .conftest import Redis, data_of, read, run, until

system = pytest.mark.system


@pytest.fixture
def server(tmp_path: Path):
    """A Redis that a test may stop."""
    found = RedisServer(tmp_path)
    found.start()
    yield found
    found.stop()


def client_of(backend: Redis) -> redis.asyncio.Redis:
    return redis.asyncio.Redis.from_url(backend.url)


async def lose_links(backend: Redis) -> None:
    """Cut every connection that hears what is published; those that publish stay."""
    async with client_of(backend) as client:
        await client.client_kill_filter(_type="pubsub")


# --- Redis is away -------------------------------------------------------------------------------


@system
def test_redis_goes_away_and_comes_back(server, caplog, monkeypatch):
    monkeypatch.setattr(redis_link, "_LONGEST_DELAY", 0.1)

    async def main():
        async with (
            Redis(server.url).pair(timeout=1.0) as (one, two),
            two.subscribe("a") as events,
            one.watch("a") as changes,
        ):
            before = await one.publish("a", "before")
            assert await data_of(events, 1) == ["before"]
            server.stop()
            await until(lambda: not two._link.is_up and not one._link.is_up)
            lost = await one.publish("a", "lost")
            assert (lost.id, lost.data) == ("", "lost")
            await one.publish("a", "lost, too")
            assert one.counters.lost == 2
            assert await one.history("a") == await one.history("a", after=before.id) == []
            async with one.join("a", "ann"):
                assert await one.members("a") == [Member("ann")]
                assert await two.members("a") == []
                async with two.subscribe("a", after=before.id) as late:
                    assert not late.complete
                    assert late.last_id == ""
                    server.start()
                    await until(lambda: two._link.is_up and one._link.is_up)
                    after = await one.publish("a", "after")
                    assert after.id > before.id
                    assert await data_of(events, 1) == await data_of(late, 1) == ["after"]
                assert [each.member.name for each in await read(changes, 1)] == ["ann"]
                assert await two.members("a") == [Member("ann")]
            assert one.counters.lost == 2

    run(main())
    assert caplog.text.count("messages are lost: ") == 1
    assert caplog.text.count("Redis does not answer") == caplog.text.count("answers again") == 2


@system
def test_redis_comes_back_with_what_it_had_saved_before(server, monkeypatch):
    """As one that has crashed, or a replica that was behind: numbers would be given twice."""
    monkeypatch.setattr(redis_link, "_LONGEST_DELAY", 0.1)

    async def main():
        backend = Redis(server.url)
        async with (
            backend.pair(timeout=1.0) as (one, two),
            two.subscribe("a") as events,
            client_of(backend) as client,
        ):
            await one.publish("a", "saved")
            await client.save()
            sent = [await one.publish("a", str(number)) for number in range(5)]
            assert await data_of(events, 6) == ["saved", "0", "1", "2", "3", "4"]
            async with two.subscribe("a") as late:
                server.crash()
                await until(lambda: not two._link.is_up and not one._link.is_up)
                server.start()
                await until(lambda: two._link.is_up and one._link.is_up)
                sent += [await one.publish("a", f"new {number}") for number in range(2)]
                # Nothing twice, and nothing is taken for what it had before.
                assert await data_of(events, 2) == await data_of(late, 2) == ["new 0", "new 1"]
                assert len({each.id for each in sent}) == 7
            async with two.subscribe("a", after=sent[4].id) as back:
                assert not back.complete
                assert await data_of(back, 3) == ["saved", "new 0", "new 1"]

    run(main())


@system
def test_a_start_without_redis(server, caplog):
    server.stop()

    async def main():
        channels = Redis(server.url).make(timeout=0.2)
        async with channels.lifespan(), channels.subscribe("a") as events, channels.watch("a"):
            assert not events.complete
            server.start()
            await until(lambda: channels._link.is_up)
            await channels.publish("a", "x")
            assert await data_of(events, 1) == ["x"]
        server.stop()
        async with channels.lifespan():  # and an end without it
            pass

    run(main())
    assert "Redis does not answer" in caplog.text


@system
def test_a_redis_that_is_silent(server, monkeypatch):
    monkeypatch.setattr(redis_link, "_SILENCE", 0.1)

    async def main():
        channels = Redis(server.url).make(timeout=0.3)
        async with channels.lifespan(), channels.subscribe("a") as events:
            # It has nothing to say, but answers when it is asked.
            asked = channels._link._commands
            await until(asked.qsize)
            await until(asked.empty)
            assert channels._link._commands is asked
            server._process.send_signal(signal.SIGSTOP)
            try:
                await until(lambda: not channels._link.is_up)
                assert (await channels.publish("a", "lost")).id == ""
            finally:
                server._process.send_signal(signal.SIGCONT)
            await until(lambda: channels._link.is_up)
            await channels.publish("a", "x")
            while (await anext(events)).data != "x":  # Redis may have carried it out after all
                pass

    run(main())


@system
def test_more_publish_at_once_than_there_are_connections(redis):
    """In one loop and then, with the same channels, in another."""
    one = redis.make()

    async def main():
        two = redis.make()
        async with one.lifespan(), two.lifespan(), two.subscribe("a", queue=500) as events:
            sent = await asyncio.gather(*[one.publish("a", str(number)) for number in range(300)])
            assert one.counters.lost == 0
            assert {each.id for each in await read(events, 300)} == {each.id for each in sent}
            async with client_of(redis) as client:
                assert len(await client.client_list()) < 200

    for _ in range(2):
        run(main())


# --- the link is lost ----------------------------------------------------------------------------


@system
def test_what_was_published_while_the_link_was_lost_comes_first_and_once(redis):
    async def main():
        async with redis.pair() as (one, two), two.subscribe("a", "b", queue=500) as events:
            sent = []
            for number in range(200):
                sent.append((await one.publish("ab"[number % 2], str(number))).id)
                if number in (50, 100):
                    await lose_links(redis)
            assert [each.id for each in await read(events, 200)] == sent
            await until(lambda: two._link.is_up)
            await one.publish("a", "x")
            assert await data_of(events, 1) == ["x"]
            assert events.lost == two.counters.lost == 0

    run(main())


@system
def test_what_was_forgotten_meanwhile_is_counted(redis, caplog, monkeypatch):
    monkeypatch.setattr(redis_link, "_FIRST_DELAY", 1.0)

    async def main():
        async with redis.pair(history=2) as (one, two), two.subscribe("a") as events:
            await one.publish("a", "first")
            await read(events, 1)
            await lose_links(redis)
            await until(lambda: not two._link.is_up)
            for number in range(5):
                await one.publish("a", str(number))
            assert await data_of(events, 2) == ["3", "4"]
            assert two.counters.lost == 1

    run(main())
    assert "messages of 1 topics are lost" in caplog.text


@system
def test_subscriptions_that_change_quickly(redis):
    """What was taken back and made again holds from the last time on."""

    async def main():
        async with redis.pair() as (one, two):
            for number in range(20):
                async with two.subscribe("a"):
                    pass
                async with two.subscribe("a") as events, two.subscribe("a") as other:
                    await one.publish("a", str(number))
                    assert await data_of(events, 1) == await data_of(other, 1) == [str(number)]
            assert not two._link._outstanding
            assert not two._link._waiting
            assert list(two._link._channels) == []

    run(main())


@system
def test_what_others_publish_there_is_no_message(redis):
    async def main():
        async with redis.pair() as (one, two), two.subscribe("a") as events, two.watch("a"):
            async with client_of(redis) as client:
                for data in (b"", b"garbage", b"\xff t", b"1-1 t\xff", b"x-1 tx"):
                    await client.publish(f"{redis.prefix}topic:a", data)
                await client.publish(f"{redis.prefix}control", b"x")
                await client.publish(f"{redis.prefix}presence:b", b"x")
            await one.publish("a", "x")
            assert await data_of(events, 1) == ["x"]

    run(main())


@system
def test_a_cancellation_is_not_lost(redis):
    """`asyncio.wait_for` of Python 3.11, which the client uses, may swallow one."""

    async def main():
        async with redis.pair() as (_, two):
            tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            assert len(tasks) >= 6
            async with two.subscribe("a"):
                pass  # what is written now is being written when everything is cancelled
        assert asyncio.all_tasks() == {asyncio.current_task()}

    for _ in range(10):
        run(main())


# --- what is kept there --------------------------------------------------------------------------


@system
def test_everything_there_ends_but_the_numbers(redis):
    async def main():
        async with redis.pair(history=1, keep_for=100.0, presence_timeout=50.0) as (one, two):
            for _ in range(2):
                await one.publish("a", "x")
            async with one.join("a", "ann"), client_of(redis) as client:
                lives = {
                    name.decode().removeprefix(redis.prefix).partition(":")[0]: await client.ttl(
                        name
                    )
                    async for name in client.scan_iter(match=f"{redis.prefix}*")
                }
        assert {name for name, seconds in lives.items() if seconds == -1} == {"numbers", "joins"}
        assert 90 < lives["stream"] <= lives["floor"] <= 100
        assert 40 < lives["process"] <= 50 < lives["members"] <= 150
        assert two.counters.lost == 0

    run(main())


@system
def test_who_comes_back_after_the_history_was_made_shorter_is_told(redis):
    async def main():
        long, short = redis.make(history=10), redis.make(history=2)
        async with long.lifespan(), short.lifespan():
            sent = [await long.publish("a", str(number)) for number in range(5)]
            await short.publish("a", "5")
            for number, complete in ((2, False), (3, True)):
                async with short.subscribe("a", after=sent[number].id) as events:
                    assert events.complete is complete
                    assert await data_of(events, 2) == ["4", "5"]

    run(main())


@system
def test_a_history_with_ids_of_the_future_is_void(redis):
    """The numbers are gone, as by an eviction, and the clock of Redis was set back."""

    async def main():
        async with redis.pair() as (one, two), two.subscribe("a") as events:
            await one.publish("a", "old")
            await read(events, 1)
            async with client_of(redis) as client:
                await client.hset(f"{redis.prefix}numbers", mapping={"epoch": 5, "number": 0})
            new = await one.publish("a", "new")
            assert new.id == "5-1"
            assert await data_of(events, 1) == ["new"]
            assert [each.id for each in await two.history("a")] == ["5-1"]

    run(main())


@system
def test_the_members_of_a_process_that_has_died_have_gone(redis):
    async def main():
        channels = redis.make(presence_timeout=0.3)
        async with channels.lifespan(), client_of(redis) as client, channels.watch("a") as changes:
            dead = RedisPresence(client, redis.prefix, 0.5)
            await dead.add([Join("a", 1, Member("bob"))])
            async with channels.join("a", "ann"):
                kinds = [(each.kind, each.member.name) for each in await read(changes, 3)]
                assert sorted(kinds[:2]) == [("join", "ann"), ("join", "bob")]
                assert kinds[2] == ("leave", "bob"), "and ann lives"
                assert await channels.members("a") == [Member("ann")]
            assert await client.hlen(f"{redis.prefix}members:a") == 0

    run(main())


@system
def test_who_leaves_while_redis_does_not_answer_has_left_when_it_does(redis, monkeypatch):
    """It knows of the member, and the process lives on."""

    async def main():
        async with (
            redis.pair(presence_timeout=0.6) as (one, two),
            two.join("a", "bob"),
            two.watch("a") as changes,
        ):
            with monkeypatch.context() as patch:
                async with one.join("a", "ann"):
                    assert await two.members("a") == [Member("bob"), Member("ann")]
                    patch.setattr(one._presence, "remove", fail)
            kinds = [(each.kind, each.member.name) for each in await read(changes, 2)]
            assert kinds == [("join", "ann"), ("leave", "ann")]
            assert await two.members("a") == [Member("bob")]

    async def fail(joins):
        raise redis_errors.TimeoutError

    run(main())


@system
def test_who_leaves_while_a_sign_of_life_is_under_way_has_left(redis, monkeypatch):
    async def main():
        async with redis.pair() as (one, two):
            add = one._presence.add

            async def add_late(joins, **options):
                """The command to add it comes after the one to remove it."""
                left.set()
                await removed.wait()
                await add(joins, **options)

            left, removed = asyncio.Event(), asyncio.Event()
            async with one.join("a", "ann"):
                monkeypatch.setattr(one._presence, "add", add_late)
                telling = asyncio.ensure_future(one._tell_joins())
                await left.wait()
            removed.set()
            await telling
            assert await two.members("a") == []

    run(main())


# --- mistakes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("http://localhost", {}),
        ("redis://localhost:x", {}),
        ("redis://localhost?sockettimeout=5", {}),
        ("redis://localhost", {"history": -1}),
        ("redis://localhost", {"timeout": 0}),
        ("redis://localhost", {"keep_for": float("inf")}),
        ("redis://localhost", {"presence_timeout": -1.0}),
    ],
)
def test_options_that_are_none(url, options):
    with pytest.raises(ConfigurationError, match="RedisChannels"):
        httpkit.channels.RedisChannels(url, **options)


def test_channels_that_do_not_run():
    channels = httpkit.channels.RedisChannels("redis://localhost")

    async def main():
        for manager in (channels.subscribe("a"), channels.watch("a")):
            with pytest.raises(RuntimeError, match="do not run"):
                await manager.__aenter__()

    run(main())
    assert not channels._subscriptions
    assert not channels._watches


def test_other_names_of_the_package_are_unknown():
    with pytest.raises(AttributeError, match="nothing"):
        httpkit.channels.nothing  # noqa: B018
