"""`ResponseCache`: RFC 9111, RFC 5861, RFC 9211."""

import asyncio
import logging
import tracemalloc
from collections.abc import AsyncIterator

import pytest

from httpkit import App, ConfigurationError, FileBody, HTTPError, Request, Response
from httpkit.middleware import Conditional, MemoryStore, ResponseCache, cache, cache_flights
from httpkit.response import Upgrade
from httpkit.semantics.dates import format_http_date
from tests.app.conftest import make_request

from .conftest import NOW, Site, status_of

NO_CACHE = ("cache-control", "no-cache")


# --- hits and misses -----------------------------------------------------------------------------


def test_rfc9111_4_a_fresh_answer_is_sent_again(site, clock):
    first = site.ask()
    assert status_of(first) == "httpkit; fwd=uri-miss; stored"
    assert "age" not in first.headers
    clock.turn(59.5)
    second = site.ask()
    assert second.body == first.body
    assert status_of(second) == "httpkit; hit; ttl=1"
    assert second.headers["age"] == "59"  # §5.1
    assert second.headers["date"] == format_http_date(NOW)  # RFC 9110 §6.6.1
    assert site.runs == 1
    clock.turn(0.5)
    third = site.ask()
    assert status_of(third) == "httpkit; fwd=stale; stored"
    assert (third.body, site.runs) == (b" 2", 2)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_plain_hit_takes_no_coroutine(site, clock, method):
    request = make_request(method, "/")
    miss = site.app.handle(request)
    assert not isinstance(miss, Response)
    miss.close()
    site.ask()
    hit = site.app.handle(request)
    assert isinstance(hit, Response)
    assert status_of(hit) == "httpkit; hit; ttl=60"
    clock.turn(60)
    stale = site.app.handle(request)
    assert not isinstance(stale, Response)
    stale.close()


@pytest.mark.parametrize(
    "field",
    [NO_CACHE, ("range", "bytes=0-0"), ("if-none-match", "*"), ("authorization", "Basic eDp5")],
)
def test_whatever_asks_for_more_than_a_plain_hit_goes_the_whole_way(site, field):
    site.ask()
    answer = site.app.handle(make_request("GET", "/", field))
    assert not isinstance(answer, Response)
    answer.close()


def test_a_clock_that_is_set_back_makes_nothing_fresh_again(site, clock):
    site.fields = {"cache-control": "max-age=60", "age": "61", "etag": '"a"'}
    site.ask()
    clock.turn(-120)
    assert status_of(site.ask()).startswith("httpkit; fwd=stale")


def test_a_store_of_ones_own_needs_no_more_than_to_be_awaited(clock):
    class Slow:
        def __init__(self):
            self.memory = MemoryStore(clock=clock)

        async def get(self, key, variant):
            await asyncio.sleep(0)
            return await self.memory.get(key, variant)

        async def set(self, key, variant, entry, seconds):
            return await self.memory.set(key, variant, entry, seconds)

    site = Site(clock, store=Slow())
    site.ask()
    assert status_of(site.ask()) == "httpkit; hit; ttl=60"
    assert site.runs == 1


def test_rfc9111_4_2_3_an_answer_may_be_old_when_it_comes(site, clock):
    """From an origin behind the handler, say."""
    site.fields = {"cache-control": "max-age=60", "date": format_http_date(NOW - 20), "age": "5"}
    site.ask()
    clock.turn(10)
    response = site.ask()
    assert status_of(response) == "httpkit; hit; ttl=30"
    assert response.headers.getlist("age") == ["30"]
    assert response.headers.getlist("date") == [format_http_date(NOW - 20)]


def test_hits_of_one_second_share_their_bytes(site, clock):
    site.ask()
    one, two = site.ask(), site.ask()
    assert one is not two
    assert one.wire is two.wire
    assert one.raw_headers is two.raw_headers
    clock.turn(1)
    assert site.ask().wire is not one.wire


def test_rfc9111_2_the_key_is_the_whole_url(site):
    targets = ["/", "/a", "/a?b", "/a?c", "/A"]
    for target in targets:
        assert status_of(site.ask(target)) == "httpkit; fwd=uri-miss; stored"
    for target in targets:
        assert status_of(site.ask(target)).startswith("httpkit; hit")


def test_the_place_where_an_application_is_mounted_is_part_of_its_urls(site, clock):
    """Behind a proxy that cuts `/api` off, links in answers have it, and so has Location."""
    site.fields["cache-control"] = "max-age=60, stale-while-revalidate=60"

    def ask(root: str, method: str = "GET", target: str = "/a") -> str:
        request = make_request(method, target)
        request.root_path = root
        return status_of(asyncio.run(site.call(request)))

    for root in ("/api", "/v2"):
        assert ask(root) == "httpkit; fwd=uri-miss; stored"
        assert str(site.requests[-1].url) == f"http://example.com{root}/a"
    clock.turn(70)
    assert ask("/api") == "httpkit; hit; ttl=-10"
    assert str(site.requests[-1].url) == "http://example.com/api/a"  # revalidated behind the answer
    assert asyncio.run(site.cache.invalidate_prefix("/api/")) == 1
    ask("/api")
    site.fields["location"] = "http://example.com/api/a"  # RFC 9111 §4.4
    ask("/api", "POST", "/b")
    assert ask("/api") == "httpkit; fwd=uri-miss; stored"


def test_hosts_and_schemes_have_answers_of_their_own(site):
    def ask(authority, target="/"):
        return asyncio.run(site.call(make_request("GET", target, authority=authority)))

    ask(b"a.example")
    assert status_of(ask(b"b.example")) == "httpkit; fwd=uri-miss; stored"
    assert status_of(ask(b"A.example")).startswith("httpkit; hit")
    assert status_of(ask(b"a.example", b"http://a.example/")).startswith("httpkit; hit")


def test_rfc9111_3_a_head_is_answered_by_what_a_get_has_stored(site):
    assert status_of(site.ask(method="HEAD")) == "httpkit; fwd=uri-miss; detail=method"
    site.ask()
    response = site.ask(method="HEAD")
    assert status_of(response) == "httpkit; hit; ttl=60"
    assert site.runs == 2


def test_an_app_and_middleware_may_change_hits_without_harm(site):
    site.ask()
    hit = site.ask()
    hit.headers["x"] = "y"
    hit.body, hit.status = b"", 500
    again = site.ask()
    assert (again.status, again.body, "x" in again.headers) == (200, b" 1", False)


def test_a_404_may_be_stored_too(site):
    site.status = 404
    site.ask()
    response = site.ask()
    assert (response.status, status_of(response)) == (404, "httpkit; hit; ttl=60")


# --- what is not stored --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "asked", "detail"),
    [
        ({}, [], "no-lifetime"),
        ({"etag": '"1"'}, [], "no-lifetime"),  # heuristics are for caches of strangers
        ({"cache-control": "no-store"}, [], "no-store"),
        ({"cache-control": "private, max-age=60"}, [], "private"),
        ({"cache-control": "max-age=60", "set-cookie": "a=b"}, [], "set-cookie"),
        ({"cache-control": "max-age=60"}, [("authorization", "Basic x")], "authorization"),
        ({"cache-control": "max-age=60"}, [("cache-control", "no-store")], "no-store"),
        ({"cache-control": "max-age=60", "vary": "*"}, [], "vary"),
        ({"cache-control": "max-age=0"}, [], None),
    ],
)
def test_rfc9111_3_what_must_not_be_stored(site, fields, asked, detail):
    site.fields = fields
    for run in (1, 2):
        response = site.ask("/", *asked)
        if detail is not None:
            assert status_of(response) == f"httpkit; fwd=uri-miss; detail={detail}"
        assert site.runs == run


def test_streams_files_and_trailers_pass(clock, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x")
    app = App(middleware=[ResponseCache(clock=clock), cache(60)])

    @app.get("/stream")
    async def stream(request: Request) -> AsyncIterator[str]:
        yield "x"

    app.get("/file")(lambda request: Response(FileBody(path)))
    app.get("/trailers")(lambda request: Response("x", trailers={"a": "b"}))

    async def ask(target):
        return await app.handle(make_request("GET", target))

    for target in ("/stream", "/file", "/trailers"):
        response = asyncio.run(ask(target))
        assert status_of(response) == "httpkit; fwd=uri-miss; detail=stream"


def test_rfc9111_3_5_what_is_for_everybody_is_shared_with_credentials(site):
    secret = ("authorization", "Basic x")
    site.fields = {"cache-control": "public, max-age=60"}
    assert status_of(site.ask("/a", secret)) == "httpkit; fwd=uri-miss; stored"
    assert status_of(site.ask("/a")) == "httpkit; hit; ttl=60"
    assert status_of(site.ask("/a", secret)) == "httpkit; hit; ttl=60"


def test_an_answer_for_strangers_is_not_for_those_with_credentials(site):
    """They may get another one, though nobody has said `Vary`."""
    site.ask()
    assert site.ask("/", ("authorization", "Basic x")).body == b" 2"
    assert site.ask().body == b" 1"


def test_rfc9111_3_1_fields_of_one_connection_are_not_stored(site):
    site.fields |= {"connection": "x-hop", "x-hop": "1", "x-other": "2", "age": "10"}
    site.fields["cache-control"] = 'max-age=60, no-cache="x-secret"'
    site.fields["x-secret"] = "3"
    assert site.ask().headers["x-secret"] == "3"
    hit = site.ask()
    assert [name in hit.headers for name in ("x-hop", "x-other", "x-secret")] == [0, 1, 0]
    assert hit.headers.getlist("age") == ["10"]  # §4.2.3: it came with an age
    assert status_of(hit) == "httpkit; hit; ttl=50"


def test_configuration_speaks_for_answers_that_say_nothing(clock):
    site = Site(clock, default_max_age=5)
    site.fields = {}
    site.ask()
    assert status_of(site.ask()) == "httpkit; hit; ttl=5"
    clock.turn(5)
    site.ask()
    assert site.runs == 2


# --- RFC 9111 §4.1 -------------------------------------------------------------------------------


def test_rfc9111_4_1_vary(site):
    site.fields["vary"] = "accept-language"
    german, english = ("accept-language", "de"), ("accept-language", "en")
    assert status_of(site.ask("/", german)) == "httpkit; fwd=uri-miss; stored"
    assert status_of(site.ask("/", english)) == "httpkit; fwd=vary-miss; stored"
    assert site.ask("/", german).body == b" 1"
    assert site.ask("/", english).body == b" 2"
    assert site.ask("/", ("accept-language", "DE;q=1")).body == b" 1"
    assert site.ask("/").body == b" 3"


def test_rfc9111_4_1_what_an_answer_varies_by_may_change(site):
    site.fields["vary"] = "accept"
    site.ask("/", ("accept", "a"))
    site.fields["vary"] = "accept-language"
    site.ask("/", ("accept", "b"))
    assert status_of(site.ask("/", ("accept", "a"))) == "httpkit; hit; ttl=60"
    assert site.ask("/", ("accept", "a")).body == b" 2"


# --- RFC 9111 §5.2.1: wishes of clients ----------------------------------------------------------


@pytest.mark.parametrize("wish", ["no-cache", "max-age=0", "max-age=10", "min-fresh=60"])
def test_rfc9111_5_2_1_a_client_wants_it_anew(site, clock, wish):
    site.ask()
    clock.turn(10)
    assert status_of(site.ask("/", ("cache-control", wish))) == "httpkit; fwd=request; stored"
    assert site.ask().body == b" 2"


@pytest.mark.parametrize("wish", ["no-cache", "max-age=10"])
def test_rfc9211_2_2_what_is_stale_is_not_passed_over_for_a_wish(site, clock, wish):
    site.fields = {"cache-control": "max-age=30", "etag": '"1"'}
    site.ask()
    clock.turn(30)
    assert status_of(site.ask("/", ("cache-control", wish))) == "httpkit; fwd=stale; stored"


def test_wishes_may_be_disregarded(clock):
    site = Site(clock, heed_clients=False)
    site.ask("/", ("cache-control", "no-store"))
    assert status_of(site.ask("/", NO_CACHE)) == "httpkit; hit; ttl=60"


def test_rfc9111_5_2_1_2_a_client_takes_a_stale_one(site, clock):
    site.ask()
    clock.turn(70)
    assert status_of(site.ask("/", ("cache-control", "max-stale=10"))) == "httpkit; hit; ttl=-10"


def test_rfc9111_5_2_1_7_only_if_cached(site):
    only = ("cache-control", "only-if-cached")
    response = site.ask("/", only)
    assert (response.status, status_of(response)) == (504, "httpkit; detail=only-if-cached")
    assert site.ask("/", only, ("range", "bytes=0-0")).status == 504
    assert site.runs == 0
    site.ask()
    assert site.ask("/", only).status == 200


# --- RFC 9111 §4.3: validation -------------------------------------------------------------------


def test_rfc9111_4_3_2_the_cache_answers_preconditions(site):
    tag = site.ask().headers["etag"]
    for method in ("GET", "HEAD"):
        response = site.ask("/", ("if-none-match", tag), method=method)
        assert (response.status, response.body) == (304, b"")
        assert response.headers["etag"] == tag
        assert status_of(response) == "httpkit; hit; ttl=60"
    assert site.runs == 1


@pytest.mark.parametrize("name", ["if-match", "if-unmodified-since"])
def test_rfc9111_4_3_2_what_asks_for_the_state_of_the_resource_is_for_the_handler(clock, name):
    site = Site(clock, middleware=[Conditional(clock=clock)])
    site.ask()
    site.fields = {"etag": '"new"', "last-modified": format_http_date(NOW)}
    fine = {"if-match": '"new"', "if-unmodified-since": format_http_date(NOW)}[name]
    wrong = {"if-match": '"old"', "if-unmodified-since": format_http_date(NOW - 1)}[name]
    for value, status in ((fine, 200), (wrong, 412)):
        response = site.ask("/", (name, value))
        assert (response.status, status_of(response)) == (status, "httpkit; fwd=bypass")
    assert status_of(site.ask()) == "httpkit; hit; ttl=60"  # and what is stored stays


def test_rfc9111_4_3_1_the_handler_never_sees_them(site):
    """A 304 could not be stored, and would be no answer for those who wait."""
    response = site.ask("/", ("if-none-match", '"x"'), ("x", "y"))
    assert status_of(response) == "httpkit; fwd=uri-miss; stored"
    assert dict(site.requests[0].headers) == {"x": "y"}
    tag = response.headers["etag"]
    assert site.ask("/new", ("if-none-match", tag)).status == 200
    site.fields = {"cache-control": "max-age=60", "etag": '"mine"'}
    assert site.ask("/mine", ("if-none-match", '"mine"')).status == 304


def validating(clock, **options):
    """A site whose handler checks a tag before it computes anything."""
    site = Site(clock, **options)
    site.version, site.computed = "1", 0

    def handle(request: Request) -> Response:
        site.requests.append(request)
        answer = request.check(etag=site.version)
        if answer is not None:
            answer.headers["cache-control"] = "max-age=30"
            return answer
        site.computed += 1
        return Response(f"computed {site.computed}", headers=site.fields)

    site.app.get("/")(handle)
    return site


def test_rfc9111_4_3_4_a_304_confirms_what_is_stored(clock):
    site = validating(clock)
    assert site.ask().headers["etag"] == '"1"'
    clock.turn(61)
    response = site.ask()
    assert status_of(response) == "httpkit; fwd=stale; fwd-status=304; stored"
    assert (response.status, response.body) == (200, b"computed 1")
    assert response.headers["cache-control"] == "max-age=30"  # §3.2
    assert response.headers["age"] == "0"
    assert site.requests[-1].headers["if-none-match"] == '"1"'
    clock.turn(29)
    assert status_of(site.ask()) == "httpkit; hit; ttl=1"
    clock.turn(2)
    site.version = "2"
    assert site.ask().body == b"computed 2"
    assert site.computed == 2


def test_rfc9111_5_2_2_4_no_cache_is_asked_each_time(clock):
    site = validating(clock)
    site.fields = {"cache-control": "no-cache, max-age=60"}
    site.ask()
    response = site.ask("/", ("if-none-match", '"1"'))
    assert (response.status, status_of(response)) == (
        304,
        "httpkit; fwd=stale; fwd-status=304; stored",
    )
    assert site.computed == 1


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({"set-cookie": "session=1"}, "set-cookie"),
        ({"cache-control": "private"}, "private"),
        ({"cache-control": "no-store"}, "no-store"),
        ({"vary": "*"}, "vary"),
    ],
)
def test_rfc9111_3_a_304_is_not_stored_either_where_its_fields_forbid_it(clock, fields, detail):
    """What is for one client must not reach the others by way of a confirmation."""
    site = Site(clock)

    def handle(request: Request) -> Response:
        site.requests.append(request)
        answer = request.check(etag="1")
        if answer is None:
            return Response("text", headers=site.fields)
        answer.headers.update(fields)
        return answer

    site.app.get("/")(handle)
    site.ask()
    clock.turn(61)
    for runs in (2, 3):
        response = site.ask()
        assert status_of(response) == f"httpkit; fwd=stale; fwd-status=304; detail={detail}"
        assert (response.status, response.body, site.runs) == (200, b"text", runs)
        for name, value in fields.items():
            assert response.headers[name] == value  # for the client whose request it was


@pytest.mark.parametrize("directive", ["private", "no-cache"])
def test_rfc9111_5_2_2_7_what_a_304_has_for_one_client_reaches_that_one(clock, directive):
    site = Site(clock)
    says = f'max-age=60, {directive}="set-cookie"'

    def handle(request: Request) -> Response:
        answer = request.check(etag="1") or Response("text", headers={"etag": '"1"'})
        answer.headers.update({"cache-control": says, "set-cookie": "session=1"})
        return answer

    site.app.get("/")(handle)
    assert site.ask().headers["set-cookie"] == "session=1"
    clock.turn(61)
    response = site.ask()
    assert status_of(response) == "httpkit; fwd=stale; fwd-status=304; stored"
    assert response.headers.getlist("set-cookie") == ["session=1"]
    response = site.ask()
    assert status_of(response) == "httpkit; hit; ttl=60"
    assert "set-cookie" not in response.headers


def test_rfc9111_3_2_a_304_may_change_what_an_answer_varies_by(clock):
    site = validating(clock)
    site.ask()
    clock.turn(61)
    site.fields = {}

    def handle(request: Request) -> Response:
        site.requests.append(request)
        fields = {"vary": "x", "etag": '"1"', "cache-control": "max-age=60"}
        if "if-none-match" in request.headers:
            return Response(b"", 304, fields)
        return Response(request.headers["x"], headers=fields)

    site.app = App(middleware=[site.cache])
    site.app.get("/")(handle)
    assert status_of(site.ask("/", ("x", "1"))) == "httpkit; fwd=stale; fwd-status=304; stored"
    assert site.ask("/", ("x", "2")).body == b"2"
    assert site.ask("/", ("x", "1")).body == b"computed 1"


def test_a_last_modified_confirms_too(clock):
    site = Site(clock)
    date = format_http_date(NOW - 100)

    def handle(request: Request) -> Response:
        site.requests.append(request)
        answer = request.check(last_modified=NOW - 100)
        fields = {"cache-control": "max-age=60", "last-modified": date}
        return answer or Response(b"", headers=fields)

    site.app.get("/")(handle)
    site.ask()
    clock.turn(60)
    assert status_of(site.ask()) == "httpkit; fwd=stale; fwd-status=304; stored"
    assert site.requests[-1].headers["if-modified-since"] == date


def test_conditional_inside_and_outside_agree(clock):
    inside = Site(clock, middleware=[Conditional(clock=clock)])
    tag = inside.ask().headers["etag"]
    assert inside.ask("/", ("if-none-match", tag)).status == 304
    clock.turn(61)
    assert status_of(inside.ask()) == "httpkit; fwd=stale; stored"  # another body, another tag


# --- RFC 5861 ------------------------------------------------------------------------------------


def test_rfc5861_3_a_stale_answer_is_sent_while_a_new_one_is_fetched(site, clock):
    site.fields = {"cache-control": "max-age=60, stale-while-revalidate=30"}
    site.ask()
    clock.turn(65)
    response = site.ask("/", ("x", "y"))
    assert (response.body, status_of(response)) == (b" 1", "httpkit; hit; ttl=-5")
    assert site.runs == 2  # behind it
    assert site.requests[1].headers["x"] == "y"
    assert status_of(site.ask()) == "httpkit; hit; ttl=60"
    clock.turn(90)
    assert status_of(site.ask()) == "httpkit; fwd=stale; stored"


def test_rfc5861_3_one_of_many_revalidates(site, clock):
    site.fields = {"cache-control": "max-age=60, stale-while-revalidate=300"}
    site.ask()
    clock.turn(65)

    async def many() -> list[Response]:
        return [await site.app.handle(make_request()) for _ in range(100)]

    answers = asyncio.run(many())
    assert sum(len(each.background or ()) for each in answers) == 1
    clock.turn(30)  # its client has gone before that was begun
    assert len(asyncio.run(site.app.handle(make_request())).background) == 1


@pytest.mark.parametrize(
    ("method", "fields"), [("HEAD", []), ("GET", [("cache-control", "no-store")])]
)
def test_rfc5861_3_who_cannot_bring_a_new_answer_does_not_try(site, clock, method, fields):
    site.fields = {"cache-control": "max-age=60, stale-while-revalidate=60"}
    site.ask()
    clock.turn(70)
    assert status_of(site.ask("/", *fields, method=method)) == "httpkit; hit; ttl=-10"
    assert site.runs == 1
    site.ask()
    assert site.runs == 2


def test_rfc5861_3_the_request_behind_an_answer_has_no_preconditions(site, clock):
    """A 304 for the client's tag could not be stored."""
    site.fields = {"cache-control": "max-age=60, stale-while-revalidate=60"}
    site.status = 404  # has no tag of the cache's making
    site.ask()
    clock.turn(70)
    site.ask("/", ("if-none-match", '"x"'), ("x", "y"))
    assert dict(site.requests[1].headers) == {"x": "y"}


def test_a_request_behind_an_answer_has_no_client(clock):
    site = Site(clock)
    seen = []

    async def handle(request: Request) -> Response:
        seen.append(
            (
                await request.body(),
                dict(await request.trailers()),
                request.push("/x"),
                request.is_disconnected(),
                request.shutting_down,
                request.client.host,
                request.server.port,
                request.tls,
                request.id,
                request.path,
                request.url_for("it").path,
                await request.channel.run_blocking(int, "7"),
                await request.early_hints("</x>"),
                request.channel.attach(None),
                await request.channel.receive_body(),
            )
        )
        return Response("x", headers={"cache-control": "max-age=1, stale-while-revalidate=9"})

    def first(request: Request) -> Response:
        site.app.handled = True
        return Response("x", headers={"cache-control": "max-age=1, stale-while-revalidate=9"})

    handlers = iter([first, handle])

    async def route(request: Request) -> Response:
        result = next(handlers)(request)
        return result if isinstance(result, Response) else await result

    site.app.get("/it", name="it")(route)
    site.ask("/it")
    clock.turn(2)
    site.ask("/it")
    expected = (b"", {}, False, False, False, "192.0.2.1", 80, None, "r-1", "/it", "/it", 7)
    assert seen == [(*expected, None, None, b"")]


def test_what_hangs_on_an_answer_that_nobody_gets_is_done(clock, tmp_path):
    site = Site(clock)
    path = tmp_path / "file"
    path.write_bytes(b"x")
    done, bodies = [], []

    async def later() -> None:
        done.append("later")

    def handle(request: Request) -> Response:
        fields = {"cache-control": "max-age=1, stale-while-revalidate=9"}
        if not bodies and site.ready:
            bodies.append(FileBody(path))
            response = Response(bodies[0], headers=fields)
        else:
            response = Response("x", headers=fields)
        response.add_background(later)
        response.add_background(done.append, "at once")
        return response

    site.ready = False
    site.app.get("/file")(handle)
    site.ask("/file")
    site.ready = True
    done.clear()
    clock.turn(2)
    site.ask("/file")
    assert done == ["later", "at once"]
    assert bodies[0].fd == -1


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_rfc5861_4_a_stale_answer_stands_for_an_error(site, clock, status):
    site.fields = {"cache-control": "max-age=60, stale-if-error=30"}
    site.ask()
    clock.turn(65)
    site.status = status
    response = site.ask()
    assert (response.status, response.body) == (200, b" 1")
    assert status_of(response) == f"httpkit; fwd=stale; fwd-status={status}"
    tag = response.headers["etag"]
    assert site.ask("/", ("if-none-match", tag)).status == 304
    clock.turn(25)
    assert site.ask().status == status


def test_rfc5861_4_it_stands_for_an_exception_which_is_logged(site, clock, caplog):
    site.fields = {"cache-control": "max-age=60, stale-if-error=30"}

    def handle(request: Request) -> Response:
        site.requests.append(request)
        if site.runs > 1:
            raise ZeroDivisionError
        return Response("good", headers=site.fields)

    site.app.get("/")(handle)
    site.ask()
    clock.turn(65)
    with caplog.at_level(logging.ERROR):
        assert site.ask().body == b"good"
    assert "ZeroDivisionError" in caplog.text
    clock.turn(30)
    assert site.ask().status == 500


def test_rfc9111_4_2_4_an_error_is_an_error_where_nothing_else_is_said(site, clock):
    site.ask()
    clock.turn(65)
    site.status = 503
    assert site.ask().status == 503


# --- RFC 9111 §4.4 -------------------------------------------------------------------------------


def test_rfc9111_4_4_a_change_invalidates(site):
    site.ask("/notes")
    site.ask("/notes/1")
    site.ask("/other")
    site.fields = {"location": "/notes/1"}
    assert status_of(site.ask("/notes", method="POST")) == "httpkit; fwd=method"
    site.fields = {"cache-control": "max-age=60"}
    assert status_of(site.ask("/notes")) == "httpkit; fwd=uri-miss; stored"
    assert status_of(site.ask("/notes/1")) == "httpkit; fwd=uri-miss; stored"
    assert status_of(site.ask("/other")) == "httpkit; hit; ttl=60"


@pytest.mark.parametrize(
    "target", ["http://example.com/notes?a=1", "HTTP://example.com/notes?a=1", "/notes?a=1"]
)
def test_rfc9112_3_2_2_an_absolute_form_invalidates_too(site, target):
    site.ask("/notes?a=1")
    site.ask(target, method="POST")
    assert status_of(site.ask("/notes?a=1")) == "httpkit; fwd=uri-miss; stored"


def test_rfc9111_4_4_an_empty_query_is_part_of_the_url(site):
    site.ask("/notes?")
    site.ask("/notes?", method="POST")
    assert status_of(site.ask("/notes?")) == "httpkit; fwd=uri-miss; stored"


@pytest.mark.parametrize("absolute", ["http://example.com/notes?", "HTTP://example.com/notes?"])
def test_rfc3986_6_2_3_an_empty_query_has_a_key_of_its_own_in_every_form(site, absolute):
    site.ask("/notes")
    assert status_of(site.ask(absolute)) == "httpkit; fwd=uri-miss; stored"
    assert status_of(site.ask("/notes?")) == "httpkit; hit; ttl=60"
    assert asyncio.run(site.cache.invalidate_url("http://example.com/notes?")) == 1
    assert status_of(site.ask("/notes")) == "httpkit; hit; ttl=60"
    assert status_of(site.ask("/notes?")) == "httpkit; fwd=uri-miss; stored"
    site.ask(absolute, method="POST")
    assert status_of(site.ask("/notes")) == "httpkit; hit; ttl=60"
    assert status_of(site.ask("/notes?")) == "httpkit; fwd=uri-miss; stored"


def test_rfc9111_4_4_a_location_with_an_empty_query_is_another_than_without(site):
    site.ask("/notes")
    site.ask("/notes?")
    site.fields = {"location": "/notes?"}
    site.ask("/", method="POST")
    site.fields = {"cache-control": "max-age=60"}
    assert status_of(site.ask("/notes")) == "httpkit; hit; ttl=60"
    assert status_of(site.ask("/notes?")) == "httpkit; fwd=uri-miss; stored"


def test_rfc9111_4_4_a_failed_change_does_not(site):
    site.ask("/notes")
    site.status = 400
    site.ask("/notes", method="POST")
    assert status_of(site.ask("/notes")) == "httpkit; hit; ttl=60"


def test_a_store_that_fails_does_not_undo_what_is_done(clock, caplog):
    class Broken(MemoryStore):
        async def delete(self, key):
            raise ConnectionError("gone")

    site = Site(clock, store=Broken(clock=clock))
    assert site.ask("/notes", method="POST").status == 200
    assert "could not be invalidated" in caplog.text


def test_a_query_is_safe(site):
    site.ask("/notes")
    assert status_of(site.ask("/notes", method="QUERY")) == "httpkit; fwd=method"
    assert status_of(site.ask("/notes")) == "httpkit; hit; ttl=60"


def test_invalidation_by_url_prefix_and_tag(site):
    site.fields |= {"cache-tag": "notes, page", "vary": "accept"}
    targets = ["/notes/1", "/notes/2", "/notesbook", "/x"]

    def fill() -> None:
        for target in targets:
            response = site.ask(target)
            assert "cache-tag" not in response.headers

    def left() -> list[str]:
        return [target for target in targets if "hit" in status_of(site.ask(target))]

    fill()
    assert asyncio.run(site.cache.invalidate_url("http://example.com/notes/1")) == 1
    assert asyncio.run(site.cache.invalidate_url("http://example.com/notes/1")) == 0
    assert left() == targets[1:]
    assert asyncio.run(site.cache.invalidate_prefix("/notes/")) == 2
    assert left() == ["/notesbook", "/x"]
    assert asyncio.run(site.cache.invalidate_tag("page")) == 4
    assert left() == []
    with pytest.raises(ValueError, match="absolute"):
        asyncio.run(site.cache.invalidate_url("/notes"))
    with pytest.raises(ValueError, match="slash"):
        asyncio.run(site.cache.invalidate_prefix("notes"))


@pytest.mark.parametrize(
    "invalidate",
    [
        lambda cache: cache.invalidate_url("http://example.com/"),
        lambda cache: cache.invalidate_prefix("/"),
        lambda cache: cache.invalidate_tag("t"),
    ],
)
def test_what_is_computed_meanwhile_is_not_stored(site, invalidate):
    async def handle(request: Request) -> Response:
        site.requests.append(request)
        if site.runs == 1:
            await invalidate(site.cache)
        return Response("x", headers=site.fields | {"cache-tag": "t"})

    site.app.get("/")(handle)
    assert status_of(site.ask()) == "httpkit; fwd=uri-miss; detail=invalidated"
    assert status_of(site.ask()) == "httpkit; fwd=uri-miss; stored"


def test_other_keys_are_stored_meanwhile(site):
    async def handle(request: Request) -> Response:
        await site.cache.invalidate_url("http://example.com/other")
        await site.cache.invalidate_prefix("/other")
        return Response("x", headers=site.fields)

    site.app.get("/")(handle)
    assert status_of(site.ask()) == "httpkit; fwd=uri-miss; stored"


def test_an_invalidation_while_the_store_is_busy_wins(clock):
    class Busy(MemoryStore):
        async def set(self, key, variant, entry, seconds):
            stored = await super().set(key, variant, entry, seconds)
            await site.cache.invalidate_prefix("/")
            self._keys.clear()
            return stored

    site = Site(clock, store=Busy(clock=clock))
    assert status_of(site.ask()) == "httpkit; fwd=uri-miss; detail=invalidated"


# --- single flight -------------------------------------------------------------------------------


class Slow:
    """A site whose handler waits until it is told to go on."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.gate = asyncio.Event()
        self.error: Exception | None = None
        site.app.get("/slow")(self.handle)

    async def handle(self, request: Request) -> Response:
        self.site.requests.append(request)
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return Response(f"slow {self.site.runs}", headers=self.site.fields)

    def start(self, *fields: tuple[str, str]) -> asyncio.Task[Response]:
        request = make_request("GET", "/slow", *fields)
        return asyncio.ensure_future(self.site.call(request))

    async def settle(self) -> None:
        """Let everything go on that can."""
        for _ in range(10):
            await asyncio.sleep(0)


def test_a_thousand_requests_run_the_handler_once(site):
    async def main() -> None:
        slow = Slow(site)
        tasks = [slow.start() for _ in range(1000)]
        await slow.settle()
        assert site.runs == 1
        slow.gate.set()
        answers = await asyncio.gather(*tasks)
        assert site.runs == 1
        assert {each.body for each in answers} == {b"slow 1"}
        assert status_of(answers[0]) == "httpkit; fwd=uri-miss; stored"
        assert {status_of(each) for each in answers[1:]} == {"httpkit; fwd=uri-miss; collapsed"}

    asyncio.run(main())


def test_rfc9211_2_2_who_waits_says_why_he_would_have_gone(site, clock):
    async def main() -> None:
        slow = Slow(site)
        slow.gate.set()
        await slow.start()
        clock.turn(61)
        slow.gate.clear()
        tasks = [slow.start() for _ in range(3)]
        await slow.settle()
        slow.gate.set()
        answers = await asyncio.gather(*tasks)
        assert status_of(answers[0]) == "httpkit; fwd=stale; stored"
        assert {status_of(each) for each in answers[1:]} == {"httpkit; fwd=stale; collapsed"}

    asyncio.run(main())


def test_rfc9111_5_2_1_5_nobody_waits_for_an_answer_that_is_not_to_be_stored(site):
    async def main() -> None:
        slow = Slow(site)
        secret = slow.start(("cache-control", "no-store"))
        await slow.settle()
        tasks = [slow.start() for _ in range(3)]
        await slow.settle()
        assert site.runs == 2  # one for itself, one for all others
        slow.gate.set()
        answers = await asyncio.gather(secret, *tasks)
        assert status_of(answers[0]) == "httpkit; fwd=uri-miss; detail=no-store"
        assert site.runs == 2

    asyncio.run(main())


def test_who_waits_goes_himself_if_the_first_one_gives_up(site):
    async def main() -> None:
        slow = Slow(site)
        tasks = [slow.start() for _ in range(5)]
        await slow.settle()
        tasks[0].cancel()
        await slow.settle()
        assert site.runs == 2
        slow.gate.set()
        answers = await asyncio.gather(*tasks[1:])
        assert site.runs == 2
        assert {each.body for each in answers} == {b"slow 2"}

    asyncio.run(main())


def test_one_of_those_who_wait_flies_again_if_the_answer_has_become_invalid(site):
    async def main() -> None:
        slow = Slow(site)
        tasks = [slow.start() for _ in range(10)]
        await slow.settle()
        await site.cache.invalidate_prefix("/slow")
        slow.gate.set()
        slow.gate = asyncio.Event()
        await slow.settle()
        assert site.runs == 2  # not ten
        slow.gate.set()
        answers = await asyncio.gather(*tasks)
        assert status_of(answers[0]) == "httpkit; fwd=uri-miss; detail=invalidated"
        assert status_of(answers[1]) == "httpkit; fwd=uri-miss; stored"
        assert {status_of(each) for each in answers[2:]} == {"httpkit; fwd=uri-miss; collapsed"}
        assert {each.body for each in answers[1:]} == {b"slow 2"}

    asyncio.run(main())


def test_an_invalidation_does_not_end_the_waiting_for_each_other(site):
    async def main() -> None:
        slow = Slow(site)
        task = slow.start()
        await slow.settle()
        await site.cache.invalidate_prefix("/slow")
        slow.gate.set()
        await task
        slow.gate.clear()
        tasks = [slow.start() for _ in range(5)]
        await slow.settle()
        assert site.runs == 2
        slow.gate.set()
        await asyncio.gather(*tasks)
        assert site.runs == 2

    asyncio.run(main())


@pytest.mark.parametrize("error", [ZeroDivisionError(), HTTPError(503)])
def test_one_of_those_who_wait_flies_again_if_the_handler_fails(site, error):
    async def main() -> None:
        slow = Slow(site)
        slow.error = error
        tasks = [slow.start() for _ in range(10)]
        for flight in (1, 2, 3):
            await slow.settle()
            assert site.runs == flight
            gate, slow.gate = slow.gate, asyncio.Event()
            gate.set()
        await slow.settle()
        assert site.runs == 10  # the wait for others has an end
        slow.gate.set()
        statuses = {each.status for each in await asyncio.gather(*tasks)}
        assert statuses == {getattr(error, "status", 500)}

    asyncio.run(main())


@pytest.mark.parametrize(("status", "runs"), [(403, [5]), (500, [2, 3, 5])])
def test_an_error_below_500_is_an_answer_for_each(status, runs):
    """One that comes as an exception, from outside of an app."""

    async def main() -> None:
        gate, asked = asyncio.Event(), []

        async def refuse(request: Request) -> Response:
            asked.append(request)
            await gate.wait()
            raise HTTPError(status)

        cached = ResponseCache()
        calls = [cached(make_request(), refuse) for _ in range(5)]
        tasks = [asyncio.ensure_future(call) for call in calls]
        for expected in [1, *runs]:
            await asyncio.sleep(0)
            for _ in range(5):
                await asyncio.sleep(0)
            assert len(asked) == expected
            waiting, gate = gate, asyncio.Event()
            waiting.set()
        errors = await asyncio.gather(*tasks, return_exceptions=True)
        assert [error.status for error in errors] == [status] * 5

    asyncio.run(main())


def test_a_handler_that_comes_back_answers_all_who_wait(site):
    async def main() -> None:
        slow = Slow(site)
        slow.error = ZeroDivisionError()
        tasks = [slow.start() for _ in range(10)]
        await slow.settle()
        gate, slow.gate = slow.gate, asyncio.Event()
        gate.set()
        await slow.settle()
        slow.error = None
        slow.gate.set()
        answers = await asyncio.gather(*tasks)
        assert [each.status for each in answers] == [500] + [200] * 9
        assert site.runs == 2

    asyncio.run(main())


def test_rfc5861_4_who_waits_gets_the_stale_answer_as_soon_as_it_fails(site, clock):
    async def main() -> None:
        slow = Slow(site)
        site.fields = {"cache-control": "max-age=60, stale-if-error=600"}
        slow.gate.set()
        await slow.start()
        clock.turn(61)
        slow.gate.clear()
        slow.error = HTTPError(503)
        tasks = [slow.start() for _ in range(10)]
        await slow.settle()
        slow.gate.set()
        answers = await asyncio.gather(*tasks)
        assert {(each.status, each.body) for each in answers} == {(200, b"slow 1")}
        assert {status_of(each) for each in answers} == {"httpkit; fwd=stale; fwd-status=503"}
        assert site.runs == 2

    asyncio.run(main())


def test_a_revalidation_that_never_ran_is_forgotten():
    flights = cache_flights.Flights()
    assert flights.begin_revalidation(("a", ""), NOW)
    assert not flights.begin_revalidation(("a", ""), NOW + 29)
    assert flights.begin_revalidation(("b", ""), NOW + 29)
    assert flights.begin_revalidation(("c", ""), NOW + 30)
    assert [key for key, _ in flights._revalidations] == ["b", "c"]
    assert flights.begin_revalidation(("a", ""), NOW + 30)
    assert flights.begin_revalidation(("a", ""), NOW - 1000)  # a clock that was put back


@pytest.mark.parametrize("fields", [{}, {"cache-control": "max-age=0"}])
def test_what_cannot_be_shared_is_computed_for_each_at_once(site, fields):
    async def main() -> None:
        slow = Slow(site)
        site.fields = fields
        tasks = [slow.start() for _ in range(5)]
        await slow.settle()
        assert site.runs == 1
        slow.gate.set()
        await asyncio.gather(*tasks)
        assert site.runs == 5

    asyncio.run(main())


def test_nobody_waits_for_what_could_not_be_stored_before(site, clock):
    async def main() -> None:
        slow = Slow(site)
        site.fields = {}
        slow.gate.set()
        await slow.start()
        slow.gate.clear()
        tasks = [slow.start(("if-none-match", '"x"')) for _ in range(3)]
        await slow.settle()
        assert site.runs == 4
        assert "if-none-match" in site.requests[-1].headers  # nothing of it can be stored
        site.fields = {"cache-control": "max-age=60"}
        slow.gate.set()
        await asyncio.gather(*tasks)
        clock.turn(60)
        slow.gate.clear()
        tasks = [slow.start() for _ in range(3)]
        await slow.settle()
        assert site.runs == 5
        slow.gate.set()
        await asyncio.gather(*tasks)

    asyncio.run(main())


def test_only_so_many_urls_are_remembered_for_that(monkeypatch):
    monkeypatch.setattr(cache_flights, "_MAX_PASSES", 2)
    flights = cache_flights.Flights()
    for key in ("a", "b", "a", "c"):
        flights.let_pass(key, NOW)
    assert [flights.passes(key, NOW + 59) for key in "abc"] == [True, False, True]
    assert not flights.passes("c", NOW + 60)


def test_what_is_remembered_of_an_url_does_not_grow_with_it():
    """10 000 targets of 8 KiB, the longest that there are, would take 80 MB."""
    flights = cache_flights.Flights()
    tracemalloc.start()
    try:
        for number in range(100):
            flights.let_pass(f"/{number}" + "x" * 8000, NOW)
        assert tracemalloc.get_traced_memory()[0] < 100_000
    finally:
        tracemalloc.stop()


def test_a_304_does_not_say_what_could_not_be_stored(site, clock):
    """Else clients that revalidate would keep an answer out of the cache for ever."""

    def handle(request: Request) -> Response:
        site.requests.append(request)
        return request.check(etag="1") or Response("x", headers=site.fields | {"etag": '"1"'})

    site.app.get("/")(handle)
    mine = ("if-none-match", '"1"')
    site.fields = {}
    assert status_of(site.ask()) == "httpkit; fwd=uri-miss; detail=no-lifetime"
    site.fields = {"cache-control": "max-age=60"}
    clock.turn(40)
    response = site.ask("/", mine)  # the handler sees it, as long as nothing can be stored
    assert (response.status, status_of(response)) == (304, "httpkit; fwd=uri-miss; detail=status")
    clock.turn(40)
    assert status_of(site.ask("/", mine)) == "httpkit; fwd=uri-miss; stored"


def test_an_error_is_not_what_could_not_be_stored(site):
    async def main() -> None:
        slow = Slow(site)
        slow.error = HTTPError(503)
        tasks = [slow.start() for _ in range(3)]
        await slow.settle()
        slow.gate.set()
        assert {each.status for each in await asyncio.gather(*tasks)} == {503}
        slow.gate.clear()
        before = site.runs
        tasks = [slow.start() for _ in range(3)]
        await slow.settle()
        assert site.runs == before + 1
        slow.gate.set()
        await asyncio.gather(*tasks)

    asyncio.run(main())


def test_an_exception_ends_the_flight(site):
    async def main() -> None:
        slow = Slow(site)
        slow.error = ZeroDivisionError()
        tasks = [slow.start() for _ in range(3)]
        await slow.settle()
        slow.gate.set()
        assert {each.status for each in await asyncio.gather(*tasks)} == {500}
        assert site.runs == 3

    asyncio.run(main())


def test_requests_with_credentials_wait_for_nobody(site):
    async def main() -> None:
        slow = Slow(site)
        tasks = [slow.start(("authorization", "Basic x")) for _ in range(3)]
        await slow.settle()
        assert site.runs == 3
        slow.gate.set()
        await asyncio.gather(*tasks)

    asyncio.run(main())


def test_variants_wait_for_their_own_kind(site):
    async def main() -> None:
        slow = Slow(site)
        site.fields["vary"] = "accept-language"
        tasks = [slow.start(("accept-language", each)) for each in ("de", "en", "de", "en")]
        await slow.settle()
        assert site.runs == 1  # nobody knows yet that there are variants
        slow.gate.set()
        answers = await asyncio.gather(*tasks)
        assert site.runs == 2
        assert answers[0].body == answers[2].body != answers[1].body == answers[3].body

    asyncio.run(main())


# --- what goes past ------------------------------------------------------------------------------


def test_ranges_and_upgrades_go_past(site):
    assert status_of(site.ask("/", ("range", "bytes=0-0"))) == "httpkit; fwd=bypass"
    site.ask()
    assert status_of(site.ask("/", ("upgrade", "foo"))) == "httpkit; fwd=bypass"
    assert site.runs == 3


@pytest.mark.parametrize("fields", [[("upgrade", "foo")], []])
def test_an_upgrade_stays_the_object_that_it_is(site, fields):
    async def session(stream) -> None:
        raise AssertionError("no server here")

    upgrade = Upgrade("foo", session)
    site.app.get("/up")(lambda request: upgrade)
    assert site.ask("/up", *fields) is upgrade


@pytest.mark.parametrize(
    "options",
    [{"keep_stale": -1}, {"default_max_age": -1}, {"name": "a b"}, {"name": "1"}],
)
def test_what_makes_no_sense_is_refused_at_once(options):
    with pytest.raises(ConfigurationError, match="ResponseCache"):
        ResponseCache(**options)
