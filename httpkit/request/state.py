"""`State`: what an application keeps with a request, a WebSocket or itself."""

from typing import TYPE_CHECKING, Any

__all__ = ["State"]


class State:
    """A place for an application's own attributes."""

    def __repr__(self) -> str:
        return f"State({vars(self)!r})"

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"state has no attribute {name!r}; nothing has set it yet")

    if TYPE_CHECKING:

        def __setattr__(self, name: str, value: Any) -> None: ...
