"""Entanglement networks for tests: made by hand or by chance, all of them with sessions."""

import random
from collections.abc import Iterable, Mapping

from controller.domain.entanglement_path import PairDemand
from controller.domain.link import Link, LinkCondition, LinkEnd, LinkKind
from controller.domain.node import Node
from controller.domain.pair_link import EndNodeKind, PairHardware, PairModel, PairOption, Regime
from controller.domain.snapshot import Snapshot

STATION = PairHardware(memories=100, end_node=EndNodeKind.MEMORY)


def station(name: str, hardware: PairHardware | None = STATION) -> Node:
    return Node(name=name, pairs=hardware)


def pair_link(
    name: str,
    a: str,
    b: str,
    *options: tuple[float, float],
    regime: Regime = Regime.BUFFERED,
    period_s: float = 1e-3,
    memory_pairs: int = 64,
    length_km: float = 0.0,
) -> Link:
    """Return a link whose options are (success probability, fidelity)."""
    first, second = sorted((a, b))
    return Link(
        name=name,
        kind=LinkKind.ENTANGLEMENT,
        ends=(LinkEnd(node=first, interface=0), LinkEnd(node=second, interface=0)),
        length_km=length_km,
        model_skr_millibit_per_s=0,
        pairs=PairModel(
            regime=regime,
            attempt_period_s=period_s,
            memory_pairs=memory_pairs,
            options=tuple(PairOption(success_probability=p, fidelity=f) for p, f in options),
        ),
    )


def pair_snapshot(
    nodes: Iterable[Node], links: Iterable[Link], conditions: Mapping[str, LinkCondition] | None = None
) -> Snapshot:
    listed = {node.name: node for node in nodes}
    return Snapshot(
        nodes=listed,
        links={link.name: link for link in links},
        conditions=conditions or {},
        connected=frozenset(listed),
    )


def chance_network(
    seed: int, regime: Regime, *, equal_q: bool = True, most_nodes: int = 8, decay: bool = False
) -> tuple[Snapshot, PairDemand]:
    """Return a random connected network of one regime and a demand in it."""
    chance = random.Random(seed)
    count = chance.randint(4, most_nodes)
    names = [f"n{number}" for number in range(count)]
    chance.shuffle(names)
    success = chance.choice([0.5, 0.75, 0.9, 1.0])
    nodes = [
        station(
            name,
            PairHardware(
                memories=chance.choice([8, 20, 60, 200]),
                coherence_s=chance.choice([0.2, 1.0, 5.0]) if decay else None,
                swap_success=success if equal_q else chance.choice([0.5, 0.75, 0.9, 1.0]),
                gate_quality=chance.choice([0.98, 0.99, 1.0]),
                readout_quality=chance.choice([0.99, 1.0]),
                can_purify=chance.random() < 0.6,
                end_node=EndNodeKind.MEMORY,
            ),
        )
        for name in names
    ]
    pairs = {tuple(sorted((names[i], names[chance.randrange(i)]))) for i in range(1, count)}
    for _ in range(chance.randint(1, count + 2)):
        pairs.add(tuple(sorted(chance.sample(names, 2))))
    links = []
    for number, (a, b) in enumerate(sorted(pairs)):
        for twin in range(2 if chance.random() < 0.15 else 1):
            options = [
                (chance.choice([0.01, 0.02, 0.05, 0.1, 0.2, 0.4]), round(chance.uniform(0.86, 0.995), 3))
                for _ in range(chance.choice([1, 1, 2]))
            ]
            links.append(
                pair_link(
                    f"l{number}-{twin}",
                    a,
                    b,
                    *options,
                    regime=regime,
                    period_s=chance.choice([1e-3, 1e-3, 2e-3]),
                    memory_pairs=chance.choice([2, 4, 8, 16])
                    if regime is not Regime.SLOT
                    else chance.choice([1, 2, 3, 4]),
                    length_km=chance.choice([0.0, 10.0, 20.0, 40.0]),
                )
            )
    source, target = chance.sample(names, 2)
    demand = PairDemand(
        source=source,
        target=target,
        minimum_fidelity=chance.choice([0.55, 0.7, 0.8, 0.85, 0.9]),
        rate_millihertz=1,
        max_hops=chance.choice([None, None, None, 3, 4]),
    )
    return pair_snapshot(nodes, links), demand
