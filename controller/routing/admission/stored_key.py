"""Stored key as a second resource of a link: what bursts may take of it without what is promised for ever losing any.

A link makes key at a rate that may be relied on, and has some in store. Relays without an end take a rate each; a burst
takes a rate too, but only for a time. All are served just when in no time from now more is taken than is made, and in
store above the floor: for every t >= 0

    sum over relays of rate t + sum over bursts of min(rate t, volume)  <=  made t + stored - floor

The left side bends only where a burst ends, so these times are enough, and t = 0 and without end. A stock that the
relays alone would draw down is a promise that was too large from the beginning: it is refused, whatever is in
store. So a burst lives on stored key, and on what the relays leave of the rate, but never on theirs.

What held once goes on holding while bursts run down and the link makes no less than it is relied on for, even where
key is lost because the store is full: the store is then at least as full as it was.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from controller.domain.refusals import InvalidValue


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyStock:
    """What a link has to give.

    Attributes:
        made_millibit_per_s: Key that it makes and that may be relied on, its own needs taken off; >= 0.
        stored_bit: Key in store now, usable in the direction that asks; >= 0.
        floor_bit: What of it is never drawn; >= 0.
    """

    made_millibit_per_s: int
    stored_bit: int
    floor_bit: int = 0

    def __post_init__(self) -> None:
        for name in ("made_millibit_per_s", "stored_bit", "floor_bit"):
            if getattr(self, name) < 0:
                raise InvalidValue("", (name, f"{getattr(self, name)} is negative"))

    @property
    def spare_millibit(self) -> int:
        """Return what is in store above the floor, in thousandths of a bit; negative below it."""
        return (self.stored_bit - self.floor_bit) * 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    """What is taken for a time.

    Attributes:
        rate_millibit_per_s: Of the link, tags included; > 0.
        remaining_s: Until it ends; > 0.
    """

    rate_millibit_per_s: int
    remaining_s: int

    def __post_init__(self) -> None:
        for name in ("rate_millibit_per_s", "remaining_s"):
            if getattr(self, name) <= 0:
                raise InvalidValue("", (name, f"{getattr(self, name)} is not positive"))

    def taken_by(self, after_s: int) -> int:
        """Return what it takes from now until then, in thousandths of a bit."""
        return self.rate_millibit_per_s * min(after_s, self.remaining_s)


def least_left_millibit(stock: KeyStock, lasting_millibit_per_s: int, bursts: Sequence[Burst]) -> int:
    """Return the least that is ever left above the floor, in thousandths of a bit; negative where promises break.

    Cost: O(b log b) for b bursts.

    Args:
        stock: Of the link.
        lasting_millibit_per_s: Rates of all relays without an end; >= 0, at most what the link makes.
        bursts: With their ends.

    Raises:
        InvalidValue: The lasting rates alone are more than the link makes.
    """
    free = _free(stock, lasting_millibit_per_s)
    least = left = stock.spare_millibit
    taking, before = sum(burst.rate_millibit_per_s for burst in bursts), 0
    for burst in sorted(bursts, key=lambda burst: burst.remaining_s):
        left += (free - taking) * (burst.remaining_s - before)
        taking, before = taking - burst.rate_millibit_per_s, burst.remaining_s
        least = min(least, left)
    return least


def largest_burst_millibit_per_s(
    stock: KeyStock, lasting_millibit_per_s: int, bursts: Sequence[Burst], lasts_s: int
) -> int:
    """Return the largest rate that one more burst may take for that long; 0 when none. Cost: O(b^2) for b bursts.

    Args:
        stock: Of the link.
        lasting_millibit_per_s: As of `least_left_millibit`.
        bursts: Those that were admitted.
        lasts_s: How long the new one lasts; > 0.

    Raises:
        InvalidValue: The lasting rates alone are more than the link makes, or it lasts for no time.

    >>> stock = KeyStock(made_millibit_per_s=5_000, stored_bit=1_000, floor_bit=100)
    >>> largest_burst_millibit_per_s(stock, 4_000, (), 60), largest_burst_millibit_per_s(stock, 4_000, (), 3600)
    (16000, 1250)
    """
    if lasts_s <= 0:
        raise InvalidValue("", ("lasts_s", f"{lasts_s} is not positive"))
    free = _free(stock, lasting_millibit_per_s)
    if stock.spare_millibit < 0:
        return 0
    rates = []
    for at_s in sorted({lasts_s, *(burst.remaining_s for burst in bursts)}):
        left = stock.spare_millibit + free * at_s - sum(burst.taken_by(at_s) for burst in bursts)
        rates.append(left // min(at_s, lasts_s))
    return max(0, min(rates))


def _free(stock: KeyStock, lasting_millibit_per_s: int) -> int:
    free = stock.made_millibit_per_s - lasting_millibit_per_s
    if free < 0 or lasting_millibit_per_s < 0:
        raise InvalidValue(
            "",
            (
                "lasting_millibit_per_s",
                f"{lasting_millibit_per_s} is not in 0..{stock.made_millibit_per_s}, what the link makes;"
                " key in store serves nobody for ever",
            ),
        )
    return free
