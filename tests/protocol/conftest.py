"""Everything here runs over both parsers: `parser` names the one behind the engine."""

import pytest

from httpkit.protocol.http1.memo import HeadMemo
from httpkit.protocol.http1.native import HttptoolsParser


@pytest.fixture(params=["native", "reference"])
def parser(request):
    """One of the two parsers of the engine."""
    return request.param


@pytest.fixture(autouse=True)
def _cold_memo(monkeypatch):
    """No test sees what another has taught the fast lane; within a test it gets warm."""
    monkeypatch.setattr(HttptoolsParser, "memo", HeadMemo())
