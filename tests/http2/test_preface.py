"""How a connection begins (RFC 9113 §3): prior knowledge, prefaces, first frames."""

import pytest

from httpkit.protocol.engine import Deadline
from tests.server.wire import make_request

from . import frames
from .client import HTTP2Client
from .frames import Code

HELLO = frames.PREFACE + frames.settings()


@pytest.mark.parametrize("slowly", [False, True])
def test_everything_at_once(live, slowly: bool) -> None:
    """§3.4: a client may send requests before it has seen the server's SETTINGS."""
    server = live()
    client = HTTP2Client(server.connect(), b"")
    client.send(HELLO + frames.request("/early", stream=1), slowly=slowly)
    assert client.answer(1).body == b"Hello"
    assert server.requests == ["GET /early"]


def test_the_server_speaks_first_of_settings(connect) -> None:
    """§3.4: SETTINGS are its first frame; §6.5: those of the client are acknowledged."""
    client = connect()
    assert client.fence()
    assert client.log[0] == ("Settings", 0)
    assert client.settings_acks == 1


def test_what_is_advertised(connect) -> None:
    client = connect()
    assert client.fence()
    assert client.settings[frames.MAX_CONCURRENT_STREAMS] == 100
    assert client.settings[frames.ENABLE_CONNECT_PROTOCOL] == 1  # RFC 8441 §3
    assert client.settings[frames.NO_RFC7540_PRIORITIES] == 1  # RFC 9218 §2.1
    assert client.settings[frames.INITIAL_WINDOW_SIZE] == 131_072  # body_buffer
    assert client.settings[frames.MAX_HEADER_LIST_SIZE] >= 32_768  # max_header_bytes
    assert client.settings.get(frames.MAX_FRAME_SIZE, 16_384) == 16_384
    # A server MUST NOT set it to anything but 0 (§6.5.2).
    assert client.settings.get(frames.ENABLE_PUSH, 0) == 0
    # What the connection may hold beyond its initial window.
    assert client.window_updates == {0: 1_048_576 - 65_535}


@pytest.mark.parametrize(
    "first",
    [
        frames.ping(),
        frames.request(stream=1),
        frames.window_update(1),
        frames.goaway(),
        frames.settings_ack(),
        frames.frame(frames.UNKNOWN, b"grease"),
        frames.priority(stream=1),
    ],
    ids="PING HEADERS WINDOW_UPDATE GOAWAY acknowledgment unknown PRIORITY".split(),
)
def test_the_first_frame_is_settings(live, first: bytes) -> None:
    """§3.4: anything else is a connection error PROTOCOL_ERROR."""
    server = live()
    client = HTTP2Client(server.connect(), frames.PREFACE + first)
    client.until_end()
    assert client.error == Code.PROTOCOL_ERROR
    assert server.requests == []
    assert HTTP2Client(server.connect()).get().status == 200


@pytest.mark.parametrize("at", range(len(frames.PREFACE)))
def test_a_wrong_octet_in_the_preface(live, at: int) -> None:
    """§3.4: an invalid preface ends the connection.

    One that cannot become a preface is refused by HTTP/1.1, in words that its sender may know.
    """
    octets = bytearray(frames.PREFACE)
    octets[at] ^= 0x01
    server = live()
    client = HTTP2Client(server.connect(), b"")
    client.send(bytes(octets) + frames.settings() + frames.request(stream=1))
    if at < 16:
        answer = client.socket.receive()
        assert answer.status in (400, 501, 505)
        client.socket.expect_end()
    else:
        client.until_end()
        assert client.error == Code.PROTOCOL_ERROR
    assert server.requests == []


def test_no_preface_after_a_request_of_http_1(live) -> None:
    """§3.3: prior knowledge is something one has before; no smuggling through a 1.1 connection."""
    server = live()
    client = server.connect()
    client.send(make_request() + HELLO + frames.request("/smuggled", stream=1))
    assert client.receive().status == 200
    assert client.receive().status == 505
    client.expect_end()
    assert server.requests == ["GET /"]


def test_a_connection_may_end_inside_the_preface(live) -> None:
    server = live()
    client = server.connect()
    client.send(frames.PREFACE[:10])
    client.half_close()
    client.receive_rest()
    assert server.requests == []


def test_a_preface_has_the_time_of_a_head(live) -> None:
    server = live()
    client = server.connect()
    client.send(frames.PREFACE[:10])
    server.until_receiving(Deadline.HEAD)
    server.pass_time(9.9)
    client.expect_silence()
    server.pass_time(0.2)
    client.receive_rest()


def test_both_versions_on_one_port(live) -> None:
    server = live()
    one, two = server.connect(), HTTP2Client(server.connect())
    assert one.get().body == two.get().body == one.get().body == b"Hello"


def test_switched_off(live) -> None:
    server = live(http2="off")
    client = server.connect()
    client.send(HELLO)
    assert client.receive().status == 505
    client.expect_end()


def test_an_upgrade_to_h2c_is_ignored(live) -> None:
    """§3.1: the token h2c is obsolete."""
    client = live().connect()
    answer = client.get(
        "/", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"
    )
    assert (answer.status, answer.body) == (200, b"Hello")
