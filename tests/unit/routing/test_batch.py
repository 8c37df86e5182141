"""Many relays at once get what one after the other would be given."""

import random
from dataclasses import replace

import numpy as np
import pytest

from controller.domain.admission import Admission, Policy
from controller.domain.entanglement_path import EntanglementPath, PairDemand, PairUse
from controller.domain.key_relay import KeyRelay, Protection, RelayState
from controller.domain.link import Link, LinkCondition
from controller.domain.node import Capability, Node
from controller.domain.reachability import threatened_links
from controller.domain.refusals import InvalidValue, Refusal
from controller.domain.route import Route
from controller.domain.route_sets import new_set
from controller.domain.service import Releasing
from controller.domain.snapshot import Snapshot
from controller.routing import batch as routing
from controller.routing.batch import Rerouting, is_plain
from controller.routing.feasible import charges_after_move
from controller.routing.graph import graph_of
from controller.routing.kernels.batch import Ask, Batch, Root, serve
from controller.routing.kernels.net import net_of
from controller.routing.key_relay import find_route
from controller.routing.places import Grounds, find_clear_place
from tests.unit.routing.networks import CHARGE, RATE, demand, down, link, network


def some_network(dice: random.Random) -> Snapshot:
    names = [f"n{number}" for number in range(dice.randint(4, 8))]
    links: list[Link] = []
    for number in range(dice.randint(len(names), 2 * len(names) + 2)):
        a, b = dice.sample(names, 2)
        ducts = frozenset(dice.sample(["east", "west"], 1)) if dice.random() < 0.3 else frozenset()
        links.append(link(f"l{number:02}", a, b, dice.randint(1, 7) * CHARGE, ducts=ducts))
    nodes = tuple(
        Node(
            name=name,
            trust_domain=dice.choice(["", "", "x"]),
            capabilities=frozenset({Capability.KEY_RELAY}) if dice.random() < 0.9 else frozenset(),
        )
        for name in names
    )
    return network(*links, nodes=nodes)


def with_relays(snapshot: Snapshot, dice: random.Random) -> Snapshot:
    """Put relays in, few ends among many of them, some that still hold what they left."""
    names = sorted(snapshot.nodes)
    hub = dice.choice(names)
    for number in range(dice.randint(4, 14)):
        source, target = dice.sample(names, 2)
        if dice.random() < 0.6 and hub != target:
            source = hub
        if dice.random() < 0.5:
            source, target = target, source
        others = [name for name in names if name not in (source, target)]
        wanted = demand(
            source,
            target,
            rate_millibit_per_s=dice.choice([RATE, RATE, RATE // 2]),
            max_hops=dice.choice([None, None, None, 2, 3]),
            avoid_nodes=frozenset(dice.sample(others, 1)) if dice.random() < 0.15 else frozenset(),
            avoid_links=frozenset(dice.sample(sorted(snapshot.links), 1)) if dice.random() < 0.15 else frozenset(),
            trust_domains=frozenset({""}) if dice.random() < 0.1 else frozenset(),
            no_trusted_transit=dice.random() < 0.05,
        )
        try:
            route = find_route(graph_of(snapshot), wanted)
        except Refusal:
            continue
        relay = KeyRelay(name=f"r{number:02}", demand=wanted, routes=(route,), route_version=5, state=RelayState.ACTIVE)
        if dice.random() < 0.2:
            relay = replace(relay, retiring=(replace(new_set(wanted, (route,), 4), charge_millibit_per_s=3),))
        if dice.random() < 0.2:
            one = snapshot.links[dice.choice(sorted(snapshot.links))]
            relay = replace(
                relay, releasing=(Releasing(link=one.name, share=0, charge_millibit_per_s=2, nodes=one.nodes),)
            )
        snapshot = replace(snapshot, relays={**snapshot.relays, relay.name: relay})
    return snapshot


def one_by_one(
    snapshot: Snapshot, relays: list[KeyRelay], threatened: frozenset[str]
) -> tuple[list[Route | None], Grounds]:
    grounds = Grounds(snapshot)
    routes: list[Route | None] = []
    for relay in relays:
        try:
            (route,) = find_clear_place(grounds.free_for(relay), relay, threatened).routes
        except Refusal:
            routes.append(None)
        else:
            routes.append(route)
            grounds.given(relay, charges_after_move(relay, (route,)))
    return routes, grounds


@pytest.mark.parametrize("trees_from", [1, 3, 10**9])
def test_a_batch_gives_each_the_route_that_it_gets_alone_in_its_turn(
    trees_from: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routing, "_TREE_FROM", trees_from)
    monkeypatch.setattr(routing, "STEPS_TOGETHER", 40)
    moved = refused = over_threatened = 0
    for seed in range(190):
        dice = random.Random(1000 * (trees_from % 7) + seed)
        snapshot = with_relays(some_network(dice), dice)
        cut = dice.sample(sorted(snapshot.links), dice.choice([1, 1, 2]))
        snapshot = replace(snapshot, conditions=dict.fromkeys(cut, down()))
        relays = [relay for relay in snapshot.relays.values() if not relay.links().isdisjoint(cut)]
        assert all(is_plain(snapshot, relay) for relay in relays)
        threatened = threatened_links(snapshot)
        expected, grounds = one_by_one(snapshot, relays, threatened)
        rerouting = Rerouting(graph_of(snapshot), relays, threatened)
        assert [route for _, route in rerouting] == expected, seed
        assert np.array_equal(rerouting.graph.rooms, grounds.shared().rooms), seed
        moved += len(expected) - expected.count(None)
        refused += expected.count(None)
        over_threatened += sum(route is not None and not threatened.isdisjoint(route.links) for route in expected)
    assert moved > 100
    assert refused > 100
    assert over_threatened > 3


def test_without_relays_nothing_is_searched() -> None:
    graph = graph_of(network(link("ab", "a", "b")))
    rerouting = Rerouting(graph, [])
    assert list(rerouting) == []
    assert rerouting.graph is graph


def test_only_what_is_held_for_one_share_and_searched_by_fewest_links_is_plain() -> None:
    route = Route(nodes=("a", "b"), links=("ab",))
    relay = KeyRelay(name="r", demand=demand("a", "b"), routes=(route,), route_version=1, state=RelayState.ACTIVE)
    snapshot = network(link("ab", "a", "b"), relays=(relay,))
    assert is_plain(snapshot, relay)
    old = new_set(relay.demand, (route,), 0)
    held = Releasing(link="ab", share=0, charge_millibit_per_s=CHARGE, nodes=("a", "b"))
    assert is_plain(snapshot, replace(relay, retiring=(old,), releasing=(held,)))
    for change in (
        {"demand": demand("a", "b", shares=2)},
        {"demand": demand("a", "b", protection=Protection.ONE_FOR_ONE)},
        {"demand": demand("a", "b", pass_nodes=frozenset({"c"}))},
        {"demand": demand("a", "b", pass_links=frozenset({"ab"}))},
        {"demand": demand("a", "gone")},
        {"backup": old},
        {"retiring": (replace(old, charge_millibit_per_s=CHARGE + 1),)},
        {"retiring": (replace(old, routes=(route, route)),)},
        {"releasing": (replace(held, share=1),)},
        {"releasing": (replace(held, charge_millibit_per_s=CHARGE + 1),)},
    ):
        assert not is_plain(snapshot, replace(relay, **change)), change
    priced = replace(snapshot, admission=Admission(policy=Policy.BALANCED))
    assert not is_plain(priced, relay)
    keyed = {"use": PairUse.MEASURE, "key_link": "k", "authentication": "r"}
    asked = replace(PairDemand(source="a", target="b", minimum_fidelity=0.8, rate_millihertz=1), **keyed)  # type: ignore[arg-type]
    path = EntanglementPath(name="p", demand=asked)
    assert not is_plain(replace(snapshot, paths={"p": path}), relay)
    assert not is_plain(snapshot, path)


def test_links_of_a_duct_are_threatened_while_one_of_it_is_down_but_not_when_one_is_disabled() -> None:
    one, other, away = (
        link("ab", "a", "b", ducts=frozenset({"east"})),
        link("ac", "a", "c", ducts=frozenset({"east", "west"})),
        link("bc", "b", "c"),
    )
    assert threatened_links(network(one, other, away)) == frozenset()
    cut: dict[str, LinkCondition] = {"ab": down()}
    assert threatened_links(network(one, other, away, conditions=cut)) == {"ab", "ac"}
    assert threatened_links(network(replace(one, admin_enabled=False), other, away)) == frozenset()


def batch(**more: object) -> Batch:
    asks = np.array([Ask(0, 1, 1, 9, -1, 0, 0, -1, 0, 0)], np.int64)
    given: dict[str, object] = {
        "net": net_of(2, [(0, 1)]),
        "rooms": np.array([1], np.int64),
        "opens": np.ones((1, 1), np.bool_),
        "passables": np.ones((1, 2), np.bool_),
        "asks": asks,
        "roots": np.zeros((0, len(Root._fields)), np.int64),
        "held_first": np.zeros(2, np.int32),
        "held_links": np.zeros(0, np.int32),
        "held_amounts": np.zeros(0, np.int64),
    }
    return Batch(**{**given, **more})  # type: ignore[arg-type]


def test_a_second_of_two_finds_what_the_first_left() -> None:
    twice = batch(asks=np.array([Ask(0, 1, 1, 9, -1, 0, 0, -1, 0, 0)] * 2, np.int64), held_first=np.zeros(3, np.int32))
    first, second = serve(twice, 0)
    assert first is not None
    assert (first.tolist(), second, twice.rooms.tolist()) == ([0], None, [0])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rooms", np.array([1.0])),
        ("rooms", np.array([1, 2], np.int64)),
        ("opens", np.ones((1, 2), np.bool_)),
        ("passables", np.ones((1, 3), np.bool_)),
        ("roots", np.array([[2, 0, 0]], np.int64)),
        ("roots", np.array([[0, 1, 0]], np.int64)),
        ("held_first", np.array([0, 1], np.int32)),
        *(("asks", np.array([Ask(0, 1, 1, 9, -1, 0, 0, -1, 0, 0)._replace(**{name: bad})], np.int64))
          for name, bad in [
              ("start", 2), ("goal", -1), ("goal", 0), ("need", -1), ("first_open", 1), ("open", -1), ("passable", 1),
              ("tree", 0), ("question", 1),
          ]),
    ],
)  # fmt: skip
def test_what_the_kernel_must_not_see_is_refused_before_any_work(field: str, value: object) -> None:
    with pytest.raises(InvalidValue):
        batch(**{field: value})
    with pytest.raises(InvalidValue):
        serve(batch(), 1)
