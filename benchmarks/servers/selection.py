"""Groups of cases, by what a server has to have for them."""

from collections.abc import Callable

from benchmarks.cases import CASES, Case


def select(wanted: Callable[[Case], bool]) -> tuple[str, ...]:
    """Return the names of the cases that are wanted."""
    return tuple(name for name, case in CASES.items() if wanted(case))


HTTP1 = select(lambda case: case.protocol == "http1" and not case.tls and not case.needs)
#: Without a router, a table of routes is nothing to measure.
BARE = tuple(name for name in HTTP1 if not CASES[name].routes)
HTTP1_TLS = select(lambda case: case.protocol == "http1" and case.tls)
HTTP2 = select(lambda case: case.protocol == "http2")
#: WebSockets that send each message back.
ECHO = select(lambda case: case.generator in ("websocket", "idle"))
FANOUT = select(lambda case: case.generator == "fanout")
CACHE = select(lambda case: case.needs == "cache")
FILES = select(lambda case: case.needs == "files")
