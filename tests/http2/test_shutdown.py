"""How a connection ends in order (RFC 9113 §6.8, §5.4.1)."""

import pytest

from httpkit.response import Response

from . import frames
from .client import HTTP2Client
from .frames import Code


def test_a_graceful_stop(gated) -> None:
    """§6.8: GOAWAY without a limit first, later one with the last stream; running requests end."""
    server, release = gated()
    client = HTTP2Client(server.connect())
    number = client.request("/held")
    server.until(lambda: server.requests)
    stopped = server.begin_stop()
    client.until(lambda: client.goaways)
    assert (client.error, client.goaways[0].last_stream_id) == (Code.NO_ERROR, 2**31 - 1)
    release()
    client.until_end()
    assert client.ended is True
    answer = client.stream(number)
    assert (answer.status, answer.body, answer.ended) == (200, b"done", True)
    assert {goaway.error_code for goaway in client.goaways} == {Code.NO_ERROR}
    assert client.goaways[-1].last_stream_id >= number
    client.close()
    stopped.result(10)


def test_an_idle_connection_is_closed_by_a_stop(gated) -> None:
    server, _ = gated()
    client = HTTP2Client(server.connect())
    assert client.get().status == 200
    stopped = server.begin_stop()
    client.until_end()
    assert (client.error, client.ended) == (Code.NO_ERROR, True)
    client.close()
    stopped.result(10)


@pytest.mark.parametrize("code", [Code.NO_ERROR, Code.INTERNAL_ERROR, 0xDEADBEEF])
def test_a_client_that_goes_away_is_served_until_it_is_gone(gated, code: int) -> None:
    """§6.8: its GOAWAY is about streams of the server; it may even open more of its own."""
    server, release = gated()
    client = HTTP2Client(server.connect())
    number = client.request("/held")
    client.send(frames.goaway(code, debug=b"thank you"))
    assert client.fence()
    release()
    assert client.answer(number).body == b"done"
    assert client.get().body == b"done"
    client.half_close()
    client.until_end()


def test_the_end_of_input_ends_the_connection_behind_the_answers(gated) -> None:
    """A half-closed connection: the answers still come."""
    server, release = gated()
    client = HTTP2Client(server.connect())
    number = client.request("/held")
    server.until(lambda: server.requests)
    client.half_close()
    release()
    assert client.answer(number).body == b"done"
    client.until_end()


def test_the_end_of_input_inside_a_frame(gated) -> None:
    server, _ = gated()
    client = HTTP2Client(server.connect())
    client.send(frames.request(stream=1)[:-3])
    client.half_close()
    client.until_end()
    assert server.requests == []


def test_the_end_of_input_inside_a_body(live) -> None:
    """What is not whole is not taken for whole."""
    outcome: list[str] = []

    async def handler(request):
        try:
            await request.body()
            outcome.append("whole")
        except BaseException as error:
            outcome.append(type(error).__name__)
            raise

    server = live(handler)
    client = HTTP2Client(server.connect())
    client.send(frames.post(stream=1) + frames.data(b"a", stream=1))
    server.until(lambda: server.requests)
    client.half_close()
    client.until_end()
    server.until(lambda: outcome)
    assert outcome != ["whole"]


def test_an_upload_goes_on_through_a_stop(live) -> None:
    """§6.8: what the last GOAWAY names is served to its end, with its windows."""

    async def handler(request):
        return Response(str(len(await request.body())))

    server = live(handler, body_buffer=65_535)
    client = HTTP2Client(server.connect())
    number = client.request(method="POST", end=False)
    server.until(lambda: server.requests)
    stopped = server.begin_stop()
    client.until(lambda: client.goaways)
    for sent in range(0, 300_000, 10_000):
        client.until(
            lambda sent=sent: (
                sent + 10_000 <= 65_535 + client.window_updates.get(number, 0)
                and sent + 10_000 <= 65_535 + client.window_updates.get(0, 0)
            )
        )
        assert client.ended is None
        client.send(frames.data(b"a" * 10_000, stream=number))
    client.send(frames.data(stream=number, end=True))
    assert client.answer(number).body == b"300000"
    client.until_end()
    client.close()
    stopped.result(10)


def test_a_download_goes_on_through_a_stop(live) -> None:
    server = live(lambda request: Response(b"a" * 300_000))
    client = HTTP2Client(server.connect(), credit=False)
    number = client.request()
    client.until(lambda: len(client.stream(number).body) == 65_535)
    stopped = server.begin_stop()
    client.until(lambda: client.goaways)
    client.send(frames.window_update(300_000) + frames.window_update(300_000, stream=number))
    answer = client.answer(number)
    assert (len(answer.body), answer.ended) == (300_000, True)
    client.until_end()
    client.close()
    stopped.result(10)


def test_requests_behind_the_last_goaway_are_not_served(gated) -> None:
    """§6.8: they were not processed, and the client may send them elsewhere."""
    server, release = gated()
    client = HTTP2Client(server.connect())
    number = client.request("/held")
    server.until(lambda: server.requests)
    stopped = server.begin_stop()
    client.until(lambda: len(client.goaways) == 2)
    assert client.goaways[-1].last_stream_id == number
    late = client.request("/late")
    client.fence()
    release()
    assert client.answer(number).body == b"done"
    client.until_end()
    assert client.stream(late).status == 0
    assert server.requests == ["GET /held"]
    client.close()
    stopped.result(10)


@pytest.mark.parametrize("sent", ["reset", "malformed", "overflow", "ping"])
def test_anything_may_come_during_a_stop(gated, sent: str) -> None:
    server, release = gated()
    client = HTTP2Client(server.connect())
    first, second = client.request("/held"), client.request("/held")
    server.until(lambda: len(server.requests) == 2)
    stopped = server.begin_stop()
    client.until(lambda: len(client.goaways) == 2)
    client.send(
        {
            "reset": frames.reset(stream=first),
            "malformed": frames.headers([("X", "a")], stream=first),
            "overflow": frames.window_update(2**31 - 1, stream=first),
            "ping": frames.ping(),
        }[sent]
    )
    client.fence()
    release()
    client.until_end()
    if sent != "malformed":  # HEADERS on a half-closed stream end the connection
        assert client.stream(second).body == b"done"
    client.close()
    stopped.result(10)
