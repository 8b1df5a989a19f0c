"""What must be seen after a case was sent: an error of the connection or of one stream, or none.

RFC 9113 §5.4.1 lets a server treat any stream error as one of the connection. httpkit promises
more: a `StreamError` leaves all other streams alone.
"""

from dataclasses import dataclass

from .client import HTTP2Client
from .frames import Code


@dataclass(frozen=True)
class ConnectionFails:
    """GOAWAY with one of the codes and the end of the connection."""

    codes: tuple[Code, ...]
    #: Whether requests of the same read are answered before. Where a library finds the fault,
    #: it has taken the whole read by then and sends no more.
    answers: bool = True

    def check(self, client: HTTP2Client) -> None:
        client.until_end()
        assert client.error in self.codes, client.log
        # RFC 9113 §5.4.1: the last stream that was processed; each case has a request on 1 before.
        assert client.goaways[-1].last_stream_id >= 1


@dataclass(frozen=True)
class StreamFails:
    """RST_STREAM with one of the codes on a stream, while the connection goes on."""

    codes: tuple[Code, ...]
    stream: int = 3

    def check(self, client: HTTP2Client) -> None:
        answer = client.answer(self.stream)
        assert client.error is None, client.error
        assert answer.reset in self.codes, (answer, client.log)
        assert answer.status == 0
        goes_on(client)


@dataclass(frozen=True)
class Fails:
    """Where the RFC leaves the scope open: an error of the stream or of the connection."""

    codes: tuple[Code, ...]
    stream: int = 3

    def check(self, client: HTTP2Client) -> None:
        answer = client.stream(self.stream)
        client.until(lambda: answer.reset is not None)
        if client.ended is None:
            assert answer.reset in self.codes, client.log
            goes_on(client)
        else:
            assert client.error in self.codes, client.log


@dataclass(frozen=True)
class Tolerated:
    """Ignored, or an error: on a closed stream the RFC has only a MAY."""

    codes: tuple[Code, ...]

    def check(self, client: HTTP2Client) -> None:
        if client.fence():
            goes_on(client)
        else:
            assert client.error in self.codes, client.log


@dataclass(frozen=True)
class Answered:
    """A response, and the connection goes on."""

    status: int = 200
    stream: int = 3

    def check(self, client: HTTP2Client) -> None:
        answer = client.answer(self.stream)
        assert (answer.status, answer.ended, client.error) == (self.status, True, None), client.log
        goes_on(client)


@dataclass(frozen=True)
class Goes:
    """Nothing happens."""

    def check(self, client: HTTP2Client) -> None:
        goes_on(client)


def goes_on(client: HTTP2Client) -> None:
    """The connection serves."""
    assert client.fence(), (client.error, client.log)
    client.skip_to(1001)
    answer = client.get("/after")
    assert (answer.status, answer.body) == (200, b"Hello"), client.log


def connection(*codes: Code) -> ConnectionFails:
    return ConnectionFails(codes)


def found_by_library(*codes: Code) -> ConnectionFails:
    return ConnectionFails(codes, answers=False)


def stream(*codes: Code, stream: int = 3) -> StreamFails:
    return StreamFails(codes, stream)


def either(*codes: Code, stream: int = 3) -> Fails:
    return Fails(codes, stream)


Expectation = ConnectionFails | StreamFails | Fails | Tolerated | Answered | Goes
