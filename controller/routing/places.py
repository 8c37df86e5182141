"""Where services of either kind fit: one face for the routes of key relays and the plans of entanglement paths.

Whoever decides on a service asks here, be it a relay, whose routes hold key rates of QKD links, or a path, whose plan
holds pairs of entanglement links, memories and time of nodes.
"""

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from controller.domain.capacity import service_charges
from controller.domain.entanglement_path import EntanglementPath, PairDemand
from controller.domain.key_links import links_resting_on
from controller.domain.key_relay import Demand, KeyRelay
from controller.domain.path_plan import PathPlan
from controller.domain.refusals import Precondition, Refusal
from controller.domain.route import Route
from controller.domain.service import Service, ServiceDemand
from controller.domain.snapshot import Snapshot
from controller.routing.entanglement.asked import Asked, asked_of
from controller.routing.entanglement.find import find_path
from controller.routing.entanglement.network import PairNetwork, pair_network_of
from controller.routing.entanglement.standing import check_path, predict
from controller.routing.feasible import charges_after_move, check_move, find_move, find_spare
from controller.routing.graph import Graph, graph_of

Ground = Graph | PairNetwork
"""What is free to services of one kind: graphs for key relays, pair networks for entanglement paths."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a service may run.

    Attributes:
        routes: One per share.
        plan: How pairs are made on the route; an entanglement path's.
    """

    routes: tuple[Route, ...]
    plan: PathPlan | None = None


def whole_ground(snapshot: Snapshot, service: Service) -> Ground:
    """Return what is free to services of this one's kind, with what it holds counted."""
    return graph_of(snapshot) if isinstance(service, KeyRelay) else pair_network_of(snapshot)


def ground_of(snapshot: Snapshot, service: Service) -> Ground:
    """Return what is free to a service, with what it holds itself not counted."""
    if isinstance(service, KeyRelay):
        return closed_to(graph_of(snapshot, ignoring=[service.name]), snapshot, service)
    return pair_network_of(snapshot, ignoring=[service.name])


def closed_to(graph: Graph, snapshot: Snapshot, relay: KeyRelay) -> Graph:
    """Return the graph without the links whose key is authenticated with this relay's keys."""
    resting = links_resting_on(snapshot, relay.name)
    return graph.without_links(resting, _RESTS) if resting else graph


STEPS_IN_TURN: Final = 100
"""What a search for pairs may look at where the writer waits for it."""
_SAME: Final = 1e-6
"""Figures that differ by less are the same: a plan is predicted again by the formulas that it was made by."""
THREATENED: Final = "a link of the same duct is down"
_RESTS: Final = "its key is authenticated with keys of this relay"


class Grounds:
    """What is free to one service after the other, each on what those before it leave; made when first asked for."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._shared: dict[str, Ground] = {}

    def free_for(self, service: Service, now: Snapshot | None = None) -> Ground:
        """Return what is free to a service, with what it holds itself not counted.

        Args:
            service: As it is.
            now: The snapshot of now, where other services were moved since; only services may differ.
        """
        free = self._of(service).freed(service_charges(service))
        snapshot = self._snapshot if now is None else now
        return closed_to(free, snapshot, service) if isinstance(service, KeyRelay) else free  # type: ignore[arg-type]

    def given(self, service: Service, charges: Mapping[str, int]) -> None:
        """Note that a service is to hold this from now on, in the place of what it holds."""
        self._shared[service.collection] = self._of(service).freed(service_charges(service)).charged(charges)

    def replaced(self, before: Service, after: Service) -> None:
        """Note that one version of a service stands for another."""
        if before.collection in self._shared:
            self._shared[before.collection] = (
                self._of(before).freed(service_charges(before)).charged(service_charges(after))
            )

    def shared(self) -> Graph:
        """Return what is free to key relays, with what each holds counted."""
        graph = self._shared.get(KeyRelay.collection)
        if graph is None:
            graph = self._shared[KeyRelay.collection] = graph_of(self._snapshot)
        assert isinstance(graph, Graph)
        return graph

    def left(self, graph: Graph) -> None:
        """Note what several key relays leave that were given their routes together."""
        self._shared[KeyRelay.collection] = graph

    def _of(self, service: Service) -> Ground:
        if service.collection not in self._shared:
            self._shared[service.collection] = whole_ground(self._snapshot, service)
        return self._shared[service.collection]


def find_place(
    ground: Ground, service: Service, demand: ServiceDemand | None = None, *, steps: int = STEPS_IN_TURN
) -> Place:
    """Return the best place that a service can be given now, beside what it leaves.

    Args:
        ground: What is free to it, without its own reservations.
        service: As it is, with the demand that its present routes serve.
        demand: What is asked from now on; None leaves it.
        steps: What a search for pairs may look at; the default is for who must not keep the writer.

    Raises:
        NotFound, Precondition, TooHard: As `find_routes` and `find_path`.
    """
    asked = service.demand if demand is None else demand
    if isinstance(service, KeyRelay) and isinstance(ground, Graph):
        assert isinstance(asked, Demand)
        try:
            return Place(routes=find_move(ground, service, asked))
        except Precondition as refusal:
            raise _untrusting(refusal, asked) if asked.no_trusted_transit else refusal from None
    assert isinstance(ground, PairNetwork)
    assert isinstance(asked, PairDemand)
    found = find_path(ground, asked, steps=steps, brief=steps <= STEPS_IN_TURN)
    return Place(routes=(found.route,), plan=found.plan)


def _untrusting(refusal: Precondition, demand: Demand) -> Precondition:
    return Precondition(
        refusal.reason,
        f"{refusal.message}; no_trusted_transit takes only links directly between nodes/{demand.source} and"
        f" nodes/{demand.target}: an entanglement path between them, of kind measure and with a key_link, makes one",
        refusal.facts(),
    )


def find_clear_place(ground: Ground, service: Service, threatened: Collection[str]) -> Place:
    """Return the best place off the links that are threatened, or, where there is none, the best over them.

    Args:
        ground: As of `find_place`.
        service: As it is.
        threatened: Links that may fail a moment later, as `threatened_links` tells them.

    Raises:
        NotFound, Precondition, TooHard: As `find_place`.
    """
    if threatened:
        with suppress(Refusal):
            return find_place(ground.without_links(threatened, THREATENED), service)
    return find_place(ground, service)


def find_clear_backup(ground: Ground, service: Service, threatened: Collection[str]) -> tuple[Route, ...]:
    """Return a backup off the links that are threatened, or, where there is none, one over them.

    Raises:
        NotFound, Precondition, TooHard: As `find_backup_place`.
    """
    if threatened:
        with suppress(Refusal):
            return find_backup_place(ground.without_links(threatened, THREATENED), service)
    return find_backup_place(ground, service)


def find_backup_place(ground: Ground, service: Service, routes: tuple[Route, ...] | None = None) -> tuple[Route, ...]:
    """Return a backup that a service can be given now beside its routes, or those that it is to have.

    Raises:
        NotFound, Precondition, TooHard: As `find_backup`; paths have none.
    """
    if not isinstance(service, KeyRelay) or not isinstance(ground, Graph):
        raise Precondition("UNPROTECTED", f"{service.resource} asks for no backup")
    return find_spare(ground, service, service.routes if routes is None else routes)


def check_place(ground: Ground, service: Service, place: Place, *, backup: tuple[Route, ...] | None = None) -> None:
    """Check that a service may be given this place now, with all that it still holds of its old ones.

    Raises:
        NotFound, Precondition: As `check_move` and `check_path`.
    """
    if isinstance(service, KeyRelay) and isinstance(ground, Graph):
        check_move(ground, service, place.routes, backup=backup)
        return
    assert isinstance(ground, PairNetwork)
    assert isinstance(service, EntanglementPath)
    if len(place.routes) != 1 or place.plan is None or backup:
        raise Precondition("ROUTE_REFUSED", f"{service.resource} takes one route with its plan, and no backup")
    charges = charges_after_move(service, place.routes, plan=place.plan)
    _check_keeps(service, place.routes[0], place.plan, asked_of(ground, service.demand))
    check_path(ground, place.routes[0], place.plan, charges=charges)


def _check_keeps(path: EntanglementPath, route: Route, plan: PathPlan, asked: Asked) -> None:
    """Check that a route and its plan keep what the path asks, rooms aside."""
    demand, hops = path.demand, len(route.links)
    wrong = {
        "it does not join the path's ends": (route.source, route.target) != (demand.source, demand.target),
        "its plan is of other links": tuple(hop.link for hop in plan.hops) != route.links,
        "it has too many hops": hops > (demand.max_hops or hops),
        "it passes what is to be avoided": _passes(route, demand),
        "its pairs are not good enough": plan.fidelity < asked.fidelity - _SAME,
        "it has too few pairs": plan.rate_millihertz < asked.rate_millihertz,
    }
    if any(wrong.values()):
        shown = ", ".join(what for what, so in wrong.items() if so)
        raise Precondition("ROUTE_REFUSED", f"{path.resource}: {shown}; compute the route again", {"why": shown})


def _passes(route: Route, demand: PairDemand) -> bool:
    return not (demand.avoid_nodes.isdisjoint(route.nodes) and demand.avoid_links.isdisjoint(route.links))


def shortfall(snapshot: Snapshot, service: Service) -> str:
    """Return what a path's links, as they are measured now, give less than is asked of it; "" when nothing.

    A key relay's links are weighed against what is promised on each; what comes of pairs shows only end to end. Where
    a link carries nothing new at all, that is no matter of what it gives.
    """
    if not isinstance(service, EntanglementPath) or service.plan is None or not service.routes:
        return ""
    network = pair_network_of(snapshot)
    asked = asked_of(network, service.demand)
    try:
        rate, fidelity = predict(network, service.routes[0], service.plan)
    except Refusal:
        return ""
    told = []
    if rate < asked.rate_millihertz * (1 - _SAME) - 1:
        told.append(f"{rate / 1000:g} pairs/s where {asked.rate_millihertz / 1000:g} are asked")
    if fidelity < asked.fidelity - _SAME:
        told.append(f"a fidelity of {fidelity:.4f} where {asked.fidelity:.4f} is asked")
    return f"its links, as they are measured, give {' and '.join(told)}" if told else ""
