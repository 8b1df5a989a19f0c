"""Forms: `application/x-www-form-urlencoded` and `multipart/form-data` (RFC 7578).

    request.stream() ──▶ parser.py ──▶ parts.py ──▶ form.py ──▶ data.py
                         grammar,      a part at    a whole     FormData,
                         guards        a time       form        UploadedFile

Refuses whatever two readers could understand differently: a preamble, part headers with control
characters, repeated names in Content-Disposition, a missing end, text that is not in its charset.
Every answer is an `HTTPError`, and reading takes time linear in the body however it is cut into
chunks. Called by `Request.multipart` and `Request.form`.
"""

from httpkit.forms.data import FormData, UploadedFile
from httpkit.forms.form import parse_form
from httpkit.forms.parts import Part, iterate_parts
from httpkit.limits import FormLimits

__all__ = ["FormData", "FormLimits", "Part", "UploadedFile", "iterate_parts", "parse_form"]
