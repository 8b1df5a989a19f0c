"""What all clients have in common: a socket that is closed when they are left."""

import socket
from types import TracebackType
from typing import Self


class SocketClient:
    """A context manager around one connection.

    Attributes:
        socket: connected, blocking.
    """

    socket: socket.socket

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close_socket()

    def close_socket(self) -> None:
        """Close the connection as it is."""
        self.socket.close()
