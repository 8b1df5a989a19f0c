"""What is sent for a file: its representations, by coding, whole, in part or not at all.

Owns the choice among the file and its coded siblings (RFC 9110 §12.5.3), and the shortest way to
the answers that are asked for most: the whole, and 304 for a browser that has it. Everything else
takes the road of `httpkit.representation`. A resource is immutable; its bytes are read already, or
its files are open.
"""

import hashlib
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from httpkit.body import CHEAP_COPY, FileBody
from httpkit.headers import MutableHeaders, encode_header
from httpkit.representation import (
    answer_conditionally,
    answer_range,
    cut_ranges,
    file_etag,
    make_not_modified,
    modified_at,
)
from httpkit.request import Request
from httpkit.response import Response
from httpkit.semantics.conditional import ETag
from httpkit.semantics.dates import format_http_date
from httpkit.semantics.negotiation import preferred_token
from httpkit.static.lookup import Identity

__all__ = ["Content", "Representation", "Resource"]

#: Fields of a request that decide which answer it gets.
_CONDITIONS = frozenset(
    (b"if-match", b"if-modified-since", b"if-none-match", b"if-unmodified-since", b"range")
)
#: Of them, and besides, what browsers seldom or never send; a second line of others counts as such.
_RARE = frozenset((b"if-match", b"if-none-match", b"if-range", b"if-unmodified-since", b"range"))
#: Values of `Accept-Encoding` that a resource remembers; browsers have a handful, and short ones.
#: Others are the client's choice, and would take a megabyte of each resource.
_MAX_CHOICES, _MAX_CHOICE = 32, 64
#: Parts of a file that are remembered: players begin alike, and playlists name parts for all.
_MAX_PARTS = 16
#: Bytes that an answer takes in memory besides its body.
_OVERHEAD = 2048


class Content(NamedTuple):
    """A file that has been found.

    Attributes:
        coding: of its bytes, `identity` for none.
        file: it, open; of whole length.
        data: its bytes, where it is small enough to be kept in memory.
    """

    coding: str
    file: FileBody
    data: bytes | None


class Representation:
    """One coding of a resource, ready to be sent.

    Args:
        content: the file.
        fields: what all representations have in common.
        now: Unix timestamp.

    Attributes:
        cost: bytes that it takes in memory.
        settled: whether the file can no longer change without showing it.
    """

    __slots__ = ("_file", "_not_modified", "_parts", "_tag", "_whole", "cost", "settled")

    def __init__(self, content: Content, fields: Sequence[tuple[bytes, bytes]], now: float) -> None:
        coding, file, data = content
        coded = coding != "identity"
        suffix = f"-{coding}" if coded else ""
        tag = file_etag(file, now, suffix)
        self.settled = not tag.weak
        if data is not None:
            # Reproducible builds give every version the same time, and names with a hash of their
            # content, of which a page is full, leave it the same size. A hash is never weak.
            digest = hashlib.blake2b(data, digest_size=16)
            tag = ETag(digest.hexdigest() + suffix)
        said = dict(fields)  # by a rule of the application: there is one tag and one date
        own_tag = ETag.parse(said.get(b"etag", b"").decode("latin-1"))
        if own_tag is not None:
            tag = own_tag._replace(opaque=own_tag.opaque + suffix)
        self._tag = str(tag).encode()
        modified = encode_header("last-modified", format_http_date(modified_at(file, now)))
        self._file = file if data is None else None
        self._whole = Response(file if data is None else data)
        self._whole.raw_headers = [
            *[field for field in fields if field[0] != b"etag"],
            *([(b"content-encoding", coding.encode())] if coded else []),
            (b"etag", self._tag),
            *([modified] if b"last-modified" not in said else []),
            (b"accept-ranges", b"bytes"),
        ]
        self._not_modified = make_not_modified(self._whole)
        #: Parts of a file, by the field that asks for them.
        self._parts: dict[bytes, Response] = {}
        # The bytes of the body, and those of the whole message that an engine keeps.
        self.cost = _OVERHEAD + (2 * len(data) if data is not None else 0)

    @property
    def is_open(self) -> bool:
        """Whether it holds a descriptor."""
        return self._file is not None

    def whole(self) -> Response:
        """The answer to a request without conditions."""
        response = self._whole.share()
        if self._file is not None:
            response.body = self._file.span(0)
        return response

    def answer(self, request: Request, fields: Iterable[tuple[bytes, bytes]]) -> Response:
        """The answer to a request with these fields, conditions and ranges among them.

        Raises:
            HTTPError: 412, or 416.
        """
        tag = span = None
        dated = False
        for name, value in fields:
            if name == b"if-none-match" and tag is None:
                tag = value
            elif name == b"range" and span is None:
                span = value
            elif name == b"if-modified-since":
                dated = True
            elif name in _RARE:
                return self._answer_fully(request)
        if tag == self._tag:  # RFC 9110 §13.2.2: a date counts for nothing then, nor a range
            return self._not_modified.share()
        if tag is None and not dated:
            if span is None:
                return self.whole()
            if request.method == "GET":
                return self._part(request, span)
        return self._answer_fully(request)

    def _part(self, request: Request, field: bytes) -> Response:
        """What a `Range` field asks for, all else decided.

        Raises:
            HTTPError: 416.
        """
        part = self._parts.get(field)
        if part is None:
            part = cut_ranges(request, self._whole, field.decode("latin-1"))
            if part is self._whole:
                return self.whole()
            if not isinstance(part.body, FileBody):
                return part
            if len(self._parts) >= _MAX_PARTS:
                self._parts.clear()
            if len(field) <= _MAX_CHOICE:
                self._parts[field] = part
        answer, body = part.share(), part.body
        assert isinstance(body, FileBody)
        answer.body = body = body.span(body.offset, body.length)
        if body.length <= CHEAP_COPY:
            answer.body = body.read_at_once(CHEAP_COPY) or body
        return answer

    def _answer_fully(self, request: Request) -> Response:
        now = time.time()
        response = answer_conditionally(request, self.whole(), now)
        return response if response.status == 304 else answer_range(request, response, now)


class Resource:
    """A file and its coded siblings.

    Args:
        contents: the representations, the server's favorite first; `identity` is the last.
        fields: header fields of each.
        probes: the paths whose state has led here, with what they led to.
        now: Unix timestamp.

    Attributes:
        probes: as given. As long as these are as they were, so is the resource.
        cost: bytes that it takes in memory.
        settled: whether it may be kept.
        checked: when the probes were looked at, on the clock of its owner.
        used: whether it has answered since then.
    """

    __slots__ = (
        "_choices",
        "_codings",
        "_decisive",
        "checked",
        "cost",
        "probes",
        "settled",
        "used",
    )

    def __init__(
        self,
        contents: Sequence[Content],
        fields: Sequence[tuple[bytes, bytes]],
        probes: Sequence[tuple[str, Identity | None]],
        now: float,
    ) -> None:
        negotiated = len(contents) > 1
        if negotiated:
            headers = MutableHeaders(list(fields))
            headers.add_vary("Accept-Encoding")
            fields = headers.raw
        self._codings = {each.coding: Representation(each, fields, now) for each in contents}
        self._decisive = _CONDITIONS | {b"accept-encoding"} if negotiated else _CONDITIONS
        self._choices: dict[bytes | None, Representation] = {None: self._codings["identity"]}
        self.probes = probes
        self.cost = sum(each.cost for each in self._codings.values())
        self.settled = all(each.settled for each in self._codings.values())
        self.checked = 0.0
        self.used = False

    @property
    def open_files(self) -> int:
        """How many descriptors it holds."""
        return sum(each.is_open for each in self._codings.values())

    def answer(self, request: Request) -> Response:
        """The answer to a GET or HEAD; does not wait.

        Raises:
            HTTPError: 412, or 416.
        """
        decisive, fields = self._decisive, request.raw_headers
        for name, _ in fields:
            if name in decisive:
                return self._choose(fields).answer(request, fields)
        return self._choices[None].whole()

    def whole(self, request: Request) -> Response:
        """The whole, whatever the conditions: for answers with another status."""
        return self._choose(request.raw_headers).whole()

    def _choose(self, fields: Iterable[tuple[bytes, bytes]]) -> Representation:
        """By `Accept-Encoding`; without it, or where nothing is acceptable, as it is."""
        choices = self._choices
        if len(self._codings) == 1:
            return choices[None]
        accepted = None
        for name, value in fields:
            if name == b"accept-encoding":
                accepted = value if accepted is None else accepted + b"," + value
        chosen = choices.get(accepted)
        if chosen is None:
            assert accepted is not None
            coding = preferred_token(accepted.decode("latin-1"), list(self._codings))
            chosen = self._codings[coding or "identity"]
            if len(choices) < _MAX_CHOICES and len(accepted) <= _MAX_CHOICE:
                choices[accepted] = chosen
        return chosen
