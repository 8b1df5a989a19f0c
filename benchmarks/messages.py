"""The requests that the cases send.

The same requests are first sent by :mod:`benchmarks.verify` and then by the load generator, over
HTTP/1.1 in the very same bytes, so what is verified is what is measured.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

Headers = Sequence[tuple[str, str]]

BROWSER_VARIANTS = 1024
BROWSER_SEED = 9110
_SYSTEMS = (
    ("Windows NT 10.0; Win64; x64", '"Windows"'),
    ("Macintosh; Intel Mac OS X 10_15_7", '"macOS"'),
    ("X11; Linux x86_64", '"Linux"'),
)
_LANGUAGES = ("en-US,en;q=0.9", "en-GB,en;q=0.8", "de-DE,de;q=0.9,en;q=0.6", "ja,en-US;q=0.7")
_SITES = ("same-origin", "same-site", "cross-site", "none")


@dataclass(frozen=True, slots=True)
class Request:
    """A request, whichever version of HTTP carries it."""

    method: str
    target: str
    headers: Headers = ()
    body: bytes = b""

    def serialize(self, authority: str) -> bytes:
        """Return it as a message of HTTP/1.1; ``authority`` is the value of its Host field."""
        lines = [f"{self.method} {self.target} HTTP/1.1", f"Host: {authority}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        if self.body:
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join([*lines, "", ""]).encode("ascii") + self.body


#: The fields of a WebSocket's handshake (RFC 6455 §4.1), no extensions; the key is that of §1.3.
_HANDSHAKE = (
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("Sec-WebSocket-Version", "13"),
)
#: Opens a WebSocket that sends each message back.
UPGRADE = Request("GET", "/ws", _HANDSHAKE)
#: Opens a WebSocket that gets ``JOINED`` at once, and then what is posted to the same path.
JOIN = Request("GET", "/room", _HANDSHAKE)
JOINED = "joined"
#: What a post to the room is answered with.
SENT = b"sent"


def browser_headers(source: random.Random) -> Headers:
    """Return the 14 headers that a browser sends next to Host, with values of one visitor.

    User-Agent, Referer, Cookie and the language vary from visitor to visitor, as they do in
    reality, so that a server cannot answer from a cache of headers that it has already seen.
    """
    system, platform = source.choice(_SYSTEMS)
    version = f"{source.randrange(120, 150)}.0.{source.randrange(5000, 7000)}.0"
    brand = f'"Chromium";v="{version[:3]}", "Not.A/Brand";v="{source.randrange(8, 100)}"'
    return (
        ("sec-ch-ua", brand),
        ("sec-ch-ua-mobile", source.choice(("?0", "?1"))),
        ("sec-ch-ua-platform", platform),
        ("Upgrade-Insecure-Requests", "1"),
        (
            "User-Agent",
            (
                f"Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) "
                f"Chrome/{version} Safari/537.36"
            ),
        ),
        (
            "Accept",
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
        ),
        ("Sec-Fetch-Site", source.choice(_SITES)),
        ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-User", "?1"),
        ("Sec-Fetch-Dest", "document"),
        ("Referer", f"https://www.example.com/search?q={source.getrandbits(64):x}&page=2"),
        ("Accept-Encoding", "gzip, deflate, br, zstd"),
        ("Accept-Language", source.choice(_LANGUAGES)),
        (
            "Cookie",
            (
                f"session={source.getrandbits(128):032x}; visitor={source.getrandbits(48)}; "
                f"theme={source.choice(('light', 'dark'))}"
            ),
        ),
    )


def browser_requests() -> list[Request]:
    """Return many different browser-like GETs of ``/`` with 15 headers each, Host included."""
    source = random.Random(BROWSER_SEED)  # the same visitors for every server
    return [Request("GET", "/", browser_headers(source)) for _ in range(BROWSER_VARIANTS)]
