"""Files as answers of handlers: opened around the handler, inside the middleware."""

import pytest

from httpkit.app import App
from httpkit.body import FileBody, UnopenedFile
from httpkit.response import Response

from .conftest import ask, text

KINDS = ["async", "def", "thread"]


def app_of(kind, path, **options):
    app = App(**options)
    if kind == "async":

        @app.get("/")
        async def handler(request):
            return Response.file(path)

    else:

        @app.get("/", thread=kind == "thread")
        def plain(request):
            return Response.file(path)

    return app


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wrapped", [False, True])
def test_middleware_sees_an_open_file(tmp_path, kind, wrapped):
    (tmp_path / "x.txt").write_bytes(b"12345")
    seen = []

    async def look(request, next):
        response = await next(request)
        seen.append((type(response.body), response.body.length))
        return response

    app = app_of(kind, tmp_path / "x.txt", middleware=[look] if wrapped else [])
    response = ask(app)
    assert response.body.read(10) == b"12345"
    assert seen == [(FileBody, 5)] * wrapped


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_file_is_an_error_of_the_handler(tmp_path, kind):
    app = app_of(kind, tmp_path / "nope")
    app.exception_handler(404)(lambda request, error: "our own page")
    response = ask(app)
    assert (response.status, text(response)) == (404, "our own page")


@pytest.mark.parametrize("kind", KINDS)
def test_a_broken_disk_is_500(tmp_path, monkeypatch, kind, log):
    def broken(*args):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(UnopenedFile, "open", broken)
    assert ask(app_of(kind, tmp_path)).status == 500
    assert "Input/output error" in log.text


def test_an_answer_can_be_kept(tmp_path):
    (tmp_path / "x").write_bytes(b"12345")
    kept = Response.file(tmp_path / "x")
    app = App()
    app.get("/")(lambda request: kept)
    assert ask(app).body.read(10) == ask(app).body.read(10) == b"12345"
