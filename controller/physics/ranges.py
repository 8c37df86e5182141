"""The one check of a number at the door of a formula."""

import math


def checked(name: str, value: float, low: float, high: float, *, above_low: bool = False) -> float:
    """Return the value if it is finite and in [low, high], or in (low, high] with `above_low`.

    Args:
        name: Of the argument, for the error.
        value: What was given.
        low: Least value, in the value's unit.
        high: Largest value; infinity only says that there is no limit, the value must be finite.
        above_low: Whether `low` itself is refused.

    >>> checked("fidelity", 0.9, 0.0, 1.0)
    0.9

    Raises:
        ValueError: The value is outside, infinite or not a number; names the argument and the range.
    """
    if math.isfinite(value) and low <= value <= high and not (above_low and value == low):
        return value
    left = "(" if above_low or math.isinf(low) else "["
    right = ")" if math.isinf(high) else "]"
    raise ValueError(f"{name}: {value} is not in {left}{low}, {high}{right}")


def checked_time_constant(name: str, value: float) -> float:
    """Return a time constant in s if it is > 0; infinity is a process that does not happen, and allowed.

    >>> checked_time_constant("coherence_s", math.inf)
    inf

    Raises:
        ValueError: It is 0, negative or not a number; names the argument.
    """
    if value > 0.0:
        return value
    raise ValueError(f"{name}: {value} is not in (0, inf]")


def checked_count(name: str, value: int, low: int) -> int:
    """Return a whole number that is at least `low`.

    Raises:
        ValueError: It is less, or not a whole number; names the argument.
    """
    if isinstance(value, int) and value >= low:
        return value
    raise ValueError(f"{name}: {value} is not a whole number of at least {low}")
