"""Options: wrong ones are refused with a sentence that names them."""

import pytest

from httpkit.errors import ConfigurationError
from httpkit.limits import Limits
from httpkit.server.config import Config
from httpkit.server.embedded import serve

from .live import Script


def test_defaults_are_possible() -> None:
    assert Config.of() == Config() == Config().checked()


def test_limits_stand_beside_other_options() -> None:
    config = Config.of(port=1, max_body=5, header_timeout=2)
    assert (config.port, config.limits.max_body, config.limits.header_timeout) == (1, 5, 2)
    config = Config.of(limits=Limits(max_body=5, max_headers=7), max_body=None)
    assert (config.limits.max_body, config.limits.max_headers) == (None, 7)


def test_all_addresses_and_no_server_field() -> None:
    assert Config.of(host="*").host == Config.of(host="").host == ""
    assert Config.of(server_header=None).server_header is None


def test_values_that_stand_for_others() -> None:
    """What comes out of a file: lists for tuples, mappings for limits."""
    config = Config.of(tcp_keep_alive=[1, 2, 3], limits={"max_body": 5})
    assert config.tcp_keep_alive == (1, 2, 3)
    assert config.limits == Limits(max_body=5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"nonsense": 1}, "there is no option 'nonsense'"),
        ({"port": -1}, "port: expected `int` >= 0"),
        ({"port": 65536}, "port: expected `int` <= 65535"),
        ({"port": "80"}, "port: expected `int`, got `str`"),
        ({"host": 5}, "host: expected `str`, got `int`"),
        ({"host": object()}, "host: expected `str`, got `object`"),
        ({"unix_mode": 0o1777}, "unix_mode: expected `int` <= 511"),
        ({"backlog": 0}, "backlog: expected `int` >= 1"),
        ({"tcp_keep_alive": (1, 2)}, "tcp_keep_alive: expected `array` of length 3"),
        ({"tcp_keep_alive": (0, 1, 1)}, "tcp_keep_alive: expected `int` >= 1"),
        ({"tcp_keep_alive": (1, 1, 128)}, "tcp_keep_alive: expected `int` <= 127"),
        ({"http1": "fast"}, "http1: invalid enum value 'fast'"),
        ({"loop": "trio"}, "loop: invalid enum value 'trio'"),
        ({"access_log": "yes"}, "access_log: expected `bool`, got `str`"),
        ({"access_log_format": "xml"}, "access_log_format: invalid enum value 'xml'"),
        ({"log_level": "loud"}, "log_level: invalid enum value 'loud'"),
        ({"server_header": "a\r\nb"}, "server_header must be visible ASCII text"),
        ({"server_header": " a"}, "server_header must be visible ASCII text"),
        ({"server_header": "ä"}, "server_header must be visible ASCII text"),
        ({"fd": "a"}, "fd: expected numbers as in 3 or 3,4, systemd, or systemd:NAME"),
        ({"fd": "systemd:"}, "fd: expected numbers"),
        ({"fd": "3", "unix": "/x"}, "fd and unix: give one or the other"),
        ({"workers": 0}, "workers: expected `int` >= 1"),
        ({"workers": 2, "reload": True}, "reload works with one worker"),
        ({"tcp_fast_open": 0}, "tcp_fast_open: expected `int` >= 1"),
        ({"tcp_defer_accept": 0}, "tcp_defer_accept: expected `int` >= 1"),
        ({"limits": 5}, "limits: expected `object`, got `int`"),
        ({"limits": 5, "max_body": 5}, "limits: expected Limits"),
        ({"max_body": -1}, "max_body: Expected `int | null`|max_body: Expected `int` >= 0"),
        ({"max_connections": 0}, "max_connections: Expected `int` >= 1"),
        ({"write_buffer": 0}, "write_buffer: Expected `int` >= 1"),
        ({"body_buffer": 0}, "body_buffer: Expected `int` >= 1"),
        ({"header_timeout": 0}, "header_timeout: Expected `float` > 0.0"),
        ({"header_timeout": None}, "header_timeout: Expected `float`, got `null`"),
        ({"keep_alive_timeout": float("inf")}, "keep_alive_timeout: Expected `float` <= "),
        ({"keep_alive_timeout": float("nan")}, "keep_alive_timeout: Expected `float` > 0.0"),
    ],
)
def test_wrong_options(options, message) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Config.of(**options)
    with pytest.raises(ConfigurationError, match=message):
        serve(Script(), **options)


def test_a_struct_made_by_hand_is_checked_on_request() -> None:
    with pytest.raises(ConfigurationError, match="port: expected"):
        Config(port="80").checked()


@pytest.mark.parametrize("input_buffer", [0, 1])
def test_the_smallest_buffers_still_work(live, input_buffer) -> None:
    async def handler(request):
        from httpkit.response import Response

        async def body():
            async for chunk in request.stream():
                yield chunk

        return Response(body())

    server = live(handler, write_buffer=1, body_buffer=1, input_buffer=input_buffer)
    client = server.connect()
    for _ in range(3):
        client.request(method="POST", body=b"a" * 1000)
        assert client.receive().body == b"a" * 1000
