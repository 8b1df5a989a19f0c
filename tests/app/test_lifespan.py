"""The lifespan: what starts and ends with an app, and in which order."""

import asyncio
import sys
import threading
import types
from contextlib import asynccontextmanager, contextmanager

import pytest

from httpkit.app import App
from httpkit.errors import ConfigurationError
from httpkit.routing import Router

from .conftest import make_request


def lifespan_of(name, log):
    @asynccontextmanager
    async def lifespan(app):
        log.append(("enter", name, app))
        yield
        log.append(("leave", name, app))

    return lifespan


def enter(app, inside=None):
    async def run():
        async with app.lifespan() as value:
            assert value is None
            if inside is not None:
                await inside()

    asyncio.run(run())


def test_lifespans_are_entered_from_the_outside_in_and_left_in_reverse():
    log = []
    app = App(lifespan=lifespan_of("app", log))
    router = Router("/r", lifespan=lifespan_of("router", log))
    mounted = App(lifespan=lifespan_of("mounted", log))
    nested = Router(lifespan=lifespan_of("nested", log))
    host = App(lifespan=lifespan_of("host", log))
    mounted.include(nested, prefix="/nested")
    app.include(router, prefix="/a", name="a")
    app.include(router, prefix="/b", name="b")  # the same router: once
    app.mount("/mounted", mounted)
    app.host("example.com", host)
    enter(app)
    expected = [
        ("app", app),
        ("router", app),
        ("mounted", mounted),
        ("nested", mounted),
        ("host", host),
    ]
    assert [entry for entry in log if entry[0] == "enter"] == [("enter", *e) for e in expected]
    assert log[5:] == [("leave", *e) for e in reversed(expected)]


def test_a_lifespan_that_fails_leaves_what_was_entered():
    log = []

    @asynccontextmanager
    async def broken(app):
        raise RuntimeError("no database")
        yield

    app = App(lifespan=lifespan_of("app", log))
    app.include(Router(lifespan=broken))
    with pytest.raises(RuntimeError, match="no database"):
        enter(app)
    assert [entry[:2] for entry in log] == [("enter", "app")]


@contextmanager
def synchronous(app):
    yield


@pytest.mark.parametrize("lifespan", [synchronous, lambda app: None])
def test_a_lifespan_that_gives_something_else(lifespan):
    """`@contextmanager` in the place of `@asynccontextmanager` shows when it is called."""
    with pytest.raises(ConfigurationError, match=r"with @contextlib\.asynccontextmanager"):
        enter(App(lifespan=lifespan))


def test_the_lifespan_finds_mistakes_first():
    log = []
    app = App(lifespan=lifespan_of("app", log))
    app.get("/{x}")(lambda request: "")
    with pytest.raises(ConfigurationError):
        enter(app)
    assert log == []


def test_threads_end_before_what_they_may_need():
    log = []

    @asynccontextmanager
    async def lifespan(app):
        yield
        log.append([worker.is_alive() for worker in workers])

    workers = []
    app, mounted = App(lifespan=lifespan), App()
    mounted.get("/x", thread=True)(lambda request: workers.append(threading.current_thread()))
    app.mount("/m", mounted)

    async def inside():
        await app.handle(make_request("GET", "/m/x"))
        assert workers[0].name.startswith("httpkit-handler")

    enter(app, inside)
    assert log == [[False]]


def test_the_watchdog_ends_with_the_lifespan():
    app = App(debug=True)
    app.get("/")(lambda request: "x")

    async def inside():
        assert "httpkit-watchdog" in {thread.name for thread in threading.enumerate()}

    for _ in range(2):
        enter(app, inside)
        assert "httpkit-watchdog" not in {thread.name for thread in threading.enumerate()}


def test_run_is_the_door_to_the_command_line(monkeypatch):
    calls = []
    module = types.ModuleType("httpkit.cli.run")
    module.run_app = lambda app, **options: calls.append((app, options))
    monkeypatch.setitem(sys.modules, "httpkit.cli.run", module)
    app = App()
    app.run(port=80, workers=2)
    assert calls == [(app, {"host": "127.0.0.1", "port": 80, "workers": 2})]
