"""What workers say."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from httpkit.server.report import Draining, Failed, Ready, Reporter, ReportReader, Spent
from httpkit.types import Address

REPORTS = [
    Ready(7, [Address("::1", 80)], ["https"], {"HTTP/1.1": "native"}, "uvloop"),
    Spent(),
    Draining(),
    Failed("ä\n\ud83d b"),
]


def sent(*reports) -> bytes:
    reading, writing = os.pipe()
    for report in reports:
        Reporter(writing).send(report)
    os.close(writing)
    with open(reading, "rb") as pipe:
        return pipe.read()


@given(st.integers(1, 200))
def test_reports_come_out_as_they_went_in(size: int) -> None:
    """However the pipe cuts them."""
    data = sent(*REPORTS[:3], Failed("no\nluck"))
    reader = ReportReader()
    found = []
    for start in range(0, len(data), size):
        found += reader.receive_data(data[start : start + size])
    assert found == [*REPORTS[:3], Failed("no\nluck")]
    assert found[0].addresses[0].port == 80


def test_a_long_reason_is_cut() -> None:
    [report] = ReportReader().receive_data(sent(Failed("x" * 10_000)))
    assert report == Failed("x" * 500)


@given(st.binary(max_size=50))
def test_what_is_no_report_is_left_out(noise: bytes) -> None:
    reader = ReportReader()
    found = reader.receive_data(noise + b"\n" + sent(Draining()))
    assert found[-1] == Draining()


def test_a_line_without_end_is_not_kept() -> None:
    reader = ReportReader()
    assert reader.receive_data(b"x" * 70_000) == []
    assert reader._rest == b""


def test_nobody_listens() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    Reporter(writing).send(Draining())
    os.close(writing)


@pytest.mark.parametrize("text", ["\ud83d", "\x00"])
def test_reasons_that_json_cannot_carry_as_they_are(text: str) -> None:
    [report] = ReportReader().receive_data(sent(Failed(f"a {text} b")))
    assert report.reason.startswith("a ")
