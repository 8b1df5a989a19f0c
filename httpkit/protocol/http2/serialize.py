"""The fields of answers (RFC 9113 §8.3.2), prebuilt where they are the same for many.

An `AnswerFields` is shared by all HTTP/2 connections of a server, as `http1.Preamble` is by those
of HTTP/1.1: it holds the fields that the server adds, and the whole heads of answers whose fields
are shared constants (tuples). The server renews it once a second with the current date.
"""

from httpkit.headers import RawHeaders, encode_header
from httpkit.protocol.outgoing import NO_CONTENT, OutgoingFields, check_status
from httpkit.response import Response

__all__ = ["AnswerFields", "KnownHead", "content_length"]

KnownHead = tuple[tuple[bytes, bytes], ...]

# As in `http1.serialize`: more than that are no constants.
_MAX_KNOWN = 512


def content_length(size: int) -> tuple[bytes, bytes]:
    """The field for a size in octets."""
    return b"content-length", b"%d" % size


class AnswerFields:
    """The fields this server adds to every answer, and prebuilt heads that contain them.

    Args:
        date: the current IMF-fixdate.
        server: the `Server` field's value; empty for none.

    Attributes:
        heads: by status and fields, the heads by the size of the content; a head of no fields
            stands for those that have to be made for each answer.
        dropped: names of fields about connections that applications have set.
    """

    __slots__ = ("_date", "_server", "dropped", "heads")

    def __init__(self, date: bytes, server: bytes = b"httpkit") -> None:
        self._server = [encode_header(b"server", server)] if server else []
        self._date = [(b"date", date)]
        self.heads: dict[tuple[int, KnownHead], dict[int, KnownHead]] = {}
        self.dropped: set[bytes] = set()

    def refresh(self, date: bytes) -> None:
        """Set the date; called once a second."""
        self._date = [(b"date", date)]
        self.heads.clear()

    def make(self, status: int, fields: OutgoingFields) -> RawHeaders:
        """`:status` and the fields of an answer, without Content-Length."""
        self.dropped.update(fields.dropped)
        return [
            (b":status", b"%d" % status),
            *(() if fields.has_date else self._date),
            *(() if fields.has_server else self._server),
            *fields.fields,
        ]

    def make_known(self, response: Response, size: int) -> KnownHead:
        """Build the head of an answer whose fields are a constant tuple into `heads`.

        Empty if there is no content, or if the fields speak about it or about priority: that is
        to be decided for each answer.
        """
        assert isinstance(response.raw_headers, tuple)
        key = response.status, response.raw_headers
        sizes = self.heads.get(key)
        if sizes is None:
            if len(self.heads) >= _MAX_KNOWN:
                self.heads.clear()
            sizes = self.heads[key] = {}
        elif len(sizes) >= _MAX_KNOWN:
            sizes.clear()
        head: KnownHead = ()
        check_status(response.status)
        fields = OutgoingFields(response.raw_headers)
        if (
            response.status not in NO_CONTENT
            and fields.content_length is None
            and fields.priority is None
        ):
            head = (*self.make(response.status, fields), content_length(size))
        sizes[size] = head
        return head
