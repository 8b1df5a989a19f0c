"""The TLS side of a server: contexts that follow their files, handshakes, what is said of them.

Owns when certificates are read anew. Implements `transport.handshake.HandshakeOwner`. Called by
`Server`.

Theory of operation:

1. Files are looked at once a second. One that has changed is read when nothing has changed for
   another look, so that a certificate and its key may be replaced one after the other.
2. What is read anew is read in a thread. If it cannot be used, the old context stays and the log
   says why, once: the next change is the next try.
3. A context is renewed after a day at the latest, since it holds the keys of session tickets.
4. Connections keep the context they began with.
"""

import asyncio
import logging
import os
import ssl
from collections.abc import Callable, Sequence

import msgspec

from httpkit.errors import ConfigurationError
from httpkit.server.config import Config
from httpkit.server.counters import Counters
from httpkit.server.tls_contexts import make_context, watched_files
from httpkit.transport.connection import Connection
from httpkit.transport.handshake import Handshakes
from httpkit.types import Address

__all__ = ["TLSPort", "with_certificate"]

logger = logging.getLogger("httpkit")

#: Seconds between two looks at the files.
_LOOK = 1.0
#: Seconds that the keys of session tickets live at most.
_RENEW = 86_400.0
_PLAINTEXT = b"This port speaks TLS: use https://\n"

#: What tells one state of a file from another; `None` if there is no such file. The time when its
#: status has changed is in it: a file that could not be read may be readable after a chmod.
_Stamp = tuple[int, int, int, int] | None


class TLSPort:
    """Everything that a server needs to serve TLS, on one port or several.

    Args:
        config: checked options that name a certificate.
        protocols: for ALPN, the preferred one first.
        clock: monotonic seconds.
        counters: of the server.
        make_connection: called with the scheme and what ALPN has chosen.
        date: the value of a Date field, now.
        left: called when a handshake has made room.

    Raises:
        ConfigurationError: a file cannot be used.
    """

    def __init__(
        self,
        config: Config,
        protocols: Sequence[str],
        *,
        clock: Callable[[], float],
        counters: Counters,
        make_connection: Callable[[str, str], Connection],
        date: Callable[[], bytes],
        left: Callable[[], None],
    ) -> None:
        self.limits = config.limits
        self.clock = clock
        self.handshakes = Handshakes(self)
        self._config = config
        self._protocols = protocols
        self._counters = counters
        self._make_connection = make_connection
        self._date = date
        self.handshake_left = left
        self._files = watched_files(config)
        self._loaded = self._seen = self._stamps()
        self.context: ssl.SSLContext = make_context(config, protocols)
        self._made = self._looked = clock()
        self._loading: asyncio.Task[bool] | None = None
        if key_log := os.environ.get("SSLKEYLOGFILE"):
            logger.warning("the keys of TLS sessions are written to %s (SSLKEYLOGFILE)", key_log)

    # --- certificates ------------------------------------------------------------------------

    def tick(self) -> None:
        """Look at the files, at most once a second; called by the reaper."""
        now = self.clock()
        if self._loading is not None or now - self._looked < _LOOK:
            return
        self._looked = now
        seen, before = self._stamps(), self._seen
        self._seen = seen
        if (seen != self._loaded and seen == before) or now - self._made >= _RENEW:
            self.begin_reload()

    def begin_reload(self) -> "asyncio.Task[bool]":
        """Read everything anew; the result tells whether it can be used."""
        if self._loading is None:
            self._loading = asyncio.get_running_loop().create_task(self._reload())
        return self._loading

    async def _reload(self) -> bool:
        stamps = self._stamps()
        changed = stamps != self._loaded
        try:
            context = await asyncio.to_thread(make_context, self._config, self._protocols)
        except ConfigurationError as error:
            logger.error("the certificates stay as they were: %s", error)  # noqa: TRY400
            return False
        else:
            self.context = context
            logger.log(logging.INFO if changed else logging.DEBUG, "certificates are read anew")
            return True
        finally:
            self._loaded = self._seen = stamps
            self._made = self.clock()
            self._loading = None

    def _stamps(self) -> list[_Stamp]:
        return [_stamp(path) for path in self._files]

    async def close(self) -> None:
        """Close what is under way."""
        self.handshakes.abort()
        if self._loading is not None:
            self._loading.cancel()
            await asyncio.wait({self._loading})

    # --- HandshakeOwner ----------------------------------------------------------------------

    def make_connection(self, protocol: str) -> Connection:
        """A connection for what ALPN has chosen; without, it is HTTP/1.1 (RFC 9113 §3.2)."""
        return self._make_connection("https", protocol or "http/1.1")

    def refuse_plaintext(self, peer: Address | None) -> bytes:
        """400, as nginx and Go do it."""
        logger.info("%s does not speak TLS on a TLS port", peer)
        return (
            b"HTTP/1.1 400 Bad Request\r\ndate: %b\r\ncontent-type: text/plain; charset=utf-8\r\n"
            b"connection: close\r\ncontent-length: %d\r\n\r\n%b"
        ) % (self._date(), len(_PLAINTEXT), _PLAINTEXT)

    def handshake_begun(self) -> None:
        """Count it."""
        self._counters.handshakes_begun += 1

    def handshake_failed(self, peer: Address | None, reason: str) -> None:
        """Count it; the reason goes to the log."""
        self._counters.handshakes_failed += 1
        logger.info("the TLS handshake with %s failed: %s", peer, reason)


def _stamp(path: str) -> _Stamp:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino


def with_certificate(config: Config) -> Config:
    """The same options, with a certificate: the development CA's where none is named.

    Raises:
        ConfigurationError: there is none, and none can be made.
    """
    if config.tls_cert or not config.serves_tls:
        return config
    # Imported here: it takes long, and servers with certificates of their own do without.
    from httpkit.certificates.development import (  # noqa: PLC0415
        ensure_development_certificate,
    )
    from httpkit.certificates.roots import is_trusted  # noqa: PLC0415

    made = ensure_development_certificate()
    if not is_trusted(made.root):
        logger.info(
            "the certificate is one of your development CA, which this machine does not trust yet: "
            "`httpkit cert trust` tells how browsers and programs learn to"
        )
    return msgspec.structs.replace(
        config, tls_cert=(os.fspath(made.chain),), tls_key=(os.fspath(made.key),)
    )
