"""A load of large downloads, one after another on one connection, which nobody copies here.

``MSG_TRUNC`` lets the kernel throw away what has come (tcp(7)), so that the client is no limit:
a server that sends files without copying them is faster than any client that copies them. What
the bytes are is verified before; here they are counted.
"""

import platform
import socket
import time
from collections.abc import Callable

from benchmarks.load.connections import HEAD_END, has_head, shorten
from benchmarks.load.result import Load, LoadError, LoadResult

DISCARDED = 1024 * 1024


def version() -> str:
    """Return what throws the bytes away."""
    return f"{platform.system()} {platform.release()}"


def run(load: Load) -> LoadResult:
    """Download for some seconds."""
    return download_until(load, time.monotonic)


def download_until(load: Load, now: Callable[[], float]) -> LoadResult:
    """Download one answer after another until the time is over, at least once.

    Raises:
        LoadError: An answer has another status or length, or ends early.
    """
    (request,) = load.case.requests()
    answer = load.case.answer
    length = len(answer.block) * answer.times
    completed = 0
    try:
        with load.endpoint.connect() as connection:
            began = now()
            while True:
                connection.sendall(request.serialize(load.endpoint.authority))
                _receive(connection, answer.status, length)
                completed += 1
                if (elapsed := now() - began) >= load.seconds:
                    return LoadResult(completed, completed / elapsed)
    except (OSError, ValueError) as error:
        raise LoadError(f"a download failed: {error}") from error


def _receive(connection: socket.socket, status: int, length: int) -> None:
    """Receive one answer and throw its body away."""
    received = b""
    while not has_head(received):
        if not (data := connection.recv(16 * 1024)):
            raise ValueError(f"no answer but {shorten(received)}")
        received += data
    head, _, body = received.partition(HEAD_END)
    lines = head.lower().split(b"\r\n")
    if not lines[0].startswith(b"http/1.1 %d " % status):
        raise ValueError(f"the answer is {shorten(head)}")
    if b"content-length: %d" % length not in lines:
        raise ValueError(f"the length is not {length}: {shorten(head)}")
    left = length - len(body)
    buffer = bytearray(DISCARDED)
    while left > 0:
        count = connection.recv_into(buffer, min(left, DISCARDED), socket.MSG_TRUNC)
        if not count:
            raise ValueError(f"it ends {left} bytes early")
        left -= count
    if left:
        raise ValueError("it is longer than it says")
