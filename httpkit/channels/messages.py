"""What goes through channels: messages, members, and what becomes of the values that are published.

Owns the ids of messages. An id is a `Position`: an epoch, which is when a sequence of numbers has
begun (Unix time in milliseconds), and a number of that sequence, which counts the messages of all
topics. So one id says what of several topics a subscriber has seen.
"""

from typing import Any, Literal, NamedTuple, TypeVar, overload

import msgspec

from httpkit.websocket import SharedMessage

__all__ = [
    "ChannelMessage",
    "Member",
    "MemberChange",
    "Position",
    "check_topic",
    "encode_message",
]

T = TypeVar("T")

#: Bytes of a topic's name: it stands in every message, and clients often choose it.
_MAX_TOPIC = 256
#: Bytes of a message's data: it is copied for every process.
_MAX_DATA = 16 * 1024 * 1024
#: Digits of either part of an id.
_MAX_DIGITS = 19

_encode_json = msgspec.json.encode
_decode_json = msgspec.json.decode


class Position(NamedTuple):
    """A place in a sequence of messages; its text is the id of the message there."""

    epoch: int
    number: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.number}"

    @classmethod
    def parse(cls, text: str) -> "Position | None":
        """The position that an id stands for; `None` for what is no id. Clients send anything."""
        epoch, _, number = text.partition("-")
        if not (_is_number(epoch) and _is_number(number)):
            return None
        return cls(int(epoch), int(number))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS


class ChannelMessage(SharedMessage):
    """A message of a topic. `ws.send(message)` sends its data, framed once for all WebSockets.

    Attributes:
        topic: where it was published.
        id: text that `subscribe(after=…)` takes; empty if the message was lost before it was
            anybody's (Redis is away).
        data: `str` or `bytes`, as published; what was neither is JSON.
        position: what the id stands for.
    """

    __slots__ = ("id", "position", "topic")

    def __init__(self, topic: str, position: Position | None, data: str | bytes) -> None:
        super().__init__(data)
        self.topic = topic
        self.position = position
        self.id = "" if position is None else str(position)

    @overload
    def json(self) -> Any: ...
    @overload
    def json(self, type: type[T]) -> T: ...
    def json(self, type: Any = Any) -> Any:
        """The data as JSON; with a type it is validated.

        Raises:
            msgspec.DecodeError: it is not JSON, or (`ValidationError`) not of this type.
        """
        return _decode_json(self.data, type=type)

    def __repr__(self) -> str:
        return f"<ChannelMessage {self.topic} {self.id}>"


class Member(NamedTuple):
    """Somebody in a topic.

    Attributes:
        name: unique within the topic: who joins under a name that is there is the same member.
        info: what `join` was given, as JSON gives it back; that of the last one who has joined.
    """

    name: str
    info: Any = None


class MemberChange(NamedTuple):
    """A member has come or gone.

    Attributes:
        topic: whose member it is.
        kind: `join` when the first of a name has come, `leave` when the last one has gone.
        member: who.
    """

    topic: str
    kind: Literal["join", "leave"]
    member: Member


def encode_message(value: Any) -> str | bytes:
    """What is published: text and bytes as they are, anything else as JSON.

    Raises:
        ValueError: text with half a surrogate pair, which has no UTF-8, or more than 16 MiB.
        TypeError: msgspec cannot encode the value.
    """
    data: str | bytes
    if isinstance(value, str):
        encoded, data = _check_text(value, "a message"), str(value)
    elif isinstance(value, bytes | bytearray | memoryview):
        encoded = data = bytes(value)
    else:
        encoded = _encode_json(value)
        data = encoded.decode()
    if len(encoded) > _MAX_DATA:
        raise ValueError(f"a message of {len(encoded)} bytes: {_MAX_DATA} are the most")
    return data


def check_topic(topic: str) -> str:
    """A topic's name.

    Raises:
        TypeError: it is not text.
        ValueError: it is empty, longer than 256 bytes, or has no UTF-8.
    """
    if not isinstance(topic, str):
        raise TypeError(f"a topic is text, not {type(topic).__name__}")
    if not 0 < len(_check_text(topic, "a topic")) <= _MAX_TOPIC:
        raise ValueError(f"a topic has 1 to {_MAX_TOPIC} bytes")
    return topic


def _check_text(text: str, what: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{what} with half a surrogate pair cannot be sent as text") from None
