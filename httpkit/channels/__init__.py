"""Channels: publish to topics, subscribe to them from WebSockets, event streams and long polls.

`Channels` is what an `App` has as `app.channels`; its backends are `MemoryChannels` and
`RedisChannels`. Nothing here knows a server: it knows the vocabulary only.
"""

from typing import TYPE_CHECKING, Any

from httpkit.channels.base import ChannelCounters, Channels
from httpkit.channels.events import EventStream, ServerSentEvent
from httpkit.channels.memory import MemoryChannels
from httpkit.channels.messages import ChannelMessage, Member, MemberChange
from httpkit.channels.polling import long_poll
from httpkit.channels.subscription import Subscription, Watch

if TYPE_CHECKING:
    from httpkit.channels.redis_channels import RedisChannels

__all__ = [
    "ChannelCounters",
    "ChannelMessage",
    "Channels",
    "EventStream",
    "Member",
    "MemberChange",
    "MemoryChannels",
    "RedisChannels",
    "ServerSentEvent",
    "Subscription",
    "Watch",
    "long_poll",
]


def __getattr__(name: str) -> Any:
    """Load `RedisChannels` for those who ask for it: it needs the extra `redis`."""
    if name == "RedisChannels":
        try:
            from httpkit.channels.redis_channels import RedisChannels  # noqa: PLC0415 - see above
        except ModuleNotFoundError as error:
            raise ImportError(
                f"RedisChannels needs redis: pip install 'httpkit[redis]' ({error})"
            ) from error
        return RedisChannels
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
