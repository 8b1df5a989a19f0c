"""The contract of channels, over every backend: what one process publishes, another one gets."""

import asyncio

import msgspec
import pytest

from httpkit.channels import Member

from .conftest import data_of, read, run, until


def over(backend, **options):
    """Run a coroutine function with a pair of channels."""

    def decorate(test):
        async def main():
            async with backend.pair(**options) as (one, two):
                await test(one, two)

        run(main())

    return decorate


def test_what_is_published_arrives(backend):
    @over(backend)
    async def _(one, two):
        async with two.subscribe("a") as events:
            sent = [await one.publish("a", data) for data in ("text", b"\x00\xff", {"n": [1, "ä"]})]
            messages = await read(events, 3)
        assert [each.data for each in messages] == ["text", b"\x00\xff", '{"n":[1,"ä"]}']
        assert messages[2].json() == {"n": [1, "ä"]}
        assert messages[2].json(dict[str, list[int | str]]) == {"n": [1, "ä"]}
        with pytest.raises(msgspec.DecodeError):
            messages[0].json()
        assert [each.topic for each in messages] == ["a", "a", "a"]
        assert [each.id for each in messages] == [each.id for each in sent]
        assert len({each.id for each in messages}) == 3
        assert one.counters.published == 3


def test_topics_are_apart(backend):
    @over(backend)
    async def _(one, two):
        async with two.subscribe("a", "b", "a") as both, one.subscribe("b") as events:
            for topic in "acb":
                await one.publish(topic, topic)
            assert await data_of(both, 2) == ["a", "b"]  # once, though "a" stands there twice
            assert await data_of(events, 1) == ["b"]


def test_the_order_of_a_publisher_is_kept(backend):
    @over(backend)
    async def _(one, two):
        async with one.subscribe("a", queue=500) as first, two.subscribe("a", queue=500) as second:
            for number in range(100):
                await one.publish("a", f"one {number}")
                await two.publish("a", f"two {number}")
            for events in (first, second):
                data = await data_of(events, 200)
                for name in ("one", "two"):
                    assert [each for each in data if each.startswith(name)] == [
                        f"{name} {number}" for number in range(100)
                    ]


def test_all_subscribers_agree_on_the_order(backend):
    @over(backend)
    async def _(one, two):
        async with one.subscribe("a", queue=500) as first, two.subscribe("a", queue=500) as second:

            async def publish(channels, name):
                for number in range(50):
                    await channels.publish("a", f"{name} {number}")
                    await asyncio.sleep(0)

            await asyncio.gather(publish(one, "one"), publish(two, "two"))
            assert await data_of(first, 100) == await data_of(second, 100)


# --- the past ------------------------------------------------------------------------------------


async def publish_some(channels, count, topic="a"):
    return [await channels.publish(topic, str(number)) for number in range(count)]


async def ids(channels, topic="a"):
    return [each.id for each in await channels.history(topic, 1000)]


def test_history(backend):
    @over(backend, history=5)
    async def _(one, two):
        messages = await publish_some(one, 8)
        await until(lambda: knows(two, messages[-1]))
        assert [each.data for each in await two.history("a")] == list("34567")
        assert [each.id for each in await two.history("a", 2)] == [each.id for each in messages[6:]]
        assert await two.history("a", 0) == []
        assert await two.history("b") == []
        after = await two.history("a", 2, after=messages[4].id)
        assert [each.data for each in after] == ["5", "6"]
        with pytest.raises(ValueError, match="limit"):
            await two.history("a", -1)


async def knows(channels, message):
    """Whether a message has arrived there."""
    return message.id in await ids(channels, message.topic)


def test_what_is_not_to_be_kept_arrives_and_is_gone(backend):
    @over(backend)
    async def _(one, two):
        async with two.subscribe("a") as events:
            await one.publish("a", "typing", keep=False)
            await one.publish("a", "said")
            assert await data_of(events, 2) == ["typing", "said"]
        assert [each.data for each in await two.history("a")] == ["said"]


def test_without_history_nothing_is_kept(backend):
    @over(backend, history=0)
    async def _(one, two):
        async with two.subscribe("a", history=10) as events:
            message = await one.publish("a", "now")
            assert await data_of(events, 1) == ["now"]
        assert await two.history("a") == []
        async with two.subscribe("a", after=message.id) as events:
            assert events.complete
            await one.publish("a", "later")
            assert await data_of(events, 1) == ["later"]
        async with two.subscribe("a", after=message.id) as events:
            assert not events.complete
            assert events.take() == []


def test_a_subscriber_first_gets_the_last_messages(backend):
    @over(backend)
    async def _(one, two):
        messages = await publish_some(one, 5)
        await until(lambda: knows(two, messages[-1]))
        async with two.subscribe("a", history=2, queue=1) as events:
            await one.publish("a", "new")
            assert await data_of(events, 3) == ["3", "4", "new"]
            assert events.complete
        async with two.subscribe("a") as events:
            await one.publish("a", "newer")
            assert await data_of(events, 1) == ["newer"]


def test_who_comes_back_misses_nothing_and_gets_nothing_twice(backend):
    @over(backend)
    async def _(one, two):
        async with one.subscribe("a", "b") as events:
            assert events.last_id
            await publish_some(two, 3)
            await read(events, 2)
            last = events.last_id
        await publish_some(one, 2, "b")
        await until(lambda: data_is(two, "b", ["0", "1"]))
        for channels in (one, two):
            async with channels.subscribe("a", "b", after=last) as events:
                assert [(each.topic, each.data) for each in await read(events, 3)] == [
                    ("a", "2"),
                    ("b", "0"),
                    ("b", "1"),
                ]
                assert events.complete
                assert events.take() == []


async def data_is(channels, topic, data):
    return [each.data for each in await channels.history(topic)] == data


def test_the_last_id_of_who_has_heard_nothing_is_that_of_the_beginning(backend):
    @over(backend)
    async def _(one, two):
        *_, known = await publish_some(one, 2)
        await until(lambda: knows(two, known))
        async with two.subscribe("a") as events:
            last = events.last_id
        await one.publish("a", "new")
        async with one.subscribe("a", after=last) as events:
            assert await data_of(events, 1) == ["new"]


@pytest.mark.parametrize("after", ["", "0-0", "1-5", "nonsense", "9" * 40 + "-1", "²-1", "7"])
def test_an_id_of_elsewhere_is_older_than_everything(backend, after):
    @over(backend)
    async def _(one, two):
        await publish_some(one, 2)
        await until(lambda: data_is(two, "a", ["0", "1"]))
        async with two.subscribe("a", after=after) as events:
            assert not events.complete
            assert await data_of(events, 2) == ["0", "1"]
        assert [each.data for each in await two.history("a", after=after)] == ["0", "1"]


def test_who_was_away_for_too_long_is_told(backend):
    @over(backend, history=3)
    async def _(one, two):
        first, second, *_, last = await publish_some(one, 5)
        await until(lambda: knows(two, last))
        async with two.subscribe("a", after=first.id) as events:
            assert not events.complete
            assert await data_of(events, 3) == ["2", "3", "4"]
        async with two.subscribe("a", after=second.id) as events:
            assert events.complete
            assert await data_of(events, 3) == ["2", "3", "4"]


# --- slow subscribers ----------------------------------------------------------------------------


def test_the_oldest_is_dropped_for_a_slow_reader(backend):
    @over(backend)
    async def _(one, two):
        async with two.subscribe("a", queue=3) as events, two.subscribe("a") as other:
            await publish_some(one, 5)
            await read(other, 5)
            assert await data_of(events, 3) == ["2", "3", "4"]
            assert events.lost == two.counters.dropped == 2
            await one.publish("a", "next")
            assert await data_of(events, 1) == ["next"]


def test_a_slow_reader_is_ended_if_it_wants_that_and_resumes(backend):
    @over(backend)
    async def _(one, two):
        async with two.subscribe("a", queue=3, policy="close") as events:
            async with two.subscribe("a") as other:
                await publish_some(one, 5)
                await read(other, 5)
            assert [each.data async for each in events] == ["0", "1", "2"]
            assert events.overflowed
            assert two.counters.closed_as_slow == 1
            assert two.counters.dropped == 0
        async with two.subscribe("a", after=events.last_id) as events:
            assert events.complete
            assert await data_of(events, 2) == ["3", "4"]


# --- the end -------------------------------------------------------------------------------------


def test_a_subscription_that_is_left_gets_nothing_more(backend):
    @over(backend)
    async def _(one, two):
        async with two.subscribe("a") as events:
            pass
        await one.publish("a", "x")
        assert [each async for each in events] == []
        with pytest.raises(RuntimeError, match="once"):
            await events.__aenter__()


def test_everything_ends_when_the_server_stops(backend):
    @over(backend)
    async def _(one, two):
        async with two.subscribe("a") as events, two.watch("a") as changes:
            waiting = [asyncio.ensure_future(anext(each, None)) for each in (events, changes)]
            await asyncio.sleep(0)
            two.begin_shutdown()
            assert await asyncio.gather(*waiting) == [None, None]
        async with two.subscribe("a", history=5) as events, two.watch("a") as changes:
            assert [each async for each in events] == []
            assert [each async for each in changes] == []


def test_a_second_reader_is_a_mistake(backend):
    @over(backend)
    async def _(one, two):
        async with two.subscribe("a") as events:
            waiting = asyncio.ensure_future(anext(events))
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="elsewhere"):
                await anext(events)
            await one.publish("a", "x")
            assert (await waiting).data == "x"


def test_who_waits_may_be_cancelled_or_wait_for_a_time(backend):
    @over(backend)
    async def _(one, two):
        async with two.subscribe("a") as events:
            assert await events.wait(0) is False
            waiting = asyncio.ensure_future(anext(events))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting])
            await one.publish("a", "x")
            assert await events.wait(60) is True
            assert [each.data for each in events.take()] == ["x"]


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize("topic", ["", "x" * 257, "ä" * 129, "\ud800"])
def test_topics_that_are_none(backend, topic):
    @over(backend)
    async def _(one, two):
        for refuse in (one.subscribe, one.watch):
            with pytest.raises(ValueError, match="topic"):
                refuse(topic)
        for call in (one.publish(topic, ""), one.history(topic), one.members(topic)):
            with pytest.raises(ValueError, match="topic"):
                await call
        for arguments in ((topic, "ann"), ("a", topic)):
            with pytest.raises(ValueError, match="topic"):
                one.join(*arguments)


def test_values_that_are_none(backend):
    @over(backend)
    async def _(one, two):
        with pytest.raises(TypeError, match="int"):
            await one.publish(1, "x")
        with pytest.raises(ValueError, match="surrogate"):
            await one.publish("a", "\ud800")
        with pytest.raises(ValueError, match="16777216 are the most"):
            await one.publish("a", b"x" * (16 * 1024 * 1024 + 1))
        with pytest.raises(TypeError):
            await one.publish("a", object())
        with pytest.raises(TypeError):
            one.join("a", "ann", object())
        for arguments, options in (
            ((), {}),
            (("a",), {"queue": 0}),
            (("a",), {"history": -1}),
            (("a",), {"policy": "block"}),
        ):
            with pytest.raises(ValueError):
                one.subscribe(*arguments, **options)
        assert await one.history("a") == []


# --- presence ------------------------------------------------------------------------------------


async def names(channels, topic="a"):
    return [each.name for each in await channels.members(topic)]


async def show(changes, count):
    return [(each.kind, each.member.name) for each in await read(changes, count)]


def test_who_is_there(backend):
    @over(backend)
    async def _(one, two):
        async with two.watch("a") as changes:
            async with one.join("a", "ann", {"colour": "red"}) as ann:
                assert ann == Member("ann", {"colour": "red"})
                assert await show(changes, 1) == [("join", "ann")]
                async with two.join("a", "bob"):
                    assert await show(changes, 1) == [("join", "bob")]
                    assert await two.members("a") == [ann, Member("bob")]
                    await until(lambda: names_are(one, ["ann", "bob"]))
                assert await show(changes, 1) == [("leave", "bob")]
                assert await names(two) == ["ann"]
            assert await show(changes, 1) == [("leave", "ann")]
            assert await names(two) == []
        assert await names(two, "b") == []


async def names_are(channels, expected):
    return sorted(await names(channels)) == expected


def test_one_name_is_one_member(backend):
    """Two pages of one visitor, of which either may be closed first."""

    @over(backend)
    async def _(one, two):
        async with two.watch("a") as changes:
            first, second = one.join("a", "ann", 1), two.join("a", "ann", 2)
            await first.__aenter__()
            assert await show(changes, 1) == [("join", "ann")]
            await second.__aenter__()
            assert await two.members("a") == [Member("ann", 2)]
            await first.__aexit__(None, None, None)
            async with one.join("a", "bob"):
                assert await show(changes, 1) == [("join", "bob")]
            assert await show(changes, 1) == [("leave", "bob")]
            assert await names(two) == ["ann"]
            await second.__aexit__(None, None, None)
            assert await show(changes, 1) == [("leave", "ann")]


def test_a_handler_that_fails_has_left(backend):
    @over(backend)
    async def _(one, two):
        with pytest.raises(ZeroDivisionError):
            async with one.join("a", "ann"):
                raise ZeroDivisionError
        await until(lambda: names_are(two, []))
        assert await names(one) == []
