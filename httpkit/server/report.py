"""What a worker tells its supervisor: lines of JSON on a pipe.

`Ready` once, when it accepts connections; `Spent` when it has served `max_requests`; `Draining`
when it has begun to stop; `Failed` when it will not be ready. A worker that dies says nothing: the
end of the pipe and its exit code do.
"""

import os
from contextlib import suppress

import msgspec

from httpkit.types import Address

__all__ = ["Draining", "Failed", "Ready", "Report", "ReportReader", "Reporter", "Spent"]

#: Characters of a reason; the whole story is in the log.
_MAX_REASON = 500
#: Bytes without an end of line after which something else than reports comes out of a pipe.
_MAX_LINE = 65_536


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The worker accepts connections.

    Attributes:
        pid: of the worker.
        addresses: where it listens.
        schemes: what it speaks there, `http` or `https`.
        engines: of each protocol.
        loop: its event loop.
        debug: its application shows tracebacks to clients.
    """

    pid: int
    addresses: list[Address]
    schemes: list[str]
    engines: dict[str, str]
    loop: str
    debug: bool = False


class Spent(msgspec.Struct, frozen=True, tag="spent"):
    """The worker has served its requests; it goes on until another one is there."""


class Draining(msgspec.Struct, frozen=True, tag="draining"):
    """The worker accepts no more and finishes what runs."""


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The worker will not be ready.

    Attributes:
        reason: one line.
    """

    reason: str


Report = Ready | Spent | Draining | Failed


class Reporter:
    """The worker's end.

    Args:
        descriptor: the pipe; written to until the process ends.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def send(self, report: Report) -> None:
        """Tell the supervisor, if it is still there."""
        if isinstance(report, Ready):
            addresses = [Address(_encodable(each.host), each.port) for each in report.addresses]
            report = msgspec.structs.replace(report, addresses=addresses)
        elif isinstance(report, Failed):
            report = Failed(_encodable(report.reason[:_MAX_REASON]))
        with suppress(OSError):
            os.write(self._descriptor, msgspec.json.encode(report) + b"\n")


def _encodable(text: str) -> str:
    """Without the lone surrogates that names of files may have; JSON cannot carry them."""
    return text.encode("utf-8", "replace").decode()


class ReportReader:
    """The supervisor's end: bytes become reports.

    What is no report is left out: an application may have found the descriptor and written to it.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._decode = msgspec.json.Decoder(Report).decode

    def receive_data(self, data: bytes) -> list[Report]:
        """The reports that are complete with these bytes."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _MAX_LINE:
            self._rest = b""
        reports: list[Report] = []
        for line in lines:
            with suppress(msgspec.MsgspecError, ValueError):
                reports.append(self._decode(line))
        return reports
