"""Which handler answers, and what is answered where there is none."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from httpkit.app import App
from httpkit.response import Response
from httpkit.routing import Router

from .conftest import app_of, ask, ask_with, fuzz, make_request, route_of, show, text

# --- static and dynamic --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "route"),
    [
        ("/", "/"),
        ("/?x=1", "/"),
        ("/a b", "/a b"),
        ("/a%20b", "/a b"),
        ("/%61%20b", "/a b"),
        ("/./a%20b", "/a b"),
        ("/x/../a%20b?q", "/a b"),
        ("http://example.com/a%20b", "/a b"),
        ("http://example.com", "/"),
        (b"/\xc3\xbc", "/ü"),
        ("/%C3%BC", "/ü"),
        ("/%c3%bc", "/ü"),
        ("/deep/er", "/deep/er"),
        ("/deep%2Fer", "/{name}"),
        ("/d%65ep/er", "/deep/er"),
    ],
)
def test_every_spelling_of_a_static_path_finds_its_route(target, route):
    app = app_of("/", "/a b", "/ü", "/deep/er", "/{name}")
    assert route_of(ask(app, target=target)) == route


@pytest.mark.parametrize(
    "target",
    [
        "/../x",
        "/%2e%2e/x",
        "/x/%00",
        "/%",
        "/%zz",
        b"/\xff",
        "/%ff",
        "/a%2F..%2Fb",
        "/a%5C..%5Cb",
        "*",
    ],
)
def test_a_path_that_names_nothing_is_404(target):
    assert ask(app_of("/{rest:path}", "/"), target=target).status == 404


def test_parameters_are_converted_and_passed_by_name():
    app = App()
    seen = []

    @app.get("/{s}/{i:int}/{f:float}/{u:uuid}/{rest:path}")
    async def handler(request, *, rest, s, i, f, u):
        seen.append([s, i, f, u, rest])
        assert request.path_params == {"s": s, "i": i, "f": f, "u": u, "rest": rest}

    identifier = uuid.uuid4()
    response = ask(app, target=f"/a%2Fb/-3/2.5/{identifier}/x/y%20z")
    assert response.status == 204
    assert seen == [["a/b", -3, 2.5, identifier, "x/y z"]]


def test_own_converters_are_found_from_the_inside_out():
    class Upper:
        def convert(self, text):
            if not text.isalpha():
                raise ValueError(text)
            return text.upper()

        def to_string(self, value):
            return value.lower()

    class Reversed:
        def convert(self, text):
            return text[::-1]

        def to_string(self, value):
            return value[::-1]

    app, inner = App(), Router("/inner")
    app.converter("word", Upper)
    inner.converter("word", Reversed())
    app.get("/{x:word}", name="outer")(lambda request, x: x)
    inner.get("/{x:word}", name="inner")(lambda request, x: x)
    app.include(inner)
    assert text(ask(app, target="/abc")) == "ABC"
    assert ask(app, target="/12").status == 404
    assert text(ask(app, target="/inner/abc")) == "cba"
    assert app.url_for("outer", x="ABC") == "/abc"
    assert app.url_for("inner", x="abc") == "/inner/cba"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_converter_that_fails_is_a_500_and_not_an_exception_in_the_server(method, caplog):
    class Broken:
        def convert(self, text):
            raise KeyError(text)

        def to_string(self, value):
            return value

    app = App()
    app.converter("broken", Broken)
    app.get("/{x:broken}")(show)
    response = ask(app, method, "/secret")
    assert response.status == 500
    assert "KeyError" not in text(response)
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_the_app_freezes_itself_for_the_first_request():
    app = app_of("/")
    answer = app.handle(make_request())
    assert isinstance(answer, Response)
    assert answer.status == 200


# --- methods -------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["/s", "/d/1"])
def test_get_brings_head(target):
    app = app_of("/s", "/d/{x}", "POST /s")
    assert ask(app, "HEAD", target).status == 200


@pytest.mark.parametrize(("pattern", "target"), [("/s", "/s"), ("/d/{x}", "/d/1")])
def test_head_and_options_can_be_routed(pattern, target):
    app = App()
    app.get(pattern)(show)
    app.head(pattern)(lambda request, **parameters: Response("", 299))
    app.options(pattern)(lambda request, **parameters: "mine")
    assert ask(app, "HEAD", target).status == 299
    assert ask(app, "GET", target).status == 200
    assert text(ask(app, "OPTIONS", target)) == "mine"


@pytest.mark.parametrize(
    "method", ["get", "head", "post", "put", "delete", "options", "patch", "query"]
)
def test_every_method_has_its_decorator(method):
    app = App()
    getattr(app, method)("/", name="x", max_body=None)(show)
    assert ask(app, method.upper()).status == 200
    assert app.routes()[0].name == "x"


@pytest.mark.parametrize(
    ("target", "allow"),
    [
        ("/s", "GET, HEAD, OPTIONS"),
        ("/p", "OPTIONS, POST"),
        ("/p?x=/s", "OPTIONS, POST"),
        ("/d/1", "DELETE, GET, HEAD, OPTIONS, PATCH"),
        ("/d/x", "DELETE, OPTIONS"),
    ],
)
def test_an_unrouted_method_is_405_with_allow(target, allow):
    app = app_of("/s", "POST /p", "/d/{x:int}", "PATCH /d/{y:int}", "DELETE /d/{z}")
    response = ask(app, "PUT", target)
    assert response.status == 405
    assert response.headers["allow"] == allow
    options = ask(app, "OPTIONS", target)
    assert options.status == 204
    assert options.body == b""
    assert options.headers["allow"] == allow


def test_a_method_is_looked_for_behind_less_specific_patterns():
    app = app_of("/d/me", "DELETE /d/{x}")
    assert route_of(ask(app, "DELETE", "/d/me")) == "/d/{x}"


def test_options_asterisk_allows_everything_that_is_routed():
    app, site = app_of("/a", "POST /b"), Router()
    site.put("/c")(show)
    app.host("example.org", site)
    response = ask(app, "OPTIONS", "*")
    assert response.status == 204
    assert response.headers["allow"] == "GET, HEAD, OPTIONS, POST, PUT"


def test_options_of_nothing_is_404():
    assert ask(app_of("/a"), "OPTIONS", "/b").status == 404


def test_the_body_limits_of_a_route_are_set_before_anything_runs():
    seen = []

    async def middleware(request, next):
        seen.append((request.max_body, request.min_body_rate))
        return await next(request)

    app = App(middleware=[middleware])
    app.get("/own", max_body=10)(show)
    app.get("/none", max_body=None, min_body_rate=None)(show)
    app.get("/slow", min_body_rate=7)(show)
    app.get("/default")(show)
    app.on_freeze()
    for target in ("/own", "/none", "/slow", "/default"):
        request = make_request("GET", target)
        request.max_body = 99
        ask_with(app, request)
    assert seen == [(10, ...), (None, None), (99, 7), (99, ...)]


# --- slashes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("/a/", "/a"),
        ("/b", "/b/"),
        ("/b?x=1&y=%20", "/b/?x=1&y=%20"),
        (b"/b?\xc3\xbc", "/b/?%C3%BC"),
        ("/b?", "/b/?"),  # RFC 3986 §6.2.3: another URL than /b/
        ("http://evil.example/b?", "/b/?"),
        ("/x/../b", "/b/"),
        ("http://evil.example/b", "/b/"),
        ("/u/1/", "/u/1"),
        ("/u/a%2Fb%5C/", "/u/a%2Fb%5C"),
        ("/f", "/f/"),
    ],
)
def test_a_slash_too_many_or_too_few_is_a_redirect(target, location):
    app = app_of("/a", "/b/", "/u/{x}", "/f/{rest:path}")
    response = ask(app, target=target)
    assert response.status == 307
    assert response.headers["location"] == location


@pytest.mark.parametrize(
    "target", ["//", "//evil", "//evil/", "/\\evil/", "//a/", "/.//a/", "/%2Fevil/", "///"]
)
def test_no_redirect_leaves_the_host(target):
    app = app_of("/", "/{x}", "/{x}/{y}/", "/a")
    response = ask(app, target=target)
    if response.status == 307:
        location = response.headers["location"]
        assert location[0] == "/"
        assert location[1:2] not in ("/", "\\")
    else:
        assert "location" not in response.headers


def test_a_path_that_would_begin_with_two_slashes_is_not_redirected_to():
    """No pattern can match an empty first segment; if one ever did, this would still hold."""
    app = app_of("/a")
    app.on_freeze()
    tree = app._compiled.dispatcher._table.trees["GET"]
    tree.node_at(["", "evil", ""]).leaf = tree.node_at(["a"]).leaf
    response = ask(app, target="//evil")
    assert response.status == 404
    assert "location" not in response.headers


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [("POST", "/a/", 404), ("HEAD", "/a/", 307), ("OPTIONS", "/a/", 404), ("GET", "/q/", 404)],
)
def test_only_a_routed_method_is_redirected(method, target, status):
    assert ask(app_of("/a"), method, target).status == status


def test_redirects_can_be_switched_off():
    assert ask(app_of("/a", redirect_slashes=False), target="/a/").status == 404


SEGMENT = st.sampled_from(
    ["", ".", "..", "evil", "a", "%2F", "%5C", "\\", "%2e", "%2F%2Fevil", "@", "evil:80", "%0d%0a"]
)


@given(st.lists(SEGMENT, min_size=1, max_size=6), st.booleans())
@fuzz
def test_every_location_is_a_path_of_this_host(segments, end):
    app = app_of("/{a}", "/{a}/", "/{a}/{b}", "/{a}/{b}/{rest:path}", "/x/{rest:path}")
    target = "/" + "/".join(segments) + ("/" if end else "")
    location = ask(app, target=target).headers.get("location")
    if location is not None:
        assert location[0] == "/"
        assert location[1:2] not in ("/", "\\")
        assert location.isprintable()
        # Where it leads is routed: no second redirect, so there is no loop.
        assert ask(app, target=location).status == 200
