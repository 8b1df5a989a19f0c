"""Mistakes in an application are found at start, with their place and what to change."""

import functools
import inspect
import types
from pathlib import Path

import pytest

from httpkit.app import App
from httpkit.errors import ConfigurationError
from httpkit.middleware import CORS, Compress
from httpkit.routing import Router
from httpkit.routing.handlers import describe

from .conftest import ask, text


async def handler(request):
    return "ok"


async def with_id(request, id):
    return {"id": id}


def on_error(request, error):
    return "sorry"


def refused(app, *parts):
    with pytest.raises(ConfigurationError) as caught:
        app.on_freeze()
    for part in parts:
        assert part in str(caught.value)
    return str(caught.value)


def place(function):
    return f"{Path(__file__)}:{inspect.unwrap(function).__code__.co_firstlineno}"


# --- at the call ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((len,), {}, r'is no pattern, which is a str: write it as in @app.get\("/"\)'),  # @app.get
        (("users",), {}, "must start with a slash"),
        (("/",), {"methods": []}, "needs a method"),
        (("/",), {"methods": ["get"]}, "'get' is not a method this server implements: write 'GET'"),
        (("/",), {"methods": ["BREW"]}, "see httpkit.status.METHODS"),
        (("/",), {"methods": [b"GET"]}, "see httpkit.status.METHODS"),
        (("/",), {"methods": ["CONNECT"]}, "CONNECT cannot be routed"),
        (("/",), {"max_body": -1}, "max_body of '/' is -1: give bytes as an int of at least 0, or"),
        (("/",), {"max_body": "1M"}, "max_body of '/' is '1M': give bytes as an int"),
        (("/",), {"max_body": 1.5}, "max_body of '/' is 1.5: give bytes as an int"),
        (("/",), {"min_body_rate": 0}, "is 0: give bytes a second as an int of at least 1"),
        (("/",), {"middleware": [len]}, r"must take \(request, next\)"),
    ],
)
def test_route_refuses(arguments, options, message):
    with pytest.raises(ConfigurationError, match=message):
        App().route(*arguments, **options)


def test_route_takes_one_method_by_its_name():
    app = App()
    app.route("/", methods="PUT")(handler)
    assert app.routes()[0].methods == ("PUT",)


def test_a_handler_is_callable():
    with pytest.raises(ConfigurationError, match="not a callable"):
        App().get("/")("handler")


def pieces(request):
    yield "a"


class Report:
    def pieces(self, request):
        yield "a"


@pytest.mark.parametrize(
    "function", [pieces, functools.partial(pieces), Report().pieces], ids=["def", "partial", "self"]
)
@pytest.mark.parametrize("thread", [False, True])
def test_a_def_with_yield_makes_no_answer(function, thread):
    with pytest.raises(ConfigurationError, match=r"pieces \(.*write async def for a stream"):
        App().get("/", thread=thread)(function)


def test_a_coroutine_of_the_old_kind_is_taken():
    App().get("/")(types.coroutine(pieces))


async def stream(request):
    yield "a"


@pytest.mark.parametrize("function", [handler, stream, functools.partial(handler)])
def test_async_handlers_do_not_run_in_threads(function):
    with pytest.raises(ConfigurationError, match="remove thread=True or async"):
        App().get("/", thread=True)(function)


class Layer:
    async def __call__(self, request, next):
        return await next(request)


@pytest.mark.parametrize(
    ("middleware", "message"),
    [
        (Layer, r"Layer is a class: add an instance, Layer\(\.\.\.\)"),
        ("logging", "is not callable"),
        (handler, r"must take \(request, next\)"),
    ],
)
def test_middleware_is_checked(middleware, message):
    with pytest.raises(ConfigurationError, match=message):
        App(middleware=[middleware])
    with pytest.raises(ConfigurationError, match=message):
        App().middleware(middleware)


def test_middleware_without_a_signature_is_taken():
    Router().add_middleware(getattr)  # a builtin that inspect cannot describe


@pytest.mark.parametrize("prefix", ["api", "/api/", "/", "/{rest:path}", "/a//b"])
def test_a_malformed_prefix_is_refused(prefix):
    with pytest.raises(ConfigurationError):
        Router(prefix)
    with pytest.raises(ConfigurationError):
        App().include(Router(), prefix=prefix)


def test_mount_needs_a_prefix():
    with pytest.raises(ConfigurationError, match='write "/" to mount at the root'):
        App().mount("", Router())


@pytest.mark.parametrize("method", ["include", "mount", "host"])
def test_only_routers_can_be_taken_in(method):
    arguments = {"include": (), "mount": ("/x",), "host": ("example.com",)}[method]
    with pytest.raises(ConfigurationError, match="is not an httpkit Router or App"):
        getattr(App(), method)(*arguments, handler)


@pytest.mark.parametrize("kind", [200, 600, KeyboardInterrupt, "404", int])
def test_exception_handlers_need_a_class_or_an_error_status(kind):
    with pytest.raises(ConfigurationError, match="a status from 400 to 599"):
        App().exception_handler(kind)


def test_a_second_exception_handler_is_a_conflict():
    app = App()
    app.exception_handler(404)(on_error)
    app.exception_handler(404)(on_error)  # the same again is none
    with pytest.raises(ConfigurationError) as caught:
        app.exception_handler(404)(with_id)
    assert place(on_error) in str(caught.value)
    assert place(with_id) in str(caught.value)


def test_an_exception_handler_takes_a_request_and_an_error():
    with pytest.raises(ConfigurationError, match=r"must take \(request, error\)") as caught:
        App().exception_handler(404)(handler)
    assert place(handler) in str(caught.value)
    with pytest.raises(ConfigurationError, match="'handler' is not callable"):
        App().exception_handler(404)("handler")
    Router().exception_handler(404)(getattr)  # a builtin that inspect cannot describe


class Hex:
    def convert(self, text):
        return int(text, 16)

    def to_string(self, value):
        return f"{value:x}"


@pytest.mark.parametrize("name", ["int", "path", "hex", "a-b", ""])
def test_converter_names_are_checked(name):
    app = App()
    app.converter("hex", Hex)
    with pytest.raises(ConfigurationError, match="must be an identifier that is not taken"):
        app.converter(name, Hex())


def test_converters_need_both_directions():
    with pytest.raises(ConfigurationError, match="convert"):
        App().converter("hex", object())


async def generator(app):
    yield


def plain_generator(app):
    yield


@pytest.mark.parametrize("lifespan", [generator, plain_generator, handler])
def test_a_lifespan_is_a_context_manager(lifespan):
    with pytest.raises(ConfigurationError, match="asynccontextmanager") as caught:
        App(lifespan=lifespan)
    assert place(lifespan) in str(caught.value)


@pytest.mark.parametrize("threads", [0, "4", 2.5])
def test_a_pool_needs_threads(threads):
    with pytest.raises(ConfigurationError, match="at least one thread"):
        App(threads=threads)


@pytest.mark.parametrize(
    "register",
    [
        lambda layer: App(middleware=layer),
        lambda layer: Router(middleware=layer),
        lambda layer: App().get("/", middleware=layer),
        lambda layer: App().websocket("/", middleware=layer),
        lambda layer: App().static("/", ".", middleware=layer),
    ],
)
def test_middleware_are_a_list(register):
    with pytest.raises(ConfigurationError, match=r"give a list, middleware=\[...\]"):
        register(Layer())


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: App().static("/", ".", memory="32M"), "memory='32M' .* bytes"),
        (lambda: App().static("/", ".", check_interval="1s"), "check_interval='1s' .* seconds"),
        (lambda: App().static("/", ".", check_interval=-1), "check_interval=-1 .* seconds"),
        (lambda: Compress(minimum_size="1k"), "minimum_size is '1k'"),
        (lambda: CORS("*", max_age="1h"), "max_age is '1h'"),
        (lambda: CORS("*", max_age=1.5), "max_age is 1.5"),
    ],
)
def test_a_number_that_is_none_is_found_at_the_start(call, text):
    with pytest.raises(ConfigurationError, match=text):
        call()


@pytest.mark.parametrize(
    "register",
    [
        lambda app: app.get("/x"),
        lambda app: app.middleware(Layer()),
        lambda app: app.include(Router()),
        lambda app: app.mount("/x", Router()),
        lambda app: app.host("x", Router()),
        lambda app: app.exception_handler(404),
        lambda app: app.converter("hex", Hex),
    ],
)
def test_nothing_is_registered_after_freezing(register):
    app, router = App(), Router()
    app.include(router)
    pending = app.get("/pending"), app.exception_handler(500)
    app.on_freeze()
    app.on_freeze()  # again does nothing
    with pytest.raises(ConfigurationError, match="the app is frozen"):
        register(app)
    for decorate in pending:
        with pytest.raises(ConfigurationError, match="the app is frozen"):
            decorate(handler)
    with pytest.raises(ConfigurationError, match="the app is frozen"):
        router.get("/x")


# --- when the app is frozen ----------------------------------------------------------------------


def test_conflicts_name_both_places():
    app, router = App(), Router("/users")
    app.get("/users/{id}")(with_id)
    router.get("/{name}")(name := lambda request, name: name)
    app.include(router)
    refused(app, "GET /users/{name}", "/users/{id}", place(with_id), place(name))


@pytest.mark.parametrize(
    ("one", "other", "conflict"),
    [
        ("/a", "/a", True),
        ("/{x:int}", "/{y:int}", True),
        ("/{x:path}", "/{y:path}", True),
        ("/a/{x}/b", "/a/{y}/b", True),
        ("/{x:int}", "/{y:float}", False),
        ("/{x}", "/a", False),
        ("/a", "/a/", False),
        ("/{x}", "/{x:path}", False),
    ],
)
def test_conflicts(one, other, conflict):
    app = App()
    for pattern in (one, other):
        app.get(pattern)(lambda request, **parameters: "")
    app.post(other)(lambda request, **parameters: "")  # another method is none
    if conflict:
        refused(app, "two handlers for GET")
    else:
        app.on_freeze()


@pytest.mark.parametrize(
    ("pattern", "function", "parts"),
    [
        ("/{id}", handler, ["the parameter 'id', which the handler does not take", "add"]),
        ("/", with_id, ["missing a required", "'id'", "give it a default"]),
        ("/{request}", handler, ["multiple values", "rename"]),
        ("/", lambda: "", ["takes no request"]),
        ("/", lambda *, request: "", ["takes no request"]),
        ("/{a}", lambda request, a, b: "", ["'b'"]),
        ("/{a}", lambda request, a, /: "", ["positional"]),
        ("/{x:hex}", lambda request, x: "", ["unknown converter 'hex'"]),
        ("", handler, ["needs a prefix"]),
    ],
)
def test_handlers_must_take_what_the_pattern_gives(pattern, function, parts):
    app = App()
    app.get(pattern)(function)
    refused(app, place(function), *parts)


class Controller:
    async def method(self, request, id):
        return {"id": id}

    @staticmethod
    async def static(request, id):
        return {"id": id}

    async def __call__(self, request, id):
        return {"id": id}


def with_more(request, id, more=1):
    return {"id": id}


async def spare(request, prefix, id):
    return {"id": id}


@pytest.mark.parametrize(
    "function",
    [
        with_id,
        Controller().method,
        Controller.static,
        Controller(),
        functools.partial(spare, prefix="x"),
        functools.partial(functools.partial(Controller().method)),
        lambda request, **parameters: parameters,
        with_more,
        lambda *everything, **parameters: parameters,
    ],
)
def test_handlers_of_every_shape(function):
    app = App()
    app.get("/{id:int}")(function)
    assert text(ask(app, target="/7")) == '{"id":7}'


def test_a_handler_without_a_signature_is_taken():
    app = App()
    app.get("/")(type)  # inspect cannot describe it; it is called like any other
    app.get("/{x}")(dict)
    assert ask(app).status == 500


def test_parameters_of_prefix_and_pattern_are_one_call():
    app, router = App(), Router("/teams/{team}")
    router.get("/users/{user:int}")(lambda request, team, user: [team, user])
    router.get("/{team}")(handler)
    app.include(router)
    refused(app, "'team' twice")


def test_hosts_and_patterns_share_their_parameters():
    app, tenant = App(), App()
    tenant.get("/{tenant}")(lambda request, tenant: "")
    app.host("{tenant}.example.com", tenant)
    refused(app, "'tenant' stands in the host and in pattern '/{tenant}'")


def test_two_mounts_at_one_place_are_a_conflict():
    app = App()
    app.mount("/admin", Router())
    app.mount("/admin", Router())
    refused(app, "two mounts at '/admin'")


def test_a_router_cannot_contain_itself():
    app, router = App(), Router("/x")
    app.include(router)
    router.include(app)
    refused(app, "contains itself")


def test_a_host_cannot_contain_itself():
    app = App()
    app.host("example.com", app)
    refused(app, "contains itself")


def test_hosts_belong_to_the_outermost_app():
    app, inner = App(), App()
    inner.host("example.com", Router())
    app.mount("/inner", inner)
    refused(app, "register them with the outermost app")


def test_hosts_that_match_the_same_are_a_conflict():
    app = App()
    app.host("*.example.com", Router())
    app.host("{tenant}.example.com", Router())
    refused(app, "'*.example.com' and '{tenant}.example.com' match the same")


# --- names ---------------------------------------------------------------------------------------


def test_names_are_unique():
    app = App()
    app.get("/a", name="x")(handler)
    app.get("/b", name="x")(with_default := lambda request: "")
    refused(app, "two routes are named 'x'", place(handler), place(with_default))


def test_one_pattern_may_have_a_name_for_several_methods():
    app = App()
    app.get("/a", name="x")(handler)
    app.post("/a", name="x")(handler)
    assert app.url_for("x") == "/a"


@pytest.mark.parametrize("name", ["", "a:b"])
def test_names_have_no_colon(name):
    app = App()
    app.get("/", name=name)(handler)
    refused(app, "choose another")


def test_a_router_included_twice_needs_a_namespace():
    app, router = App(), Router()
    router.get("/x", name="x")(handler)
    app.include(router, prefix="/v1")
    app.include(router, prefix="/v2")
    refused(app, "two routes are named 'x'", "include its router with name=")


# --- what is known of a route --------------------------------------------------------------------


def outer(request, next):
    return next(request)


def test_routes_lists_everything():
    app = App(middleware=[outer])
    api, site = Router("/api", middleware=[Layer()]), Router()
    app.get("/", name="home")(handler)
    api.route("/{id:int}", ["PUT", "PATCH"], name="item", middleware=[outer], max_body=5)(with_id)
    site.get("/about")(handler)
    app.mount("/v1", api, name="v1")
    app.host("*.example.com", site)
    home, item, about = app.routes()
    assert home.methods == ("GET",)
    assert (home.host, home.pattern, home.name, home.max_body) == (None, "/", "home", ...)
    assert home.handler == f"{__name__}.handler"
    assert home.source == place(handler)
    assert home.middleware == (f"{__name__}.outer",)
    assert item.methods == ("PUT", "PATCH")
    assert (item.pattern, item.name, item.max_body) == ("/v1/api/{id:int}", "v1:item", 5)
    assert (home.min_body_rate, item.min_body_rate) == (..., ...)
    assert item.middleware == (f"{__name__}.outer", f"{__name__}.Layer", f"{__name__}.outer")
    assert (about.host, about.pattern, about.name) == ("*.example.com", "/about", None)


def test_describe_finds_the_place_of_what_is_wrapped():
    @functools.wraps(handler)
    def wrapper(request):
        return handler(request)

    assert describe(wrapper).place == place(handler)
    assert describe(functools.partial(with_id, id=1)).place == place(with_id)
    assert describe(Controller().method).place == place(Controller.method)
    assert describe(Controller()).place == place(Controller.__call__)
    assert describe(len) == ("builtins.len", "<unknown>", 0)
    assert str(describe(len)) == "builtins.len (<unknown>)"
