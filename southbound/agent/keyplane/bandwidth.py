"""How fast one application may take keys: so that none drains the stock that it shares with others."""

import math
from dataclasses import dataclass
from typing import Final

BURST_S: Final = 10
"""So many seconds of its bandwidth an application that was quiet may take at once; the largest key in any case."""


@dataclass(slots=True)
class TokenBucket:
    """Fills at a rate, up to its depth; what is taken must be in it.

    Attributes:
        rate_bit_per_s: > 0.
        depth_bit: Most that can be taken at once; > 0.
        level_bit: What was in it at `at_s`.
        at_s: When something was taken last.

    >>> bucket = TokenBucket(rate_bit_per_s=100, depth_bit=1000, level_bit=1000.0, at_s=0.0)
    >>> bucket.take(900, now_s=0.0), bucket.take(200, now_s=0.5), bucket.wait_s(200, now_s=0.5)
    (True, False, 0.5)
    >>> bucket.take(200, now_s=1.0), bucket.level(now_s=1.0)
    (True, 0)
    """

    rate_bit_per_s: int
    depth_bit: int
    level_bit: float
    at_s: float

    def level(self, now_s: float) -> int:
        """Return what can be taken now."""
        return math.floor(self._level(now_s))

    def take(self, bit: int, now_s: float) -> bool:
        """Take so many, or nothing and return False."""
        level_bit = self._level(now_s)
        if bit > level_bit:
            return False
        self.level_bit, self.at_s = level_bit - bit, now_s
        return True

    def give_back(self, bit: int) -> None:
        """Put back what was taken and came to nothing."""
        self.level_bit = min(float(self.depth_bit), self.level_bit + bit)

    def wait_s(self, bit: int, now_s: float) -> float:
        """Return how long until so many, at most the depth, can be taken."""
        return max(0.0, (bit - self._level(now_s)) / self.rate_bit_per_s)

    def _level(self, now_s: float) -> float:
        return min(float(self.depth_bit), self.level_bit + max(0.0, now_s - self.at_s) * self.rate_bit_per_s)
