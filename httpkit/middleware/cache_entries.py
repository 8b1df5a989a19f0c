"""What a `ResponseCache` keeps: stored answers, and what stands for a URL that has several.

Owns the form of an entry in memory and as bytes, and the answer that is made of it. Knows no store.
"""

from hashlib import blake2b

import msgspec

from httpkit.headers import Headers
from httpkit.response import Response
from httpkit.semantics.cache_control import CacheControl
from httpkit.semantics.cache_status import format_cache_status
from httpkit.semantics.caching import vary_values

__all__ = ["Entry", "StoredResponse", "VaryBy", "decode_entry", "encode_entry"]


class VaryBy(msgspec.Struct, frozen=True, tag="vary"):
    """Stands for a URL whose answers differ by request fields (RFC 9111 §4.1).

    Attributes:
        names: of the fields, sorted, in lower case.
    """

    names: tuple[str, ...]

    def variant(self, request: Headers) -> str:
        """What tells the answer for a request from others: short, whatever the fields are."""
        values = msgspec.json.encode((self.names, vary_values(self.names, request)))
        return blake2b(values, digest_size=16).hexdigest()


class _Record(msgspec.Struct, tag="response"):
    """A stored answer as bytes."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    received: float
    age: float
    lifetime: float
    tags: tuple[str, ...]


class StoredResponse:
    """A stored answer.

    Args:
        status: of the answer.
        headers: its fields, `Date` among them.
        body: its content.
        received: Unix time when it came.
        initial_age: seconds, what its age was then (RFC 9111 §4.2.3, corrected_initial_age).
        lifetime: seconds, the age at which it is stale.
        tags: that it can be invalidated by.

    Attributes:
        control: what it says about its use.
        fresh_until: Unix time, up to which it is sent to whoever asks for nothing special.
        size: bytes that it takes in memory, at most: the content stands in the prepared bytes
            again.
    """

    __slots__ = (
        "_prepared",
        "_prepared_from",
        "_prepared_until",
        "body",
        "control",
        "fresh_until",
        "headers",
        "initial_age",
        "lifetime",
        "received",
        "size",
        "status",
        "tags",
    )

    def __init__(
        self,
        status: int,
        headers: Headers,
        body: bytes,
        *,
        received: float,
        initial_age: float,
        lifetime: float,
        tags: tuple[str, ...] = (),
    ) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.received = received
        self.initial_age = initial_age
        self.lifetime = lifetime
        self.tags = tags
        self.control = CacheControl.parse(headers.getlist("cache-control"))
        left = lifetime - initial_age
        usable = left > 0 and not self.control.forbids("no-cache")
        self.fresh_until = received + left if usable else 0.0
        fields = sum(len(name) + len(value) + 150 for name, value in headers.raw)
        self.size = 2 * (len(body) + fields) + 1000
        self._prepared: Response | None = None
        self._prepared_from = self._prepared_until = 0.0

    @property
    def has_validator(self) -> bool:
        """Whether the handler can be asked to confirm it (RFC 9111 §4.3.1)."""
        return "etag" in self.headers or "last-modified" in self.headers

    def age(self, now: float) -> float:
        """How old it is, in seconds (RFC 9111 §4.2.3)."""
        return self.initial_age + max(0.0, now - self.received)

    def hit(self, now: float, cache: str) -> Response:
        """The answer for a request that it satisfies; prepared once for each second of its age."""
        if self._prepared is None or not self._prepared_from <= now < self._prepared_until:
            age = self.age(now)
            second = int(age)
            ttl = int(self.lifetime) - second
            self._prepared = self.answer(age, format_cache_status(cache, hit=True, ttl=ttl))
            self._prepared_from = now
            self._prepared_until = now + (second + 1 - age)
        return self._prepared.share()

    def answer(self, age: float, cache_status: str | None = None) -> Response:
        """The answer, with `Age` (RFC 9111 §5.1), and `Cache-Status` behind those it had."""
        response = Response(self.body, self.status)
        response.raw_headers = [*self.headers.raw, (b"age", b"%d" % int(age))]
        if cache_status is not None:
            response.headers.add("cache-status", cache_status)
        return response


Entry = StoredResponse | VaryBy
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Record | VaryBy)


def encode_entry(entry: Entry) -> bytes:
    """An entry as bytes, for stores outside of this process."""
    if isinstance(entry, VaryBy):
        return _encoder.encode(entry)
    return _encoder.encode(
        _Record(
            entry.status,
            entry.headers.raw,
            entry.body,
            entry.received,
            entry.initial_age,
            entry.lifetime,
            entry.tags,
        )
    )


def decode_entry(data: bytes) -> Entry | None:
    """The entry again; `None` if the bytes are none, e.g. of another version."""
    try:
        entry = _decoder.decode(data)
    except msgspec.MsgspecError:
        return None
    if isinstance(entry, VaryBy):
        return entry
    return StoredResponse(
        entry.status,
        Headers(entry.headers),
        entry.body,
        received=entry.received,
        initial_age=entry.age,
        lifetime=entry.lifetime,
        tags=entry.tags,
    )
