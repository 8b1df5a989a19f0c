"""The bars: what httpkit may take, or has to give, compared with a peer.

A bar is a ratio of two medians of one run, so it means the same on every machine, or a limit for
memory, which is the same on every machine anyway. To set a bar, add a line to ``BARS``; to compare
another figure, add a :class:`Kind`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.results import Results, Spread


@dataclass(frozen=True, slots=True)
class Kind:
    """Which figure of a sample is compared, and whether more of it is better."""

    metric: str
    title: str
    more_is_better: bool = False

    @property
    def relation(self) -> str:
        """Return how the ratio has to stand to the limit."""
        return ">=" if self.more_is_better else "<="


CPU = Kind("cpu_us", "CPU per request")
THROUGHPUT = Kind("requests_per_second", "throughput", more_is_better=True)
GROWTH = Kind("growth_mib", "memory growth")


@dataclass(frozen=True, slots=True)
class Bar:
    """In this case, the server's figure is at most (or at least) ``limit`` times the peer's.

    The peer's is that of the same case, or of ``peer_case``: the peer may be the server itself.
    Without a peer, the limit is one for the figure itself.
    """

    case: str
    server: str
    limit: float
    peer: str = ""
    peer_case: str = ""
    kind: Kind = CPU

    @property
    def compared_with(self) -> str:
        """Return the case of the peer."""
        return self.peer_case or self.case

    @property
    def pair(self) -> str:
        """Return who is compared with whom, for people."""
        if not self.peer:
            return self.server
        elsewhere = f" in {self.peer_case}" if self.peer_case else ""
        return f"{self.server} / {self.peer}{elsewhere}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A bar with what was measured: the ratio, or the figure itself if there is no peer.

    Everything is None if one of the figures is missing.
    """

    bar: Bar
    server_figure: float | None
    peer_figure: float | None
    measured: Spread | None

    @property
    def passed(self) -> bool | None:
        """Tell whether the bar is met; None means that it was not measured."""
        if self.measured is None:
            return None
        if self.bar.kind.more_is_better:
            return self.measured.median >= self.bar.limit
        return self.measured.median <= self.bar.limit


BARS = (
    Bar("plaintext", "httpkit", 0.70, "granian-rsgi"),
    Bar("plaintext", "httpkit", 0.40, "uvicorn-httptools"),
    Bar("plaintext", "httpkit", 1.80, "limit"),
    Bar("plaintext", "httpkit-access-log", 1.15, "httpkit"),
    Bar("plaintext", "httpkit-reference", 0.75, "uvicorn-h11"),
    Bar("plaintext", "httpkit-asgi", 0.60, "uvicorn-httptools"),
    Bar("plaintext", "httpkit-asgi", 0.95, "granian-asgi"),
    Bar("plaintext", "httpkit-starlette", 0.75, "uvicorn-starlette"),
    Bar("plaintext", "httpkit-starlette", 1.10, "granian-starlette"),
    Bar("json", "httpkit", 0.30, "uvicorn-starlette"),
    Bar("path", "httpkit", 0.30, "uvicorn-starlette"),
    Bar("browser", "httpkit", 0.75, "granian-rsgi"),
    Bar("browser", "httpkit", 0.45, "uvicorn-httptools"),
    Bar("pipelining", "httpkit", 0.30, "granian-rsgi"),
    Bar("post", "httpkit", 0.55, "uvicorn-httptools"),
    Bar("routes-1000", "httpkit", 1.15, "httpkit", "routes-100"),
    Bar("connections-2000", "httpkit", 1.25, "httpkit", "plaintext"),
    Bar("cache-hit", "httpkit", 1.20, "httpkit", "plaintext"),
    Bar("http1-tls", "httpkit", 0.80, "granian-rsgi"),
    Bar("http1-tls", "httpkit", 1.60, "limit"),
    Bar("handshake", "httpkit", 1.25, "granian-rsgi"),
    Bar("h2c-16x32", "httpkit", 0.50, "granian-rsgi"),
    Bar("h2c-16x32", "httpkit", 0.03, "hypercorn"),
    Bar("h2c-16x32", "httpkit-reference", 0.50, "hypercorn"),
    Bar("h2c-16x32", "httpkit-asgi", 0.60, "granian-asgi"),
    Bar("h2c-1x100", "httpkit", 0.50, "granian-rsgi"),
    Bar("h2-tls-16x32", "httpkit", 0.60, "granian-rsgi"),
    Bar("h2-tls-1x100", "httpkit", 0.60, "granian-rsgi"),
    Bar("download-h2-tls", "httpkit", 0.90, "granian-rsgi", kind=THROUGHPUT),
    Bar("ws-echo-32", "httpkit", 0.95, "aiohttp"),
    Bar("ws-echo-32", "httpkit", 0.55, "uvicorn-httptools"),
    Bar("ws-echo-32", "httpkit", 0.40, "granian-rsgi"),
    Bar("ws-echo-32", "httpkit-asgi", 0.80, "uvicorn-httptools"),
    Bar("ws-echo-16-in-flight", "httpkit", 0.50, "aiohttp"),
    Bar("ws-echo-16-in-flight", "httpkit", 0.40, "uvicorn-httptools"),
    Bar("ws-echo-4k", "httpkit", 1.00, "aiohttp"),
    Bar("ws-echo-64k", "httpkit", 1.00, "aiohttp"),
    Bar("ws-fanout-1000", "httpkit", 0.33, "uvicorn-starlette"),
    Bar("ws-idle-memory", "httpkit", 0.60, "uvicorn-httptools", kind=GROWTH),
    Bar("static-10k", "httpkit-static", 1.00, "nginx"),
    Bar("static-10k", "httpkit-static", 0.30, "granian-static"),
    Bar("static-10k", "httpkit-static", 0.03, "starlette-static"),
    Bar("static-304", "httpkit-static", 1.00, "nginx"),
    Bar("static-1000-files", "httpkit-static", 1.30, "nginx"),
    Bar("static-range", "httpkit-static", 1.30, "nginx"),
    Bar("static-100m", "httpkit-static", 0.80, "nginx", kind=THROUGHPUT),
    Bar("static-slow-readers", "httpkit-static", 16.0, kind=GROWTH),
)


def judge(bar: Bar, results: Results) -> Verdict:
    """Compare the medians; the spread of the ratio is that of the rounds, each on its own."""
    metric = bar.kind.metric
    ours = results.spread(bar.case, bar.server, metric)
    if ours is not None and not bar.peer:
        return Verdict(bar, ours.median, None, ours)
    theirs = results.spread(bar.compared_with, bar.peer, metric)
    if ours is None or theirs is None or not theirs.low:
        return Verdict(bar, None, None, None)
    rounds = [
        getattr(server, metric) / getattr(peer, metric)
        for server, peer in zip(
            results.cell(bar.case, bar.server),
            results.cell(bar.compared_with, bar.peer),
            strict=True,
        )
    ]
    ratio = Spread(ours.median / theirs.median, min(rounds), max(rounds))
    return Verdict(bar, ours.median, theirs.median, ratio)


def judge_all(results: Results, bars: Iterable[Bar] = BARS) -> list[Verdict]:
    """Judge every bar, in the order in which they are written down."""
    return [judge(bar, results) for bar in bars]
