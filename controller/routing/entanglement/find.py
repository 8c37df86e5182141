"""The best route and plan of an entanglement path: the highest rate that keeps the fidelity, in whatever regime."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from controller.domain.entanglement_path import PairDemand
from controller.domain.path_plan import Certificate, PathPlan
from controller.domain.refusals import TooHard
from controller.domain.route import Route
from controller.routing.entanglement.asked import Asked, asked_of
from controller.routing.entanglement.buffered_plan import MOST_STORAGE_LOSS
from controller.routing.entanglement.candidate import Valued
from controller.routing.entanglement.draft import Draft
from controller.routing.entanglement.explain import check_ends, why_none
from controller.routing.entanglement.ground import SAME, Ground, ground_of
from controller.routing.entanglement.keyed import best_by_rate, best_keyed
from controller.routing.entanglement.network import PairNetwork
from controller.routing.entanglement.regimes import bears_storage, drafts, storage_loss
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


def find_path(network: PairNetwork, demand: PairDemand, *, steps: int = STEPS, brief: bool = False) -> Found:
    """Return the route and plan with the highest rate that keeps the fidelity; the plan reserves what is asked.

    Of a demand whose pairs become key, with the most secret key: rate times secret fraction.

    Of equal rates: fewest hops, then first link names read from the smaller end, so that b to a is the reverse of a
    to b. A route is of one regime; the best of all regimes is taken.

    Args:
        network: With what is free.
        demand: What is asked.
        steps: What a search without a known polynomial method may look at; fewer are quicker, and leave a larger gap.
        brief: A refusal leaves out what fidelity would work: to know that takes many searches more.

    Raises:
        NotFound: Source or target is no node of the network.
        Precondition: NO_ROUTE, MIXED_REGIMES, NO_MEMORIES, CANNOT_SWAP, FIDELITY_UNREACHABLE, NO_CAPACITY or
            STORAGE_DECAY; says what would work.
        TooHard: In the memory regime no plan was found, nor shown that there is none.
    """
    check_ends(network, demand)
    asked = asked_of(network, demand)
    searched = network.charged(asked.held)
    search = _Search(
        asked=asked,
        best=best_keyed if demand.key_link else best_by_rate,
        objective="secret_key_millibit_per_s" if demand.key_link else "rate_millihertz",
        steps=steps,
    )
    grounds = [ground_of(searched, demand, regime) for regime in network.wiring.regimes]
    found: list[tuple[Ground, Valued]] = []
    unsettled: TooHard | None = None
    for ground in grounds:
        try:
            valued = search.best(ground, asked.fidelity, steps)
        except TooHard as refusal:
            unsettled = refusal
        else:
            found += [] if valued is None else [(ground, valued)]
    found.sort(key=lambda each: (-each[1].value, len(each[1].candidate.links)))
    bound = max((valued.bound for _, valued in found), default=0.0)
    if unsettled is not None:
        bound = max(bound, float(unsettled.facts()["upper_bound_hz"]))
    for ground, valued in found:
        try:
            for draft, worth in search.workable(ground, valued):
                plan = draft.plan(
                    rate_millihertz=asked.rate_millihertz,
                    test_share=demand.test_share,
                    certificate=Certificate(
                        objective=search.objective,
                        value=worth.value * 1000,
                        upper_bound=max(worth.bound, bound) * 1000,
                    ),
                    held=asked.held,
                )
                if not shortfalls(network, plan.charges):
                    return Found(route=ground.route(draft.candidate.links), plan=plan)
        except TooHard as refusal:  # of a detour: another regime may do
            unsettled = refusal
    if unsettled is not None:
        raise unsettled
    offers = [(ground, valued.candidate) for ground, valued in found]
    raise why_none(network, demand, asked, offers, soon=steps if brief else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Search:
    """What is asked, and what is maximised.

    Attributes:
        best: Returns the best route of a ground that keeps a fidelity, within so many steps.
        objective: What its value is called, in thousandths.
        steps: What each search without a known polynomial method may look at.
    """

    asked: Asked
    best: Callable[[Ground, float, int], Valued | None]
    objective: str
    steps: int

    def workable(self, ground: Ground, valued: Valued) -> Iterator[tuple[Draft, Valued]]:
        """Yield plans that keep the fidelity with all storage counted: of the best route, then of detours."""
        bound = valued.bound
        closed = ground
        for _ in range(_DETOURS):
            kept = self._kept(closed, valued)
            if kept is None:
                return
            draft, worth = kept
            bound = max(bound, worth.bound)
            yield draft, replace(worth, bound=bound)
            tight = _lacking(closed, draft)
            if not tight:
                return
            closed = closed.closing(tight)
            detour = self.best(closed, self.asked.fidelity, self.steps)
            if detour is None:
                return
            valued = detour

    def _kept(self, ground: Ground, valued: Valued) -> tuple[Draft, Valued] | None:
        """Return the plan of a route whose pairs keep the fidelity after storage, of a purer route where needed."""
        wanted = self.asked.fidelity
        floor = wanted
        for _ in range(3):
            least = 0.0
            for draft in drafts(ground, valued.candidate, self.asked.gross_hz):
                least = storage_loss(draft)
                if bears_storage(draft) and draft.fidelity >= wanted * (1 - SAME):
                    return draft, valued
            if least == 0.0 or least > MOST_STORAGE_LOSS:
                return None
            floor = max(floor + least / 4, wanted + least * 1.05)
            purer = self.best(ground, floor, self.steps)
            if purer is None:
                return None
            valued = replace(purer, bound=max(purer.bound, valued.bound))
        return None


def _lacking(ground: Ground, draft: Draft) -> frozenset[int]:
    """Return the transit nodes that lack memories or time for a plan; none where a link lacks room too."""
    short = shortfalls(ground.network, draft.charges())
    numbers = ground.network.wiring.node_number
    if any(not resource.startswith("nodes/") for resource in short):
        return frozenset()
    nodes = {numbers[resource.split("/")[1]] for resource in short}
    return frozenset(nodes - {ground.start, ground.goal})
