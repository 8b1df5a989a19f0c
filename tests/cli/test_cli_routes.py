"""`httpkit routes`: aligned, sorted, without columns that say nothing."""

from pathlib import Path

from httpkit.cli.routes import format_table

from .conftest import APP, Invoke, Write

SOURCE = f"""{APP}
@app.route("/items", methods=["GET", "POST"])
async def items(request): ...


@app.get("/items/{{id:int}}")
async def item(request, id): ...


@app.websocket("/live")
async def live(ws): ...


from httpkit import Router
api = Router()
@api.get("/version", name="about")
async def version(request): ...
app.host("api.example.com", api, name="api")
"""


def test_the_table(invoke: Invoke, write_module: Write) -> None:
    write_module("user_routes", SOURCE)
    result = invoke("routes", "user_routes:app")
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    assert [line[:5] for line in lines] == [
        ["METHODS", "HOST", "PATTERN", "NAME", "HANDLER"],
        ["GET", "*", "/", "index", "user_routes.index"],
        ["GET,POST", "*", "/items", "-", "user_routes.items"],
        ["GET", "*", "/items/{id:int}", "-", "user_routes.item"],
        ["WEBSOCKET", "*", "/live", "-", "user_routes.live"],
        ["GET", "api.example.com", "/version", "api:about", "user_routes.version"],
    ]
    assert lines[1][5].endswith("user_routes.py:5")


def test_the_routes_of_an_app_that_a_proxy_has_mounted(
    invoke: Invoke, write_module: Write, tmp_path: Path
) -> None:
    write_module("user_mounted", APP)
    file = tmp_path / "mounted.toml"
    file.write_text('root_path = "/api"\n')
    result = invoke("routes", "user_mounted:app", "--config", str(file))
    assert (result.exit_code, "/" in result.stdout.split()) == (0, True)


def test_static_files_are_a_route_with_a_directory(
    invoke: Invoke, write_module: Write, tmp_path: Path
) -> None:
    write_module("user_static", f"{APP}\napp.static('/static', {str(tmp_path)!r}, name='static')\n")
    [line] = [
        line.split()
        for line in invoke("routes", "user_static:app").stdout.splitlines()
        if "/static" in line
    ]
    assert line[:4] == ["GET", "/static/{path:path}", "static", "httpkit.static.StaticFiles"]
    assert Path(line[4]).resolve() == tmp_path.resolve()


def test_columns_are_aligned_and_empty_ones_left_out() -> None:
    rows = [("METHODS", "HOST", "PATTERN"), ("GET", "*", "/"), ("GET,POST", "*", "/x")]
    assert format_table(rows) == ["METHODS   PATTERN", "GET       /", "GET,POST  /x"]


def test_an_app_without_routes_has_headings_only() -> None:
    assert format_table([("METHODS", "PATTERN")]) == ["METHODS  PATTERN"]


def test_a_mistake_found_by_freezing(invoke: Invoke, write_module: Write) -> None:
    write_module("user_conflict", f"{APP}\n@app.get('/')\nasync def again(request): ...\n")
    result = invoke("routes", "user_conflict:app")
    assert result.exit_code == 1
    assert result.stderr.startswith("httpkit: error: ")
    assert "again" in result.stderr
    assert "Traceback" not in result.stderr


def test_an_application_that_is_no_app(invoke: Invoke, write_module: Write) -> None:
    write_module(
        "user_other",
        "class Other:\n"
        "    def handle(self, request): ...\n"
        "    def lifespan(self): ...\n"
        "    def on_freeze(self): ...\n"
        "other = Other()\n",
    )
    result = invoke("routes", "user_other:other")
    assert result.exit_code == 1
    assert "user_other:other has no routes: it is not an httpkit App" in result.stderr
