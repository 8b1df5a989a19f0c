"""Routers inside routers: prefixes, ownership of what is not found, precedence."""

from httpkit.app import App
from httpkit.routing import Router

from .conftest import app_of, ask, route_of, show, text


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


def test_files_at_the_root_of_an_app_that_is_mounted(tmp_path):
    """A mount at the beginning of another one: what neither has is the inner one's to answer."""
    (tmp_path / "index.html").write_text("page")
    for prefix in ("/admin", "/"):
        app, admin = App(), App()
        admin.get("/api")(show)
        admin.exception_handler(404)(lambda request, error: "admin")
        admin.static("/", tmp_path, spa=True)
        app.mount(prefix, admin)
        below = prefix.rstrip("/")
        assert text(ask(app, target=f"{below}/")) == "page"
        assert text(ask(app, target=f"{below}/users/7")) == "page"
        assert text(ask(app, target=f"{below}/nothing.js")) == "admin"
        assert route_of(ask(app, target=f"{below}/api")) == f"{below}/api"
        assert ask(app, "POST", f"{below}/api").headers["allow"] == "GET, HEAD, OPTIONS"


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
