"""A load of new connections: a full TLS handshake on each, one request, and the end.

The request proves that the server has finished its side of the handshake: in TLS 1.3 the client
is done before the server has read the client's last flight (RFC 8446 §2).
"""

import ssl
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from benchmarks.cases import Case
from benchmarks.clients import HTTP1Client, VerificationError
from benchmarks.endpoint import Endpoint
from benchmarks.load.result import Load, LoadError, LoadResult
from benchmarks.verify import check


def version() -> str:
    """Return the TLS library of this client."""
    return ssl.OPENSSL_VERSION


def run(load: Load) -> LoadResult:
    """Open connections for some seconds, ``case.connections`` of them at a time."""
    return open_connections(load.case, load.endpoint, load.seconds, time.monotonic)


def open_connections(
    case: Case, endpoint: Endpoint, seconds: float, now: Callable[[], float]
) -> LoadResult:
    """Open one connection after another in each of several threads until the time is over.

    Raises:
        LoadError: A connection, a handshake or an answer was not as it must be.
    """
    began = now()
    with ThreadPoolExecutor(case.connections) as threads:
        workers = [
            threads.submit(_repeat, case, endpoint, began + seconds, now)
            for _ in range(case.connections)
        ]
    try:
        completed = sum(worker.result() for worker in workers)
    except (OSError, ValueError, VerificationError) as error:
        raise LoadError(f"a new connection failed: {error}") from error
    return LoadResult(completed, completed / (now() - began))


def _repeat(case: Case, endpoint: Endpoint, until: float, now: Callable[[], float]) -> int:
    """Do it until the time is over, at least once, and return how often."""
    completed = 0
    (request,) = case.requests()
    while True:
        with HTTP1Client(endpoint) as client:
            (response,) = client.exchange(request)
            check(response, case.answer)
            client.receive_end()
        completed += 1
        if now() >= until:
            return completed
