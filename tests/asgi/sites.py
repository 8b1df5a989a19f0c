"""The same small site with each framework; what its paths do stands in `test_frameworks.py`."""

import contextlib
import json
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import django.conf
import django.core.asgi
import django.core.wsgi
import django.http
import django.urls
import falcon
import falcon.asgi
import fastapi
import flask
import quart
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    JSONResponse,
    PlainTextResponse,
    StreamingResponse,
)
from starlette.routing import Route


def pieces() -> Any:
    for number in range(20):
        yield b"piece %d\n" % number


async def async_pieces() -> Any:
    for piece in pieces():
        yield piece


# --- Starlette and FastAPI -----------------------------------------------------------------


def _starlette_handlers(file: Path) -> dict[str, Any]:  # noqa: C901 - one for each path
    async def echo_json(request: Request) -> Any:
        return JSONResponse({"got": await request.json()})

    async def form(request: Request) -> Any:
        async with request.form() as form:
            return PlainTextResponse(form["name"])

    async def upload(request: Request) -> Any:
        async with request.form() as form:
            upload = form["file"]
            return PlainTextResponse(f"{upload.filename} {len(await upload.read())}")

    async def size(request: Request) -> Any:
        total = 0
        async for chunk in request.stream():
            total += len(chunk)
        return PlainTextResponse(str(total))

    async def stream(request: Request) -> Any:
        return StreamingResponse(async_pieces())

    def send_file(request: Request) -> Any:
        return FileResponse(file)

    def about(request: Request) -> Any:
        return JSONResponse(
            {
                "path": request.path_params["path"],
                "q": request.query_params["q"],
                "x": request.headers["x-one"],
            }
        )

    def fail(request: Request) -> Any:
        raise LookupError("on purpose")

    def hello(request: Request) -> Any:
        return PlainTextResponse("hello")

    def cookies(request: Request) -> Any:
        response = PlainTextResponse("")
        response.set_cookie("a", "1")
        response.set_cookie("b", "2")
        return response

    async def lifespan(request: Request) -> Any:
        return PlainTextResponse(request.state.word)

    async def background(request: Request) -> Any:
        async def run() -> None:
            request.app.state.seen.append("ran")

        return PlainTextResponse("answered", background=BackgroundTask(run))

    def url(request: Request) -> Any:
        return PlainTextResponse(str(request.url_for("hello")))

    return {
        "POST /json": echo_json,
        "POST /form": form,
        "POST /upload": upload,
        "POST /size": size,
        "GET /stream": stream,
        "GET /file": send_file,
        "GET /about/{path:path}": about,
        "GET /fail": fail,
        "GET /hello": hello,
        "GET /cookies": cookies,
        "GET /lifespan": lifespan,
        "GET /background": background,
        "GET /url": url,
    }


@contextlib.asynccontextmanager
async def _lifespan(app: Any) -> Any:
    yield {"word": "begun"}


def make_starlette(file: Path) -> Any:
    routes = []
    for key, handler in _starlette_handlers(file).items():
        method, path = key.split()
        routes.append(Route(path, handler, methods=[method], name=handler.__name__))
    return Starlette(routes=routes, lifespan=_lifespan)


def make_fastapi(file: Path) -> Any:
    app = fastapi.FastAPI(lifespan=_lifespan)

    @app.post("/json")
    async def echo_json(data: dict[str, Any]) -> Any:
        return {"got": data}

    @app.post("/form")
    async def form(name: str = fastapi.Form()) -> Any:
        return PlainTextResponse(name)

    @app.post("/upload")
    async def upload(file: fastapi.UploadFile) -> Any:
        return PlainTextResponse(f"{file.filename} {len(await file.read())}")

    for key, handler in _starlette_handlers(file).items():
        method, path = key.split()
        if path not in ("/json", "/form", "/upload"):
            app.add_route(path, handler, methods=[method], name=handler.__name__)
    return app


# --- Django --------------------------------------------------------------------------------


def _django_urls(file: Path) -> list[Any]:
    http = django.http

    def echo_json(request: Any) -> Any:
        return http.JsonResponse({"got": json.loads(request.body)})

    def upload(request: Any) -> Any:
        upload = request.FILES["file"]
        return http.HttpResponse(f"{upload.name} {len(upload.read())}")

    def size(request: Any) -> Any:
        total = 0
        while chunk := request.read(4096):
            total += len(chunk)
        return http.HttpResponse(str(total))

    def about(request: Any, path: str) -> Any:
        return http.JsonResponse(
            {"path": path, "q": request.GET["q"], "x": request.headers["x-one"]}
        )

    def fail(request: Any) -> Any:
        raise LookupError("on purpose")

    def stream(request: Any) -> Any:
        # A plain iterator below WSGI, an asynchronous one below ASGI.
        asynchronous = hasattr(request, "scope")
        return http.StreamingHttpResponse(async_pieces() if asynchronous else pieces())

    def send_file(request: Any) -> Any:
        # Below ASGI Django warns of FileResponse: it would read the whole file at once.
        if hasattr(request, "scope"):
            return http.HttpResponse(file.read_bytes())
        return http.FileResponse(file.open("rb"))

    def cookies(request: Any) -> Any:
        response = http.HttpResponse()
        response.set_cookie("a", "1")
        response.set_cookie("b", "2")
        return response

    path, re_path = django.urls.path, django.urls.re_path
    return [
        path("json", echo_json),
        path("form", lambda request: http.HttpResponse(request.POST["name"])),
        path("upload", upload),
        path("size", size),
        path("stream", stream),
        path("file", send_file),
        re_path("^about/(?P<path>.*)$", about),
        path("fail", fail),
        path("hello", lambda request: http.HttpResponse("hello")),
        path("cookies", cookies),
    ]


class _Urls:
    urlpatterns: ClassVar[list[Any]] = []


def _configure_django(file: Path) -> None:
    if not django.conf.settings.configured:
        django.conf.settings.configure(
            ALLOWED_HOSTS=["*"],
            ROOT_URLCONF=_Urls,
            SECRET_KEY="no secret",
            USE_TZ=True,
            FILE_UPLOAD_TEMP_DIR=tempfile.gettempdir(),
            LOGGING_CONFIG=None,
        )
    _Urls.urlpatterns = _django_urls(file)
    django.urls.clear_url_caches()


def make_django_asgi(file: Path) -> Any:
    _configure_django(file)
    return django.core.asgi.get_asgi_application()


def make_django_wsgi(file: Path) -> Any:
    _configure_django(file)
    return django.core.wsgi.get_wsgi_application()


# --- Flask and Quart -----------------------------------------------------------------------


def make_flask(file: Path) -> Any:
    app = flask.Flask("site")
    request = flask.request

    @app.post("/size")
    def size() -> Any:
        total = 0
        while chunk := request.stream.read(4096):
            total += len(chunk)
        return str(total)

    @app.get("/cookies")
    def cookies() -> Any:
        response = flask.make_response("")
        response.set_cookie("a", "1")
        response.set_cookie("b", "2")
        return response

    def upload() -> Any:
        upload = request.files["file"]
        return f"{upload.filename} {len(upload.read())}"

    def about(path: str) -> Any:
        return {"path": path, "q": request.args["q"], "x": request.headers["x-one"]}

    def fail() -> Any:
        raise LookupError("on purpose")

    app.post("/json")(lambda: {"got": request.get_json()})
    app.post("/form", endpoint="form")(lambda: request.form["name"])
    app.post("/upload")(upload)
    app.get("/about/<path:path>")(about)
    app.get("/fail")(fail)
    app.get("/stream", endpoint="stream")(lambda: flask.Response(pieces()))
    app.get("/file", endpoint="file")(lambda: flask.send_file(file))
    app.get("/hello", endpoint="hello")(lambda: "hello")
    app.get("/url", endpoint="url")(lambda: flask.url_for("hello", _external=True))
    return app


def make_quart(file: Path) -> Any:  # noqa: C901 - one handler for each path
    app = quart.Quart("site")
    app.config["MAX_CONTENT_LENGTH"] = None
    request = quart.request
    words: list[str] = []

    @app.before_serving
    async def begin() -> None:
        words.append("begun")

    @app.post("/json")
    async def echo_json() -> Any:
        return {"got": await request.get_json()}

    @app.post("/form")
    async def form() -> Any:
        return (await request.form)["name"]

    @app.post("/upload")
    async def upload() -> Any:
        upload = (await request.files)["file"]
        return f"{upload.filename} {len(upload.read())}"

    @app.post("/size")
    async def size() -> Any:
        total = 0
        async for chunk in request.body:
            total += len(chunk)
        return str(total)

    @app.get("/stream")
    async def stream() -> Any:
        return async_pieces()

    @app.get("/file")
    async def send() -> Any:
        return await quart.send_file(file)

    @app.get("/about/<path:path>")
    async def about(path: str) -> Any:
        return {"path": path, "q": request.args["q"], "x": request.headers["x-one"]}

    @app.get("/fail")
    async def fail() -> Any:
        raise LookupError("on purpose")

    @app.get("/hello")
    async def hello() -> Any:
        return "hello"

    @app.get("/cookies")
    async def cookies() -> Any:
        response = await quart.make_response("")
        response.set_cookie("a", "1")
        response.set_cookie("b", "2")
        return response

    @app.get("/lifespan")
    async def lifespan() -> Any:
        return words[0]

    @app.get("/url")
    async def url() -> Any:
        return quart.url_for("hello", _external=True)

    return app


# --- Falcon --------------------------------------------------------------------------------


class _Falcon:
    """One resource for everything; its methods end like its routes."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def on_post_json(self, request: Any, response: Any) -> None:
        response.media = {"got": request.get_media()}

    def on_post_form(self, request: Any, response: Any) -> None:
        response.text = request.get_media()["name"]

    def on_post_upload(self, request: Any, response: Any) -> None:
        for part in request.get_media():
            response.text = f"{part.filename} {len(part.stream.read())}"

    def on_post_size(self, request: Any, response: Any) -> None:
        total = 0
        while chunk := request.stream.read(4096):
            total += len(chunk)
        response.text = str(total)

    def on_get_stream(self, request: Any, response: Any) -> None:
        response.stream = pieces()

    def on_get_file(self, request: Any, response: Any) -> None:
        response.stream = self.file.open("rb")

    def on_get_about(self, request: Any, response: Any, path: str) -> None:
        response.media = {
            "path": path,
            "q": request.get_param("q"),
            "x": request.get_header("x-one"),
        }

    def on_get_fail(self, request: Any, response: Any) -> None:
        raise LookupError("on purpose")

    def on_get_hello(self, request: Any, response: Any) -> None:
        response.text = "hello"

    on_head_hello = on_get_hello

    def on_get_cookies(self, request: Any, response: Any) -> None:
        response.set_cookie("a", "1", secure=False)
        response.set_cookie("b", "2", secure=False)


class _AsyncFalcon(_Falcon):
    word = ""

    async def process_startup(self, scope: Any, event: Any) -> None:
        self.word = "begun"

    async def on_post_json(self, request: Any, response: Any) -> None:
        response.media = {"got": await request.get_media()}

    async def on_post_form(self, request: Any, response: Any) -> None:
        response.text = (await request.get_media())["name"]

    async def on_post_upload(self, request: Any, response: Any) -> None:
        async for part in await request.get_media():
            response.text = f"{part.filename} {len(await part.stream.read())}"

    async def on_post_size(self, request: Any, response: Any) -> None:
        total = 0
        async for chunk in request.stream:
            total += len(chunk)
        response.text = str(total)

    async def on_get_stream(self, request: Any, response: Any) -> None:
        response.stream = async_pieces()

    async def on_get_file(self, request: Any, response: Any) -> None:
        file = self.file.open("rb")

        async def chunks() -> Any:
            with file:
                while chunk := file.read(65_536):
                    yield chunk

        response.stream = chunks()

    async def on_get_about(self, request: Any, response: Any, path: str) -> None:
        super().on_get_about(request, response, path)

    async def on_get_fail(self, request: Any, response: Any) -> None:
        super().on_get_fail(request, response)

    async def on_get_hello(self, request: Any, response: Any) -> None:
        super().on_get_hello(request, response)

    on_head_hello = on_get_hello

    async def on_get_cookies(self, request: Any, response: Any) -> None:
        super().on_get_cookies(request, response)

    async def on_get_lifespan(self, request: Any, response: Any) -> None:
        response.text = self.word


def _route_falcon(app: Any, resource: Any) -> Any:
    names = "json form upload size stream file fail hello cookies".split()
    if hasattr(resource, "on_get_lifespan"):
        names.append("lifespan")
    for name in names:
        app.add_route(f"/{name}", resource, suffix=name)
    app.add_route("/about/{path:path}", resource, suffix="about")
    return app


def make_falcon_wsgi(file: Path) -> Any:
    return _route_falcon(falcon.App(), _Falcon(file))


def make_falcon_asgi(file: Path) -> Any:
    resource = _AsyncFalcon(file)
    return _route_falcon(falcon.asgi.App(middleware=[resource]), resource)
