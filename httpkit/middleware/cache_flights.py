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

__all__ = ["FlightKey", "Flights", "Forwarding"]

#: A key of the store, and the variant as far as it is known.
FlightKey = tuple[str, str]

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


class _Flight:
    """A request that others wait for."""

    __slots__ = ("_over", "landed")

    def __init__(self) -> None:
        self._over = asyncio.Event()
        #: It has an answer, or an error that others would get, too.
        self.landed = False

    def end(self, *, landed: bool) -> None:
        self.landed = landed
        self._over.set()

    async def wait(self) -> bool:
        """Wait for its end; whether it has landed. If it was cancelled, somebody else has to go."""
        await self._over.wait()
        return self.landed


class Flights:
    """What is under way in one cache."""

    def __init__(self) -> None:
        self._flights: dict[FlightKey, _Flight] = {}
        self._forwardings: set[Forwarding] = set()
        self._revalidations: dict[FlightKey, float] = {}
        self._passes: OrderedDict[str, float] = OrderedDict()

    # --- flights -----------------------------------------------------------------------------

    def find(self, key: FlightKey) -> "_Flight | None":
        """The flight to wait for."""
        return self._flights.get(key)

    @contextmanager
    def lead(self, key: FlightKey) -> Iterator[None]:
        """Fly: others wait until this ends."""
        flight = self._flights[key] = _Flight()
        landed = False
        try:
            yield
            landed = True
        except Exception:
            landed = True
            raise
        finally:
            del self._flights[key]
            flight.end(landed=landed)

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
        begun = self._revalidations.get(key)
        if begun is not None and 0 <= now - begun < _GIVE_UP:
            return False
        self._revalidations[key] = now
        return True

    def end_revalidation(self, key: FlightKey) -> None:
        """It is done, well or not."""
        self._revalidations.pop(key, None)

    # --- passes ------------------------------------------------------------------------------

    def passes(self, key: str, now: float) -> bool:
        """Whether waiting for others is in vain."""
        ends = self._passes.get(key)
        return ends is not None and now < ends

    def let_pass(self, key: str, now: float) -> None:
        """The answer could not be stored."""
        self._passes[key] = now + _PASS
        self._passes.move_to_end(key)
        if len(self._passes) > _MAX_PASSES:
            self._passes.popitem(last=False)

    def stop_passing(self, key: str) -> None:
        """It could."""
        self._passes.pop(key, None)
