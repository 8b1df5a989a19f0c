"""Proxy headers through real sockets: who is believed, and what the request looks like then."""

import json
import socket
import struct

import pytest

from httpkit.errors import ConfigurationError
from httpkit.response import Response
from httpkit.server.config import Config

from .wire import eventually, make_request


def tell(request):
    return Response.json(
        {
            "client": str(request.client),
            "scheme": request.scheme,
            "host": request.headers["host"],
            "url": str(request.url),
        }
    )


def ask(server, *headers: str):
    return json.loads(server.connect().get("/x", *headers).body)


def test_nobody_is_believed_by_default(live) -> None:
    seen = ask(live(tell), "X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: https")
    assert seen["client"].startswith("127.0.0.1:")
    assert seen["scheme"] == "http"


def test_a_proxy_on_this_machine(live) -> None:
    server = live(tell, proxy_headers=True)
    seen = ask(
        server,
        "X-Forwarded-For: 6.6.6.6, 198.51.100.1",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: example.com",
        "X-Forwarded-Port: 8443",
        "Forwarded: for=9.9.9.9",
    )
    assert seen == {
        "client": "198.51.100.1",
        "scheme": "https",
        "host": "example.com:8443",
        "url": "https://example.com:8443/x",
    }
    assert ask(server)["client"].startswith("127.0.0.1:")


def test_the_standard_field(live) -> None:
    server = live(tell, proxy_headers=True, forwarded_field="forwarded")
    seen = ask(
        server,
        'Forwarded: for="[2001:db8::1]:4711";proto=https;host="example.com"',
        "X-Forwarded-For: 9.9.9.9",
    )
    assert (seen["client"], seen["url"]) == ("[2001:db8::1]:4711", "https://example.com/x")


def test_a_peer_that_is_no_proxy(live) -> None:
    server = live(tell, proxy_headers=True, forwarded_allow_ips=("10.0.0.0/8", "unix"))
    assert ask(server, "X-Forwarded-For: 6.6.6.6")["client"].startswith("127.0.0.1:")


def test_a_proxy_on_a_unix_socket(live, tmp_path) -> None:
    server = live(tell, proxy_headers=True, unix=str(tmp_path / "socket"))
    assert ask(server, "X-Forwarded-For: 6.6.6.6")["client"] == "6.6.6.6"


def test_a_peer_that_has_reset_its_connection_is_nobody(live, caplog) -> None:
    """The system does not know its address any more, but still has what it sent.

    It would pass as one on a Unix socket, and handlers would find no client.
    """
    seen = []
    server = live(
        lambda request: seen.append((request.client.host, request.scheme)) or Response(""),
        proxy_headers=True,
        forwarded_allow_ips=("unix",),
    )

    def send_and_reset() -> None:  # in the loop, which cannot accept before it is through
        with socket.create_connection(server.address) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.sendall(
                make_request("/", "X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: https")
            )

    opened = server.server.counters.connections_opened
    server.call(send_and_reset)
    eventually(lambda: server.server.counters.connections_opened > opened)
    assert server.connect().get().status == 200
    assert seen == [("127.0.0.1", "http")]
    assert not caplog.records


@pytest.mark.parametrize("host", ["a b", "user@host", "a/b", "é", "a,b/"])
def test_a_host_that_is_none_is_left_alone(live, host) -> None:
    server = live(tell, proxy_headers=True)
    seen = ask(server, f"X-Forwarded-Host: {host}", "X-Forwarded-For: 6.6.6.6")
    assert host not in seen["host"]
    assert seen["client"] == "6.6.6.6"


def test_the_access_log_has_the_client(live, tmp_path) -> None:
    path = tmp_path / "access"
    server = live(tell, proxy_headers=True, access_log=True, access_log_file=str(path))
    ask(server, "X-Forwarded-For: 6.6.6.6")
    server.begin_stop().result(10)
    assert path.read_text().startswith("6.6.6.6 ")


def test_networks_are_checked_at_the_start() -> None:
    with pytest.raises(ConfigurationError, match="forwarded_allow_ips: 'nowhere' does not"):
        Config.of(forwarded_allow_ips=("nowhere",))
