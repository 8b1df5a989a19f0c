"""From a request to the `environ` of WSGI (PEP 3333, RFC 3875)."""

import io
import sys
from typing import Any

from httpkit.request import Request
from httpkit.urls import split_target, unquote

__all__ = ["FileWrapper", "make_environ"]

#: Fields that have variables of their own.
_PLAIN = {b"content-type": "CONTENT_TYPE", b"content-length": "CONTENT_LENGTH"}
#: HTTP_PROXY configures clients (CVE-2016-5385), so no client may set it.
_REFUSED = frozenset({b"proxy"})


class FileWrapper:
    """`wsgi.file_wrapper`: a file whose rest is the body, sent as such where it is one of a disk.

    Args:
        file: has `read(size)`, and perhaps `close()` and `fileno()`.
        block_size: bytes of one read.

    Attributes:
        left: how many bytes of it are the body, at most; `None` for all that are there.
    """

    def __init__(self, file: Any, block_size: int = 262_144) -> None:
        self.file = file
        self.left: int | None = None
        self._block_size = block_size

    def __iter__(self) -> "FileWrapper":
        return self

    def __next__(self) -> bytes:
        size = self._block_size if self.left is None else min(self._block_size, self.left)
        data: bytes = self.file.read(size) if size else b""
        if not data:
            raise StopIteration
        if self.left is not None:
            self.left -= len(data)
        return data

    def close(self) -> None:
        """Close the file, if it can be closed."""
        if hasattr(self.file, "close"):
            self.file.close()


def make_environ(request: Request, raw_root: bytes, body: io.IOBase) -> dict[str, Any]:
    """The environ of a request.

    Strings are "native": bytes as ISO-8859-1, as PEP 3333 has it. A field whose name has an
    underscore is left out, since its variable would be that of another field; repeated fields are
    joined (RFC 9110 §5.3).

    Args:
        request: as the server got it.
        raw_root: where the application is mounted, percent-encoded and without a last slash; the
            target does not have it.
        body: `wsgi.input`; it ends with the body.
    """
    target = request.target
    path, query = split_target(target)
    server, client = request.server, request.client
    default_port = 443 if request.scheme == "https" else 80
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": unquote(raw_root).decode("latin-1"),
        "PATH_INFO": (unquote(path) if b"%" in path else path).decode("latin-1"),
        "QUERY_STRING": query.decode("latin-1"),
        # As the client sent it, where it is a path: the application knows nothing of a mount.
        "REQUEST_URI": (raw_root + target if target[:1] == b"/" else target).decode("latin-1"),
        "SERVER_NAME": (server.host if server and server.port else request.host) or "localhost",
        "SERVER_PORT": str(server.port if server and server.port else default_port),
        "SERVER_PROTOCOL": f"HTTP/{request.http_version}",
        "REMOTE_ADDR": "" if client is None or client.is_unix else client.host,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": request.scheme,
        "wsgi.input": body,
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": FileWrapper,
    }
    if client is not None and client.port:
        environ["REMOTE_PORT"] = str(client.port)
    head = request._head  # noqa: SLF001 - a border may look behind the request
    for name, value in head.fields_by_target():
        if b"_" in name or name in _REFUSED:
            continue
        variable = _PLAIN.get(name) or "HTTP_" + name.decode("latin-1").upper().replace("-", "_")
        text = value.decode("latin-1")
        if variable in environ:
            text = f"{environ[variable]}{'; ' if name == b'cookie' else ','}{text}"
        environ[variable] = text
    return environ
