"""`httpkit cert show`: files and servers, for people and for programs, and every mistake."""

import json
import os
import ssl
from pathlib import Path
from urllib.request import urlopen

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.serialization import Encoding

from httpkit.certificates.development import ensure_development_certificate
from httpkit.cli import main
from httpkit.cli.cert_show import Endpoint, parse_endpoint
from httpkit.errors import ConfigurationError
from tests.certificates.chains import make_chain, to_pem
from tests.certificates.test_remote import say, serving, speak
from tests.conftest import Start

CHAIN = make_chain()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without a CA, in the directory of the test."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def show(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["cert", "show", *arguments], prog_name="httpkit")


def words(result: Result) -> str:
    """Sentences without the places where they are wrapped."""
    return " ".join(result.output.split())


def test_the_certificate_of_this_machine(home: Path) -> None:
    made = ensure_development_certificate()
    result = show(str(made.chain), str(made.key), "--servername", "localhost")
    assert result.exit_code == 0
    assert "the root of your development CA" in result.output
    assert "The private key is that of" in words(result)
    assert "ask for localhost and trust your development CA accept this chain." in words(result)
    assert "\x1b" not in result.output


def test_der_and_a_name_of_any_kind(home: Path) -> None:
    (home / "strange name").write_bytes(CHAIN.leaf.certificate.public_bytes(Encoding.DER))
    result = show("strange name")
    assert result.exit_code == 1
    assert "The chain is incomplete" in result.output


def test_json(home: Path) -> None:
    (home / "chain.pem").write_bytes(to_pem(CHAIN.sent))
    result = show("chain.pem", "--json", "--servername", "other.test")
    assert result.exit_code == 1
    shown = json.loads(result.stdout)
    assert (shown["source"], shown["host"], shown["handshake"]) == (
        "chain.pem",
        "other.test",
        None,
    )
    assert [each["signature"] for each in shown["path"]] == ["valid", "missing signer"]
    assert shown["path"][0]["certificate"]["names"] == ["www.example.test"]
    assert {each["code"] for each in shown["findings"]} >= {"incomplete", "wrong-name"}
    assert (shown["trusted"], shown["accepted"]) == (None, False)


def test_a_key_alone(home: Path) -> None:
    (home / "a.key").write_bytes(CHAIN.leaf.key_pem)
    result = show("a.key")
    # No chain that clients would accept; a script that asks for that must not take it for one.
    assert (result.exit_code, result.output) == (
        1,
        "a.key: a private key (ECDSA P-256, not encrypted), and no certificate\n",
    )
    shown = json.loads(show("a.key", "--json").stdout)
    assert shown["keys"] == [{"encrypted": False, "key": "ECDSA P-256"}]
    assert shown["accepted"] is False


def test_a_key_of_another_certificate(home: Path) -> None:
    (home / "chain.pem").write_bytes(to_pem([*CHAIN.sent, CHAIN.root.certificate]))
    (home / "a.key").write_bytes(CHAIN.root.key_pem)
    result = show("chain.pem", "a.key")
    assert result.exit_code == 1
    assert "The private key (ECDSA P-256) is not that of “www.example.test”." in words(result)


def test_a_server(home: Path) -> None:
    made = ensure_development_certificate(names=["localhost", "127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.chain, made.key)
    with serving(speak(context)) as port:
        result = show(f"127.0.0.1:{port}")
    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"127.0.0.1:{port} (127.0.0.1) · TLSv1.3 · ")
    assert "sent: no. 2 ─┐" in result.output
    assert "ask for 127.0.0.1 and trust your development CA accept" in words(result)


def test_a_server_by_another_name(home: Path) -> None:
    made = ensure_development_certificate(names=["localhost"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.chain, made.key)
    with serving(speak(context)) as port:
        result = show(f"127.0.0.1:{port}", "--servername", "other.test", "--json")
    shown = json.loads(result.stdout)
    assert (shown["handshake"]["server_name"], shown["host"]) == ("other.test", "other.test")
    assert [each["code"] for each in shown["findings"]] == ["wrong-name", "development-root"]


def test_a_server_that_runs_on_the_development_ca(home: Path, start_httpkit: Start) -> None:
    """From one end to the other: `httpkit run --tls`, and a client that knows the root."""
    arguments = ("run", "examples.hello:app", "--tls", "--host", "127.0.0.1", "--port", "0")
    process = start_httpkit(*arguments, env=os.environ | {"HTTPKIT_CONFIG": "off"})
    url = process.wait_for_url()
    result = show(url, "--servername", "localhost")
    assert result.exit_code == 0, result.output
    assert result.output.count("sent: no. ") == 2
    assert "ALPN h2" in result.output
    made = ensure_development_certificate()
    context = ssl.create_default_context(cafile=made.root)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    with urlopen(f"{url}/users/7", context=context, timeout=10) as answer:
        assert answer.read() == b'{"id":7}'
    assert process.stop() == 0


def error_of(result: Result) -> str:
    assert result.exit_code == 1
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("httpkit: error: ")
    return lines[0].removeprefix("httpkit: error: ")


def test_a_server_without_tls() -> None:
    with serving(say(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as port:
        message = error_of(show(f"127.0.0.1:{port}"))
    assert message == (f"127.0.0.1:{port} shows no certificate: it does not speak TLS on this port")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("none.pem", "none.pem: No such file or directory"),
        ("dir/none", "dir/none: No such file or directory"),
        ("empty.pem", "empty.pem is empty"),
        ("words.txt", "words.txt is neither a certificate nor a key, in PEM or in DER"),
        ("big.pem", "big.pem is too large for a file of certificates"),
        ("a:b:c", "'a:b:c' is neither a file nor HOST or HOST:PORT"),
        ("host:99999", "'host:99999' is neither a file nor HOST or HOST:PORT"),
        ("host:0", "'host:0' is neither a file nor HOST or HOST:PORT"),
        ("*.example.test", "'*.example.test' is neither a file nor HOST or HOST:PORT"),
    ],
)
def test_what_cannot_be_shown(home: Path, target: str, message: str) -> None:
    (home / "empty.pem").write_bytes(b"")
    (home / "words.txt").write_bytes(b"just words")
    with (home / "big.pem").open("wb") as file:
        file.truncate(5 * 1024 * 1024)
    assert error_of(show(target)) == message


def test_a_name_that_is_none(home: Path) -> None:
    assert "wildcard; name one host" in error_of(show("localhost:1", "--servername", "*.a.test"))


def test_a_directory_that_cannot_be_read_as_a_file(home: Path) -> None:
    (home / "dir.pem").mkdir()
    assert error_of(show("dir.pem")) == "dir.pem: Is a directory"


def test_nothing_to_look_at() -> None:
    assert show().exit_code == 2


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("example.test", "example.test", 443),
        ("example.test:8443", "example.test", 8443),
        ("Example.Test.:8443", "example.test", 8443),
        ("127.0.0.1", "127.0.0.1", 443),
        ("127.0.0.1:1", "127.0.0.1", 1),
        ("::1", "::1", 443),
        ("[::1]", "::1", 443),
        ("[::1]:8443", "::1", 8443),
        ("https://example.test/path?x#y", "example.test", 443),
        ("https://example.test:8443", "example.test", 8443),
        ("bücher.example:444", "xn--bcher-kva.example", 444),
    ],
)
def test_endpoints(text: str, host: str, port: int) -> None:
    assert parse_endpoint(text) == Endpoint(host, port)


@pytest.mark.parametrize("text", ["", ":443", "[::1", "a b:1", "https://", "[x]:1", "a:-1"])
def test_what_is_no_endpoint(text: str) -> None:
    with pytest.raises(ConfigurationError, match="neither a file nor HOST"):
        parse_endpoint(text)


def test_a_terminal_without_unicode(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "chain.pem").write_bytes(to_pem(CHAIN.sent))
    result = CliRunner(charset="ascii").invoke(main, ["cert", "show", "chain.pem"])
    assert result.output.isascii()
    assert "+- certificate -" in result.output


def test_the_width_of_the_terminal(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "chain.pem").write_bytes(to_pem(CHAIN.sent))
    monkeypatch.setenv("COLUMNS", "50")
    assert max(map(len, show("chain.pem").output.splitlines())) == 50
