"""`Compress`: content codings by what the client accepts (RFC 9110 §8.4, §12.5.3).

Owns the choice and what becomes of the fields of an answer; the codings stand in `codings.py`.
Refuses what would not become smaller, and what must stay as it is.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Sequence

from httpkit.body import FileBody, UnopenedFile
from httpkit.errors import ConfigurationError
from httpkit.headers import MutableHeaders
from httpkit.middleware.codings import CODINGS, Encoder, make_encoder
from httpkit.request import Request
from httpkit.response import Response, Upgrade
from httpkit.semantics.cache_control import CacheControl
from httpkit.semantics.conditional import ETag
from httpkit.semantics.media_types import parse_media_type
from httpkit.semantics.negotiation import preferred_token
from httpkit.types import Next

__all__ = ["COMPRESSIBLE", "Compress"]

#: Media types that are worth it, besides `text/*` and those that end in `+json`, `+xml` or `+text`.
#: Images, video, archives and `woff2` are compressed already.
COMPRESSIBLE = frozenset(
    {
        "application/graphql",
        "application/javascript",
        "application/json",
        "application/ld+json",
        "application/manifest+json",
        "application/ndjson",
        "application/rtf",
        "application/toml",
        "application/vnd.ms-fontobject",
        "application/wasm",
        "application/x-javascript",
        "application/x-ndjson",
        "application/xml",
        "application/yaml",
        "font/otf",
        "font/ttf",
        "image/bmp",
        "image/svg+xml",
        "image/vnd.microsoft.icon",
    }
)
#: Bodies from this size on are compressed in a thread, since that takes milliseconds.
_IN_THREAD = 65_536
_TAGGED = frozenset({b"if-match", b"if-none-match"})
_SUFFIXED = re.compile(rb'((W/|)"([^"]*)-(?:%b)")' % "|".join(CODINGS).encode())
#: Statuses whose content is not compressed: it has none, or is a part of something coded.
_LEFT_ALONE = frozenset({204, 205, 206, 304})


class Compress:
    """Middleware: br, zstd or gzip, by `Accept-Encoding`.

    Every answer whose type is worth it says `Vary: Accept-Encoding`, compressed or not, so that
    caches keep both apart; a 304 says so, too. A coded answer has a tag of its own, and the request
    for it is understood again (RFC 9110 §8.8.3.3). Streams are compressed as they come, each piece
    so that the client can read it at once.

    Left alone: what has a `Content-Encoding`, `no-transform` (RFC 9111 §5.2.2.6), parts, and bodies
    below the minimum size.

    Secrets: where a page contains a secret (a CSRF token) and repeats what the request said, an
    attacker who sees sizes can guess it (BREACH, CVE-2013-3587). Mask the secret in each answer, or
    say `cache(no_transform=True)` for such routes.

    Args:
        codings: that are offered, the favorite first; by default br, zstd and gzip as far as they
            are installed (the extra `compress` has the first two).
        minimum_size: bytes; a smaller body hardly shrinks, and fits into one packet anyway.
        media_types: that are compressed besides `text/*` and those with `+json`, `+xml`, `+text`.

    Raises:
        ConfigurationError: an unknown coding, one that is not installed, or a negative size.
    """

    def __init__(
        self,
        codings: Sequence[str] | None = None,
        *,
        minimum_size: int = 1024,
        media_types: Iterable[str] = COMPRESSIBLE,
    ) -> None:
        if minimum_size < 0:
            raise ConfigurationError("Compress: minimum_size is in bytes, 0 or more")
        available = [name for name, is_there in CODINGS.items() if is_there()]
        self._codings = available if codings is None else list(codings)
        for name in self._codings:
            if name not in CODINGS:
                raise ConfigurationError(
                    f"Compress: {name!r} is no coding: use {', '.join(CODINGS)}"
                )
            if name not in available:
                raise ConfigurationError(
                    f"Compress: {name} needs a library: pip install 'httpkit[compress]'"
                )
        self._minimum_size = minimum_size
        self._media_types = frozenset(each.lower() for each in media_types)

    async def __call__(self, request: Request, next: Next) -> Response:
        """Answer in the coding that the client likes best."""
        coding = self._choose(request)
        response = await next(_without_suffixes(request))
        if isinstance(response, Upgrade):
            return response
        if response.status == 304:
            return _confirm(request, response)
        if not self._may_be_coded(response):
            return response
        response = response.copy()
        response.headers.add_vary("Accept-Encoding")
        if coding is None or not self._is_worth_it(response):
            return response
        return await _encode(response, coding)

    def _choose(self, request: Request) -> str | None:
        """RFC 9110 §12.5.3: without the field anything goes, so what is simplest."""
        accepted = request.headers.get("accept-encoding")
        if accepted is None:
            return None
        # Among equals ours decide, and identity is the last of them.
        chosen = preferred_token(accepted, [*self._codings, "identity"])
        return None if chosen == "identity" else chosen

    def _may_be_coded(self, response: Response) -> bool:
        """Whether this answer looks different to different clients."""
        fields = response.raw_headers
        names = {name for name, _ in fields}
        if response.status in _LEFT_ALONE or b"content-encoding" in names:
            return False
        if b"content-range" in names:
            return False
        lines = [value.decode("latin-1") for name, value in fields if name == b"cache-control"]
        if "no-transform" in CacheControl.parse(lines):
            return False
        types = [value.decode("latin-1") for name, value in fields if name == b"content-type"]
        media_type = parse_media_type(types[0]) if types else None
        return media_type is not None and self._is_compressible(media_type.essence)

    def _is_compressible(self, essence: str) -> bool:
        # Servers of events flush what they have, and browsers take it coded, too.
        return (
            essence.startswith("text/")
            or essence.endswith(("+json", "+xml", "+text"))
            or essence in self._media_types
        )

    def _is_worth_it(self, response: Response) -> bool:
        body = response.body
        if isinstance(body, bytes):
            return len(body) >= max(1, self._minimum_size)
        if isinstance(body, FileBody):
            return body.length >= max(1, self._minimum_size)
        return not isinstance(body, UnopenedFile)


async def _encode(response: Response, coding: str) -> Response:
    """Code the body, and say so."""
    body = response.body
    if isinstance(body, bytes):
        encoder = make_encoder(coding, len(body))
        if len(body) < _IN_THREAD:
            coded = encoder.compress(body) + encoder.finish()
        else:
            coded = await asyncio.to_thread(lambda: encoder.compress(body) + encoder.finish())
        if len(coded) >= len(body):
            return response
        response.body = coded
    elif isinstance(body, FileBody):
        response.body = _encode_file(body, make_encoder(coding, body.length))
    else:
        assert not isinstance(body, UnopenedFile)
        response.body = _encode_stream(body, make_encoder(coding, None))
    headers = response.headers
    headers.discard("content-length")
    headers.discard("accept-ranges")
    headers.discard("content-md5")
    headers["content-encoding"] = coding
    _suffix_etag(headers, coding)
    return response


async def _encode_stream(
    body: AsyncIterable[bytes | str], encoder: Encoder
) -> AsyncGenerator[bytes, None]:
    """Piece by piece: what a piece says can be read when it has arrived."""
    iterator = aiter(body)
    try:
        async for chunk in iterator:
            data = chunk.encode() if isinstance(chunk, str) else bytes(memoryview(chunk))
            if coded := encoder.compress(data) + encoder.flush():
                yield coded
        yield encoder.finish()
    finally:
        if isinstance(iterator, AsyncGenerator):
            await iterator.aclose()


async def _encode_file(body: FileBody, encoder: Encoder) -> AsyncGenerator[bytes, None]:
    """In pieces, read and coded in a thread."""

    def step() -> tuple[bytes, bool]:
        data = body.read(262_144)
        return (encoder.compress(data), False) if data else (encoder.finish(), True)

    try:
        over = False
        while not over:
            coded, over = await asyncio.to_thread(step)
            if coded:
                yield coded
    finally:
        body.close()


def _suffix_etag(headers: MutableHeaders, coding: str) -> None:
    """RFC 9110 §8.8.1: another coding is another representation."""
    tag = ETag.parse(headers.get("etag", ""))
    if tag is not None:
        headers["etag"] = str(tag._replace(opaque=f"{tag.opaque}-{coding}"))


def _without_suffixes(request: Request) -> Request:
    """The request with the tags that are known further inside.

    Behind each tag with a suffix the one without it is listed, too. For `If-None-Match` that is the
    same content; for `If-Match`, which protects changes, the same state of the resource.
    """
    fields = request.raw_headers
    if not any(name in _TAGGED for name, _ in fields):
        return request
    return request.replace_headers(
        [
            (name, _SUFFIXED.sub(rb'\1, \2"\3"', value) if name in _TAGGED else value)
            for name, value in fields
        ]
    )


def _confirm(request: Request, response: Response) -> Response:
    """A 304 with the tag that the client has (RFC 9110 §15.4.5)."""
    response = response.copy()
    response.headers.add_vary("Accept-Encoding")
    tag = ETag.parse(response.headers.get("etag", ""))
    if tag is not None:
        sent = request.headers.get("if-none-match", "")
        for name in CODINGS:
            coded = tag._replace(opaque=f"{tag.opaque}-{name}")
            if f'"{coded.opaque}"' in sent:
                response.headers["etag"] = str(coded)
                break
    return response
