"""`app.static`: what is kept in memory, when the disk is looked at, and what is forgotten."""

import asyncio
import os
import threading

import pytest

from httpkit.app import App
from httpkit.static import files, memory

from .conftest import make_request
from .static_site import Site, content


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def test_a_second_request_does_not_look_at_the_disk(site):
    site.write("a", b"1")

    async def main():
        for _ in range(3):
            assert (await site.ask("/a")).body == b"1"
            site.now += 0.3
        assert site.opened == ["a"]

    asyncio.run(main())


@pytest.mark.parametrize("change", ["content", "replaced", "same-size-and-time", "gone", "link"])
def test_a_change_is_seen_after_the_interval(site, change):
    path = site.write("a", b"1")

    async def main():
        assert (await site.ask("/a")).body == b"1"
        info = path.stat()
        if change == "content":
            site.write("a", b"22")
        elif change == "replaced":
            site.write("b", b"22").rename(path)
        elif change == "same-size-and-time":
            path.write_bytes(b"2")
            os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))  # the time of change tells
        elif change == "gone":
            path.unlink()
        else:
            site.write("b", b"22")
            path.unlink()
            path.symlink_to("b")
        assert (await site.ask("/a")).body == b"1"
        site.now += 1
        if change == "gone":
            assert await site.status("/a") == 404
        else:
            assert (await site.ask("/a")).body in (b"22", b"2")

    asyncio.run(main())


def test_what_has_not_changed_is_kept_for_another_interval(site):
    site.write("a", b"1")

    async def main():
        for _ in range(5):
            assert (await site.ask("/a")).body == b"1"
            site.now += 1
        assert site.opened == ["a"]

    asyncio.run(main())


def test_one_look_is_for_everything_that_was_used(site, monkeypatch):
    """And for all who wait for it at once."""
    names = [f"f{n}" for n in range(20)]
    for name in names:
        site.write(name, name.encode())
    looks = []
    find = site.memory._find_changed
    monkeypatch.setattr(
        site.memory, "_find_changed", lambda due: looks.append(sorted(due)) or find(due)
    )

    async def main():
        for name in names:
            await site.ask(f"/{name}")
        site.now += 1
        answers = await asyncio.gather(*(site.ask(f"/{name}") for name in names))
        assert [answer.body.decode() for answer in answers] == names
        assert looks == [sorted(names)]
        assert len(site.opened) == len(names)
        for _ in range(2):
            site.now += 1
            await site.ask("/f0")
        assert looks[2:] == [["f0"]]  # the others were not asked for since the look before

    asyncio.run(main())


def test_a_client_that_leaves_takes_the_look_from_nobody(site):
    site.write("a", b"1")

    async def main():
        await site.ask("/a")
        site.now += 1
        started, go_on = threading.Event(), threading.Event()
        find = site.memory._find_changed

        def wait(due):
            started.set()
            assert go_on.wait(10)
            return find(due)

        site.memory._find_changed = wait
        first = asyncio.create_task(site.ask("/a"))
        second = asyncio.create_task(site.ask("/a"))
        await asyncio.to_thread(started.wait, 10)
        first.cancel()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert (await second).body == b"1"
        assert site.opened == ["a"]

    asyncio.run(main())


def test_a_new_sibling_is_found(tmp_path):
    site = Site(tmp_path, precompressed=True)
    site.write("a.js", b"script")

    async def main():
        assert (await site.ask("/a.js", ("accept-encoding", "gzip"))).body == b"script"
        site.write("a.js.gz", b"GZ")
        site.now += 1
        assert (await site.ask("/a.js", ("accept-encoding", "gzip"))).body == b"GZ"

    asyncio.run(main())


# --- bounds --------------------------------------------------------------------------------------


def test_memory_is_bounded_and_what_is_used_stays(tmp_path):
    site = Site(tmp_path, memory=100_000)
    for n in range(30):
        site.write(f"f{n}", bytes(5_000))

    async def main():
        for n in range(30):
            await site.ask(f"/f{n}")
            await site.ask("/f0")
            assert site.memory.size <= 100_000
        assert site.opened.count("f0") == 1
        assert sum(f"f{n}" in site.memory for n in range(30)) == 8

    asyncio.run(main())


def test_no_memory_at_all(tmp_path):
    site = Site(tmp_path, memory=0)
    site.write("a", b"1")

    async def main():
        for _ in range(2):
            assert (await site.ask("/a")).body == b"1"
        assert site.opened == ["a", "a"]

    asyncio.run(main())


def test_a_file_that_would_take_too_much_of_it_is_not_kept(tmp_path):
    site = Site(tmp_path, memory=100_000)
    site.write("a", bytes(50_000))
    asyncio.run(site.ask("/a"))
    assert "a" not in site.memory


def test_open_files_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_MAX_IN_MEMORY", 10)
    monkeypatch.setattr(memory, "_MAX_OPEN_FILES", 4)
    site = Site(tmp_path)
    for n in range(10):
        site.write(f"f{n}", bytes(100))

    async def main():
        before = len(os.listdir("/dev/fd"))
        for n in range(10):
            assert await content(await site.ask(f"/f{n}")) == bytes(100)
        assert len(os.listdir("/dev/fd")) <= before + 4

    asyncio.run(main())


def test_an_open_file_that_nobody_uses_is_closed(tmp_path, monkeypatch):
    """A deleted file would keep its space on the disk otherwise."""
    monkeypatch.setattr(files, "_MAX_IN_MEMORY", 10)
    site = Site(tmp_path)
    site.write("used", bytes(100))
    site.write("unused", bytes(100))
    site.write("small", b"1")

    async def main():
        for name in ("used", "unused", "small"):
            await content(await site.ask(f"/{name}"))
        timer = site.memory._timer
        assert timer is not None
        site.now += 1.5
        await content(await site.ask("/used"))
        site.now += 1
        timer.cancel()
        site.memory._close_unused()
        assert [name in site.memory for name in ("used", "unused", "small")] == [True, False, True]
        assert site.memory._timer is not None
        site.now += 3
        site.memory._timer.cancel()
        site.memory._close_unused()
        assert "used" not in site.memory
        assert site.memory._timer is None

    asyncio.run(main())


def test_an_answer_keeps_its_file_when_the_memory_lets_go(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_MAX_IN_MEMORY", 10)
    site = Site(tmp_path)
    site.write("a", bytes(100))

    async def main():
        answer = await site.ask("/a")
        site.memory.drop("a")
        assert await content(answer) == bytes(100)

    asyncio.run(main())


# --- shortcuts -----------------------------------------------------------------------------------


def known(app):
    return {target for known in app._static.values() for target in known}


def test_what_is_kept_is_found_by_its_target(site):
    site.write("docs/a b.css", b"1")
    site.write("docs/index.html", b"2")

    async def main():
        for target in ("/docs/a%20b.css", "/docs/", "/docs/index.html"):
            for _ in range(2):
                assert await site.status(target) == 200
        assert known(site.app) == {b"/docs/a%20b.css", b"/docs/", b"/docs/index.html"}
        request = make_request("GET", "/docs/a%20b.css")
        site.app.handle(request)
        assert request.path_params == {"path": "docs/a b.css"}
        assert request.route.pattern == "/{path:path}"
        site.memory.drop("docs/")
        assert known(site.app) == {b"/docs/a%20b.css", b"/docs/index.html"}

    asyncio.run(main())


def test_only_one_spelling_is_learned(site):
    site.write("a", b"1")

    async def main():
        for target in ("/%61", "/./a", "/x/../a", "/a?b", "/a?c"):
            for _ in range(2):
                assert await site.status(target) == 200
        assert known(site.app) == set()
        assert await site.status("/a") == 200
        assert known(site.app) == set()  # it was kept before, under another spelling

    asyncio.run(main())


def test_methods_are_learned_one_by_one(site):
    site.write("a", b"1")

    async def main():
        assert (await site.ask("/a", method="HEAD")).status == 200
        assert site.app._static["HEAD"].keys() == {b"/a"}
        assert (await site.ask("/a")).body == b"1"
        assert (await site.ask("/a", method="POST")).status == 405

    asyncio.run(main())


def test_parameters_of_hosts_are_not_learned(tmp_path):
    inner, app = Site(tmp_path, prefix="/s"), App()
    inner.write("a", b"1")
    app.host("{tenant}.example.com", inner.app)
    seen = []

    @inner.app.middleware
    async def note(request, next):
        seen.append(request.path_params)
        return await next(request)

    async def main():
        for tenant in ("x", "y"):
            answer = app.handle(
                make_request("GET", "/s/a", authority=f"{tenant}.example.com".encode())
            )
            assert (await answer).body == b"1"

    asyncio.run(main())
    assert seen == [{"path": "a", "tenant": "x"}, {"path": "a", "tenant": "y"}]


def test_middleware_sees_every_request(tmp_path):
    seen = []

    async def note(request, next):
        response = await next(request)
        response.headers["x-seen"] = str(len(seen))
        seen.append(request.path_params["path"])
        return response

    site = Site(tmp_path, middleware=[note])
    site.write("a", b"1")

    async def main():
        marks = [(await site.ask("/a")).headers["x-seen"] for _ in range(3)]
        assert marks == ["0", "1", "2"]

    asyncio.run(main())
    assert seen == ["a", "a", "a"]


def test_parts_are_remembered_and_not_mixed_up(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_MAX_IN_MEMORY", 10)
    data = os.urandom(100_000)
    site = Site(tmp_path)
    site.write("a", data)

    async def main():
        for start in (*range(40), *range(40), 0, 0):  # more than are remembered
            for length in (5, 50_000):
                field = f"bytes={start}-{start + length - 1}"
                answer = await site.ask("/a", ("range", field))
                assert answer.status == 206
                assert answer.headers["content-range"] == f"{field.replace('=', ' ')}/100000"
                assert await content(answer) == data[start : start + length]
            answer = await site.ask("/a", ("range", "bytes=0-9,90000-90009"))
            assert (await content(answer)).count(data[:10]) == 1
        assert len((await site.ask("/a")).headers) == 5
        assert await site.status("/a", ("range", "bytes=100000-")) == 416
        assert await content(await site.ask("/a")) == data

    asyncio.run(main())
    assert site.opened == ["a"]


def test_a_remembered_part_is_that_of_the_file_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_MAX_IN_MEMORY", 10)
    site = Site(tmp_path)

    async def main():
        for data in (b"a" * 50_000, b"b" * 60_000):
            site.write("a", data)
            site.now += 1
            for _ in range(2):
                answer = await site.ask("/a", ("range", "bytes=0-29999"))
                assert answer.headers["content-range"] == f"bytes 0-29999/{len(data)}"
                assert await content(answer) == data[:30_000]

    asyncio.run(main())
