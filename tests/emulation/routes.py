"""Routes to emulate: drawn over shipped networks, in every regime, each with the plan that admission would take."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Final

from controller.config.topology_file import load_topology
from controller.domain.entanglement_path import EntanglementPath, PairDemand
from controller.domain.entries import PathEntry
from controller.domain.link import Link, LinkKind
from controller.domain.node import Node
from controller.domain.pair_link import PairModel, Regime
from controller.domain.refusals import Refusal
from controller.domain.service import Phase
from controller.domain.snapshot import Snapshot
from controller.planning.compile import compile_owner
from controller.routing.entanglement.find import Found, find_path
from controller.routing.entanglement.network import pair_network_of
from controller.routing.entanglement.standing import predict

TOPOLOGIES: Final = ("delft-eindhoven", "surfnet", "metro-star")
_FOLDER: Final = Path(__file__).parents[2] / "topologies"
_MANY_MEMORIES: Final = 4096
_DEEP_BUFFER: Final = 32
_LONG_COHERENCE_S: Final = 1e6
_FIDELITIES: Final = (0.55, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9)
_MOST_HERALDS: Final = 300.0
_SHARES: Final = (0.1, 0.3, 0.6, 0.9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A route, and what is promised on it.

    Attributes:
        topology, regime: Where, and by which rules.
        snapshot: The network: the truth of the emulation.
        entry: What the nodes are told.
        rate_hz: Predicted of the plan, test pairs taken off.
        fidelity: Predicted.
    """

    topology: str
    regime: Regime
    snapshot: Snapshot
    entry: PathEntry
    rate_hz: float
    fidelity: float


def network_of(topology: str, regime: Regime) -> Snapshot:
    """Return a shipped network, all agents connected, its entanglement links run by the rules of a regime.

    Deep buffers need memories that hardware in the memory regime does not have: there they are many and good, and
    buffers are deep: at depth 4, links that succeed as often as not lose less than Poisson streams would.
    """
    file = load_topology(_FOLDER / f"{topology}.yaml")
    deep = regime in (Regime.BUFFERED, Regime.AT_ONCE)

    def node(known: Node) -> Node:
        if known.pairs is None or not deep:
            return known
        return replace(known, pairs=replace(known.pairs, memories=_MANY_MEMORIES, coherence_s=_LONG_COHERENCE_S))

    def link(known: Link) -> Link:
        if known.pairs is None or known.pairs.regime is regime:
            return known
        depth = max(known.pairs.memory_pairs, _DEEP_BUFFER) if deep else known.pairs.memory_pairs
        model: PairModel = replace(known.pairs, regime=regime, memory_pairs=depth)
        return replace(known, pairs=model)

    nodes = {known.name: node(known) for known in file.nodes}
    links = {known.name: link(known) for known in file.links if known.kind is LinkKind.ENTANGLEMENT}
    return Snapshot(nodes=nodes, links=links, connected=frozenset(nodes))


def drawn_cases(topologies: Sequence[str], count: int, seed: int) -> Iterator[Case]:
    """Yield routes, evenly over networks and regimes; the same for the same seed. The seed is at least 0."""
    chance = Random(seed)
    snapshots: Mapping[tuple[str, Regime], Snapshot] = {
        (topology, regime): network_of(topology, regime) for topology in topologies for regime in Regime
    }
    kinds = sorted(snapshots, key=lambda kind: (list(Regime).index(kind[1]), kind[0]))
    for number in range(count):
        topology, regime = kinds[number % len(kinds)]
        while (case := _drawn(topology, regime, snapshots[topology, regime], chance)) is None:
            pass
        yield case


def _heralds_for_a_pair(snapshot: Snapshot, found: Found, rate_millihertz: int) -> float:
    """Return how many slots with a herald somewhere pass for each pair that is delivered: what emulation costs."""
    heralds_hz = 0.0
    for hop in found.plan.hops:
        model = snapshot.links[hop.link].pairs
        assert model is not None
        missed = (1 - model.options[hop.option].success_probability) ** found.plan.lanes
        heralds_hz += (1 - missed) / model.attempt_period_s
    return heralds_hz / max(rate_millihertz / 1000, 1e-9)


def _drawn(topology: str, regime: Regime, snapshot: Snapshot, chance: Random) -> Case | None:
    network = pair_network_of(snapshot)
    source, target = chance.sample(sorted(snapshot.nodes), 2)
    wanted = PairDemand(
        source=source,
        target=target,
        minimum_fidelity=chance.choice(_FIDELITIES),
        rate_millihertz=1,
        test_share=chance.choice((0.0, 0.05, 0.2)),
        max_hops=chance.choice((None, None, 4, 7)),
    )
    try:
        best = find_path(network, wanted).plan.certificate.value
        rate = max(1, int(best * chance.choice(_SHARES) * (1 - wanted.test_share)))
        demand = replace(wanted, rate_millihertz=rate)
        found = find_path(network, demand)
        rate_millihertz, fidelity = predict(network, found.route, found.plan)
    except Refusal:
        return None
    if regime is Regime.SLOT and _heralds_for_a_pair(snapshot, found, rate_millihertz) > _MOST_HERALDS:
        return None
    path = EntanglementPath(
        name="p",
        demand=demand,
        routes=(found.route,),
        route_version=1,
        plan=found.plan,
        phase=Phase.SETTLED,
    )
    entries = compile_owner(replace(snapshot, paths={"p": path}), ("paths", "p"))
    entry = entries[source][0]
    assert isinstance(entry, PathEntry)
    return Case(
        topology=topology,
        regime=regime,
        snapshot=snapshot,
        entry=entry,
        rate_hz=rate_millihertz / 1000,
        fidelity=fidelity,
    )
