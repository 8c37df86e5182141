"""Why there is no entanglement path, for a person and for a program: what limits, and what would work."""

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final

from controller.domain.entanglement_path import PairDemand, PairUse
from controller.domain.pair_link import Regime
from controller.domain.refusals import Precondition, TooHard
from controller.routing.entanglement.asked import Asked
from controller.routing.entanglement.buffered_plan import MOST_STORAGE_LOSS
from controller.routing.entanglement.candidate import Candidate
from controller.routing.entanglement.ground import Ground, ground_of
from controller.routing.entanglement.network import PairNetwork
from controller.routing.entanglement.regimes import bears_storage, best_candidate, drafts, most_hz, storage_loss
from controller.routing.entanglement.standing import shortfalls
from controller.routing.explain import bit_per_s as thousandths
from controller.routing.explain import listed

_STEPS: Final = 400
_HALVINGS: Final = 6
_LOWEST: Final = 0.2501
"""A fidelity just above that of pairs without any entanglement."""

Offer = tuple[Ground, Candidate]


def check_ends(network: PairNetwork, demand: PairDemand) -> None:
    """Check that both ends can hold pairs, or measure them at once where that is asked.

    Raises:
        NotFound: The network has no such source or target.
        Precondition: NO_MEMORIES.
    """
    for end in (demand.source, demand.target):
        hardware = network.wiring.stations[network.node(end)].hardware
        if hardware is None:
            raise _refusal(
                "NO_MEMORIES",
                demand,
                f"nodes/{end} has no hardware for pairs; state its `entanglement` in the topology, or end the path"
                " elsewhere",
                nodes=end,
            )
        if hardware.memories == 0 and (demand.use is not PairUse.MEASURE or demand.packets is not None):
            raise _refusal(
                "NO_MEMORIES",
                demand,
                f"nodes/{end} has no memories to keep pairs in; measure them, one by one, or end the path elsewhere",
                nodes=end,
            )
        pairs = demand.packets.pairs if demand.packets is not None else 0
        if hardware.memories <= pairs and pairs:
            raise _refusal(
                "NO_MEMORIES",
                demand,
                f"packets of {pairs} pairs, and the one that is being made, take {pairs + 1} memories of nodes/{end},"
                f" which has {hardware.memories}; ask for smaller packets, or give it more",
                nodes=end,
            )


def why_none(
    network: PairNetwork, demand: PairDemand, asked: Asked, offers: Sequence[Offer], *, soon: int | None = None
) -> Precondition:
    """Return why a demand has no path.

    Args:
        network: As it was searched.
        demand: What is asked.
        asked: The same in figures.
        offers: The best route of each regime that keeps the fidelity, but not at the rate.
        soon: Steps of the one search that may still be made, and no word of what fidelity would work: that takes many
            searches. None: take the time.

    Raises:
        TooHard: Within `soon` steps it could not be told whether others hold what is needed, or nothing would do.
    """
    if offers:
        return _too_little(demand, asked, offers, brief=soon is not None)
    blocked = _no_way(network, demand)
    if blocked is not None:
        return blocked
    searched = network.charged(asked.held)
    grounds = [ground_of(searched, demand, regime) for regime in network.wiring.regimes]
    emptied = _emptied(network)
    if not any(ground.joined for ground in grounds):
        return _taken(searched, demand, emptied)
    return _too_impure(demand, asked, grounds, emptied, soon)


def _refusal(reason: str, demand: PairDemand, message: str, **facts: object) -> Precondition:
    return Precondition(
        reason,
        f"no path from nodes/{demand.source} to nodes/{demand.target}: {message}",
        {"source": demand.source, "target": demand.target, **facts},
    )


def _emptied(network: PairNetwork) -> PairNetwork:
    """Return the network as if nothing were promised on it."""
    wiring = network.wiring
    return PairNetwork(
        wiring=wiring,
        room=tuple(edge.capacity for edge in wiring.edges),
        memories=tuple(0 if each.hardware is None else each.hardware.memories for each in wiring.stations),
        swap_time=tuple(1_000_000 for _ in wiring.nodes),
    )


Passes = Callable[[int], bool]


def _way(
    network: PairNetwork,
    demand: PairDemand,
    regimes: Collection[Regime],
    passes: Passes,
    *,
    bare: bool = False,
) -> list[int] | None:
    """Return the links of a shortest way over these regimes past nodes that pass, or None; `bare`: no constraints."""
    wiring = network.wiring
    start, goal = network.node(demand.source), network.node(demand.target)
    came: dict[int, tuple[int, int] | None] = {start: None}
    ring = [start]
    while ring and goal not in came:
        following = []
        for node in ring:
            if node != start and (not passes(node) or (not bare and wiring.nodes[node] in demand.avoid_nodes)):
                continue
            for link, far in wiring.at[node]:
                edge = wiring.edges[link]
                avoided = not bare and edge.name in demand.avoid_links
                if far not in came and edge.regime in regimes and not avoided:
                    came[far] = (link, node)
                    following.append(far)
        ring = following
    if goal not in came:
        return None
    links: list[int] = []
    step = came[goal]
    while step is not None:
        links.append(step[0])
        step = came[step[1]]
    links.reverse()
    return None if not bare and demand.max_hops is not None and len(links) > demand.max_hops else links


def _no_way(network: PairNetwork, demand: PairDemand) -> Precondition | None:
    """Return what keeps every way from being a route even of an idle network, or None where there is one."""
    wiring = network.wiring
    stations = wiring.stations
    everything = wiring.regimes

    def anything(_: int) -> bool:
        return True

    def swaps(node: int) -> bool:
        return stations[node].can_swap

    def stores(node: int) -> bool:
        hardware = stations[node].hardware
        return swaps(node) and hardware is not None and hardware.memories >= 2

    way = _way(network, demand, everything, anything)
    if way is None:
        return _apart(network, demand)
    alone = [regime for regime in everything if _way(network, demand, (regime,), anything) is not None]
    if not alone:
        found = sorted({wiring.edges[link].regime.value for link in way})
        return _refusal(
            "MIXED_REGIMES",
            demand,
            f"every route mixes regimes ({', '.join(found)}), and pairs of one cannot be swapped by the rules of"
            " another; give the links of one route the same regime",
            regimes=",".join(found),
        )
    if not any(_way(network, demand, (regime,), swaps) is not None for regime in alone):
        return _on_the_way(
            network,
            demand,
            alone,
            swaps,
            ("CANNOT_SWAP", "cannot swap (no hardware, or swap success or quality 0); state what they can, or"),
        )
    if not any(_way(network, demand, (regime,), stores) is not None for regime in alone):
        return _on_the_way(
            network,
            demand,
            alone,
            stores,
            ("NO_MEMORIES", "have fewer than the two memories that a swap takes; give them more, or"),
        )
    return None


def _on_the_way(
    network: PairNetwork, demand: PairDemand, regimes: Sequence[Regime], passes: Passes, told: tuple[str, str]
) -> Precondition:
    reason, problem = told
    names: list[str] = []
    for regime in regimes:
        way = _way(network, demand, (regime,), lambda _: True)
        if way is not None:
            names = [
                name
                for name in network.route(network.node(demand.source), way).transit
                if not passes(network.wiring.node_number[name])
            ]
            break
    return _refusal(
        reason,
        demand,
        f"{listed(f'nodes/{name}' for name in names)} {problem} add links around them",
        nodes=",".join(names),
    )


def _apart(network: PairNetwork, demand: PairDemand) -> Precondition:
    """Return what separates the ends: constraints of the demand, or links that are missing or unusable."""
    wiring = network.wiring
    bare = _way(network, demand, wiring.regimes, lambda _: True, bare=True)
    if bare is not None:
        stated = [name for name in ("max_hops", "avoid_nodes", "avoid_links") if getattr(demand, name)]
        told = " and ".join(
            f"{name} = {demand.max_hops if name == 'max_hops' else listed(getattr(demand, name))}" for name in stated
        )
        return _refusal(
            "NO_ROUTE",
            demand,
            f"none keeps {told}; without there is one of {len(bare)} links;"
            f" loosen {'it' if len(stated) == 1 else 'one of them'}",
            constraint=",".join(stated),
        )
    side = {demand.source}
    queue = [network.node(demand.source)]
    while queue:
        for _, far in wiring.at[queue.pop()]:
            if wiring.nodes[far] not in side:
                side.add(wiring.nodes[far])
                queue.append(far)
    joining = {
        name: unusable.why
        for name, unusable in sorted(wiring.unusable.items())
        if (unusable.nodes[0] in side) != (unusable.nodes[1] in side)
    }
    told_links = [f"links/{name} ({why})" for name, why in joining.items()]
    remedy = f"bring back one of {listed(told_links)}" if told_links else "add an entanglement link"
    return _refusal(
        "NO_ROUTE",
        demand,
        f"no usable entanglement link joins {listed(f'nodes/{name}' for name in side)} with the rest; {remedy}",
        separated_nodes=",".join(sorted(side)),
        unusable_links=",".join(joining),
    )


def _taken(network: PairNetwork, demand: PairDemand, emptied: PairNetwork) -> Precondition:
    """Return the refusal where every route of an idle network has something that is all taken.

    `network` is without what pairs of a packet are to take at the ends.
    """
    wiring = network.wiring
    resources: list[str] = []
    for regime in wiring.regimes:
        ground = ground_of(emptied, demand, regime)
        if not ground.joined:
            continue
        way = _way(network, demand, (regime,), lambda node, ground=ground: ground.passable[node])  # type: ignore[misc]
        for link in way or ():
            edge = wiring.edges[link]
            if network.room[link] < 1:
                resources.append(edge.name)
            resources += [f"nodes/{wiring.nodes[end]}/memories" for end in edge.ends if network.memories[end] < 2]
    limits = sorted(set(resources))
    return _refusal(
        "NO_CAPACITY",
        demand,
        f"nothing is free of {_shown(limits)}; end a path that holds it, or add more",
        limits=",".join(limits),
        possible_rate_millihertz=0,
    )


def _shown(resources: Iterable[str]) -> str:
    return listed(resource if resource.startswith("nodes/") else f"links/{resource}" for resource in resources)


def _too_impure(
    demand: PairDemand, asked: Asked, grounds: Sequence[Ground], emptied: PairNetwork, soon: int | None
) -> Precondition:
    """Return the refusal where no route keeps the fidelity with what is free: because of others, or never."""
    idle = [ground_of(emptied, demand, ground.regime) for ground in grounds]
    kept = ""
    if demand.packets is not None and asked.fidelity <= 1.0:
        kept = f", {asked.fidelity:.4f} at the last swap to last for the window"
    elif demand.packets is not None:
        kept = f" after a window of {demand.packets.window_ms / 1000:g} s in the memories of the ends: shorten it"
    if soon is not None:
        return _impure_in_brief(demand, kept, [best_candidate(ground, asked.fidelity, soon) for ground in idle])
    if any(_candidate(ground, asked.fidelity) is not None for ground in idle):
        best = _purest(grounds, 0.0)
        return _refusal(
            "NO_CAPACITY",
            demand,
            f"routes with a fidelity of {demand.minimum_fidelity:g} exist, but what is free allows {_at_most(best)};"
            " end a path that holds what they need, or ask for less fidelity",
            best_fidelity=_figure(best),
        )
    best = _purest(idle, 0.0)
    at_rate = _purest(idle, asked.gross_hz)
    return _refusal(
        "FIDELITY_UNREACHABLE",
        demand,
        f"no route, purification or cut-off gives a fidelity of {demand.minimum_fidelity:g}{kept};"
        f" possible is {_at_most(best)}, and at the wanted rate {_at_most(at_rate)}",
        best_fidelity=_figure(best),
        best_fidelity_at_rate=_figure(at_rate),
    )


def _impure_in_brief(demand: PairDemand, kept: str, idle: Sequence[Candidate | None]) -> Precondition:
    if any(candidate is not None for candidate in idle):
        return _refusal(
            "NO_CAPACITY",
            demand,
            f"routes with a fidelity of {demand.minimum_fidelity:g} exist, but not with what is free;"
            " end a path that holds what they need, or ask for less fidelity",
        )
    return _refusal(
        "FIDELITY_UNREACHABLE",
        demand,
        f"no route, purification or cut-off gives a fidelity of {demand.minimum_fidelity:g}{kept}; ask for less",
    )


def _at_most(fidelity: float | None) -> str:
    return "none" if fidelity is None else f"{fidelity:.4f}"


def _best_there(fidelity: float | None) -> str:
    return "no fidelity is possible" if fidelity is None else f"the best fidelity is {fidelity:.4f}"


def _figure(fidelity: float | None) -> str:
    return "" if fidelity is None else f"{fidelity:.6f}"


def _purest(grounds: Sequence[Ground], gross_hz: float) -> float | None:
    """Return a fidelity that some route has at a rate, close to the highest; None where none has the rate."""
    best: float | None = None
    for ground in grounds:
        if not ground.joined:
            continue
        low, high = _LOWEST, 1.0
        if not _delivers(ground, low, gross_hz):
            continue
        found = low
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            reached = _delivers(ground, middle, gross_hz)
            if reached:
                low = max(middle, reached)
                found = low
            else:
                high = middle
            if high <= low:
                break
        best = found if best is None else max(best, found)
    return best


def _candidate(ground: Ground, fidelity: float) -> Candidate | None:
    """Return a route that keeps a fidelity, if a short search finds one."""
    try:
        return best_candidate(ground, fidelity, _STEPS)
    except TooHard:
        return None


def _delivers(ground: Ground, fidelity: float, gross_hz: float) -> float:
    """Return the fidelity of a plan that has the rate and at least a fidelity; 0 where there is none."""
    candidate = _candidate(ground, fidelity)
    if candidate is None or most_hz(ground, candidate) < gross_hz * (1 - 1e-9):
        return 0.0
    if gross_hz <= 0.0:
        return (1 + 3 * candidate.werner) / 4
    kept = [draft.fidelity for draft in drafts(ground, candidate, gross_hz) if bears_storage(draft)]
    best = max(kept, default=0.0)
    return best if best >= fidelity * (1 - 1e-9) else 0.0


def _too_little(demand: PairDemand, asked: Asked, offers: Sequence[Offer], *, brief: bool) -> Precondition:
    """Return the refusal where the fidelity is there, but not at the rate: too little room, or too long a storage."""
    within = [offer for offer in offers if most_hz(*offer) >= asked.gross_hz * (1 - 1e-9)]
    for ground, candidate in within:
        losses = [storage_loss(draft) for draft in drafts(ground, candidate, asked.gross_hz)]
        if losses and min(losses) > MOST_STORAGE_LOSS:
            works = _bearing_rate(ground, candidate, demand.test_share)
            hint = "" if works is None else f"ask for {thousandths(works)} Hz or more, or "
            return _refusal(
                "STORAGE_DECAY",
                demand,
                f"at {thousandths(asked.rate_millihertz)} Hz the pairs wait so long in their buffers that"
                f" {min(losses):.4f} of the fidelity is lost, more than the {MOST_STORAGE_LOSS:g} up to which the"
                f" {ground.regime.value} regime holds; {hint}use the memory regime",
                possible_rate_millihertz="" if works is None else works,
                storage_loss=f"{min(losses):.6f}",
                most_storage_loss=MOST_STORAGE_LOSS,
            )
    ground, candidate = max(offers, key=lambda offer: most_hz(*offer))
    possible = int(most_hz(ground, candidate) * 1000 * (1 - demand.test_share) * (1 + 1e-9))
    upper = max(possible, *(int(offer[1].bound_hz * 1000 * (1 - demand.test_share)) for offer in offers))
    missing: dict[str, int] = {}
    for draft in drafts(ground, candidate, asked.gross_hz):
        missing = shortfalls(ground.network, draft.charges())
        break
    limits = sorted(missing)
    best = None if brief else _purest([offer[0] for offer in offers], asked.gross_hz)
    lacking = ", ".join(f"{missing[name]} more {_unit(name, ground.regime)}" for name in limits[:6])
    lacking += f", and something of {len(limits) - 6} more" if len(limits) > 6 else ""
    return _refusal(
        "NO_CAPACITY",
        demand,
        f"with a fidelity of {demand.minimum_fidelity:g} at most {thousandths(possible)} Hz fit now,"
        f" not {thousandths(asked.rate_millihertz)} Hz"
        + (f" (that more than {thousandths(upper)} Hz is impossible is certain)" if upper > possible * 1.1 else "")
        + (f"; the best route would need {lacking}" if lacking else "")
        + ("" if brief else f"; at the wanted rate {_best_there(best)}"),
        possible_rate_millihertz=possible,
        upper_bound_rate_millihertz=upper,
        limits=",".join(limits),
        missing=",".join(str(missing[name]) for name in limits),
        best_fidelity_at_rate=_figure(best),
    )


def _bearing_rate(ground: Ground, candidate: Candidate, test_share: float) -> int | None:
    """Return a rate, mHz net, near the least at which storage costs no more than it may; pairs wait less the faster."""

    def bears(rate_hz: float) -> bool:
        return any(bears_storage(draft) for draft in drafts(ground, candidate, rate_hz))

    high = most_hz(ground, candidate)
    if not bears(high):
        return None
    low = high * 1e-9
    for _ in range(40):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if bears(middle) else (middle, high)
    return math.ceil(high * 1000 * (1 - test_share))


def _unit(resource: str, regime: Regime) -> str:
    if "/" not in resource:
        return f"{ {Regime.SLOT: 'channels', Regime.MEMORY: 'memory pairs'}.get(regime, 'mHz') } of links/{resource}"
    _, node, what = resource.split("/")
    return f"{ {'memories': 'memories', 'swap-time': 'us of swapping a second'}[what] } of nodes/{node}"
