"""The cases of HTTP/2."""

from benchmarks.apps.extras import BLOCK, BLOCKS
from benchmarks.cases.model import OCTETS, Answer, Case
from benchmarks.cases.web import HELLO, INDEX
from benchmarks.messages import Request


def http2_case(connections: int, streams: int, *, tls: bool) -> Case:
    """Return the case of a short text over HTTP/2."""
    plural = "" if connections == 1 else "s"
    how = "over TLS" if tls else "by prior knowledge"
    return Case(
        f"{'h2-tls' if tls else 'h2c'}-{connections}x{streams}",
        f"GET / over HTTP/2 {how}, {connections} connection{plural} with {streams} streams each",
        lambda: [INDEX],
        HELLO,
        connections=connections,
        depth=streams,
        protocol="http2",
        tls=tls,
        generator="h2load",
    )


HTTP2_CASES = (
    http2_case(16, 32, tls=False),
    http2_case(1, 100, tls=False),
    http2_case(16, 32, tls=True),
    http2_case(1, 100, tls=True),
    Case(
        "download-h2-tls",
        "GET /download answers 10 MiB over HTTP/2 and TLS, one after another",
        lambda: [Request("GET", "/download")],
        Answer(OCTETS, BLOCK, BLOCKS),
        connections=1,
        protocol="http2",
        tls=True,
        generator="h2load",
    ),
)
