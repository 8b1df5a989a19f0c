"""The vocabulary of the chat: rooms, visitors, and the events that travel, with their limits.

Events are objects of JSON with a `kind`. Those that pages send are validated here before anything
is done with them; those that pages get are made here.
"""

import os
import re
import unicodedata
from collections.abc import Collection
from hashlib import sha256
from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import Meta, Struct

from httpkit import HTTPError, Request

#: How many messages of a room are kept, and how many of them a page gets that is new there.
HISTORY = 200
SHOWN = 50
#: Bytes of what a page may send at once: a text of `Say` in four-byte letters, and its envelope.
MAX_EVENT = 9_000
MAX_NAME = 24
#: Names that a page gets: each of a crowd hears of each who comes.
PEOPLE_SHOWN = 100

_ROOM = re.compile(r"[a-z0-9-]{1,32}")


class RoomConverter:
    """`{room:room}` in patterns: up to 32 lower-case letters, digits and hyphens."""

    def convert(self, text: str) -> str:
        if _ROOM.fullmatch(text) is None:
            raise ValueError(text)
        return text

    def to_string(self, value: str) -> str:
        return value


class Visitor(NamedTuple):
    """Somebody in a room.

    Attributes:
        name: as others see it; empty for somebody who only looks on.
        session: tells apart people who ask for the same name; never sent to pages.
    """

    name: str
    session: str


def read_visitor(request: Request) -> Visitor:
    """Who asks: `name` of the query, and the cookie of the page.

    Raises:
        HTTPError: 400, a name that cannot be shown.
    """
    cookie = request.cookies.get(session_cookie(request)[0], "")
    # A digest, since it goes through other processes, which need not know the cookie.
    session = sha256(cookie.encode()).hexdigest()[:16] if cookie else ""
    return Visitor(clean_name(request.query.get("name", "")), session)


def session_cookie(request: Request) -> tuple[str, bool]:
    """Its name, and whether it is for TLS alone.

    Two names, since a page without TLS can neither see nor replace a cookie that is for TLS alone
    (RFC 6265bis §5.7, §4.1.3.2).
    """
    return ("__Host-chat", True) if request.url.scheme == "https" else ("chat", False)


def clean_name(name: str) -> str:
    """A name as RFC 8266 §2.3 prepares nicknames, without what cannot be seen or turns text around.

    Raises:
        HTTPError: 400, too long.
    """
    plain = " ".join(unicodedata.normalize("NFKC", name).split())
    cleaned = "".join(each for each in plain if unicodedata.category(each)[0] != "C")
    if len(cleaned) > MAX_NAME:
        raise HTTPError(400, f"A name has up to {MAX_NAME} characters.")
    return cleaned


def is_same_name(one: str, other: str) -> bool:
    """Names that differ by case alone are the same (RFC 8266 §2.4)."""
    return one.casefold() == other.casefold()


# --- what pages send -----------------------------------------------------------------------


class Say(Struct, tag_field="kind", tag="message", forbid_unknown_fields=True):
    """A message. `key` is the page's own: it knows the message by it when it comes back."""

    key: Annotated[str, Meta(pattern="^[0-9a-f]{24}$")]
    text: Annotated[str, Meta(min_length=1, max_length=2000)]


class Type(Struct, tag_field="kind", tag="typing", forbid_unknown_fields=True):
    """A sign that somebody is writing."""


FromPage = Say | Type
_decoder = msgspec.json.Decoder(FromPage)


def read_event(data: str | bytes) -> FromPage:
    """What a page has sent.

    Raises:
        HTTPError: 400, with what is wrong with it.
    """
    try:
        event: FromPage = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HTTPError(400, f"Not an event: {error}.") from None
    return event


# --- what pages get ------------------------------------------------------------------------


def message_text(name: str, said: Say, at: float) -> str:
    """A message as it is published: once, for every page. `at` is Unix time in seconds."""
    return encode(
        {"kind": "message", "key": said.key, "name": name, "text": said.text, "at": int(at * 1000)}
    )


def typing_text(name: str) -> str:
    return encode({"kind": "typing", "name": name})


def members_text(names: Collection[str]) -> tuple[str, str]:
    """Who is here, and the version by which a page tells that it knows this already."""
    shown = sorted(names, key=str.casefold)[:PEOPLE_SHOWN]
    members = {"kind": "members", "names": shown, "count": len(names)}
    version = sha256(encode(members).encode()).hexdigest()[:8]
    return encode(members | {"version": version}), version


def welcome_text(request: Request) -> str:
    """What a page shows about its connection."""
    return encode({"kind": "welcome", "protocol": request.http_version, "worker": os.getpid()})


def gap_text() -> str:
    """Not everything that the page has missed is still known."""
    return encode({"kind": "gap"})


def refused_text(key: str | None, error: HTTPError) -> str:
    """Why something was not said; from 500 on it may be sent again."""
    return encode({"kind": "refused", "key": key, "status": error.status, "detail": error.detail})


def encode(value: Any) -> str:
    return msgspec.json.encode(value).decode()
