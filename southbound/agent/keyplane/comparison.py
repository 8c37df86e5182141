"""Tells whether two ends hold the same block, without telling anything of it.

A polynomial hash modulo the prime 2^127 - 1, masked by addition: blocks are large, and CPython multiplies
integers ten times faster than polynomials over GF(2). Two different blocks of n bytes compare equal, or a forged
tag passes, with probability at most (ceil(n / 15) + 1) / 2^126.

Source: Carter and Wegman, J. Comput. Syst. Sci. 18, 143 (1979); polynomial form as in Bernstein, FSE 2005.
"""

from operator import mul
from typing import Final

from southbound.agent.keyplane.gf128 import bind

COMPARE_BIT: Final = 384
"""The first bits of a block compare it: hash key, then each end's mask (the smaller node name's first)."""
_PRIME: Final = (1 << 127) - 1
_WORD_BYTES: Final = 15
_WORDS_AT_ONCE: Final = 64


def comparison_hash(message: bytes, key: bytes) -> int:
    """Return the hash of a message and its length under a 16-byte key, in [0, 2^127 - 1)."""
    point = int.from_bytes(key, "big") % _PRIME
    words = [
        int.from_bytes(message[start : start + _WORD_BYTES], "little") for start in range(0, len(message), _WORD_BYTES)
    ]
    state = len(message)
    first = len(words) % _WORDS_AT_ONCE
    for word in words[:first]:
        state = (state * point + word) % _PRIME
    # Division is dear: one for so many words, not for each.
    powers = [1]
    for _ in range(_WORDS_AT_ONCE):
        powers.append(powers[-1] * point % _PRIME)
    step, falling = powers[_WORDS_AT_ONCE], powers[_WORDS_AT_ONCE - 1 :: -1]
    for start in range(first, len(words), _WORDS_AT_ONCE):
        state = (state * step + sum(map(mul, words[start : start + _WORDS_AT_ONCE], falling))) % _PRIME
    return state * point % _PRIME


def masked(hashed: int, mask: bytes) -> bytes:
    """Return the 16-byte tag; the 16-byte mask is secret and used for this block and end alone."""
    return ((hashed + int.from_bytes(mask, "big")) % _PRIME).to_bytes(16, "big")


def block_tags(link: str, number: int, block: bytes, *, is_smaller: bool) -> tuple[bytes, bytes]:
    """Return the tags of a whole block: ours and the neighbour's; `is_smaller` tells whose of the two names is.

    Their masks are never used for anything else, so they are made once, while the block is whole, and kept.
    """
    key, rest = block[: COMPARE_BIT // 8], block[COMPARE_BIT // 8 :]
    hashed = comparison_hash(bind(link, number) + rest, key[:16])
    smaller, larger = masked(hashed, key[16:32]), masked(hashed, key[32:48])
    return (smaller, larger) if is_smaller else (larger, smaller)
