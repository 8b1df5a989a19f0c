"""Chains for other programs: what is written where, recorded, and renewed in place."""

import stat
from pathlib import Path

import pytest
from cryptography import x509

from httpkit.certificates.development import DevelopmentCA, load_pair
from httpkit.certificates.exports import Exports
from httpkit.certificates.names import names_of
from httpkit.errors import ConfigurationError

from .chains import DAY, make
from .test_development import Clock


class Made:
    """A CA with a clock, and a directory to export to."""

    def __init__(self, path: Path) -> None:
        self.clock = Clock()
        self.authority = DevelopmentCA(path / "ca", self.clock)
        self.exports = Exports(self.authority)
        self.out = path / "out"

    def certificate(self, path: str) -> x509.Certificate:
        return x509.load_pem_x509_certificates(Path(path).read_bytes())[0]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path)


def test_an_export_is_a_chain_and_its_key(made: Made) -> None:
    export = made.exports.create(["*.example.test", "10.0.0.1"], made.out, 90)
    assert export.chain == str(made.out / "wildcard.example.test.pem")
    pair = load_pair(Path(export.chain), Path(export.key))
    assert pair is not None
    assert names_of(pair.certificate) == ("*.example.test", "10.0.0.1")
    assert (pair.certificate.not_valid_after_utc - made.clock.now) == 90 * DAY
    chain = x509.load_pem_x509_certificates(Path(export.chain).read_bytes())
    root = x509.load_pem_x509_certificate(made.authority.root.read_bytes())
    for certificate, issuer in zip(chain, [chain[1], root], strict=True):
        certificate.verify_directly_issued_by(issuer)
    assert stat.S_IMODE(Path(export.key).stat().st_mode) == 0o600
    assert made.exports.load() == [export]


def test_an_address_is_a_file_name_too(made: Made) -> None:
    assert made.exports.create(["::1"], made.out).chain == str(made.out / "__1.pem")


def test_nothing_is_overwritten_unasked(made: Made) -> None:
    made.out.mkdir()
    (made.out / "a.test-key.pem").write_text("precious")
    with pytest.raises(ConfigurationError, match=r"a\.test-key\.pem is there already; --force"):
        made.exports.create(["a.test"], made.out)
    assert (made.out / "a.test-key.pem").read_text() == "precious"
    assert not (made.out / "a.test.pem").exists()
    first = made.exports.create(["a.test"], made.out, overwrite=True)
    second = made.exports.create(["a.test", "b.test"], made.out, overwrite=True)
    assert first.serial != second.serial
    assert made.exports.load() == [second]


def test_a_directory_that_cannot_be_made(made: Made, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="Not a directory"):
        made.exports.create(["a.test"], tmp_path / "file" / "below")
    assert made.exports.load() == []


def test_what_ends_soon_is_renewed_in_its_place(made: Made) -> None:
    short = made.exports.create(["short.test"], made.out, 60)
    long = made.exports.create(["long.test"], made.out)
    made.clock.now += 31 * DAY
    [renewed] = made.exports.renew()
    assert (renewed.chain, renewed.names, renewed.days) == (short.chain, ("short.test",), 60)
    assert made.certificate(short.chain).not_valid_after_utc == made.clock.now + 60 * DAY
    assert made.exports.load() == [renewed, long]
    assert made.exports.renew() == []


def test_everything_on_demand(made: Made) -> None:
    made.exports.create(["a.test"], made.out)
    made.exports.create(["b.test"], made.out)
    assert [export.names for export in made.exports.renew(everything=True)] == [
        ("a.test",),
        ("b.test",),
    ]


def test_what_is_gone_or_replaced_is_left_alone(made: Made) -> None:
    gone = made.exports.create(["gone.test"], made.out)
    replaced = made.exports.create(["replaced.test"], made.out)
    Path(gone.chain).unlink()
    other = make("other").pem
    Path(replaced.chain).write_bytes(other)
    assert made.exports.renew(everything=True) == []
    assert Path(replaced.chain).read_bytes() == other
    assert not Path(gone.chain).exists()
    assert made.exports.load() == []


def test_without_exports_there_is_nothing_to_renew(made: Made) -> None:
    assert made.exports.renew() == []
    assert made.exports.load() == []


@pytest.mark.parametrize("data", [b"", b"[{}]", b"\xff", b'{"names": []}'])
def test_a_record_that_is_damaged(made: Made, data: bytes) -> None:
    made.exports.create(["a.test"], made.out)
    (made.authority.directory / "issued.json").write_bytes(data)
    with pytest.raises(ConfigurationError, match=r"issued\.json is not what httpkit has written"):
        made.exports.load()


def test_a_record_that_cannot_be_read(made: Made) -> None:
    (made.authority.directory / "issued.json").mkdir(parents=True)
    with pytest.raises(ConfigurationError, match=r"issued\.json: Is a directory"):
        made.exports.load()
