"""A server in a process and a loop of somebody else: `httpkit.serve`.

Refuses options that need processes of their own. Called by users, and by `testing.live`.
"""

from httpkit.errors import ConfigurationError
from httpkit.server.config import Config
from httpkit.server.server import Server
from httpkit.types import Application, Tap

__all__ = ["embedded_config", "serve"]


def embedded_config(**options: object) -> Config:
    """The configuration of a server that runs in a process of somebody else.

    Raises:
        ConfigurationError: an unknown option, a wrong value, or one that needs a supervisor.
    """
    config = Config.of(**options)
    if config.supervised:
        raise ConfigurationError(
            "workers and reload need processes of their own: httpkit run module:app"
        )
    if config.max_requests is not None:
        raise ConfigurationError(
            "max_requests ends a process, and this one is not the server's own"
        )
    return config


def serve(application: Application, *, tap: Tap | None = None, **options: object) -> Server:
    """A server to be entered with `async with`, in a loop that is running.

        async with httpkit.serve(app, port=0) as server:
            print(server.addresses)

    Args:
        application: an `App`, or anything that is an `Application`.
        tap: is shown every byte of every connection; see `Tap`.
        options: fields of `Config` and `Limits`, by name.

    Raises:
        ConfigurationError: an unknown option or a wrong value; on entering, an application or
            address that cannot be used.
    """
    return Server(application, embedded_config(**options), tap=tap)
