"""What h2load prints becomes figures, and anything that went wrong an error."""

import shutil
import subprocess

import pytest
from benchmark_peers import make_load

from benchmarks.apps.httpkit_app import app
from benchmarks.cases import CASES
from benchmarks.endpoint import HOST, Endpoint
from benchmarks.load import GENERATORS, LoadError, LoadResult, h2load, result
from httpkit.testing import LiveServer

CASE = CASES["h2c-16x32"]
GOOD = """\
starting benchmark...
spawning thread #0: 16 total client(s). Timing-based test with 0s of warm-up time and 1s of main \
duration for measurements.
progress: 100% of clients started
Application protocol: h2c
Main benchmark duration is over for thread #0. Stopping all clients.
Stopped all clients for thread #0

finished in 1.00s, 133344.50 req/s, 5.09MB/s
requests: 133344 total, 133856 started, 133344 done, 133344 succeeded, \
0 failed, 0 errored, 0 timeout
status codes: 133360 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 5.09MB (5335872) total, 1.15MB (1201232) headers (space savings 91.74%), \
1.65MB (1733472) data
                     min         max         mean         sd        +/- sd
time for request:     1.66ms      7.68ms      3.82ms       903us    92.51%
time for connect:       56us       476us       264us       143us    56.25%
time to 1st byte:     2.48ms      7.70ms      5.14ms      1.65ms    62.50%
req/s           :    4446.07     8894.12     8331.50     1510.32    87.50%
"""


def test_parses_a_good_run():
    assert h2load.parse(GOOD, "h2c") == LoadResult(133344, 133344.5, None, None)
    tls = GOOD.replace("protocol: h2c", "protocol: h2")
    assert h2load.parse(tls, "h2").requests == 133344


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("133344 succeeded, 0 failed", "133343 succeeded, 1 failed", "1 failed"),
        ("133344 succeeded", "133343 succeeded", "133344 done, 133343 succeeded"),
        ("0 errored", "36 errored", "36 errored"),
        ("0 timeout", "2 timeout", "2 timeout"),
        ("133360 2xx", "133343 2xx", "133343 2xx"),
        ("0 3xx", "1 3xx", "1 3xx"),
        ("0 4xx", "7 4xx", "7 4xx"),
        ("0 5xx", "8 5xx", "8 5xx"),
        ("133344 done, 133344 succeeded", "0 done, 0 succeeded", "no request was answered"),
        ("protocol: h2c", "protocol: http/1.1", "http/1.1"),
        ("Application protocol: h2c", "", "protocol"),
        ("req/s           :    4446.07", "req/s           :       0.00", "carried no request"),
        ("finished in", "ended in", "unknown"),
        ("requests: ", "queries: ", "unknown"),
        ("status codes: ", "codes: ", "unknown"),
        ("req/s           :", "req/s", "unknown"),
        (GOOD, "", "unknown"),
    ],
)
def test_anything_else_is_an_error(old, new, reason):
    assert old in GOOD
    with pytest.raises(LoadError, match=reason):
        h2load.parse(GOOD.replace(old, new), "h2c")


@pytest.mark.parametrize(("protocol", "expected"), [("h2c", "h2"), ("h2", "h2c")])
def test_the_wrong_kind_of_http2_is_an_error(protocol, expected):
    with pytest.raises(LoadError, match=f"not {expected}"):
        h2load.parse(GOOD.replace("protocol: h2c", f"protocol: {protocol}"), expected)


def test_command_names_connections_streams_and_one_cipher(tmp_path):
    command = h2load.command(CASE, Endpoint(8123), 5)
    assert command[:9] == ["h2load", "-t", "1", "-D", "5000ms", "-c", "16", "-m", "32"]
    assert command[-1] == "http://127.0.0.1:8123/"
    download = h2load.command(CASES["download-h2-tls"], Endpoint(8123, tmp_path), 5)
    assert download[-1] == "https://127.0.0.1:8123/download"
    assert "--npn-list=h2" in download
    assert "--tls13-ciphers=TLS_AES_256_GCM_SHA384" in download


@pytest.mark.parametrize(("code", "reason"), [(1, "h2load ended with 1: no way"), (0, "unknown")])
def test_a_program_that_fails_is_an_error(monkeypatch, code, reason):
    def run(command, **options):
        return subprocess.CompletedProcess(command, code, stdout="", stderr="no way\n")

    monkeypatch.setattr(result.subprocess, "run", run)
    with pytest.raises(LoadError, match=reason):
        h2load.run(make_load(CASE, Endpoint(1)))


def test_a_program_that_hangs_is_an_error(monkeypatch):
    def run(command, timeout, **options):
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(result.subprocess, "run", run)
    with pytest.raises(LoadError, match="h2load did not end within 25 s"):
        h2load.run(make_load(CASE, Endpoint(1), seconds=5))


@pytest.mark.system
@pytest.mark.skipif(shutil.which("h2load") is None, reason="needs h2load")
def test_the_real_h2load_is_understood():
    assert h2load.version().startswith("nghttp2/")
    with LiveServer(app, host=HOST) as server:
        loaded = GENERATORS["h2load"].run(make_load(CASE, Endpoint(server.port), seconds=0.5))
    assert loaded.requests > 0
    with pytest.raises(LoadError):
        GENERATORS["h2load"].run(make_load(CASE, Endpoint(server.port), seconds=0.5))
