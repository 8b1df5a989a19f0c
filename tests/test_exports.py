"""The public API is a decision: whatever is added or taken away has to be written down here."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import httpkit
import httpkit.certificates
import httpkit.channels
import httpkit.middleware
import httpkit.testing

PUBLIC = """
    Address App Application BodyTooLarge ClientDisconnected Config ConfigurationError
    DeflateOptions FileBody FormData FormLimits HTTPError HTTPKitError Handler Headers
    InvalidHeader Limits LocalProtocolError Middleware MutableHeaders Next Part ProtocolError
    Query RawStream RemoteProtocolError Request Response Router Server SharedMessage TLSInfo Tap
    URL Upgrade
    UploadedFile WebSocket WebSocketClosed __version__ serve
""".split()

TESTING = """
    AsyncClient AsyncStream AsyncUpgradedStream AsyncWebSocketConnection Client Cookies
    Informational LiveServer Response Stream TooManyRedirects UnexpectedStatusError UpgradedStream
    WebSocketConnection
""".split()

#: What importing the package must not load: programs, test tools, and what is not used yet.
NOT_LOADED = (
    "brotli click cryptography h2 httpkit.cli httpkit.testing http.cookiejar redis wsproto "
    "zstandard"
).split()


def test_the_package() -> None:
    assert sorted(httpkit.__all__) == sorted(PUBLIC)
    for name in PUBLIC:
        assert hasattr(httpkit, name)


def test_the_clients() -> None:
    assert sorted(httpkit.testing.__all__) == sorted(TESTING)
    for name in TESTING:
        assert hasattr(httpkit.testing, name)


def test_the_transport_for_httpx_is_loaded_when_it_is_asked_for() -> None:
    assert "httpx" not in loaded_by("httpkit.testing")
    assert isinstance(httpkit.testing.HTTPXTransport, type)
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        httpkit.testing.Nothing  # noqa: B018
    failure = failure_without(("httpx", "httpx2"), "from httpkit.testing import HTTPXTransport")
    assert "ImportError: HTTPXTransport needs httpx: pip install httpx" in failure


@pytest.mark.parametrize(
    ("module", "name"),
    [("httpkit.channels", "RedisChannels"), ("httpkit.middleware.redis_store", "RedisStore")],
)
def test_what_needs_redis_says_where_it_comes_from(module: str, name: str) -> None:
    failure = failure_without(["redis"], f"from {module} import {name}")
    assert f"Error: {name} needs redis: pip install 'httpkit[redis]'" in failure


def failure_without(modules: Sequence[str], code: str) -> str:
    """What a program says at its end where modules are not installed."""
    missing = "".join(f"sys.modules[{module!r}] = None\n" for module in modules)
    result = subprocess.run(
        [sys.executable, "-c", f"import sys\n{missing}{code}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    return result.stderr


def test_certificates() -> None:
    assert sorted(httpkit.certificates.__all__) == [
        "DevelopmentCertificate",
        "ensure_development_certificate",
    ]


def test_channels() -> None:
    assert sorted(httpkit.channels.__all__) == sorted(
        "ChannelCounters ChannelMessage Channels EventStream Member MemberChange MemoryChannels "
        "RedisChannels ServerSentEvent Subscription Watch long_poll".split()
    )


def test_middleware() -> None:
    assert sorted(httpkit.middleware.__all__) == sorted(
        "CORS CachePolicy CacheStore Compress Conditional MemoryStore ResponseCache StoredResponse "
        "VaryBy cache".split()
    )


def test_the_public_names_are_documented() -> None:
    for name in PUBLIC:
        value = getattr(httpkit, name)
        if isinstance(value, type):
            assert value.__doc__, f"{name} has no docstring"


def loaded_by(module: str) -> list[str]:
    code = f"import sys, {module}; print(*sys.modules)"
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()


def test_importing_loads_what_serving_needs_only() -> None:
    loaded = loaded_by("httpkit")
    assert [name for name in NOT_LOADED if name in loaded] == []


def test_the_command_line_loads_no_x509_unasked() -> None:
    loaded = loaded_by("httpkit.cli")
    assert "click" in loaded
    assert [name for name in loaded if name.startswith("httpkit.certificates")] == []
    assert "cryptography" not in loaded


def test_types_are_shipped() -> None:
    assert Path(httpkit.__file__).with_name("py.typed").is_file()
