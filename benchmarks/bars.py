"""The bars: how much CPU time httpkit may take for a request, compared with a peer.

A bar is a ratio of two medians of one run, so it means the same on every machine. To set a bar,
add a line to ``BARS``.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.results import Results, Spread


@dataclass(frozen=True, slots=True)
class Bar:
    """In this case, the server's CPU time is at most ``limit`` times the peer's.

    The peer's is that of the same case, or of ``peer_case``: the peer may be the server itself.
    """

    case: str
    server: str
    limit: float
    peer: str
    peer_case: str = ""

    @property
    def compared_with(self) -> str:
        """Return the case of the peer."""
        return self.peer_case or self.case

    @property
    def pair(self) -> str:
        """Return who is compared with whom, for people."""
        elsewhere = f" in {self.peer_case}" if self.peer_case else ""
        return f"{self.server} / {self.peer}{elsewhere}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A bar with what was measured; both figures are None if one of them is missing."""

    bar: Bar
    server_cpu_us: float | None
    peer_cpu_us: float | None
    ratio: Spread | None

    @property
    def passed(self) -> bool | None:
        """Tell whether the bar is met; None means that it was not measured."""
        return None if self.ratio is None else self.ratio.median <= self.bar.limit


BARS = (
    Bar("plaintext", "httpkit", 0.70, "granian-rsgi"),
    Bar("plaintext", "httpkit", 0.40, "uvicorn-httptools"),
    Bar("plaintext", "httpkit", 1.80, "limit"),
    Bar("plaintext", "httpkit-access-log", 1.15, "httpkit"),
    Bar("plaintext", "httpkit-reference", 0.75, "uvicorn-h11"),
    Bar("json", "httpkit", 0.30, "uvicorn-starlette"),
    Bar("path", "httpkit", 0.30, "uvicorn-starlette"),
    Bar("browser", "httpkit", 0.75, "granian-rsgi"),
    Bar("browser", "httpkit", 0.45, "uvicorn-httptools"),
    Bar("pipelining", "httpkit", 0.30, "granian-rsgi"),
    Bar("post", "httpkit", 0.55, "uvicorn-httptools"),
    Bar("routes-1000", "httpkit", 1.15, "httpkit", "routes-100"),
    Bar("connections-2000", "httpkit", 1.25, "httpkit", "plaintext"),
)


def judge(bar: Bar, results: Results) -> Verdict:
    """Compare the medians; the spread of the ratio is that of the rounds, each on its own."""
    ours = results.spread(bar.case, bar.server, "cpu_us")
    theirs = results.spread(bar.compared_with, bar.peer, "cpu_us")
    if ours is None or theirs is None:
        return Verdict(bar, None, None, None)
    rounds = [
        server.cpu_us / peer.cpu_us
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
