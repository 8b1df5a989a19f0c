"""Content codings that can be written: gzip, and br and zstd where they are installed.

Owns the one interface in front of three libraries. Called by `Compress`, for answers that are made
for one client, and by `httpkit.static.precompress`, for files that are coded once and sent often.
"""

import zlib
from collections.abc import Callable
from importlib.util import find_spec
from typing import Protocol

__all__ = ["CODINGS", "Encoder", "make_encoder"]

#: For one client: the point where more time buys little. Of 1 to 9, 0 to 11, and 1 to 22.
_GZIP_LEVEL, _BROTLI_QUALITY, _ZSTD_LEVEL = 6, 4, 3
#: For good. zstd could go on to 22, but with windows that clients need not take (see below).
_BEST_GZIP_LEVEL, _BEST_BROTLI_QUALITY, _BEST_ZSTD_LEVEL = 9, 11, 19


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
    def __init__(self, level: int) -> None:
        # Without a name and a time in its header: the same content has the same coding.
        self._compressor = zlib.compressobj(level, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
        self.compress = self._compressor.compress

    def flush(self) -> bytes:
        return self._compressor.flush(zlib.Z_SYNC_FLUSH)

    def finish(self) -> bytes:
        return self._compressor.flush()


class _Brotli:
    def __init__(self, quality: int) -> None:
        import brotli  # noqa: PLC0415 - of the extra

        self._compressor = brotli.Compressor(quality=quality)

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
    def __init__(self, level: int, size: int | None) -> None:
        import zstandard  # noqa: PLC0415 - of the extra

        # Clients take windows of up to 8 MiB (RFC 9659 §3), which is what levels up to 19 have.
        compressor = zstandard.ZstdCompressor(level=level)
        self._compressor = compressor.compressobj(-1 if size is None else size)
        self._block = zstandard.COMPRESSOBJ_FLUSH_BLOCK

    def compress(self, data: bytes) -> bytes:
        return self._compressor.compress(data)

    def flush(self) -> bytes:
        return self._compressor.flush(self._block)

    def finish(self) -> bytes:
        return self._compressor.flush()


def make_encoder(coding: str, size: int | None, *, best: bool = False) -> Encoder:
    """Begin a content.

    Args:
        coding: a key of `CODINGS` whose library is installed.
        size: of the whole content in bytes, if it is known.
        best: as small as it gets, which takes a hundred times as long.
    """
    if coding == "br":
        return _Brotli(_BEST_BROTLI_QUALITY if best else _BROTLI_QUALITY)
    if coding == "zstd":
        return _Zstandard(_BEST_ZSTD_LEVEL if best else _ZSTD_LEVEL, size)
    return _Gzip(_BEST_GZIP_LEVEL if best else _GZIP_LEVEL)


#: Names, the favorite first, and whether they can be written here.
CODINGS: dict[str, Callable[[], bool]] = {
    "br": lambda: find_spec("brotli") is not None,
    "zstd": lambda: find_spec("zstandard") is not None,
    "gzip": lambda: True,
}
