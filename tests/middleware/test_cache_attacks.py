"""What caches have been attacked with, and where others have tripped over their own rules.

Keys that leave something out, answers for one that others get, requests that cost more than they
look like, and the limits that keep a store small.
"""

import asyncio
import http.client

import pytest

from httpkit import App, Request, Response
from httpkit.middleware import MemoryStore, ResponseCache, cache
from httpkit.middleware.cache_store import MAX_VARIANTS
from httpkit.testing import Client, LiveServer
from tests.app.conftest import make_request

from .conftest import Clock, Site, status_of
from .scripted import Step, play

FRESH = "cache-control: max-age=60"


# --- the key -------------------------------------------------------------------------------------


def test_x_forwarded_host_is_not_the_host(clock):
    """Poisoning by unkeyed fields: what builds URLs here is the authority, which is in the key."""
    app = App(middleware=[ResponseCache(clock=clock), cache(60)])
    app.get("/")(lambda request: str(request.url))
    with Client(app, base_url="http://example.com") as client:
        bad = {"x-forwarded-host": "evil.example", "x-forwarded-proto": "https"}
        bad |= {"forwarded": "host=evil.example", "x-host": "evil.example"}
        assert client.get("/", headers=bad).text == "http://example.com/"
        assert client.get("/").text == "http://example.com/"


@pytest.mark.parametrize("bad", ["*/*, application/json;v", "*/*;q=1;x=json"])
def test_rfc9111_4_1_what_only_the_handler_can_read_is_in_the_key(clock, bad):
    """Poisoning by `Vary`: a handler finds a word in a field where the cache passes over it."""
    app = App(middleware=[ResponseCache(clock=clock), cache(60)])

    @app.get("/")
    def show(request: Request) -> Response:
        kind = "json" if "json" in request.headers["accept"] else "page"
        return Response(kind, headers={"vary": "accept"})

    with Client(app) as client:
        assert client.get("/", headers={"accept": bad}).text == "json"
        assert client.get("/", headers={"accept": "*/*"}).text == "page"


def test_each_host_has_answers_of_its_own(clock):
    play(
        [
            Step("origin", target="http://a.example/"),
            Step("origin", target="http://b.example/"),
            Step("store", target="http://A.example:80/", body="run 1"),
            Step("origin", target="http://a.example:8080/"),
        ]
    )


def test_targets_that_mean_other_things_have_keys_of_their_own(site):
    targets = ["/a?b=1&c=2", "/a?c=2&b=1", "/a%3Fb", "/a?b", "/a;b", "/a/b", "/a%20b", "/a?"]
    targets += ["/a%20http://example.com", "/a?b=1%26c=2", "/%0d%0aset-cookie:x"]
    for target in targets:
        assert status_of(site.ask(target)) == "httpkit; fwd=uri-miss; stored", target
    for target in targets:
        assert status_of(site.ask(target)).startswith("httpkit; hit"), target


@pytest.mark.parametrize("announced", ["content-length", "transfer-encoding"])
def test_a_get_with_content_goes_past(clock, announced):
    """ "Fat GET": handlers that read it would fill the cache with what nobody else asked for."""
    app = App(middleware=[ResponseCache(clock=clock), cache(60)])

    @app.get("/")
    async def echo(request: Request) -> bytes:
        return await request.body() or b"nothing"

    async def pieces():
        yield b"evil"

    content = b"evil" if announced == "content-length" else pieces()
    with Client(app) as client:
        answer = client.request("GET", "/", content=content)
        assert (answer.text, answer.headers["cache-status"]) == ("evil", "httpkit; fwd=bypass")
        assert client.get("/").text == "nothing"
        answer = client.request("GET", "/", content=b"again")
        assert (answer.text, answer.headers["cache-status"]) == ("again", "httpkit; fwd=bypass")
        assert client.get("/", headers={"content-length": "0"}).headers["age"] == "0"


def test_rfc9113_8_1_1_a_get_with_content_that_is_not_announced(clock):
    app = App(middleware=[ResponseCache(clock=clock), cache(60)])

    @app.get("/")
    async def echo(request: Request) -> bytes:
        return await request.body() or b"nothing"

    def ask(*chunks: bytes) -> Response:
        request = make_request(chunks=chunks)
        request._head.version = "2"

        async def main() -> Response:
            return await app.handle(request)

        return asyncio.run(main())

    fat = ask(b"ev", b"il")
    assert (fat.body, status_of(fat)) == (b"evil", "httpkit; fwd=bypass")
    assert ask().body == b"nothing"
    assert status_of(ask()).startswith("httpkit; hit")
    assert ask(b"evil").body == b"evil"


@pytest.mark.parametrize("name", ["x-http-method-override", "x-http-method", "x-method-override"])
def test_a_method_is_what_the_request_line_says(name):
    play([Step("origin", FRESH, f"{name}: HEAD", body="run 1"), Step("store", body="run 1")])


# --- answers for one -----------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["/account/x.css", "/account;x.js", "/account/x%2epng"])
@pytest.mark.parametrize("says", ["cache-control: private", "cache-control: no-store", ""])
def test_deception_nothing_is_stored_because_of_its_name(target, says):
    play([Step("origin", says, target=target), Step("origin", says, target=target)])


def test_deception_where_everything_is_stored_an_answer_may_still_say_no():
    says = "cache-control: private"
    target = "/account/x.css"
    steps = [Step("origin", says, target=target)] * 2
    play([*steps, Step("origin", "set-cookie: a=b", target=target)], default_max_age=60)


@pytest.mark.parametrize(
    "says",
    [
        "set-cookie: session=1",
        "set-cookie: session=1\ncache-control: public, max-age=60",
        "set-cookie: session=1\ncache-control: s-maxage=60",
        "set-cookie: session=1\ncache-control: max-age=60, no-cache=set",
    ],
)
def test_a_cookie_of_one_is_not_for_all(says):
    play([Step("origin", says)] * 2)


def test_an_answer_for_strangers_is_not_for_those_with_credentials():
    play([Step("origin", FRESH), Step("origin", FRESH, "authorization: Basic x")])


@pytest.mark.parametrize("says", ["public", "s-maxage=60", "must-revalidate"])
def test_rfc9111_3_5_what_is_shared_in_spite_of_credentials_is_not_stale(says):
    says = f"cache-control: max-age=60, {says}, must-revalidate"
    asks = "authorization: Basic x"
    steps = [Step("origin", says, asks), Step("store", says, asks)]
    play([*steps, Step("origin", "", asks, status=503, wait=61)])


def test_response_splitting_cannot_be_stored(site, clock):
    """What would end a field is refused where the handler writes it."""

    def handle(request: Request) -> Response:
        return Response("x", headers={"cache-control": "max-age=60", "x": request.query["x"]})

    site.app.get("/split")(handle)
    response = site.ask("/split?x=a%0d%0aset-cookie:%20b")
    assert response.status == 500
    assert "set-cookie" not in response.headers
    assert status_of(site.ask("/split?x=a")) == "httpkit; fwd=uri-miss; stored"


# --- requests that cost --------------------------------------------------------------------------


def test_variants_of_one_url_are_bounded(clock):
    """`Vary: user-agent` and a client that makes names up: one URL keeps what is its due."""
    store = MemoryStore(clock=clock)
    site = Site(clock, store=store)
    site.fields["vary"] = "user-agent"
    site.ask("/other")
    for number in range(3 * MAX_VARIANTS):
        site.ask("/", ("user-agent", str(number)))
    assert len(store._keys["/ http://example.com"]) == MAX_VARIANTS
    assert status_of(site.ask("/other")).startswith("httpkit; hit")
    last = ("user-agent", str(3 * MAX_VARIANTS - 1))
    assert status_of(site.ask("/", last)).startswith("httpkit; hit")


def test_a_variant_is_short_whatever_the_fields_are(clock):
    store = MemoryStore(clock=clock)
    site = Site(clock, store=store)
    site.fields["vary"] = ", ".join(f"x-{number}" for number in range(500))
    long = [(f"x-{number}", "v" * 100) for number in range(500)]
    site.ask("/", *long)
    assert {len(variant) for variant in store._keys["/ http://example.com"]} == {0, 32}
    assert status_of(site.ask("/", *long)).startswith("httpkit; hit")
    assert status_of(site.ask("/", *long[:-1])) == "httpkit; fwd=vary-miss; stored"


def test_keys_that_are_made_up_push_nothing_out_that_is_used(clock):
    site = Site(clock, store=MemoryStore(200_000, clock=clock))
    site.ask("/used")
    for number in range(2000):
        site.ask(f"/?{number}")
        assert status_of(site.ask("/used")).startswith("httpkit; hit")
    assert site.cache.store.size <= 200_000


def test_a_long_list_of_directives_is_read_in_time(site):
    wish = "x=" + '"a' * 20_000
    assert site.ask("/", ("cache-control", wish)).status == 200
    assert site.ask("/", ("if-none-match", '"a,' * 20_000)).status == 200
    assert site.ask("/", ("range", "bytes=" + "0-0," * 20_000)).status == 200


def test_cve_2011_3192_ranges_of_what_is_stored_are_bounded(site):
    site.ask()
    response = site.ask("/", ("range", "bytes=" + ",".join("0-1" for _ in range(1000))))
    assert (response.status, response.body) == (200, b" 1")


# --- clocks --------------------------------------------------------------------------------------


def test_a_clock_that_is_put_back_makes_nothing_older_or_negative(site, clock):
    site.ask()
    clock.turn(-3600)
    response = site.ask()
    assert response.headers["age"] == "0"
    clock.turn(3600 + 61)
    assert status_of(site.ask()) == "httpkit; fwd=stale; stored"


def test_a_clock_that_leaps_makes_answers_stale(site, clock):
    site.ask()
    clock.turn(10**9)
    assert status_of(site.ask()) == "httpkit; fwd=uri-miss; stored"


# --- through sockets -----------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_parts_of_a_hit_over_a_socket(engine):
    clock = Clock()
    app = App(middleware=[ResponseCache(clock=clock), cache(60, clock=clock)])
    runs = []

    @app.get("/")
    def handle(request: Request) -> str:
        runs.append(request)
        return "0123456789" * 100

    with LiveServer(app, http1=engine) as server:
        address = server.url.split("//")[1].rstrip("/")
        connection = http.client.HTTPConnection(address, timeout=20)

        def ask(**fields: str):
            connection.request("GET", "/", headers=fields)
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()

        ask()
        status, fields, body = ask(Range="bytes=5-9")
        assert (status, body) == (206, b"56789")
        assert (fields["content-range"], fields["content-length"]) == ("bytes 5-9/1000", "5")
        status, fields, body = ask(Range="bytes=0-1,500-501")
        assert status == 206
        assert fields["content-type"].startswith("multipart/byteranges")
        assert body.count(b"\r\n\r\n01\r\n") == 2
        status, fields, _ = ask(Range="bytes=5000-")
        assert (status, fields["content-range"]) == (416, "bytes */1000")
        connection.close()
    assert len(runs) == 1
