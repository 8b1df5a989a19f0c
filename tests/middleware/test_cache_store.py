"""The contract of stores, over each of them, and what the one in memory promises beyond it."""

import asyncio

import pytest
import redis.asyncio

from httpkit import ConfigurationError
from httpkit.headers import Headers
from httpkit.middleware import MemoryStore, StoredResponse, VaryBy
from httpkit.middleware.cache_entries import decode_entry, encode_entry
from httpkit.middleware.redis_store import RedisStore
from tests.app.conftest import make_request

from .conftest import NOW, Site, status_of

A, B = "/a http://example.com", "/b http://example.com"


def entry(body: bytes = b"x", *tags: str) -> StoredResponse:
    return StoredResponse(
        200,
        Headers.of({"etag": '"1"', "cache-control": "max-age=60", "x": "\xff"}),
        body,
        received=NOW,
        initial_age=1.5,
        lifetime=60,
        tags=tags,
    )


def facts(each: StoredResponse) -> tuple:
    return (
        each.status,
        each.headers,
        each.body,
        each.received,
        each.initial_age,
        each.lifetime,
        each.tags,
    )


def run(store, *calls):
    """The results of calls of methods: `("get", A, "")`."""

    async def main():
        try:
            return [await getattr(store, name)(*arguments) for name, *arguments in calls]
        finally:
            if isinstance(store, RedisStore):
                await store.close()  # its connections belong to this loop

    return asyncio.run(main())


async def flush(url):
    async with redis.asyncio.Redis.from_url(url) as client:
        await client.flushall()


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.system)])
def store(request, clock):
    if request.param == "memory":
        return MemoryStore(clock=clock)
    url = f"unix://{request.getfixturevalue('redis_socket')}"
    asyncio.run(flush(url))
    return RedisStore.from_url(url, timeout=10, clock=clock)


# --- the contract --------------------------------------------------------------------------------


def test_what_is_kept_can_be_had(store):
    kept = entry(b"\x00\xff" * 1000, "t")
    stored, found, other, variant = run(
        store, ("set", A, "", kept, 60), ("get", A, ""), ("get", B, ""), ("get", A, "v")
    )
    assert stored is True
    assert facts(found) == facts(kept)
    assert other is variant is None


def test_a_url_has_variants(store):
    calls = [
        ("set", A, "", VaryBy(("accept",)), 60),
        ("set", A, "one", entry(b"1"), 60),
        ("set", A, "two", entry(b"2"), 60),
        ("get", A, ""),
        ("get", A, "one"),
        ("get", A, "two"),
    ]
    *_, marker, one, two = run(store, *calls)
    assert marker == VaryBy(("accept",))
    assert (one.body, two.body) == (b"1", b"2")


def test_the_last_one_counts(store):
    calls = [("set", A, "", entry(b"1", "old"), 60), ("set", A, "", entry(b"2"), 60)]
    *_, found, tagged = run(store, *calls, ("get", A, ""), ("delete_tag", "old"))
    assert found.body == b"2"
    assert tagged in (0, 1)  # a store may remember tags longer than entries


def test_an_entry_ends(store, clock):
    run(store, ("set", A, "", entry(), 10))
    clock.turn(9)
    assert run(store, ("get", A, ""))[0] is not None
    clock.turn(1)
    assert run(store, ("get", A, "")) == [None]


def test_no_time_at_all_is_not_kept(store):
    assert run(store, ("set", A, "", entry(), 0), ("get", A, "")) == [False, None]


def test_a_key_is_deleted_with_its_variants(store):
    calls = [
        ("set", A, "", VaryBy(("accept",)), 60),
        ("set", A, "v", entry(), 60),
        ("set", B, "", entry(), 60),
        ("delete", A),
        ("delete", A),
        ("get", A, ""),
        ("get", A, "v"),
        ("get", B, ""),
    ]
    *_, first, second, marker, variant, other = run(store, *calls)
    assert (first, second, marker, variant) == (1, 0, None, None)
    assert other is not None


def test_a_prefix_is_deleted(store):
    keys = ["/a/1 http://x", "/a/2 http://x", "/ab http://x", "/a*[?]\\ http://x"]
    run(store, *[("set", key, "", entry(), 60) for key in keys])
    assert run(store, ("delete_prefix", "/a/")) == [2]
    assert run(store, ("delete_prefix", "/a*[?]\\")) == [1]  # nothing of it is a pattern
    assert run(store, ("get", keys[2], ""))[0] is not None
    assert run(store, ("delete_prefix", "/")) == [1]


def test_a_tag_is_deleted(store):
    calls = [
        ("set", A, "one", entry(b"1", "t", "u"), 60),
        ("set", A, "two", entry(b"2", "t"), 60),
        ("set", B, "", entry(b"3", "u"), 60),
        ("delete_tag", "t"),
        ("delete_tag", "t"),
        ("get", A, "one"),
        ("get", A, "two"),
        ("get", B, ""),
        ("delete_tag", "u"),
    ]
    *_, first, second, one, two, other, last = run(store, *calls)
    assert (first, second, one, two, last) == (1, 0, None, None, 1)
    assert other is not None


def test_a_tag_that_is_gone_from_all_variants_but_one_stays(store):
    calls = [
        ("set", A, "one", entry(b"1", "t"), 60),
        ("set", A, "two", entry(b"2", "t"), 60),
        ("set", A, "one", entry(b"3"), 60),
        ("delete_tag", "t"),
        ("get", A, "two"),
    ]
    assert run(store, *calls)[-2:] == [1, None]


# --- entries as bytes ----------------------------------------------------------------------------


def test_entries_survive_as_bytes():
    kept = entry(b"\x00\xff", "t")
    assert facts(decode_entry(encode_entry(kept))) == facts(kept)
    assert decode_entry(encode_entry(VaryBy(("a", "b")))) == VaryBy(("a", "b"))


@pytest.mark.parametrize("data", [b"", b"\xff", b"garbage", encode_entry(entry())[:-1]])
def test_bytes_of_another_kind_are_no_entry(data):
    assert decode_entry(data) is None


# --- memory --------------------------------------------------------------------------------------


def test_memory_is_bounded_and_the_least_recently_used_goes_first(clock):
    store = MemoryStore(10_000, max_entry=5000, clock=clock)
    size = entry(b"x" * 500).size + 2 * len(A)
    fits = 10_000 // size
    keys = [f"/{n:<20}" for n in range(fits + 1)]  # as long as A is
    run(store, *[("set", key, "", entry(b"x" * 500), 60) for key in keys[:fits]])
    assert store.size == fits * size
    run(store, ("get", keys[0], ""), ("set", keys[fits], "", entry(b"x" * 500), 60))
    assert store.size == fits * size
    found = run(store, *[("get", key, "") for key in keys])
    assert [each is None for each in found] == [n == 1 for n in range(fits + 1)]
    run(store, ("delete_prefix", "/"))
    assert store.size == 0


def test_one_entry_does_not_push_all_others_out(clock):
    store = MemoryStore(100_000, clock=clock)
    run(store, ("set", A, "", entry(), 60))
    assert run(store, ("set", B, "", entry(b"x" * 10_000), 60)) == [False]
    assert run(store, ("get", A, ""))[0] is not None


def test_other_entries_of_a_tag_keep_it(clock):
    store = MemoryStore(clock=clock)
    calls = [("set", A, "", entry(b"1", "t"), 60), ("set", B, "", entry(b"2", "t"), 60)]
    assert run(store, *calls, ("delete", A), ("delete_tag", "t"))[-2:] == [1, 1]


def test_nor_do_the_variants_of_one_url(clock):
    store = MemoryStore(clock=clock)
    run(store, ("set", A, "", VaryBy(("user-agent",)), 60))
    run(store, *[("set", A, str(n), entry(), 60) for n in range(1, 200)])
    assert run(store, ("get", A, ""))[0] is not None
    assert run(store, ("get", A, "1")) == [None]
    assert run(store, ("get", A, "199"))[0] is not None
    assert store.size < 70 * entry().size


def test_variants_of_the_newest_key_make_room_too(clock):
    size = entry(b"x" * 500).size
    store = MemoryStore(3 * size, max_entry=2 * size, clock=clock)
    run(store, *[("set", A, str(n), entry(b"x" * 500), 60) for n in range(3)])
    found = run(store, *[("get", A, str(n)) for n in range(3)])
    assert [each is None for each in found] == [True, False, False]


def test_what_has_ended_frees_its_room(clock):
    store = MemoryStore(clock=clock)
    run(store, ("set", A, "", entry(b"x", "t"), 10))
    clock.turn(10)
    run(store, ("get", A, ""))
    assert store.size == 0
    assert run(store, ("delete_tag", "t")) == [0]


@pytest.mark.parametrize("call", [("get", "/z", ""), ("set", "/z", "", entry(), 60)])
def test_what_has_ended_frees_its_room_though_nobody_asks_for_it(clock, call):
    store = MemoryStore(clock=clock)
    run(store, ("set", A, "", entry(b"x", "t"), 10), ("set", B, "", entry(), 20))
    clock.turn(10)
    run(store, call)
    assert run(store, ("delete_tag", "t"), ("delete", A), ("delete", B)) == [0, 0, 1]


def test_what_was_stored_anew_does_not_end_with_what_it_replaced(clock):
    store = MemoryStore(clock=clock)
    run(store, ("set", A, "", entry(b"1"), 10), ("set", A, "", entry(b"2"), 60))
    clock.turn(10)
    run(store, ("set", B, "", entry(), 60))
    assert run(store, ("get", A, ""))[0].body == b"2"


def test_one_call_does_not_pay_for_all_that_has_ended(clock):
    store = MemoryStore(clock=clock)
    run(store, *[("set", f"/{n}", "", entry(), 10) for n in range(1000)])
    full = store.size
    clock.turn(10)
    run(store, ("get", "/none", ""))
    assert 0.9 * full < store.size < full
    assert run(store, ("get", "/999", "")) == [None]  # whether it was its turn or not
    run(store, *[("get", "/none", "")] * 40)
    assert store.size == 0


def test_what_is_stored_again_and_again_leaves_nothing_behind(clock):
    store = MemoryStore(clock=clock)
    for _ in range(1000):
        run(store, ("set", A, "", entry(), 86_400))
        clock.turn(1)
    assert len(store._ends) < 100
    assert run(store, ("get", A, ""))[0] is not None


@pytest.mark.parametrize("options", [{"max_bytes": 0}, {"max_entry": 0}])
def test_a_store_without_room_is_refused(options):
    with pytest.raises(ConfigurationError, match="room"):
        MemoryStore(**options)


# --- Redis ---------------------------------------------------------------------------------------


def test_without_redis_nothing_is_stored_and_that_is_said_once(tmp_path, caplog):
    store = RedisStore.from_url(f"unix://{tmp_path}/nobody")
    calls = [("get", A, ""), ("set", A, "", entry(), 60), ("get", A, "")]
    assert run(store, *calls) == [None, False, None]
    assert caplog.text.count("goes on without Redis") == 1
    for call in (("delete", A), ("delete_prefix", "/"), ("delete_tag", "t")):
        with pytest.raises(redis.RedisError):
            run(store, call)


def test_what_is_too_large_is_not_sent(tmp_path):
    store = RedisStore.from_url(f"unix://{tmp_path}/nobody", max_entry=10)
    assert run(store, ("set", A, "", entry(), 60)) == [False]


@pytest.fixture
def redis_store(redis_socket, clock):
    url = f"unix://{redis_socket}"
    asyncio.run(flush(url))
    return RedisStore.from_url(url, timeout=10, clock=clock)


@pytest.mark.system
def test_many_at_once_wait_for_their_turn(redis_store):
    async def main():
        assert await redis_store.set(A, "", entry(b"x"), 60)
        found = await asyncio.gather(*[redis_store.get(A, "") for _ in range(300)])
        await redis_store._client.aclose()
        return found

    assert None not in asyncio.run(main())


@pytest.mark.system
def test_a_prefix_is_deleted_page_by_page(redis_store, redis_socket):
    keys = [f"/{'notes' if n % 2 else 'other'}/{n} http://h" for n in range(3000)]
    commands = []
    execute = redis_store._client.execute_command

    async def note(*arguments, **options):
        commands.append(arguments[0])
        return await execute(*arguments, **options)

    redis_store._client.execute_command = note
    sets = [("set", key, "", entry(), 60) for key in keys]
    results = run(redis_store, *sets, ("delete_prefix", "/notes/"), ("delete_prefix", "/other/"))
    assert results[-2:] == [1500, 1500]
    assert commands.count("DEL") <= commands.count("SCAN") <= 10


@pytest.mark.system
def test_everything_there_ends(redis_store, redis_socket):
    """What is forgotten here must not stay there: entries, tags, and what they outlive."""
    calls = [("set", A, "one", entry(b"1", "t"), 100), ("set", A, "two", entry(b"2", "t"), 1000)]
    run(redis_store, *calls, ("set", A, "three", entry(), 10))

    async def lives():
        async with redis.asyncio.Redis.from_url(f"unix://{redis_socket}") as client:
            return {await client.ttl(name) async for name in client.scan_iter()}

    assert all(990 < each <= 1001 for each in asyncio.run(lives()))


@pytest.mark.system
def test_variants_there_are_bounded_too(redis_store):
    calls = [("set", A, str(n), entry(), 60) for n in range(1, 66)]
    assert run(redis_store, *calls) == [True] * 64 + [False]
    assert run(redis_store, ("get", A, "1")) == [None]


@pytest.mark.system
@pytest.mark.parametrize("data", [b"", b"short", b"x" * 100])
def test_what_others_have_written_there_is_no_entry(redis_store, redis_socket, data):
    async def write():
        async with redis.asyncio.Redis.from_url(f"unix://{redis_socket}") as client:
            await client.hset(f"httpkit:url:{A}", "", data)

    asyncio.run(write())
    assert run(redis_store, ("get", A, "")) == [None]


@pytest.mark.system
def test_two_machines_share_what_one_has_computed(redis_socket, clock):
    """And an invalidation by one of them holds for both."""
    url = f"unix://{redis_socket}"
    asyncio.run(flush(url))

    async def main():
        stores = [RedisStore.from_url(url, timeout=10, clock=clock) for _ in range(2)]
        one, two = (Site(clock, store=store) for store in stores)
        first = await one.call(make_request("GET", "/a"))
        second = await two.call(make_request("GET", "/a"))
        assert (second.body, status_of(second)) == (first.body, "httpkit; hit; ttl=60")
        assert await two.cache.invalidate_prefix("/a") == 1
        assert status_of(await one.call(make_request("GET", "/a"))).endswith("stored")
        for store in stores:
            await store.close()

    asyncio.run(main())


@pytest.mark.system
def test_what_is_stored_while_its_tag_is_invalidated_keeps_the_tag(redis_store):
    async def main() -> None:
        for _ in range(50):
            stored = redis_store.set(A, "", entry(b"x", "t"), 60)
            await asyncio.gather(redis_store.delete_tag("t"), stored)
            there = await redis_store.get(A, "") is not None
            assert await redis_store.delete_tag("t") == there
            assert await redis_store.get(A, "") is None
        await redis_store.close()

    asyncio.run(main())
