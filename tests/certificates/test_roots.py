"""The roots of this machine: from a file, from a directory, with whatever is odd among them."""

from pathlib import Path

import pytest

from httpkit.certificates.roots import Roots, is_trusted, system_roots

from .chains import make, to_pem

ONE, TWO = make("One", authority=True), make("Two", authority=True)


def test_the_file_that_openssl_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "roots.pem").write_bytes(to_pem([ONE.certificate, TWO.certificate]))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "roots.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    assert set(system_roots()) == {ONE.certificate, TWO.certificate}


def test_the_directory_where_there_is_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "one.pem").write_bytes(ONE.pem)
    (tmp_path / "damaged.pem").write_bytes(b"-----BEGIN CERTIFICATE-----\n")
    (tmp_path / "directory").mkdir()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    assert system_roots() == [ONE.certificate]


def test_a_machine_that_trusts_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    assert system_roots() == []


def test_whether_the_root_in_a_file_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, made in (("one", ONE), ("two", TWO)):
        (tmp_path / f"{name}.pem").write_bytes(made.pem)
    (tmp_path / "none.pem").write_bytes(b"")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "one.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    trusted = [name for name in ("one", "two", "none") if is_trusted(tmp_path / f"{name}.pem")]
    assert trusted == ["one"]


def test_who_trusts_what() -> None:
    roots = Roots([ONE.certificate, ONE.certificate], [TWO.certificate])
    assert roots.trust(ONE.certificate) == "system"
    assert roots.trust(TWO.certificate) == "development"
    assert roots.trust(make("One", authority=True).certificate) is None
    assert roots.named(ONE.certificate.subject) == [ONE.certificate]
    assert roots.named(make("x").certificate.subject) == []
