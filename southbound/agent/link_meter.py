"""What the blocks of one link tell: its secret key rate, and what it is ready to promise."""

import math
from bisect import bisect_left, insort
from collections import deque
from typing import Final

WINDOW_MS: Final = 24 * 3600 * 1000
QUANTILE: Final = 0.1
MARGIN: Final = 0.05
MIN_BLOCKS: Final = 20
_RECENT_BLOCKS: Final = 12


class LinkMeter:
    """Measures one link by its finished blocks."""

    def __init__(self) -> None:
        self._blocks: deque[tuple[int, int, int, bool]] = deque()
        self._sorted_rates: list[int] = []

    def add(self, *, end_time_ms: int, duration_ms: int, secret_bit: int, refused: bool = False) -> None:
        """Take a finished block; `duration_ms` is above 0. Blocks come in the order of their ends.

        A block that was refused for its error ratio yields nothing now, and says nothing of what the link can promise
        when it works, no more than the time of a cut does: else a short attack would take the promise for a day.
        """
        rate = secret_bit * 1_000_000 // max(1, duration_ms)
        self._blocks.append((end_time_ms, duration_ms, rate, refused))
        if not refused:
            insort(self._sorted_rates, rate)
        while self._blocks and self._blocks[0][0] <= end_time_ms - WINDOW_MS:
            _, _, old, uncounted = self._blocks.popleft()
            if not uncounted:
                del self._sorted_rates[bisect_left(self._sorted_rates, old)]

    def skr_millibit_per_s(self, now_ms: int) -> int:
        """Return the rate over the last blocks, and over the time since where the next one is overdue."""
        recent = list(self._blocks)[-_RECENT_BLOCKS:]
        if not recent:
            return 0
        key = sum(duration * rate for _, duration, rate, _ in recent)
        last_end, last_duration, _, _ = recent[-1]
        overdue_ms = max(0, now_ms - last_end - 2 * last_duration)
        return round(key / (sum(duration for _, duration, _, _ in recent) + overdue_ms))

    def promised_skr_millibit_per_s(self) -> int | None:
        """Return the tenth percentile of 24 h of blocks not refused, less a margin of 5 %; None before 20 of them."""
        count = len(self._sorted_rates)
        if count < MIN_BLOCKS:
            return None
        return math.floor(self._sorted_rates[math.floor(QUANTILE * (count - 1))] * (1.0 - MARGIN))
