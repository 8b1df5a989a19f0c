"""Forms (placeholder until parse_form lands)."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from httpkit.request import Request


class FormData: ...


async def parse_form(request: "Request") -> FormData: ...  # type: ignore[empty-body]
