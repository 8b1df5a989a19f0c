"""What a server sends, and what there is instead when it sends nothing: real sockets."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from httpkit.certificates import remote
from httpkit.certificates.remote import Peer, connect
from tests.ports import refusing_port

from .chains import make, make_chain, to_pem

CHAIN = make_chain(names=["localhost"])
Serve = Callable[[socket.socket], None]


@contextlib.contextmanager
def serving(serve: Serve) -> Iterator[int]:
    """A server in a thread, for one connection; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def run() -> None:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                serve(connection)

        thread = threading.Thread(target=run)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


@pytest.fixture
def context(tmp_path: Path) -> ssl.SSLContext:
    """Of a server that sends two certificates."""
    return context_with(tmp_path, to_pem(CHAIN.sent), CHAIN.leaf.key_pem)


def context_with(directory: Path, chain: bytes, key: bytes) -> ssl.SSLContext:
    (directory / "chain.pem").write_bytes(chain)
    (directory / "key.pem").write_bytes(key)
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(directory / "chain.pem", directory / "key.pem")
    return made


def speak(context: ssl.SSLContext) -> Serve:
    """Shake hands, and wait for the client to hang up."""

    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as session:
            session.recv(1)

    return serve


def ask(serve: Serve, timeout: float = 10) -> Peer:
    with serving(serve) as port:
        return connect("127.0.0.1", port, "localhost", timeout)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_the_chain_as_it_was_sent(context: ssl.SSLContext, version: ssl.TLSVersion) -> None:
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["http/1.1"])
    peer = ask(speak(context))
    assert peer.certificates == CHAIN.sent
    assert peer.version == {771: "TLSv1.2", 772: "TLSv1.3"}[version]
    assert peer.cipher
    assert (peer.alpn, peer.failure, peer.address) == ("http/1.1", None, "127.0.0.1")


def test_superfluous_ones_and_their_order_are_kept(tmp_path: Path) -> None:
    """OpenSSL sends what stands in the file, and what it makes of it is not shown."""
    sent = [CHAIN.leaf, make("Stranger"), CHAIN.root, CHAIN.intermediate, CHAIN.intermediate]
    certificates = [each.certificate for each in sent]
    context = context_with(tmp_path, to_pem(certificates), CHAIN.leaf.key_pem)
    assert ask(speak(context)).certificates == certificates


def test_the_name_that_is_asked_for(context: ssl.SSLContext) -> None:
    """SNI, RFC 6066 §3."""
    names: list[str | None] = []
    context.sni_callback = lambda _, name, __: names.append(name)
    ask(speak(context))
    assert names == ["localhost"]


def test_without_alpn(context: ssl.SSLContext) -> None:
    assert ask(speak(context)).alpn is None


def test_a_weak_server_can_be_looked_at(tmp_path: Path) -> None:
    weak = make("weak", names=["localhost"], key=rsa.generate_private_key(65537, 1024))
    (tmp_path / "chain.pem").write_bytes(weak.pem + weak.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.load_cert_chain(tmp_path / "chain.pem")
    assert ask(speak(context)).certificates == [weak.certificate]


def test_a_server_that_wants_a_client_certificate(context: ssl.SSLContext) -> None:
    """With TLS 1.2 the handshake fails, and the certificates have been sent before."""
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    peer = ask(speak(context))
    assert peer.certificates == CHAIN.sent
    assert peer.failure is not None
    assert peer.failure.startswith(("the handshake fails (", "it closes the connection"))
    assert (peer.version, peer.cipher, peer.alpn) == (None, None, None)


def say(data: bytes) -> Serve:
    def serve(connection: socket.socket) -> None:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass

    return serve


@pytest.mark.parametrize(
    "data", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"220 mail.test ESMTP\r\n", b"\0" * 64]
)
def test_a_server_without_tls(data: bytes) -> None:
    with pytest.raises(ConnectionError, match="shows no certificate: it does not speak TLS on"):
        ask(say(data))


def test_a_server_that_hangs_up() -> None:
    with pytest.raises(ConnectionError, match="shows no certificate: it closes the connection"):
        ask(say(b""))


def test_a_server_that_resets() -> None:
    def reset(connection: socket.socket) -> None:
        connection.recv(1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    with pytest.raises(ConnectionError, match="it closes the connection"):
        ask(reset)


def test_a_server_that_has_no_certificate_for_the_name(context: ssl.SSLContext) -> None:
    context.sni_callback = lambda *_: ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
    with pytest.raises(ConnectionError, match=r"the handshake fails \(.*unrecognized name\)"):
        ask(speak(context))


def test_a_server_that_says_nothing() -> None:
    def wait(connection: socket.socket) -> None:
        while connection.recv(65536):
            pass

    with pytest.raises(ConnectionError, match=r"no handshake is done within 0\.2 s"):
        ask(wait, timeout=0.2)


def test_a_port_that_nobody_listens_on() -> None:
    refused = r"^127\.0\.0\.1:\d+: Connection refused$"
    with refusing_port() as port, pytest.raises(ConnectionError, match=refused):
        connect("127.0.0.1", port, "localhost", 10)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (TimeoutError(), r"^\[::1\]:443 does not answer within 3 s$"),
        (socket.gaierror(-2, "Name or service not known"), "^::1 cannot be resolved: Name or"),
        (OSError(101, "Network is unreachable"), r"^\[::1\]:443: Network is unreachable$"),
    ],
)
def test_a_server_that_cannot_be_reached(
    error: OSError, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(remote.socket, "create_connection", fail)
    with pytest.raises(ConnectionError, match=message):
        connect("::1", 443, "localhost", 3)


def test_a_server_that_is_gone_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the connection and the first look at it: the socket is not connected any more."""
    monkeypatch.setattr(remote.socket, "create_connection", lambda *_: socket.socket())
    with pytest.raises(ConnectionError, match=r"^a\.test:443 hangs up at once: "):
        connect("a.test", 443, "a.test", 3)


def test_the_chain_as_later_versions_of_python_give_it() -> None:
    """A public method since 3.13, which returns DER."""
    encoded = [certificate.public_bytes(Encoding.DER) for certificate in CHAIN.sent]
    session: Any = SimpleNamespace(get_unverified_chain=lambda: encoded)
    assert remote._sent_chain(session) == CHAIN.sent


def test_a_certificate_that_cannot_be_parsed(
    context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenSSL is more lenient than the library that explains."""

    def refuse(_: bytes) -> None:
        raise ValueError("error parsing asn1 value")

    monkeypatch.setattr(remote, "load_certificate", refuse)
    with pytest.raises(ConnectionError, match="sends a certificate that cannot be parsed"):
        ask(speak(context))
