"""Certificates: chosen by name, refused with a reason, read anew when their files change."""

import logging
import os
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from httpkit.certificates.development import ensure_development_certificate
from httpkit.errors import ConfigurationError
from httpkit.server.config import Config
from httpkit.server.tls_contexts import make_context

from .certificates import Authority, Identity
from .conftest import Live
from .live import LiveServer, Script
from .tls import HOST, connect, options
from .wire import eventually


def common_name(server: LiveServer, authority: Authority, name: str | None) -> str:
    """Of the certificate that a client gets who asks for a name."""
    context = authority.client_context()
    context.check_hostname = False
    client = server.connect()
    with context.wrap_socket(client.socket, server_hostname=name) as session:
        der = session.getpeercert(binary_form=True)
    assert der is not None
    certificate = x509.load_der_x509_certificate(der)
    return str(certificate.subject.rfc4514_string()).removeprefix("CN=")


# --- SNI ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("one.example", "one.example"),
        ("two.example", "two.example"),
        ("TWO.example", "two.example"),
        ("alias.example", "two.example"),
        ("a.wild.example", "*.wild.example"),
        ("exact.wild.example", "exact.wild.example"),
        # RFC 6066 §3: without a trailing dot; Python's ssl sends it.
        ("two.example.", "two.example"),
        ("a.wild.example.", "*.wild.example"),
        # RFC 9525 §6.3: a wildcard is one label.
        ("a.b.wild.example", "one.example"),
        ("wild.example", "one.example"),
        ("unknown.example", "one.example"),
        (None, "one.example"),
    ],
)
def test_the_certificate_is_chosen_by_name(
    live: Live, authority: Authority, name: str | None, expected: str
) -> None:
    server = live(
        **options(
            authority,
            authority.server("one.example"),
            authority.server("two.example", "alias.example"),
            authority.server("*.wild.example"),
            authority.server("exact.wild.example"),
            authority.server(),  # without any name it is never chosen
        )
    )
    assert common_name(server, authority, name) == expected


def test_the_chain_comes_with_the_certificate(live: Live, authority: Authority) -> None:
    """The client knows the root alone."""
    server = live(**options(authority))
    assert connect(server, authority.client_context()).get().status == 200


def test_key_and_certificate_in_one_file(live: Live, authority: Authority) -> None:
    identity = authority.server(HOST)
    both = authority.write("both.pem", identity.key_pem() + identity.chain_pem())
    server = live(tls_cert=Path(both))
    assert connect(server, authority.client_context()).get().status == 200


def test_sessions_are_resumed(live: Live, authority: Authority) -> None:
    server = live(**options(authority))
    context = authority.client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    first = connect(server, context)
    session = first.socket.session
    assert session.timeout == 7200
    assert connect(server, context, session=session).socket.session_reused


def test_the_oldest_version_can_be_chosen(live: Live, authority: Authority) -> None:
    server = live(**options(authority, tls_min_version="1.3"))
    context = authority.client_context()
    assert connect(server, context).socket.version() == "TLSv1.3"
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError, match=r"(?i)protocol version"):
        connect(server, context)


# --- files that cannot be used -----------------------------------------------------------------


def refused(**more: object) -> str:
    """Why a server does not start."""
    server = LiveServer(Script(), **more)
    with pytest.raises(ConfigurationError) as caught:
        server.__enter__()
    return str(caught.value)


def test_files_that_cannot_be_used(authority: Authority, tmp_path: Path) -> None:
    identity = authority.server(HOST)
    chain, key = authority.save(identity, "good")
    other = authority.write("other.key", authority.server(HOST).key_pem())
    locked = authority.write("locked.key", identity.key_pem(b"secret"))
    garbage = authority.write("garbage.pem", b"garbage")
    client = {"tls_client_auth": "required"}
    for more, expected in (
        ({"tls_cert": "missing.pem"}, "tls_cert missing.pem: No such file or directory"),
        ({"tls_cert": str(tmp_path)}, f"tls_cert {tmp_path}: Is a directory"),
        ({"tls_cert": "nul\0"}, "tls_cert nul\0: embedded null byte"),
        ({"tls_cert": chain, "tls_key": "none.key"}, "tls_key none.key: No such file or directory"),
        (
            {"tls_cert": chain, "tls_key": other},
            f"tls_key {other}: the key does not belong to the certificate {chain}",
        ),
        (
            {"tls_cert": chain, "tls_key": locked},
            f"tls_key {locked}: the key is encrypted; write it without a passphrase (openssl pkey)",
        ),
        (
            {"tls_cert": garbage},
            f"tls_cert {garbage}, tls_key {garbage}: not a certificate and its key in PEM (",
        ),
        (
            {"tls_cert": chain},
            f"tls_cert {chain}, tls_key {chain}: not a certificate and its key in PEM (",
        ),
        (
            {"tls_cert": chain, "tls_key": key, "tls_client_ca": garbage, **client},
            f"tls_client_ca {garbage}: not PEM (",
        ),
        (
            {"tls_cert": chain, "tls_key": key, "tls_client_ca": "missing", **client},
            "tls_client_ca missing: No such file or directory",
        ),
    ):
        assert refused(**more).startswith(expected)


def test_authorities_and_revocation_lists_are_told_apart(authority: Authority) -> None:
    """OpenSSL would take either from either file, and trust what it finds."""
    chain, key = authority.save(authority.server(HOST), "good")
    crl = authority.write("crl.pem", authority.root.crl_pem())
    other = Identity("other", is_authority=True)
    mixed = authority.write("mixed.pem", other.chain_pem() + other.crl_pem())
    more = {"tls_cert": chain, "tls_key": key, "tls_client_auth": "required"}
    assert refused(**more, tls_client_ca=crl) == f"tls_client_ca {crl}: no certificate in it"
    more["tls_client_ca"] = authority.ca
    reason = "authorities in it that are not in tls_client_ca would be trusted, too"
    assert refused(**more, tls_client_crl=mixed) == f"tls_client_crl {mixed}: {reason}"
    reason = "no revocation list in it"
    path = authority.ca
    assert refused(**more, tls_client_crl=path) == f"tls_client_crl {path}: {reason}"


def test_authorities_and_revocation_lists_may_share_a_file(authority: Authority) -> None:
    both = authority.write("both.pem", authority.root.chain_pem() + authority.root.crl_pem())
    more = {"tls_client_auth": "required", "tls_client_ca": both, "tls_client_crl": both}
    make_context(Config(**options(authority, **more)), ["http/1.1"])


def with_names(authority: Authority, names: bytes) -> tuple[str, str]:
    """Paths of a certificate with these bytes as its subjectAltName, and its key."""
    identity = authority.server()
    issuer = authority.intermediate
    certificate = identity.certificate
    extension = x509.UnrecognizedExtension(x509.OID_SUBJECT_ALTERNATIVE_NAME, names)
    builder = (
        x509.CertificateBuilder()
        .subject_name(certificate.subject)
        .issuer_name(certificate.issuer)
        .public_key(certificate.public_key())
        .serial_number(certificate.serial_number)
        .not_valid_before(certificate.not_valid_before_utc)
        .not_valid_after(certificate.not_valid_after_utc)
        .add_extension(extension, critical=False)
    )
    identity.certificate = builder.sign(issuer.key, hashes.SHA256())
    return authority.save(identity, "odd")


@pytest.mark.parametrize(
    "names",
    [b"0\6\x82\4caf\xe9", b"0\5\x87\3abc", b"0\x09\xa3\7\x30\5\x0c\3xyz"],
    ids=["not ASCII", "an address of 3 bytes", "x400Address"],
)
def test_names_that_cannot_be_read(authority: Authority, names: bytes) -> None:
    """They are needed where there are several certificates."""
    chain, key = with_names(authority, names)
    good = authority.save(authority.server(HOST), "good")
    message = refused(tls_cert=(good[0], chain), tls_key=(good[1], key))
    assert message.startswith(f"tls_cert {chain}: the names in it cannot be read (")


def test_a_file_that_goes_while_it_is_looked_at(authority: Authority, monkeypatch) -> None:
    monkeypatch.setattr("httpkit.server.tls_contexts._check_readable", lambda option, path: None)
    chain, key = authority.save(authority.server(HOST), "good")
    assert "tls_cert gone.pem, tls_key" in refused(tls_cert="gone.pem", tls_key=key)
    more = {"tls_client_auth": "required", "tls_client_ca": "gone.pem"}
    assert "tls_client_ca gone.pem: " in refused(tls_cert=chain, tls_key=key, **more)


def test_a_port_is_not_taken_for_bad_certificates(authority: Authority) -> None:
    server = LiveServer(Script(), tls_cert="missing.pem")
    with pytest.raises(ConfigurationError):
        server.__enter__()
    assert server.server.addresses == []


# --- files that change -------------------------------------------------------------------------


@pytest.fixture
def renewable(live: Live, authority: Authority):
    """A server, and a function that writes another certificate into its files."""
    server = live(**options(authority, authority.server("old", HOST)))

    def write(name: str) -> None:
        authority.save(authority.server(name, HOST), "server 0")

    return server, write


def tick(server: LiveServer) -> None:
    """A second passes and the reaper comes by."""
    server.clock.now += 1.0
    server.call(server.server._tick)
    server.until(lambda: server.server._tls._loading is None, "the certificates")


def test_a_changed_certificate_is_taken(renewable, authority: Authority, caplog) -> None:
    caplog.set_level(logging.INFO, "httpkit")
    server, write = renewable
    before = connect(server, authority.client_context())
    tick(server)
    write("new")
    tick(server)  # seen, but it may not be all yet
    assert common_name(server, authority, HOST) == "old"
    tick(server)
    assert common_name(server, authority, HOST) == "new"
    assert before.get().status == 200  # goes on with what it began with
    assert caplog.text.count("certificates are read anew") == 1
    tick(server)
    assert caplog.text.count("certificates are read anew") == 1


def test_files_are_looked_at_once_a_second(renewable, monkeypatch) -> None:
    server, _ = renewable
    looks = []
    monkeypatch.setattr(type(server.server._tls), "_stamps", lambda self: looks.append(1))
    server.server._tls._seen = server.server._tls._loaded = None
    for _ in range(8):
        server.clock.now += 0.25
        server.call(server.server._tls.tick)
    assert len(looks) == 2


@pytest.mark.parametrize("harm", ["garbage", "removed", "mismatch"])
def test_a_bad_certificate_is_not_taken(renewable, authority: Authority, harm: str, caplog) -> None:
    caplog.set_level(logging.INFO, "httpkit")
    server, write = renewable
    key = authority.directory / "server 0.key"
    good = key.read_bytes()
    if harm == "removed":
        key.unlink()
    else:
        key.write_bytes(b"garbage" if harm == "garbage" else authority.server().key_pem())
    for _ in range(4):
        tick(server)
    assert caplog.text.count("the certificates stay as they were: tls_") == 1
    assert common_name(server, authority, HOST) == "old"
    key.write_bytes(good)
    tick(server)
    tick(server)
    assert "certificates are read anew" in caplog.text
    write("new")
    tick(server)
    tick(server)
    assert common_name(server, authority, HOST) == "new"


def test_a_key_that_could_not_be_read_is_read_when_it_may_be(
    renewable, authority: Authority, monkeypatch, caplog
) -> None:
    """As it is when a key is written first, and given to the server's user then."""
    server, write = renewable
    key = authority.directory / "server 0.key"

    def check_readable(option: str, path: str) -> None:
        # Whoever runs the tests may read everything.
        if path == str(key) and key.stat().st_mode & 0o777 == 0:
            raise ConfigurationError(f"{option} {path}: Permission denied")

    monkeypatch.setattr("httpkit.server.tls_contexts._check_readable", check_readable)
    write("new")
    key.chmod(0)
    for _ in range(4):
        tick(server)
    assert caplog.text.count("Permission denied") == 1
    assert common_name(server, authority, HOST) == "old"
    key.chmod(0o600)
    tick(server)
    tick(server)
    assert common_name(server, authority, HOST) == "new"


def test_keys_of_tickets_live_a_day(live: Live, authority: Authority) -> None:
    server = live(**options(authority))
    context = authority.client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    session = connect(server, context).socket.session
    before = server.server._tls.context
    server.clock.now += 86_399 - 1
    tick(server)
    assert server.server._tls.context is before
    tick(server)
    assert server.server._tls.context is not before
    assert not connect(server, context, session=session).socket.session_reused


def test_certificates_are_read_anew_on_demand(renewable, authority: Authority) -> None:
    server, write = renewable
    write("new")
    assert server.wait(server.server.reload_certificates()) is True
    assert common_name(server, authority, HOST) == "new"
    os.unlink(authority.directory / "server 0.pem")
    assert server.wait(server.server.reload_certificates()) is False
    assert common_name(server, authority, HOST) == "new"


def test_there_may_be_none_to_read_anew(live: Live) -> None:
    server = live()
    server.call(server.server.begin_reload)
    assert server.wait(server.server.reload_certificates()) is False


def test_one_reload_at_a_time(renewable) -> None:
    server, _ = renewable
    begin = server.server._tls.begin_reload
    assert server.call(lambda: begin() is begin())
    server.until(lambda: server.server._tls._loading is None)


def test_a_stop_does_not_wait_for_files(live: Live, authority: Authority) -> None:
    server = live(**options(authority))
    server.call(server.server.begin_reload)
    server.begin_stop().result(10)


# --- keys for Wireshark ------------------------------------------------------------------------


def test_keys_are_logged_on_demand(
    live: Live, authority: Authority, tmp_path: Path, monkeypatch, caplog
) -> None:
    path = tmp_path / "keys"
    monkeypatch.setenv("SSLKEYLOGFILE", str(path))
    server = live(**options(authority))
    monkeypatch.delenv("SSLKEYLOGFILE")
    connect(server, authority.client_context()).get()
    eventually(lambda: "SERVER_TRAFFIC_SECRET_0" in path.read_text(), "the keys")
    assert f"the keys of TLS sessions are written to {path}" in caplog.text


def test_keys_that_cannot_be_logged(authority: Authority, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "missing" / "keys"))
    text = refused(**options(authority))
    assert text.startswith("SSLKEYLOGFILE ")
    assert text.endswith("keys: No such file or directory")


# --- the certificate of development ------------------------------------------------------------


def test_tls_alone_takes_the_certificate_of_development(live: Live, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    server = live(tls=True)
    context = ssl.create_default_context(cafile=str(ensure_development_certificate().root))
    assert connect(server, context, "localhost").get().status == 200


def test_who_does_not_know_that_certificate_yet_is_told_how_to(
    live: Live,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    hint = "`httpkit cert trust` tells how"
    with caplog.at_level("INFO", "httpkit"):
        live(tls=True)
        assert hint in caplog.text
        caplog.clear()
        monkeypatch.setenv("SSL_CERT_FILE", str(ensure_development_certificate().root))
        monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
        live(tls=True)
        assert hint not in caplog.text
