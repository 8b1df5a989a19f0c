"""HTTP/1.1 (RFC 9112): one state machine, two parsers behind it.

`choose_parser` picks the parser: `native` (httptools) or `reference` (h11).
"""

from typing import Literal

from httpkit.errors import ConfigurationError
from httpkit.limits import Limits
from httpkit.protocol.http1.engine import HTTP1Engine
from httpkit.protocol.http1.reference import H11Parser
from httpkit.protocol.http1.serialize import Preamble

try:
    from httpkit.protocol.http1.native import HttptoolsParser
except ImportError:  # pragma: no cover - the extra `fast` is not installed
    HttptoolsParser = None  # type: ignore[assignment,misc]

__all__ = ["HTTP1Choice", "HTTP1Engine", "Preamble", "choose_parser", "make_engine"]

HTTP1Choice = Literal["auto", "native", "reference"]


def choose_parser(choice: HTTP1Choice) -> type[HttptoolsParser] | type[H11Parser]:
    """The parser class for a choice; `auto` takes native where it is installed.

    Raises:
        ConfigurationError: native is wanted but httptools is not installed.
    """
    if choice == "reference":
        return H11Parser
    if HttptoolsParser is not None:
        return HttptoolsParser
    if choice == "native":
        raise ConfigurationError(
            'the native HTTP/1.1 engine needs httptools: pip install "httpkit[fast]", '
            "or use --http1 reference"
        )
    return H11Parser


def make_engine(choice: HTTP1Choice, limits: Limits, preamble: Preamble) -> HTTP1Engine:
    """An engine for one connection."""
    return HTTP1Engine(choose_parser(choice)(), limits, preamble)
