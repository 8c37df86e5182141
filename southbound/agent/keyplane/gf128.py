"""Wegman-Carter authentication: a polynomial hash over GF(2^128) under a one-time mask.

A tag of a message of n bytes is forged with probability at most (ceil(n / 16) + 1) / 2^128; every message
that is tagged under one hash key with a fresh mask adds its own bound, and nothing else leaks. A chunk of
8 kbit costs about 2^-121, so 2^40 of them stay below 2^-81.

Source: Wegman and Carter, J. Comput. Syst. Sci. 22, 265 (1981); the field is that of NIST SP 800-38D
with bits in natural order (bit i of the big-endian number is the coefficient of x^i).
"""

from typing import Final

from controller.domain.capacity import HOP_TAG_BIT

TAG_BYTES: Final = HOP_TAG_BIT // 8
_MASK: Final = (1 << 128) - 1
_LOW: Final = 0x87  # x^128 = x^7 + x^2 + x + 1


class PolynomialHash:
    """Hashes under one 128-bit key; a table of 256 multiples makes it about 5 MB/s in CPython."""

    __slots__ = ("_multiples",)

    def __init__(self, key: bytes) -> None:
        """Prepare the table (about 50 microseconds).

        Raises:
            ValueError: The key is not 16 bytes.
        """
        if len(key) != TAG_BYTES:
            raise ValueError(f"a hash key has {TAG_BYTES} bytes, not {len(key)}")
        multiples = [0] * 256
        power = int.from_bytes(key, "big")
        for bit in range(8):
            multiples[1 << bit] = power
            power <<= 1
            if power >> 128:
                power = (power & _MASK) ^ _LOW
        for byte in range(3, 256):
            if lowest := byte & (byte - 1):
                multiples[byte] = multiples[lowest] ^ multiples[byte ^ lowest]
        self._multiples = multiples

    def digest(self, message: bytes) -> int:
        """Return the hash of the message and its length: an element of GF(2^128)."""
        multiples = self._multiples
        length = len(message)
        padded = message + bytes(-length % 16) + length.to_bytes(16, "big")
        state = 0
        for start in range(0, len(padded), 16):
            state ^= int.from_bytes(padded[start : start + 16], "big")
            product = 0
            for byte in state.to_bytes(16, "big"):
                product = (product << 8) ^ multiples[byte]
            # Sixteen shifts leave at most 248 bits: one fold brings them to 135, the next to 128.
            high = product >> 128
            product = (product & _MASK) ^ high ^ (high << 1) ^ (high << 2) ^ (high << 7)
            high = product >> 128
            state = (product & _MASK) ^ high ^ (high << 1) ^ (high << 2) ^ (high << 7)
        return state

    def tag(self, message: bytes, mask: bytes) -> bytes:
        """Return the 16-byte tag; the 16-byte mask is secret and used for this message alone."""
        return (self.digest(message) ^ int.from_bytes(mask, "big")).to_bytes(TAG_BYTES, "big")


def detecting(message: bytes) -> bytes:
    """Return the message with leading blocks that make its tag detect algebraic manipulation; 16 bytes each.

    Who adds chosen differences to message, hash key x and mask of a tag, not knowing them, must solve
    h(message + d, x + e) = h(message, x) + f. The leading 1 stands at an exponent D of x that is odd and at least two
    above every exponent of the message: if e is not 0 the two sides differ by the term D e x^(D-1), which is not 0 in
    characteristic 2 just because D is odd, and which nothing of the message reaches; if e is 0 they differ by d, from
    exponent 1 on. Either way a polynomial of degree 1 to D - 1 must hit a root: at most (D - 1) / 2^128 of all x.

    Source: Cramer, Dodis, Fehr, Padro, Wichs, EUROCRYPT 2008, section 3 (x^(d+2), d + 2 no multiple of the
    characteristic).
    """
    below = -(-len(message) // TAG_BYTES) + 1  # the blocks of the message, padded, and that of its length
    zeros = 1 if below % 2 else 2
    return (1).to_bytes(TAG_BYTES, "big") + bytes(zeros * TAG_BYTES) + message


def multiply(left: int, right: int) -> int:
    """Return the product in the field, bit by bit: slow, for checking the fast one.

    >>> hex(multiply(1 << 127, 2))
    '0x87'
    """
    product = 0
    while right:
        if right & 1:
            product ^= left
        right >>= 1
        left <<= 1
        if left >> 128:
            left = (left & _MASK) ^ _LOW
    return product


def exclusive_or(left: bytes, right: bytes) -> bytes:
    """Return the XOR of two byte strings of equal length: a one-time pad, put on or taken off.

    >>> exclusive_or(bytes([1, 2]), bytes([3, 2])).hex()
    '0200'

    Raises:
        ValueError: The lengths differ.
    """
    if len(left) != len(right):
        raise ValueError(f"a pad of {len(right)} bytes does not fit {len(left)} bytes")
    return (int.from_bytes(left, "big") ^ int.from_bytes(right, "big")).to_bytes(len(left), "big")


def bind(*fields: str | int | bytes) -> bytes:
    """Return one byte string from which every field can be read back: what tags cover.

    >>> bind("a", 1) == bind("a1"), bind("ab", "c") == bind("a", "bc")
    (False, False)
    """
    parts = []
    for field in fields:
        if isinstance(field, str):
            value = field.encode()
        elif isinstance(field, int):
            value = field.to_bytes(8, "big")
        else:
            value = field
        parts += [len(value).to_bytes(4, "big"), value]
    return b"".join(parts)
