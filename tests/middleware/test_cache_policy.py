"""`cache(...)`: RFC 9111 §5.2.2, §5.3, RFC 5861, RFC 8246."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from httpkit import App, ConfigurationError, Request, Response, Router
from httpkit.middleware import cache
from httpkit.semantics.dates import format_http_date
from tests.app.conftest import ask, text

NOW = 784_111_777.0


def policy(*args, **options):
    return cache(*args, clock=lambda: NOW, **options)


def control(response):
    return response.headers.get("cache-control")


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"max_age": 60}, "max-age=60"),
        ({"max_age": 0, "must_revalidate": True}, "must-revalidate, max-age=0"),
        ({"no_cache": True}, "no-cache"),
        ({"no_store": True}, "no-store"),
        ({"max_age": 1, "private": True, "no_transform": True}, "private, no-transform, max-age=1"),
        ({"max_age": 1, "s_maxage": 2, "immutable": True}, "immutable, max-age=1, s-maxage=2"),
        (
            {"max_age": 60, "public": True, "stale_while_revalidate": 30, "stale_if_error": 90},
            "public, max-age=60, stale-while-revalidate=30, stale-if-error=90",
        ),
    ],
)
def test_rfc9111_5_2_2_what_is_written(options, field):
    app = App(middleware=[policy(**options)])
    app.get("/")(lambda request: "x")
    response = ask(app)
    assert control(response) == field
    expected = format_http_date(NOW + options["max_age"]) if "max_age" in options else None
    assert response.headers.get("expires") == expected  # §5.3


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"max_age": -1},
        {"max_age": 30.0},  # RFC 9111 §1.2.2: seconds have no fraction
        {"stale_if_error": timedelta(days=1)},
        {"public": True, "private": True},
        {"private": True, "s_maxage": 1},
        {"no_store": True, "max_age": 1},
        {"no_cache": True, "immutable": True},
        {"must_revalidate": True, "stale_if_error": 1},
    ],
)
def test_what_makes_no_sense_is_refused_at_once(options):
    with pytest.raises(ConfigurationError, match="cache"):
        cache(**options)


# --- where it can stand --------------------------------------------------------------------------


def test_it_decorates_every_kind_of_handler():
    class Handler:
        async def __call__(self, request: Request, name: str) -> str:
            return name

    app = App()

    @app.get("/async/{name}")
    @policy(60)
    async def asynchronous(request: Request, name: str) -> str:
        return name

    @app.get("/plain/{name}")
    @policy(60)
    def plain(request: Request, name: str) -> str:
        return name

    @app.get("/thread/{name}", thread=True)
    @policy(60)
    def thread(request: Request, name: str) -> str:
        return name

    @app.get("/stream/{name}")
    @policy(60)
    async def stream(request: Request, name: str) -> AsyncIterator[str]:
        yield name

    app.get("/object/{name}")(policy(60)(Handler()))
    for kind in ("async", "plain", "thread", "object"):
        response = ask(app, target=f"/{kind}/a")
        assert (text(response), control(response)) == ("a", "max-age=60")
    assert control(ask(app, target="/stream/a")) == "max-age=60"
    assert plain.__name__ == "plain"
    assert "test_cache_policy.py" in app.routes()[0].source


def test_it_is_the_middleware_of_routes_routers_and_mounts():
    app = App()
    app.get("/route", middleware=[policy(1)])(lambda request: "x")
    router = Router("/router", middleware=[policy(2)])
    router.get("/x")(lambda request: "x")
    app.include(router)
    mounted = Router(middleware=[policy(3)])
    mounted.get("/x")(lambda request: "x")
    app.mount("/mount", mounted)
    paths = ("/route", "/router/x", "/mount/x")
    assert [control(ask(app, target=path)) for path in paths] == [f"max-age={n}" for n in (1, 2, 3)]
    assert control(ask(app, target="/mount/missing")) is None


# --- whose word counts ---------------------------------------------------------------------------


def test_the_innermost_word_counts():
    app = App(middleware=[policy(1)])
    own = Response("x", headers={"cache-control": "no-cache", "expires": "0"})
    app.get("/own")(lambda request: own)
    app.get("/inner", middleware=[policy(2)])(lambda request: "x")
    assert (control(ask(app, target="/own")), own.headers["expires"]) == ("no-cache", "0")
    assert control(ask(app, target="/inner")) == "max-age=2"


def test_a_handlers_expires_stays():
    app = App(middleware=[policy(1)])
    app.get("/")(lambda request: Response("x", headers={"expires": "0"}))
    assert ask(app).headers["expires"] == "0"


def test_an_answer_with_a_cookie_is_private():
    app = App(middleware=[policy(60, public=True, s_maxage=90)])

    def login(request: Request) -> Response:
        response = Response("x")
        response.set_cookie("a", "b")
        return response

    app.get("/")(login)
    assert control(ask(app)) == "private, max-age=60"


@pytest.mark.parametrize("status", [400, 404, 500])
def test_errors_are_not_to_be_kept(status):
    app = App(middleware=[policy(60)])
    app.route("/", ["GET", "POST"])(lambda request: Response("x", status))
    assert control(ask(app)) is None


def test_only_reads_are_to_be_kept():
    app = App(middleware=[policy(60)])
    app.post("/")(lambda request: "x")
    app.get("/")(lambda request: "x")
    assert control(ask(app, "POST")) is None
    assert control(ask(app, "HEAD")) == "max-age=60"


def test_what_an_application_keeps_is_not_changed():
    kept = Response("x")
    app = App(middleware=[policy(60)])
    app.get("/")(lambda request: kept)
    assert control(ask(app)) == "max-age=60"
    assert control(kept) is None
