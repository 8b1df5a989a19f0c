"""What channels are made of, where the contract does not reach."""

import pytest

from httpkit import ConfigurationError
from httpkit.channels import ChannelMessage, Member, MemoryChannels
from httpkit.channels.history import History
from httpkit.channels.messages import MemberChange, Position
from httpkit.channels.presence import Join, Presence
from httpkit.channels.subscription import _MAX_CHANGES

from .conftest import data_of, run


def test_positions_and_ids():
    assert Position.parse("12-3") == Position(12, 3)
    assert str(Position(12, 3)) == "12-3"
    assert Position(12, 10) > Position(12, 9)
    assert ChannelMessage("a", None, "x").id == ""
    assert repr(ChannelMessage("a", Position(1, 2), "x")) == "<ChannelMessage a 1-2>"


def message(topic, number, size=1):
    return ChannelMessage(topic, Position(1, number), "x" * size)


def numbers(messages):
    return [each.position.number for each in messages]


def test_history_is_bounded_in_bytes_and_forgets_the_oldest_of_all():
    history = History(100, 3 * 1601)
    for number, topic in enumerate("abcab", 1):
        history.add(number, message(topic, number, 1000))
    assert history.size == 3 * 1601
    assert numbers(history.all()) == [3, 4, 5]
    assert numbers(history.last("abc", 2)) == [4, 5]
    assert history.after("a", 4) == ([], True)
    assert history.after("c", 2)[1] is True  # what is gone was of other topics
    assert history.after("b", 1)[1] is False
    history.add(6, message("d", 6, 10_000))
    assert history.all() == []
    assert history.size == 0
    assert history.after("ad", 5) == ([], False)
    assert history.after("ad", 6) == ([], True)
    history.add(7, message("d", 7))
    assert history.after("d", 5)[1] is False


def test_topics_take_nothing_when_nothing_is_kept_of_them():
    """Clients choose their names."""
    channels = MemoryChannels(history=1, max_bytes=10_000)

    async def main():
        for number in range(1000):
            await channels.publish(f"topic {number}", "x")
            async with (
                channels.subscribe(f"topic {number}"),
                channels.watch("x"),
                channels.join(f"topic {number}", "ann"),
            ):
                pass
        assert len(await channels.history("topic 999")) == 1

    run(main())
    assert channels._history.size <= 10_000
    assert len(channels._history._topics) < 20
    assert len(channels._history._forgotten) < 20
    assert not channels._subscriptions
    assert not channels._watches
    assert not channels._presence._topics
    assert not channels._presence._joins


def test_the_joins_of_an_owner_end_together():
    presence = Presence()
    ann, bob = Member("ann"), Member("bob")
    assert presence.add("one", Join("a", 1, ann)) == MemberChange("a", "join", ann)
    assert presence.add("two", Join("a", 1, ann)) is None
    assert presence.add("one", Join("b", 2, bob)) == MemberChange("b", "join", bob)
    assert presence.remove_owner("one") == [MemberChange("b", "leave", bob)]
    assert presence.remove("one", 1) is None
    assert presence.members("a") == [ann]
    assert presence.remove("two", 1) == MemberChange("a", "leave", ann)
    assert presence.members("a") == []


def test_who_does_not_read_changes_is_ended():
    channels = MemoryChannels()

    async def main():
        async with channels.watch("a") as changes:
            for _ in range(_MAX_CHANGES):
                async with channels.join("a", "ann"):
                    pass
            assert len([each async for each in changes]) == _MAX_CHANGES

    run(main())


def test_messages_that_come_while_the_past_is_fetched_are_neither_lost_nor_twice():
    class Slow(MemoryChannels):
        async def _replay(self, subscription):
            for number in range(4):
                await self.publish("a", str(number))
            replay = await super()._replay(subscription)
            for number in range(4, 6):
                await self.publish("a", str(number))
            return replay

    async def main():
        async with Slow().subscribe("a", history=3, queue=8) as events:
            assert await data_of(events, 5) == ["1", "2", "3", "4", "5"]
            assert events.take() == []

    run(main())


def test_who_cannot_be_attached_is_not():
    class Broken(MemoryChannels):
        async def _replay(self, subscription):
            raise OSError

        async def attach_watch(self, watch):
            await super().attach_watch(watch)
            raise OSError

    channels = Broken()

    async def main():
        for manager in (channels.subscribe("a"), channels.watch("a")):
            with pytest.raises(OSError):
                await manager.__aenter__()

    run(main())
    assert not channels._subscriptions
    assert not channels._watches


@pytest.mark.parametrize("options", [{"history": -1}, {"max_bytes": -1}])
def test_options_that_are_none(options):
    with pytest.raises(ConfigurationError, match="0 or more"):
        MemoryChannels(**options)
