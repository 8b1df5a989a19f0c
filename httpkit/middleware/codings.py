"""Content codings that can be written: gzip, and br and zstd where they are installed.

Owns the one interface in front of three libraries. Levels are those for answers that are made for
one client: the point where more time buys little. Called by `Compress`.
"""

import zlib
from collections.abc import Callable
from importlib.util import find_spec
from typing import Protocol

__all__ = ["CODINGS", "Encoder", "make_encoder"]

#: Of 1 to 9, 0 to 11, and 1 to 22.
_GZIP_LEVEL, _BROTLI_QUALITY, _ZSTD_LEVEL = 6, 4, 3


class Encoder(Protocol):
    """One coded content in the making."""

    def compress(self, data: bytes) -> bytes:
        """Take the next bytes; give what is ready."""
        ...

    def flush(self) -> bytes:
        """Give what makes everything so far readable."""
        ...

    def finish(self) -> bytes:
        """Give the rest."""
        ...


class _Gzip:
    def __init__(self) -> None:
        self._compressor = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
        self.compress = self._compressor.compress

    def flush(self) -> bytes:
        return self._compressor.flush(zlib.Z_SYNC_FLUSH)

    def finish(self) -> bytes:
        return self._compressor.flush()


class _Brotli:
    def __init__(self) -> None:
        import brotli  # noqa: PLC0415 - of the extra

        self._compressor = brotli.Compressor(quality=_BROTLI_QUALITY)

    def compress(self, data: bytes) -> bytes:
        coded: bytes = self._compressor.process(data)
        return coded

    def flush(self) -> bytes:
        coded: bytes = self._compressor.flush()
        return coded

    def finish(self) -> bytes:
        coded: bytes = self._compressor.finish()
        return coded


class _Zstandard:
    def __init__(self, size: int | None) -> None:
        import zstandard  # noqa: PLC0415 - of the extra

        # The window of this level is 2 MiB; clients take up to 8 (RFC 9659 §3).
        compressor = zstandard.ZstdCompressor(level=_ZSTD_LEVEL)
        self._compressor = compressor.compressobj(-1 if size is None else size)
        self._block = zstandard.COMPRESSOBJ_FLUSH_BLOCK

    def compress(self, data: bytes) -> bytes:
        return self._compressor.compress(data)

    def flush(self) -> bytes:
        return self._compressor.flush(self._block)

    def finish(self) -> bytes:
        return self._compressor.flush()


def make_encoder(coding: str, size: int | None) -> Encoder:
    """Begin a content.

    Args:
        coding: a key of `CODINGS` whose library is installed.
        size: of the whole content in bytes, if it is known.
    """
    if coding == "br":
        return _Brotli()
    return _Zstandard(size) if coding == "zstd" else _Gzip()


#: Names, the favorite first, and whether they can be written here.
CODINGS: dict[str, Callable[[], bool]] = {
    "br": lambda: find_spec("brotli") is not None,
    "zstd": lambda: find_spec("zstandard") is not None,
    "gzip": lambda: True,
}
