"""`httpkit cert`: create, list, renew, trust, path; the CA is one of the test."""

import shlex
import stat
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography import x509

from httpkit.certificates.development import DevelopmentCA
from httpkit.certificates.names import names_of
from httpkit.certificates.trust import SYSTEMS
from httpkit.cli import main


class Cert:
    """The command, with a data directory of its own."""

    def __init__(self, home: Path) -> None:
        self.directory = home / "httpkit" / "certificates"
        self.out = home / "out"

    def __call__(self, *arguments: str) -> Result:
        return CliRunner().invoke(main, ["cert", *arguments], prog_name="httpkit")

    def create(self, *names: str) -> Result:
        return self("create", *names, "--out", str(self.out))


@pytest.fixture
def cert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cert:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    return Cert(tmp_path)


def load(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificates(path.read_bytes())[0]


def test_the_path_of_the_ca(cert: Cert) -> None:
    assert cert("path").output == f"{cert.directory}\n"
    assert not cert.directory.exists()


def test_create(cert: Cert) -> None:
    result = cert.create("*.Example.test", "10.0.0.1", "10.0.0.1")
    assert result.exit_code == 0
    chain, key = cert.out / "wildcard.example.test.pem", cert.out / "wildcard.example.test-key.pem"
    assert result.output == f"chain  {chain}\nkey    {key}\nroot   {cert.directory / 'root.pem'}\n"
    assert names_of(load(chain)) == ("*.example.test", "10.0.0.1")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_create_for_this_machine(cert: Cert) -> None:
    assert cert.create().exit_code == 0
    assert names_of(load(cert.out / "localhost.pem"))[:3] == ("localhost", "127.0.0.1", "::1")


def test_create_twice(cert: Cert) -> None:
    cert.create("a.test")
    before = load(cert.out / "a.test.pem")
    again = cert.create("a.test")
    assert (again.exit_code, load(cert.out / "a.test.pem")) == (1, before)
    assert again.stderr == (
        f"httpkit: error: {cert.out / 'a.test.pem'} is there already; --force replaces it\n"
    )
    assert cert("create", "a.test", "--force", "--out", str(cert.out)).exit_code == 0
    assert load(cert.out / "a.test.pem") != before


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["no name"], 1, "'no name' is neither a host name nor an IP address"),
        (["a.test", "--days", "398"], 2, "398 is not in the range 1<=x<=397"),
        (["a.test", "--days", "0"], 2, "0 is not in the range 1<=x<=397"),
    ],
)
def test_create_with_a_mistake(cert: Cert, arguments: list[str], code: int, message: str) -> None:
    result = cert("create", *arguments)
    assert (result.exit_code, message in result.stderr) == (code, True)
    assert not cert.directory.exists()


def test_list(cert: Cert) -> None:
    assert cert("list").output == f"There is no development CA yet in {cert.directory}.\n"
    DevelopmentCA(cert.directory).ensure(["localhost"])
    cert.create("a.test", "b.test")
    cert.create("gone.test")
    (cert.out / "gone.test.pem").unlink()
    (cert.directory / "intermediate.pem").write_text("garbage")
    lines = [line.split("  ") for line in cert("list").output.splitlines()]
    rows = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    assert rows[0] == ["KIND", "NAMES", "UNTIL", "DAYS", "FILE"]
    assert [row[0] for row in rows[1:]] == ["root", "intermediate", "machine"] + ["exported"] * 2
    assert rows[2][1:4] == ["-", "damaged", "-"]
    assert rows[3][1] == "localhost"
    assert (rows[4][1], rows[4][3]) == ("a.test b.test", "396")
    assert rows[5][1:] == ["gone.test", "gone or replaced", "-", str(cert.out / "gone.test.pem")]


def test_renew(cert: Cert) -> None:
    cert("create", "a.test", "--days", "20", "--out", str(cert.out))
    before = load(cert.out / "a.test.pem")
    machine = cert.directory / "machine.pem"
    assert cert("renew").output == f"renewed {machine}\nrenewed {cert.out / 'a.test.pem'}\n"
    assert load(cert.out / "a.test.pem") != before
    cert("create", "a.test", "--force", "--out", str(cert.out))
    first = load(machine)
    assert cert("renew").output == "Nothing ends within a month.\n"
    assert load(machine) == first
    assert cert("renew", "--all").output.count("renewed") == 2
    assert load(machine) != first


def test_trust_names_the_root_everywhere(cert: Cert) -> None:
    result = cert("trust")
    assert result.exit_code == 0
    root = cert.directory / "root.pem"
    assert root.exists()
    assert result.output.count(str(root)) >= len(SYSTEMS) - 1
    assert "\x1b" not in result.output
    title = load(root).subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value
    assert f'"{title}"' in result.output


@pytest.mark.parametrize("system", SYSTEMS)
def test_trust_for_one_system(cert: Cert, system: str) -> None:
    whole, one = cert("trust").output, cert("trust", system).output
    assert one.strip() in whole
    assert len(one) < len(whole) / 3


def test_commands_of_trust_can_be_pasted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory with a space in its name, as on macOS."""
    home = tmp_path / "Application Support"
    monkeypatch.setenv("XDG_DATA_HOME", str(home))
    cert = Cert(home)
    for system in ("debian", "fedora", "arch", "macos", "chromium"):
        lines = [line.strip() for line in cert("trust", system).output.splitlines()]
        words = [shlex.split(line) for line in lines if line.startswith(("sudo", "certutil"))]
        assert any(str(cert.directory / "root.pem") in each for each in words), system


@pytest.mark.system
def test_openssl_verifies_an_export(cert: Cert) -> None:
    cert.create("*.example.test")
    chain = cert.out / "wildcard.example.test.pem"
    command = "openssl verify -x509_strict -purpose sslserver -verify_hostname www.example.test"
    arguments = ["-CAfile", cert.directory / "root.pem", "-untrusted", chain, chain]
    result = subprocess.run([*command.split(), *arguments], capture_output=True, check=False)
    assert result.returncode == 0, result.stderr


def test_a_directory_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "file"))
    result = CliRunner().invoke(main, ["cert", "trust"])
    assert result.exit_code == 1
    assert result.stderr.startswith("httpkit: error: ")
    assert "Not a directory" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_the_help_names_every_command_in_a_line(cert: Cert) -> None:
    lines = cert("--help").output.splitlines()
    commands = lines[lines.index("Commands:") + 1 :]
    assert [line.split()[0] for line in commands] == "create list path renew show trust".split()
    assert all(line.endswith(".") and not line.endswith("...") for line in commands)


def test_the_program_names_it_beside_the_others() -> None:
    lines = CliRunner().invoke(main, ["--help"]).output.splitlines()
    commands = [line.split()[0] for line in lines[lines.index("Commands:") + 1 :]]
    assert commands == sorted(commands)
    assert {"cert", "config", "routes", "run"} <= set(commands)
