"""How long to wait before what an agent refused is asked of it again."""

import hashlib
from typing import Final

FIRST_MS: Final = 5_000
LONGEST_MS: Final = 300_000
_JITTER: Final = 0.25


def retry_after_ms(entry_id: str, refusals: int) -> int:
    """Return the wait after so many refusals in a row (>= 1): doubling, less or more by up to a quarter.

    The jitter follows from the entry, so that a decision can be repeated, and many services that were refused at once
    do not come back at once.

    >>> 3_750 <= retry_after_ms("keyRelays/r/routes/7/shares/0", 1) <= 6_250
    True
    >>> retry_after_ms("keyRelays/r/routes/7/shares/0", 99) <= 375_000
    True
    """
    wait = min(FIRST_MS * 2 ** min(refusals - 1, 20), LONGEST_MS)
    drawn = hashlib.sha256(f"{entry_id} {refusals}".encode()).digest()[0] / 255
    return int(wait * (1 - _JITTER + 2 * _JITTER * drawn))
