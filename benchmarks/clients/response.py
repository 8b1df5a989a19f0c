"""What a server has answered, and what is raised if that is no answer."""

from dataclasses import dataclass


class VerificationError(Exception):
    """A server does not answer as it must."""


@dataclass(frozen=True, slots=True)
class Response:
    """A response as it was received; header names are lowercase."""

    status: int
    headers: dict[str, str]
    body: bytes
