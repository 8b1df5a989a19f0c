"""What goes wrong in an application: what the client sees, what the log says."""

import asyncio
import contextvars
import re

import pytest

from httpkit.errors import BodyTooLarge, HTTPError, InvalidHeader, LocalProtocolError
from httpkit.headers import Headers
from httpkit.response import Response

from .wire import make_request

ID = re.compile(rb"500 request id ([0-9a-f]{4}-[0-9a-f]+-[0-9a-f]+)\n")


def expect_500(client, caplog, message: str) -> None:
    """The client learns an id and nothing else, the log has it once, with the traceback."""
    answer = client.get("/path?query", "Cookie: secret=1")
    assert answer.status == 500
    request_id = ID.fullmatch(answer.body)[1].decode()
    [record] = caplog.records
    assert record.levelname == "ERROR"
    assert re.search(message, caplog.text)
    assert record.getMessage().startswith(f"request {request_id}: ")
    assert record.getMessage().endswith(" GET /path?query failed")
    assert not answer.closes


def raising(error):
    def plain(request):
        raise error

    async def asynchronous(request):
        raise error

    async def later(request):
        await asyncio.sleep(0)
        raise error

    return [plain, asynchronous, later]


@pytest.mark.parametrize("kind", range(3), ids=["plain", "async", "later"])
def test_an_exception(live, caplog, kind) -> None:
    server = live(raising(ValueError("broken handler"))[kind])
    client = server.connect()
    expect_500(client, caplog, r"Traceback[\s\S]*\nValueError: broken handler")
    caplog.clear()
    expect_500(client, caplog, r"Traceback[\s\S]*\nValueError: broken handler")


@pytest.mark.parametrize("kind", range(3), ids=["plain", "async", "later"])
def test_a_system_exit_is_the_failure_of_one_request(live, caplog, kind) -> None:
    """A view that calls sys.exit(), or argparse in it, must not end the server for all."""
    server = live(raising(SystemExit(3))[kind])
    client = server.connect()
    expect_500(client, caplog, r"Traceback[\s\S]*\nSystemExit: 3")
    caplog.clear()
    expect_500(client, caplog, r"Traceback[\s\S]*\nSystemExit: 3")
    server.until(lambda: server.server.counters.requests_in_flight == 0)


@pytest.mark.parametrize("when", ["first", "later"])
def test_a_system_exit_in_a_stream(live, caplog, when) -> None:
    async def pieces():
        yield b"x"
        if when == "later":
            await asyncio.sleep(0)
        raise SystemExit(3)

    server = live(lambda request: Response(pieces()))
    for _ in range(2):
        client = server.connect()
        client.send(make_request())
        assert not client.receive_rest().endswith(b"0\r\n\r\n")
    server.until(lambda: server.server.counters.requests_in_flight == 0)
    assert "SystemExit: 3" in caplog.text


@pytest.mark.parametrize("kind", range(3), ids=["plain", "async", "later"])
def test_a_system_exit_in_a_background_call(live, caplog, kind) -> None:
    def handler(request):
        response = Response("ok")
        call = raising(SystemExit(3))[kind]
        response.background = [lambda: call(request)]
        return response

    server = live(handler)
    client = server.connect()
    for _ in range(2):
        assert client.get().body == b"ok"
    server.until(lambda: caplog.text.count("\nSystemExit: 3") == 2)


@pytest.mark.parametrize("kind", range(3), ids=["plain", "async", "later"])
def test_an_http_error_of_an_application_that_is_no_app(live, caplog, kind) -> None:
    """It is an answer, not a failure."""
    errors = [
        HTTPError(404, "No such thing."),
        HTTPError(401, "Who are you?", headers={"www-authenticate": "Basic"}),
        HTTPError(503, "Später.", headers=[("retry-after", "5")]),
    ]
    server = live(lambda request: raising(errors[int(request.path[1:])])[kind](request))
    client = server.connect()
    answer = client.get("/0")
    assert (answer.status, answer.body) == (404, b"404 No such thing.\n")
    answer = client.get("/1")
    assert (answer.status, answer["www-authenticate"]) == (401, "Basic")
    answer = client.get("/2")
    assert (answer.status, answer["retry-after"]) == (503, "5")
    assert answer.body == "503 Später.\n".encode()
    assert caplog.text == ""


def test_a_peers_mistake_that_an_application_lets_through(live, caplog) -> None:
    client = live(raising(BodyTooLarge("Too much of it."))[1]).connect()
    answer = client.get()
    assert (answer.status, answer.body) == (413, b"413 Too much of it.\n")
    assert caplog.text == ""


def test_the_headers_of_an_error_are_checked_too(live, caplog) -> None:
    error = HTTPError(404, headers={"x": "a\r\nb"})
    expect_500(live(raising(error)[1]).connect(), caplog, "InvalidHeader")


# --- answers that must not reach the wire --------------------------------------------------------


def smuggled(name: bytes, value: bytes):
    def handler(request):
        response = Response("text")
        response.raw_headers = [(name, value)]
        return response

    return handler


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (b"x", b"a\r\nset-cookie: evil"),
        (b"x", b"a\nb"),
        (b"x", b"a\0b"),
        (b"x\r\ny", b"a"),
        (b"x y", b"a"),
        (b"", b"a"),
        (b"content-length", b"abc"),
        (b"content-length", b"5"),
    ],
)
def test_forbidden_header_fields(live, caplog, name, value) -> None:
    """Whatever way they came in: an exception in the application, 500, nothing written."""
    expect_500(live(smuggled(name, value)).connect(), caplog, r"InvalidHeader|LocalProtocolError")


def test_a_forbidden_header_is_refused_where_it_is_made(live, caplog) -> None:
    outcome: list[BaseException] = []

    def handler(request):
        try:
            return Response("text", headers={"x": "a\r\nb"})
        except LocalProtocolError as error:
            outcome.append(error)
            raise

    expect_500(live(handler).connect(), caplog, "InvalidHeader")
    assert isinstance(outcome[0], InvalidHeader)


def test_forbidden_fields_of_a_stream(live, caplog) -> None:
    """Nothing is out yet, so it is not too late for an answer."""

    async def body():
        yield b"never"

    def handler(request):
        response = Response(body())
        response.raw_headers = [(b"x", b"a\nb")]
        return response

    expect_500(live(handler).connect(), caplog, "InvalidHeader")


def test_forbidden_fields_of_an_interim_response(live, caplog) -> None:
    async def handler(request):
        await request.send_informational(103, Headers([(b"link", b"a\r\nb")]))

    expect_500(live(handler).connect(), caplog, "InvalidHeader")


@pytest.mark.parametrize("status", [99, 100, 199, 600, 1000, "200", None])
def test_impossible_statuses(live, caplog, status) -> None:
    def handler(request):
        response = Response("text")
        response.status = status
        return response

    expect_500(live(handler).connect(), caplog, "is not a final status code")


# --- applications that are no App ----------------------------------------------------------------


@pytest.mark.parametrize("result", ["text", None, 5, {"a": 1}])
def test_a_result_that_is_no_response(live, caplog, result) -> None:
    async def asynchronous(request):
        return result

    expect_500(live(lambda request: result).connect(), caplog, "TypeError: .* not a Response, nor")
    caplog.clear()
    expect_500(live(asynchronous).connect(), caplog, "TypeError: .* is not a Response")


def test_any_awaitable_will_do(live) -> None:
    class Later:
        def __await__(self):
            yield from asyncio.sleep(0).__await__()
            return Response("later")

    def handler(request):
        if request.path == "/future":
            future = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_soon(future.set_result, Response("future"))
            return future
        return Later()

    client = live(handler).connect()
    assert client.get("/future").body == b"future"
    assert client.get("/later").body == b"later"


def test_a_handler_that_is_cancelled_by_somebody_else(live, caplog) -> None:
    async def handler(request):
        asyncio.current_task().cancel()
        await asyncio.sleep(0)

    expect_500(live(handler).connect(), caplog, "CancelledError")


def test_a_stream_that_is_cancelled_by_somebody_else(live, caplog) -> None:
    async def body():
        yield b"first"
        asyncio.current_task().cancel()
        await asyncio.sleep(0)

    client = live(lambda request: Response(body())).connect()
    client.request()
    client.receive_until(b"first\r\n")
    client.expect_end()
    assert "CancelledError" in caplog.text


def test_an_http_error_in_mid_stream(live, caplog) -> None:
    """Too late for an answer, so the log has to tell."""

    async def body():
        yield b"first"
        raise HTTPError(404)

    client = live(lambda request: Response(body())).connect()
    client.request()
    client.receive_until(b"first\r\n")
    client.expect_end()
    assert caplog.text.count("HTTPError: 404") == 1


def test_requests_behind_a_failed_one_are_served(live, caplog) -> None:
    def handler(request):
        if request.path == "/bad":
            raise ValueError("broken")
        return Response("good")

    client = live(handler).connect()
    client.send(make_request("/bad") + make_request("/good") + make_request("/bad"))
    assert [client.receive().status for _ in range(3)] == [500, 200, 500]


def test_request_ids_differ(live, caplog) -> None:
    server = live(lambda request: Response(request.id))
    first, second = server.connect(), server.connect()
    ids = [client.get().body for client in (first, first, second)]
    assert len(set(ids)) == 3
    assert {each.split(b"-")[0] for each in ids} == {server.server.instance.encode()}


def test_every_request_has_its_own_context(live) -> None:
    variable = contextvars.ContextVar("variable", default="untouched")

    async def handler(request):
        seen = variable.get()
        variable.set(request.path)
        await asyncio.sleep(0)

        async def body():
            yield f"{seen} {variable.get()}"

        return Response(body(), background=lambda: background.append(variable.get()))

    def plain(request):
        seen = variable.get()
        variable.set(request.path)
        return Response(seen)

    background: list[str] = []
    server = live(lambda request: (plain if request.path == "/plain" else handler)(request))
    client = server.connect()
    for _ in range(2):
        assert client.get("/a").body == b"untouched /a"
        assert client.get("/plain").body == b"untouched"
    server.until(lambda: background == ["/a", "/a"])
