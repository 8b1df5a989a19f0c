"""Masking (RFC 6455 §5.3): in C where `websockets` is installed, on one large integer otherwise."""

from collections.abc import Callable
from typing import Literal

__all__ = ["HAS_FAST_MASK", "Mask", "choose_mask", "mask_by_integers"]

#: `mask(data, key)`: every byte of data, XOR those of the four-byte key in turn.
Mask = Callable[[bytes, bytes], bytes]


def mask_by_integers(data: bytes, key: bytes) -> bytes:
    """`Mask` without C: one XOR of two numbers as long as the data."""
    size = len(data)
    keys = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "little") ^ int.from_bytes(keys, "little")).to_bytes(
        size, "little"
    )


_fastest: Mask = mask_by_integers
try:
    from websockets.speedups import apply_mask
except ImportError:  # the extra `fast`, or a platform without a wheel
    HAS_FAST_MASK = False
else:
    _fastest = apply_mask
    HAS_FAST_MASK = True


def choose_mask(choice: Literal["auto", "integers"] = "auto") -> Mask:
    """The fastest mask that is installed, or the one in Python."""
    return mask_by_integers if choice == "integers" else _fastest
