"""`CORS`: preflights and who may read answers (Fetch standard §3.2, §4.8)."""

import re

import pytest

from httpkit import App, ConfigurationError, Request, Response, Router, WebSocket
from httpkit.middleware import CORS
from httpkit.testing import Client
from tests.app.conftest import ask

SITE = "https://app.example.com"
SAFELISTED = "accept, accept-language, content-language, content-type, range"
PREFLIGHT_VARY = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"


def site(*origins: str, **options) -> App:
    app = App(middleware=[CORS(origins, **options)])

    @app.get("/")
    async def index(request: Request) -> Response:
        return Response("Hello", headers={"vary": "Accept"})

    @app.get("/own")
    async def own(request: Request) -> Response:
        return Response("own", headers={"access-control-allow-origin": "https://other.example"})

    @app.post("/")
    async def change(request: Request) -> str:
        raise AssertionError("a preflight never reaches a handler")

    return app


def fields(response: Response) -> dict[str, str]:
    """Those of CORS, without their prefix, and Vary."""
    return {
        name.removeprefix("access-control-"): value
        for name, value in response.headers.items()
        if name.startswith("access-control-") or name == "vary"
    }


def preflight(app: App, origin: str, method: str = "POST", names: str | None = None) -> Response:
    asked = [("origin", origin), ("access-control-request-method", method)]
    if names is not None:
        asked.append(("access-control-request-headers", names))
    return ask(app, "OPTIONS", "/", *asked)


# --- answers -------------------------------------------------------------------------------------


def test_an_allowed_origin_may_read():
    response = ask(site(SITE), "GET", "/", ("origin", SITE))
    assert response.body == b"Hello"
    assert fields(response) == {"allow-origin": SITE, "vary": "Accept, Origin"}


@pytest.mark.parametrize(
    "origin",
    [
        "https://example.com",
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://app.example.com.evil.example",
        "https://APP.example.com",
        "null",
        "",
        f"{SITE}, {SITE}",
    ],
)
def test_others_get_the_answer_without_permission(origin):
    """A browser keeps it from the page; whoever is no page may read it anyway."""
    response = ask(site(SITE), "GET", "/", ("origin", origin))
    assert response.status == 200
    assert fields(response) == {"vary": "Accept, Origin"}


def test_the_answer_without_an_origin_varies_too():
    """Or a cache would give it to a page without its permission."""
    assert fields(ask(site(SITE))) == {"vary": "Accept, Origin"}


def test_everybody():
    """One value for all, that a cache may keep: no Vary, and the field whoever asked first.

    A browser that has shown a picture gives it to a script that asks for it later.
    """
    for fields_sent in ([("origin", SITE)], [("origin", "null")], []):
        response = ask(site("*"), "GET", "/", *fields_sent)
        assert fields(response) == {"allow-origin": "*", "vary": "Accept"}


def test_null_has_to_be_named():
    assert fields(ask(site("null"), "GET", "/", ("origin", "null")))["allow-origin"] == "null"


def test_everything_below_a_host():
    app = site("https://*.example.com", "http://*.test:8000")
    for origin in ("https://a.example.com", "https://a.b.example.com", "http://x.test:8000"):
        assert fields(ask(app, "GET", "/", ("origin", origin)))["allow-origin"] == origin
    for origin in (
        "https://example.com",
        "https://.example.com",
        "http://a.example.com",
        "https://notexample.com",
        "https://a.example.com:444",
        "http://x.test",
    ):
        assert "allow-origin" not in fields(ask(app, "GET", "/", ("origin", origin)))


def test_credentials_and_exposed_fields():
    app = site(SITE, credentials=True, expose=["X-Total", "Link"])
    assert fields(ask(app, "GET", "/", ("origin", SITE))) == {
        "allow-origin": SITE,
        "allow-credentials": "true",
        "expose-headers": "X-Total, Link",
        "vary": "Accept, Origin",
    }
    assert "allow-credentials" not in fields(ask(app, "GET", "/", ("origin", "https://b.example")))


def test_the_handlers_own_word_counts():
    response = ask(site(SITE), "GET", "/own", ("origin", SITE))
    assert fields(response) == {"allow-origin": "https://other.example"}


def test_errors_can_be_read_too():
    response = ask(site(SITE), "GET", "/nowhere", ("origin", SITE))
    assert response.status == 404
    assert fields(response) == {"allow-origin": SITE, "vary": "Accept, Origin"}


def test_an_answer_that_is_kept_is_not_changed():
    kept = Response("kept")
    app = App(middleware=[CORS(SITE)])
    app.get("/")(lambda request: kept)
    ask(app, "GET", "/", ("origin", SITE))
    assert fields(kept) == {}


def test_a_websocket_is_left_alone():
    """Browsers ask for no permission there; the `origins` of the route decide."""
    app = App(middleware=[CORS(SITE)])

    @app.websocket("/ws")
    async def echo(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send(await socket.receive())

    with Client(app) as client, client.websocket_connect("/ws") as socket:
        socket.send("hello")
        assert socket.receive() == "hello"


# --- preflights ----------------------------------------------------------------------------------


def test_a_preflight_is_answered_here():
    response = preflight(site(SITE, methods=["PUT", "POST"], headers="X-Token"), SITE, "PUT")
    assert (response.status, response.body) == (204, b"")
    assert fields(response) == {
        "allow-origin": SITE,
        "allow-methods": "PUT, POST",
        "allow-headers": f"X-Token, {SAFELISTED}",
        "max-age": "600",
        "vary": PREFLIGHT_VARY,
    }


def test_a_preflight_of_everybody():
    response = preflight(site("*", max_age=0), "https://any.example", "DELETE")
    assert fields(response)["allow-origin"] == "*"
    assert fields(response)["max-age"] == "0"
    assert fields(response)["allow-headers"] == SAFELISTED
    assert "DELETE" in fields(response)["allow-methods"].split(", ")


def test_stars_are_answered_by_names():
    """With credentials `*` would be the name of a method and of a field (Fetch §4.8)."""
    app = site(SITE, methods="*", headers="*", credentials=True)
    response = preflight(app, SITE, "PURGE", "x-a,X-B")
    assert fields(response)["allow-methods"] == "PURGE"
    assert fields(response)["allow-headers"] == "x-a, X-B"
    assert fields(response)["allow-credentials"] == "true"


@pytest.mark.parametrize("names", ["content-type", "X-TOKEN", "x-token , Accept", "", ","])
def test_fields_that_may_be_sent(names):
    assert preflight(site(SITE, headers=["X-Token"]), SITE, "POST", names).status == 204


@pytest.mark.parametrize("headers", [(), "X-Token", ["X-Token", "Content-Type"], "*"])
def test_a_page_may_send_json(headers):
    """Fetch §4.8: a browser refuses what it had to ask for and the answer does not name.

    `Content-Type: application/json` is such a field, safelisted or not.
    """
    response = preflight(site(SITE, headers=headers), SITE, "POST", "content-type")
    named = fields(response)["allow-headers"].lower().split(", ")
    assert named.count("content-type") == 1


@pytest.mark.parametrize(
    ("origin", "method", "names", "missing"),
    [
        ("https://b.example", "POST", None, "https://b.example"),
        (SITE, "PURGE", None, "PURGE"),
        (SITE, "post", None, "post"),
        (SITE, "POST", "X-Token", "X-Token"),
        (SITE, "POST", "content-type, x-other", "x-other"),
    ],
)
def test_a_refusal_says_what_is_missing(origin, method, names, missing):
    response = preflight(site(SITE), origin, method, names)
    assert response.status == 403
    assert missing in response.body.decode()
    assert set(fields(response)) == {"vary"}
    for name in PREFLIGHT_VARY.split(", "):
        assert name in fields(response)["vary"]


def test_options_that_are_no_preflight():
    app = site(SITE)
    plain = ask(app, "OPTIONS", "/")
    assert (plain.status, plain.headers["allow"]) == (204, "GET, HEAD, OPTIONS, POST")
    asked = ask(app, "OPTIONS", "/", ("origin", SITE))
    assert asked.headers["access-control-allow-origin"] == SITE
    assert "access-control-allow-methods" not in asked.headers


def test_around_a_router():
    router = Router(middleware=[CORS(SITE)])
    router.get("/data")(lambda request: "data")
    app = App()
    app.mount("/api", router)
    with Client(app) as client:
        headers = {"Origin": SITE, "Access-Control-Request-Method": "GET"}
        assert client.options("/api/data", headers=headers).status_code == 204
        assert client.get("/api/data", headers={"Origin": SITE}).headers["vary"] == "Origin"


# --- mistakes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "origin",
    [
        "app.example.com",
        "https://app.example.com/",
        "https://app.example.com/path",
        "https://App.example.com",
        "https://app.example.com:443",
        "http://localhost:80",
        "https://*",
        "https://a.*.com",
        "https://user@app.example.com",
        "",
    ],
)
def test_origins_that_no_browser_sends(origin):
    with pytest.raises(ConfigurationError, match=re.escape(repr(origin))):
        CORS(origin)


@pytest.mark.parametrize(
    "origin", ["http://[::1]:8000", "capacitor://localhost", "http://a_b.test"]
)
def test_unusual_origins(origin):
    assert fields(ask(site(origin), "GET", "/", ("origin", origin)))["allow-origin"] == origin


@pytest.mark.parametrize("origin", ["*", "null"])
def test_credentials_for_everybody(origin):
    with pytest.raises(ConfigurationError, match="name the origins"):
        CORS([SITE, origin], credentials=True)


def test_other_mistakes():
    with pytest.raises(ConfigurationError, match="nobody"):
        CORS([])
    with pytest.raises(ConfigurationError, match="methods: 'GET, PUT'"):
        CORS("*", methods="GET, PUT")
    with pytest.raises(ConfigurationError, match="headers: 'X:'"):
        CORS("*", headers=["X:"])
    with pytest.raises(ConfigurationError, match="expose: ''"):
        CORS("*", expose=[""])
    with pytest.raises(ConfigurationError, match="max_age"):
        CORS("*", max_age=-1)
