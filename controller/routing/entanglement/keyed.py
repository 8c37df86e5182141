"""The best route for pairs that become key: rate times secret fraction, which keeps no order of either alone.

Best routes are found for one least fidelity after the other. With a rate R at one, no route of a fidelity up to F is
worth more than R r(F), r the secret fraction, which rises; so the next least fidelity is the one from which on that is
more than the best so far. What is skipped is proven to be no better.
"""

import math
from typing import Final

from controller.domain.refusals import TooHard
from controller.physics.pair_keys import secret_fraction
from controller.physics.pair_states import qber_of
from controller.routing.entanglement.candidate import Candidate, Valued
from controller.routing.entanglement.ground import SAME, Ground
from controller.routing.entanglement.regimes import best_candidate

_ROUNDS: Final = 16
_NEXT: Final = 1e-7
_HALVINGS: Final = 40


def fraction_of(fidelity: float) -> float:
    """Return the secret bits per pair of F = <Phi+|rho|Phi+>, Werner, asymptotic; in [0, 1]."""
    error = qber_of(min(1.0, fidelity))
    return secret_fraction(error, error)


def best_keyed(ground: Ground, fidelity: float, steps: int) -> Valued | None:
    """Return the route of the most secret key that keeps a fidelity; of the highest rate where none gives key.

    Its value is in secret bits per second: of an infinite block, before sifting and test pairs are taken off. Where the
    search for a purer one runs out of steps, the best so far is returned with its gap.

    Raises:
        TooHard: The first search runs out of steps.
    """
    best: Valued | None = None
    upper = 0.0
    floor, open_value = fidelity, 0.0
    purest = (1 + 3 * math.exp(-ground.losses_to_goal[ground.start])) / 4
    for _ in range(_ROUNDS):
        try:
            candidate = best_candidate(ground, floor, steps)
        except TooHard:
            if best is None:
                raise
            break  # what is left open is in the bound
        if candidate is None:
            return _bounded(best, upper)
        found = (1 + 3 * candidate.werner) / 4
        value = candidate.rate_hz * fraction_of(found)
        if best is None or value > best.value * (1 + SAME):
            best = Valued(candidate=candidate, value=value, bound=value)
        # Up to this fidelity nothing is worth more than the best, whatever its route.
        settled = _fraction_reached(best.value / candidate.bound_hz)
        if settled < found:
            # The search had a gap: what it left open up to here is worth this at most.
            upper = max(upper, candidate.bound_hz * fraction_of(found))
        floor = max(settled, found, floor) + _NEXT
        if floor > purest:
            return _bounded(best, upper)
        open_value = candidate.bound_hz * fraction_of(purest)
    return _bounded(best, max(upper, open_value))


def _fraction_reached(fraction: float) -> float:
    """Return the fidelity at which the secret fraction is that much; 1 where it never is."""
    if fraction >= 1.0:
        return 1.0
    low, high = 0.5, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if fraction_of(middle) > fraction else (middle, high)
    return low


def _bounded(best: Valued | None, upper: float) -> Valued | None:
    if best is None:
        return None
    return Valued(candidate=best.candidate, value=best.value, bound=max(best.value, upper))


def best_by_rate(ground: Ground, fidelity: float, steps: int) -> Valued | None:
    """Return the route of the highest rate that keeps a fidelity; its value is that rate in Hz."""
    candidate: Candidate | None = best_candidate(ground, fidelity, steps)
    if candidate is None:
        return None
    return Valued(candidate=candidate, value=candidate.rate_hz, bound=candidate.bound_hz)
