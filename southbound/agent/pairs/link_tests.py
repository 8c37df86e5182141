"""Test pairs of links: they show how well a link works, whether its paths take all of it, or no path uses it.

Of the pairs that a link makes for paths a small share is measured instead of used (`Part.count`); predictions and
reservations reckon with it (`usable_success`). What the paths leave of a link is used for tests, too. All are measured
at their herald and take no memory. Both outcomes are drawn by the end that draws the heralds, which alone tells of
them: on real hardware the other end would say its own.
"""

import math
from collections.abc import Iterable
from random import Random
from typing import Final

from controller.domain.pair_link import Regime, usable_success
from southbound.agent.pairs.estimate import Estimate
from southbound.agent.pairs.links import Link, binomial
from southbound.agent.pairs.part import Part, Phase

PER_LOOK: Final = 20
_LEAST_SAMPLES: Final = 300


def try_link(link: Link, parts: Iterable[Part], random: Random, seconds: float, now_s: float) -> None:
    """Make some test pairs with what the paths have left of a link in the last seconds.

    Args:
        link: Whose heralds this node draws, with a stream to the other end.
        parts: All that this node has.
        random: Chance.
        seconds: Since the last time.
        now_s: Now.
    """
    option = _option_in_use(link.name, parts)
    expected = link.model_success(option)
    spare = _spare_attempts(link, parts) * seconds
    attempts = math.floor(min(spare, PER_LOOK / expected if expected > 0.0 else 0.0))
    if attempts < 1:
        return
    pairs = binomial(random, attempts, link.success(option))
    link.meter.add(now_s, attempts, 0, attempts * expected)
    link.test(option, pairs, random, now_s)


def estimate_of(link: Link, parts: Iterable[Part], now_s: float) -> Estimate | None:
    """Return what test pairs tell of the option in use, of the first where none is; None without any."""
    window = link.tests.get(_option_in_use(link.name, parts))
    return None if window is None else window.estimate(now_s)


def fidelity_loss(link: Link, parts: Iterable[Part], now_s: float) -> float | None:
    """Return by how much a link's pairs are worse than its model's; None while too few were measured to tell.

    What chance may explain is no loss: the model's fidelity lies in the interval of the estimate.
    """
    estimate = estimate_of(link, parts, now_s)
    if estimate is None or estimate.samples < _LEAST_SAMPLES:
        return None
    model = (1.0 + 3.0 * link.model_werner(_option_in_use(link.name, parts))) / 4.0
    return 0.0 if model <= estimate.high else model - estimate.fidelity


def _option_in_use(link: str, parts: Iterable[Part]) -> int:
    used = (hop.option for part in parts if part.phase is Phase.ACTIVE for hop in part.route.hops if hop.link == link)
    return next(used, 0)


def _spare_attempts(link: Link, parts: Iterable[Part]) -> float:
    """Return the attempts per second that no path makes."""
    model = link.model
    if model.regime in (Regime.MEMORY, Regime.SLOT):
        used = sum(part.pairs_on(link.name) for part in parts)
        return 1.0 / model.attempt_period_s if used < model.memory_pairs else 0.0
    reserved = 0.0
    for part in parts:
        for hop in part.route.hops:
            success = usable_success(link.model_success(hop.option))
            if hop.link == link.name and part.in_use and success > 0.0:
                reserved += hop.rate_hz / success
    return max(0.0, 1.0 / model.attempt_period_s - reserved)
