"""File descriptors: as many as the system allows, and none that is mistaken for another."""

import logging
import os
import resource
import sys

__all__ = ["open_standard_streams", "raise_descriptor_limit"]

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


def open_standard_streams() -> None:
    """Open the null device in the place of standard streams that are closed.

    Whoever starts daemons may close them. The next sockets would have their numbers, and get what
    any library writes to standard error; libuv refuses to close such a number. Python's own
    objects for them are `None` then, which few programs expect.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
            os.set_inheritable(number, True)
    # Not before all three are open: these have numbers of their own.
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
