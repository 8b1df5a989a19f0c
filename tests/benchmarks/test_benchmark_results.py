"""Medians, spreads and bars."""

import json

import pytest
from benchmark_samples import make_results, make_sample

from benchmarks.bars import BARS, GROWTH, THROUGHPUT, Bar, judge, judge_all
from benchmarks.cases import CASES
from benchmarks.report import to_json
from benchmarks.results import Spread
from benchmarks.servers.registry import SERVERS

BAR = Bar("plaintext", "httpkit", 0.70, "granian-rsgi")


@pytest.mark.parametrize(
    ("values", "spread"),
    [
        ([3.0], Spread(3.0, 3.0, 3.0)),
        ([9.0, 1.0, 2.0], Spread(2.0, 1.0, 9.0)),
        ([4.0, 1.0, 2.0, 8.0], Spread(3.0, 1.0, 8.0)),
    ],
)
def test_spread(values, spread):
    assert Spread.of(values) == spread


def test_a_cell_with_one_failed_round_has_no_figure():
    results = make_results({"httpkit": [10, 12]}, failures=[("httpkit", "timeouts")])
    assert results.spread("plaintext", "httpkit", "cpu_us") is None
    assert [failure.reason for failure in results.failed("plaintext", "httpkit")] == ["timeouts"]


def test_a_figure_that_was_never_measured_is_none():
    results = make_results({"httpkit": [10]})
    assert results.spread("plaintext", "limit", "cpu_us") is None
    assert results.spread("json", "httpkit", "cpu_us") is None


def test_a_latency_that_is_unknown_is_none():
    results = make_results({})
    results.samples.append(make_sample(latency_p99_ms=None))
    assert results.spread("plaintext", "httpkit", "latency_p99_ms") is None
    assert results.spread("plaintext", "httpkit", "latency_p50_ms") == Spread(0.5, 0.5, 0.5)


def test_bar_is_the_ratio_of_the_medians():
    results = make_results({"httpkit": [10, 30, 14], "granian-rsgi": [20, 24, 10]})
    verdict = judge(BAR, results)
    assert (verdict.server_figure, verdict.peer_figure) == (14, 20)
    assert verdict.measured == Spread(0.70, 0.5, 1.4)
    assert verdict.passed is True


@pytest.mark.parametrize(("cpu", "passed"), [(13.9, True), (14.0, True), (14.1, False)])
def test_bar_is_met_up_to_its_limit(cpu, passed):
    results = make_results({"httpkit": [cpu], "granian-rsgi": [20]})
    assert judge(BAR, results).passed is passed


@pytest.mark.parametrize(("rate", "passed"), [(89.9, False), (90.0, True), (200.0, True)])
def test_bar_of_throughput_is_met_from_its_limit_on(rate, passed):
    results = make_results({})
    results.samples += [
        make_sample("httpkit", cpu_us=99, requests_per_second=rate),
        make_sample("granian-rsgi", cpu_us=1, requests_per_second=100.0),
    ]
    bar = Bar("plaintext", "httpkit", 0.90, "granian-rsgi", kind=THROUGHPUT)
    verdict = judge(bar, results)
    assert (verdict.server_figure, verdict.peer_figure) == (rate, 100.0)
    assert verdict.passed is passed


@pytest.mark.parametrize(("growth", "passed"), [(0.0, True), (16.0, True), (16.1, False)])
def test_bar_without_a_peer_is_a_limit_for_the_figure_itself(growth, passed):
    results = make_results({})
    for number, more in ((1, 0.0), (2, growth), (3, 99.0)):
        results.samples.append(make_sample("httpkit", number=number, cpu_us=None, growth_mib=more))
    verdict = judge(Bar("plaintext", "httpkit", 16.0, kind=GROWTH), results)
    assert verdict.measured == Spread(growth, 0.0, 99.0)
    assert verdict.passed is passed
    assert judge(Bar("json", "httpkit", 16.0, kind=GROWTH), results).passed is None


def test_a_peer_that_grew_by_nothing_is_no_measure():
    results = make_results({})
    for server, growth in (("httpkit", 3.0), ("uvicorn-httptools", 0.0)):
        results.samples.append(make_sample(server, growth_mib=growth))
    bar = Bar("plaintext", "httpkit", 0.6, "uvicorn-httptools", kind=GROWTH)
    assert judge(bar, results).passed is None


def test_what_connections_take_is_shared_out_among_them():
    sample = make_sample(requests=10_000, growth_mib=125.0)
    assert (sample.connections, sample.growth_kib_each) == (10_000, 12.8)
    assert (make_sample().connections, make_sample().growth_kib_each) == (None, None)


def test_bar_between_two_cases_of_one_server():
    results = make_results({"httpkit": [20, 10]})
    results.samples += [make_sample("httpkit", "post", number, 24) for number in (1, 2)]
    verdict = judge(Bar("post", "httpkit", 1.6, "httpkit", "plaintext"), results)
    assert (verdict.server_figure, verdict.peer_figure) == (24, 15)
    assert verdict.measured == Spread(1.6, 1.2, 2.4)
    assert verdict.passed is True
    assert judge(Bar("post", "httpkit", 1.6, "httpkit", "json"), results).passed is None


def test_bar_without_a_figure_is_neither_met_nor_missed():
    for results in (
        make_results({"httpkit": [10]}),
        make_results({"httpkit": [1], "granian-rsgi": [2]}, failures=[("granian-rsgi", "dead")]),
    ):
        verdict = judge(BAR, results)
        assert verdict.passed is None
        assert verdict.measured is None


def test_every_bar_names_a_case_and_servers_that_are_measured_in_it():
    for bar in BARS:
        assert bar.case in CASES
        assert bar.case in SERVERS[bar.server].only
        if bar.peer:
            assert bar.compared_with in SERVERS[bar.peer].only
        else:
            assert bar.kind is GROWTH


def test_json_holds_every_round_and_every_bar():
    results = make_results({"httpkit": [10, 11, 12], "granian-rsgi": [20, 20, 20]})
    written = json.loads(to_json(results, judge_all(results)))
    assert [sample["cpu_us"] for sample in written["samples"][:3]] == [10, 11, 12]
    assert written["facts"] == {"CPU": "a processor"}
    first, *others = written["bars"]
    assert (first["measured"], first["passed"]) == (0.55, True)
    assert (first["metric"], first["relation"]) == ("cpu_us", "<=")
    (download,) = (bar for bar in others if bar["case"] == "download-h2-tls")
    assert (download["metric"], download["relation"]) == ("requests_per_second", ">=")
    assert len(others) == len(BARS) - 1
