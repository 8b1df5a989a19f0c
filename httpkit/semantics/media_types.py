"""Media types (RFC 9110 §8.3): reading them, the charsets they may name, guessing one by a name.

Refuses charsets outside a fixed table. Python's codec registry is not fit for names that a peer
chooses: it remembers every unknown name for good, and some of its codecs need quadratic time
(`idna`, `punycode`: CVE-2022-45061) or raise errors of their own. Called by requests, forms and
answers.
"""

import mimetypes
import os
from typing import NamedTuple

from httpkit.semantics.parameters import parse_parameters

__all__ = ["MediaType", "find_codec", "guess_media_type", "parse_media_type"]


class MediaType(NamedTuple):
    """A parsed Content-Type.

    Attributes:
        essence: `type/subtype` in lower case; empty if the field has none.
        parameters: names in lower case, values as sent without their quotes.
    """

    essence: str
    parameters: dict[str, str]


def parse_media_type(field: str) -> MediaType | None:
    """Read a Content-Type (RFC 9110 §8.3.1); `None` if its parameters are malformed."""
    parsed = parse_parameters(field)
    return None if parsed is None else MediaType(parsed[0].lower(), parsed[1])


def find_codec(label: str) -> str | None:
    """The codec for a charset that a peer named; `None` if it is not one of the known ones.

    Every codec of the table decodes in linear time and fails with `UnicodeDecodeError` alone.
    """
    return _CODECS.get(label.lower())


#: Charsets of the Encoding standard that content is still found in, by the labels it is found with.
#: UTF-7 and the ISO-2022 family are left out: what looks like ASCII to a filter is not.
_CODECS: dict[str, str] = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "us-ascii": "ascii",
    "ascii": "ascii",
    "iso-8859-1": "latin-1",
    "latin1": "latin-1",
    "utf-16": "utf-16",
    "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be",
    "windows-31j": "cp932",
    "shift_jis": "cp932",
    "euc-jp": "euc_jp",
    "euc-kr": "cp949",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "gb18030": "gb18030",
    "big5": "big5hkscs",
    "koi8-r": "koi8_r",
    "koi8-u": "koi8_u",
    **{f"iso-8859-{n}": f"iso8859-{n}" for n in (2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16)},
    **{f"windows-{n}": f"cp{n}" for n in range(1250, 1259)},
}


def guess_media_type(name: str) -> str:
    """The media type that the ending of a file name stands for.

    Types of the web come from a table here, the others from Python's own; what the operating
    system has installed plays no part, so that two machines answer alike. A compressed file
    (`a.tar.gz`) is a file to save, not its content with a coding. Anything unknown is
    `application/octet-stream`.
    """
    ending = os.path.splitext(name)[1].lower()
    known = _WEB_TYPES.get(ending) or _MIMETYPES.types_map[True].get(ending)
    return known or "application/octet-stream"


# An instance of its own: the module's functions share a table that reads /etc/mime.types.
_MIMETYPES = mimetypes.MimeTypes()

#: What Python 3.11 lacks or names otherwise than its successors and IANA do. Files are sent with
#: `nosniff`, so what has no type here is not played, shown or opened by a browser.
_WEB_TYPES: dict[str, str] = {
    ".7z": "application/x-7z-compressed",
    ".apng": "image/apng",
    ".atom": "application/atom+xml",
    ".avif": "image/avif",
    ".bz2": "application/x-bzip2",
    ".cjs": "text/javascript",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".eot": "application/vnd.ms-fontobject",
    ".epub": "application/epub+zip",
    ".flac": "audio/flac",
    ".geojson": "application/geo+json",
    ".glb": "model/gltf-binary",
    ".gltf": "model/gltf+json",
    ".gz": "application/gzip",
    ".ico": "image/vnd.microsoft.icon",
    ".ics": "text/calendar",
    ".js": "text/javascript",
    ".jsonld": "application/ld+json",
    ".jxl": "image/jxl",
    ".kml": "application/vnd.google-earth.kml+xml",
    ".m4a": "audio/mp4",
    ".m4v": "video/mp4",
    ".map": "application/json",
    ".md": "text/markdown",
    ".mid": "audio/midi",
    ".midi": "audio/midi",
    ".mjs": "text/javascript",
    ".mkv": "video/matroska",
    ".mpd": "application/dash+xml",
    ".odg": "application/vnd.oasis.opendocument.graphics",
    ".odp": "application/vnd.oasis.opendocument.presentation",
    ".ods": "application/vnd.oasis.opendocument.spreadsheet",
    ".odt": "application/vnd.oasis.opendocument.text",
    ".oga": "audio/ogg",
    ".ogg": "audio/ogg",
    ".ogv": "video/ogg",
    ".otf": "font/otf",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ".rar": "application/vnd.rar",
    ".rss": "application/rss+xml",
    ".rtf": "application/rtf",
    ".toml": "application/toml",
    ".ttf": "font/ttf",
    ".usdz": "model/vnd.usdz+zip",
    ".weba": "audio/webm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".xhtml": "application/xhtml+xml",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".xml": "application/xml",
    ".xz": "application/x-xz",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".zst": "application/zstd",
}
