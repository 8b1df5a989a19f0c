"""Whole forms: `parse_form`, for either media type, on top of the parts.

Owns what stays in memory: text, and uploads up to `FormLimits.spool_size`. What goes to a
temporary file is written in a thread, so that a slow disk holds nobody else up (CVE-2025-54121);
a small upload needs no thread. Called by `Request.form`.
"""

from contextlib import aclosing
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING

from httpkit.errors import HTTPError
from httpkit.forms.data import FormData, UploadedFile
from httpkit.forms.parts import Part, iterate_parts
from httpkit.limits import FormLimits
from httpkit.semantics.media_types import parse_media_type
from httpkit.types import RunBlocking
from httpkit.urls import parse_urlencoded

if TYPE_CHECKING:
    from httpkit.request.body import RequestBody

__all__ = ["parse_form"]


async def parse_form(
    request: "RequestBody", run_blocking: RunBlocking, limits: FormLimits
) -> FormData:
    """Read the body of a request as a form.

    Raises:
        HTTPError: 415 for a media type that is no form, 400 for a malformed form, 413 for one
            beyond its limits.
        BodyTooLarge: the body exceeds the request's `max_body`.
    """
    media_type = parse_media_type(request.headers.get("content-type", ""))
    if media_type is None:
        raise HTTPError(400, "The Content-Type of the form is malformed.")
    if media_type.essence == "application/x-www-form-urlencoded":
        return _parse_urlencoded(await _read_text(request, limits), limits)
    if media_type.essence == "multipart/form-data":
        return await _collect_parts(request, run_blocking, limits)
    accept = "application/x-www-form-urlencoded, multipart/form-data"
    raise HTTPError(415, "The body is not a form.", {"accept": accept})


async def _read_text(request: "RequestBody", limits: FormLimits) -> bytes:
    body = bytearray()
    async with aclosing(request.stream()) as chunks:
        async for chunk in chunks:
            body += chunk
            # A byte may be sent as three: %XX.
            if len(body) > 3 * limits.max_text_size:
                raise HTTPError(413, "The text of the form is too large.")
    return bytes(body)


def _parse_urlencoded(body: bytes, limits: FormLimits) -> FormData:
    """Strict about UTF-8: the media type has no charset; clients that add one mean ASCII."""
    if not body:
        return FormData()
    if body.count(b"&") >= limits.max_fields:
        raise HTTPError(413, "The form has too many fields.")
    try:
        pairs = parse_urlencoded(body, "strict")
    except UnicodeDecodeError:
        raise HTTPError(400, "The form is not valid UTF-8.") from None
    total = 0
    for name, value in pairs:
        size = len(value) if value.isascii() else len(value.encode())
        total += size + len(name)
        if size > limits.max_field_size or total > limits.max_text_size:
            raise HTTPError(413, "The text of the form is too large.")
    return FormData(pairs)


async def _collect_parts(
    request: "RequestBody", run_blocking: RunBlocking, limits: FormLimits
) -> FormData:
    fields: list[tuple[str, str]] = []
    files: list[tuple[str, UploadedFile]] = []
    try:
        async with aclosing(iterate_parts(request, run_blocking, limits)) as parts:
            async for part in parts:
                if part.filename is None:
                    fields.append((part.name, await part.text()))
                else:
                    upload = await _receive_upload(part, run_blocking, limits.spool_size)
                    files.append((part.name, upload))
    except BaseException:
        for _, upload in files:
            upload.close()
        raise
    return FormData(fields, files)


async def _receive_upload(part: Part, run_blocking: RunBlocking, spool_size: int) -> UploadedFile:
    memory = max(1, spool_size)  # a size of 0 means "never" to the spool
    spool = SpooledTemporaryFile(max_size=memory)  # noqa: SIM115  # closed by UploadedFile
    try:
        async for chunk in part:
            if part.size > memory:
                await run_blocking(spool.write, chunk)
            else:
                spool.write(chunk)
        if part.size > memory:
            await run_blocking(spool.seek, 0)  # writes what is buffered
        else:
            spool.seek(0)
    except BaseException:
        spool.close()
        raise
    assert part.filename is not None
    return UploadedFile(
        spool,
        part.filename,
        part.content_type,
        part.headers,
        part.size,
        run_blocking=run_blocking,
    )
