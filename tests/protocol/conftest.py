"""Everything here runs over both parsers: `parser` names the one behind the engine."""

import pytest


@pytest.fixture(params=["native", "reference"])
def parser(request):
    """One of the two parsers of the engine."""
    return request.param
