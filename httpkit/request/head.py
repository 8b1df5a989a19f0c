"""`RequestHead`: what engines know of a request; raw values, nothing is parsed."""

import msgspec

__all__ = ["RequestHead"]


class RequestHead(msgspec.Struct, eq=False, gc=False):
    """What the head of a request says, checked by an engine. Never changed: requests share them.

    Attributes:
        method: registered method, upper case.
        target: request target: origin-form, absolute-form or `*`.
        authority: host and port as the client named them.
        scheme: `http` or `https`; empty if the connection decides.
        version: `1.0`, `1.1`, `2` or `3`.
        protocol: of an extended CONNECT (RFC 8441 §4), whose method is GET here; `None` otherwise.
    """

    method: str
    target: bytes
    authority: bytes = b""
    _headers: tuple[tuple[bytes, bytes], ...] | None = ()
    scheme: str = ""
    version: str = "1.1"
    protocol: str | None = None

    @property
    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """The fields: lower case names, values without surrounding whitespace."""
        if self._headers is None:
            self._headers = self._read_headers()
        return self._headers

    def _read_headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """The fields of an engine's head that keeps them as bytes until somebody asks."""
        return ()

    def fields_by_target(self) -> tuple[tuple[bytes, bytes], ...]:
        """The fields; the host of an absolute target stands for `Host`, which is ignored then.

        RFC 9112 §3.2.2. For applications that know of no other place where the host could be.
        """
        if self.target[:1] in (b"/", b"*"):
            return self.headers
        return (b"host", self.authority), *(each for each in self.headers if each[0] != b"host")

    def replace(
        self,
        *,
        target: bytes | None = None,
        authority: bytes | None = None,
        headers: tuple[tuple[bytes, bytes], ...] | None = None,
        scheme: str | None = None,
    ) -> "RequestHead":
        """The same head but for what is given."""
        return RequestHead(
            self.method,
            self.target if target is None else target,
            self.authority if authority is None else authority,
            self.headers if headers is None else headers,
            self.scheme if scheme is None else scheme,
            self.version,
            self.protocol,
        )
