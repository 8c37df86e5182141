"""Searches for paths beside the writer: what was found is a proposal, and the desk takes it only if it still holds.

A search for pairs can take seconds, and a turn of the writer must not. So who asks for a path has it searched first, on
the published snapshot, and hands what was found to the writer with the request. What has changed since decides: where
the plan still fits, and all that its figures rest on is as it was, it is taken without another search.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from controller.domain.entanglement_path import EntanglementPath, PairDemand
from controller.domain.refusals import Overloaded, Precondition, Refusal, TooHard
from controller.domain.route import Route
from controller.domain.snapshot import Snapshot
from controller.routing.entanglement.network import PairNetwork
from controller.routing.entanglement.standing import check_path, predict
from controller.routing.places import find_place, ground_of
from controller.service.deployment import Deployment

STEPS_BESIDE: Final = 800
"""What a search beside the writer may look at: on SURFnet the hardest take some seconds, and callers wait 30 s."""
Seek = Callable[[Snapshot, EntanglementPath, PairDemand], Deployment]
"""Says where a path, as it is to be, may run on a snapshot for a demand; raises a Refusal where it may not."""


class Outdated(Overloaded):
    """What was found beside the writer does not hold any more: search again."""

    def __init__(self, path: EntanglementPath, why: str) -> None:
        super().__init__(
            "OUTDATED",
            f"{path.resource}: the network changed while its route was searched ({why}); try again",
            {"resource": path.resource, "why": why},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What a search beside the writer came to.

    Attributes:
        revision: Of the snapshot that was searched.
        demand: What was searched for.
        found: Where the path may run, or why nowhere.
        rests_on: What the figures of the plan come from: its links, with their conditions, and its nodes.
    """

    revision: int
    demand: PairDemand
    found: Deployment | Refusal
    rests_on: tuple[object, ...] = ()


def sought_soon(snapshot: Snapshot, path: EntanglementPath, demand: PairDemand) -> Deployment:
    """Return where a path may run, by a search as short as a turn of the writer must be.

    Raises:
        NotFound, Precondition, TooHard: As `find_place`.
    """
    place = find_place(ground_of(snapshot, path), path, demand)
    return Deployment(routes=place.routes, plan=place.plan)


class Searching:
    """A `Seek` that takes all the time it needs, and keeps what it finds.

    Attributes:
        proposal: What the search came to; None as long as none was asked for.
    """

    def __init__(self) -> None:
        self.proposal: Proposal | None = None

    def __call__(self, snapshot: Snapshot, path: EntanglementPath, demand: PairDemand) -> Deployment:
        """Return where the path may run.

        Raises:
            NotFound, Precondition, TooHard: As `find_place`; kept as well, with the revision.
        """
        ground = ground_of(snapshot, path)
        try:
            place = find_place(ground, path, demand, steps=STEPS_BESIDE)
        except Refusal as refusal:
            dated = _dated(refusal, snapshot.revision)
            self.proposal = Proposal(revision=snapshot.revision, demand=demand, found=dated)
            raise dated from None
        assert isinstance(ground, PairNetwork)
        assert place.plan is not None
        # Predicted as the writer will, which then finds the figures remembered.
        predict(ground, place.routes[0], place.plan)
        found = Deployment(routes=place.routes, plan=place.plan)
        self.proposal = Proposal(
            revision=snapshot.revision, demand=demand, found=found, rests_on=rests_on(snapshot, place.routes[0])
        )
        return found


def _dated(refusal: Refusal, revision: int) -> Refusal:
    """Return a refusal that says what state of the network it is about."""
    if not isinstance(refusal, Precondition | TooHard):
        return refusal
    return type(refusal)(refusal.reason, refusal.message, {**refusal.facts(), "revision": revision})


def rests_on(snapshot: Snapshot, route: Route) -> tuple[object, ...]:
    """Return what the figures of a plan on a route come from, to be compared."""
    return (
        *((snapshot.links.get(link), snapshot.conditions.get(link)) for link in route.links),
        *(snapshot.nodes.get(node) for node in route.nodes),
    )


def proposed(proposal: Proposal) -> Seek:
    """Return a `Seek` that gives what was proposed where it still holds, and raises Outdated where it does not."""

    def seek(snapshot: Snapshot, path: EntanglementPath, demand: PairDemand) -> Deployment:
        if demand != proposal.demand:
            raise Outdated(path, "something else is asked of it now")
        if isinstance(proposal.found, Refusal):
            raise proposal.found
        route, plan = proposal.found.routes[0], proposal.found.plan
        assert plan is not None
        if rests_on(snapshot, route) != proposal.rests_on:
            raise Outdated(path, "links or nodes of the route are not as they were")
        ground = ground_of(snapshot, path)
        assert isinstance(ground, PairNetwork)
        try:
            check_path(ground, route, plan)
        except Refusal as refusal:
            raise Outdated(path, refusal.message) from None
        return proposal.found

    return seek
