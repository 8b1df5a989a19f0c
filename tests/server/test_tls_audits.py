"""Programs that look for weak TLS, and clients that other people wrote."""

import json
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

from httpkit.response import Response

from .certificates import Authority
from .conftest import Live
from .live import LiveServer
from .tls import connect, options


@pytest.fixture
def loop() -> str:
    """What these look at is OpenSSL's, the same on both loops."""
    return "uvloop"


@pytest.fixture
def engine() -> str:
    """The same for both parsers."""
    return "native"


@pytest.fixture
def server(live: Live, authority: Authority) -> LiveServer:
    identity = authority.server("localhost", days=90)
    return live(lambda request: Response(request.http_version), **options(authority, identity))


def run(*command: str, data: bytes = b"") -> str:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    result = subprocess.run(command, input=data, capture_output=True, timeout=170, check=False)
    return (result.stdout + result.stderr).decode()


def test_httpx(server: LiveServer, authority: Authority) -> None:
    context = authority.client_context()
    with httpx.Client(verify=context, trust_env=False) as client:
        for _ in range(2):
            assert client.get(f"https://localhost:{server.address.port}/").text == "1.1"
    assert server.server.counters.connections_opened == 1


@pytest.mark.system
def test_curl_chooses_by_alpn(server: LiveServer, authority: Authority) -> None:
    url = f"https://localhost:{server.address.port}/"
    resolve = ("--resolve", f"localhost:{server.address.port}:127.0.0.1", "--cacert", authority.ca)
    assert run("curl", "-s", *resolve, "--http1.1", url) == "1.1"
    assert run("curl", "-s", *resolve, "--http2", url) == "2"
    assert "This port speaks TLS" in run("curl", "-s", f"http://{server.address}/")


@pytest.mark.system
def test_openssl_cannot_renegotiate(server: LiveServer, authority: Authority) -> None:
    """CVE-2009-3555, CVE-2011-1473; TLS 1.3 has none."""
    command = ("openssl", "s_client", "-connect", str(server.address), "-tls1_2")
    assert "no renegotiation" in run(*command, data=b"R\n")
    assert connect(server, authority.client_context(), "localhost").get().status == 200


@pytest.mark.system
def test_sslscan(server: LiveServer) -> None:
    output = run("sslscan", "--no-colour", str(server.address))
    for version in ("SSLv2", "SSLv3", "TLSv1.0", "TLSv1.1"):
        assert f"{version}     disabled" in output or f"{version}   disabled" in output
    assert "Session renegotiation not supported" in output
    suites = {
        line.split()[4] for line in output.splitlines() if line.startswith(("Accept", "Prefer"))
    }
    assert suites == {
        "TLS_AES_256_GCM_SHA384",
        "TLS_CHACHA20_POLY1305_SHA256",
        "TLS_AES_128_GCM_SHA256",
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
    }


@pytest.mark.system
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_testssl_finds_nothing_above_low(server: LiveServer, tmp_path: Path) -> None:
    """All of it but the certificate, which is the tests' own, and the fields of the answer."""
    report = tmp_path / "report.json"
    output = run(
        *("testssl", "--quiet", "--color", "0", "--warnings", "off", "--jsonfile", str(report)),
        *("--protocols", "--std", "--server-preference", "--fs", "--vulnerable"),
        f"localhost:{server.address.port}",
    )
    assert report.exists(), output
    findings = json.loads(report.read_text())
    bad = [
        f"{each['id']}: {each['severity']}: {each['finding']}"
        for each in findings
        if each["severity"] in ("MEDIUM", "HIGH", "CRITICAL", "FATAL")
    ]
    assert bad == []
    by_id = {each["id"]: each["finding"] for each in findings}
    assert by_id["TLS1_2"].startswith("offered")
    assert by_id["TLS1_3"].startswith("offered")
