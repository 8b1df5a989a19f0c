"""HTTP/2 (RFC 9113): one state machine, two libraries behind it.

`choose_session` picks the library: `native` (ngh2) or `reference` (h2 and hpack).
"""

from typing import Literal

from httpkit.errors import ConfigurationError
from httpkit.protocol.http2.engine import HTTP2Engine
from httpkit.protocol.http2.frames import PREFACE
from httpkit.protocol.http2.serialize import AnswerFields
from httpkit.protocol.http2.session import Session

__all__ = ["PREFACE", "AnswerFields", "HTTP2Choice", "HTTP2Engine", "Session", "choose_session"]

HTTP2Choice = Literal["auto", "native", "reference", "off"]


def choose_session(choice: HTTP2Choice) -> type[Session] | None:
    """The library for a choice; `auto` takes native where it is installed, `off` is `None`.

    Raises:
        ConfigurationError: native is wanted but ngh2 is not installed.
    """
    if choice == "off":
        return None
    # Imported here: each library takes a while, and most processes need one of them or none.
    if choice != "reference":
        try:
            from httpkit.protocol.http2.native import Ngh2Session  # noqa: PLC0415
        except ImportError:
            if choice == "native":
                raise ConfigurationError(
                    'the native HTTP/2 engine needs ngh2: pip install "httpkit[fast]", '
                    "or use --http2 reference"
                ) from None
        else:
            return Ngh2Session
    from httpkit.protocol.http2.reference import H2Session  # noqa: PLC0415

    return H2Session
