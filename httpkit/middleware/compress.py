"""`Compress`: content codings by what the client accepts (RFC 9110 §8.4, §12.5.3).

Owns the choice and what becomes of the fields of an answer; the codings stand in `codings.py`.
Refuses what would not become smaller, and what must stay as it is.
"""

import asyncio
import math
import re
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Sequence
from collections.abc import Set as AbstractSet

from httpkit.body import FileBody, UnopenedFile, encode_piece
from httpkit.errors import ConfigurationError
from httpkit.headers import MutableHeaders
from httpkit.middleware.codings import CODINGS, Encoder, make_encoder
from httpkit.representation import make_not_modified, read_validators
from httpkit.request import Request
from httpkit.response import Response, Upgrade
from httpkit.semantics.cache_control import CacheControl, parse_delta
from httpkit.semantics.conditional import (
    ETag,
    Outcome,
    Validators,
    evaluate_preconditions,
)
from httpkit.semantics.media_types import parse_media_type
from httpkit.semantics.negotiation import preferred_token, refuses_token
from httpkit.types import Next

__all__ = ["COMPRESSIBLE", "Compress", "is_compressible"]

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
#: By what a client that has something gets a 304, and by what less than the whole.
_CONDITIONS = frozenset({b"if-modified-since", b"if-none-match"})
_SPARING = _CONDITIONS | {b"if-range", b"range"}
#: A tag with the suffix of a coding, by coding; and with any of them.
_SUFFIXED = {name: re.compile(rb'((W/|)"([^"]*)-%b")' % name.encode()) for name in CODINGS}
_SUFFIXED_ANYHOW = re.compile(rb'((W/|)"([^"]*)-(?:%b)")' % "|".join(CODINGS).encode())
#: Fields of a content that are those of its bytes, and not of the coded ones (RFC 9530 §2, §3).
_OF_THE_BYTES = (
    "accept-ranges",
    "content-digest",
    "content-length",
    "content-md5",
    "digest",
    "repr-digest",
)


class Compress:
    """Middleware: br, zstd or gzip, by `Accept-Encoding`.

    Every answer whose type is worth it says `Vary: Accept-Encoding`, compressed or not, so that
    caches keep both apart; a 304 and a part say so, too. A coded answer has a tag of its own, and
    the request for it is understood again (RFC 9110 §8.8.3.3). Streams are compressed as they come,
    each piece so that the client can read it at once.

    Left alone: what has a `Content-Encoding`, `no-transform` (RFC 9111 §5.2.2.6), parts, and bodies
    below the minimum size, unless the client refuses those that are not coded (`identity;q=0`).

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
        if not isinstance(minimum_size, int) or minimum_size < 0:
            raise ConfigurationError(
                f"Compress: minimum_size is {minimum_size!r}: give bytes, 0 or more"
            )
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
        response = await next(_without_suffixes(request, coding))
        if isinstance(response, Upgrade):
            return response
        if response.status == 304:
            confirmed = _confirm(request, response, coding)
            if confirmed is None:
                return await self._ask_whole(request, next, response)
            return confirmed
        if not self._may_be_coded(response):
            return response
        response = response.copy()
        response.headers.add_vary("Accept-Encoding")
        if coding is None or response.status == 206:
            return response
        size = _size_of(request, response)
        if not size or (size < self._minimum_size and not _refuses_identity(request)):
            return response
        return await _encode(request, response, coding)

    async def _ask_whole(self, request: Request, next: Next, answer: Response) -> Response:
        """The 304 again, with the tag of the 200: only that tells whether it would be coded."""
        fields = [field for field in request.raw_headers if field[0] not in _SPARING]
        whole = await self(request.replace_headers(fields), next)
        response = _decide_again(request, whole) if whole.status == 200 else whole.copy()
        for call in answer.background or ():
            response.add_background(call)
        return response

    def _choose(self, request: Request) -> str | None:
        """RFC 9110 §12.5.3: without the field anything goes, so what is simplest."""
        accepted = request.headers.get("accept-encoding")
        if accepted is None:
            return None
        # Among equals ours decide, and identity is the last of them.
        chosen = preferred_token(accepted, [*self._codings, "identity"])
        return None if chosen == "identity" else chosen

    def _may_be_coded(self, response: Response) -> bool:
        """Whether this answer looks different to different clients.

        A part is not coded, but the whole would have been (RFC 9110 §15.3.7).
        """
        fields = response.raw_headers
        names = {name for name, _ in fields}
        if response.status in (204, 205) or b"content-encoding" in names:
            return False
        if b"content-range" in names and response.status != 206:
            return False
        lines = [value.decode("latin-1") for name, value in fields if name == b"cache-control"]
        if "no-transform" in CacheControl.parse(lines):
            return False
        types = [value.decode("latin-1") for name, value in fields if name == b"content-type"]
        media_type = parse_media_type(types[0]) if types else None
        return media_type is not None and is_compressible(media_type.essence, self._media_types)


def _refuses_identity(request: Request) -> bool:
    """What is not coded goes as well, unless the client says otherwise (RFC 9110 §12.5.3)."""
    return refuses_token(request.headers.get("accept-encoding", ""), "identity")


def _size_of(request: Request, response: Response) -> float:
    """Bytes of its content; endless for a stream, and none for a file that is not open yet.

    Whoever leaves the content out for HEAD may announce what a GET would get.
    """
    body = response.body
    if isinstance(body, bytes):
        if body or request.method != "HEAD":
            return len(body)
        return parse_delta(response.headers.get("content-length", "")) or 0
    if isinstance(body, FileBody):
        return body.length
    return 0 if isinstance(body, UnopenedFile) else math.inf


def is_compressible(essence: str, media_types: AbstractSet[str] = COMPRESSIBLE) -> bool:
    """Whether content of a media type is worth it: text of any kind, or one of those named."""
    # Servers of events flush what they have, and browsers take it coded, too.
    return (
        essence.startswith("text/")
        or essence == "multipart/byteranges"  # parts of what may be text
        or essence.endswith(("+json", "+xml", "+text"))
        or essence in media_types
    )


async def _encode(request: Request, response: Response, coding: str) -> Response:
    """Code the body, and say so; one that would grow stays as it is unless that is refused."""
    body = response.body
    if body == b"":
        pass  # of a HEAD: that a GET is coded is known, but not how long it is (RFC 9110 §8.6)
    elif isinstance(body, bytes):
        encoder = make_encoder(coding, len(body))
        if len(body) < _IN_THREAD:
            coded = encoder.compress(body) + encoder.finish()
        else:
            coded = await asyncio.to_thread(lambda: encoder.compress(body) + encoder.finish())
        if len(coded) >= len(body) and not _refuses_identity(request):
            return response
        response.body = coded
    elif isinstance(body, FileBody):
        response.body = _encode_file(body, make_encoder(coding, body.length))
    else:
        assert not isinstance(body, UnopenedFile)
        response.body = _encode_stream(body, make_encoder(coding, None))
    headers = response.headers
    for name in _OF_THE_BYTES:
        headers.discard(name)
    headers["content-encoding"] = coding
    _suffix_etags(request, headers, coding)
    return response


async def _encode_stream(
    body: AsyncIterable[bytes | str], encoder: Encoder
) -> AsyncGenerator[bytes, None]:
    """Piece by piece: what a piece says can be read when it has arrived."""
    iterator = aiter(body)
    try:
        async for chunk in iterator:
            data = encode_piece(chunk)
            if coded := encoder.compress(data) + encoder.flush():
                yield coded
        yield encoder.finish()
    finally:
        if isinstance(iterator, AsyncGenerator):
            await iterator.aclose()


async def _encode_file(body: FileBody, encoder: Encoder) -> AsyncGenerator[bytes, None]:
    """In pieces, read and coded in a thread.

    Raises:
        LocalProtocolError: the file has changed meanwhile. The end of a coded file would hide that:
            its length is not announced.
    """

    def step() -> tuple[bytes, bool]:
        data = body.check(body.read(262_144))
        return (encoder.compress(data), False) if data else (encoder.finish(), True)

    try:
        over = False
        while not over:
            coded, over = await asyncio.to_thread(step)
            if coded:
                yield coded
    finally:
        body.close()


def _suffix_etags(request: Request, headers: MutableHeaders, coding: str) -> None:
    """RFC 9110 §8.8.1: another coding is another representation.

    So is the one whose tag `Request.check` was told, which middleware further outside may write.
    """
    tag = ETag.parse(headers.get("etag", ""))
    if tag is not None:
        headers["etag"] = str(_suffixed(tag, coding))
    known = request.validators
    if known is not None and known.etag is not None:
        request.validators = known._replace(etag=_suffixed(known.etag, coding))


def _suffixed(tag: ETag, coding: str) -> ETag:
    return tag._replace(opaque=f"{tag.opaque}-{coding}")


def _without_suffixes(request: Request, coding: str | None) -> Request:
    """The request with the tags that are known further inside.

    Behind a tag with a suffix the one without it is listed, too. What is read has to be in the
    coding of this very answer: a cache that asks with the tags of all that it has stored would take
    a 304 for any of them, and send br to a client that has not asked for it. Of changes every
    suffix protects the same state of the resource.
    """
    fields = request.raw_headers
    if not any(name in _TAGGED for name, _ in fields):
        return request
    patterns = dict.fromkeys(_TAGGED, _SUFFIXED_ANYHOW)
    if request.method in ("GET", "HEAD"):
        if coding is None:
            del patterns[b"if-none-match"]
        else:
            patterns[b"if-none-match"] = _SUFFIXED[coding]
    return request.replace_headers(
        [
            (name, patterns[name].sub(rb'\1, \2"\3"', value) if name in patterns else value)
            for name, value in fields
        ]
    )


def _confirm(request: Request, response: Response, coding: str | None) -> Response | None:
    """A 304 with the tag that the client has (RFC 9110 §15.4.5).

    `None` if it has named none, but a date or `*`: a 304 has the tag that the 200 would have, which
    this one does not tell.
    """
    response = response.copy()
    response.headers.add_vary("Accept-Encoding")
    tag = ETag.parse(response.headers.get("etag", ""))
    conditional = any(name in _CONDITIONS for name, _ in request.raw_headers)
    if tag is None or coding is None or not conditional:
        return response
    named = request.headers.get("if-none-match", "")
    coded = _suffixed(tag, coding)
    if f'"{coded.opaque}"' in named:
        response.headers["etag"] = str(coded)
        return response
    return response if f'"{tag.opaque}"' in named else None


def _decide_again(request: Request, whole: Response) -> Response:
    """A 304 with the tag of a 200, or that, if it is another one meanwhile."""
    said, told = read_validators(whole), request.validators or Validators()
    validators = Validators(said.etag or told.etag, said.last_modified or told.last_modified)
    conditions = {
        name: ", ".join(lines)
        for name in ("if-modified-since", "if-none-match")
        if (lines := request.headers.getlist(name))
    }
    if evaluate_preconditions(request.method, conditions, validators) is Outcome.PROCEED:
        return whole.copy()
    response = make_not_modified(whole)
    if validators.etag is not None:
        # Whoever writes what `Request.check` was told into a 200 does not do so here.
        response.headers["etag"] = str(validators.etag)
    return response
