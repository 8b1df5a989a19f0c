"""Hosts, and URLs by name: across hosts, namespaces and error pages."""

import pytest

from httpkit.app import App
from httpkit.errors import ConfigurationError
from httpkit.routing import Router
from httpkit.urls import URL

from .conftest import ask, ask_with, make_request, show, text


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
        "127.0.0.1:8000",
        "[::1]",
        "fe80::1%1",
        "a..b",
    ],
)
def test_malformed_hosts_are_refused(pattern):
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


def test_rfc3986_3_2_2_urls_for_an_address_have_its_brackets():
    app = App()
    app.host("::1", six := Router())
    six.get("/", name="six")(lambda request: "v6")
    app.get("/")(show)
    assert app.url_for("six") == "//[::1]/"
    request = make_request(authority=b"localhost:8000")
    ask_with(app, request)
    assert str(request.url_for("six")) == "http://[::1]:8000/"


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
    assert repr(request.route).startswith("<Route / ")
