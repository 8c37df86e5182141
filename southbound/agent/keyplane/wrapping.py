"""A key for slaves at several nodes: one-time-padded to each of them, and authenticated, with that pair's stock.

The pad is as long as the key; the 256 bits of stock after it are hash key and mask of a Wegman-Carter tag, for this
message alone. So whoever sits between the two nodes learns nothing and can change nothing unseen, whatever it computes.
"""

from typing import Final

from southbound.agent.keyplane.gf128 import TAG_BYTES, PolynomialHash, bind, exclusive_or

WRAP_TAG_BIT: Final = 256
"""Stock that the tag of a wrapped key costs, at each far node."""
_TAG_KEY_BYTES: Final = WRAP_TAG_BIT // 8


def wrap(relay: str, key_id: str, key: bytes, stocked: bytes) -> tuple[bytes, bytes]:
    """Return (wrapped, tag) of a key.

    Args:
        relay: Whose stock is used.
        key_id: UUID of the key.
        key: What all slaves get.
        stocked: Stock used for nothing else, WRAP_TAG_BIT longer than the key.

    Raises:
        ValueError: `stocked` has another length.

    >>> wrapped, tag = wrap("r", "1", b"key", bytes(35))
    >>> unwrap("r", "1", wrapped, tag, bytes(35)), unwrap("r", "2", wrapped, tag, bytes(19) + bytes([1] * 16))
    (b'key', None)
    """
    pad, tag_key = stocked[:-_TAG_KEY_BYTES], stocked[-_TAG_KEY_BYTES:]
    wrapped = exclusive_or(key, pad)
    return wrapped, _tag(relay, key_id, wrapped, tag_key)


def unwrap(relay: str, key_id: str, wrapped: bytes, tag: bytes, stocked: bytes) -> bytes | None:
    """Return the key that was wrapped with these bits of stock; None where the tag is not that of it."""
    pad, tag_key = stocked[:-_TAG_KEY_BYTES], stocked[-_TAG_KEY_BYTES:]
    if len(pad) != len(wrapped) or tag != _tag(relay, key_id, wrapped, tag_key):
        return None
    return exclusive_or(wrapped, pad)


def _tag(relay: str, key_id: str, wrapped: bytes, tag_key: bytes) -> bytes:
    return PolynomialHash(tag_key[:TAG_BYTES]).tag(bind(relay, key_id, wrapped), tag_key[TAG_BYTES:])
