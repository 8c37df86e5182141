"""A ground brought up to date by what differs is the one that is made anew."""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from controller.domain.link import Establishment, Link, LinkCondition, LinkKind
from controller.domain.node import Capability, Node
from controller.domain.pair_link import PairModel, PairOption, Regime
from controller.domain.snapshot import Snapshot
from controller.routing.ground import Ground, ground_of

from .networks import down, link, network

NAMES = tuple("abcdef")
PAIRS = PairModel(
    regime=Regime.MEMORY,
    attempt_period_s=1e-3,
    memory_pairs=1,
    options=(PairOption(success_probability=0.1, fidelity=0.9),),
)


def joined(name: str, chance: random.Random, **more: Any) -> Link:
    a, b = chance.sample(NAMES, 2)
    return link(name, a, b, **more)


def start(chance: random.Random) -> Snapshot:
    links = [
        joined(f"l{number}", chance, room=chance.randrange(1, 99), admin_enabled=chance.random() < 0.9)
        for number in range(8)
    ]
    return network(*links, nodes=tuple(Node(name=name) for name in NAMES))


def changed(snapshot: Snapshot, chance: random.Random) -> Snapshot:
    """Return a snapshot in which one thing is otherwise."""
    name = chance.choice(sorted(snapshot.links))
    one = snapshot.links[name]
    node = snapshot.nodes[chance.choice(NAMES)]

    def relinked(**what: object) -> Snapshot:
        return replace(snapshot, links={**snapshot.links, name: replace(one, **what)})  # type: ignore[arg-type]

    def renoded(**what: object) -> Snapshot:
        return replace(snapshot, nodes={**snapshot.nodes, node.name: replace(node, **what)})  # type: ignore[arg-type]

    def judged(condition: LinkCondition) -> Snapshot:
        return replace(snapshot, conditions={**snapshot.conditions, name: condition})

    ways: tuple[Callable[[], Snapshot], ...] = (
        lambda: judged(down("cut")),
        lambda: judged(LinkCondition(promised_skr_millibit_per_s=chance.randrange(99))),
        lambda: replace(snapshot, conditions={key: one for key, one in snapshot.conditions.items() if key != name}),
        lambda: replace(snapshot, conditions=dict(reversed(list(snapshot.conditions.items())))),
        lambda: relinked(admin_enabled=not one.admin_enabled),
        lambda: relinked(maintenance=not one.maintenance),
        lambda: relinked(model_skr_millibit_per_s=chance.randrange(1, 99)),
        lambda: relinked(establishment=chance.choice(list(Establishment))),
        lambda: relinked(ducts=frozenset({"d1"})),
        lambda: relinked(kind=LinkKind.ENTANGLEMENT, pairs=PAIRS),
        lambda: renoded(admin_enabled=not node.admin_enabled),
        lambda: renoded(maintenance=not node.maintenance),
        lambda: renoded(location=chance.choice(["", "Delft"])),
        lambda: renoded(trust_domain=chance.choice(["", "north"])),
        lambda: renoded(capabilities=frozenset() if node.capabilities else frozenset({Capability.KEY_RELAY})),
        lambda: replace(snapshot, connected=snapshot.connected ^ {node.name}),
        lambda: replace(snapshot, links={key: each for key, each in snapshot.links.items() if key != name}),
        lambda: replace(snapshot, links={**snapshot.links, "new": joined("new", chance)}),
        lambda: replace(snapshot, links=dict(reversed(list(snapshot.links.items())))),
        lambda: replace(snapshot, nodes={**snapshot.nodes, "g": Node(name="g")}),
    )
    return chance.choice(ways)()


def same(one: Ground, other: Ground) -> bool:
    return (
        (one.wiring.nodes, one.wiring.links) == (other.wiring.nodes, other.wiring.links)
        and all(np.array_equal(mine, its) for mine, its in zip(one.wiring.net, other.wiring.net, strict=True))
        and np.array_equal(one.wiring.relaying, other.wiring.relaying)
        and one.wiring.ducts == other.wiring.ducts
        and (one.wiring.places, one.wiring.trust_domains) == (other.wiring.places, other.wiring.trust_domains)
        and np.array_equal(one.usable, other.usable)
        and np.array_equal(one.capacities, other.capacities)
        and one.unusable == other.unusable
    )


def test_a_ground_follows_any_change_as_if_it_were_made_anew() -> None:
    for seed in range(100):
        chance = random.Random(seed)
        snapshot = start(chance)
        ground = ground_of(snapshot)
        for _ in range(12):
            for _ in range(chance.choice((1, 1, 1, 3))):
                snapshot = changed(snapshot, chance)
            ground = ground.at(snapshot)
            assert same(ground, ground_of(snapshot)), (seed, snapshot)


def test_a_change_of_a_links_state_leaves_the_wiring_as_it_is() -> None:
    snapshot = network(link("ab", "a", "b"), link("bc", "b", "c"))
    ground = ground_of(snapshot)
    cut = ground.at(replace(snapshot, conditions={"ab": down("cut")}))
    assert cut.wiring is ground.wiring
    assert cut.usable.tolist() == [False, True]
    assert ground.usable.tolist() == [True, True]
    assert cut.at(snapshot).usable.tolist() == [True, True]


def test_what_a_graph_is_made_of_cannot_be_written() -> None:
    ground = ground_of(network(link("ab", "a", "b")))
    for array in (ground.usable, ground.capacities, ground.wiring.relaying, *ground.wiring.net):
        assert not array.flags.writeable
