"""TLS records without sockets: a client and a server joined in memory, above a raw transport."""

import asyncio
import ssl
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from httpkit.transport.tls import TLSTransport, explain
from tests.server.certificates import Authority

from .tls_pair import Contexts, TLSPair, make_contexts


class Above(asyncio.Protocol):
    """The connection: keeps what it is told."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.events: list[str] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.events.append("made")

    def data_received(self, data: bytes) -> None:
        self.pieces.append(data)

    def eof_received(self) -> bool:
        self.events.append("eof")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.events.append("lost")

    def pause_writing(self) -> None:
        self.events.append("paused")

    def resume_writing(self) -> None:
        self.events.append("resumed")


class Pair(TLSPair):
    """With a connection that keeps what it is told."""

    def __init__(self, contexts: Contexts) -> None:
        self.above = Above()
        super().__init__(contexts, self.above)


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> Contexts:
    return make_contexts(Authority(tmp_path_factory.mktemp("certificates")))


@pytest.fixture
def pair(contexts: Contexts) -> Pair:
    return Pair(contexts)


BODY = bytes(n % 251 for n in range(40_000))


@settings(deadline=None)  # making keys takes as long as it takes
@given(cuts=st.lists(st.integers(0, 40_200), max_size=8))
def test_records_may_be_cut_anywhere(contexts: Contexts, cuts: list[int]) -> None:
    pair = Pair(contexts)
    data = pair.records(BODY)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, end in pairwise(edges):
        pair.transport.data_received(data[start:end])
    assert b"".join(pair.above.pieces) == BODY
    assert pair.above.events == ["made"]


def test_byte_by_byte(pair: Pair) -> None:
    for byte in pair.records(b"Hello"):
        pair.transport.data_received(bytes([byte]))
    assert pair.above.pieces == [b"Hello"]


def test_one_read_is_one_piece(pair: Pair) -> None:
    pair.transport.data_received(pair.records(b"one") + pair.records(b"two") + pair.records(BODY))
    assert pair.above.pieces == [b"onetwo" + BODY]


@pytest.mark.parametrize("size", [1, 16_384, 16_385, 1_000_000])
def test_one_write_is_one_write(pair: Pair, size: int) -> None:
    writes: list[int] = []
    write = pair.raw.write
    pair.raw.write = lambda data: (writes.append(len(data)), write(data))[1]  # type: ignore[method-assign]
    pair.transport.write(b"x" * size)
    assert len(writes) == 1
    assert pair.received_by_client() == b"x" * size


def test_nothing_is_no_record(pair: Pair) -> None:
    before = pair.raw.written
    pair.transport.write(b"")
    assert pair.raw.written == before


# --- ends --------------------------------------------------------------------------------------


def test_a_close_says_close_notify(pair: Pair) -> None:
    pair.transport.write(b"last")
    pair.transport.close()
    pair.transport.close()
    pair.transport.write(b"too late")
    assert pair.received_by_client() == b"lastEND"
    assert pair.raw.events == ["closed"]
    assert pair.transport.is_closing()


def test_an_abort_says_nothing(pair: Pair) -> None:
    pair.transport.write(b"part")
    pair.transport.abort()
    pair.transport.close()
    assert pair.received_by_client() == b"part"
    assert pair.raw.events == ["aborted"]


def test_a_close_notify_ends_both_directions_after_what_came_before(pair: Pair) -> None:
    data = pair.records(b"GET /")
    with pytest.raises(ssl.SSLWantReadError):
        pair.client.unwrap()
    pair.transport.data_received(data + pair.from_client.read())
    assert pair.above.pieces == [b"GET /"]
    assert pair.above.events == ["made", "eof"]
    assert pair.raw.events == ["closed"]
    pair.transport.eof_received()
    pair.transport.connection_lost(None)
    assert pair.above.events == ["made", "eof", "lost"]


def test_the_end_of_the_socket_is_the_end(pair: Pair) -> None:
    assert pair.transport.eof_received() is False
    assert pair.above.events == ["made", "eof"]
    assert pair.raw.events == ["closed"]


@pytest.mark.parametrize("waiting", [0, 100])
def test_a_record_that_was_tampered_with(pair: Pair, waiting: int, caplog) -> None:
    """RFC 8446 §5.2: bad_record_mac ends the connection; what came before it is good."""
    caplog.set_level("INFO", "httpkit")
    data = bytearray(pair.records(b"good") + pair.records(b"evil"))
    data[-1] ^= 1
    pair.raw.waiting = waiting  # an answer that the peer has not taken is left behind
    pair.transport.data_received(bytes(data))
    assert pair.above.pieces == [b"good"]
    assert pair.above.events == ["made", "eof"]
    assert pair.raw.events == ["aborted" if waiting else "closed"]
    with pytest.raises(ssl.SSLError, match=r"(?i)bad.record.mac"):
        pair.received_by_client()
    assert "the TLS session with 192.0.2.1:7 failed: " in caplog.text


def test_rfc8446_6_2_nothing_is_written_to_a_session_that_has_failed(contexts: Contexts) -> None:
    """The connection answers at once what came before the bad record, and closes."""

    class Answers(Above):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            pair.transport.write(b"answer")
            pair.transport.close()

    above = Answers()
    pair = TLSPair(contexts, above)
    pair.transport.data_received(pair.records(b"good") + b"\xff" * 9)
    assert above.pieces == [b"good"]
    assert above.events == ["made", "eof"]
    assert pair.raw.events == ["closed"]
    with pytest.raises(ssl.SSLError, match=r"(?i)alert"):
        pair.received_by_client()
    assert pair.transport.get_extra_info("tls").version == "TLSv1.3"


def test_what_comes_after_a_close_is_thrown_away(pair: Pair) -> None:
    data = bytearray(pair.records(b"good") + pair.records(b"evil"))
    data[-1] ^= 1
    pair.transport.close()
    pair.transport.data_received(bytes(data))
    assert pair.above.pieces == []
    assert pair.above.events == ["made"]
    assert pair.raw.events == ["closed"]


def test_there_is_no_half_close(pair: Pair) -> None:
    assert pair.transport.can_write_eof() is False
    with pytest.raises(NotImplementedError):
        pair.transport.write_eof()


# --- backpressure ------------------------------------------------------------------------------


def test_pauses_are_passed_on(pair: Pair) -> None:
    pair.transport.pause_writing()
    pair.transport.resume_writing()
    assert pair.above.events == ["made", "paused", "resumed"]
    pair.raw.waiting = 5
    assert pair.transport.get_write_buffer_size() == 5


def test_who_demands_key_updates_and_reads_none_is_cut_off(pair: Pair, caplog) -> None:
    """RFC 8446 §4.6.3: each demands one in return, which must not pile up."""
    caplog.set_level("INFO", "httpkit")

    class Session:
        """Python cannot send a KeyUpdate."""

        def pending(self) -> int:
            return 0

        def read(self, size: int) -> bytes:
            outgoing.write(b"a KeyUpdate")
            raise ssl.SSLWantReadError

    outgoing = ssl.MemoryBIO()
    transport = TLSTransport(pair.raw, Session(), ssl.MemoryBIO(), outgoing, pair.above)  # type: ignore[arg-type]
    transport.data_received(b"a KeyUpdate")
    assert pair.raw.events == []  # the socket takes the answer
    transport.pause_writing()
    transport.data_received(b"a KeyUpdate")
    assert pair.raw.events == ["aborted"]
    assert "makes TLS answer and reads nothing" in caplog.text


def test_what_the_socket_knows(pair: Pair) -> None:
    assert pair.transport.get_extra_info("peername") == ("192.0.2.1", 7)
    assert pair.transport.get_extra_info("nothing", 7) == 7
    info = pair.transport.get_extra_info("tls")
    assert info.version == "TLSv1.3"
    assert pair.transport.get_extra_info("tls") is info


def test_an_error_without_a_reason_is_told_without_its_place(tmp_path: Path) -> None:
    """Python gives no reason where the library has one of its own, such as that for PEM."""
    empty = tmp_path / "empty.pem"
    empty.touch()
    with pytest.raises(ssl.SSLError, match=r"\(_ssl\.c:\d+\)") as caught:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(empty)
    assert "ssl" not in explain(caught.value)
