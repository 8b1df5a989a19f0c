"""The choice of an event loop."""

import pytest

from httpkit.errors import ConfigurationError
from httpkit.transport import loop as loop_module
from httpkit.transport.loop import new_event_loop


def test_choices(monkeypatch) -> None:
    names = {}
    for choice in ("auto", "uvloop", "asyncio"):
        loop = new_event_loop(choice)
        names[choice] = type(loop).__module__.split(".")[0]
        loop.close()
    assert names == {"auto": "uvloop", "uvloop": "uvloop", "asyncio": "asyncio"}
    monkeypatch.setattr(loop_module, "HAS_UVLOOP", False)
    loop = new_event_loop("auto")
    assert type(loop).__module__.startswith("asyncio")
    loop.close()
    with pytest.raises(ConfigurationError, match="uvloop is not installed"):
        new_event_loop("uvloop")
