"""The Markdown page, the charts and the lines of the terminal."""

from xml.etree import ElementTree as ET

import pytest
from benchmark_samples import make_results, make_sample

from benchmarks.bars import BARS, judge_all
from benchmarks.report import write_report
from benchmarks.report.charts import CHARTS, draw
from benchmarks.report.markdown import LEGEND, render
from benchmarks.report.svg import Bar, Group, chart_svg
from benchmarks.report.text import FIGURES, bar_line, cell_line, micros, ratio

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def results():
    cpu = {"limit": [5, 6, 7], "httpkit": [10, 12, 11], "granian-rsgi": [20, 20, 20]}
    return make_results(cpu, failures=[("granian-rsgi", "Non-2xx or 3xx responses: 3")])


def texts(svg):
    return [element.text for element in ET.fromstring(svg).iter(f"{SVG}text")]


def test_markdown_shows_medians_spreads_and_failures(results):
    page = render(results, judge_all(results))
    assert "| httpkit | 11.0 (10.0..12.0) | 90,909 (83,333..100,000) | 0.50 | 1.50 | 30 |" in page
    assert "| granian-rsgi | **failed** |" in page
    assert "`Non-2xx or 3xx responses: 3`" in page
    assert (
        "| plaintext | CPU per request | httpkit / limit | **FAIL** | <= 1.80 | 1.83 (1.57..2.00) |"
        " 11.0 / 6.00 µs |"
    ) in page
    assert (
        "| plaintext | CPU per request | httpkit / granian-rsgi | not measured | <= 0.70 |  |  |"
    ) in page
    assert "| CPU | a processor |" in page


def test_every_table_of_the_page_is_regular(results):
    lines = render(results, judge_all(results)).splitlines()
    widths = set()
    for line in [*lines, ""]:
        if line.startswith("|"):
            widths.add(line.count("|"))
        else:
            assert len(widths) <= 1
            widths = set()


@pytest.mark.parametrize(
    ("figures", "marks"),
    [
        ({}, ""),
        ({"server_busy": 0.7}, " †"),
        ({"server_busy": 0.7, "foreign_busy": 0.3}, " ‡"),
        ({"server_busy": 0.5, "foreign_busy": 0.2}, " † ‡"),
    ],
)
def test_markdown_marks_what_one_should_not_trust(figures, marks):
    results = make_results({"httpkit": []})
    results.samples.append(make_sample(**figures))
    assert f"| httpkit{marks} |" in render(results, [])
    assert "†" in LEGEND
    assert "‡" in LEGEND


def test_charts_are_well_formed_and_carry_every_value_as_text(results):
    for chart in (each for each in CHARTS if not each.servers):
        written = texts(draw(chart, results))
        assert written[:3] == [chart.title, written[1], "plaintext"]
        assert chart.better in written[1]
        assert {"limit", "httpkit", "granian-rsgi", "failed"} <= set(written)
    assert "11.0 µs" in texts(draw(CHARTS[0], results))


def test_a_chart_of_some_servers_has_the_cases_of_all_but_the_first():
    (chart,) = (each for each in CHARTS if each.servers)
    results = make_results({"limit": [5], "pieces": [8], "httpkit": [10], "granian-rsgi": [20]})
    assert texts(draw(chart, results))[2:] == [
        *("plaintext", "limit", "5.00 µs", "pieces", "8.00 µs", "httpkit", "10.0 µs")
    ]
    without_limit = make_results({"pieces": [8], "httpkit": [10]})
    assert texts(draw(chart, without_limit))[2] == "plaintext"
    without_pieces = make_results({"limit": [5], "httpkit": [10]})
    assert len(texts(draw(chart, without_pieces))) == 2


def test_bars_are_to_scale_within_their_group():
    groups = [
        Group("a", [Bar("x", "httpkit", "1", 1, 1, 1), Bar("y", "limit", "4", 4, 4, 4)]),
        Group("b", [Bar("z", "somebody", "1000", 1000, 500, 1000)]),
    ]
    root = ET.fromstring(chart_svg("title", "subtitle", groups))
    _, *bars = root.iter(f"{SVG}rect")
    widths = [float(bar.get("width")) for bar in bars]
    assert widths[1] == pytest.approx(4 * widths[0], abs=0.2)
    assert widths[2] == widths[1]
    assert [bar.get("class") for bar in bars] == ["httpkit", "limit", "other"]


def test_nothing_in_a_chart_leaves_its_picture(results):
    root = ET.fromstring(draw(CHARTS[1], results))
    width, height = float(root.get("width")), float(root.get("height"))
    for element in root.iter(f"{SVG}rect"):
        right = float(element.get("x", 0)) + float(element.get("width"))
        bottom = float(element.get("y", 0)) + float(element.get("height"))
        assert right <= width
        assert bottom <= height


def test_chart_text_is_escaped():
    svg = chart_svg('<&"', "s", [Group("<g>", [Bar("a&b", "limit", "<1", 1, 1, 1)])])
    assert {'<&"', "<g>", "a&b", "<1"} <= set(texts(svg))


def test_empty_charts_and_zeroes_are_drawn():
    ET.fromstring(chart_svg("t", "s", []))
    ET.fromstring(chart_svg("t", "s", [Group("g", [Bar("x", "limit", "0", 0.0)])]))


def test_chart_follows_the_color_scheme(results):
    svg = draw(CHARTS[0], results)
    assert "prefers-color-scheme: dark" in svg


def test_report_writes_all_files(results, tmp_path):
    paths = write_report(results, judge_all(results), tmp_path / "deep" / "folder")
    names = {path.name for path in paths}
    assert names == {"results.md", "results.json", *(chart.file for chart in CHARTS)}
    assert all(path.stat().st_size for path in paths)


def test_lines_of_the_terminal(results):
    assert cell_line(make_sample(cpu_us=12.5)).split() == (
        "80,000 req/s 12.5 µs CPU p99 1.50 ms 30 MiB".split()
    )
    assert "None" not in cell_line(make_sample(latency_p99_ms=None))
    lines = [bar_line(verdict) for verdict in judge_all(results)]
    assert (
        "FAIL         plaintext            httpkit / limit <= 1.80: 1.83 (11.0 / 6.00 µs)" in lines
    )
    assert "not measured plaintext            httpkit / granian-rsgi <= 0.70" in lines
    assert "not measured connections-2000     httpkit / httpkit in plaintext <= 1.25" in lines


def test_lines_of_a_throughput_bar():
    results = make_results({})
    for server, rate in (("httpkit", 45.0), ("granian-rsgi", 1500.0)):
        results.samples.append(make_sample(server, "download-h2-tls", requests_per_second=rate))
    lines = [bar_line(verdict) for verdict in judge_all(results)]
    start = "FAIL         download-h2-tls      httpkit / granian-rsgi >= 0.90: 0.030"
    assert f"{start} (45.0 / 1,500 req/s)" in lines


@pytest.fixture
def held():
    """Results of a case in which connections were held, and of one in which they were not."""
    results = make_results({"httpkit": [10]}, cases=["plaintext", "static-slow-readers"])
    for number, growth in ((1, 17.0), (2, 18.0), (3, 30.0)):
        results.samples.append(
            make_sample(
                "httpkit-static",
                "static-slow-readers",
                number,
                None,
                requests=50,
                growth_mib=growth,
                server_busy=0.01,
                latency_p50_ms=None,
                latency_p99_ms=None,
            )
        )
    return results


def test_where_connections_were_held_the_table_says_what_they_take(held):
    held.servers.append("httpkit-static")
    page = render(held, judge_all(held))
    assert "| server | connections | growth MiB | KiB/connection | RSS MiB | peak MiB |" in page
    assert "| httpkit-static | 50 | 18.0 (17.0..30.0) | 368.6 | 30 | 31 |" in page
    assert "| server | CPU µs/request | requests/s | p50 ms | p99 ms | RSS MiB | peak MiB |" in page


def test_a_bar_without_a_peer_is_written_with_its_unit(held):
    verdicts = [verdict for verdict in judge_all(held) if not verdict.bar.peer]
    assert [bar_line(verdict) for verdict in verdicts] == [
        "FAIL         static-slow-readers  httpkit-static <= 16.0 MiB: 18.0 MiB"
    ]
    assert (
        "| static-slow-readers | memory growth | httpkit-static | **FAIL** | <= 16.0 MiB "
        "| 18.0 MiB (17.0 MiB..30.0 MiB) |  |"
    ) in render(held, verdicts)


def test_a_line_of_held_connections(held):
    assert cell_line(held.samples[-1]) == "50 connections: 30.0 more of    30 MiB"


def test_a_case_that_failed_everywhere_has_all_columns():
    page = render(make_results({"httpkit": []}, failures=[("httpkit", "dead")]), [])
    assert "p99 ms | connections | growth MiB |" in page
    assert "| httpkit | **failed** |" in page


def test_every_kind_of_bar_can_be_written():
    for bar in BARS:
        write, unit = FIGURES[bar.kind.metric]
        assert write(1.0)
        assert unit


@pytest.mark.parametrize(("value", "text"), [(0.0319, "0.032"), (0.03, "0.030"), (0.996, "1.00")])
def test_small_ratios_have_a_further_decimal(value, text):
    assert ratio(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.823, "0.82"), (9.994, "9.99"), (123.4, "123.4"), (26250.0, "26,250")]
)
def test_microseconds(value, text):
    assert micros(value) == text
