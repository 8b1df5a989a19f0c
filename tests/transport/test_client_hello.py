"""ALPN and SNI read out of a ClientHello: OpenSSL's own, however it is cut, and what else comes."""

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from httpkit.transport.client_hello import ClientHello


def make_hello(*protocols: str, name: str | None = "example.com") -> bytes:
    """The first record of a client."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    if protocols:
        context.set_alpn_protocols(list(protocols))
    outgoing = ssl.MemoryBIO()
    session = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        session.do_handshake()
    return outgoing.read()


def in_records(hello: bytes, size: int) -> bytes:
    """The same message in records of `size` bytes (RFC 8446 §5.1)."""
    message = hello[5:]
    pieces = [message[start : start + size] for start in range(0, len(message), size)]
    return b"".join(hello[:3] + len(piece).to_bytes(2, "big") + piece for piece in pieces)


@pytest.mark.parametrize("name", ["example.com", None])
@pytest.mark.parametrize("protocols", [(), ("h2",), ("foo", "http/1.1"), ("x" * 255,) * 3])
def test_what_openssl_offers(protocols, name) -> None:
    expected = tuple(protocol.encode() for protocol in protocols)
    hello = ClientHello()
    assert hello.name == b""
    assert hello.receive_data(make_hello(*protocols, name=name)) == expected
    assert hello.name == (name or "").encode()
    assert 0x1D in hello.groups  # X25519


@pytest.mark.parametrize("step", [1, 7, 100])
@pytest.mark.parametrize("size", [1, 3, 50, 10_000])
def test_rfc8446_5_1_records_and_reads_of_any_size(size, step) -> None:
    data = in_records(make_hello("h2", "foo"), size)
    hello = ClientHello()
    *before, last = [
        hello.receive_data(data[start : start + step]) for start in range(0, len(data), step)
    ]
    assert before == [None] * len(before)
    assert last == (b"h2", b"foo")


def test_what_follows_is_not_looked_at() -> None:
    assert ClientHello().receive_data(make_hello("h2") + b"\xff" * 100) == (b"h2",)


def test_rfc8446_5_a_change_cipher_spec_before_it_means_nothing() -> None:
    data = b"\x14\x03\x03\0\1\1" + in_records(make_hello("h2"), 100)
    assert ClientHello().receive_data(data) == (b"h2",)


def test_another_record_offers_nothing() -> None:
    assert ClientHello().receive_data(b"\x15\x03\x01\0\x02\x02\x28") == ()
    assert ClientHello().receive_data(make_hello("h2")[:20]) is None


@given(st.binary(max_size=200), st.integers(0, 200))
def test_nothing_is_too_wrong_for_it(noise, position) -> None:
    ClientHello().receive_data(b"\x16\x03\x01\0\x64" + noise)
    data = bytearray(make_hello("h2", "http/1.1"))
    data[position : position + len(noise)] = noise
    ClientHello().receive_data(bytes(data))


@pytest.mark.parametrize(
    ("groups", "costly"),
    [
        ((), False),
        ((0x1D,), False),
        ((0x0101,), False),  # RFC 7919: 3072 bits
        ((0x0102,), True),
        ((0x1A1A, 0x0104), True),  # RFC 8701: a group that nobody has
        ((0x1D, 0x0104), False),
        ((0x0104, 0x1D), True),
    ],
)
def test_cve_2002_20001_the_first_key_that_is_known_counts(groups, costly) -> None:
    hello = ClientHello()
    hello.groups = groups
    assert hello.has_costly_key is costly
