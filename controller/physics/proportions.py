"""An interval for the probability behind a count, exact for small counts too."""

import math
from typing import Final

from controller.physics.ranges import checked

_HALVINGS: Final = 52
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
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        if beta_cdf(middle, a, b) < probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2.0


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
    scale = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
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
