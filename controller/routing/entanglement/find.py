"""The best route and plan of an entanglement path: the highest rate that keeps the fidelity, in whatever regime."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from controller.domain.entanglement_path import PairDemand
from controller.domain.path_plan import Certificate, PathPlan
from controller.domain.route import Route
from controller.routing.entanglement.asked import Asked, asked_of
from controller.routing.entanglement.buffered_plan import MOST_STORAGE_LOSS
from controller.routing.entanglement.candidate import Candidate
from controller.routing.entanglement.draft import Draft
from controller.routing.entanglement.explain import check_ends, why_none
from controller.routing.entanglement.ground import SAME, Ground, ground_of
from controller.routing.entanglement.network import PairNetwork
from controller.routing.entanglement.regimes import bears_storage, best_candidate, drafts, storage_loss
from controller.routing.entanglement.standing import shortfalls

STEPS: Final = 2_000
"""What a search without a known polynomial method may look at before it answers with a gap."""
_DETOURS: Final = 4
"""How many nodes that lack memories or time for the plan of the best route are gone round."""


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
    check_ends(network, demand)
    asked = asked_of(network, demand)
    searched = network.charged(asked.held)
    grounds = [ground_of(searched, demand, regime) for regime in network.wiring.regimes]
    found = [
        (ground, candidate)
        for ground in grounds
        if (candidate := best_candidate(ground, asked.fidelity, STEPS)) is not None
    ]
    found.sort(key=lambda each: (-each[1].rate_hz, len(each[1].links)))
    for ground, candidate in found:
        for draft in _workable(ground, candidate, asked):
            plan = draft.plan(
                rate_millihertz=asked.rate_millihertz,
                test_share=demand.test_share,
                certificate=Certificate(
                    objective="rate_millihertz",
                    value=draft.candidate.rate_hz * 1000,
                    upper_bound=max(candidate.bound_hz, draft.candidate.bound_hz) * 1000,
                ),
                held=asked.held,
            )
            if not shortfalls(network, plan.charges):
                return Found(route=ground.route(draft.candidate.links), plan=plan)
    raise why_none(network, demand, asked, found)


def _workable(ground: Ground, candidate: Candidate, asked: Asked) -> Iterator[Draft]:
    """Yield plans that keep the fidelity with all storage counted: of the best route, then of detours."""
    closed = ground
    for _ in range(_DETOURS):
        draft = _kept(closed, candidate, asked)
        if draft is not None:
            yield draft
        else:
            return
        tight = _lacking(closed, draft)
        if not tight:
            return
        closed = closed.closing(tight)
        detour = best_candidate(closed, asked.fidelity, STEPS)
        if detour is None:
            return
        candidate = detour


def _kept(ground: Ground, candidate: Candidate, asked: Asked) -> Draft | None:
    """Return the plan of a route whose pairs keep the fidelity after their storage, of a purer route where needed."""
    floor = asked.fidelity
    for _ in range(3):
        least = 0.0
        for draft in drafts(ground, candidate, asked.gross_hz):
            least = storage_loss(draft)
            if bears_storage(draft) and draft.fidelity >= asked.fidelity * (1 - SAME):
                return draft
        if least == 0.0 or least > MOST_STORAGE_LOSS:
            return None
        floor = max(floor + least / 4, asked.fidelity + least * 1.05)
        purer = best_candidate(ground, floor, STEPS)
        if purer is None:
            return None
        candidate = replace(purer, bound_hz=max(purer.bound_hz, candidate.bound_hz))
    return None


def _lacking(ground: Ground, draft: Draft) -> frozenset[int]:
    """Return the transit nodes that lack memories or time for a plan; none where a link lacks room too."""
    short = shortfalls(ground.network, draft.charges())
    numbers = ground.network.wiring.node_number
    if any(not resource.startswith("nodes/") for resource in short):
        return frozenset()
    nodes = {numbers[resource.split("/")[1]] for resource in short}
    return frozenset(nodes - {ground.start, ground.goal})
