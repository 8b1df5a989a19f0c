"""`httpkit run` with TLS as a process: options, the banner, signals, workers."""

import http.client
import os
import ssl
from pathlib import Path
from signal import SIGHUP
from typing import Any

import pytest

from tests.server.certificates import Authority

from .conftest import APP, Write

HOST = "localhost"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def run(start_httpkit: Any, tmp_path: Path, write_module: Write, authority: Authority) -> Any:
    """Serve with a certificate that is named `old`, on a free port."""
    authority.save(authority.server("old", HOST), "site")

    def start(*arguments: str, **options: Any) -> Any:
        write_module("site_of_tls", APP)
        target = ("run", "site_of_tls:app", "--app-dir", str(tmp_path), "--port", "0")
        files = ("--tls-cert", f"{tmp_path}/site.pem", "--tls-key", f"{tmp_path}/site.key")
        return start_httpkit(*target, *files, *arguments, **options)

    return start


def addresses_of(process: Any) -> list[tuple[str, str, int]]:
    """Scheme, host and port of each line of the banner."""
    process.wait_for_url()
    found = []
    for word in process.errors.split():
        scheme, separator, address = word.partition("://")
        if separator and scheme in ("http", "https"):
            host, _, port = address.rpartition(":")
            found.append((scheme, host, int(port)))
    return found


def common_name(address: tuple[str, str, int], authority: Authority) -> str:
    """Of the certificate of a server that answers."""
    scheme, host, port = address
    assert scheme == "https"
    context = authority.client_context()
    context.check_hostname = False
    connection = http.client.HTTPSConnection(host, port, timeout=30, context=context)
    try:
        connection.connect()
        assert isinstance(connection.sock, ssl.SSLSocket)
        certificate = connection.sock.getpeercert()
        assert certificate is not None
        connection.request("GET", "/")
        assert connection.getresponse().read() == b"Hello"
    finally:
        connection.close()
    return str(dict(pair for [pair] in certificate["subject"])["commonName"])


def test_tls_on_the_port(run: Any, authority: Authority) -> None:
    process = run()
    [address] = addresses_of(process)
    assert common_name(address, authority) == "old"
    assert process.stop() == 0


def test_a_port_that_redirects(run: Any, authority: Authority) -> None:
    process = run("--tls", "--redirect-http", "0")
    secure, plain = addresses_of(process)
    assert common_name(secure, authority) == "old"
    scheme, host, port = plain
    assert scheme == "http"
    connection = http.client.HTTPConnection(host, port, timeout=30)
    connection.request("POST", "/path", headers={"Host": "a.example"})
    answer = connection.getresponse()
    assert answer.status == 308
    assert answer.headers["location"] == f"https://a.example:{secure[2]}/path"
    connection.close()
    assert process.stop() == 0


def test_options_of_the_environment(
    start_httpkit: Any, tmp_path: Path, write_module: Write, authority: Authority
) -> None:
    authority.save(authority.server("old", HOST), "site")
    authority.save(authority.server("two", "two.example"), "two")
    write_module("site_of_tls", APP)
    environ = {
        **os.environ,
        "HTTPKIT_TLS_CERT": f"{tmp_path}/site.pem,{tmp_path}/two.pem",
        "HTTPKIT_TLS_KEY": f"{tmp_path}/site.key,{tmp_path}/two.key",
        "HTTPKIT_TLS_PORT": "0",
    }
    process = start_httpkit(
        "run", "site_of_tls:app", "--app-dir", str(tmp_path), "--port", "0", env=environ
    )
    plain, secure = addresses_of(process)
    assert plain[0] == "http"
    assert common_name(secure, authority) == "old"
    assert process.stop() == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_sighup_takes_new_certificates(run: Any, authority: Authority, workers: int) -> None:
    """One process reads them anew; workers are replaced by such as read them when they start."""
    process = run("--workers", str(workers))
    address = addresses_of(process)[0]
    assert common_name(address, authority) == "old"
    authority.save(authority.server("new", HOST), "site")
    process.signal(SIGHUP)
    if workers == 1:
        process.wait_for(lambda: "certificates are read anew\n" in process.errors, "the reload")
    process.wait_for(lambda: common_name(address, authority) == "new", "the new certificate")
    assert process.stop() == 0
    assert "Traceback" not in process.errors


def test_a_certificate_that_cannot_be_used(run: Any, tmp_path: Path) -> None:
    process = run()
    process.stop()
    (tmp_path / "site.key").unlink()
    process = run()
    assert process.wait() == 1
    assert process.errors == (
        f"httpkit: error: tls_key {tmp_path}/site.key: No such file or directory\n"
    )
