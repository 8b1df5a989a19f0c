"""The cases of static files; all over HTTP/1.1."""

from functools import partial

from benchmarks.apps.extras import BLOCK
from benchmarks.cases.model import OCTETS, Answer, Case, Probe
from benchmarks.files import (
    LARGE,
    LARGE_BLOCKS,
    LARGE_SIZE,
    MANY_COUNT,
    MEDIUM,
    MEDIUM_CONTENT,
    PREFIX,
    large_slice,
    many_content,
    many_target,
)
from benchmarks.messages import Request

PNG = "image/png"
FIRST, LAST = 50_000_000, 50_000_000 + 64 * 1024 - 1
PART = Answer(
    OCTETS,
    large_slice(FIRST, LAST),
    status=206,
    fields=(("content-range", f"bytes {FIRST}-{LAST}/{LARGE_SIZE}"),),
)

#: Two of the many files, one of them not in the root of the directory.
_PROBES = (
    Probe(Request("GET", PREFIX + MEDIUM), Answer(PNG, MEDIUM_CONTENT)),
    Probe(Request("GET", many_target(7)), Answer(PNG, many_content(many_target(7)))),
)


#: The case of a server that has the files and needs no other routes.
file_case = partial(Case, needs="files", probes=_PROBES)

FILE_CASES = (
    file_case(
        "static-10k",
        "GET of a file of 10 KiB",
        lambda: [Request("GET", PREFIX + MEDIUM)],
        Answer(PNG, MEDIUM_CONTENT),
    ),
    file_case(
        "static-304",
        "GET of a file of 10 KiB that the client already has, with the validators of the server",
        lambda: [Request("GET", PREFIX + MEDIUM)],
        Answer(None, b"", status=304),
        conditional=True,
    ),
    file_case(
        "static-1000-files",
        f"GET of {MANY_COUNT} files of 4 KiB, one after another",
        lambda: [Request("GET", many_target(number)) for number in range(MANY_COUNT)],
        Answer(PNG, b""),
        content=many_content,
    ),
    file_case(
        "static-range",
        "GET of 64 KiB in the middle of a file of 100 MiB",
        lambda: [Request("GET", PREFIX + LARGE, (("Range", f"bytes={FIRST}-{LAST}"),))],
        PART,
    ),
    file_case(
        "static-100m",
        "GET of a file of 100 MiB, one download after another",
        lambda: [Request("GET", PREFIX + LARGE)],
        Answer(OCTETS, BLOCK, LARGE_BLOCKS),
        connections=1,
        generator="download",
    ),
    file_case(
        "static-slow-readers",
        "GET of a file of 100 MiB by 50 clients at once that read 64 KiB a second each",
        lambda: [Request("GET", PREFIX + LARGE)],
        Answer(OCTETS, BLOCK, LARGE_BLOCKS),
        connections=50,
        generator="slow-readers",
    ),
)
