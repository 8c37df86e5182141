"""The best route and plan of an entanglement path: the highest rate that keeps the fidelity, in whatever regime."""

from dataclasses import dataclass
from typing import Final

from controller.domain.entanglement_path import PairDemand
from controller.domain.pair_link import Regime
from controller.domain.path_plan import Certificate, PathPlan
from controller.domain.refusals import Precondition
from controller.domain.route import Route
from controller.routing.entanglement.asked import Asked, asked_of
from controller.routing.entanglement.buffered import best_buffered
from controller.routing.entanglement.buffered_plan import MOST_STORAGE_LOSS, depths, draft_buffered
from controller.routing.entanglement.candidate import Candidate
from controller.routing.entanglement.draft import Draft
from controller.routing.entanglement.ground import Ground, ground_of
from controller.routing.entanglement.memory import MemorySearch
from controller.routing.entanglement.memory_plan import draft_memory
from controller.routing.entanglement.network import PairNetwork
from controller.routing.entanglement.standing import shortfalls

STEPS: Final = 20_000
"""What a search without a known polynomial method may look at before it answers with a gap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A route and how pairs are made on it.

    Attributes:
        route: Source to target.
        plan: With what it promises, takes, and its certificate.
    """

    route: Route
    plan: PathPlan


def find_path(network: PairNetwork, demand: PairDemand) -> Found:
    """Return the route and plan with the highest rate that keeps the fidelity; the plan reserves what is asked.

    Of equal rates: fewest hops, then first link names read from the smaller end, so that b to a is the reverse of a
    to b. A route is of one regime; the best of all regimes is taken.

    Raises:
        NotFound: Source or target is no node of the network.
        Precondition: NO_ROUTE, MIXED_REGIMES, NO_MEMORIES, CANNOT_SWAP, FIDELITY_UNREACHABLE, NO_CAPACITY or
            STORAGE_DECAY; says what would work.
    """
    asked = asked_of(network, demand)
    searched = network.charged(asked.held)
    found: list[tuple[Ground, Candidate]] = []
    for regime in network.wiring.regimes:
        ground = ground_of(searched, demand, regime)
        candidate = best_candidate(ground, asked)
        if candidate is not None:
            found.append((ground, candidate))
    found.sort(key=lambda each: (-each[1].rate_hz, len(each[1].links)))
    for ground, candidate in found:
        made = _made(network, ground, candidate, asked, demand)
        if made is not None:
            return made
    raise Precondition("NO_CAPACITY", "no route")


def best_candidate(ground: Ground, asked: Asked, steps: int = STEPS) -> Candidate | None:
    """Return the best route of a ground with all that is free, or None where none keeps the fidelity."""
    if asked.most_loss < 0.0 or not ground.joined:
        return None
    if ground.regime is Regime.BUFFERED:
        return best_buffered(ground, asked.most_loss, steps)
    if ground.regime is Regime.MEMORY:
        return MemorySearch(ground, asked.most_loss, asked.fidelity).best(steps)
    return None


def _made(network: PairNetwork, ground: Ground, candidate: Candidate, asked: Asked, demand: PairDemand) -> Found | None:
    draft = _draft(ground, candidate, asked)
    if draft is None:
        return None
    plan = draft.plan(
        held=asked.held,
        rate_millihertz=asked.rate_millihertz,
        test_share=demand.test_share,
        certificate=Certificate(
            objective="rate_millihertz", value=candidate.rate_hz * 1000, upper_bound=candidate.bound_hz * 1000
        ),
    )
    if shortfalls(network, plan.charges):
        return None
    return Found(route=ground.route(candidate.links), plan=plan)


def _draft(ground: Ground, candidate: Candidate, asked: Asked) -> Draft | None:
    if ground.regime is Regime.MEMORY:
        return draft_memory(ground, candidate, asked.gross_hz)
    for depth in depths(ground, candidate):
        draft = draft_buffered(ground, candidate, asked.gross_hz, depth)
        if draft is None:
            return None
        ideal = (1 + 3 * candidate.werner) / 4
        if ideal - draft.fidelity <= MOST_STORAGE_LOSS:
            return draft if draft.fidelity >= asked.fidelity * (1 - 1e-12) else None
    return None
