"""What visits to a server leave behind for the garbage collector."""

import gc
import logging
from collections import Counter
from collections.abc import Callable

__all__ = ["find_garbage"]

#: Visits that are looked at: what fewer objects than that are left of belongs to none of them.
_VISITS = 5


def find_garbage(visit: Callable[[], None]) -> set[str]:
    """The names of the types of which every visit leaves an object in a circle."""
    logging.disable()  # pytest would keep what is logged, exceptions included
    try:
        for _ in range(3):  # what is made once
            visit()
        gc.collect()
        gc.freeze()  # it need not look through that again
        gc.disable()
        gc.set_debug(gc.DEBUG_SAVEALL)
        for _ in range(_VISITS):
            visit()
        gc.collect()
        left = Counter(type(each).__qualname__ for each in gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
        logging.disable(logging.NOTSET)
    return {name for name, number in left.items() if number >= _VISITS}
