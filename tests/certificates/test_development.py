"""The development CA: what it makes, who accepts it, when it is made anew.

The clock is the test's; files are real.
"""

import datetime as dt
import multiprocessing
import ssl
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store

from httpkit.certificates.development import (
    DevelopmentCA,
    DevelopmentCertificate,
    ensure_development_certificate,
    load_pair,
)
from httpkit.certificates.names import general_name, names_of
from httpkit.errors import ConfigurationError

from .chains import DAY, NOW, make

NAMES = ("localhost", "127.0.0.1", "::1", "laptop")


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> dt.datetime:
        return self.now


class CA:
    """The CA of a test, with what stands in its files."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.clock = Clock()
        self.files = DevelopmentCA(directory, self.clock)

    def ensure(self, *names: str) -> DevelopmentCertificate:
        return ensure_development_certificate(
            self.directory, names=names or NAMES, clock=self.clock
        )

    @property
    def chain(self) -> list[x509.Certificate]:
        """Certificate, intermediate, root: as a server and its client have them."""
        sent = x509.load_pem_x509_certificates(self.files.machine.chain.read_bytes())
        return sent + x509.load_pem_x509_certificates(self.files.root.read_bytes())

    @property
    def serials(self) -> list[int]:
        return [certificate.serial_number for certificate in self.chain]

    def verify(self, host: str) -> None:
        """As strict as the library can, by the clock of the test."""
        leaf, intermediate, root = self.chain
        policy = PolicyBuilder().store(Store([root])).time(self.clock.now)
        subject = general_name(host)
        assert isinstance(subject, x509.DNSName | x509.IPAddress)
        policy.build_server_verifier(subject).verify(leaf, [intermediate])


@pytest.fixture
def ca(tmp_path: Path) -> CA:
    return CA(tmp_path / "ca")


@pytest.mark.parametrize("host", NAMES)
def test_the_chain_is_valid_for_every_name(ca: CA, host: str) -> None:
    ca.ensure()
    ca.verify(host)


@pytest.mark.system
@pytest.mark.parametrize(("check", "host"), [("hostname", "laptop"), ("ip", "::1")])
def test_openssl_verifies_it_strictly(tmp_path: Path, check: str, host: str) -> None:
    made = ensure_development_certificate(tmp_path, names=NAMES)
    command = f"openssl verify -x509_strict -purpose sslserver -verify_{check} {host}".split()
    arguments = ["-CAfile", made.root, "-untrusted", made.chain, made.chain]
    result = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    assert result.stdout == f"{made.chain}: OK\n", result.stderr


def test_a_client_of_the_standard_library_accepts_it(tmp_path: Path) -> None:
    """A handshake in memory, with the checks of `create_default_context`."""
    made = ensure_development_certificate(tmp_path, names=NAMES)
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server_context.load_cert_chain(made.chain, made.key)
    client_context = ssl.create_default_context(cafile=made.root)
    client_context.verify_flags |= ssl.VERIFY_X509_STRICT
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(down, up, server_hostname="laptop")
    server = server_context.wrap_bio(up, down, server_side=True)
    pending = {client, server}
    while pending:
        for side in (client, server):
            try:
                side.do_handshake()
                pending.discard(side)
            except ssl.SSLWantReadError:
                pass
    assert client.version() == "TLSv1.3"


def test_what_stands_in_the_certificates(ca: CA) -> None:
    """RFC 5280 §4.2.1, and what browsers want beyond it."""
    ca.ensure()
    leaf, intermediate, root = chain = ca.chain
    constraints = [each.extensions.get_extension_for_class(x509.BasicConstraints) for each in chain]
    assert [(each.critical, each.value.ca, each.value.path_length) for each in constraints] == [
        (True, False, None),
        (True, True, 0),
        (True, True, 1),
    ]
    for certificate, issuer in zip(chain, [intermediate, root, root], strict=True):
        own = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
        its = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        assert own.key_identifier == its.digest
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
        assert usage.critical
        assert usage.value.key_cert_sign is (certificate is not leaf)
        assert usage.value.digital_signature is (certificate is leaf)
    for certificate in (leaf, intermediate):
        purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        assert list(purposes) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc <= 398 * DAY
    assert names_of(leaf) == NAMES


def test_two_roots_have_two_names(tmp_path: Path) -> None:
    one, two = CA(tmp_path / "one"), CA(tmp_path / "two")
    one.ensure()
    two.ensure()
    assert one.chain[-1].subject != two.chain[-1].subject


def test_a_name_longer_than_a_common_name(ca: CA) -> None:
    """RFC 5280, Appendix A.1: 64 characters at most."""
    name = f"{'x' * 60}.example.test"
    ca.ensure(name)
    ca.verify(name)


def test_keys_are_private(ca: CA) -> None:
    ca.ensure()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in ca.directory.iterdir()}
    assert modes == {
        "lock": 0o600,
        "root.pem": 0o644,
        "root-key.pem": 0o600,
        "intermediate.pem": 0o644,
        "intermediate-key.pem": 0o600,
        "machine.pem": 0o644,
        "machine-key.pem": 0o600,
    }
    assert stat.S_IMODE(ca.directory.stat().st_mode) == 0o700


# --- when something is made anew --------------------------------------------------------------


def test_nothing_changes_while_everything_is_good(ca: CA) -> None:
    ca.ensure()
    before = ca.serials
    ca.clock.now += 366 * DAY
    ca.ensure(*reversed(NAMES))
    assert ca.serials == before


def test_a_certificate_that_ends_within_a_month_is_renewed(ca: CA) -> None:
    ca.ensure()
    before = ca.serials
    ca.clock.now += 367 * DAY
    ca.ensure()
    after = ca.serials
    assert after[0] != before[0]
    # The intermediate would have ended before the new certificate; the root is the same.
    assert after[1] != before[1]
    assert after[2] == before[2]
    ca.verify("localhost")


def test_an_intermediate_that_outlives_the_certificate_stays(ca: CA) -> None:
    ca.ensure()
    before = ca.serials
    ca.clock.now += 100 * DAY
    ca.ensure("other.test")
    assert ca.serials[0] != before[0]
    assert ca.serials[1:] == before[1:]


def test_the_root_is_renewed_when_it_cannot_outlive_an_intermediate(ca: CA) -> None:
    ca.ensure()
    before = ca.serials
    ca.clock.now += (3650 - 729) * DAY
    ca.ensure()
    assert not set(ca.serials) & set(before)
    ca.verify("localhost")


def test_nothing_outlives_what_has_signed_it(ca: CA) -> None:
    for _ in range(12):
        ca.ensure()
        ends = [certificate.not_valid_after_utc for certificate in ca.chain]
        assert ends == sorted(ends)
        ca.verify("localhost")
        ca.clock.now += 340 * DAY


def test_names_that_have_changed(ca: CA) -> None:
    ca.ensure()
    before = ca.serials
    ca.ensure(*NAMES, "new-name")
    assert ca.serials[0] != before[0]
    ca.verify("new-name")


def test_a_clock_that_was_wrong_once(ca: CA) -> None:
    """A certificate of the future is replaced, and so is an intermediate."""
    ca.clock.now += 400 * DAY
    ca.ensure()
    before = ca.serials
    ca.clock.now -= 100 * DAY
    ca.ensure()
    assert not set(ca.serials[:2]) & set(before[:2])


@pytest.mark.parametrize("name", ["machine.pem", "machine-key.pem"])
@pytest.mark.parametrize("damage", ["missing", "garbage", "other"])
def test_a_pair_that_is_damaged_is_made_anew(ca: CA, name: str, damage: str) -> None:
    ca.ensure()
    before = ca.serials
    path = ca.directory / name
    if damage == "missing":
        path.unlink()
    else:
        other = make("x", names=list(NAMES))
        other_bytes = other.key_pem if "key" in name else other.pem
        path.write_bytes(b"garbage" if damage == "garbage" else other_bytes)
    ca.ensure()
    assert ca.serials[0] != before[0]
    assert ca.serials[1:] == before[1:]
    assert load_pair(ca.files.machine.chain, ca.files.machine.key) is not None


@pytest.mark.parametrize("name", ["intermediate.pem", "intermediate-key.pem"])
def test_a_damaged_intermediate_is_made_anew_with_what_it_signs(ca: CA, name: str) -> None:
    ca.ensure()
    before = ca.serials
    (ca.directory / name).write_bytes(b"garbage")
    ca.ensure()
    assert ca.serials[2] == before[2]
    assert not set(ca.serials[:2]) & set(before[:2])
    ca.verify("localhost")


def test_a_root_that_is_gone_is_made_anew_with_all_below_it(ca: CA) -> None:
    ca.ensure()
    before = ca.serials
    ca.files.root.unlink()
    ca.ensure()
    assert not set(ca.serials) & set(before)
    ca.verify("localhost")


def test_the_key_of_the_root_may_be_kept_elsewhere(ca: CA, tmp_path: Path) -> None:
    ca.ensure()
    ca.files.root_key.rename(tmp_path / "safe")
    ca.ensure("other.test")
    ca.verify("other.test")
    ca.clock.now += 367 * DAY
    with pytest.raises(ConfigurationError, match=r"a new intermediate is needed, and .*root-key"):
        ca.ensure()
    (tmp_path / "safe").rename(ca.files.root_key)
    ca.ensure()
    ca.verify("localhost")


def test_a_root_that_cannot_be_read_is_not_replaced(ca: CA) -> None:
    ca.ensure()
    ca.files.root.write_bytes(b"garbage")
    with pytest.raises(ConfigurationError, match=r"root\.pem is no certificate; delete"):
        ca.ensure()
    assert ca.files.root.read_bytes() == b"garbage"


def test_a_directory_in_place_of_a_file(ca: CA) -> None:
    ca.ensure()
    ca.files.root.unlink()
    ca.files.root.mkdir()
    with pytest.raises(ConfigurationError, match=r"root\.pem: Is a directory"):
        ca.ensure()


def test_a_foreign_key_is_no_key_of_ours(ca: CA) -> None:
    """Of another kind: this CA has ECDSA only."""
    key = ed25519.Ed25519PrivateKey.generate()
    ca.ensure()
    ca.files.machine.key.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    assert load_pair(ca.files.machine.chain, ca.files.machine.key) is None
    ca.ensure()
    ca.verify("localhost")


def test_by_default_it_is_this_machine_and_this_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    made = ensure_development_certificate()
    assert made.chain == tmp_path / "httpkit" / "certificates" / "machine.pem"
    leaf = x509.load_pem_x509_certificates(made.chain.read_bytes())[0]
    assert names_of(leaf)[:3] == ("localhost", "127.0.0.1", "::1")


def ensure_in_process(directory: Path) -> None:
    ensure_development_certificate(directory, names=NAMES)


def test_processes_that_start_at_once_agree(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=ensure_in_process, args=(tmp_path,)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    ca = CA(tmp_path)
    ca.clock.now = dt.datetime.now(dt.UTC)
    before = ca.serials
    ca.ensure()
    assert ca.serials == before
    ca.verify("localhost")
