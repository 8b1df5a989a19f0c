"""Which ports speak TLS; redirects from plain ones; HSTS; options that contradict each other."""

import asyncio
from pathlib import Path

import pytest

from httpkit import App, Request
from httpkit.errors import ConfigurationError
from httpkit.response import Response
from httpkit.server.config import Config
from httpkit.server.listening import Listening, open_for_workers, open_listeners
from httpkit.server.server import Server
from httpkit.transport.sockets import TCPOptions, open_tcp_listeners
from httpkit.types import Address

from .certificates import Authority
from .conftest import Live
from .tls import HOST, connect, options
from .wire import Client


def scheme(request: Request) -> Response:
    return Response(f"{request.scheme} {request.tls is not None}")


def test_both(live: Live, authority: Authority) -> None:
    server = live(scheme, **options(authority, tls_port=0))
    assert server.server.schemes == ["http", "https"]
    assert server.connect().get().body == b"http False"
    secure = connect(server, authority.client_context(), address=server.server.addresses[1])
    assert secure.get().body == b"https True"


def test_a_unix_socket_and_tls(live: Live, authority: Authority, tmp_path: Path) -> None:
    path = str(tmp_path / "plain.sock")
    server = live(scheme, **options(authority, unix=path, tls_port=0))
    assert server.connect().get().body == b"http False"
    secure = connect(server, authority.client_context(), address=server.server.addresses[1])
    assert secure.get().body == b"https True"


def test_a_unix_socket_speaks_tls(live: Live, authority: Authority, tmp_path: Path) -> None:
    server = live(scheme, **options(authority, unix=str(tmp_path / "tls.sock")))
    assert connect(server, authority.client_context()).get().body == b"https True"


def test_sockets_that_are_given_speak_what_the_port_would(authority: Authority) -> None:
    async def main() -> None:
        sockets = open_tcp_listeners("127.0.0.1", 0, backlog=9, options=TCPOptions())
        server = Server(App(), Config.of(access_log=False, **options(authority)))
        await server.start(listening=Listening(sockets))
        assert server.schemes == ["https"]
        await server.stop()

    asyncio.run(main())


def test_inherited_sockets_speak_tls(authority: Authority) -> None:
    [listener] = open_tcp_listeners("127.0.0.1", 0, backlog=9, options=TCPOptions())
    config = Config.of(fd=str(listener.detach()), **options(authority, redirect_http=0))
    opened = open_listeners(config)
    assert opened.schemes == ["https", "http"]
    opened.close()


def test_each_worker_has_all_ports(authority: Authority) -> None:
    config = Config.of(port=0, workers=2, host="127.0.0.1", **options(authority, tls_port=0))
    first, second = open_for_workers(config)
    assert first.schemes == second.schemes == ["http", "https"]
    assert first.addresses == second.addresses
    assert len({address.port for address in first.addresses}) == 2
    first.close()
    second.close()


@pytest.mark.parametrize("unix", [False, True])
def test_all_ports_or_none(authority: Authority, tmp_path: Path, unix: bool) -> None:
    path = tmp_path / "plain.sock"
    [taken] = open_tcp_listeners("127.0.0.1", 0, backlog=9, options=TCPOptions())
    more = {"unix": str(path)} if unix else {"port": 0}
    config = Config.of(**options(authority, tls_port=taken.getsockname()[1], **more))
    with pytest.raises(ConfigurationError, match=r"already in use: .* port with --tls-port"):
        open_listeners(config)
    assert not path.exists()
    taken.close()


# --- redirects ---------------------------------------------------------------------------------


def ask(server, line: str, *fields: str) -> tuple[int, str | None]:
    """Status and Location of what the plain port answers."""
    plain = server.server.addresses[server.server.schemes.index("http")]
    with Client(plain) as client:
        client.send("\r\n".join([line, *fields, "", ""]).encode("latin-1"))
        answer = client.receive(line.partition(" ")[0])
        return answer.status, answer.get("location")


def test_redirects(live: Live, authority: Authority) -> None:
    """308 keeps the method and the body (RFC 9110 §15.4.9)."""
    server = live(scheme, **options(authority, redirect_http=0))
    assert server.server.schemes == ["https", "http"]
    port = server.address.port
    for line, host, expected in (
        ("GET / HTTP/1.1", "example.com", "example.com:PORT/"),
        ("GET /a%20b?c=d&e HTTP/1.1", "Example.com:8080", "example.com:PORT/a%20b?c=d&e"),
        ("GET /a? HTTP/1.1", "example.com", "example.com:PORT/a?"),  # RFC 3986 §6.2.3
        ("POST /form HTTP/1.1", "example.com", "example.com:PORT/form"),
        ("DELETE /x HTTP/1.1", "127.0.0.1", "127.0.0.1:PORT/x"),
        ("HEAD / HTTP/1.1", "[::1]:80", "[::1]:PORT/"),
        ("OPTIONS * HTTP/1.1", "example.com", "example.com:PORT/"),
        ("GET http://other.example/x HTTP/1.1", "other.example", "other.example:PORT/x"),
        # No open redirect: the host is the one that the client has asked for, whatever the path.
        ("GET //evil.example/ HTTP/1.1", "example.com", "example.com:PORT//evil.example/"),
        ("GET /\\evil.example HTTP/1.1", "example.com", "example.com:PORT/\\evil.example"),
        ("GET /@evil.example HTTP/1.1", "example.com", "example.com:PORT/@evil.example"),
        # An absolute target says https; the connection is plain all the same.
        ("GET https://example.com/ HTTP/1.1", "example.com", "example.com:PORT/"),
    ):
        location = f"https://{expected}".replace("PORT", str(port))
        assert ask(server, line, f"Host: {host}") == (308, location), line
    assert server.requests == []
    assert connect(server, authority.client_context()).get().body == b"https True"


def test_there_may_be_nowhere_to_redirect_to(live: Live, authority: Authority) -> None:
    server = live(scheme, **options(authority, redirect_http=0))
    assert ask(server, "GET / HTTP/1.0") == (400, None)
    assert ask(server, "GET / HTTP/1.1", "Host: evil.example@example.com") == (400, None)
    assert ask(server, "GET / HTTP/1.1", "Host: a b") == (400, None)


def test_the_usual_port_is_not_named(live: Live, authority: Authority) -> None:
    server = live(scheme, **options(authority, redirect_http=0))
    [address] = [each for each in server.server.addresses if each.port == server.address.port]
    server.server.addresses[0] = Address(address.host, 443)
    plain = server.server.addresses[1]
    with Client(plain) as client:
        answer = client.get("/x")
        assert answer["location"] == "https://example.com/x"
        assert answer["cache-control"] == "no-store"


# --- HSTS --------------------------------------------------------------------------------------


def secured_app() -> App:
    app = App()

    @app.get("/")
    async def index(request: Request) -> str:
        return "Hello"

    @app.get("/plain")
    def plain(request: Request) -> str:
        return "Hello"

    kept = Response("Hello")

    @app.get("/kept")
    def keeps(request: Request) -> Response:
        return kept

    @app.get("/waits")
    async def waits(request: Request) -> str:
        await asyncio.sleep(0)
        return "Hello"

    @app.get("/own")
    async def own(request: Request) -> Response:
        return Response("", headers={"strict-transport-security": "max-age=1"})

    return app


@pytest.mark.parametrize("path", ["/", "/plain", "/kept", "/waits", "/missing"])
def test_hsts_is_sent_over_tls_only(live: Live, authority: Authority, path: str) -> None:
    """RFC 6797 §7.1, §7.2."""
    server = live(secured_app(), **options(authority, hsts=600, tls_port=0))
    secure = connect(server, authority.client_context(), address=server.server.addresses[1])
    assert secure.get(path)["strict-transport-security"] == "max-age=600"
    assert secure.get("/own")["strict-transport-security"] == "max-age=1"
    assert server.connect().get(path).get("strict-transport-security") is None


def test_hsts_around_applications_that_are_wrong(live: Live, authority: Authority) -> None:
    async def wrong() -> int:
        return 7

    results = [7, wrong()]
    server = live(lambda request: results.pop(), **options(authority, hsts=600))
    client = connect(server, authority.client_context())
    assert [client.get().status, client.get().status] == [500, 500]


# --- options -----------------------------------------------------------------------------------


def test_what_the_port_speaks() -> None:
    for given, expected in (
        ({}, ("http", False)),
        ({"tls": True}, ("https", True)),
        ({"tls_cert": "x"}, ("https", True)),
        ({"tls_cert": ("x", "y"), "tls_key": ["a", Path("b")]}, ("https", True)),
        ({"tls_port": 1}, ("http", True)),
        ({"tls_port": 1, "tls_cert": "x"}, ("http", True)),
    ):
        config = Config.of(**given)
        assert (config.main_scheme, config.serves_tls) == expected


def test_options_that_contradict_each_other() -> None:
    ca = {"tls_client_ca": "ca"}
    for given, expected in (
        ({"tls": True, "tls_port": 1}, "tls makes the port speak TLS, tls_port adds one"),
        ({"redirect_http": 80}, "redirect_http redirects to a port that speaks TLS"),
        ({"redirect_http": 80, "tls_port": 443}, "redirect_http redirects to a port that"),
        ({"tls_cert": ("a", "b"), "tls_key": "c"}, "tls_key: tls_cert has 2 files and this 1"),
        ({"tls_key": "c"}, "tls_key: tls_cert has 0 files and this 1"),
        ({"hsts": 1}, "tls_client_auth and hsts have no effect without tls or tls_port"),
        ({"tls_client_auth": "required", **ca}, "tls_client_auth and hsts have no effect"),
        ({"tls": True, "tls_client_auth": "required"}, "tls_client_auth: tls_client_ca has to"),
        ({"tls": True, "tls_client_auth_hosts": (HOST,)}, "tls_client_auth: tls_client_ca has"),
        ({"tls": True, **ca}, "tls_client_ca and tls_client_crl have no effect without"),
        ({"tls": True, "tls_client_crl": "x"}, "tls_client_ca and tls_client_crl have no effect"),
        (
            {"tls": True, "tls_client_auth": "required", "tls_client_auth_hosts": (HOST,), **ca},
            "tls_client_auth is required for every host",
        ),
        (
            {"tls": True, "tls_client_auth_hosts": ("example.com:443",), **ca},
            "tls_client_auth_hosts: expected names as in",
        ),
        ({"tls_cert": 7}, "tls_cert: expected"),
        ({"tls_min_version": "1.1"}, "tls_min_version: invalid enum value '1.1'"),
    ):
        with pytest.raises(ConfigurationError) as caught:
            Config.of(**given)
        assert str(caught.value).startswith(expected)
