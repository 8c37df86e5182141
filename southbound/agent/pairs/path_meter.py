"""How many pairs an end of a path got over a sliding window, how good, and whether that is what was promised."""

import math
from collections import deque
from typing import Final

_SLICES: Final = 30
_SHORTEST_S: Final = 30.0
_PAIRS: Final = 30.0
_SIGMAS: Final = 3.0


class PathMeter:
    """Counts deliveries of one path at one end.

    The window is as long as some 30 promised pairs take, 30 s at least: pairs come by chance, so a shorter one would
    starve now and then at a rate that is as promised.
    """

    def __init__(self) -> None:
        self._promised_hz = 0.0
        self._since_s = 0.0
        self._slices: deque[list[float]] = deque()  # start, pairs, their summed fidelity, pairs that are counted

    def promise(self, rate_hz: float, now_s: float) -> None:
        """Take what is promised from now on, 0 for nothing; another promise begins another window."""
        if rate_hz != self._promised_hz:
            self._promised_hz, self._since_s = rate_hz, now_s
            self._slices.clear()

    @property
    def window_s(self) -> float:
        """How far back the figures go."""
        return max(_SHORTEST_S, _PAIRS / self._promised_hz) if self._promised_hz > 0.0 else _SHORTEST_S

    def add(self, now_s: float, fidelity: float, *, counted: bool) -> None:
        """Count a pair; test pairs are not counted in the rate."""
        slices = self._slices
        if not slices or now_s - slices[-1][0] >= self.window_s / _SLICES:
            slices.append([now_s, 0.0, 0.0, 0.0])
            while len(slices) > _SLICES + 1:
                slices.popleft()
        newest = slices[-1]
        newest[1] += 1.0
        newest[2] += fidelity
        newest[3] += counted

    def rate_hz(self, now_s: float) -> float:
        """Return pairs per second over the window, or since the promise where that is shorter.

        Never over less than a slice of the window: the first pair, soon after the promise, is no rate.
        """
        span_s = max(self.window_s / _SLICES, min(self.window_s, now_s - self._since_s))
        return sum(one[3] for one in self._recent(now_s)) / span_s

    def tracked_fidelity(self, now_s: float) -> float | None:
        """Return the mean tracked fidelity of the pairs of the window; None without any."""
        recent = self._recent(now_s)
        pairs = sum(one[1] for one in recent)
        return sum(one[2] for one in recent) / pairs if pairs else None

    def starved(self, now_s: float) -> bool:
        """Tell whether too few pairs came, by more than chance explains (three standard deviations)."""
        window_s = self.window_s
        if self._promised_hz <= 0.0 or now_s - self._since_s < window_s:
            return False
        expected = self._promised_hz * window_s
        return sum(one[3] for one in self._recent(now_s)) < expected - _SIGMAS * math.sqrt(expected)

    def _recent(self, now_s: float) -> list[list[float]]:
        return [one for one in self._slices if one[0] > now_s - self.window_s]
