"""An interval for the probability behind a count, exact for small counts too."""

import math
from typing import Final

from controller.physics.ranges import checked

_STEPS: Final = 200
_TERMS: Final = 10_000


def proportion_interval(successes: float, trials: float, confidence: float = 0.95) -> tuple[float, float]:
    """Return (low, high), each in [0, 1]: where a probability may lie that gave so many successes in so many trials.

    Covers the truth with at least the confidence asked for, at either side. Counts need not be whole: weighted ones
    interpolate. No trials: (0, 1).

    Args:
        successes: In [0, trials].
        trials: >= 0.
        confidence: In (0, 1).

    Source: Clopper, Pearson, Biometrika 26, 404 (1934).

    >>> [round(limit, 4) for limit in proportion_interval(0, 100)]
    [0.0, 0.0362]
    >>> [round(limit, 4) for limit in proportion_interval(10, 100)]
    [0.049, 0.1762]

    Raises:
        ValueError: An argument is out of range.
    """
    checked("trials", trials, 0.0, math.inf)
    checked("successes", successes, 0.0, trials)
    tail = (1.0 - checked("confidence", confidence, 0.0, math.nextafter(1.0, 0.0), above_low=True)) / 2.0
    failures = trials - successes
    low = _beta_quantile(tail, successes, failures + 1.0) if successes > 0.0 else 0.0
    high = _beta_quantile(1.0 - tail, successes + 1.0, failures) if failures > 0.0 else 1.0
    return low, high


def _beta_quantile(probability: float, a: float, b: float) -> float:
    low, high = 0.0, 1.0
    x = a / (a + b)
    for _ in range(_STEPS):
        found = beta_cdf(x, a, b)
        low, high = (x, high) if found < probability else (low, x)
        # Newton's step where it stays inside, else halve: the tails are too flat for Newton alone.
        density = math.exp(_log_kernel(x, a, b)) / (x * (1.0 - x))
        onward = x - (found - probability) / density if density > 0.0 else -1.0
        if not low < onward < high:
            onward = (low + high) / 2.0
        if abs(onward - x) <= 1e-13 * x or not 0.0 < onward < 1.0:
            return min(1.0, max(0.0, onward))
        x = onward
    return x


def beta_cdf(x: float, a: float, b: float) -> float:
    """Return the regularised incomplete beta function I_x(a, b) in [0, 1], for x in [0, 1] and a, b > 0.

    Source: DLMF 8.17.22, the continued fraction, evaluated by Lentz's method.

    >>> round(beta_cdf(0.3, 2.0, 3.0), 12)
    0.3483
    """
    if x <= 0.0 or x >= 1.0:
        return float(x >= 1.0)
    # The fraction converges fast on this side of the mean only.
    if x > (a + 1.0) / (a + b + 2.0):
        return 1.0 - beta_cdf(1.0 - x, b, a)
    scale = math.exp(_log_kernel(x, a, b))
    upper, lower = 1.0, 1.0 / (1.0 - (a + b) * x / (a + 1.0))
    fraction = lower
    for m in range(1, _TERMS):
        before = fraction
        for step in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            upper = 1.0 + step / upper
            lower = 1.0 / (1.0 + step * lower)
            fraction *= upper * lower
        if abs(fraction - before) <= 1e-15 * abs(fraction):
            break
    return min(1.0, scale * fraction / a)


def _log_kernel(x: float, a: float, b: float) -> float:
    """Return ln( x^a (1-x)^b / B(a, b) )."""
    return math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
