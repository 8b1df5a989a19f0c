"""`RedisStreams`: numbers, publishing and history in Redis, by two scripts and streams.

A script draws the number of a message, keeps it in the stream of its topic and publishes it, all at
once: so Redis gives all processes one order. The ids of entries are those of messages.
"""

from typing import Any, NamedTuple

from redis.asyncio import Redis

from httpkit.channels.messages import ChannelMessage, Position

__all__ = ["Past", "RedisStreams", "read_message"]

#: ARGV begins with the last position that is known to have been. Where the numbers are behind it
#: Redis has lost some, as one that starts with what it had saved a while ago. They would be given
#: once more, to other messages, so a new sequence begins.
_DRAW = """
local epoch = redis.call('HGET', KEYS[1], 'epoch')
local behind = epoch == ARGV[1]
    and tonumber(redis.call('HGET', KEYS[1], 'number') or 0) < tonumber(ARGV[2])
if not epoch or behind then
    local now = redis.call('TIME')
    local new = now[1] * 1000 + math.floor(now[2] / 1000)
    epoch = string.format('%.0f', math.max(new, tonumber(epoch or 0) + 1))
    redis.call('HSET', KEYS[1], 'epoch', epoch, 'number', 0, 'gone', 0)
end
"""
_POSITION = f"""{_DRAW}
local found = redis.call('HMGET', KEYS[1], 'number', 'gone')
return {{epoch, found[1] or '0', found[2] or '0'}}
"""
#: A stream of another epoch, whose ids are higher, is void.
_PUBLISH = f"""{_DRAW}
local number = redis.call('HINCRBY', KEYS[1], 'number', 1)
local id = epoch .. '-' .. string.format('%.0f', number)
local limit = tonumber(ARGV[6])
if limit > 0 then
    local over = redis.call('XLEN', KEYS[2]) + 1 - limit
    if over > 0 then
        local first = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', over)
        redis.call('SET', KEYS[3], first[over][1])
    end
    local add = {{'XADD', KEYS[2], 'MAXLEN', '=', limit, id, 'k', ARGV[4], 'd', ARGV[5]}}
    if redis.pcall(unpack(add)).err then
        redis.call('DEL', KEYS[2])
        redis.call(unpack(add))
    end
    redis.call('PEXPIRE', KEYS[2], ARGV[7])
    redis.call('PEXPIRE', KEYS[3], ARGV[7])
elseif limit == 0 then
    redis.call('HSET', KEYS[1], 'gone', number)
end
redis.call('PUBLISH', ARGV[3], id .. ' ' .. ARGV[4] .. ARGV[5])
return id
"""
#: What is not to be kept is not missed by those who come back, as it is where the limit is 0.
_NOT_TO_BE_KEPT = -1
#: Kinds of data: text and bytes.
_TEXT, _BYTES = b"t", b"b"


class Past(NamedTuple):
    """What is kept of some topics at one moment.

    Attributes:
        messages: the oldest first.
        position: up to which they are everything there is.
        gaps: topics of which messages have been forgotten.
    """

    messages: list[ChannelMessage]
    position: Position
    gaps: list[str]


class RedisStreams:
    """Messages in Redis.

    Args:
        client: does not decode answers.
        prefix: of all keys and channels.
        limit: messages that are kept of each topic.
        keep_for: seconds after its last message for which a topic is kept.

    Its methods raise `RedisError` if Redis does not answer.
    """

    def __init__(self, client: Redis, prefix: str, limit: int, keep_for: float) -> None:
        self._client = client
        self._prefix = prefix
        self._limit = limit
        self._milliseconds = int(keep_for * 1000)
        self._publish = client.register_script(_PUBLISH)
        #: The last position that has been, as far as it is known here.
        self._known = Position(0, 0)

    def channel(self, topic: str) -> str:
        """Where the messages of a topic are published."""
        return f"{self._prefix}topic:{topic}"

    def topic(self, channel: str) -> str | None:
        """The topic of a channel; `None` for other channels."""
        prefix = self.channel("")
        return channel[len(prefix) :] if channel.startswith(prefix) else None

    def know(self, position: Position) -> Position:
        """Take note of a position that Redis has told, and give it back."""
        known = self._known
        if position.epoch != known.epoch or position.number > known.number:
            self._known = position
        return position

    async def publish(self, topic: str, data: str | bytes, *, keep: bool) -> Position:
        """Number, keep and publish a message; its position."""
        text = isinstance(data, str)
        id = await self._publish(  # noqa: A001
            keys=[self._numbers, self._stream(topic), self._floor(topic)],
            args=[
                *self._known,
                self.channel(topic),
                _TEXT if text else _BYTES,
                data.encode() if isinstance(data, str) else data,
                self._limit if keep else _NOT_TO_BE_KEPT,
                self._milliseconds,
            ],
        )
        return self.know(_read_id(id))

    async def last(self, topics: tuple[str, ...], limit: int) -> Past:
        """The last messages of some topics together."""
        async with self._client.pipeline(transaction=True) as pipe:
            pipe.eval(_POSITION, 1, self._numbers, *self._known)
            for topic in topics:
                pipe.xrevrange(self._stream(topic), count=max(1, limit))
            position, *streams = await pipe.execute()
        messages = [
            _make(topic, *entry)
            for topic, entries in zip(topics, streams, strict=True)
            for entry in entries
        ]
        messages.sort(key=_by_position)
        position = self.know(_read_position(position))
        return Past(messages[max(0, len(messages) - limit) :], position, [])

    async def after(
        self, topics: tuple[str, ...], after: Position, limit: int | None = None
    ) -> Past | None:
        """The messages of some topics after a position; `None` if it is none of this sequence."""
        past, floors = await self._read_from(topics, f"({after}", limit)
        position = past.position
        if after.epoch != position.epoch or after.number > position.number:
            return None
        gaps = [
            topic
            for topic, floor in floors.items()
            if floor is not None and floor.epoch == after.epoch and floor > after
        ]
        return past._replace(gaps=gaps)

    async def everything(self, topics: tuple[str, ...], limit: int | None = None) -> Past:
        """What is kept of some topics, which is said to be incomplete."""
        past, _ = await self._read_from(topics, "-", limit)
        return past._replace(gaps=list(topics))

    async def _read_from(
        self, topics: tuple[str, ...], begin: str, limit: int | None
    ) -> tuple[Past, dict[str, Position | None]]:
        """Messages from an id on, and the last one of each topic that was forgotten."""
        async with self._client.pipeline(transaction=True) as pipe:
            pipe.eval(_POSITION, 1, self._numbers, *self._known)
            for topic in topics:
                pipe.xrange(self._stream(topic), min=begin, count=limit)
                pipe.get(self._floor(topic))
            position, *found = await pipe.execute()
        messages: list[ChannelMessage] = []
        for topic, entries in zip(topics, found[::2], strict=True):
            messages += [_make(topic, *entry) for entry in entries]
        messages.sort(key=_by_position)
        gone = Position(int(position[0]), int(position[2]))
        floors = (Position.parse(floor.decode()) if floor else gone for floor in found[1::2])
        past = Past(messages[:limit], self.know(_read_position(position)), [])
        return past, dict(zip(topics, floors, strict=True))

    @property
    def _numbers(self) -> str:
        return f"{self._prefix}numbers"

    def _stream(self, topic: str) -> str:
        return f"{self._prefix}stream:{topic}"

    def _floor(self, topic: str) -> str:
        return f"{self._prefix}floor:{topic}"


def read_message(topic: str, data: bytes) -> ChannelMessage | None:
    """A message as it was published; `None` for what somebody else has published there."""
    id, _, rest = data.partition(b" ")  # noqa: A001
    try:
        position = Position.parse(id.decode())
        return None if position is None else _make_at(topic, position, rest[:1], rest[1:])
    except UnicodeDecodeError:
        return None


def _make(topic: str, id: bytes, fields: dict[bytes, bytes]) -> ChannelMessage:
    return _make_at(topic, _read_id(id), fields.get(b"k", _BYTES), fields.get(b"d", b""))


def _make_at(topic: str, position: Position, kind: bytes, data: bytes) -> ChannelMessage:
    return ChannelMessage(topic, position, data.decode() if kind == _TEXT else data)


def _by_position(message: ChannelMessage) -> Position:
    assert message.position is not None
    return message.position


def _read_id(id: bytes) -> Position:
    position = Position.parse(id.decode())
    assert position is not None
    return position


def _read_position(found: Any) -> Position:
    epoch, number, _ = found
    return Position(int(epoch), int(number))
