"""One face for all regimes: the best candidate of a ground, the most that it can deliver, and its plan for a rate."""

import math
from collections.abc import Iterator
from dataclasses import replace

from controller.domain.pair_link import Regime
from controller.routing.entanglement.at_once import best_at_once
from controller.routing.entanglement.buffered import best_buffered
from controller.routing.entanglement.buffered_plan import (
    MOST_STORAGE_LOSS,
    depths,
    draft_buffered,
    efficiency_of,
)
from controller.routing.entanglement.candidate import Candidate
from controller.routing.entanglement.draft import Draft
from controller.routing.entanglement.ground import Ground
from controller.routing.entanglement.memory import MemorySearch
from controller.routing.entanglement.memory_plan import draft_memory
from controller.routing.entanglement.slot import best_slotted, draft_slotted

BUFFERING = (Regime.BUFFERED, Regime.AT_ONCE)


def best_candidate(ground: Ground, fidelity: float, steps: int) -> Candidate | None:
    """Return the best route of a ground with all that is free, or None where none keeps the fidelity.

    Args:
        ground: Where routes may go.
        fidelity: Least F = <Phi+|rho|Phi+>, > 0.25; above 1: none.
        steps: What searches without a polynomial method may look at.
    """
    if fidelity > 1.0 + 1e-12:
        return None
    ground = replace(ground, most_loss=-math.log(min(1.0, (4 * fidelity - 1) / 3)))
    if not ground.joined:
        return None
    match ground.regime:
        case Regime.BUFFERED:
            return best_buffered(ground, steps)
        case Regime.AT_ONCE:
            return best_at_once(ground)
        case Regime.SLOT:
            return best_slotted(ground)
        case Regime.MEMORY:
            return MemorySearch(ground, fidelity * (1 - 1e-12)).best(steps)


def drafts(ground: Ground, candidate: Candidate, gross_hz: float) -> Iterator[Draft]:
    """Yield the plans of a route for a rate, the preferred one first; of buffers those of other depths after it."""
    match ground.regime:
        case Regime.MEMORY:
            yield draft_memory(ground, candidate, gross_hz)
        case Regime.SLOT:
            yield draft_slotted(ground, candidate, gross_hz)
        case _:
            for depth in depths(ground, candidate) or (1,):
                yield draft_buffered(ground, candidate, gross_hz, depth)


def storage_loss(draft: Draft) -> float:
    """Return what storage costs in F where that is no part of the search: >= 0."""
    if draft.ground.regime not in BUFFERING:
        return 0.0
    return (draft.candidate.werner - draft.werner) * 3 / 4


def bears_storage(draft: Draft) -> bool:
    """Tell whether storage costs so little that the formulas of the regime hold."""
    return storage_loss(draft) <= MOST_STORAGE_LOSS


def most_hz(ground: Ground, candidate: Candidate) -> float:
    """Return the highest rate that the candidate can be promised with, test pairs included."""
    if ground.regime not in BUFFERING:
        return candidate.rate_hz
    depth = next(iter(depths(ground, candidate)), 1)
    return candidate.rate_hz * efficiency_of(ground, candidate, depth)
