"""What workers tell each other on their links, as bytes. No socket, no clock.

A record is its length in four bytes, the most significant one first, and MessagePack. Links are of
one direction: a worker says what it publishes on its own link to each of the others, `Hello` first.
"""

from typing import Any

import msgspec

from httpkit.channels.messages import Member
from httpkit.channels.presence import Join

__all__ = [
    "AskPast",
    "Hello",
    "Joined",
    "Left",
    "Past",
    "Published",
    "Record",
    "RecordReader",
    "serialize_record",
]

#: Bytes of one record; a link on which more is announced is broken.
MAX_RECORD = 64 * 1024 * 1024

_encode = msgspec.msgpack.Encoder().encode


class Published(msgspec.Struct, array_like=True, tag="m", gc=False):
    """A message.

    Attributes:
        number: of its position.
        topic: of it.
        data: of it, `str` or `bytes`, which msgspec takes in no union.
        keep: whether it is part of the history.
    """

    number: int
    topic: str
    data: Any
    keep: bool


class Joined(msgspec.Struct, array_like=True, tag="j"):
    """A member of the sender has come; `key` tells its joins apart."""

    topic: str
    key: int
    name: str
    info: Any

    @classmethod
    def of(cls, join: Join) -> "Joined":
        """The record of a join."""
        return cls(join.topic, join.key, join.member.name, join.member.info)

    @property
    def join(self) -> Join:
        """The join itself."""
        return Join(self.topic, self.key, Member(self.name, self.info))


class Left(msgspec.Struct, array_like=True, tag="l", gc=False):
    """The join of a key has ended."""

    key: int


class Hello(msgspec.Struct, array_like=True, tag="h"):
    """The first record of a link: from here on come all messages of the sender.

    Attributes:
        name: of the sender, which is that of its socket.
        settled: it has what was published before it came.
        joins: its members now; those of before, from a link that was lost, are void.
    """

    name: str
    settled: bool
    joins: list[Joined]


class AskPast(msgspec.Struct, array_like=True, tag="a", gc=False):
    """The receiver is asked for what it keeps, once it has everything up to a number."""

    number: int


class Past(msgspec.Struct, array_like=True, tag="p"):
    """Messages that the sender keeps, the oldest first; the answer to `AskPast`.

    Attributes:
        messages: some of them.
        ends: with the last ones, the number up to which they are everything there is.
        gone: with the last ones, see `History.floors`.
        floors: the same.
    """

    messages: list[Published]
    ends: int | None = None
    gone: int = 0
    floors: dict[str, int] = {}


Record = Hello | Published | Joined | Left | AskPast | Past


def serialize_record(record: Record) -> bytes:
    """The bytes of a record.

    Raises:
        ValueError: it is larger than any receiver takes.
    """
    data = _encode(record)
    if len(data) > MAX_RECORD:
        raise ValueError(f"{len(data)} bytes are too many for other workers: {MAX_RECORD} at most")
    return len(data).to_bytes(4, "big") + data


_decode = msgspec.msgpack.Decoder(Record).decode


class RecordReader:
    """Bytes become records."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def receive_data(self, data: bytes) -> list[Record]:
        """The records that are complete with these bytes.

        Raises:
            ValueError: these are no records; msgspec's errors are of this kind.
        """
        buffer = self._buffer
        buffer += data
        records: list[Record] = []
        start = 0
        while len(buffer) - start >= 4:
            size = int.from_bytes(buffer[start : start + 4], "big")
            if size > MAX_RECORD:
                raise ValueError(f"a record of {size} bytes")
            if len(buffer) - start - 4 < size:
                break
            start += 4 + size
            records.append(_decode(bytes(buffer[start - size : start])))
        del buffer[:start]
        return records
