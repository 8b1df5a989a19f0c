"""`Presence`: who is in which topic, as far as it is known here. Pure bookkeeping.

A join is owned by a process, so that all of its joins end when it does, and has a key that the
owner has chosen. Joins under one name are one member.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from httpkit.channels.messages import Member, MemberChange

__all__ = ["Join", "Presence"]

#: Whose join it is, and which of its joins.
_Key = tuple[str, int]


class Join(NamedTuple):
    """One `join` that has not ended.

    Attributes:
        topic: of it.
        key: tells the joins of an owner apart.
        member: who.
    """

    topic: str
    key: int
    member: Member


class Presence:
    """The joins of several owners."""

    def __init__(self) -> None:
        self._joins: dict[_Key, Join] = {}
        #: By topic and name, in the order in which they have come.
        self._topics: dict[str, dict[str, dict[_Key, Member]]] = {}

    def add(self, owner: str, join: Join) -> MemberChange | None:
        """A join; the change that it makes, if any."""
        self._joins[owner, join.key] = join
        names = self._topics.setdefault(join.topic, {})
        joins = names.setdefault(join.member.name, {})
        joins[owner, join.key] = join.member
        return _change(join, "join") if len(joins) == 1 else None

    def remove(self, owner: str, key: int) -> MemberChange | None:
        """The end of a join, which may have ended before; the change that it makes, if any."""
        join = self._joins.pop((owner, key), None)
        if join is None:
            return None
        names = self._topics[join.topic]
        joins = names[join.member.name]
        del joins[owner, key]
        if joins:
            return None
        del names[join.member.name]
        if not names:
            del self._topics[join.topic]
        return _change(join, "leave")

    def remove_owner(self, owner: str) -> list[MemberChange]:
        """The end of everything of an owner; the changes that it makes."""
        changes = (self.remove(owner, join.key) for join in list(self.of_owner(owner)))
        return [change for change in changes if change is not None]

    def of_owner(self, owner: str) -> Iterator[Join]:
        """The joins of an owner."""
        return (join for (each, _), join in self._joins.items() if each == owner)

    def members(self, topic: str) -> list[Member]:
        """Who is there, the first one first, with what the last join of a name has said."""
        names = self._topics.get(topic, {})
        return [next(reversed(joins.values())) for joins in names.values()]


def _change(join: Join, kind: Literal["join", "leave"]) -> MemberChange:
    return MemberChange(join.topic, kind, join.member)
