"""Flap damping: a link that goes down again and again is given nothing new until it has stayed up for a while."""

from dataclasses import replace
from typing import Final

from controller.domain.link import LinkCondition

PENALTY: Final = 1000
"""Added each time that a link goes down."""
DAMPED_FROM: Final = 3000
FREE_BELOW: Final = 1000
HALF_LIFE_MS: Final = 60_000


def penalty_at(condition: LinkCondition, now_ms: int) -> int:
    """Return what is left of a link's penalty at a service time.

    >>> penalty_at(LinkCondition(flap_penalty=4000, flap_at_ms=0), 120_000)
    1000
    """
    passed = max(0, now_ms - condition.flap_at_ms)
    return int(condition.flap_penalty * 0.5 ** (passed / HALF_LIFE_MS))


def went_down(condition: LinkCondition, now_ms: int) -> LinkCondition:
    """Return the condition with one more going down counted."""
    penalty = penalty_at(condition, now_ms) + PENALTY
    return replace(
        condition, flap_penalty=penalty, flap_at_ms=now_ms, damped=condition.damped or penalty >= DAMPED_FROM
    )


def may_be_freed(condition: LinkCondition, now_ms: int) -> bool:
    """Tell whether a damped link has stayed up for long enough."""
    return condition.damped and condition.generating and penalty_at(condition, now_ms) < FREE_BELOW


def freed(condition: LinkCondition) -> LinkCondition:
    """Return the condition as it is when nothing of the flapping counts any more."""
    return replace(condition, flap_penalty=0, flap_at_ms=0, damped=False)
