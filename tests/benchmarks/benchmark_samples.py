"""Makes results as a run would have made them."""

from benchmarks.results import Failure, Results, Sample


def make_sample(server="httpkit", case="plaintext", number=1, cpu_us=10.0, **figures):
    values = {
        "requests": 1000,
        "seconds": 5.0,
        "requests_per_second": 1e6 / cpu_us if cpu_us else None,
        "latency_p50_ms": 0.5,
        "latency_p99_ms": 1.5,
        "resident_mib": 30.0,
        "peak_mib": 31.0,
        "server_busy": 0.99,
        "foreign_busy": 0.0,
    }
    return Sample(server=server, case=case, round=number, cpu_us=cpu_us, **(values | figures))


def make_results(cpu, failures=(), cases=("plaintext",)):
    """Make results of one case from the CPU times of each server by round."""
    results = Results(
        facts={"CPU": "a processor"},
        settings={"duration": 5, "rounds": 3, "warmup": 1},
        started="2024-01-01T00:00:00+00:00",
        servers=list(cpu),
        cases=list(cases),
    )
    for server, values in cpu.items():
        for number, value in enumerate(values, 1):
            results.samples.append(make_sample(server, cases[0], number, value))
    results.failures += [Failure(server, cases[0], 2, reason) for server, reason in failures]
    return results
