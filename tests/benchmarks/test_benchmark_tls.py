"""The certificate of a run, TLS that is as measured, and the load of handshakes."""

import os
import socket
import ssl
import threading
from contextlib import contextmanager, suppress
from types import SimpleNamespace

import pytest
from benchmark_peers import make_load
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from benchmarks import endpoint as endpoint_module
from benchmarks.cases import CASES
from benchmarks.clients import VerificationError
from benchmarks.credentials import make_credentials
from benchmarks.endpoint import CIPHER, HOST, Endpoint
from benchmarks.load import GENERATORS, LoadError
from benchmarks.load.handshake import open_connections
from benchmarks.process import running
from benchmarks.servers.limit import server_context
from benchmarks.servers.registry import SERVERS
from benchmarks.servers.server import Materials
from benchmarks.verify import verify
from tests.ports import refusing_port

HANDSHAKE = CASES["handshake"]
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 13\r\n"
    b"Date: Mon, 01 Jan 2024 00:00:00 GMT\r\nConnection: close\r\n\r\nHello, World!"
)


@pytest.fixture(scope="module")
def credentials(tmp_path_factory):
    return make_credentials(tmp_path_factory.mktemp("credentials"))


@pytest.fixture
def context(credentials):
    return server_context(credentials.certificate, credentials.key)


@contextmanager
def tls_server(context, answer=ANSWER):
    """Answer each connection once and close it; yield the port and the list of what was asked."""
    requests = []

    def serve():
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return  # the listener is closed: the end
            with peer, suppress(OSError), context.wrap_socket(peer, server_side=True) as secured:
                requests.append(secured.recv(1000))
                secured.sendall(answer)

    with socket.create_server((HOST, 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1], requests
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)
            assert not thread.is_alive()


def test_the_certificate_is_ecdsa_on_p256_for_the_address_of_the_servers(credentials):
    certificate = x509.load_pem_x509_certificate(credentials.certificate.read_bytes())
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert isinstance(key.curve, ec.SECP256R1)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == [HOST]
    assert b"BEGIN PRIVATE KEY" in credentials.key.read_bytes()  # PKCS #8, as granian wants it
    assert credentials.key.stat().st_mode & 0o777 == 0o600


def test_urls_and_schemes(credentials):
    assert Endpoint(80).url() == "http://127.0.0.1:80/"
    assert Endpoint(443, credentials.certificate).url("/a") == "https://127.0.0.1:443/a"


def test_tls_1_2_is_not_what_is_measured(context, credentials):
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with tls_server(context) as (port, _), pytest.raises(ssl.SSLError):
        Endpoint(port, credentials.certificate).connect()


def test_another_certificate_is_not_trusted(context, tmp_path):
    other = make_credentials(tmp_path)
    with tls_server(context) as (port, _), pytest.raises(ssl.SSLCertVerificationError):
        Endpoint(port, other.certificate).connect()


@pytest.mark.parametrize("offered", [["http/1.1"], []])
def test_alpn_has_to_agree(context, credentials, offered):
    if offered:
        context.set_alpn_protocols(offered)
    with tls_server(context) as (port, _), pytest.raises(ssl.SSLError, match=r"ALPN|alert"):
        Endpoint(port, credentials.certificate).connect("h2")


def test_alpn_that_agrees(context, credentials):
    context.set_alpn_protocols(["h2"])
    with (
        tls_server(context) as (port, _),
        Endpoint(port, credentials.certificate).connect("h2") as connection,
    ):
        assert connection.selected_alpn_protocol() == "h2"
        assert connection.version() == "TLSv1.3"


@pytest.mark.parametrize(
    ("cipher", "reused", "reason"),
    [
        ((CIPHER, "TLSv1.3", 256), False, None),
        (("TLS_AES_128_GCM_SHA256", "TLSv1.3", 128), False, "the cipher suite is TLS_AES_128"),
        (None, False, "the cipher suite is None"),
        ((CIPHER, "TLSv1.3", 256), True, "resumed"),
    ],
)
def test_what_deviates_from_the_measured_tls_is_named(cipher, reused, reason):
    connection = SimpleNamespace(cipher=lambda: cipher, session_reused=reused)
    found = endpoint_module._deviation(connection, ())
    assert found == reason or reason in found


@pytest.mark.parametrize("name", ["http1-tls", "handshake"])
def test_the_limit_speaks_tls(credentials, tmp_path, name):
    case = CASES[name]
    core = min(os.sched_getaffinity(0))
    materials = Materials(credentials, tmp_path)
    with running(SERVERS["limit"], case, core, tmp_path / "output", materials) as process:
        verify(case, process.endpoint, canned=True)
        if name == "handshake":
            assert open_connections(case, process.endpoint, 5, Clock()).requests >= 8
        cleartext = Endpoint(process.endpoint.port)
        with pytest.raises(VerificationError):
            verify(case, cleartext, canned=True)


class Clock:
    """A clock on which each look takes a second."""

    def __init__(self):
        self.seconds = 0.0

    def __call__(self):
        self.seconds += 1
        return self.seconds


def test_handshakes_are_counted_until_the_time_is_over(context, credentials):
    case = CASES["handshake"]
    with tls_server(context) as (port, requests):
        result = open_connections(case, Endpoint(port, credentials.certificate), 20, Clock())
    # Every look at the clock but the first and the last follows a connection. The first one at
    # 21 s or later ends its worker; the others each finish the one that they have begun.
    assert result.requests == len(requests)
    assert 20 <= result.requests <= 20 + case.connections
    assert result.requests_per_second == result.requests / (result.requests + 1)
    assert all(b"Connection: close\r\n" in request for request in requests)


def test_each_worker_opens_one_connection_at_least(context, credentials):
    with tls_server(context) as (port, _):
        endpoint = Endpoint(port, credentials.certificate)
        result = open_connections(HANDSHAKE, endpoint, 0, Clock())
    assert result.requests == HANDSHAKE.connections


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (ANSWER.replace(b"200", b"500"), "status is 500"),
        (ANSWER + b"X", "goes on after its end"),
        (b"", "no HTTP/1.1 status line"),
        (ANSWER.replace(b"Length: 13", b"Length: x"), "invalid literal"),
    ],
)
def test_a_wrong_answer_after_the_handshake_is_never_a_number(context, credentials, answer, reason):
    with tls_server(context, answer) as (port, _), pytest.raises(LoadError, match=reason):
        open_connections(HANDSHAKE, Endpoint(port, credentials.certificate), 5, Clock())


def test_a_refused_connection_is_never_a_number(credentials):
    with refusing_port() as port, pytest.raises(LoadError, match="a new connection failed"):
        GENERATORS["handshake"].run(make_load(HANDSHAKE, Endpoint(port, credentials.certificate)))


def test_the_load_of_handshakes_needs_no_program():
    generator = GENERATORS["handshake"]
    assert generator.installed
    assert generator.version().startswith("OpenSSL")
