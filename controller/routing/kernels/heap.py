"""A heap of four children for kernels: 64-bit keys with a 32-bit item each, in two arrays that the caller grows.

The order in which equal keys come out depends on nothing but the order in which they were put in.
"""

from typing import Final

import numpy as np

from controller.routing.kernels.compiled import inline, leaf, unsigned
from controller.routing.kernels.net import Int32s, Int64s

_NONE: Final[int] = np.uint64(0)  # type: ignore[assignment]
_ONE: Final[int] = np.uint64(1)  # type: ignore[assignment]
_TWO: Final[int] = np.uint64(2)  # type: ignore[assignment]
_THREE: Final[int] = np.uint64(3)  # type: ignore[assignment]


@leaf
def push(keys: Int64s, items: Int32s, size: int, key: int, item: int) -> int:
    """Put an item in, for which there must be room, and return the new size."""
    place = unsigned(size)
    while place > _NONE:
        parent = (place - _ONE) >> _TWO
        if keys[parent] <= key:
            break
        keys[place] = keys[parent]
        items[place] = items[parent]
        place = parent
    keys[place] = key
    items[place] = item
    return size + 1


@leaf
def pop(keys: Int64s, items: Int32s, size: int) -> int:
    """Take off the first item, which the caller has read from place 0, and return the new size."""
    last = unsigned(size - 1)
    key, item = keys[last], items[last]
    place = _NONE
    while True:
        least = (place << _TWO) + _ONE
        if least + _THREE < last:
            # Selected, not branched to: which child is the least can't be predicted.
            one = least + unsigned(keys[least + _ONE] < keys[least])
            other = least + _TWO + unsigned(keys[least + _THREE] < keys[least + _TWO])
            least = other if keys[other] < keys[one] else one
        elif least < last:
            for child in range(least + _ONE, last):
                if keys[child] < keys[least]:
                    least = child
        else:
            break
        if keys[least] >= key:
            break
        keys[place] = keys[least]
        items[place] = items[least]
        place = least
    keys[place] = key
    items[place] = item
    return size - 1


@inline
def grown_keys(keys: Int64s) -> Int64s:
    """Return keys with twice the room."""
    more = np.empty(2 * keys.size, np.int64)
    more[: keys.size] = keys
    return more


@inline
def grown_items(items: Int32s) -> Int32s:
    """Return items with twice the room."""
    more = np.empty(2 * items.size, np.int32)
    more[: items.size] = items
    return more
