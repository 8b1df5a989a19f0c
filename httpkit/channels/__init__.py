"""Channels: publish to topics, subscribe to them from WebSockets, event streams and long polls.

`Channels` is what an `App` has as `app.channels`; its backends are `MemoryChannels` and
`RedisChannels`. Nothing here knows a server: it knows the vocabulary only.
"""

from httpkit.channels.base import ChannelCounters, Channels
from httpkit.channels.events import EventStream, ServerSentEvent
from httpkit.channels.memory import MemoryChannels
from httpkit.channels.messages import ChannelMessage, Member, MemberChange
from httpkit.channels.polling import long_poll
from httpkit.channels.subscription import Subscription, Watch

__all__ = [
    "ChannelCounters",
    "ChannelMessage",
    "Channels",
    "EventStream",
    "Member",
    "MemberChange",
    "MemoryChannels",
    "ServerSentEvent",
    "Subscription",
    "Watch",
    "long_poll",
]
