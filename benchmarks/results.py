"""What was measured: samples, failed cells, and the medians over the rounds."""

import statistics
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

DISTURBED = 0.05


@dataclass(frozen=True, slots=True)
class Sample:
    """One server under one case in one round.

    ``server_busy`` and ``foreign_busy`` are shares of the time of the server's core: what the
    server took of it and what others took. A figure is None where the load generator cannot tell
    it. Where connections were held, ``requests`` is how many, ``growth_mib`` what the server grew
    by, and there is neither a rate nor CPU time.
    """

    server: str
    case: str
    round: int
    requests: int
    seconds: float
    requests_per_second: float | None
    cpu_us: float | None
    latency_p50_ms: float | None
    latency_p99_ms: float | None
    resident_mib: float
    peak_mib: float
    server_busy: float
    foreign_busy: float
    growth_mib: float | None = None

    @property
    def connections(self) -> int | None:
        """Return how many connections were held."""
        return None if self.growth_mib is None else self.requests

    @property
    def growth_kib_each(self) -> float | None:
        """Return what the server grew by for each connection, in KiB."""
        return None if self.growth_mib is None else self.growth_mib * 1024 / self.requests


@dataclass(frozen=True, slots=True)
class Failure:
    """A round that gave no number, and why."""

    server: str
    case: str
    round: int
    reason: str


@dataclass(frozen=True, slots=True)
class Spread:
    """The median over the rounds with the lowest and the highest value."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread":
        """Summarize at least one value."""
        ordered = sorted(values)
        return cls(statistics.median(ordered), ordered[0], ordered[-1])


@dataclass(slots=True)
class Results:
    """Everything that one run of the benchmark found."""

    facts: dict[str, str]
    settings: dict[str, float]
    started: str
    servers: list[str]
    cases: list[str]
    samples: list[Sample] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    def cell(self, case: str, server: str) -> list[Sample]:
        """Return the samples of one cell by round; none if any round of it failed."""
        if self.failed(case, server):
            return []
        return [s for s in self.samples if (s.case, s.server) == (case, server)]

    def failed(self, case: str, server: str) -> list[Failure]:
        """Return what went wrong in one cell."""
        return [f for f in self.failures if (f.case, f.server) == (case, server)]

    def spread(self, case: str, server: str, metric: str) -> Spread | None:
        """Return the median and the spread of one figure; None if there is none in this cell."""
        values = [getattr(sample, metric) for sample in self.cell(case, server)]
        return Spread.of(values) if values and None not in values else None

    def disturbed(self) -> list[Sample]:
        """Return the samples during which others took too much of the server's core."""
        return [sample for sample in self.samples if sample.foreign_busy > DISTURBED]

    def as_dict(self) -> dict[str, Any]:
        """Return everything, each round included, for the JSON file."""
        return asdict(self)
