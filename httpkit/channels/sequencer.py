"""Numbers for messages, and the order that they give. Nothing here waits.

Theory of operation:

1. All workers of a server draw the numbers of their messages from one counter, so every number
   belongs to one message, and there are no gaps.
2. Messages of different workers come by different sockets, in any order. A `Sequencer` holds back
   what comes too early, so every worker delivers all messages in the order of their numbers, and an
   id says exactly what its owner has seen, whichever worker it comes back to.
3. A number may have no message: its worker has died or was too slow to send it. Whoever has waited
   long enough skips it (`skip`). What comes after that is too late, and left out.
"""

import fcntl
import mmap
import os
from struct import Struct
from typing import Generic, Protocol, TypeVar

__all__ = ["LocalNumbers", "Numbers", "Sequencer", "SharedNumbers"]

T = TypeVar("T")

#: Epoch in milliseconds of Unix time, and the last number that was drawn.
_LAYOUT = Struct("=QQ")
#: Messages that are held back at most; then what is missing is skipped.
_MAX_HELD = 10_000


class Numbers(Protocol):
    """A counter.

    Attributes:
        epoch: when it has begun, in milliseconds of Unix time.
    """

    epoch: int

    def draw(self) -> int:
        """The next number; the first one is 1."""
        ...

    def last(self) -> int:
        """The last number that was drawn, 0 before the first."""
        ...

    def close(self) -> None:
        """Give up what it holds."""
        ...


class LocalNumbers:
    """`Numbers` of one process."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self._last = 0

    def draw(self) -> int:
        """See `Numbers`."""
        self._last += 1
        return self._last

    def last(self) -> int:
        """See `Numbers`."""
        return self._last

    def close(self) -> None:
        """See `Numbers`."""


class SharedNumbers:
    """`Numbers` in a file, of all processes that open it.

    A lock of the kernel is held for the moment in which a number is drawn; a process that dies
    gives it up.

    Args:
        path: of the file; made by the first one.
        epoch: of a file that is new.
    """

    def __init__(self, path: str, epoch: int) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            if os.fstat(self._descriptor).st_size < _LAYOUT.size:
                os.pwrite(self._descriptor, _LAYOUT.pack(epoch, 0), 0)
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            self._memory = mmap.mmap(self._descriptor, _LAYOUT.size)
        except BaseException:
            os.close(self._descriptor)
            raise
        self.epoch: int = _LAYOUT.unpack(self._memory[:])[0]

    def draw(self) -> int:
        """See `Numbers`."""
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        try:
            number: int = _LAYOUT.unpack(self._memory[:])[1] + 1
            self._memory[:] = _LAYOUT.pack(self.epoch, number)
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        return number

    def last(self) -> int:
        """See `Numbers`."""
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        try:
            number: int = _LAYOUT.unpack(self._memory[:])[1]
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        return number

    def close(self) -> None:
        """See `Numbers`."""
        self._memory.close()
        os.close(self._descriptor)


class Sequencer(Generic[T]):
    """Puts items into the order of their numbers.

    Args:
        position: the number that has been delivered last.

    Attributes:
        position: the same.
        missed: numbers that were skipped.
    """

    def __init__(self, position: int) -> None:
        self.position = position
        self.missed = 0
        self._held: dict[int, T] = {}
        #: The highest number that is known to exist.
        self._highest = position

    @property
    def gap_until(self) -> int:
        """The highest number that something is waited for at, 0 for none."""
        return self._highest if self._highest > self.position else 0

    def expect(self, number: int) -> None:
        """Numbers up to this one have been drawn."""
        self._highest = max(self._highest, number)

    def receive(self, number: int, item: T) -> list[T]:
        """Take an item; those that may be delivered now, in their order."""
        if number == self.position + 1 and not self._held:
            self.position = number
            return [item]
        if number <= self.position:
            return []
        self._held[number] = item
        self.expect(number)
        if len(self._held) > _MAX_HELD:
            return self.skip(self._highest)
        return self._release()

    def skip(self, number: int) -> list[T]:
        """Wait no longer for anything up to a number; what may be delivered by that."""
        items = []
        while self.position < number:
            self.position += 1
            if self.position in self._held:
                items.append(self._held.pop(self.position))
            else:
                self.missed += 1
        self.expect(number)
        return items + self._release()

    def _release(self) -> list[T]:
        items = []
        while self.position + 1 in self._held:
            self.position += 1
            items.append(self._held.pop(self.position))
        return items
