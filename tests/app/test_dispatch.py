"""Which handler answers, and what is answered where there is none."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from httpkit.app import App
from httpkit.request import Request
from httpkit.response import Response
from httpkit.routing import Router
from httpkit.urls import URL

from .conftest import ask, ask_with, fuzz, make_request, text


def show(request, **parameters):
    """A handler that tells its route and its parameters."""
    return {"route": request.route.pattern, **parameters}


def app_of(*routes, **options):
    app = App(**options)
    for route in routes:
        method, slash, rest = route.partition("/")
        app.route(slash + rest, [method.strip() or "GET"])(show)
    return app


def route_of(response):
    return response.body.decode().split('"')[3] if response.status == 200 else response.status


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
    answer = app(make_request())
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


def test_the_body_limit_of_a_route_is_set_before_anything_runs():
    seen = []

    async def middleware(request, next):
        seen.append(request.max_body)
        return await next(request)

    app = App(middleware=[middleware])
    app.get("/own", max_body=10)(show)
    app.get("/none", max_body=None)(show)
    app.get("/default")(show)
    app.on_freeze()
    for target in ("/own", "/none", "/default"):
        request = make_request("GET", target)
        request.max_body = 99
        ask_with(app, request)
    assert seen == [10, None, 99]


# --- slashes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("/a/", "/a"),
        ("/b", "/b/"),
        ("/b?x=1&y=%20", "/b/?x=1&y=%20"),
        (b"/b?\xc3\xbc", "/b/?%C3%BC"),
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


# --- mounts --------------------------------------------------------------------------------------


def test_include_and_mount_put_prefixes_in_front():
    app, api, users = App(), Router("/api"), Router()
    users.get("")(show)
    users.get("/{id:int}")(show)
    api.include(users, prefix="/users")
    app.mount("/v1", api)
    assert route_of(ask(app, target="/v1/api/users")) == "/v1/api/users"
    assert route_of(ask(app, target="/v1/api/users/3")) == "/v1/api/users/{id:int}"


def test_a_mount_owns_what_is_below_its_prefix():
    app, admin, inner = app_of("/{rest:path}", "/admin/health"), App(), App()
    admin.get("/")(show)
    admin.get("/users")(show)
    inner.get("/x")(show)
    app.mount("/admin", admin)
    app.mount("/admin/inner", inner)
    for app_, name in ((app, "outer"), (admin, "admin"), (inner, "inner")):
        app_.exception_handler(404)(lambda request, error, name=name: name)
    assert text(ask(app, target="/admin/nope")) == "admin"
    assert text(ask(app, target="/admin/inner/nope")) == "inner"
    assert text(ask(app, target="/admin/inner")) == "inner"
    assert text(ask(app, "POST", "/nope", chunks=[])) != "outer"  # 405: the catch-all is a GET
    assert text(ask(app, "GET", "/%")) == "outer"
    assert route_of(ask(app, target="/admin/health")) == "/admin/health"
    assert route_of(ask(app, target="/administrator")) == "/{rest:path}"
    response = ask(app, target="/admin")
    assert (response.status, response.headers["location"]) == (307, "/admin/")
    assert ask(app, "POST", "/admin/users").headers["allow"] == "GET, HEAD, OPTIONS"


def test_a_mount_at_the_root_takes_what_is_left():
    app, site = app_of("/health"), App()
    site.get("/{page}")(show)
    site.exception_handler(404)(lambda request, error: "site")
    app.mount("/", site)
    assert route_of(ask(app, target="/health")) == "/health"
    assert route_of(ask(app, target="/about")) == "/{page}"
    assert text(ask(app, target="/not/here")) == "site"


def test_a_mount_may_have_parameters():
    app, tenant = App(), App()
    tenant.get("/users/{id:int}", name="user")(show)
    tenant.exception_handler(404)(lambda request, error: "tenant")
    app.mount("/t/{tenant}", tenant, name="t")
    assert ask(app, target="/t/acme/users/1").body == (
        b'{"route":"/t/{tenant}/users/{id:int}","tenant":"acme","id":1}'
    )
    assert text(ask(app, target="/t/acme/nope")) == "tenant"
    assert app.url_for("t:user", tenant="a b", id=2) == "/t/a%20b/users/2"


def test_a_method_that_only_the_outside_has_does_not_reach_into_a_mount():
    app, admin = app_of("GET /{rest:path}"), App()
    admin.post("/users")(show)
    app.mount("/admin", admin)
    assert ask(app, "GET", "/admin/users").status == 405
    assert ask(app, "GET", "/admin/x").status == 404


def test_the_same_router_can_be_included_twice():
    app, router = App(), Router("/r")
    router.get("/x", name="x")(lambda request: request.app.url_for("x"))
    router.get("/self", name="self")(lambda request: str(request.url_for("x")))
    app.include(router, prefix="/v1", name="v1")
    app.include(router, prefix="/v2", name="v2")
    assert app.url_for("v1:x") == "/v1/r/x"
    assert text(ask(app, target="/v1/r/self")) == "http://example.com/v1/r/x"
    assert text(ask(app, target="/v2/r/self")) == "http://example.com/v2/r/x"


def test_a_pattern_shared_by_two_routers_belongs_to_what_is_around_both():
    app, one, two = App(), Router(), Router()
    one.get("/x")(show)
    two.post("/x")(show)
    one.exception_handler(405)(lambda request, error: "one")
    app.exception_handler(405)(lambda request, error: "app")
    app.include(one)
    app.include(two)
    assert text(ask(app, "PUT", "/x")) == "app"


def test_a_pattern_of_one_router_is_answered_by_it():
    app, one = App(), Router()
    one.get("/x")(show)
    one.exception_handler(405)(lambda request, error: "one")
    app.include(one)
    assert text(ask(app, "PUT", "/x")) == "one"


# --- hosts ---------------------------------------------------------------------------------------


def hosted():
    app, api, tenant, exact = App(), App(), App(), Router()
    app.get("/", name="home")(lambda request: "app")
    app.get("/only")(lambda request: "app")
    api.get("/", name="home")(lambda request: "api")
    api.get("/{x}", name="item")(lambda request, x: f"api {x}")
    tenant.get("/", name="home")(lambda request, tenant: f"tenant {tenant}")
    tenant.get("/{x:int}", name="item")(lambda request, tenant, x: f"tenant {tenant} {x}")
    tenant.get("/links")(lambda request, tenant: str(request.url_for("item", tenant=tenant, x=1)))
    exact.get("/")(lambda request: "v4")
    app.host("api.Example.com", api, name="api")
    app.host("{tenant}.example.com", tenant, name="tenant")
    app.host("*.example.org", api, name="org")
    app.host("{a}.{b}.example.net", wild := Router())
    wild.get("/")(lambda request, a, b: f"{a} {b}")
    app.host("192.0.2.1", exact)
    app.host("::1", exact_six := Router())
    exact_six.get("/")(lambda request: "v6")
    return app


@pytest.mark.parametrize(
    ("authority", "target", "answer"),
    [
        (b"api.example.com", "/", "api"),
        (b"API.example.COM:8000", "/", "api"),
        (b"api.example.com.", "/", "api"),
        (b"api.example.com", "/7", "api 7"),
        (b"api.example.com", "/?x", "api"),
        (b"acme.example.com", "/", "tenant acme"),
        (b"acme.example.com", "/?q=1", "tenant acme"),
        (b"acme.example.com", "/7", "tenant acme 7"),
        (b"any.example.org", "/", "api"),
        (b"x.y.example.net", "/", "x y"),
        (b"192.0.2.1:80", "/", "v4"),
        (b"[::1]:80", "/", "v6"),
        (b"example.com", "/", "app"),
        (b"a.b.example.com", "/", "app"),
        (b".example.com", "/", "app"),
        (b"a'b.example.com", "/", "app"),
        (b"evil.com", "/only", "app"),
        (b"", "/only", "app"),
    ],
)
def test_hosts_are_chosen_before_paths(authority, target, answer):
    app = hosted()
    for _ in range(2):  # the second time from memory
        assert text(ask(app, target=target, authority=authority)) == answer


def test_a_host_has_its_own_routes_only():
    assert ask(hosted(), target="/only/x", authority=b"api.example.com").status == 404


def test_parameters_of_a_host_are_not_shared_between_requests():
    app = App()
    tenant = Router()

    @tenant.get("/")
    def change(request, tenant):
        request.path_params["tenant"] = "changed"
        return tenant

    app.host("{tenant}.example.com", tenant)
    for _ in range(2):
        assert text(ask(app, authority=b"acme.example.com")) == "acme"


def test_the_memory_of_hosts_is_bounded():
    app = hosted()
    for number in range(1500):
        assert ask(app, authority=b"h%d.example.org" % number).status == 200
    assert ask(app, authority=b"x" * 10_000).status == 200
    cache = app._compiled.dispatcher._hosts._cache
    assert 0 < len(cache) <= 1024
    assert all(len(key) <= 255 for key in cache)


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "*",
        "{x}",
        "http://example.com",
        "example.com:80",
        "example.com/x",
        "a.*.com",
        "a{x}.com",
        "bücher.example",
        "-a.com",
        "a..com",
        "{a-b}.example.com",
        "{a}.{a}.example.com",
    ],
)
def test_malformed_hosts_are_refused(pattern):
    from httpkit.errors import ConfigurationError

    with pytest.raises(ConfigurationError, match="host"):
        App().host(pattern, Router())


# --- URLs ----------------------------------------------------------------------------------------


def test_urls_of_hosts_name_the_host():
    app = hosted()
    assert app.url_for("home") == "/"
    assert app.url_for("api:item", x="a") == "//api.example.com/a"
    assert app.url_for("tenant:item", tenant="acme", x=1) == "//acme.example.com/1"
    assert app.url_for("org:item", x="a", q=1) == "/a?q=1"  # nobody knows which host
    with pytest.raises(LookupError, match="needs the parameter 'tenant'"):
        app.url_for("tenant:home")
    with pytest.raises(ValueError, match="not a label"):
        app.url_for("tenant:home", tenant="evil.example/")
    with pytest.raises(LookupError, match="no route is named 'nope'"):
        app.url_for("nope")


@pytest.mark.parametrize(
    ("authority", "url"),
    [
        (b"acme.example.com", "http://acme.example.com/1"),
        (b"acme.example.com:8000", "http://acme.example.com:8000/1"),
    ],
)
def test_requests_build_absolute_urls(authority, url):
    assert text(ask(hosted(), target="/links", authority=authority)) == url


@pytest.mark.parametrize(
    ("authority", "url"),
    [
        (b"[::1]:80", URL("http", "api.example.com:80", "/a", "b=1")),
        (b"[::1]", URL("http", "api.example.com", "/a", "b=1")),
        (b"x.example", URL("http", "api.example.com", "/a", "b=1")),
    ],
)
def test_urls_for_another_host_keep_the_port(authority, url):
    app = hosted()
    request = make_request(target="/only", authority=authority)
    ask_with(app, request)
    assert request.url_for("api:item", x="a", b=1) == url


def test_names_are_looked_for_from_the_inside_out():
    app, admin = App(), App()
    app.get("/", name="home")(show)
    app.get("/login", name="login")(show)
    admin.get("/", name="home")(
        lambda request: [str(request.url_for(n)) for n in ("home", "login", "admin:home")]
    )
    app.mount("/admin", admin, name="admin")
    assert ask(app, target="/admin/").body == (
        b'["http://example.com/admin/","http://example.com/login","http://example.com/admin/"]'
    )


def test_error_pages_can_have_links():
    app, admin = App(), App()
    admin.get("/start", name="home")(show)
    app.mount("/admin", admin, name="admin")

    @admin.exception_handler(404)
    def not_found(request, error):
        assert request.route.pattern == ""
        assert request.app is admin
        return str(request.url_for("home"))

    assert text(ask(app, target="/admin/nope")) == "http://example.com/admin/start"


def test_a_request_knows_its_app_only_once_routed():
    with pytest.raises(LookupError, match="not routed"):
        _ = make_request().app
    app = App()
    app.state.answer = 42
    app.get("/")(lambda request: str(request.app.state.answer))
    assert text(ask(app)) == "42"
    assert repr(app.state) == "State({'answer': 42})"
    request = make_request()
    ask_with(app, request)
    assert isinstance(request, Request)
    assert repr(request.route).startswith("<Route / ")
