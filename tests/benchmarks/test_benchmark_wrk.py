"""What wrk prints becomes figures, and anything that went wrong an error."""

import pytest

from benchmarks.load import LoadError, LoadResult, wrk

GOOD = """\
Running 5s test @ http://127.0.0.1:8000/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.71ms    0.91ms  31.30ms   93.51%
    Req/Sec    37.79k     2.35k   41.10k    80.00%
  Latency Distribution
     50%  873.00us
     75%    1.80ms
     90%    2.31ms
     99%    1.25s
  188123 requests in 5.01s, 26.02MB read
Requests/sec:  37550.12
Transfer/sec:      5.19MB
"""


def test_parses_a_good_run():
    result = wrk.parse(GOOD)
    assert result == LoadResult(188123, 37550.12, 0.873, 1250.0)


def test_latencies_of_pipelined_requests_mean_nothing():
    assert wrk.parse(GOOD, timed=False) == LoadResult(188123, 37550.12, None, None)


@pytest.mark.parametrize(
    ("shown", "milliseconds"),
    [("12.00us", 0.012), ("3.50ms", 3.5), ("2.00s", 2000.0), ("1.50m", 90_000.0)],
)
def test_parses_every_unit_of_time(shown, milliseconds):
    output = GOOD.replace("873.00us", shown)
    assert wrk.parse(output).latency_p50_ms == pytest.approx(milliseconds)


@pytest.mark.parametrize(
    "line",
    [
        "  Socket errors: connect 0, read 3, write 0, timeout 0",
        "  Socket errors: connect 0, read 0, write 0, timeout 12",
        "  Non-2xx or 3xx responses: 17",
    ],
)
def test_errors_are_never_a_number(line):
    output = GOOD.replace("Requests/sec", f"{line}\nRequests/sec")
    with pytest.raises(LoadError, match=line.strip()):
        wrk.parse(output)


def test_both_kinds_of_errors_are_named():
    errors = "  Socket errors: connect 1, read 0, write 0, timeout 0\n  Non-2xx or 3xx responses: 2"
    with pytest.raises(LoadError, match=r"connect 1.*; Non-2xx or 3xx responses: 2"):
        wrk.parse(GOOD.replace("Requests/sec", f"{errors}\nRequests/sec"))


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("", "unknown"),
        ("unable to connect", "unknown"),
        (GOOD.replace("188123 requests", "0 requests"), "no request"),
        (GOOD.replace("99%", "98%"), "99% latency"),
    ],
)
def test_unknown_output_is_an_error(output, reason):
    with pytest.raises(LoadError, match=reason):
        wrk.parse(output)


def test_messages_are_written_with_their_length(tmp_path):
    path = tmp_path / "messages"
    wrk.write_messages(path, [b"GET /\r\n\r\n", b"\x00\n"])
    assert path.read_bytes() == b"9\nGET /\r\n\r\n2\n\x00\n"


def test_command_hands_the_messages_to_the_script(tmp_path):
    command = wrk.command("http://127.0.0.1:1/", 64, 5, tmp_path / "messages")
    assert command[:8] == ["wrk", "-t", "1", "-c", "64", "-d", "5s", "--latency"]
    assert command[-3:] == ["http://127.0.0.1:1/", "--", str(tmp_path / "messages")]


@pytest.mark.parametrize(("seconds", "asked"), [(0.3, "1s"), (1, "1s"), (1.5, "2s")])
def test_wrk_runs_for_whole_seconds(tmp_path, seconds, asked):
    assert wrk.command("http://127.0.0.1:1/", 64, seconds, tmp_path)[6] == asked
