"""`History`: the last messages of every topic, within a budget of bytes for all of them.

Clients often choose the names of topics, so their number has no limit of its own: what a topic
takes is the messages that are kept of it, and the budget forgets the oldest ones of all topics.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping

from httpkit.channels.messages import ChannelMessage

__all__ = ["History"]

#: What a message costs besides its data and its topic; an estimate from above.
_OVERHEAD = 600


class History:
    """Messages by the numbers of their positions, which ascend.

    Args:
        limit: messages of each topic.
        max_bytes: of all messages, by an estimate.

    Attributes:
        size: bytes that the messages take now.
    """

    def __init__(self, limit: int, max_bytes: int) -> None:
        self.size = 0
        self._limit = limit
        self._max_bytes = max_bytes
        self._messages: OrderedDict[int, ChannelMessage] = OrderedDict()
        self._topics: dict[str, deque[int]] = {}
        #: By topic, the number up to which its messages may have been forgotten. Of topics of
        #: which nothing is left, `_gone` has the highest one.
        self._forgotten: dict[str, int] = {}
        self._gone = 0

    def add(self, number: int, message: ChannelMessage) -> None:
        """Keep a message, forget others."""
        if not self._limit:
            self._gone = number
            return
        numbers = self._topics.get(message.topic)
        if numbers is None:
            numbers = self._topics[message.topic] = deque()
            self._forgotten[message.topic] = self._gone
        numbers.append(number)
        self._messages[number] = message
        self.size += _size(message)
        if len(numbers) > self._limit:
            self._forget(numbers[0])
        while self.size > self._max_bytes:
            self._forget(next(iter(self._messages)))

    def _forget(self, number: int) -> None:
        """Forget a message, which is the oldest one of its topic."""
        message = self._messages.pop(number)
        self.size -= _size(message)
        numbers = self._topics[message.topic]
        numbers.popleft()
        if numbers:
            self._forgotten[message.topic] = number
        else:
            del self._topics[message.topic], self._forgotten[message.topic]
            self._gone = max(self._gone, number)

    def last(self, topics: Iterable[str], limit: int) -> list[ChannelMessage]:
        """The last messages of some topics together, the oldest first."""
        numbers = self._numbers(topics, 0)
        return [self._messages[number] for number in numbers[max(0, len(numbers) - limit) :]]

    def after(self, topics: Iterable[str], number: int) -> tuple[list[ChannelMessage], bool]:
        """The messages of some topics after a number, and whether none has been forgotten."""
        topics = tuple(topics)
        complete = all(number >= self._forgotten.get(topic, self._gone) for topic in topics)
        return [self._messages[each] for each in self._numbers(topics, number)], complete

    def floors(self) -> tuple[int, dict[str, int]]:
        """Up to which numbers messages may have been forgotten.

        Returns:
            That of all topics of which nothing is here, and those of the others.
        """
        return self._gone, self._forgotten

    def raise_floors(self, gone: int, floors: Mapping[str, int]) -> None:
        """Note what another history has forgotten from which the messages here have come."""
        self._gone = max(self._gone, gone)
        for topic, number in floors.items():
            if topic in self._topics:
                self._forgotten[topic] = max(self._forgotten[topic], number)

    def all(self) -> list[ChannelMessage]:
        """Every message, the oldest first."""
        return list(self._messages.values())

    def _numbers(self, topics: Iterable[str], after: int) -> list[int]:
        found: list[int] = []
        for topic in topics:
            found.extend(each for each in self._topics.get(topic, ()) if each > after)
        found.sort()
        return found


def _size(message: ChannelMessage) -> int:
    return len(message.data) + len(message.topic) + _OVERHEAD
