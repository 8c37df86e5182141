"""A heap of four children for kernels: 64-bit keys with a 32-bit item each, in two arrays that the caller grows.

The order in which equal keys come out depends on nothing but the order in which they were put in.
"""

import numpy as np

from controller.routing.kernels.compiled import inline
from controller.routing.kernels.net import Int32s, Int64s


@inline
def push(keys: Int64s, items: Int32s, size: int, key: int, item: int) -> int:
    """Put an item in, for which there must be room, and return the new size."""
    place = size
    while place > 0:
        parent = (place - 1) >> 2
        if keys[parent] <= key:
            break
        keys[place] = keys[parent]
        items[place] = items[parent]
        place = parent
    keys[place] = key
    items[place] = item
    return size + 1


@inline
def pop(keys: Int64s, items: Int32s, size: int) -> int:
    """Take off the first item, which the caller has read from place 0, and return the new size."""
    size -= 1
    key, item = keys[size], items[size]
    place = 0
    while True:
        child = 4 * place + 1
        if child >= size:
            break
        least = child
        for other in range(child + 1, min(child + 4, size)):
            if keys[other] < keys[least]:
                least = other
        if keys[least] >= key:
            break
        keys[place] = keys[least]
        items[place] = items[least]
        place = least
    keys[place] = key
    items[place] = item
    return size


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
