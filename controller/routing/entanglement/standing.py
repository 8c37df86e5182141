"""What a plan that was made before is worth on the network of now: what it delivers, and whether it still fits."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from controller.domain.pair_capacity import EffectiveOption
from controller.domain.pair_link import Regime
from controller.domain.path_plan import PathPlan
from controller.domain.refusals import Precondition
from controller.domain.route import Route
from controller.physics.memory_regime import predict_lane
from controller.physics.purification import nested_rounds
from controller.physics.slot_regime import slot_rate_hz
from controller.physics.swap_tree import SwapTree
from controller.routing.entanglement.buffered_plan import storage_factor_of
from controller.routing.entanglement.lanes import lane_over
from controller.routing.entanglement.network import PairEdge, PairNetwork, PairStation

NOTHING = (0, 0.25)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hop:
    edge: PairEdge
    option: EffectiveOption
    rounds: int
    made_hz: float

    @property
    def werner(self) -> float:
        return (4 * self.option.fidelity - 1) / 3

    def purified(self) -> tuple[float, float]:
        """Return (raw pairs per purified pair, w)."""
        cost, fidelity = nested_rounds(self.option.fidelity, self.rounds)
        return cost, (4 * fidelity - 1) / 3


def predict(network: PairNetwork, route: Route, plan: PathPlan) -> tuple[int, float]:
    """Return (net rate in mHz, mean fidelity) that a plan delivers on its route as the links are measured now.

    Its option may make no entangled pairs any more: then the rate is 0. What is free does not matter.

    Raises:
        Precondition: ROUTE_REFUSED: a link of the route carries nothing (it is down, disabled, gone, ...).
    """
    wiring = network.wiring
    hops: list[_Hop] = []
    for hop in plan.hops:
        number = wiring.edge_number.get(hop.link)
        if number is None:
            raise _refused(network, hop.link)
        edge = wiring.edges[number]
        option = next((each for each in edge.options if each.index == hop.option), None)
        if option is None:
            return NOTHING
        hops.append(_Hop(edge=edge, option=option, rounds=hop.purification_rounds, made_hz=hop.rate_millihertz / 1000))
    nodes = list(route.nodes)
    if nodes[0] > nodes[-1]:
        # As it was searched: from the smaller end.
        hops.reverse()
        nodes.reverse()
    stations = [wiring.stations[network.node(name)] for name in nodes]
    if any(not station.can_swap for station in stations[1:-1]):
        return NOTHING
    if plan.regime is Regime.MEMORY:
        rate_hz, werner = _memory(hops, stations, plan, nodes)
    elif plan.regime is Regime.SLOT:
        rate_hz = slot_rate_hz(
            [hop.option.success_probability for hop in hops],
            [station.swap_success for station in stations[1:-1]],
            [hop.edge.model.attempt_period_s for hop in hops],
            plan.lanes,
        )
        werner = math.prod(hop.werner for hop in hops) * math.prod(node.swap_quality for node in stations[1:-1])
    else:
        rate_hz, werner = _buffered(hops, stations, plan, nodes)
    return int(rate_hz * (1 - plan.test_share) * 1000 * (1 + 1e-9)), (1 + 3 * werner) / 4


def _decays(stations: list[PairStation]) -> list[float]:
    """Return 1/T of each node; an end without memories stores nothing."""
    last = len(stations) - 1
    return [
        0.0
        if place in (0, last) and station.hardware is not None and station.hardware.memories == 0
        else station.decay_per_s
        for place, station in enumerate(stations)
    ]


def _memory(hops: list[_Hop], stations: list[PairStation], plan: PathPlan, nodes: list[str]) -> tuple[float, float]:
    cutoff_ns = next((swap.cutoff_ns for swap in plan.swaps), None)
    lane = predict_lane(
        lane_over(
            ((hop.edge, hop.option.success_probability, hop.werner, hop.rounds) for hop in hops),
            stations,
            _decays(stations),
            None if cutoff_ns is None else cutoff_ns / 1e9,
            tree_of(plan, nodes),
        )
    )
    return plan.lanes * lane.rate_hz, lane.werner


def _buffered(hops: list[_Hop], stations: list[PairStation], plan: PathPlan, nodes: list[str]) -> tuple[float, float]:
    successes = [station.swap_success for station in stations[1:-1]]
    made = []
    werner = math.prod(station.swap_quality for station in stations[1:-1])
    for hop in hops:
        cost, purified = hop.purified()
        most_hz = hop.option.success_probability / hop.edge.model.attempt_period_s
        made.append(min(hop.made_hz, most_hz) / cost)
        werner *= purified
    rate_hz, factor = storage_factor_of(
        plan.regime,
        tree_of(plan, nodes),
        made,
        successes,
        depth=max(1, plan.buffer_pairs),
        decays_per_s=_decays(stations),
    )
    return rate_hz, werner * factor


def tree_of(plan: PathPlan, nodes: list[str]) -> SwapTree:
    """Return the tree that a plan's swaps are, hops counted along these nodes (the route's, or its reverse's)."""
    place = {name: number for number, name in enumerate(nodes)}
    segments: dict[tuple[int, int], SwapTree] = {(hop, hop + 1): hop for hop in range(len(nodes) - 1)}
    for swap in plan.swaps:
        left, right = sorted((place[swap.left], place[swap.right]))
        middle = place[swap.node]
        segments[left, right] = (segments[left, middle], segments[middle, right])
    return segments[0, len(nodes) - 1]


def check_path(network: PairNetwork, route: Route, plan: PathPlan, *, charges: Mapping[str, int] | None = None) -> None:
    """Check that a plan may be committed now: its links carry something new, and all that it takes is free.

    The network is one without the reservations that the plan replaces. `charges` is what the path will hold, by
    resource; by default what the plan takes. Of resources that the plan does not use it is not asked.

    Raises:
        Precondition: ROUTE_REFUSED: a link carries nothing new, or does not join its nodes; NO_CAPACITY: no room.
    """
    wiring = network.wiring
    for hop in route.hops():
        number = wiring.edge_number.get(hop.link)
        if number is None:
            raise _refused(network, hop.link)
        if {wiring.nodes[node] for node in wiring.edges[number].ends} != {hop.start, hop.end}:
            raise Precondition(
                "ROUTE_REFUSED",
                f"links/{hop.link} does not join nodes/{hop.start} and nodes/{hop.end}; compute the route again",
                {"link": hop.link},
            )
    held = plan.charges if charges is None else charges
    missing = shortfalls(network, {resource: held.get(resource, 0) for resource in plan.charges})
    if missing:
        told = ", ".join(f"{resource} ({short} more)" for resource, short in missing.items())
        raise Precondition(
            "NO_CAPACITY",
            f"the route from nodes/{route.source} to nodes/{route.target} needs more than is free of {told};"
            " compute the route again",
            {"limits": ",".join(missing), "missing": ",".join(str(short) for short in missing.values())},
        )


def shortfalls(network: PairNetwork, charges: Mapping[str, int]) -> dict[str, int]:
    """Return by how much each resource lacks room for charges, by name; empty when they fit."""
    missing = {resource: amount - (network.free(resource) or 0) for resource, amount in sorted(charges.items())}
    return {resource: amount for resource, amount in missing.items() if amount > 0}


def _refused(network: PairNetwork, link: str) -> Precondition:
    unusable = network.wiring.unusable.get(link)
    why = unusable.why if unusable else "does not exist"
    return Precondition(
        "ROUTE_REFUSED", f"links/{link} carries nothing new: {why}; compute the route again", {"link": link}
    )
