"""What a link of this node truly does: its model, its faults, and what its attempts have come to."""

import math
from collections import deque
from random import Random
from typing import Final

from controller.domain.pair_link import PairModel
from southbound.agent.pairs.estimate import FidelityWindow
from southbound.agent.pairs.messages import LinkCondition

_SLICES: Final = 16
_LEAST_EXPECTED: Final = 100.0
_SIGMAS: Final = 3.0
_NORMAL_VARIANCE: Final = 400.0
WINDOW_S: Final = 30.0
TEST_SAMPLES: Final = 1200
TEST_WINDOW_S: Final = 600.0


class Link:
    """One entanglement link of this node, as its hardware is; no controller's word changes it."""

    def __init__(self, name: str, neighbour: str, model: PairModel) -> None:
        self.name = name
        self.neighbour = neighbour
        self.model = model
        self.enabled = True
        self.own = LinkCondition(name, 1.0, 1.0, False)
        self.far = LinkCondition(name, 1.0, 1.0, False)
        self.meter = AttemptMeter()
        self.tests: dict[int, FidelityWindow] = {}
        """By option."""
        self._tested = 0

    @property
    def cut(self) -> bool:
        """Whether nothing gets through, or nothing shall."""
        return self.own.cut or self.far.cut or not self.enabled

    @property
    def success_factor(self) -> float:
        """What the success of attempts is multiplied by: the worse of what both ends know."""
        return min(self.own.success_factor, self.far.success_factor)

    @property
    def werner_factor(self) -> float:
        """What w of pairs is multiplied by: the worse of what both ends know."""
        return min(self.own.werner_factor, self.far.werner_factor)

    def model_success(self, option: int) -> float:
        """Return the success probability of an attempt as the model has it; 0 where there is no such option."""
        options = self.model.options
        return options[option].success_probability if option < len(options) else 0.0

    def success(self, option: int) -> float:
        """Return the success probability of an attempt as it is now; 0 where nothing gets through."""
        return 0.0 if self.cut else min(1.0, self.model_success(option) * self.success_factor)

    def model_werner(self, option: int) -> float:
        """Return w of a pair at its herald as the model has it."""
        options = self.model.options
        return (4.0 * options[option].fidelity - 1.0) / 3.0 if option < len(options) else 0.0

    def werner(self, option: int) -> float:
        """Return w of a pair at its herald as it is now."""
        return self.model_werner(option) * self.werner_factor

    def test(self, option: int, pairs: int, random: Random, now_s: float) -> None:
        """Measure pairs of an option at their herald, in X, Y and Z by turns, and count them as tests.

        Both outcomes are drawn here: what matters is whether they are as Phi+ has them.
        """
        window = self.tests.setdefault(option, FidelityWindow(samples=TEST_SAMPLES, seconds=TEST_WINDOW_S))
        error = 0.5 * (1.0 - self.werner(option))
        self.meter.add(now_s, 0.0, pairs, 0.0, test=True)
        for _ in range(min(pairs, TEST_SAMPLES)):
            self._tested += 1
            window.add(self._tested % 3, int(random.random() < error), now_s)


class AttemptMeter:
    """Counts attempts and pairs of one link, since the start and over a window of some report intervals."""

    def __init__(self) -> None:
        self.pair_total = 0
        self._slices: deque[list[float]] = (
            deque()
        )  # start, attempts, pairs that the model has of them, pairs, those of paths

    def add(self, now_s: float, attempts: float, pairs: int, expected: float, *, test: bool = False) -> None:
        """Count attempts that are over, the pairs that came of them and those that the model has come of them.

        Pairs that were made to test the link count for its success alone.
        """
        made = 0 if test else pairs
        self.pair_total += made
        slices = self._slices
        if not slices or now_s - slices[-1][0] >= WINDOW_S / _SLICES:
            slices.append([now_s, 0.0, 0.0, 0.0, 0.0])
            while len(slices) > _SLICES + 1:
                slices.popleft()
        newest = slices[-1]
        newest[1] += attempts
        newest[2] += expected
        newest[3] += pairs
        newest[4] += made

    def rate_hz(self, now_s: float) -> float:
        """Return pairs per second over the window, a slice of it at least."""
        recent = [one for one in self._slices if one[0] > now_s - WINDOW_S]
        if not recent:
            return 0.0
        span_s = max(WINDOW_S / _SLICES, now_s - recent[0][0])
        return sum(one[4] for one in recent) / span_s

    def success_factor(self, now_s: float) -> float | None:
        """Return pairs over those that the model expects; None where too few were tried to tell."""
        recent = [one for one in self._slices if one[0] > now_s - WINDOW_S]
        expected = sum(one[2] for one in recent)
        return sum(one[3] for one in recent) / expected if expected >= _LEAST_EXPECTED else None

    def certain_success_factor(self, now_s: float) -> float | None:
        """Return what chance does not explain of the success factor: the nearest to 1 within three standard deviations.

        Services are moved by it, and a link that works must not lose them to its dice.
        """
        factor = self.success_factor(now_s)
        if factor is None:
            return None
        expected = sum(one[2] for one in self._slices if one[0] > now_s - WINDOW_S)
        doubt = _SIGMAS * math.sqrt(max(factor, 1.0 / expected) / expected)
        return min(max(1.0, factor - doubt), factor + doubt)


def binomial(random: Random, trials: int, success: float) -> int:
    """Return how many of so many independent trials succeed; where very many are expected, to normal approximation."""
    if trials <= 0 or success <= 0.0:
        return 0
    if success >= 1.0:
        return trials
    variance = trials * success * (1.0 - success)
    if variance > _NORMAL_VARIANCE:
        return min(trials, max(0, round(random.gauss(trials * success, math.sqrt(variance)))))
    found = -1
    spent = 0
    while spent <= trials:
        found += 1
        spent += attempts_until_success(success, random.random())
    return found


def successes_if_any(random: Random, trials: int, success: float) -> int:
    """Return how many of so many trials succeed, given that at least one does."""
    if success >= 1.0:
        return trials
    some = -math.expm1(trials * math.log1p(-success))
    first = int(math.log1p(-random.random() * some) / math.log1p(-success))
    return 1 + binomial(random, trials - 1 - first, success)


def attempts_until_success(success: float, uniform: float) -> int:
    """Return how many attempts it takes, the successful one included, drawn by a number in [0, 1).

    >>> attempts_until_success(0.5, 0.74), attempts_until_success(0.5, 0.76), attempts_until_success(1.0, 0.9)
    (2, 3, 1)
    """
    if success >= 1.0:
        return 1
    return 1 + int(math.log1p(-uniform) / math.log1p(-success))
