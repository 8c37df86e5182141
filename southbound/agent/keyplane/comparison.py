"""Tells whether two ends hold the same block, without telling anything of it.

Poly1305, as the one-time universal hash that it is: a polynomial modulo 2^130 - 5 at a point of 106 secret bits,
masked by addition of 128 more that are used for this block and end alone. Blocks are large, and this is compiled
wherever TLS is. For two different messages of at most n bytes and any difference of tags, at most 8 ceil(n / 16) of
2^106 points give it: so a different block passes, or a tag is forged, with probability at most 8 ceil(n / 16) / 2^106,
and the tag, being one-time-padded, tells nothing of block or point, whatever the computing power.

Source: Bernstein, The Poly1305-AES message-authentication code, FSE 2005, theorem 3.3; after Carter and Wegman,
J. Comput. Syst. Sci. 18, 143 (1979). Bytes and clamping: RFC 8439, 2.5.
"""

from typing import Final

from cryptography.hazmat.primitives.poly1305 import Poly1305

from controller.domain.capacity import BLOCK_COMPARE_BIT
from southbound.agent.keyplane.gf128 import bind

COMPARE_BIT: Final = BLOCK_COMPARE_BIT
"""The first bits of a block compare it: hash key, then each end's mask (the smaller node name's first)."""


def block_tags(link: str, number: int, block: bytes, *, is_smaller: bool) -> tuple[bytes, bytes]:
    """Return the tags of a whole block: ours and the neighbour's; `is_smaller` tells whose of the two names is.

    Their masks are never used for anything else, so they are made once, while the block is whole, and kept. The bits
    that are hash key and masks are not hashed, or the mask would not hide what it is added to; they are no key, either.
    """
    key, rest = block[: COMPARE_BIT // 8], block[COMPARE_BIT // 8 :]
    message = bind(link, number) + rest
    smaller, larger = (Poly1305.generate_tag(key[:16] + mask, message) for mask in (key[16:32], key[32:48]))
    return (smaller, larger) if is_smaller else (larger, smaller)
