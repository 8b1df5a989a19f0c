"""File descriptors: as many as the system allows."""

import logging
import resource

__all__ = ["raise_descriptor_limit"]

logger = logging.getLogger("httpkit")


def raise_descriptor_limit() -> None:
    """Raise the soft limit of open files to the hard one, as Go's runtime does.

    The soft limit is often 1024 for the sake of programs that use select(); a server runs out of
    it with as many connections. What cannot be raised stays as it is.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = hard if hard != resource.RLIM_INFINITY else max(soft, 1 << 20)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError) as error:
        logger.debug("the limit of open files stays at %d: %s", soft, error)
