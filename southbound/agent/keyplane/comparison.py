"""Tells whether two ends hold the same block, without telling anything of it.

A polynomial hash modulo the prime 2^127 - 1, masked by addition: blocks are large, and CPython multiplies
integers ten times faster than polynomials over GF(2). Two different blocks of n bytes compare equal, or a forged
tag passes, with probability at most (ceil(n / 15) + 1) / 2^126.

Source: Carter and Wegman, J. Comput. Syst. Sci. 18, 143 (1979); polynomial form as in Bernstein, FSE 2005.
"""

from typing import Final

_PRIME: Final = (1 << 127) - 1
_WORD_BYTES: Final = 15


def comparison_hash(message: bytes, key: bytes) -> int:
    """Return the hash of a message and its length under a 16-byte key, in [0, 2^127 - 1)."""
    point = int.from_bytes(key, "big") % _PRIME
    state = len(message)
    for start in range(0, len(message), _WORD_BYTES):
        state = (state * point + int.from_bytes(message[start : start + _WORD_BYTES], "little")) % _PRIME
    return state * point % _PRIME


def masked(hashed: int, mask: bytes) -> bytes:
    """Return the 16-byte tag; the 16-byte mask is secret and used for this block and end alone."""
    return ((hashed + int.from_bytes(mask, "big")) % _PRIME).to_bytes(16, "big")
