"""Who runs the handler, and what happened meanwhile: the bookkeeping of a `ResponseCache`.

Owns three things that live as long as a request: flights, which others wait for instead of running
the same handler; forwardings, so that nothing is stored that was invalidated while it was computed;
and passes, URLs whose answers cannot be stored, for which nobody should wait. It belongs to one
event loop, and asks for no time by itself.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from httpkit.errors import HTTPError

__all__ = ["MAX_LOSSES", "Flight", "FlightKey", "Flights", "Forwarding"]

#: A key of the store, and the variant as far as it is known.
FlightKey = tuple[str, str]

#: Flights that one request waits for in vain before it goes alone: more of them would add up to a
#: wait that nobody has asked for, fewer would send everybody to a handler that fails at once.
MAX_LOSSES = 3
#: Seconds for which an answer that could not be stored means that the next one cannot either.
_PASS = 60.0
#: URLs that this is remembered of.
_MAX_PASSES = 10_000
#: Seconds after which a revalidation that was never begun is given up: its client had gone.
_GIVE_UP = 30.0


class Forwarding:
    """A request on its way to the handler, and what was invalidated since it left.

    Attributes:
        key: of the store.
        since: Unix time when it left.
    """

    __slots__ = ("_key_is_invalid", "_tags", "key", "since")

    def __init__(self, key: str, since: float) -> None:
        self.key = key
        self.since = since
        self._key_is_invalid = False
        self._tags: set[str] = set()

    def invalidate(self) -> None:
        """Its URL has been invalidated."""
        self._key_is_invalid = True

    def invalidate_tag(self, tag: str) -> None:
        """Every answer with this tag has been invalidated."""
        self._tags.add(tag)

    def is_valid(self, tags: Iterable[str]) -> bool:
        """Whether its answer may still be stored."""
        return not self._key_is_invalid and self._tags.isdisjoint(tags)


class Flight:
    """A request that others wait for.

    Attributes:
        status: of its answer, or of the error that it ended with; `None` if it was cancelled.
        landed: whoever waited is answered by what it brought, or has to go alone. Otherwise one of
            them flies again: it was cancelled, it failed, or its answer had become invalid.
    """

    __slots__ = ("_over", "landed", "status")

    def __init__(self) -> None:
        self._over = asyncio.Event()
        self.landed = False
        self.status: int | None = None

    def end(self, status: int, *, landed: bool) -> None:
        """It has an answer."""
        self.status, self.landed = status, landed

    def release(self) -> None:
        """Let those who wait go on."""
        self._over.set()

    async def wait(self) -> None:
        """Wait for its end."""
        await self._over.wait()


class Flights:
    """What is under way in one cache."""

    def __init__(self) -> None:
        self._flights: dict[FlightKey, Flight] = {}
        self._forwardings: set[Forwarding] = set()
        self._revalidations: dict[FlightKey, float] = {}
        #: By the hash of the key, since keys are as long as clients make them. Two that share one
        #: would not wait for others, which is no harm.
        self._passes: OrderedDict[int, float] = OrderedDict()

    # --- flights -----------------------------------------------------------------------------

    def find(self, key: FlightKey) -> Flight | None:
        """The flight to wait for."""
        return self._flights.get(key)

    @contextmanager
    def lead(self, key: FlightKey) -> Iterator[Flight]:
        """Fly: others wait until this ends. Who leads calls `end`; an exception does by itself."""
        flight = self._flights[key] = Flight()
        try:
            yield flight
        except HTTPError as error:
            flight.end(error.status, landed=error.status < 500)
            raise
        except Exception:
            flight.end(500, landed=False)
            raise
        finally:
            del self._flights[key]
            flight.release()

    # --- forwardings -------------------------------------------------------------------------

    @contextmanager
    def forwarding(self, key: str, now: float) -> Iterator[Forwarding]:
        """Note what is invalidated meanwhile."""
        forwarding = Forwarding(key, now)
        self._forwardings.add(forwarding)
        try:
            yield forwarding
        finally:
            self._forwardings.discard(forwarding)

    def invalidate(self, key: str) -> None:
        """Answers to requests for this key that are under way are not to be stored."""
        for each in self._forwardings:
            if each.key == key:
                each.invalidate()

    def invalidate_prefix(self, prefix: str) -> None:
        """The same for all keys that begin so."""
        for each in self._forwardings:
            if each.key.startswith(prefix):
                each.invalidate()

    def invalidate_tag(self, tag: str) -> None:
        """The same for all answers that turn out to have this tag."""
        for each in self._forwardings:
            each.invalidate_tag(tag)

    # --- revalidations -----------------------------------------------------------------------

    def begin_revalidation(self, key: FlightKey, now: float) -> bool:
        """Whether to revalidate: nobody else is about to."""
        while self._revalidations:  # in the order in which they were begun
            oldest, begun = next(iter(self._revalidations.items()))
            if 0 <= now - begun < _GIVE_UP:
                break
            del self._revalidations[oldest]
        if key in self._revalidations:
            return False
        self._revalidations[key] = now
        return True

    def end_revalidation(self, key: FlightKey) -> None:
        """It is done, well or not."""
        self._revalidations.pop(key, None)

    # --- passes ------------------------------------------------------------------------------

    def passes(self, key: str, now: float) -> bool:
        """Whether waiting for others is in vain."""
        ends = self._passes.get(hash(key))
        return ends is not None and now < ends

    def let_pass(self, key: str, now: float) -> None:
        """The answer could not be stored."""
        self._passes[hash(key)] = now + _PASS
        self._passes.move_to_end(hash(key))
        if len(self._passes) > _MAX_PASSES:
            self._passes.popitem(last=False)

    def stop_passing(self, key: str) -> None:
        """It could."""
        self._passes.pop(hash(key), None)
